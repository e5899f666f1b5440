"""What events mean: every history that the contracts allow, and none that they do not."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.book import (
    Accepted,
    AttemptLost,
    Book,
    Cancelled,
    Committed,
    Event,
    Finalized,
    HistoryBroken,
    HoldsChanged,
    JobEvent,
    JobRecord,
    Place,
    Posted,
    Refunded,
    Registered,
    Voided,
)
from protocol.spec.job import TRANSITIONS, Deal, Fault, JobStatus, JobTerms, Task

JOB, OTHER = b"\1" * 32, b"\2" * 32
CLIENT, ALICE, BOB = b"\3" * 20, b"\4" * 20, b"\5" * 20
DEAL = Deal(CLIENT, 0, bytes(32), 5, 5, 0, 10_000, 3, 1000, 1, 60, 70, 80, 60)
NONE = bytes(32)
TERMS = JobTerms(Task(b"\6" * 20, NONE, NONE, NONE, NONE, steps=1), DEAL)


class Story:
    """Events one after the other, a block each."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def place(self) -> Place:
        number = len(self.events) + 1
        return Place(number, 0, bytes([number % 256]) * 32, bytes(32), 1000 + number)

    def add(self, event: Event) -> Story:
        self.events.append(event)
        return self

    def posted(self, job: bytes = JOB) -> Story:
        return self.add(Posted(self.place(), job, CLIENT, TERMS, b"where"))

    def accepted(self, provider: bytes = ALICE, attempt: int = 0) -> Story:
        return self.add(Accepted(self.place(), JOB, provider, attempt, 2000))

    def committed(self, provider: bytes = ALICE) -> Story:
        root, claim = b"\x08" * 32, b"\7" * 32
        return self.add(Committed(self.place(), JOB, claim, provider, root, 3000, b"r"))

    def lost(self, provider: bytes = ALICE, attempt: int = 0, until: int = 4000) -> Story:
        return self.add(AttemptLost(self.place(), JOB, provider, attempt, Fault.LATE, until))

    def finalized(self) -> Story:
        return self.add(Finalized(self.place(), JOB, ALICE, BOB, 5))

    def refunded(self) -> Story:
        return self.add(Refunded(self.place(), JOB, CLIENT, 5))

    def record(self) -> JobRecord:
        return Book(self.events).jobs[JOB]


def test_book__posted__is_open_until_its_clock() -> None:
    record = Story().posted().record()
    assert (record.status, record.attempt, record.clock) == (JobStatus.OPEN, 0, 1001 + 60)
    assert record.live
    assert record.provider is None
    assert record.result_root is None


def test_book__straight_story__ends_finalized() -> None:
    record = Story().posted().accepted().committed().finalized().record()
    assert record.status is JobStatus.FINALIZED
    assert (record.provider, record.result_root, record.clock) == (ALICE, b"\x08" * 32, 0)
    assert record.ended is not None
    assert not record.live


def test_book__late_then_other_provider__keeps_both_attempts() -> None:
    story = Story().posted().accepted().lost()
    record = story.record()
    assert (record.status, record.attempt, record.clock) == (JobStatus.OPEN, 1, 4000)
    assert record.lost(ALICE)
    assert not record.lost(BOB)
    record = story.accepted(BOB, 1).committed(BOB).finalized().record()
    assert [a.provider for a in record.attempts] == [ALICE, BOB]
    assert [a.fault for a in record.attempts] == [Fault.LATE, None]


def test_book__last_attempt_lost__is_refunded_once() -> None:
    record = Story().posted().accepted().lost(until=0).refunded().record()
    assert record.status is JobStatus.REFUNDED
    assert record.attempt == 0


def test_book__rejected_result__is_no_result() -> None:
    record = Story().posted().accepted().committed().lost().record()
    assert record.status is JobStatus.OPEN
    assert record.result_root is None
    assert record.attempts[0].result_root == b"\x08" * 32


