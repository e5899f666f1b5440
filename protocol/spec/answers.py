"""Answers to demands for data: what they hold, whether they hold it, and who builds them.

The pure twin of contracts/DataReferee.sol and of contracts/types/DemandProofs.sol.  A demand names
a part of a job, an item and an index; the place need not exist, and then the answer shows that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from protocol.spec import encoding, trees
from protocol.spec.constants import (
    BLOCK_BYTES,
    TAG_DECL,
    TAG_INSTANCE,
    TAG_NEXT,
    TAG_OUTPUTS,
    TAG_PHASE,
    TAG_PROGRAM,
    TAG_STATE,
    TAG_TEMPLATE,
    WORD,
    ZERO,
)
from protocol.spec.errors import ProofError
from protocol.spec.job import Task
from protocol.spec.proofs import Leaf, PhasePart, ProgramPart
from protocol.spec.trace import Levels, Raw
from protocol.spec.types import Program, TensorDecl

RUN_BLOCKS: Final = 32
"""Blocks of 512 bytes that one demand for a tensor covers."""


class Part(IntEnum):
    """What is demanded, named by an item and an index."""

    HEADER = 0
    CONSTANT = 1
    INPUT = 2
    OUTPUT = 3
    CONSTANT_DECL = 4
    INPUT_DECL = 5
    STATE_DECL = 6
    OUTPUT_DECL = 7
    TEMPLATE = 8
    PHASE = 9
    INSTANCE = 10
    NEXT = 11


TENSORS: Final = (Part.CONSTANT, Part.INPUT, Part.OUTPUT)
"""Parts that are answered by blocks."""


class TensorAnswer(NamedTuple):
    """A run of a tensor; where it does not exist, the parts that show it."""

    program: ProgramPart
    output: Leaf
    decl: Leaf
    tensor: list[bytes]
    blocks: bytes
    siblings: list[bytes]


class ProgramAnswer(NamedTuple):
    """A piece of the program; where it does not exist, the parts that show it."""

    program: ProgramPart
    phase: PhasePart
    piece: Leaf


Answer = TensorAnswer | ProgramAnswer

_PROGRAM: Final = "(bytes,bytes32[])"
_LEAF: Final = "(bytes,bytes32[])"
_PHASE: Final = "(bytes,bytes32,bytes32,bytes32[])"

ANSWER_ABI: Final[dict[type[Answer], str]] = {
    TensorAnswer: f"({_PROGRAM},{_LEAF},{_LEAF},bytes32[],bytes,bytes32[])",
    ProgramAnswer: f"({_PROGRAM},{_PHASE},{_LEAF})",
}
"""Types of the answers as Solidity encodes them."""

NO_LEAF: Final = Leaf(b"", [])
NO_PHASE: Final = PhasePart(b"", ZERO, ZERO, [])


def runs_of_tensor(size: int) -> int:
    """Demands that cover a tensor of ``size`` bytes."""
    return -(-size // (RUN_BLOCKS * BLOCK_BYTES))


# --- whether an answer is what was demanded ------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """What a referee knows: the task and its decoded program, the claim's result root, the place.
    Descriptors are read from the program, after what was sent was found to be under its root."""

    task: Task
    program: Program
    result_root: bytes
    part: Part
    item: int
    index: int


def _equal(got: object, wanted: object, what: str) -> None:
    if got != wanted:
        raise ProofError(f"got {what} {got!r}, the commitment is {wanted!r}")


def _leaf(tag: bytes, part: Leaf, index: int, count: int, root: bytes) -> None:
    try:
        got = trees.root_from_run([trees.tagged(tag, part.data)], index, count, part.siblings)
    except IndexError as error:
        raise ProofError(str(error)) from None
    _equal(got, root, "table")


def shown(where: Place, p: Answer) -> int:
    """Bytes of the demanded thing that the answer shows; 0 if it shows that there is none.

    Raises ProofError where the contract reverts.
    """
    program = p.program
    if len(program.header) != 2 * WORD or len(program.tables) != 6:
        raise ProofError("a header of two words and six tables are wanted")
    got = trees.keccak256(TAG_PROGRAM + program.header + b"".join(program.tables))
    _equal(got, where.task.program_root, "program root")
    if where.part in TENSORS:
        if not isinstance(p, TensorAnswer):
            raise ProofError("the answer of a tensor is wanted")
        return _tensor(where, p)
    if not isinstance(p, ProgramAnswer):
        raise ProofError("the answer of a piece of the program is wanted")
    if where.part is Part.HEADER:
        return 8 * WORD
    if where.part >= Part.PHASE:
        return _of_phase(where, p)
    return _piece(where, p)


def _tensor(where: Place, p: TensorAnswer) -> int:
    program, item = where.program, where.item
    if where.part is Part.OUTPUT:
        count, root = len(program.outputs), where.result_root
        if item >= count:
            return 0
        _leaf(TAG_OUTPUTS, p.output, item, count, p.program.tables[3])
        n = program.outputs[item]
        _leaf(TAG_STATE, p.decl, n, len(program.states), p.program.tables[2])
        decl = program.states[n].tensor
    else:
        const = where.part is Part.CONSTANT
        decls = program.constants if const else program.inputs
        count = len(decls)
        root = where.task.constants_root if const else where.task.inputs_root
        if item >= count:
            return 0
        _leaf(TAG_DECL, p.decl, item, count, p.program.tables[0 if const else 1])
        decl = decls[item]
    return _run(where, p, decl, count, root)


def _run(where: Place, p: TensorAnswer, decl: TensorDecl, count: int, root: bytes) -> int:
    if where.index >= runs_of_tensor(decl.nbytes):
        return 0
    first = where.index * RUN_BLOCKS
    blocks = -(-decl.nbytes // BLOCK_BYTES)
    wanted = min(RUN_BLOCKS, blocks - first) * BLOCK_BYTES
    if len(p.blocks) != wanted:
        raise ProofError(f"got a run of {len(p.blocks)} bytes, {wanted} are wanted")
    if any(p.blocks[max(0, decl.nbytes - first * BLOCK_BYTES) :]):
        raise ProofError("the tail of the last block is not zero")
    run = trees.root_from_run(trees.block_leaves(p.blocks), first, blocks, p.siblings)
    tensor = trees.wrap(decl.dtype, decl.shape, run)
    _equal(trees.root_from_run([tensor], where.item, count, p.tensor), root, "tensors root")
    return wanted


def _piece(where: Place, p: ProgramAnswer) -> int:
    program = where.program
    tag, count = {
        Part.CONSTANT_DECL: (TAG_DECL, len(program.constants)),
        Part.INPUT_DECL: (TAG_DECL, len(program.inputs)),
        Part.STATE_DECL: (TAG_STATE, len(program.states)),
        Part.OUTPUT_DECL: (TAG_OUTPUTS, len(program.outputs)),
        Part.TEMPLATE: (TAG_TEMPLATE, len(program.templates)),
    }[where.part]
    if where.item >= count:
        return 0
    _leaf(tag, p.piece, where.item, count, p.program.tables[where.part - Part.CONSTANT_DECL])
    return len(p.piece.data)


def _of_phase(where: Place, p: ProgramAnswer) -> int:
    program, part = where.program, p.phase
    if where.item >= len(program.phases):
        return 0
    if len(part.head) != WORD:
        raise ProofError(f"a phase's head has one word, got {len(part.head)} bytes")
    hash_ = trees.keccak256(TAG_PHASE + part.head + part.instances + part.nexts)
    root = trees.root_from_run([hash_], where.item, len(program.phases), part.siblings)
    _equal(root, p.program.tables[5], "phases table")
    if where.part is Part.PHASE:
        return 3 * WORD
    tag, root, count = TAG_NEXT, part.nexts, len(program.states)
    if where.part is Part.INSTANCE:
        tag, root, count = TAG_INSTANCE, part.instances, len(program.phases[where.item].instances)
    if where.index >= count:
        return 0
    _leaf(tag, p.piece, where.index, count, root)
    return len(p.piece.data)


# --- who builds answers --------------------------------------------------------------------------


@dataclass(frozen=True)
class Answerer:
    """Builds answers from what a provider holds: the program and the tensors' bytes.

    ``tensor(part, item)`` gives the committed bytes of a constant, an input or an output,
    ``levels(part, item)`` the block tree over them where somebody keeps it; ``roots(part)`` the
    tensor roots of all constants, inputs or outputs, where they are known.
    """

    program: Program
    tensor: Callable[[Part, int], Raw]
    levels: Callable[[Part, int], Levels] | None = None
    roots: Callable[[Part], Sequence[bytes]] | None = None

    def answer(self, part: Part, item: int, index: int) -> Answer:
        """What is there, or what shows that nothing is."""
        whole = ProgramPart(encoding.encode_header(self.program), encoding.tables(self.program))
        if part in TENSORS:
            return self._tensor(whole, part, item, index)
        if part is Part.HEADER:
            return ProgramAnswer(whole, NO_PHASE, NO_LEAF)
        if part >= Part.PHASE:
            return self._of_phase(whole, part, item, index)
        s = encoding.sections(self.program)
        leaves = (s.constants, s.inputs, s.states, s.outputs, s.templates)
        row = leaves[part - Part.CONSTANT_DECL]
        piece = _proven(self._bytes(part, item), row, item) if item < len(row) else NO_LEAF
        return ProgramAnswer(whole, NO_PHASE, piece)

    def _bytes(self, part: Part, item: int) -> bytes:
        p = self.program
        if part is Part.CONSTANT_DECL:
            return encoding.encode_decl(p.constants[item])
        if part is Part.INPUT_DECL:
            return encoding.encode_decl(p.inputs[item])
        if part is Part.STATE_DECL:
            return encoding.encode_state(p.states[item])
        if part is Part.OUTPUT_DECL:
            return trees.word(p.outputs[item])
        return encoding.encode_template(p.templates[item])

    def _of_phase(self, whole: ProgramPart, part: Part, item: int, index: int) -> ProgramAnswer:
        p = self.program
        if item >= len(p.phases):
            return ProgramAnswer(whole, NO_PHASE, NO_LEAF)
        instances, nexts = encoding.sections(p).phases[item]
        path = trees.siblings_of(trees.levels_of(encoding.phase_hashes(p)), item)
        head = encoding.encode_phase_head(p.phases[item])
        phase = PhasePart(head, trees.list_root(instances), trees.list_root(nexts), path)
        piece = NO_LEAF
        if part is Part.INSTANCE and index < len(instances):
            data = encoding.encode_instance(p.phases[item].instances[index])
            piece = _proven(data, instances, index)
        if part is Part.NEXT and index < len(nexts):
            piece = _proven(encoding.encode_next(p.phases[item].nexts[index]), nexts, index)
        return ProgramAnswer(whole, phase, piece)

    def _tensor(self, whole: ProgramPart, part: Part, item: int, index: int) -> TensorAnswer:
        p, s = self.program, encoding.sections(self.program)
        states = [state.tensor for state in p.states]
        decls = {
            Part.CONSTANT: p.constants,
            Part.INPUT: p.inputs,
            Part.OUTPUT: [states[n] for n in p.outputs],
        }[part]
        if item >= len(decls):
            return TensorAnswer(whole, NO_LEAF, NO_LEAF, [], b"", [])
        output = NO_LEAF
        if part is Part.OUTPUT:
            n = p.outputs[item]
            output = _proven(trees.word(n), s.outputs, item)
            decl = _proven(encoding.encode_state(p.states[n]), s.states, n)
        else:
            row = s.constants if part is Part.CONSTANT else s.inputs
            decl = _proven(encoding.encode_decl(decls[item]), row, item)
        if index >= runs_of_tensor(decls[item].nbytes):
            return TensorAnswer(whole, output, decl, [], b"", [])
        known = None if self.roots is None else self.roots(part)
        made = known or [self._root(part, k, d) for k, d in enumerate(decls)]
        wrappers = trees.levels_of(made)
        raw = self.tensor(part, item)
        first = index * RUN_BLOCKS
        blocks = bytes(raw[first * BLOCK_BYTES : (first + RUN_BLOCKS) * BLOCK_BYTES])
        count = -(-len(blocks) // BLOCK_BYTES)
        siblings = trees.siblings_of(self._levels(part, item), first, count)
        filled = blocks.ljust(count * BLOCK_BYTES, b"\0")
        return TensorAnswer(
            whole, output, decl, trees.siblings_of(wrappers, item), filled, siblings
        )

    def _root(self, part: Part, item: int, decl: TensorDecl) -> bytes:
        return trees.wrap(decl.dtype, decl.shape, self._levels(part, item)[-1][0])

    def _levels(self, part: Part, item: int) -> Levels:
        if self.levels is not None:
            return self.levels(part, item)
        return trees.levels_of(trees.block_leaves(self.tensor(part, item)))


def _proven(data: bytes, leaves: Sequence[bytes], index: int) -> Leaf:
    return Leaf(data, trees.siblings_of(trees.levels_of(leaves), index))
