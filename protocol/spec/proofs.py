"""What travels in the ``proof`` of a dispute's moves, and who builds it.

The types are those of contracts/types/DisputeProofs.sol, in the same order of fields, so that one
encodes as a tuple by the type string in ``ABI``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from protocol.spec import encoding, trees
from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.operations import Scalars
from protocol.spec.reads import element_reads, runs_of
from protocol.spec.trace import Levels, Raw, Tree, phase_of
from protocol.spec.types import InitKind, NextKind, Program, Ref, Source, Template, TensorDecl


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

BytesOf = Callable[[Tree, int, int], Raw]
"""bytes_of(tree, step, item): bytes of a state (STATES) or an operation (OPERATIONS)."""

TreeOf = Callable[[Raw], Levels]
"""tree_of(bytes): their block tree."""


def block_levels(raw: Raw) -> Levels:
    """The block tree over bytes, by the specification: some MB a minute."""
    return trees.levels_of(trees.block_leaves(raw))


@dataclass(frozen=True)
class Prover:
    """Builds proofs about a claim of one job.

    ``levels`` gives the claimed trees: what was revealed of them, and where nothing was, the truth
    (left of the first difference both are the same).  ``data`` gives the true bytes of what a proof
    reads: of an element the operands of that one operation.  ``constants`` and ``inputs`` are the
    tensors' bytes; ``tree`` hashes them (``protocol.hashing.block_levels`` where they are large).
    Program and constants are hashed once: keep a prover as long as its claim.
    """

    program: Program
    constants: Sequence[Raw]
    inputs: Sequence[Raw]
    steps: tuple[int, ...]
    seed: int
    levels: LevelsOf
    data: BytesOf
    tree: TreeOf = block_levels

    # --- parts -----------------------------------------------------------------------------------

    @cached_property
    def _part(self) -> ProgramPart:
        return ProgramPart(encoding.encode_header(self.program), encoding.tables(self.program))

    @cached_property
    def _sections(self) -> encoding.Sections:
        return encoding.sections(self.program)

    @cached_property
    def _phases(self) -> Levels:
        return trees.levels_of(encoding.phase_hashes(self.program))

    @cached_property
    def _constants(self) -> Levels:
        return self._wrapped(self.program.constants, self.constants)

    @cached_property
    def _inputs(self) -> Levels:
        return self._wrapped(self.program.inputs, self.inputs)

    def _wrapped(self, decls: Sequence[TensorDecl], raws: Sequence[Raw]) -> Levels:
        pairs = zip(decls, raws, strict=True)
        return trees.levels_of([trees.wrap(d.dtype, d.shape, self._root(x)) for d, x in pairs])

    def _root(self, raw: Raw) -> bytes:
        return self.tree(raw)[-1][0]

    def part(self) -> ProgramPart:
        """The program's header and tables."""
        return self._part

    def _phase(self, step: int) -> PhasePart:
        number, _ = phase_of(self.steps, step - 1)
        instances, nexts = (trees.list_root(x) for x in self._sections.phases[number])
        siblings = trees.siblings_of(self._phases, number)
        head = encoding.encode_phase_head(self.program.phases[number])
        return PhasePart(head, instances, nexts, siblings)

    def _leaf(self, data: bytes, leaves: list[bytes], index: int) -> Leaf:
        return Leaf(data, trees.siblings_of(trees.levels_of(leaves), index))

    def _instance(self, step: int, item: int) -> tuple[Leaf, Leaf]:
        number, _ = phase_of(self.steps, step - 1)
        s = self._sections
        instance = self.program.phases[number].instances[item]
        template = self.program.templates[instance.template]
        return (
            self._leaf(encoding.encode_instance(instance), s.phases[number][0], item),
            self._leaf(encoding.encode_template(template), s.templates, instance.template),
        )

    def _next(self, step: int, item: int) -> Leaf:
        number, _ = phase_of(self.steps, step - 1)
        data = encoding.encode_next(self.program.phases[number].nexts[item])
        return self._leaf(data, self._sections.phases[number][1], item)

    def _state(self, item: int) -> Leaf:
        data = encoding.encode_state(self.program.states[item])
        return self._leaf(data, self._sections.states, item)

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
        instance = self.program.phases[number].instances[item]
        operands = [self._operand(step, ref) for ref in instance.operands]
        scalars = ScalarsPart(step - 1, phase_step, self.seed)
        template = self.program.templates[instance.template]
        roots, runs = self._blocks(template, [raw for raw, _ in operands], scalars, element)
        uses_state = any(ref.source is Source.STATE for ref in instance.operands)
        before = self._before(step) if uses_state else NOTHING
        return ElementProof(
            self.part(), self._phase(step), *self._instance(step, item), before, roots,
            [part for _, part in operands], runs, scalars, element, data,
        )  # fmt: skip

    def _blocks(
        self, t: Template, raws: Sequence[Raw], scalars: ScalarsPart, element: int
    ) -> tuple[list[bytes], list[BlockRun]]:
        """Block roots of the operands, and their blocks that the element reads."""
        pairs = zip(t.slots, raws, strict=True)
        tensors = [np.frombuffer(raw, slot.dtype.numpy) for slot, raw in pairs]
        _, reads = element_reads(t, tensors, scalars_of(scalars), element)
        roots, runs = [], []
        for slot, (raw, blocks) in enumerate(zip(raws, reads, strict=True)):
            levels = self.tree(raw)
            roots.append(levels[-1][0])
            runs += [_run(slot, raw, levels, *run) for run in runs_of(blocks)]
        return roots, runs

    def _operand(self, step: int, ref: Ref) -> tuple[Raw, OperandPart]:
        if ref.source in (Source.STATE, Source.OP):
            is_state = ref.source is Source.STATE
            tree, at = (Tree.STATES, step - 1) if is_state else (Tree.OPERATIONS, step)
            siblings = trees.siblings_of(self.levels(tree, at, 0), ref.index)
            return self.data(tree, at, ref.index), OperandPart(b"", siblings)
        const = ref.source is Source.CONST
        raws, wrappers = self._sources(const)
        decl = (self.program.constants if const else self.program.inputs)[ref.index]
        meta = trees.tensor_meta(decl.dtype, decl.shape)
        return raws[ref.index], OperandPart(meta, trees.siblings_of(wrappers, ref.index))

    def _sources(self, const: bool) -> tuple[Sequence[Raw], Levels]:
        """All constants or all inputs, and the tree over their tensor roots."""
        if const:
            return self.constants, self._constants
        return self.inputs, self._inputs

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
            value, self._inner(Tree.OPERATIONS, step, item_next.index), self._block(index_raw, 0),
            self._block(raw, place * decl.dtype.size // BLOCK_BYTES), element, data,
        )  # fmt: skip

    def _block(self, raw: Raw, index: int) -> BlockRun:
        return _run(0, raw, self.tree(raw), index, 1)

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
            _, levels = self._sources(init.kind is InitKind.CONST)
            source = Inner(levels[0][init.value], trees.siblings_of(levels, init.value))
        return InitialProof(self.part(), self._state(item), source)

    def output(self, item: int) -> OutputProof:
        """Of an output."""
        n = self.program.outputs[item]
        last = sum(self.steps)
        leaf = self._leaf(trees.word(n), self._sections.outputs, item)
        return OutputProof(
            self.part(), leaf, self._state(n), self._inner(Tree.STEPS, 0, last),
            self._inner(Tree.STATES, last, n),
        )  # fmt: skip

    def halt(self, step: int) -> HaltProof:
        """Of a step that ran or did not."""
        if self.program.halt is None:
            return HaltProof(self.part(), NOTHING, NOTHING, b"")
        data = _filled(self.data(Tree.STATES, step - 1, self.program.halt), 1)
        halt = self._inner(Tree.STATES, step - 1, self.program.halt)
        return HaltProof(self.part(), self._before(step), halt, data)


def _filled(raw: Raw, count: int) -> bytes:
    return bytes(raw).ljust(count * BLOCK_BYTES, b"\0")


def _run(slot: int, raw: Raw, levels: Levels, first: int, count: int) -> BlockRun:
    """``count`` blocks of a tensor's bytes from block ``first`` on, proven."""
    part = raw[first * BLOCK_BYTES : (first + count) * BLOCK_BYTES]
    siblings = trees.siblings_of(levels, first, count)
    return BlockRun(slot, first, _filled(part, count), siblings)


def scalars_of(part: ScalarsPart) -> Scalars:
    """As the interpreter takes them."""
    return Scalars(part.step, part.phase_step, part.seed)
