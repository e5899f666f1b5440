"""DOT at sizes where int8 limbs are used: every precision, extremes, batches, live terms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from protocol.spec import legality
from protocol.spec.assembler import Code
from protocol.spec.builder import Builder, affine
from protocol.spec.microcode import Op
from protocol.spec.types import Array, DType, Instr, Kind, Program, Slot, Template
from provider.engine import Engine
from provider.engine.arena import Arena
from provider.engine.dot import int_mm
from tests.engine.support import compare

SHAPE = (90, 130, 96)
"""Rows, terms, columns: enough work for limbs, none a multiple of what kernels like."""

PRECISIONS = {
    "i16": (DType.I16, 32639, DType.I16, 8127),
    "i14": (DType.I16, 8127, DType.I16, 8127),
    "i8w": (DType.I16, 32639, DType.I8, 127),
    "i8": (DType.I8, 127, DType.I8, 127),
    "i8 whole": (DType.I8, 128, DType.I8, 128),
    "beyond limbs": (DType.I16, 32768, DType.I16, 32768),
}


def dot_template(
    kinds: tuple[DType, int, DType, int], *, scaled: bool, live: bool = False
) -> Template:
    """[M, K] by [N, K], as exact i64 or scaled to f32."""
    m, k, n = SHAPE
    dtype_a, bound_a, dtype_b, bound_b = kinds
    code = Code()
    slots = [Slot(dtype_a, m * k), Slot(dtype_b, n * k), Slot(DType.F32, m)]
    views = (
        affine(0, (m, n), (k, 0), r=(k,), r_strides=(1,)),
        affine(1, (m, n), (0, k), r=(k,), r_strides=(1,)),
        affine(2, (m, n), (1, 0), r=(k,)),
    )
    post = code.finish(code.acc_i().to_f32() * code.load_f(2) if scaled else code.acc_i())
    if live:
        slots.append(Slot(DType.I64, 1))
    return Template(
        Kind.DOT, DType.F32 if scaled else DType.I64, (m, n), tuple(slots), views, post,
        r=(k,), bound_a=bound_a, bound_b=bound_b, live_r=3 if live else None,
    )  # fmt: skip


def extremes(rng: np.random.Generator, dtype: DType, shape: Sequence[int], bound: int) -> Array:
    """Mostly the two ends of the range, in long runs, so that kernels would saturate."""
    low, high = max(-bound, dtype.min), min(bound, dtype.max)
    ends = np.repeat(rng.choice([low, high], (shape[0], shape[1] // 10 + 1)), 10, 1)
    values = np.where(rng.random(tuple(shape)) < 0.9, ends[:, : shape[1]],
                      rng.integers(low, high, tuple(shape), endpoint=True))  # fmt: skip
    return values.astype(dtype.numpy)


def dot_program(
    kinds: tuple[DType, int, DType, int], *, live: int | None = None
) -> tuple[Program, list[Array], list[Array]]:
    """Both results of one product of constants."""
    rng = np.random.default_rng(3)
    m, k, n = SHAPE
    b = Builder()
    x = b.constant(extremes(rng, kinds[0], (m, k), kinds[1]), kinds[1])
    w = b.constant(extremes(rng, kinds[2], (n, k), kinds[3]), kinds[3])
    s = b.input(DType.F32, (m,))
    operands = [x, w, s]
    inputs: list[Array] = [rng.normal(size=m).astype(np.float32)]
    if live is not None:
        operands.append(b.input(DType.I64, (1,)))
        inputs.append(np.array([live], np.int64))
    for scaled in (True, False):
        template = dot_template(kinds, scaled=scaled, live=live is not None)
        b.output(b.op(template, operands))
    program, constants = b.build()
    legality.check(program)
    return program, constants, inputs


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_dot__operands_at_their_bounds__equals_interpreter(precision: str, threads: int) -> None:
    compare(*dot_program(PRECISIONS[precision]), threads=threads)


@pytest.mark.parametrize("live", [-1, 0, 1, 77, 130, 1000])
def test_dot__live_terms__beyond_are_left_out(live: int) -> None:
    compare(*dot_program(PRECISIONS["i16"], live=live))


@pytest.mark.parametrize("precision", ["i16", "i14", "i8w", "i8"])
def test_engine__dot_within_bounds__uses_int8_products(precision: str) -> None:
    program, constants, _ = dot_program(PRECISIONS[precision])
    engine = Engine(program, constants)
    if engine.kernels.disabled:
        pytest.skip(f"this CPU's int8 product fails: {engine.kernels.disabled}")
    plan = engine._operation(0).dot
    assert plan is not None
    assert plan.scheme is not None
    assert plan.scheme.name == precision


def test_engine__dot_beyond_limbs__uses_binary64() -> None:
    program, constants, _ = dot_program(PRECISIONS["beyond limbs"])
    plan = Engine(program, constants)._operation(0).dot
    assert plan is not None
    assert plan.scheme is None


@pytest.mark.parametrize("head", [(2, 3, 40, 33, 24), (2, 2, 128, 70, 160)])
def test_dot__batch_of_products_with_permuted_axes__equals_interpreter(
    head: tuple[int, int, int, int, int],
) -> None:
    """Attention: out[b, q, h, d] = sum over k of p[b, h, q, k] * v[b, k, h, d], v kept [b, h, d, k]
    so that k is contiguous."""
    batch, heads, queries, keys, depth = head
    rng = np.random.default_rng(5)
    b = Builder()
    p = b.constant(rng.integers(-32639, 32640, (batch, heads, queries, keys)).astype(np.int16),
                   32639)  # fmt: skip
    v = b.constant(rng.integers(-8127, 8128, (batch, heads, depth, keys)).astype(np.int16), 8127)
    shape = (batch, queries, heads, depth)
    code = Code()
    template = Template(
        Kind.DOT, DType.F32, shape,
        (Slot(DType.I16, b.decl(p).count), Slot(DType.I16, b.decl(v).count)),
        (
            affine(0, shape, (heads * queries * keys, keys, queries * keys, 0), r=(keys,),
                   r_strides=(1,)),
            affine(1, shape, (heads * depth * keys, 0, depth * keys, keys), r=(keys,),
                   r_strides=(1,)),
        ),
        code.finish(code.acc_i().to_f32() * 0.25), r=(keys,), bound_a=32639, bound_b=8127,
    )  # fmt: skip
    b.output(b.op(template, [p, v]))
    program, constants = b.build()
    legality.check(program)
    compare(program, constants, [], threads=2)


@pytest.mark.parametrize("stride", [0, 1, 63, 65])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_dot__rows_that_overlap__equals_interpreter(precision: str, stride: int) -> None:
    """A sliding window, and one row for all: enough work for the library's own products."""
    first, most, second, more = PRECISIONS[precision]
    m, k, n = 2048, 64, 16
    rng, b = np.random.default_rng(1), Builder()
    x, w = (
        b.constant(rng.integers(-min(bound, d.max), min(bound, d.max) + 1, size).astype(d.numpy),
                   bound)
        for d, bound, size in ((first, most, m * 65 + k), (second, more, n * k))
    )  # fmt: skip
    views = (
        affine(0, (m, n), (stride, 0), r=(k,), r_strides=(1,)),
        affine(1, (m, n), (0, k), r=(k,), r_strides=(1,)),
    )
    t = Template(
        Kind.DOT, DType.I64, (m, n), (Slot(first, m * 65 + k), Slot(second, n * k)), views,
        (Instr(Op.ACC),), r=(k,), bound_a=most, bound_b=more,
    )  # fmt: skip
    b.output(b.op(t, [x, w]))
    compare(*b.build(), [])


