"""Words of a dispute: constants, claims and challenges, parts of trees, shares of bonds.

The pure twin of contracts/types/Dispute.sol and contracts/libraries/NodePath.sol.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from protocol.spec import trees
from protocol.spec.constants import ZERO
from protocol.spec.errors import MoveRefused
from protocol.spec.job import Deal, Fault, JobTerms, Payout, trace_seconds
from protocol.spec.trace import Tree
from protocol.spec.types import Program

# --- constants: the same names and values as contracts/types/Dispute.sol -------------------------

FAN: Final = 5
"""A reveal goes down this many levels, or to the leaves."""

FAN_NODES: Final = 32
"""Most nodes of a reveal."""

MOVE_GAS: Final = 120_000
"""Gas that an answer of the provider's side is paid for."""

MAX_MOVES: Final = 22
"""Most answers on any path of one challenge."""

CLOSE_GAS: Final = 160_000
"""Gas that closing a defeated challenge is paid for."""

FORFEIT_BURN_PARTS: Final = 5
"""One part in this many of a forfeited bond is burned, rounded up."""

BUDGET_MOVES: Final = 24
"""Moves that a chess clock holds beyond the time of building a trace."""

CHALLENGE_GAS: Final = 300_000
"""Gas of opening a challenge, repaid when the claim falls."""

PROOF_GAS: Final = 10_000_000
"""Gas of the largest proof, repaid to the challenge by which a wrong claim falls."""

TIMEOUT_GAS: Final = 600_000
"""Gas of ending a claim for silence, or for withheld data, paid to whoever does."""

MADE_WHOLE: Final = 8
"""Challengers that are made whole when a claim falls, beside the first of them."""

PREMIUM_PARTS: Final = 32
"""Each of them gets one part in this many of the reward."""


class Wait(IntEnum):
    """Whose move it is, and which."""

    OPENING = 0
    CHALLENGER = 1
    REVEAL = 2
    STEP = 3


class Outcome(IntEnum):
    """What became of a challenge."""

    NONE = 0
    LIVE = 1
    DEFEATED = 2
    COLLECTED = 3


# --- containers ----------------------------------------------------------------------------------


@dataclass
class Claim:
    """One claim under challenge; the fields of ``ClaimRecord``, and what the market knows."""

    terms: JobTerms
    program: Program
    provider: bytes
    result_root: bytes
    window_until: int
    steps_root: bytes = ZERO
    open_by: int = 0
    opened_at: int = 0
    fallen: bool = False
    leaves: int = 0
    budget: int = 0
    numbers: list[int] = field(default_factory=list)
    """Undefeated challenges, in order of opening."""
    count: int = 0
    holds: int = 0
    payouts: list[Payout] = field(default_factory=list)
    fault: Fault | None = None
    steps: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    """Opened steps: root of the operations, and when."""


@dataclass
class Challenge:
    """One challenge; the fields of the contract's struct."""

    challenger: bytes
    since: int
    node: bytes
    level: int
    count: int
    provider_budget: int
    challenger_budget: int
    token: int
    native: int
    outcome: Outcome = Outcome.LIVE
    wait: Wait = Wait.OPENING
    tree: Tree = Tree.STEPS
    known: bool = False
    index: int = 0
    step: int = 0
    item: int = 0
    last_bytes: int = 0
    price: int = 0
    """The most wei that a unit of an answer's gas is paid, of the block that asked for it."""


# --- helpers: NodePath.sol -----------------------------------------------------------------------


def width_at(count: int, level: int) -> int:
    """Nodes of a level that cover a leaf."""
    return -(-count // (1 << level))


def fan_at(level: int) -> int:
    """Levels that a reveal of a node at ``level`` goes down."""
    return min(level, FAN)


def children_of(index: int, level: int, count: int) -> int:
    """Children that a reveal of node ``index`` at ``level`` shows."""
    fan = fan_at(level)
    return min(1 << fan, width_at(count, level - fan) - (index << fan))


def fold(nodes: Sequence[bytes], levels: int) -> bytes:
    """The node ``levels`` above ``nodes``, of which the first is its leftmost descendant and which
    end where the tree does; ZERO above none."""
    level = list(nodes)
    if not level:
        return ZERO
    for _ in range(levels):
        if len(level) % 2:
            level.append(ZERO)
        pairs = range(0, len(level), 2)
        level = [trees.keccak256(level[k] + level[k + 1]) for k in pairs]
    return level[0]


def climb(
    node: bytes, index: int, level: int, levels: int, count: int, siblings: Sequence[bytes]
) -> bytes:
    """The node ``levels`` above node ``index`` at ``level`` that it and its siblings give."""
    if index >= width_at(count, level):
        raise MoveRefused("OutsideTree", f"node {index} of {width_at(count, level)}")
    rest = list(siblings)
    for k in range(level, level + levels):
        sibling = ZERO
        if index ^ 1 < width_at(count, k):
            if not rest:
                raise MoveRefused("WrongPathLength", f"{len(siblings)} siblings are too few")
            sibling = rest.pop(0)
        node = trees.keccak256(sibling + node if index & 1 else node + sibling)
        index >>= 1
    if rest:
        raise MoveRefused("WrongPathLength", f"{len(rest)} siblings are left over")
    return node


def is_end(x: Challenge) -> bool:
    """At a leaf that nothing can be revealed of."""
    return x.level == 0 and x.tree < Tree.STATE_BLOCKS


def clock_of(deal: Deal) -> int:
    """Seconds of each side's chess clock, beside those of one move."""
    return trace_seconds(deal.work_ms) + BUDGET_MOVES * deal.move_seconds


def native_bond(gas_price: int) -> int:
    """Wei of a bond: all answers, and the closing so that a fifth of it can burn too."""
    closing = CLOSE_GAS * FORFEIT_BURN_PARTS // (FORFEIT_BURN_PARTS - 1)
    return (MAX_MOVES * MOVE_GAS + closing) * gas_price


def forfeited(amount: int) -> int:
    """The part of a forfeited amount that burns."""
    return -(-amount // FORFEIT_BURN_PARTS)
