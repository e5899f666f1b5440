"""Finding out that a job is illegal, and proving it.

What a program is follows from its root alone: the root commits to a header and to lists of
descriptors, each a string of bytes.  ``split`` cuts a program file into these, also one that does
not decode, as long as its counts say where each descriptor ends.

A file that cannot be cut up, or whose pieces do not have the root that the job names, proves
nothing: what the root commits to is then not known.  A demand for the program is the answer to
such a job (nobody can meet it, and the claim falls), and so it is where the bytes of a constant or
an input do not have the root that the job names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from protocol.spec import decoding, encoding, legality, trees
from protocol.spec.constants import (
    BLOCK_BYTES,
    NONE32,
    TAG_DECL,
    TAG_INSTANCE,
    TAG_NEXT,
    TAG_OUTPUTS,
    TAG_PHASE,
    TAG_PROGRAM,
    TAG_STATE,
    TAG_TEMPLATE,
    WORD,
)
from protocol.spec.errors import DecodeError, IllegalProgram, TensorMismatch
from protocol.spec.job import Task
from protocol.spec.legality_proofs import (
    NO_LEAF,
    NO_NAMED,
    NO_PHASE,
    Case,
    DeclarationCase,
    ElementCase,
    Illegality,
    InstanceCase,
    LengthCase,
    Listing,
    Named,
    NextCase,
    ProgramCase,
    ProgramClause,
    StateCase,
    StepsCase,
    TemplateCase,
    TensorCase,
)
from protocol.spec.legality_referee import MAX_TEMPLATE_BYTES, illegal
from protocol.spec.proofs import BlockRun, Leaf, PhasePart, ProgramPart
from protocol.spec.types import Array, DType, InitKind, NextKind, Program, Source, TensorDecl

__all__ = ["Illegality", "illegal", "prove_illegality"]

Levels = list[list[bytes]]


@dataclass(frozen=True)
class PhasePieces:
    """A phase's head, instances and nexts."""

    head: bytes
    instances: list[bytes]
    nexts: list[bytes]

    @cached_property
    def instance_levels(self) -> Levels:
        return _levels(TAG_INSTANCE, self.instances)

    @cached_property
    def next_levels(self) -> Levels:
        return _levels(TAG_NEXT, self.nexts)


@dataclass(frozen=True)
class Pieces:
    """The descriptors under a program root, as bytes, and the trees over them."""

    header: bytes
    constants: list[bytes]
    inputs: list[bytes]
    states: list[bytes]
    outputs: list[bytes]
    templates: list[bytes]
    phases: list[PhasePieces]

    @cached_property
    def levels(self) -> list[Levels]:
        """Of the six tables."""
        phases = [
            trees.keccak256(TAG_PHASE + p.head + p.instance_levels[-1][0] + p.next_levels[-1][0])
            for p in self.phases
        ]
        return [
            _levels(TAG_DECL, self.constants),
            _levels(TAG_DECL, self.inputs),
            _levels(TAG_STATE, self.states),
            _levels(TAG_OUTPUTS, self.outputs),
            _levels(TAG_TEMPLATE, self.templates),
            trees.levels_of(phases),
        ]

    @cached_property
    def part(self) -> ProgramPart:
        """Header and tables."""
        return ProgramPart(self.header, [levels[-1][0] for levels in self.levels])

    @property
    def root(self) -> bytes:
        """The program root."""
        return trees.keccak256(TAG_PROGRAM + self.part.header + b"".join(self.part.tables))


def _levels(tag: bytes, pieces: Sequence[bytes]) -> Levels:
    return trees.levels_of([trees.tagged(tag, data) for data in pieces])


# --- cutting up a file ----------------------------------------------------------------------------