@pytest.mark.parametrize("dtype", [DType.I16, DType.I8])
def test_dot__nothing_times_negative__is_plus_zero(dtype: DType) -> None:
    b, shape = Builder(), (100, 17)
    x = b.constant(np.zeros(100, dtype.numpy), 5)
    w = b.constant(np.full(17, -5, dtype.numpy), 5)
    views = (
        affine(0, shape, (1, 0), r=(1,), r_strides=(1,)),
        affine(1, shape, (0, 1), r=(1,), r_strides=(1,)),
    )
    t = Template(
        Kind.DOT, DType.F32, shape, (Slot(dtype, 100), Slot(dtype, 17)), views,
        (Instr(Op.ACC), Instr(Op.I2F, 0)), r=(1,), bound_a=5, bound_b=5,
    )  # fmt: skip
    b.output(b.op(t, [x, w]))
    compare(*b.build(), [])


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("rows", [1, 65])
@pytest.mark.parametrize("strides", [(0, 1), (1, 1), (63, 1), (257, 1), (1, 65), (64, 2)])
def test_int_mm__operand_of_any_strides__is_exact(
    strides: tuple[int, int], rows: int, first: bool
) -> None:
    k, other = 64, 130
    data = torch.from_numpy(np.random.default_rng(7).integers(-128, 128, 1 << 16).astype(np.int8))
    a, b = data.as_strided((rows, k), strides, 3), data[: other * k].view(other, k)
    a, b = (a, b) if first else (b, a)
    assert torch.equal(int_mm(a, b, Arena(a.device)).long(), a.long() @ b.long().t())


