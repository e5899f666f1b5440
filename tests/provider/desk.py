"""A defence without a chain: what it computes and sends is written down."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

from protocol.chain.book import Book, JobRecord, Place
from protocol.chain.demands import DemandRecord
from protocol.chain.flights import Batch, Result
from protocol.chain.game_reverts import WrongNode
from protocol.chain.refusal import Reverted
from protocol.chain.seats import Seat
from protocol.chain.state import Snapshot
from protocol.spec.answers import Part
from protocol.spec.dispute import Challenge, Wait
from protocol.spec.job import JobStatus
from protocol.spec.strategy import Move, Reveal
from provider.defence import Ask, Defence
from provider.progress import Glance
from tests.keepers.test_decide import record

NOW = 100
JOB = record(JobStatus.COMMITTED, holds=1)
HERE, THERE = b"\1" * 32, b"\2" * 32


def seat(
    number: int, wait: Wait, until: int, claim: bytes = HERE, step: int = 0, since: int = 0
) -> Seat:
    x = Challenge(b"\x0a" * 20, since, bytes(32), 0, 1, 0, 0, 0, 0, wait=wait, step=step)
    return Seat(JOB, claim, number, x, until)


class Truth:
    """Answers with a reveal; ``computed`` are the steps whose challenges need nothing more."""

    def __init__(self, desk: Desk, claim: bytes) -> None:
        self.desk, self.claim = desk, claim
        self.computed = {0}

    def ready(self, x: Challenge) -> bool:
        return x.step in self.computed

    def prepare(self, asked: Sequence[Challenge]) -> None:
        if not all(self.ready(x) for x in asked):
            self.desk.compute("answers", self.claim)
            self.computed |= {x.step for x in asked}

    def answer(self, x: Challenge) -> list[Move]:
        assert self.ready(x)
        self.desk.now += self.desk.thinking
        if x.step == BAD:
            raise LookupError("a defect")
        return [Reveal((x.step.to_bytes(32, "big"),))]


BAD = 666


class Desk:
    """A defence whose computations are logged; ``meanwhile`` happens in the middle of the next.

    Calls take ``block`` seconds, having the data of a claim at hand ``holding``, an answer to a
    challenge ``thinking`` and one to a demand ``answering``; ``later`` happens at its time.  A
    challenge of ``hasty`` moves on just before the call with a move of it, in our face; of ``gone``
    it has moved on since we looked.
    """

    def __init__(self, block: float = 0.0) -> None:
        self.log: list[tuple[str, bytes]] = []
        self.sent: list[list[int]] = []
        self.calls: list[int] = []
        self.said: list[str] = []
        self.seats: dict[int, Seat] = {}
        self.meanwhile: list[Callable[[], object]] = []
        self.hasty: set[int] = set()
        self.gone: set[int] = set()
        self.height = 1
        self.now = self.mined = 0.0
        self.holding = self.thinking = self.answering = 0.0
        self.later: list[tuple[float, Callable[[], object]]] = []
        self.block = block
        self.asks: dict[int, Ask] = {}
        self.away: list[int] = []
        self.held = 0
        chain, self.sender = Mock(), Mock()
        chain.contracts.game.move.side_effect = lambda claim, number, terms, move: number
        chain.contracts.game.together.side_effect = lambda numbers, every: Mock(
            numbers=numbers, what="reveal"
        )
        chain.contracts.court.answer.side_effect = lambda terms, claim, part, item, index, proof: (
            Mock(numbers=[item], what="answer")
        )
        self.sender.launch.side_effect = self.launch
        self.sender.look_after.side_effect = self.look_after
        self.sender.simulate.side_effect = self.simulate
        self.defence = Defence(
            chain, self.sender, self.build, self.hold, self.said.append, clock=lambda: self.now
        )
        self.defence.look = self.look  # type: ignore[method-assign]

    def look(self, at: Snapshot, book: Book) -> tuple[list[Seat], list[Ask]]:
        while self.later and self.now >= self.later[0][0]:
            self.later.pop(0)[1]()
        return list(self.seats.values()), list(self.asks.values())

    def hold(self, job: JobRecord) -> Any:
        self.now += self.holding
        self.held += 1
        return self

    def answer(self, *place: Any) -> bytes:
        """To a demand, from data at hand."""
        self.now += self.answering
        return b""

    def compute(self, what: str, claim: bytes) -> None:
        self.log.append((what, claim))
        if self.meanwhile:
            self.meanwhile.pop(0)()
        self.log.append((f"{what} done", claim))

    def build(self, job: JobRecord) -> Any:
        self.compute("build", job.job)
        return Truth(self, job.job)

    def simulate(self, call: Any, block: str = "latest") -> None:
        if self.gone & set(call.numbers):
            raise WrongNode("play", {})

    def launch(self, calls: Sequence[Any]) -> Batch:
        """What is not refused is mined a block later, or after a wait for it."""
        assert self.now >= self.mined, "nothing is on its way"
        ends: list[Any] = []
        for call in calls:
            try:
                ends.append(self.send(call))
            except Reverted as refusal:
                ends.append(refusal)
        sent = any(not isinstance(end, Reverted) for end in ends)
        self.mined = self.now + (self.block if sent else 0.0)
        return Batch(ends, self.mined)

    def look_after(self, batch: Batch, waits: bool) -> bool:
        if waits:
            self.now = max(self.now, batch.deadline)
        self.tick()
        return self.now >= batch.deadline

    def tick(self) -> None:
        """What is on its way is mined at its time."""
        if self.now < self.mined or not self.away:
            return
        self.height += 1
        for number in self.away:
            self.seats.pop(number, None)
            self.asks.pop(number, None)
        self.away = []

    def send(self, call: Any) -> Any:
        self.simulate(call)
        self.calls.append(len(call.numbers))
        made = [n for n in call.numbers if n not in self.hasty]
        self.sent.append(made)
        self.away += call.numbers
        return Mock(result=Result.MINED, logs=[{}] * len(made), gas=1, block=self.height + 1)

    def ask(self, number: int, claim: bytes, step: int = 0, wait: Wait = Wait.REVEAL) -> None:
        asked = seat(number, wait, 10**6, claim, step, since=number)
        self.seats[number] = replace(asked, job=replace(JOB, job=claim))

    def demand(self, number: int, claim: bytes) -> None:
        made = Place(1, 0, bytes(32), bytes(32), 1)
        until = NOW + 15 * number
        asked = DemandRecord(number, b"\3" * 20, Part.OUTPUT, number, 0, until, made)
        self.asks[number] = Ask(replace(JOB, job=claim), claim, asked)

    def cycle(self, *, waits: bool = True) -> bool:
        self.tick()
        at = Mock(next_timestamp=NOW, number=self.height)
        return self.defence.cycle(at, Mock(), waits=waits)

    def stand(self) -> None:
        while self.cycle():
            pass

    def glance(self) -> None:
        """As in the middle of a run."""
        self.cycle(waits=False)

    def computing(self, seconds: float, meanwhile: Callable[[], object]) -> None:
        """The next computation takes so long; each half second of it ``meanwhile`` happens, then
        perhaps a glance."""
        glance = Glance(threading.Event(), self.glance, lambda: self.now)

        def compute() -> None:
            for _ in range(int(2 * seconds)):
                self.now += 0.5
                meanwhile()
                glance(0, None)

        self.meanwhile = [compute]
