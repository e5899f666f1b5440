"""The watchtower with many disputes at once, on blocks that take their time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from client.terms import Wishes
from protocol.chain.chain import Chain
from protocol.chain.transactions import Sender, require_wallet
from protocol.spec.dispute import Outcome
from protocol.spec.job import Fault, JobStatus
from tests.keepers.test_watchtower_on_chain import EXAMPLES, LIAR, Party, liar, watcher
from tests.keepers.test_watchtower_on_chain import staffed as staffed  # the fixture
from tests.provider.conftest import TOKEN, Market
from tests.provider.conftest import market as market  # the fixture
from tests.provider.siege import BLOCK_SECONDS, slow_blocks

pytestmark = pytest.mark.chain

TOGETHER = 4
CLAIMS = 10
MOVE_SECONDS = 10
WORK_MS = 25_000
"""Declared: the liar may open its first trace when a challenge of each claim is mined."""


def lies(market: Market, party: Party) -> list[bytes]:
    """So many wrong claims, of jobs whose moves are shorter than a block."""
    with Chain.connect(market.chain_config(LIAR)) as chain:
        registry = chain.contracts.registry
        Sender(chain, require_wallet(chain)).send(registry.stake(0, 20 * 10**18))
    e = EXAMPLES["counter"]
    wishes = Wishes(price=TOKEN, seed=e.seed, steps=e.steps, window_seconds=50_000,
                    move_seconds=MOVE_SECONDS, work_ms=WORK_MS)  # fmt: skip
    with market.client() as client:
        jobs = [client.submit(e.program, e.constants, e.inputs, wishes).job for _ in range(CLAIMS)]
    for _ in range(4 * CLAIMS):
        party.agent.cycle()
        if all(party.record(job).status is JobStatus.COMMITTED for job in jobs):
            return jobs
    pytest.fail(f"not committed: {party.lines}")


@contextmanager
def defending(party: Party) -> Iterator[None]:
    """The liar answers what it is asked, beside the test."""
    over = threading.Event()

    def defend() -> None:
        while not over.wait(0.05):
            party.agent.cycle()

    thread = threading.Thread(target=defend, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_cycle__more_wrong_claims_than_it_can_play_at_once__loses_no_challenge(
    staffed: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As it is where the chain's time is ours.
    monkeypatch.setattr(Sender, "mined_within", lambda self, at: float(BLOCK_SECONDS))
    for place in ("attacks", "watchtower"):
        monkeypatch.setattr(f"keepers.{place}.TOGETHER", TOGETHER)
    with liar(staffed, tmp_path, "counter") as party, watcher(staffed, tmp_path) as tower:
        jobs = lies(staffed, party)
        with slow_blocks(tower.chain):
            # All challenges that it dares wait for their openings, which then come at once.
            for _ in range(4 * CLAIMS):
                before = tower.chain.snapshot().number
                tower.cycle()
                view, at = tower.view()
                if view.live and len(view.verdicts) == CLAIMS and at.number == before:
                    break
            assert len(view.live) == TOGETHER
            with defending(party):
                for _ in range(40 * CLAIMS):
                    tower.cycle()
                    view, _ = tower.view()
                    if not view.claims and not view.fallen:
                        break
        book = party.agent.history.sync(tower.chain.snapshot())
        assert [book.jobs[job].attempts[0].fault for job in jobs] == [Fault.WRONG] * CLAIMS
        mine = [x for d in book.disputes.values() if d.job in jobs for x in d.challenges]
        assert {x.outcome for x in mine} == {Outcome.COLLECTED}
        assert len(mine) == CLAIMS
