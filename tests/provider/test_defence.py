"""What a provider's defence decides, without a chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

from protocol.chain.book import Book, JobRecord, Place
from protocol.chain.demands import DemandRecord
from protocol.chain.game_reverts import WrongTurn
from protocol.chain.refusal import Reverted
from protocol.chain.seats import MOST_CLOSED, Seat
from protocol.chain.state import Snapshot
from protocol.spec.answers import Part
from protocol.spec.dispute import Challenge, Wait
from protocol.spec.job import JobStatus
from protocol.spec.strategy import Move, Reveal
from provider.defence import (
    MOST_MOVES,
    Action,
    Answer,
    Ask,
    Close,
    Defence,
    Supply,
    decide,
)
from tests.keepers.test_decide import record

NOW = 100
JOB = record(JobStatus.COMMITTED, holds=1)
HERE, THERE = b"\1" * 32, b"\2" * 32


def seat(
    number: int, wait: Wait, until: int, claim: bytes = HERE, step: int = 0, since: int = 0
) -> Seat:
    x = Challenge(b"\x0a" * 20, since, bytes(32), 0, 1, 0, 0, 0, 0, wait=wait, step=step)
    return Seat(JOB, claim, number, x, until)


def numbers(action: Action) -> list[int]:
    assert isinstance(action, Answer)
    return [s.number for s in action.seats]


def test_decide__several_claims__openings_by_deadline_then_who_asked_first() -> None:
    late, soon = b"\3" * 32, b"\4" * 32
    seats = [
        seat(1, Wait.REVEAL, 150, since=90), seat(2, Wait.REVEAL, 160, THERE, since=80),
        seat(3, Wait.REVEAL, 140, since=85), seat(4, Wait.OPENING, 900, late, since=99),
        seat(5, Wait.OPENING, 800, soon, since=99),
    ]  # fmt: skip
    found = decide(seats, [], NOW)
    assert [a.claim for a in found if isinstance(a, Answer)] == [soon, late, THERE, HERE]
    assert numbers(found[3]) == [3, 1]


def test_decide__many_wait_for_one_opening__it_is_made_once() -> None:
    seats = [seat(n, Wait.OPENING, 150) for n in range(1, 501)]
    (found,) = decide(seats, [], NOW)
    assert numbers(found) == [1]
    seats = [seat(1, Wait.STEP, 150, step=4), seat(2, Wait.STEP, 150, step=4),
             seat(3, Wait.STEP, 150, step=5), seat(4, Wait.REVEAL, 150)]  # fmt: skip
    (found,) = decide(seats, [], NOW)
    assert numbers(found) == [1, 3, 4]


def test_decide__own_clock_over__nothing_is_sent_in_vain() -> None:
    assert decide([seat(1, Wait.REVEAL, NOW - 1)], [], NOW) == []
    assert len(decide([seat(1, Wait.REVEAL, NOW)], [], NOW)) == 1


def test_decide__late_challengers__are_closed_together_in_time_ones_are_not() -> None:
    seats = [seat(n, Wait.CHALLENGER, NOW - 1) for n in range(1, 100)]
    seats.append(seat(100, Wait.CHALLENGER, NOW))
    (found,) = decide(seats, [], NOW)
    assert found == Close(JOB, HERE, tuple(range(1, MOST_CLOSED + 1)))


def test_decide__demands__are_answered_by_deadline_after_challenges() -> None:
    place = Place(1, 0, bytes(32), bytes(32), 1)

    def ask(number: int, until: int) -> Ask:
        demand = DemandRecord(number, b"\3" * 20, Part.OUTPUT, 0, number, until, place)
        return Ask(JOB, HERE, demand)

    asks = [ask(1, 150), ask(2, 120), ask(3, NOW - 1)]
    found = decide([seat(1, Wait.REVEAL, 190)], asks, NOW)
    assert isinstance(found[0], Answer)
    assert [a.demand.number for a in found[1:] if isinstance(a, Supply)] == [2, 1]


# --- what is computed when -----------------------------------------------------------------------


class Truth:
    """Answers with a reveal; ``computed`` are the steps whose challenges need nothing more."""

    def __init__(self, desk: Desk, claim: bytes) -> None:
        self.desk, self.claim = desk, claim
        self.computed = {0}

    def ready(self, x: Challenge) -> bool:
        return x.step in self.computed

    def answers(self, asked: Sequence[Challenge]) -> list[list[Move]]:
        if not all(self.ready(x) for x in asked):
            self.desk.compute("answers", self.claim)
            self.computed |= {x.step for x in asked}
        return [[Reveal((x.step.to_bytes(32, "big"),))] for x in asked]


class Desk:
    """A defence whose computations are logged; ``meanwhile`` happens in the middle of the next."""

    def __init__(self) -> None:
        self.log: list[tuple[str, bytes]] = []
        self.sent: list[list[int]] = []
        self.seats: dict[int, Seat] = {}
        self.meanwhile: list[Callable[[], object]] = []
        self.refused: set[int] = set()
        self.gas = 0
        self.calls: list[int] = []
        chain, sender = Mock(), Mock()
        chain.contracts.game.play.side_effect = lambda claim, terms, moves: Mock(moves=moves)
        sender.send.side_effect = self.send
        self.defence = Defence(chain, sender, self.build, Mock(), Mock())
        self.defence.look = self.look  # type: ignore[method-assign]

    def look(self, at: Snapshot, book: Book) -> tuple[list[Seat], list[Ask]]:
        return list(self.seats.values()), []

    def compute(self, what: str, claim: bytes) -> None:
        self.log.append((what, claim))
        if self.meanwhile:
            self.meanwhile.pop(0)()
        self.log.append((f"{what} done", claim))

    def build(self, job: JobRecord) -> Any:
        claim = job.job
        self.compute("build", claim)
        return Truth(self, claim)

    def send(self, call: Any, already: Callable[[Reverted], bool] | None = None) -> Any:
        numbers = [number for number, _ in call.moves]
        refusal = WrongTurn("play", {})
        refusal.gas = self.gas
        self.calls.append(len(numbers))
        if self.refused & set(numbers):
            if already is not None and already(refusal):
                del self.seats[numbers[0]]
                return Mock()
            raise refusal
        self.sent.append(numbers)
        for number in numbers:
            del self.seats[number]
        return Mock()

    def ask(self, number: int, claim: bytes, step: int = 0, wait: Wait = Wait.REVEAL) -> None:
        asked = seat(number, wait, 10**6, claim, step, since=number)
        self.seats[number] = replace(asked, job=replace(JOB, job=claim))

    def stand(self) -> None:
        at = Mock(next_timestamp=NOW)
        self.defence.stand(lambda: (at, Mock()))


def test_stand__many_challenges_of_a_claim__are_computed_once_and_sent_in_bounded_calls() -> None:
    desk = Desk()
    for number in range(1, 201):
        desk.ask(number, HERE, step=number)
    desk.stand()
    assert desk.log == [
        ("build", HERE), ("build done", HERE), ("answers", HERE), ("answers done", HERE),
    ]  # fmt: skip
    assert [len(numbers) for numbers in desk.sent] == [MOST_MOVES] * 3 + [200 - 3 * MOST_MOVES]


def test_stand__somebody_was_faster_with_one_move__the_others_are_made_in_few_calls() -> None:
    desk = Desk()
    for number in range(1, 33):
        desk.ask(number, HERE)
    desk.refused = {7}
    desk.stand()
    made = [n for numbers in desk.sent for n in numbers]
    assert sorted(made) == [n for n in range(1, 33) if n != 7]
    assert desk.calls == [32, 16, 8, 4, 4, 2, 2, 1, 1, 8, 16]


def test_stand__a_call_failed_on_chain__fewer_moves_travel_together_for_a_while() -> None:
    desk = Desk()
    for number in range(1, 65):
        desk.ask(number, HERE)
    desk.refused, desk.gas = {8, 64}, 10**6
    desk.stand()
    made = [n for numbers in desk.sent for n in numbers]
    assert made == [n for n in range(1, 65) if n not in (8, 64)]
    assert desk.calls == [64] + [8] + [1] * 8 + [8] * 7 + [1] * 8
    desk.calls.clear()
    for number in range(101, 301):
        desk.ask(number, HERE)
    desk.stand()
    assert max(desk.calls) == MOST_MOVES


def test_stand__asked_in_the_middle_of_a_computation__only_what_needs_none_is_answered() -> None:
    desk = Desk()
    desk.ask(1, HERE, step=1)
    desk.ask(2, THERE, step=1)
    desk.stand()
    desk.log.clear()

    def more() -> None:
        desk.ask(5, HERE, step=3)
        desk.ask(6, HERE)
        desk.ask(7, THERE, step=2)
        desk.ask(8, THERE)
        desk.stand()
        assert sorted(desk.seats) == [3, 5, 7]

    desk.meanwhile = [more]
    desk.ask(3, HERE, step=2)
    desk.stand()
    assert [claim for what, claim in desk.log if what == "answers"] == [HERE, HERE, THERE]
    assert not desk.seats


def test_stand__opening_is_due_in_the_middle_of_answers__is_made_at_once() -> None:
    desk = Desk()
    desk.ask(1, HERE)
    desk.stand()
    desk.log.clear()

    def opening() -> None:
        desk.ask(3, THERE, wait=Wait.OPENING)
        desk.stand()
        assert sorted(desk.seats) == [2]

    desk.meanwhile = [opening]
    desk.ask(2, HERE, step=1)
    desk.stand()
    assert desk.log == [
        ("answers", HERE), ("build", THERE), ("build done", THERE), ("answers done", HERE),
    ]  # fmt: skip


def test_stand__opening_is_due_in_the_middle_of_a_build__waits_for_its_turn() -> None:
    desk = Desk()

    def opening() -> None:
        desk.ask(2, THERE, wait=Wait.OPENING)
        desk.stand()

    desk.meanwhile = [opening]
    desk.ask(1, HERE, wait=Wait.OPENING)
    desk.stand()
    assert desk.log == [
        ("build", HERE), ("build done", HERE), ("build", THERE), ("build done", THERE),
    ]  # fmt: skip
    assert desk.sent == [[1], [2]]


def test_stand__trace_cannot_be_built__the_other_claim_is_answered_first() -> None:
    desk = Desk()

    def failed() -> None:
        raise MemoryError("no room")

    desk.meanwhile = [failed]
    desk.ask(1, HERE)
    desk.ask(2, THERE)
    desk.stand()
    assert desk.sent == [[2], [1]]
