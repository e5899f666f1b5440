"""Quantise and dequantise against their definition in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.spec import library
from protocol.spec.assembler import Code
from protocol.spec.constants import BOUND_A_I16, BOUND_B_I16, BOUND_I8
from protocol.spec.f32 import F
from protocol.spec.microcode import Op
from tests.spec import model
from tests.spec.registers import apply, bits, floats

BOUNDS = [BOUND_A_I16, BOUND_B_I16, BOUND_I8]
PATTERNS = st.one_of(st.sampled_from(model.F_VALUES), st.integers(0, 0xFFFFFFFF))
SMALLEST = 0x0D800000  # 2^-100


def quantise(x: F, m: F, bound: int) -> list[int]:
    got: list[int] = apply(lambda a, b: library.quantise(a, b, bound), x, m).tolist()
    return got


def inv_scale(m: F, bound: int) -> list[int]:
    return bits(apply(lambda a: library.inv_scale(a, bound), m))


def defined_q(x: int, m: int, bound: int) -> int:
    """q of the definition; x and m are raw bits."""
    if model.is_nan(m) or model.is_inf(m) or model.value(m) < Fraction(1, 2**100):
        return 0
    s = model.div(model.rounded(Fraction(bound)), m)
    return model.clamp(model.to_int(model.mul(x, s)), bound)


def defined_inv(m: int, bound: int) -> int:
    if model.is_nan(m) or model.is_inf(m):
        return model.NAN
    if model.value(m) < Fraction(1, 2**100):
        return 0
    return model.div(m, model.rounded(Fraction(bound)))


@pytest.mark.parametrize("bound", BOUNDS)
def test_quantise__its_code__ends_with_the_clamp_to_the_bound(bound: int) -> None:
    code = Code()
    instructions = code.finish(library.quantise(code.load_f(0), code.load_f(1), bound))
    assert instructions[-1].op == Op.CLAMP
    assert instructions[-1].imm == bound


@given(
    st.lists(PATTERNS, min_size=1, max_size=20),
    st.sampled_from(BOUNDS),
)
@settings(max_examples=500)
def test_quantise__any_row__equals_the_definition(row: list[int], bound: int) -> None:
    x = floats(row)
    # The row's m, as the MAX fold over |x| gives it: NaN wins.
    m = max((model.canonical(b) & ~model.SIGN for b in row), key=model.key)
    got = quantise(x, floats([m]), bound)
    assert got == [defined_q(model.canonical(b), m, bound) for b in row]
    assert inv_scale(floats([m]), bound) == [defined_inv(m, bound)]


@given(PATTERNS, PATTERNS.map(lambda b: b & 0x7FFFFFFF), st.sampled_from(BOUNDS))
@settings(max_examples=500)
def test_quantise__element_foreign_to_its_row__stays_within_the_bound(
    x: int, m: int, bound: int
) -> None:
    assert -bound <= quantise(floats([x]), floats([m]), bound)[0] <= bound


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize(
    "m, inv_is",
    [
        (0, "zero"),
        (1, "zero"),
        (0x00800000, "zero"),
        (SMALLEST - 1, "zero"),
        (SMALLEST, "m / bound"),
        (0x7F7FFFFF, "m / bound"),
        (model.INF, "nan"),
        (model.NAN, "nan"),
    ],
)
def test_quantise__row_at_the_limits__vanishes_or_poisons(bound: int, m: int, inv_is: str) -> None:
    row = floats([m, m ^ model.SIGN, 0, model.SIGN])
    q = quantise(row, floats([m]), bound)
    inv = inv_scale(floats([m]), bound)[0]
    if inv_is == "m / bound":
        assert q == [bound, -bound, 0, 0]
        assert inv == model.div(m, model.rounded(Fraction(bound)))
    else:
        assert q == [0, 0, 0, 0]
        assert inv == (0 if inv_is == "zero" else model.NAN)


def test_quantise__scale_kept_as_a_row_value__same_bits() -> None:
    rng = np.random.default_rng(12)
    x = rng.normal(size=5000).astype(np.float32)
    m = np.abs(x).max(keepdims=True)
    s = np.asarray(apply(lambda a: library.scale(a, BOUND_A_I16), m), np.float32)
    split = apply(lambda a, b: library.quantise_scaled(a, b, BOUND_A_I16), x, s)
    assert split.tolist() == quantise(x, m, BOUND_A_I16)


def test_quantise__halves__round_to_even() -> None:
    # m = bound: the scale is 1 and the elements are their own quotients.
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5], np.float32)
    assert quantise(x, np.array([127.0], np.float32), 127) == [0, 2, 2, 0, -2, -2]


@given(st.integers(-(1 << 46), 1 << 46), PATTERNS, PATTERNS)
@settings(max_examples=500)
def test_dequantise__any_scales__rounds_three_times_in_order(acc: int, a: int, b: int) -> None:
    got = apply(library.dequantise, np.array([acc], np.int64), floats([a]), floats([b]))
    converted = model.rounded(Fraction(acc))
    first = model.mul(converted, model.canonical(a))
    assert bits(got) == [model.mul(first, model.canonical(b))]


def test_quantise_dequantise__normal_rows__lose_at_most_half_a_step() -> None:
    rng = np.random.default_rng(13)
    x = (rng.normal(size=(200, 64)) * 10 ** rng.uniform(-20, 20, (200, 1))).astype(np.float32)
    m = np.abs(x).max(axis=1, keepdims=True)
    for bound in BOUNDS:
        q = apply(lambda a, b, bound=bound: library.quantise(a, b, bound), x, m)
        inv = apply(lambda a, bound=bound: library.inv_scale(a, bound), m)
        step = m.astype(np.float64) / bound
        # Half a step, and the f32 roundings of the scale, the product and inv.
        assert np.all(np.abs(q * inv.astype(np.float64) - x) <= step * 0.505)
        assert int(np.abs(q).max(axis=1).min()) == bound
