"""How an honest party plays the dispute game: its next moves, from what is known.  Pure.

A provider answers from its trace.  A challenger holds the true trace, walks to the leftmost leaf
that differs from it, and proves that leaf wrong.  Both look at the challenge as it stands and at
what everybody has seen, and keep nothing: after a restart, a reorg or a stranger's move the same
functions say how to go on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from protocol.spec import trees
from protocol.spec.constants import BLOCK_BYTES, ZERO
from protocol.spec.dispute import FAN, Challenge, Wait, children_of, fan_at, fold, is_end
from protocol.spec.errors import AssayError
from protocol.spec.proofs import AnyProof, Prover
from protocol.spec.referee import AnyJudged, Proof
from protocol.spec.trace import AnyTrace, AnyTrees, Levels, Tree, phase_of
from protocol.spec.types import NextKind, Program

# --- moves: one a function of IDisputeGame, with its arguments -----------------------------------


@dataclass(frozen=True)
class Point:
    """Down ``levels`` levels to node ``index`` there, which is ``child``; 0 asks for a reveal."""

    levels: int
    index: int
    child: bytes
    siblings: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Enter:
    """Into the tree below the leaf."""

    into: Tree
    proof: AnyProof


@dataclass(frozen=True)
class Open:
    """The topmost revealed level of the steps tree."""

    nodes: tuple[bytes, ...]


@dataclass(frozen=True)
class OpenStep:
    """The topmost revealed level of the operations that lead to leaf ``step``."""

    step: int
    nodes: tuple[bytes, ...]


@dataclass(frozen=True)
class Reveal:
    """What is below the challenge's node."""

    nodes: tuple[bytes, ...]


@dataclass(frozen=True)
class RevealBlock:
    """The 512 bytes of the challenge's leaf."""

    data: bytes


@dataclass(frozen=True)
class Prove:
    """The claim is wrong here."""

    kind: Proof
    proof: AnyJudged


Move = Point | Enter | Open | OpenStep | Reveal | RevealBlock | Prove


class NothingWrong(AssayError):
    """The claim is the truth: there is nothing to prove."""


class HistoryIncomplete(AssayError):
    """A node was revealed and what is below it is not known here: read all events again."""


