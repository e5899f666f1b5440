"""What a provider's defence decides, without a chain."""

from __future__ import annotations

from protocol.chain.book import Place
from protocol.chain.demands import DemandRecord
from protocol.chain.seats import MOST_CLOSED
from protocol.spec.answers import Part
from protocol.spec.dispute import Wait
from provider.defence import Answer, Ask, Close, Due, decide
from provider.dispatch import MOST_MOVES
from tests.provider.desk import BAD, HERE, JOB, NOW, THERE, Desk, seat


def numbers(action: Answer) -> list[int]:
    return [s.number for s in action.seats]


def test_decide__several_claims__openings_by_deadline_then_who_asked_first() -> None:
    late, soon = b"\3" * 32, b"\4" * 32
    seats = [
        seat(1, Wait.REVEAL, 150, since=90), seat(2, Wait.REVEAL, 160, THERE, since=80),
        seat(3, Wait.REVEAL, 140, since=85), seat(4, Wait.OPENING, 900, late, since=99),
        seat(5, Wait.OPENING, 800, soon, since=99),
    ]  # fmt: skip
    found = decide(seats, [], NOW)
    assert [a.claim for a in found.answers] == [soon, late, THERE, HERE]
    assert numbers(found.answers[3]) == [3, 1]


def test_decide__many_wait_for_one_opening__it_is_made_once() -> None:
    seats = [seat(n, Wait.OPENING, 150) for n in range(1, 501)]
    (found,) = decide(seats, [], NOW).answers
    assert numbers(found) == [1]
    seats = [seat(1, Wait.STEP, 150, step=4), seat(2, Wait.STEP, 150, step=4),
             seat(3, Wait.STEP, 150, step=5), seat(4, Wait.REVEAL, 150)]  # fmt: skip
    (found,) = decide(seats, [], NOW).answers
    assert numbers(found) == [1, 3, 4]


def test_decide__own_clock_over__nothing_is_sent_in_vain() -> None:
    assert decide([seat(1, Wait.REVEAL, NOW - 1)], [], NOW) == Due((), (), (), NOW)
    assert len(decide([seat(1, Wait.REVEAL, NOW)], [], NOW).answers) == 1


def test_decide__late_challengers__are_closed_together_in_time_ones_are_not() -> None:
    seats = [seat(n, Wait.CHALLENGER, NOW - 1) for n in range(1, 100)]
    seats.append(seat(100, Wait.CHALLENGER, NOW))
    due = decide(seats, [], NOW)
    assert due == Due((), (), (Close(JOB, HERE, tuple(range(1, MOST_CLOSED + 1))),), NOW)


def test_decide__demands__are_answered_by_deadline_after_challenges() -> None:
    place = Place(1, 0, bytes(32), bytes(32), 1)

    def ask(number: int, until: int) -> Ask:
        demand = DemandRecord(number, b"\3" * 20, Part.OUTPUT, 0, number, until, place)
        return Ask(JOB, HERE, demand)

    asks = [ask(1, 150), ask(2, 120), ask(3, NOW - 1)]
    found = decide([seat(1, Wait.REVEAL, 190)], asks, NOW)
    assert len(found.answers) == 1
    assert [a.demand.number for a in found.supplies] == [2, 1]


# --- what is computed when -----------------------------------------------------------------------


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
    desk.cycle()
    assert (desk.sent, desk.now) == ([[1]], 32.0)
