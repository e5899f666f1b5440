"""f32 against Berkeley SoftFloat and against exact fractions, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import softfloatpy as soft
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.spec import f32
from protocol.spec.f32 import F
from tests.spec import float_cases, model
from tests.spec.registers import bits, floats

PATTERNS = st.one_of(st.sampled_from(model.F_VALUES), st.integers(0, 0xFFFFFFFF))
RANDOM = 24_000

Soft = Callable[..., soft.Float32]
BINARY: dict[str, tuple[Callable[[F, F], F], Soft, Callable[[int, int], int]]] = {
    "add": (f32.add, soft.f32_add, model.add),
    "sub": (f32.sub, soft.f32_sub, model.sub),
    "mul": (f32.mul, soft.f32_mul, model.mul),
    "div": (f32.div, soft.f32_div, model.div),
}


def to_soft(b: int) -> soft.Float32:
    return soft.Float32.from_bytes(b.to_bytes(4, "big"))


def from_soft(x: soft.Float32) -> int:
    return model.canonical(int.from_bytes(x.to_bytes(), "big"))


def pairs(seed: int) -> list[tuple[int, int]]:
    left, right = float_cases.pairs(seed, RANDOM)
    return list(zip(left.tolist(), right.tolist(), strict=True))


@pytest.mark.parametrize("name", BINARY)
def test_arithmetic__special_pairs_and_random_bits__equals_softfloat(name: str) -> None:
    ours, theirs, _ = BINARY[name]
    cases = pairs(seed=1)
    assert len(cases) > 30_000
    left, right = floats([a for a, _ in cases]), floats([b for _, b in cases])
    with np.errstate(all="ignore"):
        got = bits(ours(left, right))
    want = [from_soft(theirs(to_soft(a), to_soft(b))) for a, b in cases]
    assert got == want


@pytest.mark.parametrize("name", BINARY)
def test_arithmetic__special_pairs_and_random_bits__equals_exact_fractions(name: str) -> None:
    ours, _, exact = BINARY[name]
    cases = pairs(seed=2)[::3]
    left, right = floats([a for a, _ in cases]), floats([b for _, b in cases])
    with np.errstate(all="ignore"):
        got = bits(ours(left, right))
    assert got == [exact(a, b) for a, b in cases]


def singles(seed: int) -> list[int]:
    cases: list[int] = float_cases.singles(seed, RANDOM).tolist()
    return cases


def test_sqrt__special_and_random_bits__equals_softfloat_and_fractions() -> None:
    cases = singles(seed=3)
    with np.errstate(all="ignore"):
        got = bits(f32.sqrt(floats(cases)))
    assert got == [from_soft(soft.f32_sqrt(to_soft(b))) for b in cases]
    assert got[:6000] == [model.sqrt(b) for b in cases[:6000]]


def test_rint__special_values_and_halves__equals_softfloat() -> None:
    cases = singles(seed=4)
    with np.errstate(all="ignore"):
        got = bits(f32.canonical(np.rint(floats(cases))))
    even = soft.RoundingMode.NEAR_EVEN
    assert got == [from_soft(soft.f32_round_to_int(to_soft(b), even)) for b in cases]


def test_to_int__finite_values_in_range__equals_softfloat() -> None:
    cases = [b for b in singles(seed=5) if b & 0x7FFFFFFF < 0x5F000000]
    with np.errstate(all="ignore"):
        got = f32.to_int(np.rint(floats(cases))).tolist()
    even = soft.RoundingMode.NEAR_EVEN
    assert got == [soft.f32_to_i64(to_soft(b), even).to_int() for b in cases]


@pytest.mark.parametrize(
    "pattern, integer",
    [
        (0x5F000000, (1 << 63) - 1),
        (0xDF000000, -(1 << 63)),
        (0x7F7FFFFF, (1 << 63) - 1),
        (0xFF7FFFFF, -(1 << 63)),
        (model.INF, (1 << 63) - 1),
        (model.MINUS_INF, -(1 << 63)),
        (0x7F800001, 0),
        (0xFFFFFFFF, 0),
    ],
)
def test_to_int__out_of_range__saturates_and_nan_is_0(pattern: int, integer: int) -> None:
    assert f32.to_int(floats([pattern])).tolist() == [integer]


def test_from_int__extremes_ties_and_random__equals_softfloat() -> None:
    cases = float_cases.integers(6, RANDOM).tolist()
    got = bits(f32.from_int(np.array(cases, np.int64)))
    assert got == [from_soft(soft.i64_to_f32(soft.Int64.from_int(n))) for n in cases]


@given(PATTERNS, st.one_of(st.integers(-310, 310), st.sampled_from(model.I_VALUES)))
@settings(max_examples=2000)
def test_ldexp__any_bits_any_exponent__rounds_once(pattern: int, n: int) -> None:
    with np.errstate(all="ignore"):
        got = bits(f32.ldexp(floats([pattern]), np.array([n], np.int64)))
    assert got == [model.ldexp(model.canonical(pattern), n)]


def test_ldexp__result_halfway_between_subnormals__rounds_to_even_once() -> None:
    # 1 + 2^-23 scaled to just above a tie: rounding twice would land on the even neighbour.
    x = floats([0x3F800001, 0x3F800000, 0x40400000, 0x3FC00000])
    got = bits(f32.ldexp(x, np.array([-150, -150, -150, -149], np.int64)))
    assert got == [1, 0, 2, 2]


def test_exponent__every_class__is_the_floor_of_log2() -> None:
    cases = singles(seed=7)
    got = f32.exponent(floats(cases)).tolist()
    assert got == [model.exponent(b) for b in cases]
    for b in cases[:2000]:
        e = model.exponent(b)
        if -150 < e < 128:
            assert Fraction(2) ** e <= abs(model.value(b)) < Fraction(2) ** (e + 1)


def test_key__all_special_values__orders_them_with_zeros_apart_and_nan_last() -> None:
    ordered = sorted({model.canonical(b) for b in model.F_VALUES}, key=model.key)
    keys = f32.key(floats(ordered)).tolist()
    assert keys == sorted(set(keys))
    assert ordered[0] == model.MINUS_INF
    assert ordered[-1] == model.NAN
    assert ordered.index(0) == ordered.index(model.MINUS_ZERO) + 1


def test_maximum_minimum__zeros_and_nan__follow_the_total_order() -> None:
    a = floats([model.MINUS_ZERO, 0, 0xFFC00001, 0x3F800000, model.MINUS_INF])
    b = floats([0, model.MINUS_ZERO, model.INF, 0x7F800001, model.INF])
    assert bits(f32.maximum(a, b)) == [0, 0, model.NAN, model.NAN, model.INF]
    minus_zero = model.MINUS_ZERO
    want = [minus_zero, minus_zero, model.NAN, model.NAN, model.MINUS_INF]
    assert bits(f32.minimum(a, b)) == want


@given(st.lists(PATTERNS, max_size=33))
@settings(max_examples=300)
def test_tree_sum__any_row__is_the_pairwise_tree_plus_zero(row: list[int]) -> None:
    with np.errstate(all="ignore"):
        got = bits(f32.tree_sum(floats(row)[None, :]))
    level = [model.canonical(b) for b in row]
    while len(level) > 1:
        odd = level[len(level) // 2 * 2 :]
        level = [model.add(a, b) for a, b in zip(level[::2], level[1::2], strict=False)] + odd
    assert got == [model.add(level[0], 0) if level else 0]


@given(st.lists(PATTERNS, min_size=1, max_size=20), st.integers(1, 20))
@settings(max_examples=200)
def test_tree_sum__row_padded_with_minus_zero_or_zero__same_bits(row: list[int], n: int) -> None:
    with np.errstate(all="ignore"):
        alone = bits(f32.tree_sum(floats(row)[None, :]))
        for pad in (0, model.MINUS_ZERO):
            padded = bits(f32.tree_sum(floats(row + [pad] * n)[None, :]))
            assert padded == alone
