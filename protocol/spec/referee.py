"""Whether a proof holds: the twin of contracts/TraceReferee.sol and contracts/TensorReferee.sol.

Every function takes a ``Context`` (the terms, the committed roots, the place that a challenge has
reached) and a proof, checks every part of it against a commitment, and compares.  ProofError where
the contracts revert.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from protocol.spec import trees
from protocol.spec.constants import (
    BLOCK_BYTES,
    TAG_INSTANCE,
    TAG_NEXT,
    TAG_OUTPUTS,
    TAG_PHASE,
    TAG_PROGRAM,
    TAG_STATE,
    TAG_TEMPLATE,
    TAG_TENSOR,
)
from protocol.spec.errors import ProofError
from protocol.spec.interpreter import initial_state
from protocol.spec.job import Task
from protocol.spec.proofs import (
    BlockRun,
    ElementProof,
    HaltProof,
    InitialProof,
    Inner,
    Leaf,
    NextProof,
    OperationProof,
    OperationsProof,
    OutputProof,
    PhasePart,
    ProgramPart,
    ScalarsPart,
    SliceProof,
    StateProof,
    TableProof,
    scalars_of,
)
from protocol.spec.reads import element_reads
from protocol.spec.trace import Tree, phase_of
from protocol.spec.types import (
    Array,
    InitKind,
    Instance,
    Next,
    NextKind,
    Program,
    Source,
    StateDecl,
    Template,
)


class Proof(IntEnum):
    """What can be proven wrong, in one call."""

    ELEMENT = 0
    SLICE = 1
    NEXT = 2
    INITIAL = 3
    OUTPUT = 4
    HALT = 5


@dataclass(frozen=True)
class Context:
    """What a referee knows.  ``program`` is the decoded program of the task's root: descriptors are
    read from it, after what was sent was found to be under the root."""

    task: Task
    program: Program
    steps_root: bytes
    operations_root: bytes
    leaves: int
    step: int
    item: int
    index: int
    node: bytes


def _equal(got: object, wanted: object, what: str) -> None:
    if got != wanted:
        raise ProofError(f"got {what} {got!r}, the commitment is {wanted!r}")


def _root(leaf: bytes, index: int, count: int, siblings: Sequence[bytes]) -> bytes:
    try:
        return trees.root_from_run([leaf], index, count, siblings)
    except IndexError as error:
        raise ProofError(str(error)) from None


def _program(c: Context, p: ProgramPart) -> None:
    if len(p.header) != 64 or len(p.tables) != 6:
        raise ProofError("a header of two words and six tables are wanted")
    got = trees.keccak256(TAG_PROGRAM + p.header + b"".join(p.tables))
    _equal(got, c.task.program_root, "program root")


def _steps(c: Context) -> list[int]:
    return [c.task.steps >> (32 * k) & 0xFFFFFFFF for k in range(8)]


def _phase(c: Context, p: ProgramPart, part: PhasePart) -> tuple[int, int]:
    """Number of the phase of the step that leads to leaf ``c.step``, and of the step in it."""
    number, phase_step = phase_of(_steps(c), c.step - 1)
    preimage = TAG_PHASE + part.head + part.instances + part.nexts
    if len(part.head) != 32:
        raise ProofError(f"a phase's head has one word, got {len(part.head)} bytes")
    hash_ = trees.keccak256(preimage)
    root = _root(hash_, number, len(c.program.phases), part.siblings)
    _equal(root, p.tables[5], "phases table")
    return number, phase_step


def _leaf(tag: bytes, part: Leaf, index: int, count: int, root: bytes) -> None:
    _equal(_root(trees.tagged(tag, part.data), index, count, part.siblings), root, "table")


def _inner(part: Inner, index: int, count: int, root: bytes) -> bytes:
    _equal(_root(part.root, index, count, part.siblings), root, "root")
    return part.root


def _before(c: Context, part: Inner) -> bytes:
    return _inner(part, c.step - 1, c.leaves, c.steps_root)


def _operations(c: Context) -> bytes:
    if c.operations_root == trees.HALTED:
        raise ProofError(f"step {c.step - 1} started with halt set: it has no operations")
    return c.operations_root


def _instance(
    c: Context, p: ElementProof | OperationProof, number: int
) -> tuple[Instance, Template]:
    instances = c.program.phases[number].instances
    _leaf(TAG_INSTANCE, p.instance, c.item, len(instances), p.phase.instances)
    instance = instances[c.item]
    templates = c.program.templates
    _leaf(TAG_TEMPLATE, p.template, instance.template, len(templates), p.program.tables[4])
    return instance, templates[instance.template]


def _state(c: Context, p: ProgramPart, part: Leaf, n: int) -> StateDecl:
    _leaf(TAG_STATE, part, n, len(c.program.states), p.tables[2])
    return c.program.states[n]


def geometry(
    c: Context, into: Tree, p: TableProof | OperationsProof | OperationProof | StateProof
) -> tuple[int, int]:
    """Leaves of the tree ``into``, and bytes of the last block of a blocks tree (else 0)."""
    _program(c, p.program)
    if into is Tree.OUTPUTS:
        return len(c.program.outputs), 0
    if into is Tree.STATES:
        return len(c.program.states), 0
    if into is Tree.STATE_BLOCKS and isinstance(p, StateProof):
        size = _state(c, p.program, p.state, c.item).tensor.nbytes
    elif isinstance(p, OperationsProof | OperationProof):
        number, _ = _phase(c, p.program, p.phase)
        if into is Tree.OPERATIONS:
            return len(c.program.phases[number].instances), 0
        if not isinstance(p, OperationProof):
            raise ProofError("an operation's instance and template are wanted")
        _, t = _instance(c, p, number)
        size = t.count * t.dtype.size
    else:
        raise ProofError(f"got {type(p).__name__} for {into.name}")
    count = -(-size // BLOCK_BYTES)
    return count, size - (count - 1) * BLOCK_BYTES


AnyJudged = ElementProof | SliceProof | NextProof | InitialProof | OutputProof | HaltProof

JUDGED: Final[dict[Proof, type[AnyJudged]]] = {
    Proof.ELEMENT: ElementProof,
    Proof.SLICE: SliceProof,
    Proof.NEXT: NextProof,
    Proof.INITIAL: InitialProof,
    Proof.OUTPUT: OutputProof,
    Proof.HALT: HaltProof,
}
"""What a proof of each kind is."""


def judge(c: Context, kind: Proof, p: AnyJudged) -> bool:
    """True if the proof shows that the claim is wrong, False if what it compares is equal."""
    claimed, true = compared(c, kind, p)
    return claimed != true


def compared(c: Context, kind: Proof, p: AnyJudged) -> tuple[bytes, bytes]:
    """What the claim says and what is true: the bytes of an element, or two roots.  Of a step that
    did not start with halt set it is one byte, 1 for halted."""
    _program(c, p.program)
    if kind is Proof.ELEMENT and isinstance(p, ElementProof):
        return _element(c, p)
    if kind is Proof.SLICE and isinstance(p, SliceProof):
        return _slice(c, p)
    if kind is Proof.NEXT and isinstance(p, NextProof):
        return _next(c, p)
    if kind is Proof.INITIAL and isinstance(p, InitialProof):
        return _initial(c, p)
    if kind is Proof.OUTPUT and isinstance(p, OutputProof):
        return _output(c, p)
    if kind is Proof.HALT and isinstance(p, HaltProof):
        return _halt(c, p)
    raise ProofError(f"got {type(p).__name__} as a proof of {kind.name}")


def _claimed(c: Context, data: bytes, index: int, size: int) -> bytes:
    if len(data) != BLOCK_BYTES:
        raise ProofError(f"a block has {BLOCK_BYTES} bytes, got {len(data)}")
    _equal(trees.keccak256(data), c.node, "block")
    _equal(index * size // BLOCK_BYTES, c.index, "block of the element")
    at = index * size % BLOCK_BYTES
    return data[at : at + size]


def _element(c: Context, p: ElementProof) -> tuple[bytes, bytes]:
    number, phase_step = _phase(c, p.program, p.phase)
    instance, t = _instance(c, p, number)
    _equal(p.scalars, ScalarsPart(c.step - 1, phase_step, c.task.seed), "scalars")
    if not len(p.operands) == len(p.roots) == len(instance.operands):
        raise ProofError(f"got {len(p.operands)} operands, {len(instance.operands)} are wanted")
    counts = {
        Source.CONST: len(c.program.constants),
        Source.INPUT: len(c.program.inputs),
        Source.STATE: len(c.program.states),
        Source.OP: len(c.program.phases[number].instances),
    }
    for ref, root, part in zip(instance.operands, p.roots, p.operands, strict=True):
        leaf = root
        if ref.source in (Source.CONST, Source.INPUT):
            if len(part.meta) != 64:
                raise ProofError(f"a wrapper has two words, got {len(part.meta)} bytes")
            leaf = trees.keccak256(TAG_TENSOR + part.meta + root)
            const = ref.source is Source.CONST
            wanted = c.task.constants_root if const else c.task.inputs_root
        else:
            if part.meta:
                raise ProofError("only constants and inputs have wrappers")
            state = ref.source is Source.STATE
            wanted = _before(c, p.before) if state else _operations(c)
        _equal(_root(leaf, ref.index, counts[ref.source], part.siblings), wanted, "operand")
    if p.element >= t.count:
        raise ProofError(f"element {p.element} of {t.count}")
    claimed = _claimed(c, p.data, p.element, t.dtype.size)
    given = [_tensor(t, k, p) for k in range(len(t.slots))]
    operands, there = [tensor for tensor, _ in given], [blocks for _, blocks in given]
    value, reads = element_reads(t, operands, scalars_of(p.scalars), p.element)
    for k, blocks in enumerate(reads):
        if not there[k].issuperset(blocks):
            raise ProofError(f"blocks {blocks} of operand {k} are wanted, got {sorted(there[k])}")
    return claimed, value.tobytes()


def _tensor(t: Template, k: int, p: ElementProof) -> tuple[Array, set[int]]:
    """Operand ``k``, zero where no block came, and the blocks that came."""
    slot = t.slots[k]
    size = slot.count * slot.dtype.size
    data = bytearray(-(-size // BLOCK_BYTES) * BLOCK_BYTES)
    there: set[int] = set()
    for run in (run for run in p.runs if run.slot == k):
        _equal(_run_root(run, size), p.roots[k], "blocks")
        at = run.first * BLOCK_BYTES
        data[at : at + len(run.blocks)] = run.blocks
        there.update(range(run.first, run.first + len(run.blocks) // BLOCK_BYTES))
    return np.frombuffer(bytes(data[:size]), slot.dtype.numpy), there


def _run_root(run: BlockRun, size: int) -> bytes:
    if any(run.blocks[max(0, size - run.first * BLOCK_BYTES) :]):
        raise ProofError("the tail of the last block is not zero")
    leaves = trees.block_leaves(run.blocks)
    try:
        return trees.root_from_run(leaves, run.first, -(-size // BLOCK_BYTES), run.siblings)
    except IndexError as error:
        raise ProofError(str(error)) from None


def _read(run: BlockRun, root: bytes, size: int, index: int, width: int) -> bytes:
    """Element ``index``, of ``width`` bytes, from the one block that holds it."""
    at = index * width
    if len(run.blocks) != BLOCK_BYTES or run.first != at // BLOCK_BYTES:
        raise ProofError(f"block {at // BLOCK_BYTES} is wanted, got {run.first}")
    _equal(_run_root(run, size), root, "block")
    return run.blocks[at % BLOCK_BYTES : at % BLOCK_BYTES + width]


def _next_of(
    c: Context, p: NextProof | SliceProof, number: int
) -> Next:
    states = len(c.program.states)
    _leaf(TAG_NEXT, p.next, c.item, states, p.phase.nexts)
    return c.program.phases[number].nexts[c.item]


def _next(c: Context, p: NextProof) -> tuple[bytes, bytes]:
    number, _ = _phase(c, p.program, p.phase)
    item = _next_of(c, p, number)
    if item.kind is NextKind.SLICE:
        raise ProofError("a slice write is proven by an element")
    if item.kind is NextKind.KEEP:
        before = _before(c, p.before)
        return c.node, _inner(p.source, c.item, len(c.program.states), before)
    count = len(c.program.phases[number].instances)
    return c.node, _inner(p.source, item.value, count, _operations(c))


def _slice(c: Context, p: SliceProof) -> tuple[bytes, bytes]:
    number, _ = _phase(c, p.program, p.phase)
    item = _next_of(c, p, number)
    if item.kind is not NextKind.SLICE:
        raise ProofError(f"the next is {item.kind.name}, not a slice write")
    decl = _state(c, p.program, p.state, c.item).tensor
    count = len(c.program.phases[number].instances)
    operations = _operations(c)
    _inner(p.index_root, item.index, count, operations)
    at = int.from_bytes(_read(p.index_block, p.index_root.root, 8, 0, 8), "little", signed=True)
    if p.element >= decl.count:
        raise ProofError(f"element {p.element} of {decl.count}")
    inner = int(np.prod(decl.shape[item.axis + 1 :], dtype=np.int64))
    width = decl.shape[item.axis]
    place, size = p.element, decl.nbytes
    if at == p.element // inner % width:
        root = _inner(p.value, item.value, count, operations)
        place = p.element // (inner * width) * inner + p.element % inner
        size //= width
    else:
        root = _inner(p.old, c.item, len(c.program.states), _before(c, p.before))
    wanted = _read(p.source, root, size, place, decl.dtype.size)
    return _claimed(c, p.data, p.element, decl.dtype.size), wanted


def _initial(c: Context, p: InitialProof) -> tuple[bytes, bytes]:
    state = _state(c, p.program, p.state, c.item)
    decl, init = state.tensor, state.init
    if init.kind is InitKind.FILL:
        return c.node, trees.block_root(trees.tensor_bytes(decl, initial_state(state, [], [])))
    const = init.kind is InitKind.CONST
    count = len(c.program.constants if const else c.program.inputs)
    root = c.task.constants_root if const else c.task.inputs_root
    source = _inner(p.source, init.value, count, root)
    return trees.wrap(decl.dtype, decl.shape, c.node), source


def _output(c: Context, p: OutputProof) -> tuple[bytes, bytes]:
    outputs = c.program.outputs
    _leaf(TAG_OUTPUTS, p.output, c.index, len(outputs), p.program.tables[3])
    n = outputs[c.index]
    decl = _state(c, p.program, p.state, n).tensor
    last = _inner(p.last, c.leaves - 1, c.leaves, c.steps_root)
    value = _inner(p.value, n, len(c.program.states), last)
    return c.node, trees.wrap(decl.dtype, decl.shape, value)


def _halt(c: Context, p: HaltProof) -> tuple[bytes, bytes]:
    halted = bytes([c.operations_root == trees.HALTED])
    if c.program.halt is None:
        return halted, b"\0"
    before = _before(c, p.before)
    root = _inner(p.halt, c.program.halt, len(c.program.states), before)
    if len(p.data) != BLOCK_BYTES:
        raise ProofError(f"a block has {BLOCK_BYTES} bytes, got {len(p.data)}")
    _equal(trees.keccak256(p.data), root, "halt")
    if any(p.data[:4]):
        return c.node, before
    return halted, b"\0"
