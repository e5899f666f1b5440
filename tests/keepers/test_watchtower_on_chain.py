"""The watchtower against agents that lie, on a real chain and real storage, to the last move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.jobs import Submitted
from client.terms import Wishes
from keepers.attacks import Act, Kind, Policy
from keepers.base import Patience
from keepers.judge import Judge, JudgeConfig, Verdict
from keepers.watchtower import Watchtower
from protocol.chain.book import JobRecord
from protocol.chain.chain import Chain
from protocol.chain.contracts import Call
from protocol.chain.errors import ChainError
from protocol.chain.flights import Outcome as Sent
from protocol.chain.game_reverts import NotHere, NothingToReveal, WrongNode, WrongTurn
from protocol.chain.refusal import Reverted
from protocol.chain.transactions import Sender, require_wallet
from protocol.spec import examples, interpreter
from protocol.spec.answers import Part
from protocol.spec.demands import fee_of
from protocol.spec.dispute import Outcome, clock_of
from protocol.spec.examples import Example
from protocol.spec.job import Fault, JobStatus, task_hash
from protocol.spec.workload import Rate
from protocol.storage.errors import ContentMissing
from protocol.storage.store import Store
from provider.agent import Agent, AgentConfig
from provider.decide import Habits
from provider.policy import Rules
from scripts.cheat import Cheat
from tests.provider.conftest import TOKEN, Market
from tests.provider.conftest import market as market  # the fixture

pytestmark = pytest.mark.chain

EXAMPLES = {e.name: e for e in examples.all_examples()}
FAST = Rate(1e9, 1e9)
LIAR, HONEST, WATCHER = 3, 4, 5
LIES = {"mlp": (2, 5), "counter": (3, 0), "phases": (0, 1)}
"""Operation and element in which the liar lies, by example."""


@pytest.fixture(scope="module")
def staffed(market: Market) -> Market:
    """A liar and an honest provider with stakes, a watcher with tokens."""
    for account in (LIAR, HONEST):
        market.register(account, 400)
    market.fund(WATCHER, 10_000)
    return market


@dataclass
class Party:
    """One side at work, and what it said."""

    agent: Agent
    lines: list[str]

    def record(self, job: bytes) -> JobRecord:
        return self.agent.history.sync(self.agent.chain.snapshot()).jobs[job]


@contextmanager
def liar(market: Market, directory: Path, name: str) -> Iterator[Party]:
    config = AgentConfig(directory / "liar", Rules(), Habits(settle_after=0, collect_token=1))
    with market.agent(LIAR, config) as (made, lines):
        cheat = Cheat(made.chain, made.sender, made.store, config, lines.append, *LIES[name])
        cheat.assessor.rate = FAST
        yield Party(cheat, lines)


@contextmanager
def honest(market: Market, directory: Path) -> Iterator[Party]:
    config = AgentConfig(directory / "honest", Rules(), Habits(settle_after=0, collect_token=1))
    with market.agent(HONEST, config) as (made, lines):
        made.assessor.rate = FAST
        yield Party(made, lines)


@contextmanager
def watcher(market: Market, directory: Path) -> Iterator[Watchtower]:
    with (
        Chain.connect(market.chain_config(WATCHER)) as chain,
        Store(market.storage_config("client")) as store,
    ):
        judge = Judge(store, JudgeConfig(directory / "verdicts"))
        yield Watchtower(chain, Sender(chain, require_wallet(chain)), judge, Policy())


def post(market: Market, e: Example, window: int = 1000) -> Submitted:
    wishes = Wishes(price=5 * TOKEN, seed=e.seed, steps=e.steps, window_seconds=window)
    with market.client() as client:
        return client.submit(e.program, e.constants, e.inputs, wishes)


def play(tower: Watchtower, party: Party, job: bytes, turns: int = 40) -> JobRecord:
    """The watcher and a provider in turns, until the claim is no more committed."""
    for _ in range(turns):
        report = tower.cycle()
        assert report.failed == 0, f"{tower._said}"
        if party.record(job).status is not JobStatus.COMMITTED:
            return party.record(job)
        party.agent.cycle()
    raise AssertionError(f"no end after {turns} turns: {party.lines}")


def committed(party: Party, job: bytes) -> None:
    for _ in range(4):
        party.agent.cycle()
        if party.record(job).status is JobStatus.COMMITTED:
            return
    raise AssertionError(f"not committed: {party.lines}")


@pytest.mark.parametrize("name", sorted(LIES))
def test_cycle__liar__is_overturned_and_an_honest_provider_finishes(
    staffed: Market, tmp_path: Path, name: str
) -> None:
    e = EXAMPLES[name]
    job = post(staffed, e).job
    with liar(staffed, tmp_path, name) as party, watcher(staffed, tmp_path) as tower:
        before = tower.chain.balances(tower.sender.address, tower.chain.snapshot())
        committed(party, job)
        record = play(tower, party, job)
        assert record.status is JobStatus.OPEN
        assert record.attempts[0].fault is Fault.WRONG
        tower.cycle()  # the bond comes back, and the reward
        (dispute,) = [
            d for d in party.agent.history.sync(tower.chain.snapshot()).disputes.values()
            if d.job == job
        ]  # fmt: skip
        assert [x.outcome for x in dispute.challenges] == [Outcome.COLLECTED]
        tower.cycle()
        after = tower.chain.balances(tower.sender.address, tower.chain.snapshot())
        lock = tower.chain.lock_of(record.terms.deal, tower.chain.snapshot())[0]
        assert after.token - before.token == lock // 3, "bond back, and the reward"
    with honest(staffed, tmp_path) as party, watcher(staffed, tmp_path) as tower:
        committed(party, job)
        report = tower.cycle()
        assert (report.done, report.failed) == (1, 0)
        claim = party.record(job).current
        assert claim is not None
        assert claim.claim is not None
        assert tower.judge.verdicts[claim.claim] is Verdict.RIGHT
        with staffed.client() as client:
            staffed.later(1001)
            party.agent.cycle()
            got = client.fetch(job)
        wanted = interpreter.run(e.program, e.constants, e.inputs, seed=e.seed, steps=e.steps)
        for a, b in zip(got.outputs, wanted, strict=True):
            assert np.array_equal(a.reshape(-1).view("u1"), b.reshape(-1).view("u1"))


def test_cycle__killed_at_every_move__goes_on_from_the_chain(
    staffed: Market, tmp_path: Path
) -> None:
    job = post(staffed, EXAMPLES["counter"]).job
    with liar(staffed, tmp_path, "counter") as party:
        committed(party, job)
        for _ in range(40):
            # A new process each time: nothing is left of the last one but its verdicts.
            with watcher(staffed, tmp_path) as tower:
                assert tower.cycle().failed == 0
            with liar(staffed, tmp_path, "counter") as again:
                if again.record(job).status is not JobStatus.COMMITTED:
                    break
                again.agent.cycle()
        assert party.record(job).attempts[0].fault is Fault.WRONG


def test_cycle__silent_liar__falls_by_the_clock(staffed: Market, tmp_path: Path) -> None:
    job = post(staffed, EXAMPLES["mlp"]).job
    with liar(staffed, tmp_path, "mlp") as party, watcher(staffed, tmp_path) as tower:
        committed(party, job)
        assert tower.cycle().failed == 0  # computes it
        assert tower.cycle().failed == 0  # challenges
        view, _ = tower.view()
        (seat,) = view.seats
        staffed.later(seat.deadline - view.time + 2)
        (move,) = [m for m in tower.decide(tower.view()[0]) if isinstance(m, Act)]
        assert move.kind is Kind.TIMEOUT
        assert tower.cycle().failed == 0
        assert party.record(job).attempts[0].fault is Fault.SILENT


def test_cycle__illegal_program__is_voided_and_the_prover_repaid(
    staffed: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    e = EXAMPLES["mlp"]
    first = e.program.templates[0]
    views = (replace(first.views[0], offset=10**6), *first.views[1:])
    templates = (replace(first, views=views), *e.program.templates[1:])
    illegal = replace(e, program=replace(e.program, templates=templates))
    with monkeypatch.context() as patched:
        patched.setattr("protocol.spec.legality.check", lambda program: None)
        job = post(staffed, illegal).job
    with honest(staffed, tmp_path) as party:
        party.agent.cycle()
        assert party.record(job).status is JobStatus.OPEN, "an honest provider does not take it"
    with liar(staffed, tmp_path, "mlp") as party, watcher(staffed, tmp_path) as tower:
        chain, sender = party.agent.chain, party.agent.sender
        record = party.record(job)
        task = task_hash(record.terms.task)
        sender.send(chain.contracts.market.accept(task, record.terms.deal, job))
        sender.send(chain.contracts.market.commit(job, b"\1" * 32, b""))
        before = tower.chain.balances(tower.sender.address, tower.chain.snapshot())
        for _ in range(2):
            assert tower.cycle().failed == 0
        assert party.record(job).status is JobStatus.VOIDED
        after = tower.chain.balances(tower.sender.address, tower.chain.snapshot())
        gained = sum(c.native for c in after.credits.values())
        gained -= sum(c.native for c in before.credits.values())
        assert gained >= before.native - after.native, "its gas came back"


def test_agent__false_challenger_and_a_demand__are_answered_and_the_result_stands(
    staffed: Market, tmp_path: Path
) -> None:
    e = EXAMPLES["mlp"]
    job = post(staffed, e, window=100).job
    with honest(staffed, tmp_path) as party, watcher(staffed, tmp_path) as tower:
        committed(party, job)
        record = party.record(job)
        assert record.current is not None
        claim, chain, sender = record.current.claim, tower.chain, tower.sender
        assert claim is not None
        at = chain.snapshot()
        token, native = chain.bond_of(claim, record.terms.deal, at)
        game, court = chain.contracts.game, chain.contracts.court
        sender.send(chain.contracts.token.approve(game.address, token))
        sender.send(game.challenge(record.terms, claim, native))
        fee = fee_of(record.terms.deal)
        sender.send(court.demand(record.terms, claim, Part.OUTPUT, 0, 0, fee))
        sender.send(court.demand(record.terms, claim, Part.CONSTANT, 999, 0, fee))
        assert party.agent.cycle(), party.lines
        book = party.agent.history.sync(chain.snapshot())
        assert book.disputes[claim].opened is not None
        answers = [d.answer for d in book.dockets[claim].demands]
        assert all(answers)
        assert answers[1] is not None
        assert answers[1].shown == 0, "there is no such constant"
        # The challenger stalls: its clock runs out, it is closed, and the result stands.
        ((_, until),) = chain.turns_of([(claim, 1)], chain.snapshot())
        staffed.later(until - chain.snapshot().next_timestamp + 2)
        for _ in range(4):
            party.agent.cycle()
        assert party.record(job).status is JobStatus.FINALIZED
        text = "\n".join(party.lines)
        assert "building the trace" in text
        assert "timeoutChallengers" in text


def test_cycle__every_move_is_undone_by_a_reorg__is_made_again(
    staffed: Market, tmp_path: Path
) -> None:
    job = post(staffed, EXAMPLES["counter"]).job
    undone = 0
    with liar(staffed, tmp_path, "counter") as party, watcher(staffed, tmp_path) as tower:
        committed(party, job)
        rpc = tower.chain.rpc
        for _ in range(40):
            for cycle in (tower.cycle, party.agent.cycle):
                before, mark = tower.chain.snapshot(), rpc.call("evm_snapshot")
                cycle()
                if tower.chain.snapshot().number > before.number:
                    # Its blocks are replaced by others, in which nothing happened.
                    rpc.call("evm_revert", mark)
                    rpc.call("evm_increaseTime", 3)
                    rpc.call("evm_mine")
                    undone += 1
                    cycle()
            if party.record(job).status is not JobStatus.COMMITTED:
                break
        assert party.record(job).attempts[0].fault is Fault.WRONG
        assert undone >= 6


class Hurried(Sender):
    """A sender whose calls are seen by a stranger, who sends what anybody may send of them first:
    reveals and proofs."""

    stranger: Sender
    copied = 0

    def send(self, call: Call, **options: Any) -> Sent:
        self._hurry(call)
        return super().send(call, **options)

    def send_all(self, calls: Sequence[Call]) -> Sequence[Sent | ChainError]:
        for call in calls:
            self._hurry(call)
        return super().send_all(calls)

    def _hurry(self, call: Call) -> None:
        game = self.chain.contracts.game
        if call.to == game.address:
            name, values = game.abi.decode_input(call.data)
            inner = list(values[0]) if name == "play" else [call.data]
            for data in inner:
                if game.abi.decode_input(data)[0] in ("reveal", "revealBlock", "prove"):
                    self._copy(replace(call, data=data, value=0))

    def _copy(self, call: Call) -> None:
        try:
            self.stranger.send(call)
            self.copied += 1
        except Reverted as refusal:
            # It has to follow a move that only the challenger can make.
            assert isinstance(refusal, WrongTurn | NotHere | WrongNode | NothingToReveal), refusal


def test_cycle__front_runner_copies_the_proof__the_reward_stays_with_the_challenger(
    staffed: Market, tmp_path: Path
) -> None:
    job = post(staffed, EXAMPLES["counter"]).job
    sybil = 6
    with (
        liar(staffed, tmp_path, "counter") as party,
        watcher(staffed, tmp_path) as tower,
        Chain.connect(staffed.chain_config(sybil)) as other,
    ):
        committed(party, job)
        hurried = Hurried(tower.chain, require_wallet(tower.chain))
        hurried.stranger = Sender(other, require_wallet(other))
        tower.sender = hurried
        tower.cycle()  # what earlier disputes left
        before = tower.chain.balances(hurried.address, tower.chain.snapshot())
        record = play(tower, party, job)
        assert record.attempts[0].fault is Fault.WRONG
        assert hurried.copied >= 1, "the proof was the stranger's"
        at = tower.chain.snapshot()
        lock = tower.chain.lock_of(record.terms.deal, at)[0]
        after = tower.chain.balances(hurried.address, at)
        gained = after.registry_credit.token - before.registry_credit.token
        assert gained == lock // 3
        assert not other.balances(hurried.stranger.address, at).registry_credit.token


def test_cycle__dearest_claim_cannot_be_judged__the_next_one_has_its_turn(
    staffed: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    e = EXAMPLES["mlp"]
    with liar(staffed, tmp_path, "mlp") as party, watcher(staffed, tmp_path) as tower:
        with staffed.client() as client:
            wishes = Wishes(price=9 * TOKEN, seed=e.seed, steps=e.steps, window_seconds=1000)
            dear = client.submit(e.program, e.constants, e.inputs, wishes).job
        committed(party, dear)
        cheap = post(staffed, e).job
        committed(party, cheap)
        real = tower.judge.check

        def check(record: JobRecord, claim: bytes) -> Verdict:
            if record.job == dear:
                raise ContentMissing("nobody has it")
            return real(record, claim)

        monkeypatch.setattr(tower.judge, "check", check)
        # What fails takes so long that its pause is over each time.
        monkeypatch.setattr(tower._patience, "ready", lambda action: True)
        assert tower.cycle().failed == 1, "the dear one's data is missing"
        for _ in range(2):
            tower.cycle()
        seats = tower.view()[0].seats
        assert [seat.job.job for seat in seats] == [cheap]
        monkeypatch.undo()
        tower._patience.keep(frozenset())
        play(tower, party, cheap)


def test_cycle__dry_run__says_what_is_wrong_and_sends_nothing(
    staffed: Market, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = post(staffed, EXAMPLES["mlp"]).job
    with liar(staffed, tmp_path, "mlp") as party, watcher(staffed, tmp_path) as tower:
        committed(party, job)
        tower.sender = Sender(tower.chain, None)
        before = tower.chain.snapshot().number
        with caplog.at_level("INFO", "assay.keeper"):
            for _ in range(3):
                assert tower.cycle().failed == 0
        assert "not challenged without a key" in caplog.text
        assert tower.chain.snapshot().number == before


def test_cycle__looked_at_in_the_middle_of_a_trace__bonds_once(
    staffed: Market, tmp_path: Path
) -> None:
    job = post(staffed, EXAMPLES["counter"]).job
    with liar(staffed, tmp_path, "counter") as party, watcher(staffed, tmp_path) as tower:
        committed(party, job)
        tower._clock = lambda: float("inf")  # every operation lets a look pass
        for _ in range(8):
            tower.cycle()
        disputes = party.agent.history.sync(tower.chain.snapshot()).disputes.values()
        assert [len(d.challenges) for d in disputes if d.job == job] == [1]
        play(tower, party, job)


def test_cycle__trace_slower_than_the_clock__no_bond_at_any_look(
    staffed: Market, tmp_path: Path
) -> None:
    job = post(staffed, EXAMPLES["mlp"]).job
    with liar(staffed, tmp_path, "mlp") as party, watcher(staffed, tmp_path) as tower:
        committed(party, job)
        assert tower.cycle().failed == 0  # computes it
        hours = count(step=3600.0)
        tower.judge._clock = lambda: next(hours)
        tower._patience = Patience(lambda: next(hours))
        for _ in range(8):
            tower.cycle()
        claim = party.record(job).current
        assert claim is not None
        assert claim.claim is not None
        assert tower.judge.verdicts[claim.claim] is Verdict.WRONG
        assert tower.judge._seconds(claim.claim) >= 3600, "the trace was built, and took too long"
        assert not tower.judge.ready(claim.claim), "and is not kept"
        book = party.agent.history.sync(tower.chain.snapshot())
        assert claim.claim not in book.disputes


def test_prepare__moves_of_other_disputes_in_the_middle__are_no_time_of_the_trace(
    staffed: Market, tmp_path: Path
) -> None:
    job = post(staffed, EXAMPLES["mlp"]).job
    with liar(staffed, tmp_path, "mlp") as party, watcher(staffed, tmp_path) as tower:
        committed(party, job)
        assert tower.cycle().failed == 0  # computes it
        now = [0.0]
        record = party.record(job)
        claim = record.attempts[-1].claim
        assert claim is not None

        def meanwhile() -> None:
            now[0] += clock_of(record.terms.deal)

        tower.judge._clock = lambda: now[0]
        tower.judge.meanwhile = meanwhile
        for _ in range(4):  # with what other tests left
            assert tower.cycle().failed == 0
        assert now[0] > 0
        assert claim in party.agent.history.sync(tower.chain.snapshot()).disputes
