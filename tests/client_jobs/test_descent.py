"""Disputes in words, clocks and money, from events made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from client.descent import (
    Finding,
    Known,
    finding,
    leaves_text,
    legs,
    move_text,
    operation_text,
    source_lines,
    source_of,
    template_of,
    turn_text,
    value_text,
)
from client.spoils import Parties, Party, costs, money
from client.turns import seconds_left
from protocol.chain.demands import Docket
from protocol.chain.disputes import (
    ClaimFell,
    Dispute,
    Entered,
    GameEvent,
    Pointed,
    Revealed,
    StepOpened,
    Stop,
)
from protocol.chain.receipts import Sent
from protocol.spec.dispute import CLOSE_GAS, Wait, fold
from protocol.spec.job import DEAD, Fault
from protocol.spec.referee import Proof
from protocol.spec.trace import Tree
from protocol.spec.types import DType
from tests.chain.test_book import ALICE, BOB, JOB
from tests.chain.test_disputes import CLAIM, FEE, ME, OTHER, ROOT, ROWS, Story, committed, whole
from tests.game.world import DEAL, case

TASK = case("mlp").task(b"G" * 20, bytes(32))
NOTHING = Docket(CLAIM, JOB)
MLP = Known(case("mlp").example.program)


def texts(d: Dispute, number: int, proven: str = "element 5") -> list[str]:
    moves = d.challenge(number).moves
    return [move_text(m, moves[max(k - 1, 0)].stop, proven) for k, m in enumerate(moves)]


def test_move_text__whole_story__says_what_each_move_did() -> None:
    d = whole().dispute()
    assert texts(d, 1) == [
        "challenged the claim",
        "pointed at step 1",
        "opened step 1: 3 nodes of its operations",
        "entered the operations of step 1: 3 operations",
        "pointed at operation 2",
        "entered operation 2: 300 blocks",
        "pointed at blocks 48..63, the 4th of 19 nodes",
        "revealed 16 nodes below blocks 48..63",
        "pointed at block 50",
        "revealed block 50",
        "proved element 5 wrong",
        "took the bond back",
    ]
    assert texts(d, 2) == [
        "challenged the claim",
        "opened the steps: 2 nodes",
        "called time on the challenger: the challenge is defeated",
    ]


def test_legs__whole_story__narrow_down_tree_by_tree() -> None:
    d = whole().dispute()
    steps, operations, blocks = legs(d, d.challenge(1))
    assert (steps.tree, steps.root, steps.ranges) == (Tree.STEPS, ROOT, ((1, 1),))
    assert (operations.root, operations.ranges) == (d.steps[1].root, ((2, 2),))
    assert (blocks.root, blocks.count) == (ROWS[4], 300)
    assert blocks.ranges == ((48, 63), (50, 50))
    assert all(leg.arrived for leg in (steps, operations, blocks))
    (other,) = legs(d, d.challenge(2))
    assert (other.arrived, other.ranges) == (False, ())


def test_legs__asked_twice_for_the_same_node__is_one_range() -> None:
    story = committed().challenged().opened()
    story.game(Pointed, 1, 0, 1, ROWS[1])
    d = story.game(Pointed, 1, 0, 1, ROWS[1]).dispute()
    assert legs(d, d.challenge(1))[0].ranges == ((1, 1),)
    assert texts(d, 1)[-1] == "asked for what is below step 1"


@pytest.mark.parametrize(
    "tree, first, last, wanted",
    [
        (Tree.OPERATIONS, 96, 127, "operations 96..127"),
        (Tree.OPERATION_BLOCKS, 24320, 24320, "block 24,320"),
        (Tree.STATES, 0, -1, "no state"),
    ],
)
def test_leaves_text__one_several_or_none__reads_well(
    tree: Tree, first: int, last: int, wanted: str
) -> None:
    assert leaves_text(tree, first, last) == wanted


@pytest.mark.parametrize(
    "wait, stop, wanted",
    [
        (Wait.OPENING, Stop(Tree.STEPS, 1, 0, ROOT, 2), "the provider opens the steps"),
        (Wait.STEP, Stop(Tree.STEPS, 0, 7, ROOT, 9, 7), "the provider opens step 7"),
        (Wait.CHALLENGER, Stop(Tree.STEPS, 1, 0, ROOT, 2), "the challenger moves"),
        (Wait.REVEAL, Stop(Tree.OPERATION_BLOCKS, 0, 3, ROOT, 9), "the provider reveals block 3"),
        (
            Wait.REVEAL,
            Stop(Tree.OPERATIONS, 5, 3, ROOT, 128),
            "the provider reveals what is below operations 96..127",
        ),
    ],
)
def test_turn_text__each_wait__says_whose_turn_it_is(wait: Wait, stop: Stop, wanted: str) -> None:
    assert turn_text(wait, stop) == wanted


# --- values, operations, sources ------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype, number, wanted",
    [
        (DType.F32, -0.7123, "-0.712300003 (0xbf36594b)"),
        (DType.F32, float("nan"), "nan (0x7fc00000)"),
        (DType.F32, -0.0, "-0 (0x80000000)"),
        (DType.I16, -32639, "-32,639 (0x8081)"),
        (DType.I8, -1, "-1 (0xff)"),
        (DType.I64, 10**12, "1,000,000,000,000 (0x000000e8d4a51000)"),
    ],
)
def test_value_text__an_element__is_the_number_and_its_bits(
    dtype: DType, number: float, wanted: str
) -> None:
    f = Finding(Proof.ELEMENT, Stop(Tree.OPERATION_BLOCKS, 0, 0, ROOT, 1), dtype=dtype)
    assert value_text(f, np.array([number], dtype.numpy).tobytes()) == wanted


def test_value_text__root_or_halt__is_hexadecimal_or_a_word() -> None:
    f = Finding(Proof.HALT, Stop(Tree.STEPS, 0, 3, ROOT, 9, 3))
    assert value_text(f, ROOT) == "0x" + ROOT.hex()
    assert (value_text(f, b"\1"), value_text(f, b"\0")) == ("halted", "ran")
    assert f.what == "the halt of step 3"


def test_template_of__operations_and_what_is_none__are_told_apart() -> None:
    t = template_of(MLP, TASK, 1, 2)
    assert t is not None
    assert operation_text(t) == "DOT over 70 -> f32 [3, 5]"
    assert template_of(MLP, TASK, 1, 3) is None
    beyond = replace(TASK, steps=1 << 32)
    assert template_of(MLP, beyond, 1, 0) is None, "a step of a phase that does not exist"


def test_source_lines__what_the_importer_noted__is_the_place_and_its_text() -> None:
    noted = 'File "/opt/nets/a/b/c/net.py", line 12, in forward: x = self.fc(x)'
    assert source_lines(noted) == ["…/a/b/c/net.py:12 in forward", "x = self.fc(x)"]
    assert source_lines('File "net.py", line 1, in f') == ["net.py:1 in f"]
    assert source_lines("relu_3") == ["relu_3"]
    assert source_lines("") == []


def test_source_lines__escapes_of_a_strangers_model__move_no_cursor() -> None:
    assert source_lines("x\x1b[2J\ny") == ["x?[2J?y"]


def test_source_of__programs_of_one_phase__by_operation() -> None:
    named = Known(MLP.program, ("first", "second"))
    assert [source_of(named, k) for k in range(3)] == ["first", "second", ""]
    several = Known(case("phases").example.program, ("first", "second"))
    assert source_of(several, 0) == ""


# --- findings -------------------------------------------------------------------------------------


def test_finding__proof_passed_on_by_another_contract__says_that_it_is_not_there() -> None:
    d = whole().dispute()
    f = finding(d, TASK, None, MLP, "")
    assert f is not None
    assert (f.kind, f.element, f.claimed, f.true) == (Proof.ELEMENT, None, None, None)
    assert f.what == "an element of block 50"
    assert "another contract" in f.missing


def test_finding__calldata_without_the_proof__says_so() -> None:
    f = finding(whole().dispute(), TASK, b"\1\2\3\4garbage", MLP, "")
    assert f is not None
    assert "not in the transaction's calldata" in f.missing


def test_finding__silence__is_none() -> None:
    story = committed().challenged()
    d = story.game(ClaimFell, 1, BOB, Fault.SILENT).dispute()
    assert finding(d, TASK, b"", MLP, "") is None


# --- clocks ---------------------------------------------------------------------------------------


def later(story: Story, seconds: int) -> Story:
    """The last move comes so much later."""
    last = story.events[-1]
    place = replace(last.place, time=last.place.time + seconds)
    story.events[-1] = replace(last, place=place)
    return story


def test_seconds_left__slow_moves__leave_less_for_the_next() -> None:
    deal = replace(DEAL, work_ms=1000, move_seconds=60)
    budget = 5 + 24 * 60
    story = committed().challenged().opened()
    opened = story.events[-1].place.time
    story.game(Pointed, 1, 0, 1, ROWS[1])
    later(story, opened + 200 - story.events[-1].place.time)
    d = story.dispute()
    left = seconds_left(d, deal)
    assert [*left.values()] == [2000 - opened, budget + 60 - 200]
    assert seconds_left(committed().challenged().dispute(), deal) == {}


def test_seconds_left__step_opened_late_for_another__leaves_this_budget_too() -> None:
    deal = replace(DEAL, work_ms=1000, move_seconds=60)
    budget, operations = 5 + 24 * 60, fold(ROWS[2:5], 2)
    story = committed().challenged().challenged(2, OTHER).opened(2)
    story.game(Pointed, 1, 0, 1, ROWS[1])
    story.game(Pointed, 2, 0, 1, ROWS[1])
    asked = story.events[-1].place.time
    story.game(StepOpened, 1, 1, operations, tuple(ROWS[2:5]), FEE)
    later(story, asked + 500 - story.events[-1].place.time)
    opened = story.events[-1].place.time
    node = fold(ROWS[:16], 4)
    moves: list[tuple[type[GameEvent], tuple[object, ...]]] = [
        (Entered, (Tree.OPERATIONS, operations, 3)),
        (Pointed, (0, 2, ROWS[4])),
        (Entered, (Tree.OPERATION_BLOCKS, ROWS[4], 300)),
        (Pointed, (4, 3, node)),
        (Revealed, (node, tuple(ROWS[:16]), FEE)),
    ]
    for kind, values in moves:
        story.game(kind, 2, *values)
        later(story, opened - story.events[-1].place.time)
    left = seconds_left(story.dispute(), deal)
    assert left[story.events[-1].place] == budget - (500 - 60) + 60


# --- money ----------------------------------------------------------------------------------------


def test_money__whole_story__adds_up_to_what_the_contracts_still_hold() -> None:
    d = whole().dispute()
    deal = replace(DEAL, gas_price=0)
    lines = money(d, NOTHING, deal, 0, True, None)
    told = [(line.who, line.what, line.token, line.native) for line in lines]
    assert told == [
        (ME, "bond 1", -50, -60),
        (ALICE, "answers", 0, 4 * FEE),
        (ME, "bonds back", 50, 30),
        (OTHER, "bond 2", -50, -60),
        (ALICE, "rest of defeated bonds", 40, 32),
        (DEAD, "burned of bonds", 10, 8),
    ]


def test_money__answers_and_closings__are_paid_from_bonds() -> None:
    d = whole().dispute()
    deal = replace(DEAL, gas_price=1)
    lines = {(x.who, x.what): x for x in money(d, NOTHING, deal, 0, True, None)}
    assert lines[ALICE, "answers"].native == 4 * FEE
    assert lines[BOB, "closing"].native == CLOSE_GAS


def test_costs__transactions_of_all_sides__are_added_by_party() -> None:
    parties = Parties(ALICE, b"C" * 20, frozenset({ME}), frozenset(), BOB)

    def one(sender: bytes, gas: int) -> Sent:
        return Sent(CLAIM, sender, b"G" * 20, b"", gas, 2 * gas, 1)

    spent = costs([one(ME, 5), one(BOB, 7), one(ALICE, 11), one(OTHER, 13)], parties)
    assert [(c.party, c.transactions, c.gas, c.paid) for c in spent] == [
        (Party.CHALLENGER, 1, 5, 10), (Party.PROVIDER, 2, 18, 36), (Party.STRANGER, 1, 13, 26),
    ]  # fmt: skip


def test_parties__no_delegate__makes_nobody_the_provider() -> None:
    parties = Parties(ALICE, b"C" * 20, frozenset({ME}), frozenset(), bytes(20))
    assert parties.of(bytes(20)) is Party.STRANGER
    assert parties.of(DEAD) is Party.BURNED
    assert parties.of(b"C" * 20) is Party.CLIENT
