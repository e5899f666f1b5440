"""What travels in the ``proof`` of a dispute's moves, and who builds it.

The types are those of contracts/types/DisputeProofs.sol, in the same order of fields, so that one
encodes as a tuple by the type string in ``ABI``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from protocol.spec import encoding, trees
from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.operations import Scalars
from protocol.spec.reads import element_reads, runs_of
from protocol.spec.trace import Levels, Tree, phase_of
from protocol.spec.types import InitKind, NextKind, Program, Source


class ProgramPart(NamedTuple):
    header: bytes
    tables: list[bytes]


class PhasePart(NamedTuple):
    head: bytes
    instances: bytes
    nexts: bytes
    siblings: list[bytes]


class Leaf(NamedTuple):
    data: bytes
    siblings: list[bytes]


class Inner(NamedTuple):
    root: bytes
    siblings: list[bytes]


class OperandPart(NamedTuple):
    meta: bytes
    siblings: list[bytes]


class BlockRun(NamedTuple):
    slot: int
    first: int
    blocks: bytes
    siblings: list[bytes]


class ScalarsPart(NamedTuple):
    step: int
    phase_step: int
    seed: int


class TableProof(NamedTuple):
    program: ProgramPart


class OperationsProof(NamedTuple):
    program: ProgramPart
    phase: PhasePart


class OperationProof(NamedTuple):
    program: ProgramPart
    phase: PhasePart
    instance: Leaf
    template: Leaf


class StateProof(NamedTuple):
    program: ProgramPart
    state: Leaf


class ElementProof(NamedTuple):
    program: ProgramPart
    phase: PhasePart
    instance: Leaf
    template: Leaf
    before: Inner
    roots: list[bytes]
    operands: list[OperandPart]
    runs: list[BlockRun]
    scalars: ScalarsPart
    element: int
    data: bytes


class SliceProof(NamedTuple):
    program: ProgramPart
    phase: PhasePart
    next: Leaf
    state: Leaf
    before: Inner
    old: Inner
    value: Inner
    index_root: Inner
    index_block: BlockRun
    source: BlockRun
    element: int
    data: bytes


class NextProof(NamedTuple):
    program: ProgramPart
    phase: PhasePart
    next: Leaf
    before: Inner
    source: Inner


class InitialProof(NamedTuple):
    program: ProgramPart
    state: Leaf
    source: Inner


class OutputProof(NamedTuple):
    program: ProgramPart
    output: Leaf
    state: Leaf
    last: Inner
    value: Inner


class HaltProof(NamedTuple):
    program: ProgramPart
    before: Inner
    halt: Inner
    data: bytes


_PROGRAM: Final = "(bytes,bytes32[])"
_PHASE: Final = "(bytes,bytes32,bytes32,bytes32[])"
_LEAF: Final = "(bytes,bytes32[])"
_INNER: Final = "(bytes32,bytes32[])"
_RUN: Final = "(uint8,uint64,bytes,bytes32[])"

ABI: Final[dict[type, str]] = {
    TableProof: f"({_PROGRAM})",
    OperationsProof: f"({_PROGRAM},{_PHASE})",
    OperationProof: f"({_PROGRAM},{_PHASE},{_LEAF},{_LEAF})",
    StateProof: f"({_PROGRAM},{_LEAF})",
    ElementProof: f"({_PROGRAM},{_PHASE},{_LEAF},{_LEAF},{_INNER},bytes32[],{_LEAF}[],{_RUN}[],"
    "(int64,int64,int64),uint256,bytes)",
    SliceProof: f"({_PROGRAM},{_PHASE},{_LEAF},{_LEAF},{_INNER},{_INNER},{_INNER},{_INNER},"
    f"{_RUN},{_RUN},uint256,bytes)",
    NextProof: f"({_PROGRAM},{_PHASE},{_LEAF},{_INNER},{_INNER})",
    InitialProof: f"({_PROGRAM},{_LEAF},{_INNER})",
    OutputProof: f"({_PROGRAM},{_LEAF},{_LEAF},{_INNER},{_INNER})",
    HaltProof: f"({_PROGRAM},{_INNER},{_INNER},bytes)",
}
"""ABI type of each proof."""

NOTHING: Final = Inner(bytes(32), [])
"""Where a proof needs no such part."""

NO_RUN: Final = BlockRun(0, 0, b"", [])

AnyProof = NamedTuple
LevelsOf = Callable[[Tree, int, int], Levels]
"""levels_of(tree, step, item): the claimed tree, as far as a proof needs it."""

BytesOf = Callable[[Tree, int, int], bytes]
"""bytes_of(tree, step, item): bytes of a state (STATES) or an operation (OPERATIONS)."""


@dataclass(frozen=True)
class Prover:
    """Builds proofs about a claim of one job.

    ``levels`` gives the claimed trees: what was revealed of them, and where nothing was, the truth
    (left of the first difference both are the same).  ``data`` gives the true bytes of what a proof
    reads.  ``constants`` and ``inputs`` are the tensors' bytes.
    """

    program: Program
    constants: Sequence[bytes]
    inputs: Sequence[bytes]
    steps: tuple[int, ...]
    seed: int
    levels: LevelsOf
    data: BytesOf

    # --- parts -----------------------------------------------------------------------------------

    def part(self) -> ProgramPart:
        """The program's header and tables."""
        return ProgramPart(encoding.encode_header(self.program), encoding.tables(self.program))

    def _phase(self, step: int) -> PhasePart:
        number, _ = phase_of(self.steps, step - 1)
        s = encoding.sections(self.program)
        hashes = encoding.phase_hashes(self.program)
        instances, nexts = (trees.list_root(x) for x in s.phases[number])
        siblings = trees.siblings_of(trees.levels_of(hashes), number)
        head = encoding.encode_phase_head(self.program.phases[number])
        return PhasePart(head, instances, nexts, siblings)

    def _leaf(self, data: bytes, leaves: list[bytes], index: int) -> Leaf:
        return Leaf(data, trees.siblings_of(trees.levels_of(leaves), index))

    def _instance(self, step: int, item: int) -> tuple[Leaf, Leaf]:
        number, _ = phase_of(self.steps, step - 1)
        s = encoding.sections(self.program)
        instance = self.program.phases[number].instances[item]
        template = self.program.templates[instance.template]
        return (
            self._leaf(encoding.encode_instance(instance), s.phases[number][0], item),
            self._leaf(encoding.encode_template(template), s.templates, instance.template),
        )

    def _next(self, step: int, item: int) -> Leaf:
        number, _ = phase_of(self.steps, step - 1)
        s = encoding.sections(self.program)
        data = encoding.encode_next(self.program.phases[number].nexts[item])
        return self._leaf(data, s.phases[number][1], item)

    def _state(self, item: int) -> Leaf:
        data = encoding.encode_state(self.program.states[item])
        return self._leaf(data, encoding.sections(self.program).states, item)

    def _inner(self, tree: Tree, step: int, index: int) -> Inner:
        levels = self.levels(tree, step, 0)
        return Inner(levels[0][index], trees.siblings_of(levels, index))

    def _before(self, step: int) -> Inner:
        return self._inner(Tree.STEPS, 0, step - 1)

    # --- entering --------------------------------------------------------------------------------

    def entry(self, into: Tree, step: int, item: int) -> AnyProof:
        """What ``enter`` wants."""
        if into in (Tree.OUTPUTS, Tree.STATES):
            return TableProof(self.part())
        if into is Tree.OPERATIONS:
            return OperationsProof(self.part(), self._phase(step))
        if into is Tree.STATE_BLOCKS:
            return StateProof(self.part(), self._state(item))
        return OperationProof(self.part(), self._phase(step), *self._instance(step, item))

    # --- proving ---------------------------------------------------------------------------------

    def element(self, step: int, item: int, element: int, data: bytes) -> ElementProof:
        """Of an element in the claimed block ``data``, with the blocks that it reads."""
        number, phase_step = phase_of(self.steps, step - 1)
        operands: list[OperandPart] = []
        raws: list[bytes] = []
        instance = self.program.phases[number].instances[item]
        uses_state = False
        for ref in instance.operands:
            raw, part = self._operand(step, ref.source, ref.index)
            uses_state |= ref.source is Source.STATE
            operands.append(part)
            raws.append(raw)
        scalars = ScalarsPart(step - 1, phase_step, self.seed)
        roots = [trees.block_root(raw) for raw in raws]
        runs = self._runs(instance.template, raws, scalars, element)
        before = self._before(step) if uses_state else NOTHING
        return ElementProof(
            self.part(), self._phase(step), *self._instance(step, item), before, roots, operands,
            runs, scalars, element, data,
        )  # fmt: skip

    def _runs(
        self, template: int, raws: Sequence[bytes], scalars: ScalarsPart, element: int
    ) -> list[BlockRun]:
        t = self.program.templates[template]
        pairs = zip(t.slots, raws, strict=True)
        tensors = [np.frombuffer(raw, slot.dtype.numpy) for slot, raw in pairs]
        _, reads = element_reads(t, tensors, scalars_of(scalars), element)
        runs = []
        for slot, (raw, blocks) in enumerate(zip(raws, reads, strict=True)):
            levels = trees.levels_of(trees.block_leaves(raw))
            for first, count in runs_of(blocks):
                part = raw[first * BLOCK_BYTES : (first + count) * BLOCK_BYTES]
                filled = part.ljust(count * BLOCK_BYTES, b"\0")
                runs.append(BlockRun(slot, first, filled, trees.siblings_of(levels, first, count)))
        return runs

    def _operand(self, step: int, source: Source, index: int) -> tuple[bytes, OperandPart]:
        if source is Source.STATE:
            levels = self.levels(Tree.STATES, step - 1, 0)
            part = OperandPart(b"", trees.siblings_of(levels, index))
            return self.data(Tree.STATES, step - 1, index), part
        if source is Source.OP:
            levels = self.levels(Tree.OPERATIONS, step, 0)
            part = OperandPart(b"", trees.siblings_of(levels, index))
            return self.data(Tree.OPERATIONS, step, index), part
        const = source is Source.CONST
        decl = (self.program.constants if const else self.program.inputs)[index]
        siblings = trees.siblings_of(self._wrappers(const), index)
        meta = trees.tensor_meta(decl.dtype, decl.shape)
        return (self.constants if const else self.inputs)[index], OperandPart(meta, siblings)

    def _wrappers(self, const: bool) -> Levels:
        decls = self.program.constants if const else self.program.inputs
        raws = self.constants if const else self.inputs
        return trees.levels_of([
            trees.wrap(d.dtype, d.shape, trees.block_root(raw))
            for d, raw in zip(decls, raws, strict=True)
        ])  # fmt: skip

    def slice(self, step: int, item: int, element: int, data: bytes) -> SliceProof:
        """Of an element of a state that a slice write changes, in the claimed block ``data``."""
        number, _ = phase_of(self.steps, step - 1)
        item_next = self.program.phases[number].nexts[item]
        decl = self.program.states[item].tensor
        index_raw = self.data(Tree.OPERATIONS, step, item_next.index)
        at = int.from_bytes(index_raw[:8], "little", signed=True)
        inner = 1
        for n in decl.shape[item_next.axis + 1 :]:
            inner *= n
        width = decl.shape[item_next.axis]
        value, before, old = NOTHING, NOTHING, NOTHING
        if at == element // inner % width:
            raw = self.data(Tree.OPERATIONS, step, item_next.value)
            place = element // (inner * width) * inner + element % inner
            value = self._inner(Tree.OPERATIONS, step, item_next.value)
        else:
            raw, place = self.data(Tree.STATES, step - 1, item), element
            before, old = self._before(step), self._inner(Tree.STATES, step - 1, item)
        return SliceProof(
            self.part(), self._phase(step), self._next(step, item), self._state(item), before, old,
            value, self._inner(Tree.OPERATIONS, step, item_next.index), block_run(index_raw, 0),
            block_run(raw, place * decl.dtype.size // BLOCK_BYTES), element, data,
        )  # fmt: skip

    def next(self, step: int, item: int) -> NextProof:
        """Of a state that is kept or becomes an operation."""
        number, _ = phase_of(self.steps, step - 1)
        item_next = self.program.phases[number].nexts[item]
        if item_next.kind is NextKind.KEEP:
            before, source = self._before(step), self._inner(Tree.STATES, step - 1, item)
        else:
            before, source = NOTHING, self._inner(Tree.OPERATIONS, step, item_next.value)
        return NextProof(self.part(), self._phase(step), self._next(step, item), before, source)

    def initial(self, item: int) -> InitialProof:
        """Of a state before the first step."""
        init = self.program.states[item].init
        source = NOTHING
        if init.kind is not InitKind.FILL:
            levels = self._wrappers(init.kind is InitKind.CONST)
            source = Inner(levels[0][init.value], trees.siblings_of(levels, init.value))
        return InitialProof(self.part(), self._state(item), source)

    def output(self, item: int) -> OutputProof:
        """Of an output."""
        n = self.program.outputs[item]
        last = sum(self.steps)
        leaf = self._leaf(trees.word(n), encoding.sections(self.program).outputs, item)
        return OutputProof(
            self.part(), leaf, self._state(n), self._inner(Tree.STEPS, 0, last),
            self._inner(Tree.STATES, last, n),
        )  # fmt: skip

    def halt(self, step: int) -> HaltProof:
        """Of a step that ran or did not."""
        if self.program.halt is None:
            return HaltProof(self.part(), NOTHING, NOTHING, b"")
        data = self.data(Tree.STATES, step - 1, self.program.halt).ljust(BLOCK_BYTES, b"\0")
        halt = self._inner(Tree.STATES, step - 1, self.program.halt)
        return HaltProof(self.part(), self._before(step), halt, data)


def block_run(raw: bytes, index: int) -> BlockRun:
    """Block ``index`` of a tensor's bytes, proven."""
    levels = trees.levels_of(trees.block_leaves(raw))
    block = raw[index * BLOCK_BYTES : (index + 1) * BLOCK_BYTES].ljust(BLOCK_BYTES, b"\0")
    return BlockRun(0, index, block, trees.siblings_of(levels, index))


def scalars_of(part: ScalarsPart) -> Scalars:
    """As the interpreter takes them."""
    return Scalars(part.step, part.phase_step, part.seed)
