"""The constants of the game are the same in the contract and in the specification."""

from __future__ import annotations

import re

from protocol.spec import answers, demands, dispute, trees
from protocol.spec.constants import BLOCK_BYTES, MAX_ELEMENTS, MAX_TABLE
from protocol.spec.referee import Proof
from protocol.spec.trace import Tree
from scripts import tools

SOURCE = (tools.ROOT / "contracts/types/Dispute.sol").read_text()
COURT = (tools.ROOT / "contracts/types/Demand.sol").read_text()


def test_dispute_constants__both_files__have_the_same_names_and_values() -> None:
    found = re.findall(r"uint256 constant (\w+) = ([\d_]+);", SOURCE)
    assert len(found) == 12
    for name, value in found:
        assert getattr(dispute, name) == int(value), name


def test_dispute_enums__both_files__have_the_same_members() -> None:
    for enum in (Tree, Proof, dispute.Wait, dispute.Outcome):
        body = re.search(rf"enum {enum.__name__} {{([^}}]*)}}", SOURCE)
        assert body, enum
        assert body[1].replace(",", " ").split() == [m.name for m in enum]


def test_demand_constants__both_files__have_the_same_names_and_values() -> None:
    found = re.findall(r"uint256 constant (\w+) = ([\d_]+);", COURT)
    assert len(found) == 7
    for name, value in found:
        assert getattr(demands, name) == int(value), name


def test_demand_enums__both_files__have_the_same_members() -> None:
    for enum in (answers.Part, demands.DemandState):
        body = re.search(rf"enum {enum.__name__} {{([^}}]*)}}", COURT)
        assert body, enum
        assert body[1].replace(",", " ").split() == [m.name for m in enum]


def reveals(leaves: int) -> int:
    """Reveals on a path from the root of a tree to a leaf."""
    return -(-trees.depth_of(leaves) // dispute.FAN)


def test_bond__deepest_path_that_the_machine_has__asks_for_no_more_answers_than_it_pays() -> None:
    """Else the unchecked charge of an answer would wrap, or leave less than the closing."""
    steps = reveals(8 * (2**32 - 1) + 1)
    table = reveals(MAX_TABLE)
    blocks = reveals(-(-(MAX_ELEMENTS - 1) * 8 // BLOCK_BYTES)) + 1
    # The opening of the claim is the first reveal of its steps; one more is the step's opening.
    assert steps + 1 + table + blocks <= dispute.MAX_MOVES
    # A job of one step may have that step's opening charged beside a path elsewhere.
    assert reveals(2) + 1 + table + blocks <= dispute.MAX_MOVES
    left = dispute.native_bond(1) - dispute.MAX_MOVES * dispute.MOVE_GAS
    assert left - dispute.forfeited(left) >= dispute.CLOSE_GAS
