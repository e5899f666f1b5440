"""A watchtower that is killed, or whose node fails, and what the next look makes of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keepers.base import Runner
from keepers.judge import Verdict
from keepers.watchtower import Watchtower
from protocol.chain.abi import interface
from protocol.chain.chain import Chain
from protocol.chain.errors import NodeRefused
from protocol.chain.event import HistoryBroken
from protocol.chain.fees import bumped
from protocol.chain.state import Snapshot
from protocol.chain.transactions import Sender
from protocol.spec.job import Fault
from protocol.storage.cache import Cache
from protocol.storage.config import StorageConfig
from protocol.storage.errors import ContentMissing
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

SECONDS = 30.0


def until(condition: Callable[[], bool], what: str) -> None:
    for _ in range(600):
        if condition():
            return
        threading.Event().wait(0.05)
    pytest.fail(f"never: {what}")


def challenges(tower: Watchtower, party: Party, job: bytes) -> int:
    disputes = party.agent.history.sync(tower.chain.snapshot()).disputes.values()
    return sum(len(d.challenges) for d in disputes if d.job == job)


def allow(tower: Watchtower, party: Party, job: bytes) -> None:
    """The game may take the bond, so that the challenge is the next thing sent."""
    record, at = party.record(job), tower.chain.snapshot()
    assert record.current is not None
    assert record.current.claim is not None
    tower._allow(tower.chain.bond_of(record.current.claim, record.terms.deal, at)[0], at)


@pytest.fixture
def by_hand(staffed: Market) -> Iterator[Market]:
    """A market whose blocks a test may make by hand."""
    yield staffed
    with Chain.connect(staffed.chain_config(0)) as chain:
        chain.rpc.call("evm_setAutomine", True)


class Killed(Exception):
    """The process is no more."""


class Mortal(Sender):
    """A sender whose process ends once a transaction has left it."""

    def _wait(self, *_: Any) -> dict[str, Any]:
        raise Killed


def behind(first: Callable[[], None], then: Callable[..., Any]) -> Callable[..., Any]:
    """A function that does something else first."""

    def both(*arguments: Any) -> Any:
        first()
        return then(*arguments)

    return both


@pytest.mark.parametrize("mined", ["before the look", "after the look", "after the choice"])
def test_cycle__killed_with_its_challenge_in_flight__next_life_bonds_nothing_more(
    by_hand: Market, tmp_path: Path, mined: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = post(by_hand, EXAMPLES["mlp"]).job
    with liar(by_hand, tmp_path, "mlp") as party:
        committed(party, job)
        with watcher(by_hand, tmp_path) as first:
            first.cycle()  # computes it
            allow(first, party, job)
            wallet = first.sender.wallet
            first.sender = Mortal(first.chain, wallet)
            first.chain.rpc.call("evm_setAutomine", False)
            with pytest.raises(Killed):
                first.cycle()
        with watcher(by_hand, tmp_path) as next_life:
            rpc, sender, judge = next_life.chain.rpc, next_life.sender, next_life.judge

            def mine() -> None:
                rpc.call("evm_mine")
                rpc.call("evm_setAutomine", True)

            def hasty(deadline: float) -> int:
                """Its patience is over: it takes the nonce that the first life used."""
                monkeypatch.setattr(sender, "_free_nonce", free_nonce)
                return sender._count("latest")

            free_nonce, now = sender._free_nonce, sender.fees()
            dearer = bumped(now, 50, now, 10 * now.most)
            if mined == "before the look":
                mine()
            elif mined == "after the look":
                monkeypatch.setattr(judge, "prepare", behind(mine, judge.prepare))
            else:
                monkeypatch.setattr(sender, "_free_nonce", hasty)
                monkeypatch.setattr(sender, "fees", lambda: dearer)
                monkeypatch.setattr(sender, "_broadcast", behind(mine, sender._broadcast))
            assert next_life.cycle().failed == 0
            assert challenges(next_life, party, job) == 1
            assert len(next_life.view()[0].seats) == 1
            play(next_life, party, job)
            assert challenges(next_life, party, job) == 1


def crowd_out(storage: StorageConfig) -> None:
    """Another process fills the cache with other things."""
    small = Cache(storage.cache_dir, 10)
    small.obtain("tensor", os.urandom(32), lambda entry: entry.write(bytes(100)))


def missing(*_: object, **__: object) -> None:
    raise ContentMissing("nobody has it any more")


def test_cycle__data_of_a_wrong_result_is_published_no_more__a_new_life_plays_to_the_end(
    staffed: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = post(staffed, EXAMPLES["counter"]).job
    with liar(staffed, tmp_path, "counter") as party:
        committed(party, job)
        with watcher(staffed, tmp_path) as first:
            for _ in range(2):
                first.cycle()
            assert len(first.view()[0].seats) == 1
            crowd_out(first.judge.store.config)
        with watcher(staffed, tmp_path) as next_life:
            monkeypatch.setattr(next_life.judge.store, "get", missing)
            monkeypatch.setattr(next_life.judge.store, "fetch", missing)
            assert play(next_life, party, job).attempts[0].fault is Fault.WRONG


@pytest.mark.parametrize("fault", ["refuse", "omit"])
def test_run__node_refuses_or_leaves_logs_out__is_said_once_and_the_liar_challenged(
    staffed: Market, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    posted = next(e for e in interface("JobMarket").events.values() if e.name == "Posted")
    job = post(staffed, EXAMPLES["mlp"]).job
    with liar(staffed, tmp_path, "mlp") as party, watcher(staffed, tmp_path) as tower:
        committed(party, job)
        real, looks = tower.chain.rpc._once, iter([fault] * 4)

        def lying(requests: Any) -> list[Any]:
            now = next(looks, "") if requests[0][0] == "eth_getLogs" else ""
            if now == "refuse":
                raise NodeRefused("missing trie node")
            answers = list(real(requests))
            if now == "omit":
                topic = "0x" + posted.topic.hex()
                answers = [[x for x in answers[0] if x["topics"][0] != topic]]
            return answers

        monkeypatch.setattr(tower.chain.rpc, "_once", lying)
        runner = Runner(tower, 0.05, tower.chain.stop)
        thread = threading.Thread(target=runner.run)
        with caplog.at_level("INFO", "assay.keeper"):
            thread.start()
            try:
                until(lambda: f"job 0x{job.hex()[:8]}… challenged" in caplog.text, caplog.text)
            finally:
                tower.chain.stop.set()
                thread.join(SECONDS)
        assert runner.fatal is None
        assert caplog.text.count("trie node" if fault == "refuse" else "never posted") == 1
        assert "answers again" in caplog.text


def test_meanwhile__node_fails_in_the_middle_of_a_trace__costs_no_computation(
    staffed: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = post(staffed, EXAMPLES["mlp"]).job
    with liar(staffed, tmp_path, "mlp") as party, watcher(staffed, tmp_path) as tower:
        committed(party, job)
        claim = party.record(job).current
        assert claim is not None
        assert claim.claim is not None
        looks = 0

        def failing(at: Snapshot) -> None:
            nonlocal looks
            looks += 1
            raise NodeRefused("missing trie node") if looks % 2 else HistoryBroken("a log lacks")

        tower._clock = lambda: float("inf")  # every operation lets a look pass
        monkeypatch.setattr(tower, "look", failing)
        assert tower.judge.check(party.record(job), claim.claim) is Verdict.WRONG
        assert looks >= 2
