"""Small programs that together use every part of the machine: for vectors, tests and tours.

Each function returns an ``Example``: a legal program with everything a run needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from protocol.spec.assembler import Code, RegI
from protocol.spec.builder import Builder, affine, row_major
from protocol.spec.types import (
    Array,
    DType,
    Fold,
    Guard,
    Init,
    InitKind,
    Instr,
    Kind,
    Program,
    Slot,
    Template,
)

SPECIALS = (
    0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000, 0x3F800000, 0xBF800000,
    0x3F800001, 0x4B000001, 0x5F000000, 0xDF000000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000,
    0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF,
)  # fmt: skip
"""Bit patterns of f32 at which implementations differ: zeros, subnormals, ones, limits of int64,
largest, infinities, NaNs with signs and payloads."""


@dataclass(frozen=True, slots=True)
class Example:
    """A program and the arguments of one run."""

    name: str
    program: Program
    constants: list[Array]
    inputs: list[Array]
    seed: int = 0
    steps: tuple[int, ...] | None = None


def special_floats(count: int, salt: int = 0) -> Array:
    """``count`` f32 that begin with all special patterns and go on with arbitrary bits."""
    rng = np.random.default_rng(salt)
    rest = rng.integers(0, 1 << 32, max(0, count - len(SPECIALS)), dtype=np.uint32)
    bits = np.concatenate([np.array(SPECIALS, np.uint32), rest])[:count]
    return bits.view(np.float32)


def elementwise(
    code: tuple[Instr, ...],
    dtype: DType,
    shape: Sequence[int],
    inputs: Sequence[tuple[DType, Sequence[int]]],
) -> Template:
    """A MAP whose view k reads operand k with the given strides along ``shape``."""
    shape = tuple(shape)
    slots, views = [], []
    for k, (kind, strides) in enumerate(inputs):
        last = sum(s * (n - 1) for s, n in zip(strides, shape, strict=True))
        slots.append(Slot(kind, last + 1))
        views.append(affine(k, shape, strides))
    return Template(Kind.MAP, dtype, shape, tuple(slots), tuple(views), code)


def _fold(
    fold: Fold, source: DType, shape: tuple[int, int], *, absolute: bool = False
) -> Template:
    """Fold the rows of a matrix."""
    pre, post = Code(), Code()
    rows, width = shape
    x = pre.load(0, source)
    if absolute:
        x = pre.load_f(0).abs()
    is_float = source.is_float and fold is not Fold.ARGMAX
    return Template(
        kind=Kind.REDUCE,
        dtype=DType.F32 if is_float else DType.I64,
        shape=(rows,),
        slots=(Slot(source, rows * width),),
        views=(affine(0, (rows,), (width,), r=(width,), r_strides=(1,)),),
        pre=pre.finish(x),
        post=post.finish(post.acc_f() if is_float else post.acc_i()),
        r=(width,),
        fold=fold,
    )


def folds() -> Example:
    """Every fold, over rows of special values."""
    b = Builder()
    shape = (4, 37)
    x, n = b.input(DType.F32, shape), b.input(DType.I64, shape)
    for fold in (Fold.FSUM, Fold.MAX, Fold.MIN, Fold.ARGMAX):
        b.output(b.op(_fold(fold, DType.F32, shape), [x]))
    for fold in (Fold.ISUM, Fold.MAX, Fold.MIN, Fold.ARGMAX):
        b.output(b.op(_fold(fold, DType.I64, shape), [n]))
    program, constants = b.build()
    rng = np.random.default_rng(1)
    floats = special_floats(148, 1).reshape(shape).copy()
    floats[1] = rng.normal(size=37).astype(np.float32)
    floats[2] = -0.0
    ints = rng.integers(-(1 << 63), 1 << 63, shape, dtype=np.int64)
    return Example("folds", program, constants, [floats, ints])


def mlp() -> Example:
    """Quantise, multiply, rescale, add a bias, clip at zero."""
    b = Builder()
    rows, width, out = 3, 70, 5
    rng = np.random.default_rng(2)
    x = b.input(DType.F32, (rows, width))
    w = b.constant(rng.integers(-8127, 8128, (out, width)).astype(np.int16), 8127)
    inv = b.constant(rng.uniform(1e-6, 1e-4, out).astype(np.float32))
    bias = b.constant(rng.normal(size=out).astype(np.float32))
    m = b.op(_fold(Fold.MAX, DType.F32, (rows, width), absolute=True), [x])
    c = Code()
    q = (c.load_f(0) * (32639.0 / c.load_f(1))).to_int().clamp(32639)
    quantise = elementwise(
        c.finish(q), DType.I16, (rows, width), [(DType.F32, (width, 1)), (DType.F32, (1, 0))]
    )
    c = Code()
    y = c.acc_i().to_f32() * (c.load_f(2) / 32639.0) * c.load_f(3) + c.load_f(4)
    shape = (rows, out)
    dot = Template(
        kind=Kind.DOT,
        dtype=DType.F32,
        shape=shape,
        slots=(
            Slot(DType.I16, rows * width),
            Slot(DType.I16, out * width),
            Slot(DType.F32, rows),
            Slot(DType.F32, out),
            Slot(DType.F32, out),
        ),
        views=(
            affine(0, shape, (width, 0), r=(width,), r_strides=(1,)),
            affine(1, shape, (0, width), r=(width,), r_strides=(1,)),
            affine(2, shape, (1, 0), r=(width,)),
            affine(3, shape, (0, 1), r=(width,)),
            affine(4, shape, (0, 1), r=(width,)),
        ),
        post=c.finish(y.max(0.0)),
        r=(width,),
        bound_a=32639,
        bound_b=8127,
    )
    b.output(b.op(dot, [b.op(quantise, [x, m]), w, m, inv, bias]))
    program, constants = b.build()
    data = rng.normal(size=(rows, width)).astype(np.float32)
    return Example("mlp", program, constants, [data])


def convolution() -> Example:
    """A 3x3 convolution of int8 images: im2col is a view with two guards."""
    b = Builder()
    h, w, ch, out = 5, 4, 3, 2
    rng = np.random.default_rng(3)
    x = b.input(DType.I8, (h, w, ch))
    c = Code()
    copy = elementwise(c.finish(c.load_i(0).clamp(127)), DType.I8, (h, w, ch),
                       [(DType.I8, row_major((h, w, ch)))])  # fmt: skip
    kernel = b.constant(rng.integers(-127, 128, (out, 3, 3, ch)).astype(np.int8), 127)
    c = Code()
    image = affine(
        0, (h, w, out), (w * ch, ch, 0), r=(3, 3, ch), r_strides=(w * ch, ch, 1),
        offset=-(w * ch) - ch, guards=(Guard(-1, h), Guard(-1, w)),
        weights=((1, 0, 0, 1, 0, 0), (0, 1, 0, 0, 1, 0)),
    )  # fmt: skip
    weight = affine(1, (h, w, out), (0, 0, 9 * ch), r=(3, 3, ch), r_strides=(3 * ch, ch, 1))
    dot = Template(
        kind=Kind.DOT,
        dtype=DType.I32,
        shape=(h, w, out),
        slots=(Slot(DType.I8, h * w * ch), Slot(DType.I8, out * 9 * ch)),
        views=(image, weight),
        post=c.finish(c.acc_i()),
        r=(3, 3, ch),
        bound_a=127,
        bound_b=127,
    )
    b.output(b.op(dot, [b.op(copy, [x]), kernel]))
    program, constants = b.build()
    data = rng.integers(-128, 128, (h, w, ch)).astype(np.int8)
    return Example("convolution", program, constants, [data])


def gather() -> Example:
    """Rows of a table by computed index; an index outside gives the pad."""
    b = Builder()
    rows, width, n = 6, 5, 8
    rng = np.random.default_rng(4)
    table = b.constant(rng.normal(size=(rows, width)).astype(np.float32))
    ids = b.input(DType.I64, (n,))
    c = Code()
    row = c.load_i(1)
    shape = (n, width)
    template = Template(
        kind=Kind.MAP,
        dtype=DType.F32,
        shape=shape,
        slots=(Slot(DType.F32, rows * width), Slot(DType.I64, n)),
        views=(affine(0, shape, (0, 1), pad=0x7F800001), affine(1, shape, (1, 0))),
        post=c.finish(c.loadx(0, row * width, DType.F32)),
    )
    b.output(b.op(template, [table, ids]))
    program, constants = b.build()
    extreme = [0, 5, 2, -1, 6, 1 << 62, -(1 << 63), (1 << 63) - 1]
    return Example("gather", program, constants, [np.array(extreme, np.int64)])


def _scalar_map(code: Code, value: RegI, dtype: DType, reads: Sequence[DType]) -> Template:
    """A MAP of one element that reads element 0 of each operand."""
    slots = tuple(Slot(d, 1) for d in reads)
    views = tuple(affine(k, (1,), (0,)) for k in range(len(reads)))
    return Template(Kind.MAP, dtype, (1,), slots, views, code.finish(value))


def counter() -> Example:
    """Counts to 5 and halts; writes a value that depends on step and seed into one row a step."""
    b = Builder()
    position = b.state(DType.I64, (1,), Init(InitKind.FILL, 0))
    halt = b.state(DType.I32, (1,), Init(InitKind.FILL, 0))
    log = b.state(DType.I64, (2, 8), Init(InitKind.FILL, -1))
    c = Code()
    following = _scalar_map(c, c.load_i(0) + 1, DType.I64, [DType.I64])
    b.set_next(position, b.op(following, [position]))
    c = Code()
    done = _scalar_map(c, c.load_i(0).eq(4), DType.I32, [DType.I64])
    b.set_next(halt, b.op(done, [position]))
    c = Code()
    same = _scalar_map(c, c.load_i(0), DType.I64, [DType.I64])
    c = Code()
    word = (c.seed() ^ (c.step() * 0x1E3779B97F4A7C15)) + c.coord(0)
    column = Template(Kind.MAP, DType.I64, (2, 1), (), (), c.finish(word + c.phase_step()))
    b.write_slice(log, 1, b.op(same, [position]), b.op(column, []))
    b.halt(halt)
    b.output(log)
    b.output(position)
    b.phase(max_steps=16)
    program, constants = b.build()
    return Example("counter", program, constants, [], seed=-7, steps=(9,))


def live() -> Example:
    """Bounds that depend on data: fewer terms, fewer outputs, a moving guard."""
    b = Builder()
    rows, width = 4, 6
    x, n = b.input(DType.F32, (rows, width)), b.input(DType.I64, (1,))
    slots = (Slot(DType.F32, rows * width), Slot(DType.I64, 1))
    plain = affine(0, (rows,), (width,), r=(width,), r_strides=(1,))
    for fold in (Fold.FSUM, Fold.MAX, Fold.MIN, Fold.ARGMAX):
        pre, post = Code(), Code()
        acc = post.acc_i() if fold is Fold.ARGMAX else post.acc_f()
        template = Template(
            kind=Kind.REDUCE, dtype=DType.I64 if fold is Fold.ARGMAX else DType.F32,
            shape=(rows,), slots=slots, views=(plain,), pre=pre.finish(pre.load_f(0)),
            post=post.finish(acc), r=(width,), fold=fold, live_r=1,
        )  # fmt: skip
        b.output(b.op(template, [x, n]))
    c = Code()
    guarded = affine(
        0, (rows, width), (width, 1), guards=(Guard(0, width, live=1),), weights=((0, 1),),
        pad=0x40400000,
    )  # fmt: skip
    template = Template(
        Kind.MAP, DType.F32, (rows, width), slots, (guarded,), c.finish(c.load_f(0) + 1.0),
        live_out=(1, 0), dead=0xFFC00001,
    )  # fmt: skip
    b.output(b.op(template, [x, n]))
    program, constants = b.build()
    data = special_floats(rows * width, 5).reshape(rows, width)
    return Example("live", program, constants, [data, np.array([3], np.int64)])


def phases() -> Example:
    """Two phases that share a state: double it, then add the step number."""
    b = Builder()
    x = b.input(DType.F32, (3,))
    s = b.state(DType.F32, (3,), Init(InitKind.INPUT, 0))
    c = Code()
    double = elementwise(c.finish(c.load_f(0) * 2.0), DType.F32, (3,), [(DType.F32, (1,))])
    b.set_next(s, b.op(double, [s]))
    b.phase(max_steps=4)
    c = Code()
    moved = c.load_f(0) + c.step().to_f32() + c.load_f(1)
    code = c.finish(moved)
    add = elementwise(code, DType.F32, (3,), [(DType.F32, (1,)), (DType.F32, (1,))])
    b.set_next(s, b.op(add, [s, x]))
    b.output(s)
    b.phase(max_steps=2)
    program, constants = b.build()
    data = np.array([1.5, -0.0, 3e38], np.float32)
    return Example("phases", program, constants, [data], steps=(3, 2))


def all_examples() -> list[Example]:
    """Every example, in a fixed order."""
    makers = (folds, mlp, convolution, gather, counter, live, phases)
    return [make() for make in makers]
