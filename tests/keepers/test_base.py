"""Patience, cycles and the runner, with a keeper and a chain made for the purpose."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import cast

import pytest

from keepers.base import LONGEST_PAUSE, Keeper, Patience, Runner
from protocol.chain.chain import Chain
from protocol.chain.errors import (
    ChainConfigError,
    ChainError,
    Interrupted,
    NodeRefused,
    NodeUnavailable,
    Reorganised,
    TransactionFailed,
    WalletError,
    WrongChain,
)
from protocol.chain.event import HistoryBroken
from protocol.chain.state import Snapshot


class FakeTime:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class ScriptedChain:
    """Gives snapshots, or raises what a test wants."""

    def __init__(self) -> None:
        self.number = 1
        self.time = 1000
        self.error: Exception | None = None

    def snapshot(self) -> Snapshot:
        if self.error is not None:
            raise self.error
        return Snapshot(self.number, bytes([self.number]) * 32, self.time, self.time, 1)


class Clerk(Keeper[list[str], str]):
    """Does what is on its list; some of it fails."""

    name = "clerk"

    def __init__(self, chain: ScriptedChain, clock: Callable[[], float]) -> None:
        super().__init__(cast(Chain, chain), clock)
        self.todo: list[str] = []
        self.failing: dict[str, Exception] = {}
        self.looks: list[Exception] = []
        self.tried: list[str] = []
        self.due_at: int | None = None

    def look(self, at: Snapshot) -> list[str]:
        if self.looks:
            raise self.looks.pop(0)
        return list(self.todo)

    def decide(self, view: list[str]) -> list[str]:
        return view

    def deadline(self, view: list[str]) -> int | None:
        return self.due_at

    def act(self, action: str) -> str:
        self.tried.append(action)
        if action in self.failing:
            raise self.failing[action]
        return f"did {action}"


@pytest.fixture
def parts() -> tuple[ScriptedChain, FakeTime, Clerk]:
    chain, clock = ScriptedChain(), FakeTime()
    return chain, clock, Clerk(chain, clock)


def test_patience__failures__wait_longer_each_time_up_to_a_bound() -> None:
    clock = FakeTime()
    patience = Patience(clock)
    waits = []
    for _ in range(12):
        patience.failed("x")
        start = clock.now
        while not patience.ready("x"):
            clock.now += 0.5
        waits.append(clock.now - start)
    assert waits[:4] == [0.5, 1.0, 2.0, 4.0]
    assert waits[-1] == LONGEST_PAUSE
    patience.forget("x")
    assert patience.ready("x")


def test_patience__keep__forgets_the_others() -> None:
    patience = Patience(FakeTime())
    patience.failed("a")
    patience.failed("b")
    patience.keep({"b"})
    assert patience.ready("a")
    assert not patience.ready("b")


def test_cycle__one_action_fails__others_are_done_and_it_is_tried_later(
    parts: tuple[ScriptedChain, FakeTime, Clerk], caplog: pytest.LogCaptureFixture
) -> None:
    _, clock, clerk = parts
    clerk.todo = ["a", "b", "c"]
    clerk.failing["b"] = TransactionFailed("b does not work")
    with caplog.at_level(logging.INFO, "assay.keeper"):
        report = clerk.cycle()
        assert (report.due, report.done, report.failed) == (3, 2, 1)
        assert clerk.tried == ["a", "b", "c"]
        clerk.cycle()
        assert clerk.tried == ["a", "b", "c", "a", "c"]
        clock.now += 1
        clerk.cycle()
        assert clerk.tried[-3:] == ["a", "b", "c"]
    assert caplog.text.count("b does not work") == 1
    assert caplog.text.count("did a") == 1


def test_cycle__blocks_replaced_while_looking__looks_again(
    parts: tuple[ScriptedChain, FakeTime, Clerk],
) -> None:
    _, _, clerk = parts
    clerk.looks = [Reorganised("again"), Reorganised("again")]
    clerk.todo = ["a"]
    assert clerk.cycle().done == 1


def test_cycle__blocks_replaced_for_ever__raises(
    parts: tuple[ScriptedChain, FakeTime, Clerk],
) -> None:
    _, _, clerk = parts
    clerk.looks = [Reorganised("again")] * 100
    with pytest.raises(Reorganised):
        clerk.cycle()


def test_cycle__stop_in_the_middle__stops_at_once(
    parts: tuple[ScriptedChain, FakeTime, Clerk],
) -> None:
    _, _, clerk = parts
    clerk.todo = ["a", "b"]
    clerk.failing["a"] = Interrupted("stop")
    with pytest.raises(Interrupted):
        clerk.cycle()
    assert clerk.tried == ["a"]


def test_tick__same_block__does_not_look_twice(
    parts: tuple[ScriptedChain, FakeTime, Clerk],
) -> None:
    chain, clock, clerk = parts
    runner = Runner(clerk, 1.0, threading.Event(), clock)
    runner.tick()
    runner.tick()
    assert runner.cycles == 1
    chain.number += 1
    runner.tick()
    assert runner.cycles == 2


def test_tick__deadline_passes_without_a_block__looks(
    parts: tuple[ScriptedChain, FakeTime, Clerk],
) -> None:
    chain, clock, clerk = parts
    clerk.due_at = 1005
    runner = Runner(clerk, 1.0, threading.Event(), clock)
    runner.tick()
    chain.time = 1005
    runner.tick()
    assert runner.cycles == 1
    chain.time = 1006
    runner.tick()
    assert runner.cycles == 2


def test_tick__failed_action__is_tried_without_a_new_block(
    parts: tuple[ScriptedChain, FakeTime, Clerk],
) -> None:
    _, clock, clerk = parts
    clerk.todo, clerk.failing = ["a"], {"a": NodeUnavailable("away")}
    runner = Runner(clerk, 1.0, threading.Event(), clock)
    runner.tick()
    clerk.failing.clear()
    clock.now += 1
    runner.tick()
    assert clerk.tried == ["a", "a"]
    assert runner.report is not None
    assert runner.report.failed == 0


def test_tick__node_away__waits_longer_and_says_so_once(
    parts: tuple[ScriptedChain, FakeTime, Clerk], caplog: pytest.LogCaptureFixture
) -> None:
    chain, clock, clerk = parts
    stop = threading.Event()
    runner = Runner(clerk, 1.0, stop, clock)
    chain.error = NodeUnavailable("no answer")
    with caplog.at_level(logging.INFO, "assay.keeper"):
        for _ in range(10):
            runner.tick()
            clock.now += 1
        chain.error = None
        clock.now += LONGEST_PAUSE
        runner.tick()
    assert caplog.text.count("no answer") == 1
    assert caplog.text.count("answers again") == 1
    assert not stop.is_set()
    assert runner.cycles == 1


def test_tick__looks_that_fail__are_said_in_one_line_each_and_repeated(
    parts: tuple[ScriptedChain, FakeTime, Clerk], caplog: pytest.LogCaptureFixture
) -> None:
    _, clock, clerk = parts
    stop = threading.Event()
    runner = Runner(clerk, 1.0, stop, clock)
    clerk.todo = ["a"]
    clerk.looks = [
        HistoryBroken("a log is missing"), HistoryBroken("a log is missing"),
        NodeRefused("missing trie node"),
    ]  # fmt: skip
    with caplog.at_level(logging.INFO, "assay.keeper"):
        for _ in range(4):
            runner.tick()
            clock.now += LONGEST_PAUSE
    assert [caplog.text.count(x) for x in ("log is missing", "trie node", "again")] == [1, 1, 3]
    assert not stop.is_set()
    assert clerk.tried == ["a"]


@pytest.mark.parametrize("kind", [WrongChain, ChainConfigError, WalletError])
def test_run__error_that_waiting_does_not_cure__ends_with_it(
    parts: tuple[ScriptedChain, FakeTime, Clerk], kind: type[ChainError]
) -> None:
    chain, _, clerk = parts
    chain.error = kind("another chain")
    with pytest.raises(kind, match="another chain"):
        Runner(clerk, 0.05, threading.Event()).run()


def test_run__stop__returns_after_the_cycle_in_hand(
    parts: tuple[ScriptedChain, FakeTime, Clerk],
) -> None:
    _, _, clerk = parts
    stop = threading.Event()
    clerk.todo = ["a"]
    runner = Runner(clerk, 0.02, stop)
    thread = threading.Thread(target=runner.run)
    thread.start()
    while not runner.cycles:
        threading.Event().wait(0.01)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert runner.fatal is None
