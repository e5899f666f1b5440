"""What the game's events mean: every order that the contract allows, and none that it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.book import Book, Committed
from protocol.chain.disputes import (
    SIDES,
    BlockRevealed,
    Challenged,
    ClaimEnded,
    ClaimFell,
    Collected,
    Defeated,
    Dispute,
    Entered,
    GameEvent,
    Opened,
    Pointed,
    Revealed,
    StepOpened,
    Stop,
)
from protocol.chain.event import Event, HistoryBroken, Place
from protocol.spec.constants import ZERO
from protocol.spec.dispute import Outcome, fold
from protocol.spec.job import Fault
from protocol.spec.trace import Tree
from protocol.spec.trees import HALTED, keccak256
from tests.chain.test_book import ALICE, BOB, JOB
from tests.chain.test_book import Story as JobStory

CLAIM = b"\7" * 32
ME, OTHER = b"\x0a" * 20, b"\x0b" * 20
ROWS = [keccak256(bytes([k])) for k in range(64)]
ROOT = fold(ROWS[:2], 1)
BLOCK = bytes(range(256)) * 2
FEE = 7


class Story(JobStory):
    """Events of one claim of a job of one step: its steps tree has two leaves."""

    def game(self, kind: type[GameEvent], number: int, *values: object) -> Story:
        self.events.append(kind(self.place(), CLAIM, number, *values))
        return self

    def challenged(self, number: int = 1, who: bytes = ME) -> Story:
        return self.game(Challenged, number, who, 50, 60, 2000)

    def opened(self, number: int = 1) -> Story:
        return self.game(Opened, number, ROOT, tuple(ROWS[:2]), FEE)

    def dispute(self) -> Dispute:
        return Book(self.events).disputes[CLAIM]


def committed() -> Story:
    story = Story()
    story.posted().accepted().committed()
    return story


def whole() -> Story:
    """From the challenge to the last bond."""
    operations = fold(ROWS[2:5], 2)
    story = committed().challenged().challenged(2, OTHER).opened(2)
    story.game(Pointed, 1, 0, 1, ROWS[1])
    story.game(StepOpened, 1, 1, operations, tuple(ROWS[2:5]), FEE)
    story.game(Entered, 1, Tree.OPERATIONS, operations, 3)
    story.game(Pointed, 1, 0, 2, ROWS[4])
    story.game(Entered, 1, Tree.OPERATION_BLOCKS, ROWS[4], 300)
    story.game(Pointed, 1, 4, 3, fold(ROWS[:16], 4))
    story.game(Revealed, 1, fold(ROWS[:16], 4), tuple(ROWS[:16]), FEE)
    story.game(Pointed, 1, 0, 50, keccak256(BLOCK))
    story.game(BlockRevealed, 1, keccak256(BLOCK), BLOCK, FEE)
    story.game(Defeated, 2, BOB, 50, 40)
    story.game(ClaimFell, 1, OTHER, Fault.WRONG)
    return story.game(Collected, 1, ME, 50, 30)


def test_dispute__whole_story__tells_places_money_and_what_was_shown() -> None:
    record = whole().dispute()
    assert (record.job, record.attempt, record.provider) == (JOB, 0, ALICE)
    assert (record.result_root, record.leaves, record.open_by) == (b"\x08" * 32, 2, 2000)
    mine, other = record.challenges
    assert (mine.challenger, mine.token, mine.native) == (ME, 50, 60)
    assert (mine.outcome, other.outcome) == (Outcome.COLLECTED, Outcome.DEFEATED)
    assert record.undefeated == (mine,)
    assert record.of(OTHER) == (other,)
    assert mine.stop == Stop(Tree.OPERATION_BLOCKS, 0, 50, keccak256(BLOCK), 300, 1, 2)
    assert mine.stop.where == (Tree.OPERATION_BLOCKS, 1, 2)
    assert [move.stop.where for move in mine.moves[1:4]] == [
        (Tree.STEPS, 0, 0), (Tree.STEPS, 0, 0), (Tree.OPERATIONS, 1, 0),
    ]  # fmt: skip
    assert other.stop == Stop(Tree.STEPS, 1, 0, ROOT, 2)
    assert isinstance(record.fall, ClaimFell)
    assert record.fall.caller == OTHER
    known = record.known
    assert (known.steps_root, known.operations) == (ROOT, {1: fold(ROWS[2:5], 2)})
    assert known.below(fold(ROWS[:16], 4), 4, 3, 300) == ROWS[:16]
    assert known.blocks == {keccak256(BLOCK): BLOCK}


def test_sides__every_event__has_one() -> None:
    assert set(SIDES) == set(GameEvent.__subclasses__())


@given(st.integers(0, 40), st.integers(0, 20))
def test_rolled_back__any_block__is_the_book_of_what_came_before(back: int, again: int) -> None:
    events = whole().events
    book = Book(events).rolled_back(back)
    before = [event for event in events if event.place.block <= back]
    assert book.disputes == Book(before).disputes
    book.apply(events[len(before) : len(before) + again])
    assert book.disputes == Book(events[: len(before) + again]).disputes


def broken(story: Story) -> str:
    with pytest.raises(HistoryBroken) as caught:
        Book(story.events)
    return str(caught.value)


def test_follow__event_of_a_claim_that_was_never_committed__is_broken() -> None:
    story = Story()
    story.posted().accepted()
    assert "never committed" in broken(story.challenged())


def test_follow__move_before_any_challenge__is_broken() -> None:
    assert "nobody challenged" in broken(committed().opened())


def test_follow__challenge_left_out__is_broken() -> None:
    assert "after 0 challenges" in broken(committed().challenged(2))
    assert "after 1 challenges" in broken(committed().challenged().challenged())
    assert "of 1 challenges" in broken(committed().challenged().opened(2))


def test_follow__opened_twice__is_broken() -> None:
    assert "opened before" in broken(committed().challenged().opened().opened())
    story = committed().challenged().opened()
    story.game(StepOpened, 1, 1, HALTED, (HALTED,), 0).game(
        StepOpened, 1, 1, ROOT, tuple(ROWS[:2]), 0
    )
    assert "step 1 was opened before" in broken(story)


def test_follow__nodes_of_another_root__are_broken() -> None:
    story = committed().challenged().game(Opened, 1, ROOT, tuple(ROWS[1:3]), FEE)
    assert "do not hash to" in broken(story)
    story = committed().challenged().opened().game(BlockRevealed, 1, ROWS[0], BLOCK, FEE)
    assert "another hash" in broken(story)


def test_follow__after_the_end_of_a_challenge__is_broken() -> None:
    story = committed().challenged().game(Defeated, 1, BOB, 1, 1)
    assert "which is DEFEATED" in broken(story.game(Pointed, 1, 0, 1, ROWS[1]))


def test_follow__after_the_fall__only_bonds_come_back() -> None:
    story = committed().challenged().challenged(2).game(ClaimFell, 1, OTHER, Fault.SILENT)
    story.game(Collected, 2, ME, 1, 1)
    assert story.dispute().challenge(2).outcome is Outcome.COLLECTED
    for last in (
        Challenged(story.place(), CLAIM, 3, ME, 1, 1, 1),
        Defeated(story.place(), CLAIM, 1, ME, 1, 1),
        Collected(story.place(), CLAIM, 2, ME, 1, 1),
    ):
        with pytest.raises(HistoryBroken, match=r"claim fell|COLLECTED"):
            Book([*story.events, last])


def test_follow__the_court_ends_a_claim__bonds_come_back() -> None:
    story = committed().challenged()
    ended = ClaimEnded(story.place(), CLAIM)
    book = Book([*story.events, ended])
    assert book.fallen == {CLAIM}
    assert (book.disputes[CLAIM].over, book.disputes[CLAIM].ended) == (True, ended)
    assert book.standing() == []
    back = Collected(story.place(), CLAIM, 1, ME, 50, 60)
    book.apply([back])
    assert book.disputes[CLAIM].challenge(1).outcome is Outcome.COLLECTED
    with pytest.raises(HistoryBroken, match="claim fell"):
        Book([*story.events, ended, Defeated(story.place(), CLAIM, 1, ME, 1, 1)])
    # Nobody challenged the claim: it has no dispute, and it fell.
    alone = Book([*committed().events, ended])
    assert (dict(alone.disputes), alone.fallen) == ({}, {CLAIM})


def test_follow__bond_back_of_a_standing_claim__is_broken() -> None:
    assert "claim stands" in broken(committed().challenged().game(Collected, 1, ME, 1, 1))


def test_preimages__node_at_two_heights__keeps_the_deeper_showing() -> None:
    node = fold(ROWS[:32], 5)
    deep, flat = tuple(ROWS[:32]), (fold(ROWS[:16], 4), fold(ROWS[16:32], 4))
    for shown in ((deep, flat), (flat, deep)):
        story = committed().challenged().opened()
        for nodes in shown:
            story.game(Revealed, 1, node, nodes, FEE)
        assert story.dispute().preimages[node] == deep


def test_preimages__second_step_of_the_same_root__hides_nothing() -> None:
    node = fold(ROWS[:5], 3)
    story = committed().challenged().opened()
    story.game(StepOpened, 1, 1, node, tuple(ROWS[:5]), 0)
    story.game(StepOpened, 1, 2, node, (node,), 0)
    assert story.dispute().preimages[node] == tuple(ROWS[:5])
    assert story.dispute().known.operations == {1: node, 2: node}


def test_step__opened_with_nothing_below__shows_nothing() -> None:
    story = committed().challenged().opened()
    story.game(StepOpened, 1, 1, ZERO, (), 0).game(StepOpened, 1, 2, HALTED, (HALTED,), 0)
    assert set(story.dispute().preimages) == {ROOT}


def test_challenge__number_out_of_range__raises() -> None:
    record = committed().challenged().dispute()
    for number in (0, 2, -1):
        with pytest.raises(IndexError):
            record.challenge(number)


def test_book__second_attempt__has_a_dispute_of_its_own() -> None:
    story = committed().challenged().game(ClaimFell, 1, OTHER, Fault.SILENT)
    story.lost()
    story.accepted(BOB, 1)
    second = Committed(story.place(), JOB, b"\x09" * 32, BOB, b"\x08" * 32, 9000, b"r")
    events: list[Event] = [*story.events, second]
    place = Place(50, 0, bytes(32), bytes(32), 2000)
    events.append(Challenged(place, b"\x09" * 32, 1, OTHER, 5, 6, 3000))
    events.append(Collected(replace(place, index=1), CLAIM, 1, ME, 50, 60))
    book = Book(events)
    assert list(book.disputes) == [CLAIM, b"\x09" * 32]
    assert book.disputes[b"\x09" * 32].attempt == 1
    assert book.disputes[b"\x09" * 32].provider == BOB
    assert book.disputes[CLAIM].challenge(1).outcome is Outcome.COLLECTED
