"""Friends of a liar who challenge first and go away: they take no part of the reward."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keepers.attacks import Act, Kind
from keepers.watchtower import Watchtower
from protocol.chain.chain import Chain
from protocol.chain.contracts import Call, Game, proofs_in
from protocol.chain.disputes import Dispute
from protocol.chain.flights import Flight
from protocol.chain.transactions import Sender, require_wallet
from protocol.spec.dispute import Outcome, Wait
from protocol.spec.job import Fault
from tests.keepers.test_watchtower_on_chain import (
    EXAMPLES,
    Party,
    committed,
    liar,
    play,
    post,
    watcher,
)
from tests.keepers.test_watchtower_on_chain import staffed as staffed  # the fixture
from tests.provider.conftest import Market
from tests.provider.conftest import market as market  # the fixture

pytestmark = pytest.mark.chain

COLLUDER, STRANGER = 7, 6


@dataclass
class Plot:
    """A wrong claim whose first challenges are the liar's friends', and late; the watchtower's own
    is the last, and its turn is next."""

    tower: Watchtower
    party: Party
    colluder: Sender
    stranger: Sender
    job: bytes
    claim: bytes
    late: int

    def end(self) -> Dispute:
        assert play(self.tower, self.party, self.job).attempts[0].fault is Fault.WRONG
        chain = self.tower.chain
        at = chain.snapshot()
        assert not chain.balances(self.colluder.address, at).credits["registry"].token
        dispute = self.party.agent.history.sync(at).disputes[self.claim]
        outcomes = [x.outcome for x in dispute.challenges]
        assert outcomes[: self.late] == [Outcome.DEFEATED] * self.late
        return dispute


@contextmanager
def plot(
    market: Market, directory: Path, late: int, *, over: bool = True
) -> Iterator[Plot]:
    market.fund(COLLUDER, 1000)
    job = post(market, EXAMPLES["counter"]).job
    with (
        liar(market, directory, "counter") as party,
        watcher(market, directory) as tower,
        Chain.connect(market.chain_config(COLLUDER)) as other,
        Chain.connect(market.chain_config(STRANGER)) as third,
    ):
        committed(party, job)
        record = party.record(job)
        assert record.current is not None
        claim, game = record.current.claim, other.contracts.game
        assert claim is not None
        token, native = other.bond_of(claim, record.terms.deal, other.snapshot())
        sender = Sender(other, require_wallet(other))
        sender.send(other.contracts.token.approve(game.address, late * token))
        for _ in range(late):
            sender.send(game.challenge(record.terms, claim, native))
        # The liar closes none of its friends.
        party.agent.defence._closings = lambda closings: []  # type: ignore[method-assign]
        numbered = [(claim, n + 1) for n in range(late + 1)]
        for _ in range(6):
            tower.cycle()  # computes, challenges although somebody did, and moves
            if other.challenge_of(claim, late + 1, other.snapshot()).wait is Wait.STEP:
                break
            party.agent.cycle()
            market.later(30)
        *_, (_, until), (mine, _) = other.turns_of(numbered, other.snapshot())
        assert mine.wait is Wait.STEP
        if over:
            market.later(until - other.snapshot().next_timestamp + 1)
        party.agent.cycle()  # in time, unlike the colluder
        if not over:
            # The newest block is the last in time, the one that the node builds is not.
            other.rpc.call("evm_setNextBlockTimestamp", until)
            other.rpc.call("evm_mine")
            while other.snapshot().next_timestamp <= until:
                threading.Event().wait(0.05)
        stranger = Sender(third, require_wallet(third))
        yield Plot(tower, party, sender, stranger, job, claim, late)


def test_cycle__colluder_challenged_first_and_went_away__takes_no_reward(
    staffed: Market, tmp_path: Path
) -> None:
    with plot(staffed, tmp_path, late=1) as made:
        made.end()


class Watched(Sender):
    """A sender into whose face somebody acts, just before its proof goes out."""

    act: Callable[[], Any]
    proofs = 0

    def _broadcast(self, flight: Flight) -> None:
        if proofs_in(flight.call.data):
            self.proofs += 1
            self.act()
        super()._broadcast(flight)


def test_cycle__another_closes_one_of_them_just_before__the_proof_goes_all_the_same(
    staffed: Market, tmp_path: Path
) -> None:
    with plot(staffed, tmp_path, late=3) as made:
        watched = Watched(made.tower.chain, require_wallet(made.tower.chain))
        game = made.tower.chain.contracts.game
        watched.act = lambda: made.stranger.send(game.timeout_challengers(made.claim, [2]))
        made.tower.sender = watched
        made.end()
        assert watched.proofs == 1, "and need not be sent again"


def next_call(made: Plot) -> tuple[Act, Call]:
    """The watchtower's next move, as if it ended the claim."""
    made.tower.view()
    act = Act(Kind.PLAY, made.claim, made.job, made.late + 1)
    call = made.tower._call(act)
    assert isinstance(call, Call)
    return act, call


def test_behind_closings__clock_that_ends_with_the_newest_block__is_not_over(
    staffed: Market, tmp_path: Path
) -> None:
    """Sybils whose clocks end one a block would keep a proof back until its own is over."""
    with plot(staffed, tmp_path, late=1, over=False) as made:
        act, call = next_call(made)
        assert made.tower._behind_closings(act, call) is call
        made.tower.chain.rpc.call("evm_mine")
        assert "timeoutChallengers" in made.tower._behind_closings(act, call).what
        made.end()


def test_behind_closings__one_that_is_refused__leaves_the_call_alone(
    staffed: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with plot(staffed, tmp_path, late=2) as made:
        act, call = next_call(made)
        real = Game.timeout_challengers

        def early(game: Game, claim: bytes, numbers: Sequence[int]) -> Call:
            return real(game, claim, [made.late + 1])

        with monkeypatch.context() as patched:
            patched.setattr(Game, "timeout_challengers", early)
            assert made.tower._behind_closings(act, call) is call
        assert made.tower._behind_closings(act, call) is not call
        made.end()


def test_cycle__more_of_them_than_go_with_a_proof__are_closed_first(
    staffed: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepers.watchtower.CLOSED_BESIDE", 1)
    with plot(staffed, tmp_path, late=3) as made:
        dispute = made.end()
        closings = [x.moves[-1].event.place.block for x in dispute.challenges[:3]]
        assert len(set(closings)) == 3