# --- what is known -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """What everybody has seen of a claim.

    ``operations`` are roots of opened steps, by the leaf they lead to; ``preimages`` are the nodes
    below a node (the deepest that were shown), ``blocks`` the bytes of a leaf.
    """

    result_root: bytes
    steps_root: bytes = ZERO
    operations: Mapping[int, bytes] = field(default_factory=dict)
    preimages: Mapping[bytes, Sequence[bytes]] = field(default_factory=dict)
    blocks: Mapping[bytes, bytes] = field(default_factory=dict)

    def below(self, node: bytes, level: int, index: int, count: int) -> Sequence[bytes]:
        """What a reveal of the node would show in a tree of ``count`` leaves; nothing if unknown.

        It may have been shown elsewhere, with more nodes or fewer: an opened step is no reveal, and
        a liar may put one node at two heights.  What hashes to the node is what counts.
        """
        fan, wanted = fan_at(level), children_of(index, level, count)
        rows = rows_to(node, self.preimages.get(node, ()))
        if len(rows) <= fan:
            return ()
        row = rows[-1 - fan][:wanted]
        row += [ZERO] * (wanted - len(row))
        return row if fold(row, fan) == node else ()


def rows_to(node: bytes, nodes: Sequence[bytes]) -> list[list[bytes]]:
    """The levels from ``nodes`` (first), which are below ``node`` and leave padding out, up to it;
    none unless they hash to it over at most FAN levels."""
    rows = [list(nodes)]
    while rows[-1] != [node]:
        if not nodes or len(rows) > FAN:
            return []
        rows.append(_above(rows[-1]))
    return rows


def claimed_levels(
    known: Known, truth: AnyTrees, tree: Tree, step: int = 0, item: int = 0
) -> Levels:
    """A tree as claimed: what was revealed of it, and the truth where nothing was."""
    levels = [list(row) for row in truth.levels(tree, step, item)]
    match tree:
        case Tree.STEPS:
            root = known.steps_root
        case Tree.OUTPUTS:
            root = known.result_root
        case Tree.OPERATIONS:
            root = known.operations.get(step, levels[-1][0])
        case Tree.STATES:
            root = claimed_levels(known, truth, Tree.STEPS)[0][step]
        case _:
            above = Tree(tree - 2)
            root = claimed_levels(known, truth, above, step)[0][item]
    rest = [(root, len(levels) - 1, 0)]
    while rest:
        node, level, index = rest.pop()
        if index >= len(levels[level]) or levels[level][index] == node:
            continue
        levels[level][index] = node
        row = list(known.below(node, level, index, len(levels[0]))) if level else []
        at = level - fan_at(level)
        first = index << (level - at)
        rest += [(child, at, first + k) for k, child in enumerate(row)]
        while row and at + 1 < level:
            row, at, first = _above(row), at + 1, first >> 1
            levels[at][first : first + len(row)] = row
    return levels


def _above(row: list[bytes]) -> list[bytes]:
    row = [*row, ZERO] if len(row) % 2 else row
    return [trees.keccak256(row[k] + row[k + 1]) for k in range(0, len(row), 2)]


# --- the provider's side -------------------------------------------------------------------------


def below(levels: Levels, level: int, index: int) -> tuple[bytes, ...]:
    """Nodes that a reveal of node ``index`` at ``level`` shows."""
    fan = fan_at(level)
    return tuple(levels[level - fan][index << fan : (index + 1) << fan])


def answer(x: Challenge, trace: AnyTrace) -> list[Move]:
    """What the provider's side owes to the challenge, in one call; nothing where it owes nothing,
    or where the node is none of ``trace``."""
    match x.wait:
        case Wait.OPENING:
            levels = trace.levels(Tree.STEPS)
            moves: list[Move] = [Open(below(levels, len(levels) - 1, 0))]
            # Of one step everything will be asked: its opening travels with the claim's.
            return [*moves, open_step(1, trace)] if len(levels[0]) == 2 else moves
        case Wait.STEP:
            return [open_step(x.step, trace)]
        case Wait.REVEAL:
            shown = _shown(x, trace)
            return [] if shown is None else [shown]
    return []


def open_step(step: int, trace: AnyTrace) -> OpenStep:
    """The opening of the step that leads to leaf ``step``."""
    levels = trace.levels(Tree.OPERATIONS, step)
    return OpenStep(step, below(levels, len(levels) - 1, 0))


def _shown(x: Challenge, trace: AnyTrace) -> Move | None:
    where = where_of(x)
    levels = trace.levels(*where)
    row = levels[x.level] if x.level < len(levels) else []
    if x.count == 0 or x.index >= len(row) or row[x.index] != x.node:
        return None
    if x.level:
        return Reveal(below(levels, x.level, x.index))
    return RevealBlock(trace.block(*where, x.index))


def where_of(x: Challenge) -> tuple[Tree, int, int]:
    """The tree that a challenge is in, as a trace names it."""
    if x.tree in (Tree.STEPS, Tree.OUTPUTS):
        return x.tree, 0, 0
    return x.tree, x.step, x.item if x.tree >= Tree.STATE_BLOCKS else 0


def asked_of(x: Challenge) -> list[tuple[Tree, int, int]]:
    """The trees that the provider's answer shows nodes of, as a trace names them; of a step also
    those that the next answer may show, which one run gives with it."""
    if x.wait is Wait.STEP:
        return [(Tree.OPERATIONS, x.step, 0), (Tree.STATES, x.step, 0)]
    return [where_of(x)]


# --- the challenger's side -----------------------------------------------------------------------


@dataclass(frozen=True)
class Attack:
    """One honest challenger of one claim.  ``prover`` builds proofs from ``truth`` and from the
    claimed trees (``claimed_levels``)."""

    program: Program
    steps: tuple[int, ...]
    truth: AnyTrace
    known: Known
    prover: Prover

    def moves(self, x: Challenge) -> list[Move]:
        """All that can be done now, in one call: until the provider's side has to answer, or to the
        proof.  What is known is revealed by the challenger itself.

        Raises NothingWrong, HistoryIncomplete.
        """
        x = replace(x)
        moves: list[Move] = []
        while not (moves and isinstance(moves[-1], Prove)):
            move = self._next(x) if x.wait is Wait.CHALLENGER else self._helped(x)
            if move is None:
                return moves
            moves.append(move)
            self._apply(x, move)
        return moves

    def _helped(self, x: Challenge) -> Move | None:
        """The provider's answer, where it is known already."""
        if x.wait is not Wait.REVEAL or x.count == 0:
            return None
        if x.level:
            row = self.known.below(x.node, x.level, x.index, x.count)
            return Reveal(tuple(row)) if row else None
        data = self.known.blocks.get(x.node)
        # A liar may have shown it where its tail is in use: here it is no answer, from anybody.
        if data is None or (x.index == x.count - 1 and any(data[x.last_bytes :])):
            return None
        return RevealBlock(data)

    def _apply(self, x: Challenge, move: Move) -> None:
        """The challenge after a move, as far as the next one depends on it."""
        match move:
            case Point():
                x.node, x.index = move.child, move.index
                x.level -= move.levels
                x.known = is_end(x)
                if not x.known:
                    x.wait = Wait.REVEAL
                elif x.tree is Tree.STEPS:
                    x.step = move.index
                    if x.step and x.step not in self.known.operations:
                        x.wait = Wait.STEP
                else:
                    x.item = move.index
            case Enter():
                x.node = self._root(x, move.into)
                x.tree, x.index = move.into, 0
                x.count, x.last_bytes = self._size(x)
                x.level = trees.depth_of(x.count)
                x.known = is_end(x)
                if x.count == 0:
                    x.wait = Wait.REVEAL
            case Reveal() | RevealBlock():
                x.known, x.wait = True, Wait.CHALLENGER

    def _root(self, x: Challenge, into: Tree) -> bytes:
        if into is Tree.OUTPUTS:
            return self.known.result_root
        return self.known.operations[x.step] if into is Tree.OPERATIONS else x.node

    def _size(self, x: Challenge) -> tuple[int, int]:
        """Leaves of the tree that was entered, and bytes of its last block."""
        program = self.program
        if x.tree is Tree.OUTPUTS:
            return len(program.outputs), 0
        if x.tree is Tree.STATES:
            return len(program.states), 0
        if x.tree is Tree.OPERATIONS:
            return len(program.phases[phase_of(self.steps, x.step - 1)[0]].instances), 0
        size = math.prod(self._tensor(x))
        count = -(-size // BLOCK_BYTES)
        return count, size - (count - 1) * BLOCK_BYTES

    def _tensor(self, x: Challenge) -> tuple[int, int]:
        """Elements of the state or of the operation's result, and bytes of one."""
        if x.tree is Tree.STATE_BLOCKS:
            decl = self.program.states[x.item].tensor
            return decl.count, decl.dtype.size
        phase, _ = phase_of(self.steps, x.step - 1)
        instance = self.program.phases[phase].instances[x.item]
        template = self.program.templates[instance.template]
        return template.count, template.dtype.size

    # --- one move --------------------------------------------------------------------------------

    def _next(self, x: Challenge) -> Move:
        if is_end(x):
            if x.tree is Tree.STEPS and x.node == self._true(x)[0][x.index]:
                return self._enter(x, Tree.OUTPUTS)
            return self._at_leaf(x)
        if x.level == 0 and x.known:
            return self._element(x)
        return self._down(x)

    def _true(self, x: Challenge) -> Levels:
        return self.truth.levels(*where_of(x))

    def _down(self, x: Challenge) -> Move:
        """Over all that is known, to the first node that is not the true one."""
        true = self._true(x)
        node, level, index = x.node, x.level, x.index
        while level and (row := self.known.below(node, level, index, x.count)):
            fan = fan_at(level)
            first = index << fan
            found = [k for k, child in enumerate(row) if child != true[level - fan][first + k]]
            if not found:
                if x.tree is Tree.STEPS:
                    return self._enter(x, Tree.OUTPUTS)
                raise NothingWrong(f"the claimed {x.tree.name} tree is the true one")
            node, level, index = row[found[0]], level - fan, first + found[0]
        if level == x.level:
            if x.known:
                raise HistoryIncomplete(f"what is below 0x{node.hex()} was revealed before")
            return Point(0, index, node)
        part = claimed_levels(self.known, self.truth, *where_of(x))[level : x.level + 1]
        return Point(x.level - level, index, node, tuple(trees.siblings_of(part, index)))

    def _enter(self, x: Challenge, into: Tree) -> Move:
        return Enter(into, self.prover.entry(into, x.step, x.item))

    def _at_leaf(self, x: Challenge) -> Move:
        """A leaf that is no block: into the tree below it, or the proof."""
        if x.tree is Tree.OUTPUTS:
            return Prove(Proof.OUTPUT, self.prover.output(x.index))
        if x.tree is Tree.OPERATIONS:
            return self._enter(x, Tree.OPERATION_BLOCKS)
        if x.tree is Tree.STATES:
            return self._at_state(x)
        return self._enter(x, Tree.STATES) if x.step == 0 else self._at_step(x)

    def _at_step(self, x: Challenge) -> Move:
        claimed = self.known.operations[x.step]
        true = self.truth.levels(Tree.OPERATIONS, x.step)[-1][0]
        if trees.HALTED in (claimed, true):
            return Prove(Proof.HALT, self.prover.halt(x.step))
        return self._enter(x, Tree.STATES if claimed == true else Tree.OPERATIONS)

    def _at_state(self, x: Challenge) -> Move:
        if x.step == 0:
            return Prove(Proof.INITIAL, self.prover.initial(x.item))
        phase, _ = phase_of(self.steps, x.step - 1)
        if self.program.phases[phase].nexts[x.item].kind is NextKind.SLICE:
            return self._enter(x, Tree.STATE_BLOCKS)
        return Prove(Proof.NEXT, self.prover.next(x.step, x.item))

    def _element(self, x: Challenge) -> Move:
        """The block is known: the first element of it that is not the true one."""
        data = self.known.blocks.get(x.node)
        if data is None:
            raise HistoryIncomplete(f"the bytes of block 0x{x.node.hex()} were revealed before")
        _, width = self._tensor(x)
        element = first_wrong(data, self.truth.block(*where_of(x), x.index), width)
        element += x.index * BLOCK_BYTES // width
        if x.tree is Tree.STATE_BLOCKS:
            return Prove(Proof.SLICE, self.prover.slice(x.step, x.item, element, data))
        return Prove(Proof.ELEMENT, self.prover.element(x.step, x.item, element, data))


def first_wrong(claimed: bytes, true: bytes, size: int) -> int:
    """Number in its block of the first element, of ``size`` bytes, that differs."""
    pairs = zip(claimed, true, strict=True)
    byte = next((k for k, (a, b) in enumerate(pairs) if a != b), None)
    if byte is None:
        raise NothingWrong("the claimed block is the true one")
    return byte // size
