"""The constants of the game are the same in the contract and in the specification."""

from __future__ import annotations

import re

from protocol.spec import answers, demands, dispute
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
