"""What a provider's defence decides, without a chain."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest

from protocol.chain.book import Book, JobRecord, Place
from protocol.chain.demands import DemandRecord
from protocol.chain.errors import NodeRefused, NodeUnavailable, TransactionPending
from protocol.chain.flights import Batch, Result
from protocol.chain.game_reverts import WrongNode
from protocol.chain.refusal import Reverted
from protocol.chain.seats import MOST_CLOSED, Seat
from protocol.chain.state import Snapshot
from protocol.spec.answers import Part
from protocol.spec.dispute import Challenge, Wait
from protocol.spec.job import JobStatus
from protocol.spec.strategy import Move, Reveal
from provider.defence import Action, Answer, Ask, Close, Defence, Supply, decide
from provider.dispatch import MOST_CALLS, MOST_MOVES
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

    Calls take ``block`` seconds, having the data of a claim at hand ``holding``, an answer
    ``thinking``.  A challenge of
    ``hasty`` moves on just before the call with a move of it, in our face; of ``gone`` it has moved
    on since we looked.
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
        self.now = self.holding = self.thinking = self.mined = 0.0
        self.block = block
        self.asks: dict[int, Ask] = {}
        self.away: list[int] = []
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
        return list(self.seats.values()), list(self.asks.values())

    def hold(self, job: JobRecord) -> Any:
        self.now += self.holding
        return Mock()

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
        if self.now < batch.deadline:
            return False
        for number in self.away:
            self.seats.pop(number, None)
            self.asks.pop(number, None)
        self.away = []
        return True

    def send(self, call: Any) -> Any:
        self.simulate(call)
        self.calls.append(len(call.numbers))
        made = [n for n in call.numbers if n not in self.hasty]
        self.sent.append(made)
        self.away += call.numbers
        return Mock(result=Result.MINED, logs=[{}] * len(made), gas=1)

    def ask(self, number: int, claim: bytes, step: int = 0, wait: Wait = Wait.REVEAL) -> None:
        asked = seat(number, wait, 10**6, claim, step, since=number)
        self.seats[number] = replace(asked, job=replace(JOB, job=claim))

    def demand(self, number: int, claim: bytes) -> None:
        made = Place(1, 0, bytes(32), bytes(32), 1)
        until = NOW + 15 * number
        asked = DemandRecord(number, b"\3" * 20, Part.OUTPUT, number, 0, until, made)
        self.asks[number] = Ask(replace(JOB, job=claim), claim, asked)

    def stand(self) -> None:
        while self.defence.cycle(Mock(next_timestamp=NOW), Mock()):
            pass

    def glance(self) -> None:
        """As in the middle of a run."""
        self.defence.cycle(Mock(next_timestamp=NOW), Mock(), waits=False)


def test_cycle__many_challenges_of_a_claim__are_computed_once_and_sent_in_bounded_calls() -> None:
    desk = Desk()
    for number in range(1, 201):
        desk.ask(number, HERE, step=number)
    desk.stand()
    assert [what for what, _ in desk.log] == ["build", "build done", "answers", "answers done"]
    assert [len(numbers) for numbers in desk.sent] == [MOST_MOVES] * 3 + [200 - 3 * MOST_MOVES]


def test_cycle__1500_challengers_at_once__are_answered_in_a_few_blocks() -> None:
    desk = Desk(block=12.0)
    for number in range(1, 1501):
        desk.ask(number, HERE)
    desk.stand()
    assert len(desk.calls) == 24
    assert desk.now == 12.0 * 3
    assert not desk.seats


def test_cycle__many_claims_at_once__are_opened_in_one_call() -> None:
    """A call takes a block: of claims of little work many have to be opened within a few."""
    desk = Desk(block=12.0)
    for number in range(1, 41):
        desk.ask(number, bytes([number]) * 32, wait=Wait.OPENING)
    desk.stand()
    assert desk.calls == [40]


def test_cycle__some_challenges_have_moved_on__the_others_are_answered_in_the_next_call() -> None:
    desk = Desk()
    for number in range(1, 65):
        desk.ask(number, HERE)
    desk.gone = {7, 40}
    desk.stand()
    assert desk.sent == [[n for n in range(1, 65) if n not in (7, 40)]]
    assert desk.calls == [62]


def test_cycle__challenges_move_on_in_our_face__the_others_are_answered_by_the_same_call() -> None:
    desk = Desk(block=12.0)
    for number in range(1, 65):
        desk.ask(number, HERE)
    desk.hasty = set(range(4, 65, 8))
    desk.stand()
    assert desk.sent == [[n for n in range(1, 65) if n not in desk.hasty]]
    assert desk.calls == [64]
    assert "56 of 64 moves" in desk.said[-1]


def test_cycle__one_answer_fails__the_others_are_made() -> None:
    desk = Desk()
    desk.ask(1, HERE)
    desk.ask(2, HERE, step=BAD)
    desk.ask(3, HERE, step=5)
    desk.stand()
    assert sorted(n for numbers in desk.sent for n in numbers) == [1, 3]


def test_cycle__asked_in_the_middle_of_a_computation__only_what_needs_none_is_answered() -> None:
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


def test_cycle__opening_is_due_in_the_middle_of_answers__is_built_at_once() -> None:
    desk = Desk()
    desk.ask(1, HERE)
    desk.stand()
    desk.log.clear()

    def opening() -> None:
        desk.ask(3, THERE, wait=Wait.OPENING)
        desk.stand()
        desk.stand()
        assert sorted(desk.seats) == [2]

    desk.meanwhile = [opening]
    desk.ask(2, HERE, step=1)
    desk.stand()
    assert desk.log == [
        ("answers", HERE), ("build", THERE), ("build done", THERE), ("answers done", HERE),
    ]  # fmt: skip


def test_cycle__opening_is_due_in_the_middle_of_a_build__waits_for_its_turn() -> None:
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


def test_cycle__trace_cannot_be_built__the_other_claim_is_answered_first() -> None:
    desk = Desk()

    def failed() -> None:
        raise MemoryError("no room")

    desk.meanwhile = [failed]
    desk.ask(1, HERE)
    desk.ask(2, THERE)
    desk.stand()
    assert desk.sent == [[2], [1]]


def test_cycle__demands_for_many_claims__are_answered_many_in_a_block() -> None:
    """Their data is at hand at once; the chain makes a demand due each 15 s."""
    desk = Desk(block=12.0)
    for number in range(1, 25):
        desk.demand(number, bytes([number]) * 32)
    desk.stand()
    assert [n for numbers in desk.sent for n in numbers] == list(range(1, 25))
    assert desk.now <= 24 * 15 / 2


def test_cycle__data_of_a_claim_takes_long__is_shown_before_the_next_is_looked_for() -> None:
    desk = Desk(block=12.0)
    desk.holding = 20.0
    for number in (1, 2):
        desk.demand(number, bytes([number]) * 32)
    desk.defence.cycle(Mock(next_timestamp=NOW), Mock())
    assert (desk.sent, desk.now) == ([[1]], 32.0)


def test_cycle__answers_that_take_long__go_out_before_all_are_put_together() -> None:
    desk = Desk(block=1.0)
    for number in range(1, 101):
        desk.ask(number, HERE)
    desk.thinking = 0.5
    desk.defence.cycle(Mock(next_timestamp=NOW), Mock())
    assert desk.sent == [[1, 2, 3, 4]]
    desk.stand()
    assert [n for numbers in desk.sent for n in numbers] == list(range(1, 101))


def test_glance__answers_wait_for_their_block__the_computation_goes_on() -> None:
    """Each question is answered once, though it stands until the answer is mined."""
    desk = Desk(block=12.0)
    desk.ask(1, HERE)
    desk.stand()
    glance = Glance(threading.Event(), desk.glance, lambda: desk.now)
    numbers = iter(range(1000, 9999))

    def computing() -> None:
        for _ in range(120):
            desk.now += 0.5
            desk.ask(next(numbers), HERE)
            glance(0, None)

    desk.meanwhile = [computing]
    desk.ask(2, HERE, step=1)
    began = desk.now
    desk.stand()
    assert desk.log[-1][0] == "answers done"
    assert desk.now - began <= 60 + 3 * 12, "the last question has its block, and it the next"
    answered = [n for numbers in desk.sent for n in numbers]
    assert len(answered) == 122
    assert len(set(answered)) == 122
    assert not desk.seats


def test_glance__more_than_fits_on_its_way__follows_when_that_is_mined() -> None:
    desk = Desk(block=12.0)
    for number in range(1, MOST_CALLS * MOST_MOVES + 101):
        desk.ask(number, HERE)
    desk.defence.truths.of(HERE, lambda: desk.build(replace(JOB, job=HERE)))
    desk.glance()
    desk.glance()
    assert desk.calls == [MOST_MOVES] * MOST_CALLS
    desk.now += 12.0
    desk.glance()
    assert desk.calls == [MOST_MOVES] * (MOST_CALLS + 1) + [36]
    assert len(desk.seats) == 100
    desk.now += 12.0
    desk.glance()
    assert not desk.seats


def test_cycle__answers_are_not_mined_in_time__are_made_again() -> None:
    desk = Desk()
    desk.ask(1, HERE)
    desk.sender.look_after.side_effect = TransactionPending("not mined after 300 s")
    with pytest.raises(TransactionPending):
        desk.defence.cycle(Mock(next_timestamp=NOW), Mock())
    desk.sender.look_after.side_effect = desk.look_after
    desk.stand()
    assert desk.sent == [[1], [1]]


def test_cycle__node_is_away_while_answers_are__they_are_not_made_twice() -> None:
    desk = Desk()
    desk.ask(1, HERE)
    desk.sender.look_after.side_effect = NodeUnavailable("gone")
    for _ in range(2):
        with pytest.raises(NodeUnavailable):
            desk.defence.cycle(Mock(next_timestamp=NOW), Mock())
    desk.sender.look_after.side_effect = desk.look_after
    desk.stand()
    assert desk.sent == [[1]]


def test_cycle__node_takes_nothing__says_so_and_tries_again() -> None:
    desk = Desk()
    desk.ask(1, HERE)
    desk.sender.launch.side_effect = NodeRefused("no nonce", None)
    desk.defence.cycle(Mock(next_timestamp=NOW), Mock())
    assert not desk.defence.cycle(Mock(next_timestamp=NOW), Mock()), "and looks again in a while"
    assert "not defended: no nonce" in desk.said[-1]
    desk.sender.launch.side_effect = desk.launch
    desk.stand()
    assert desk.sent == [[1]]


def test_glance__cheap_questions_without_end__a_computation_takes_at_most_twice_as_long() -> None:
    desk = Desk(block=2.0)
    desk.ask(1, HERE)
    desk.stand()
    glance = Glance(threading.Event(), desk.stand, lambda: desk.now)
    numbers = iter(range(1000, 9999))

    def computing() -> None:
        for _ in range(120):
            desk.now += 0.5
            desk.ask(next(numbers), HERE)
            glance(0, None)

    desk.meanwhile = [computing]
    desk.ask(2, HERE, step=1)
    began = desk.now
    desk.stand()
    assert 60 < desk.now - began <= 2 * 60 + 10
