"""What a provider's defence decides, without a chain."""

from __future__ import annotations

from protocol.chain.book import Place
from protocol.chain.demands import DemandRecord
from protocol.chain.seats import MOST_CLOSED, Seat
from protocol.spec.answers import Part
from protocol.spec.dispute import Challenge, Wait
from protocol.spec.job import JobStatus
from provider.defence import (
    MOST_MOVES,
    Action,
    Answer,
    Ask,
    Close,
    Supply,
    decide,
)
from tests.keepers.test_decide import record

NOW = 100
JOB = record(JobStatus.COMMITTED, holds=1)
HERE, THERE = b"\1" * 32, b"\2" * 32


def seat(
    number: int, wait: Wait, until: int, claim: bytes = HERE, step: int = 0
) -> Seat:
    x = Challenge(b"\x0a" * 20, 0, bytes(32), 0, 1, 0, 0, 0, 0, wait=wait, step=step)
    return Seat(JOB, claim, number, x, until)


def numbers(action: Action) -> list[int]:
    assert isinstance(action, Answer)
    return [s.number for s in action.seats]


def test_decide__several_claims__nearest_deadline_first() -> None:
    found = decide(
        [seat(1, Wait.REVEAL, 150), seat(2, Wait.REVEAL, 120, THERE), seat(3, Wait.REVEAL, 110)],
        [], NOW,
    )  # fmt: skip
    assert [a.claim for a in found if isinstance(a, Answer)] == [HERE, THERE]
    assert numbers(found[0]) == [3, 1]


def test_decide__many_wait_for_one_opening__it_is_made_once() -> None:
    seats = [seat(n, Wait.OPENING, 150) for n in range(1, 501)]
    (found,) = decide(seats, [], NOW)
    assert numbers(found) == [1]
    seats = [seat(1, Wait.STEP, 150, step=4), seat(2, Wait.STEP, 150, step=4),
             seat(3, Wait.STEP, 150, step=5), seat(4, Wait.REVEAL, 150)]  # fmt: skip
    (found,) = decide(seats, [], NOW)
    assert numbers(found) == [1, 3, 4]


def test_decide__many_reveals__travel_in_bounded_calls() -> None:
    (found,) = decide([seat(n, Wait.REVEAL, 150) for n in range(1, 30)], [], NOW)
    assert numbers(found) == list(range(1, MOST_MOVES + 1))


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
