"""Templates at the bound of clause T9, and what proving their worst element really takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from eth_abi import encode as abi_encode

from protocol.chain.contracts import task_values
from protocol.spec import encoding, legality, trees
from protocol.spec.builder import Builder
from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.errors import IllegalProgram
from protocol.spec.job import Task
from protocol.spec.microcode import Op, signature
from protocol.spec.proofs import ABI, ElementProof, Prover
from protocol.spec.referee import Context, Proof
from protocol.spec.trace import Tree
from protocol.spec.trees import keccak256
from protocol.spec.types import (
    Array,
    Digit,
    DType,
    Fold,
    Guard,
    Instr,
    Kind,
    Program,
    Slot,
    Template,
    View,
)
from tests.builders import adversarial

TASK = "(address,bytes32,bytes32,bytes32,bytes32,uint256,uint64,int64,uint32)"
CONTEXT = f"({TASK},bytes32,bytes32,uint256,uint256,uint256,uint256,bytes32)"
JUDGE = keccak256(f"judge({CONTEXT},uint8,bytes)".encode())[:4]

LOAD, LOADX, ACC, CONSTI = (Instr(op) for op in (Op.LOAD, Op.LOADX, Op.ACC, Op.CONSTI))
ONE = (Digit(1, 0),)

Values = Callable[[np.random.Generator, int], Array]


@dataclass(frozen=True)
class Bound:
    """A template that is legal, the next larger one is not; values of its operands that cost most
    (default: adversarial)."""

    name: str
    template: Template
    values: dict[int, Values]


def largest(make: Callable[[int], Template], most: int) -> Template:
    """The last of ``make(1)``, ``make(2)``, ... that is legal."""
    low, high = 1, most
    legality.check_template(make(low))
    while low < high:
        middle = (low + high + 1) // 2
        try:
            legality.check_template(make(middle))
            low = middle
        except IllegalProgram as error:
            assert error.clause == "T9", error
            high = middle - 1
    assert low < most, "the bound was not reached"
    return make(low)


def tiny(rng: np.random.Generator, count: int) -> Array:
    """Subnormals and their likes, of both signs: sums cancel and products vanish."""
    bits = rng.integers(0, 1 << 24, count, dtype=np.uint32)
    return (bits | rng.integers(0, 2, count, dtype=np.uint32) << 31).view(np.float32)


def cancelling(rng: np.random.Generator, count: int) -> Array:
    """Neighbours of opposite signs that differ in the last bits."""
    bits = 0x3F800000 + rng.integers(0, 8, count, dtype=np.uint32)
    return (bits | (np.arange(count, dtype=np.uint32) & 1) << 31).view(np.float32)


# --- templates ------------------------------------------------------------------------------------


def computed_loads(n: int) -> Template:
    """Loads at computed indexes, each in a block of its own of an operand of 2 MiB."""
    code: list[Instr] = []
    for k in range(n):
        code += [Instr(Op.CONSTI, imm=(k + 1) * 26_003), Instr(Op.LOADX, 0, len(code))]
    while len(code) < 2 * n + 1:
        code.append(Instr(Op.CLAMP, len(code) - 1, imm=127))
    slots = (Slot(DType.I8, 1 << 21),)
    return Template(Kind.MAP, DType.I8, (1,), slots, (View(0, 0, ONE),), tuple(code))


def folded_loads(n: int) -> Template:
    """A fold of loads at computed indexes: position times a large odd number."""
    pre = (
        Instr(Op.RINDEX), Instr(Op.CONSTI, imm=26_003), Instr(Op.MUL, 0, 1),
        Instr(Op.LOADX, 0, 2),
    )  # fmt: skip
    slots = (Slot(DType.I8, 1 << 21),)
    view = View(0, 0, ONE, (Digit(n, 0),))
    return Template(
        Kind.REDUCE, DType.I64, (1,), slots, (view,), (ACC,), pre, (n,), Fold.ISUM
    )


def column(n: int) -> Template:
    """A column of a wide matrix: every row in a block of its own, the rows between left out."""
    stride = 1031
    slots = (Slot(DType.F32, stride * n),)
    view = View(0, 0, (Digit(1, 1),), (Digit(n, stride),))
    return Template(
        Kind.REDUCE, DType.F32, (1,), slots, (view,), (ACC,), (LOAD,), (n,), Fold.FSUM
    )


def row_of(*ops: Instr, fold: Fold = Fold.FSUM) -> Callable[[int], Template]:
    """A row that is loaded and taken through ``ops``."""

    def make(n: int) -> Template:
        slots = (Slot(DType.F32, 4 * n),)
        view = View(0, 0, (Digit(4, n),), (Digit(n, 1),))
        post = (ACC,) if fold is Fold.FSUM else (ACC, Instr(Op.I2F, 0))
        return Template(
            Kind.REDUCE, DType.F32, (4,), slots, (view,), post, (LOAD, *ops), (n,), fold
        )

    return make


def chain(op: Op, n: int = 40) -> list[Instr]:
    """An instruction again and again, on what the one before gave and on the load."""
    return [Instr(op, k, 0) for k in range(n)]


def integers(op: Op, n: int = 40) -> list[Instr]:
    """Integers of the bits of the load, and a float at the end."""
    out = [Instr(Op.BITS, 0)]
    second = 1 if signature(op)[0][1] == "I" else 0
    out += [Instr(op, k, second) for k in range(1, n)]
    return [*out, Instr(Op.FROMBITS, n)]


def digits(n: int) -> Template:
    """Coordinates of r in three digits, and of i."""
    pre = [LOAD, *(Instr(Op.RCOORD, k % 3) for k in range(20)), *[Instr(Op.COORD, 1)] * 20, LOAD]
    slots = (Slot(DType.F32, 9 * n),)
    view = View(0, 0, (Digit(6, 0),), (Digit(3, 3 * n), Digit(3, n), Digit(n, 1)))
    return Template(
        Kind.REDUCE, DType.F32, (2, 3), slots, (view,), (ACC,), tuple(pre), (3, 3, n), Fold.FSUM
    )


def dot(a: DType, b: DType) -> Callable[[int], Template]:
    """A long row against a long column that starts in the middle of a word."""

    def make(n: int) -> Template:
        slots = (Slot(a, 2 * n + 3), Slot(b, 2 * n + 5))
        views = (View(0, 3, ONE, (Digit(n, 1),)), View(1, 5, ONE, (Digit(n, 1),)))
        return Template(
            Kind.DOT, DType.I64, (1,), slots, views, (ACC,), (), (n,), bound_a=-a.min if a is
            DType.I8 else 32768, bound_b=-b.min,
        )  # fmt: skip

    return make


def window(n: int) -> Template:
    """A product over n rows of 3 pixels of 2 channels, guarded, most of it inside."""
    slots = (Slot(DType.I16, 600 * n), Slot(DType.I8, 6 * n))
    guards = (Guard(-1, n), Guard(0, 3))
    image = View(
        0, 7, ONE, (Digit(n, 599, 1), Digit(3, 2, 0, 1), Digit(2, 1)), guards, -5
    )
    kernel = View(1, 0, ONE, (Digit(n, 6), Digit(3, 2), Digit(2, 1)))
    return Template(
        Kind.DOT, DType.I64, (1,), slots, (image, kernel), (ACC,), (), (n, 3, 2), bound_a=32768,
        bound_b=128,
    )  # fmt: skip


def short_runs(n: int) -> Template:
    """A product whose innermost digit has one element: a gather a term."""
    slots = (Slot(DType.I16, n), Slot(DType.I8, n))
    rows = (Digit(n, 1), Digit(1, 1))
    views = (View(0, 0, ONE, rows), View(1, 0, ONE, rows))
    return Template(
        Kind.DOT, DType.I64, (1,), slots, views, (ACC,), (), (n, 1), bound_a=32768, bound_b=128
    )


def many_views(n: int) -> Template:
    """Sixteen guarded views of eleven digits over twelve operands, folded."""
    shape = (2,) * 8
    slots = (*(Slot(DType.I32, 1 << 17),) * 11, Slot(DType.I64, 1))
    guards = (Guard(0, 99, 11), Guard(0, 99, None))
    r = (2, 2, n)
    views = tuple(
        View(
            k % 11, 0, tuple(Digit(2, 1 << j, 1, 1) for j in range(8)),
            (Digit(2, 40_000, 1, 1), Digit(2, 20_001, 0, 1), Digit(n, 300, 0, 0)), guards, -1,
        )
        for k in range(16)
    )  # fmt: skip
    pre = (*(Instr(Op.LOAD, k) for k in range(6)), *(Instr(Op.ADD, k, k + 1) for k in range(5)))
    return Template(
        Kind.REDUCE, DType.I64, shape, slots, views, (ACC,), pre, r, Fold.ISUM, live_r=11
    )


def edge(
    rows: int, inner: int, first: int, second: int, a: DType = DType.I16, b: DType = DType.I8
) -> Template:
    """Every run begins one element before its operand, and both guards hold."""

    def view(slot: int, stride: int) -> View:
        digits = (Digit(rows, 0, 1, 1), Digit(2, stride, 1, 1), Digit(inner, 1))
        always = Guard(0, 1 << 60)
        return View(slot, -1, (Digit(1, 0),), digits, (always, always), -1)

    return Template(
        Kind.DOT, DType.I64, (1,), (Slot(a, 1 << 17), Slot(b, 1 << 17)),
        (view(0, first), view(1, second)), (Instr(Op.ACC),), (), (rows, 2, inner),
        bound_a=-a.min, bound_b=-b.min,
    )  # fmt: skip


def windows(views: int, count: int, elements: int) -> Template:
    """Views of windows of a block each, one block apart, seen through a digit of stride 0."""
    step = elements // 256 // views
    length = 2 * count
    made = tuple(
        View(
            0, (k * step + step // 2 - 3) * 256, (Digit(1, 0),),
            (Digit(count, 0, -2), Digit(length, 256, 1)), (Guard(0, 1),), 0,
        )
        for k in range(views)
    )  # fmt: skip
    loads = (*(Instr(Op.LOAD, k) for k in range(views)), Instr(Op.ADD, 0, 0))
    slots = (Slot(DType.I16, elements),)
    return Template(
        Kind.REDUCE, DType.I64, (1,), slots, made, (Instr(Op.ACC),), loads, (count, length),
        Fold.ISUM,
    )  # fmt: skip


def bounds() -> list[Bound]:
    """All of them, each as large as is legal."""
    floats = {"of subnormals": tiny, "that cancel": cancelling}
    out = [
        Bound("computed loads", largest(computed_loads, 120), {}),
        Bound("computed loads, folded", largest(folded_loads, 4000), {}),
        Bound("column", largest(column, 4000), {}),
        Bound("DOT i16 i16", largest(dot(DType.I16, DType.I16), 65_536), {}),
        Bound("DOT i8 i8", largest(dot(DType.I8, DType.I8), 65_536), {}),
        Bound("DOT i16 i8", largest(dot(DType.I16, DType.I8), 65_536), {}),
        Bound("DOT of a window", largest(window, 4000), {}),
        Bound("DOT of short runs", largest(short_runs, 4000), {}),
        Bound("DOT of short runs behind guards", largest(lambda n: edge(n, 2, 0, 0), 900), {}),
        Bound("the same of distant rows", largest(lambda n: edge(n, 33, 4096, 8192), 900), {}),
        Bound("the same, i16 i16", largest(lambda n: edge(n, 2, 4096, 8192, b=DType.I16), 900), {}),
        Bound("the same, i8 i8", largest(lambda n: edge(n, 2, 4096, 8192, DType.I8), 900), {}),
        Bound("DOT of long runs behind guards", largest(lambda n: edge(1, n, 0, 0), 32_768), {}),
        Bound("windows of a still digit", largest(lambda n: windows(7, n, 1 << 22), 100), {}),
        Bound("sixteen views", largest(many_views, 400), {}),
        Bound("digits", largest(digits, 4000), {0: tiny}),
        Bound("ARGMAX", largest(row_of(fold=Fold.ARGMAX), 65_536), {0: cancelling}),
    ]
    for what, values in floats.items():
        out.append(Bound(f"FSUM {what}", largest(row_of(), 65_536), {0: values}))
        for op in (Op.FADD, Op.FSUB, Op.FMUL, Op.FDIV, Op.FMIN):
            made = largest(row_of(*chain(op)), 4000)
            out.append(Bound(f"{op.name} {what}", made, {0: values}))
    for op in (Op.FSQRT, Op.RINT, Op.FLOOR):
        made = largest(row_of(Instr(Op.FABS, 0), *[Instr(op, k + 1) for k in range(40)]), 4000)
        out.append(Bound(op.name, made, {0: tiny}))
    for op in (Op.DIV, Op.MOD, Op.SHR, Op.CLAMP):
        out.append(Bound(op.name, largest(row_of(*integers(op)), 4000), {}))
    back = [Instr(op, k) for k, op in enumerate((Op.F2I, Op.I2F) * 20)]
    out.append(Bound("F2I, I2F", largest(row_of(*back), 4000), {}))
    return out


# --- calls ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Proven:
    """A call of ``judge``, and how much of what a program at every limit brings is not in it."""

    calldata: bytes
    missing: int
    nodes: int


@dataclass(frozen=True)
class Claimed:
    """An element as it was claimed, and the proof of what it is."""

    context: Context
    proof: ElementProof

    @property
    def calldata(self) -> bytes:
        """Of ``judge``."""
        c = self.context
        task = task_values(c.task)
        words = (task, c.steps_root, c.operations_root, c.leaves, c.step, c.item, c.index, c.node)
        data = abi_encode([ABI[ElementProof]], [self.proof])
        return JUDGE + abi_encode([CONTEXT, "uint8", "bytes"], [words, Proof.ELEMENT, data])


def _no_levels(tree: Tree, step: int, item: int) -> list[list[bytes]]:
    raise AssertionError(f"no part of the trace is read, {tree.name} {step} {item} was")


def _no_data(tree: Tree, step: int, item: int) -> bytes:
    raise AssertionError(f"no part of the trace is read, {tree.name} {step} {item} was")


def program_of(t: Template, operands: Sequence[Array]) -> tuple[Program, list[Array]]:
    """One operation that reads constants."""
    b = Builder()
    bounds_ = [0] * len(t.slots)
    if t.kind is Kind.DOT:
        bounds_[t.views[0].slot], bounds_[t.views[1].slot] = t.bound_a, t.bound_b
    refs = [b.constant(x, bound) for x, bound in zip(operands, bounds_, strict=True)]
    b.output(b.op(t, refs))
    return b.build()


def claimed(program: Program, constants: Sequence[Array], element: int) -> Claimed:
    """One element of the first operation in a claimed block of zeros."""
    root, zero = trees.tensors_root(program.constants, constants), bytes(32)
    task = Task(bytes(20), encoding.program_root(program), root, zero, zero, 1)
    raws = [np.ascontiguousarray(x).tobytes() for x in constants]
    prover = Prover(program, raws, [], (1,), 0, _no_levels, _no_data)
    block = bytes(BLOCK_BYTES)
    index = element * program.templates[0].dtype.size // BLOCK_BYTES
    context = Context(task, program, zero, zero, 2, 1, 0, index, keccak256(block))
    return Claimed(context, prover.element(1, 0, element, block))


def proven(bound: Bound, element: int = 0) -> Proven:
    """Proof of one element against a claimed block of zeros."""
    t, rng = bound.template, np.random.default_rng(7)
    operands = []
    for k, slot in enumerate(t.slots):
        if k in bound.values:
            operands.append(bound.values[k](rng, slot.count))
        elif slot.dtype is DType.I64:
            operands.append(np.array([1 << 40] * slot.count, np.int64))
        else:
            operands.append(adversarial(rng, slot.dtype, (slot.count,)))
    program, constants = program_of(t, operands)
    legality.check(program)
    shown = claimed(program, constants, element)
    proof = shown.proof
    paths = [proof.instance.siblings, proof.template.siblings, proof.phase.siblings]
    paths += [operand.siblings for operand in proof.operands]
    nodes = 20 * len(paths) - sum(map(len, paths))
    return Proven(shown.calldata, 32 * nodes, nodes)