class _Cutter:
    """Takes pieces off the front of a file."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise DecodeError(f"byte {self.at}: file ends inside a piece of {size} bytes")
        self.at += size
        return self.data[self.at - size : self.at]

    def many(self, count: int, size: int) -> list[bytes]:
        return [self.take(size) for _ in range(count)]

    def template(self) -> bytes:
        """As long as its counts say, whatever they are."""
        start = self.at
        head = self.take(3 * WORD)
        slots, views, rdigits = head[4], head[5], head[6]
        self.take(slots * WORD)
        for _ in range(views):
            view = self.take(WORD)
            self.take((view[2] + view[1] + rdigits) * WORD)
        for at in (8, 10):
            self.take(-(-8 * int.from_bytes(head[at : at + 2], "big") // WORD) * WORD)
        return self.data[start : self.at]

    def phase(self, states: int) -> PhasePieces:
        head = self.take(WORD)
        instances = self.many(int.from_bytes(head[8:12], "big"), 2 * WORD)
        return PhasePieces(head, instances, self.many(states, WORD))


def pieces_of(program: Program) -> Pieces:
    """The pieces of a program, legal or not."""
    return Pieces(
        encoding.encode_header(program),
        [encoding.encode_decl(d) for d in program.constants],
        [encoding.encode_decl(d) for d in program.inputs],
        [encoding.encode_state(s) for s in program.states],
        [trees.word(n) for n in program.outputs],
        [encoding.encode_template(t) for t in program.templates],
        [
            PhasePieces(
                encoding.encode_phase_head(p),
                [encoding.encode_instance(n) for n in p.instances],
                [encoding.encode_next(n) for n in p.nexts],
            )
            for p in program.phases
        ],
    )


def split(data: bytes) -> Pieces:
    """The pieces of a program file that may not decode; DecodeError if it cannot be cut up."""
    cut = _Cutter(data)
    header = cut.take(2 * WORD)
    counts = [int.from_bytes(header[16 + 4 * k : 20 + 4 * k], "big") for k in range(6)]
    constants, inputs = cut.many(counts[0], 2 * WORD), cut.many(counts[1], 2 * WORD)
    states = cut.many(counts[2], 3 * WORD)
    # In the file a number leads its word, under the root it ends it.
    outputs = [trees.word(int.from_bytes(n[:4], "big")) for n in cut.many(counts[3], WORD)]
    templates = [cut.template() for _ in range(counts[4])]
    phases = [cut.phase(counts[2]) for _ in range(counts[5])]
    if cut.at != len(data):
        raise DecodeError(f"byte {cut.at}: {len(data) - cut.at} bytes follow the last piece")
    return Pieces(header, constants, inputs, states, outputs, templates, phases)


# --- proving --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CaseBuilder:
    """Builds the proof of any case, legal or not, of a program in pieces."""

    pieces: Pieces

    def _leaf(self, levels: Levels, pieces: Sequence[bytes], index: int) -> Leaf:
        if not 0 <= index < len(pieces):
            return NO_LEAF
        return Leaf(pieces[index], trees.siblings_of(levels, index))

    def _decl(self, is_input: bool, index: int) -> Leaf:
        p = self.pieces
        return self._leaf(p.levels[int(is_input)], p.inputs if is_input else p.constants, index)

    def _state(self, index: int) -> Leaf:
        return self._leaf(self.pieces.levels[2], self.pieces.states, index)

    def _template(self, index: int) -> Leaf:
        return self._leaf(self.pieces.levels[4], self.pieces.templates, index)

    def _phase(self, number: int) -> PhasePart:
        if number >= len(self.pieces.phases):
            return NO_PHASE
        p = self.pieces.phases[number]
        siblings = trees.siblings_of(self.pieces.levels[5], number)
        return PhasePart(p.head, p.instance_levels[-1][0], p.next_levels[-1][0], siblings)

    def _operation(self, phase: int, index: int) -> Named:
        p = self.pieces.phases[phase]
        leaf = self._leaf(p.instance_levels, p.instances, index)
        return Named(leaf, self._template(_template_of(leaf.data)))

    def program(self, clause: ProgramClause, number: int = 0) -> ProgramCase:
        """P1, of output or phase ``number``, of the halt state, or of the header alone."""
        p, leaf, phase = self.pieces, NO_LEAF, NO_PHASE
        if clause is ProgramClause.OUTPUT:
            leaf = self._leaf(p.levels[3], p.outputs, number)
        elif clause is ProgramClause.HALT:
            halt = int.from_bytes(p.header[12:16], "big")
            leaf = NO_LEAF if halt == NONE32 else self._state(halt)
        elif clause is ProgramClause.PHASE:
            phase = self._phase(number)
        return ProgramCase(p.part, clause, number, leaf, phase)

    def declaration(self, is_input: bool, number: int) -> DeclarationCase:
        return DeclarationCase(self.pieces.part, is_input, number, self._decl(is_input, number))

    def state(self, number: int) -> StateCase:
        leaf, start = self._state(number), NO_LEAF
        try:
            init = decoding.decode_state(leaf.data).init
        except DecodeError:
            return StateCase(self.pieces.part, number, leaf, start)
        if init.kind is not InitKind.FILL:
            start = self._decl(init.kind is InitKind.INPUT, init.value)
        return StateCase(self.pieces.part, number, leaf, start)

    def template(self, number: int) -> TemplateCase:
        return TemplateCase(self.pieces.part, number, self._template(number))

    def instance(self, phase: int, number: int, operand: int) -> InstanceCase:
        """I1 and I2 of operation ``number``, of one operand (any number if it has none)."""
        leaf, template = self._operation(phase, number)
        source = NO_NAMED
        try:
            ref = decoding.decode_instance(leaf.data).operands[operand]
        except (DecodeError, IndexError):
            ref = None
        if ref is not None and ref.source is Source.OP:
            source = self._operation(phase, ref.index)
        elif ref is not None and ref.source is Source.STATE:
            source = Named(self._state(ref.index), NO_LEAF)
        elif ref is not None:
            source = Named(self._decl(ref.source is Source.INPUT, ref.index), NO_LEAF)
        return InstanceCase(
            self.pieces.part, phase, self._phase(phase), number, leaf, template, operand, source
        )

    def next(self, phase: int, number: int) -> NextCase:
        p = self.pieces.phases[phase]
        leaf = self._leaf(p.next_levels, p.nexts, number)
        value = index = NO_NAMED
        try:
            item = decoding.decode_next(leaf.data)
        except DecodeError:
            item = None
        if item is not None and item.kind is not NextKind.KEEP:
            value = self._operation(phase, item.value)
        if item is not None and item.kind is NextKind.SLICE:
            index = self._operation(phase, item.index)
        return NextCase(
            self.pieces.part, phase, self._phase(phase), number, leaf, self._state(number), value,
            index,
        )  # fmt: skip

    def steps(self, phase: int) -> StepsCase:
        return StepsCase(self.pieces.part, phase, self._phase(phase))

    def length(self, listing: Listing, number: int, phase: int = 0) -> LengthCase:
        """Of a descriptor that need not be brought."""
        p = self.pieces
        if listing < Listing.INSTANCES:
            lists = (p.constants, p.inputs, p.states, p.outputs, p.templates)
            pieces, levels, part = lists[listing], p.levels[listing], NO_PHASE
        else:
            body, part = p.phases[phase], self._phase(phase)
            pieces, levels = body.nexts, body.next_levels
            if listing is Listing.INSTANCES:
                pieces, levels = body.instances, body.instance_levels
        data = pieces[number]
        hash_, siblings = trees.keccak256(data), trees.siblings_of(levels, number)
        return LengthCase(p.part, listing, phase, part, number, len(data), hash_, siblings)

    def tensor(self, is_input: bool, number: int, tensors: Sequence[Array]) -> TensorCase:
        """The wrapper of a constant or input that is not of its declared dtype or shape."""
        decls = [_decl_of(tensor) for tensor in tensors]
        roots = [_block_root(tensor) for tensor in tensors]
        hashes = [trees.wrap(d.dtype, d.shape, r) for d, r in zip(decls, roots, strict=True)]
        meta = trees.tensor_meta(decls[number].dtype, decls[number].shape)
        return TensorCase(
            self.pieces.part, is_input, number, self._decl(is_input, number),
            (meta[:WORD], meta[WORD:]), roots[number],
            trees.siblings_of(trees.levels_of(hashes), number),
        )  # fmt: skip

    def element(self, number: int, element: int, constants: Sequence[Array]) -> ElementCase:
        """An element of a constant, with its block."""
        decls = [_decl_of(tensor) for tensor in constants]
        hashes = [
            trees.wrap(d.dtype, d.shape, _block_root(x))
            for d, x in zip(decls, constants, strict=True)
        ]
        raw = trees.tensor_bytes(decls[number], constants[number])
        first = element * decls[number].dtype.size // BLOCK_BYTES
        block = raw[first * BLOCK_BYTES : (first + 1) * BLOCK_BYTES].ljust(BLOCK_BYTES, b"\0")
        levels = trees.levels_of(trees.block_leaves(raw))
        return ElementCase(
            self.pieces.part, number, self._decl(False, number),
            trees.siblings_of(trees.levels_of(hashes), number),
            BlockRun(0, first, block, trees.siblings_of(levels, first)), element,
        )  # fmt: skip


def _template_of(instance: bytes) -> int:
    """Number of the template that an instance names; -1 if it does not decode."""
    try:
        return decoding.decode_instance(instance).template
    except DecodeError:
        return -1


def _decl_of(tensor: Array) -> TensorDecl:
    """Dtype and shape that a tensor has; TensorMismatch for a dtype that no program knows."""
    for dtype in DType:
        if dtype.numpy == tensor.dtype.newbyteorder("<"):
            return TensorDecl(dtype, tuple(tensor.shape))
    raise TensorMismatch(f"got a tensor of {tensor.dtype}; wanted float32 or int8 to int64")


def _block_root(tensor: Array) -> bytes:
    return trees.block_root(trees.tensor_bytes(_decl_of(tensor), tensor))


# --- finding --------------------------------------------------------------------------------------


def program_cases(b: CaseBuilder) -> Iterator[tuple[Illegality, Case]]:
    """Every case of a program, in the order of ``legality.check``."""
    p = b.pieces
    yield Illegality.PROGRAM, b.program(ProgramClause.HEADER)
    for is_input, table in enumerate((p.constants, p.inputs)):
        for k in range(len(table)):
            yield Illegality.DECLARATION, b.declaration(bool(is_input), k)
    for k in range(len(p.states)):
        yield Illegality.STATE, b.state(k)
    yield Illegality.PROGRAM, b.program(ProgramClause.HALT)
    for k in range(len(p.outputs)):
        yield Illegality.PROGRAM, b.program(ProgramClause.OUTPUT, k)
    for k, data in enumerate(p.templates):
        if len(data) > MAX_TEMPLATE_BYTES:
            yield Illegality.LENGTH, b.length(Listing.TEMPLATES, k)
        yield Illegality.TEMPLATE, b.template(k)
    for n, phase in enumerate(p.phases):
        yield Illegality.PROGRAM, b.program(ProgramClause.PHASE, n)
        for k, data in enumerate(phase.instances):
            for operand in range(max(1, data[2 * WORD - 12])):
                yield Illegality.INSTANCE, b.instance(n, k, operand)
        for k in range(len(phase.nexts)):
            yield Illegality.NEXT, b.next(n, k)


def _job_cases(
    b: CaseBuilder,
    task: Task,
    constants: Sequence[Array] | None,
    inputs: Sequence[Array] | None,
) -> Iterator[tuple[Illegality, Case]]:
    """What may be wrong with a job of a legal program."""
    program = b.pieces
    for k in range(max(1, len(program.phases))):
        yield Illegality.STEPS, b.steps(k)
    roots = (task.constants_root, task.inputs_root)
    for is_input, tensors in enumerate((constants, inputs)):
        table = program.inputs if is_input else program.constants
        if tensors is None or len(tensors) != len(table):
            continue
        for k, (tensor, data) in enumerate(zip(tensors, table, strict=True)):
            decl = decoding.decode_decl(data)
            if _decl_of(tensor) != TensorDecl(decl.dtype, decl.shape):
                if trees.tensors_root([_decl_of(x) for x in tensors], tensors) == roots[is_input]:
                    yield Illegality.TENSOR, b.tensor(bool(is_input), k, tensors)
            elif decl.bound and (at := _beyond(tensor, decl.bound)) is not None:
                if trees.tensors_root([_decl_of(x) for x in tensors], tensors) == roots[is_input]:
                    yield Illegality.ELEMENT, b.element(k, at, tensors)


def _beyond(tensor: Array, bound: int) -> int | None:
    """First element beyond +-bound."""
    flat = tensor.reshape(-1)
    beyond = np.greater(flat, bound) | np.less(flat, -bound)
    return int(beyond.argmax()) if beyond.any() else None


def _legal(program: Program | bytes) -> bool:
    """All of a program at once: the usual case."""
    try:
        legality.check(program if isinstance(program, Program) else decoding.decode(program))
    except (DecodeError, IllegalProgram):
        return False
    return True


def prove_illegality(
    program: Program | bytes,
    task: Task,
    constants: Sequence[Array] | None = None,
    inputs: Sequence[Array] | None = None,
) -> tuple[Illegality, Case] | None:
    """The first illegality of a job, with its proof; None if it is legal or nothing can be proven.

    ``program`` is the program, or the bytes of its file, which need not decode (see above).
    ``constants`` and ``inputs`` are the tensors whose roots the job names, of whatever dtype and
    shape; None if they are not at hand: what is in them is then not looked at.
    """
    try:
        pieces = pieces_of(program) if isinstance(program, Program) else split(program)
    except DecodeError:
        return None
    if pieces.root != task.program_root:
        return None
    builder = CaseBuilder(pieces)
    if not _legal(program):
        for kind, case in program_cases(builder):
            if illegal(task, kind, case):
                return kind, case
    for kind, case in _job_cases(builder, task, constants, inputs):
        if illegal(task, kind, case):
            return kind, case
    return None