def test_book__holds__are_counted_and_end_with_the_claim() -> None:
    story = Story().posted().accepted().committed()
    story.add(HoldsChanged(story.place(), JOB, b"\7" * 32, 2))
    assert story.record().holds == 2
    assert story.lost().record().holds == 0


def test_book__provider_registers_twice__latest_entry_counts() -> None:
    story = Story()
    for endpoint in (b"old", b"new"):
        story.add(Registered(story.place(), ALICE, bytes(32), bytes(20), endpoint))
    assert Book(story.events).providers[ALICE].endpoint == b"new"


def test_book__posted_twice__is_broken() -> None:
    with pytest.raises(HistoryBroken, match="twice"):
        Story().posted().posted().record()


def test_book__never_posted__is_broken() -> None:
    with pytest.raises(HistoryBroken, match="never posted"):
        Story().accepted().record()


def test_rolled_back__to_each_block__is_the_book_of_that_block() -> None:
    story = Story().posted().accepted().lost().accepted(BOB, 1).committed(BOB).finalized()
    whole = Book(story.events)
    for block in range(len(story.events) + 1):
        back, fresh = whole.rolled_back(block), Book(story.events[:block])
        assert back.jobs == fresh.jobs
        assert back.events == story.events[:block]
        back.apply(story.events[block:])
        assert back.jobs == whole.jobs


MOVES: dict[str, type[JobEvent]] = {
    "accept": Accepted,
    "cancel": Cancelled,
    "refund": Refunded,
    "voidJob": Voided,
    "commit": Committed,
    "slashLate": AttemptLost,
    "finalize": Finalized,
    "reject": AttemptLost,
}


def event(name: str, record: JobRecord, place: Place, last: bool) -> JobEvent:
    provider = record.provider or ALICE
    until = 0 if last else place.time + 60
    made: dict[str, JobEvent] = {
        "accept": Accepted(place, JOB, ALICE, record.attempt, place.time + 70),
        "cancel": Cancelled(place, JOB),
        "refund": Refunded(place, JOB, CLIENT, 5),
        "voidJob": Voided(place, JOB, provider, 0, ()),
        "commit": Committed(place, JOB, bytes(32), provider, b"\1" * 32, place.time + 80, b""),
        "slashLate": AttemptLost(place, JOB, provider, record.attempt, Fault.LATE, until),
        "reject": AttemptLost(place, JOB, provider, record.attempt, Fault.WRONG, until),
        "finalize": Finalized(place, JOB, provider, BOB, 5),
    }
    return made[name]


@given(st.integers(0, 2**32), st.integers(1, 25))
def test_book__random_walk__moves_along_the_table_and_nowhere_else(seed: int, length: int) -> None:
    rng = random.Random(seed)
    story = Story().posted()
    book = Book(story.events)
    for _ in range(length):
        record = book.jobs[JOB]
        moves = TRANSITIONS[record.status]
        place = story.place()
        for name in sorted(MOVES.keys() - moves.keys()):
            # A loss on the last attempt is followed by its Refunded event.
            if record.status is JobStatus.REFUNDED and name == "refund":
                continue
            # One event stands for two moves: a loss by lateness or by a dispute.
            if MOVES[name] in {MOVES[allowed] for allowed in moves}:
                continue
            wrong = event(name, record, place, False)
            with pytest.raises(HistoryBroken):
                Book([*story.events, wrong])
        if not moves:
            assert not record.live
            return
        name = rng.choice(sorted(moves))
        story.add(event(name, record, place, rng.random() < 0.3))
        book.apply(story.events[-1:])
        after = book.jobs[JOB]
        assert after.status in moves[name]
        assert (after.clock == 0) == (not after.live)
        assert after.holds == 0
    assert Book(story.events).jobs == book.jobs


def test_book__broken_event__keeps_what_came_before() -> None:
    story = Story().posted().accepted()
    book = Book(story.events)
    before = book.jobs[JOB]
    with pytest.raises(HistoryBroken):
        book.apply([replace(Cancelled(story.place(), JOB))])
    assert book.jobs[JOB] == before
    assert len(book.events) == 2