def test_dot__one_term__is_never_an_int8_product() -> None:
    """An outer product with enough work for limbs."""
    b, shape = Builder(), (1024, 1025)
    rng = np.random.default_rng(9)
    x, w = (b.constant(rng.integers(-128, 128, n).astype(np.int8), 128) for n in shape)
    views = (affine(0, shape, (1, 0), r=(1,)), affine(1, shape, (0, 1), r=(1,)))
    slots = (Slot(DType.I8, shape[0]), Slot(DType.I8, shape[1]))
    t = Template(
        Kind.DOT, DType.I64, shape, slots, views, (Instr(Op.ACC),), r=(1,), bound_a=128,
        bound_b=128,
    )  # fmt: skip
    b.output(b.op(t, [x, w]))
    program, constants = b.build()
    engine = compare(program, constants, [])
    plan = engine._operation(0).dot
    assert plan is not None
    assert plan.scheme is None
    assert "INT_MM_SHAPE" not in engine.kernels.disabled


@pytest.mark.parametrize("zero", [0, 1])
@pytest.mark.parametrize("terms", [1, 2, 130])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_dot__vanishing_sums_of_every_precision__are_plus_zero(
    precision: str, terms: int, zero: int
) -> None:
    """Enough work for limbs, but for one term: whichever way adds up, no zero is negative."""
    dtypes, bounds = PRECISIONS[precision][::2], PRECISIONS[precision][1::2]
    m, n = (90, 96) if terms > 2 else (800, 700)
    b = Builder()
    operands, sizes = [], (m * terms, n * terms)
    for k, (dtype, bound, size) in enumerate(zip(dtypes, bounds, sizes, strict=True)):
        value = 0 if k == zero else max(-bound, dtype.min)
        operands.append(b.constant(np.full(size, value, dtype.numpy), bound))
    views = (
        affine(0, (m, n), (terms, 0), r=(terms,), r_strides=(1,)),
        affine(1, (m, n), (0, terms), r=(terms,), r_strides=(1,)),
    )
    slots = tuple(Slot(d, size) for d, size in zip(dtypes, sizes, strict=True))
    t = Template(
        Kind.DOT, DType.F32, (m, n), slots, views, (Instr(Op.ACC), Instr(Op.I2F, 0)), r=(terms,),
        bound_a=bounds[0], bound_b=bounds[1],
    )  # fmt: skip
    b.output(b.op(t, operands))
    program, constants = b.build()
    (out,) = Engine(program, constants).run([])
    assert not np.asarray(out).view(np.uint32).any()
