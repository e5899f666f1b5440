"""The library's functions: their error bounds, special values and the properties callers use."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from protocol.spec import library
from protocol.spec.assembler import Code, RegF
from protocol.spec.f32 import F
from protocol.spec.library import algebraic, trigonometric
from protocol.spec.library.bounds import BOUNDS, Bound
from protocol.spec.microcode import Op
from scripts import measure_library
from tests.spec import model
from tests.spec.registers import apply, bits, floats

INF, NAN = math.inf, math.nan
Function = Callable[[RegF], RegF]


def function(name: str) -> Function:
    found: Function = getattr(library, name)
    return found


def at(name: str, *values: float) -> list[float]:
    """Values of a library function, as Python floats."""
    x = np.array(values, np.float32)
    result: list[float] = np.asarray(apply(function(name), x), np.float64).tolist()
    return result


def same(got: float, want: float) -> bool:
    """Equal as f32, zeros by sign, NaN with NaN."""
    return np.float32(got).tobytes() == np.float32(want).tobytes() or got != got and want != want


# --- bounds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOUNDS)
def test_function__a_million_inputs__stays_within_its_bound(name: str) -> None:
    inputs = measure_library.sample(BOUNDS[name])
    assert len(inputs) > 900_000
    error, where = measure_library.worst(name, [inputs])
    assert error <= BOUNDS[name].error, f"{error} at {where!r}"
    assert error > BOUNDS[name].error * 0.8, f"the bound is loose: {error} was found"


@pytest.mark.long
@pytest.mark.parametrize("name", BOUNDS)
def test_function__all_inputs__stays_within_its_bound(name: str) -> None:
    error, where = measure_library.worst_of_all(name)
    assert error <= BOUNDS[name].error, f"{error} at {where!r}"


@pytest.mark.parametrize("name", BOUNDS)
def test_function__its_code__has_the_length_in_the_table(name: str) -> None:
    assert len(measure_library.code_of(name)) == BOUNDS[name].instructions


def test_errors__a_reference_that_is_wrong__is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(measure_library.REFERENCES, "exp", lambda x: np.exp(x) * (1 + 2.0**-21))
    assert measure_library.worst("exp", [measure_library.sample(BOUNDS["exp"])])[0] > 3
    monkeypatch.setitem(measure_library.REFERENCES, "exp", lambda x: np.full_like(x, np.nan))
    assert measure_library.worst("exp", [np.ones(1, np.float32)])[0] == INF


def test_measure__one_function__prints_its_row() -> None:
    header, row = measure_library.rows(["rsqrt"], full=False)
    assert header.split()[0] == "function"
    assert row.split()[0] == "rsqrt"
    assert float(row.split()[1]) <= BOUNDS["rsqrt"].error


def test_sample__domain_of_a_bound__is_respected() -> None:
    x = measure_library.sample(Bound(1.0, 0, low=-1.0, high=2.0))
    assert -1.0 <= float(x.min()) < -0.999
    assert 1.999 < float(x.max()) <= 2.0


# --- special values ---------------------------------------------------------------------------

SPECIALS: dict[str, tuple[float, float, float, float, float]] = {
    # name: at -inf, -0, +0, +inf, NaN
    "exp": (0.0, 1.0, 1.0, INF, NAN),
    "exp_nonpositive": (0.0, 1.0, 1.0, NAN, NAN),  # +inf is outside of its domain
    "exp2": (0.0, 1.0, 1.0, INF, NAN),
    "expm1": (-1.0, -0.0, 0.0, INF, NAN),
    "log": (NAN, -INF, -INF, INF, NAN),
    "log2": (NAN, -INF, -INF, INF, NAN),
    "log10": (NAN, -INF, -INF, INF, NAN),
    "log1p": (NAN, -0.0, 0.0, INF, NAN),
    "sigmoid": (0.0, 0.5, 0.5, 1.0, NAN),
    "silu": (-0.0, -0.0, 0.0, INF, NAN),
    "softplus": (0.0, math.log(2), math.log(2), INF, NAN),
    "tanh": (-1.0, -0.0, 0.0, 1.0, NAN),
    "erf": (-1.0, -0.0, 0.0, 1.0, NAN),
    "gelu": (0.0, 0.0, 0.0, INF, NAN),
    "gelu_tanh": (-0.0, -0.0, 0.0, INF, NAN),
    "sin": (NAN, -0.0, 0.0, NAN, NAN),
    "cos": (NAN, 1.0, 1.0, NAN, NAN),
    "atan": (-math.pi / 2, -0.0, 0.0, math.pi / 2, NAN),
    "reciprocal": (-0.0, -INF, INF, 0.0, NAN),
    "rsqrt": (NAN, -INF, INF, 0.0, NAN),
}


def test_specials__cover_every_function_of_the_table() -> None:
    assert SPECIALS.keys() == BOUNDS.keys()


@pytest.mark.parametrize("name", SPECIALS)
def test_function__infinities_zeros_nan__as_documented(name: str) -> None:
    points = (-INF, -0.0, 0.0, INF, NAN)
    for x, got, want in zip(points, at(name, *points), SPECIALS[name], strict=True):
        if (name, x) != ("exp_nonpositive", INF):
            assert same(got, want), (x, got, want)


@pytest.mark.parametrize("name", BOUNDS)
def test_function__every_special_bit_pattern__gives_a_canonical_value(name: str) -> None:
    for b in bits(apply(function(name), floats(model.F_VALUES))):
        assert b == model.canonical(b)


def test_logarithms__negative_arguments__are_nan() -> None:
    for name in ("log", "log2", "log10", "rsqrt"):
        assert all(math.isnan(y) for y in at(name, -1e-45, -1.0, -3e38)), name
    assert math.isnan(at("log1p", -1.0000001)[0])
    assert at("log1p", -1.0) == [-INF]


# --- where results end ------------------------------------------------------------------------


def test_exp__ends_of_the_range__overflow_and_vanish_where_stated() -> None:
    first = np.float32(88.722839)
    last = float(np.nextafter(first, np.float32(0)))
    assert at("exp", float(first), 89.0, 3e38) == [INF] * 3
    assert at("exp", last)[0] == pytest.approx(math.exp(last), rel=1.3e-7)
    assert at("exp", -103.98, -104.0, -3e38) == [0.0] * 3
    assert at("exp", -103.97, -103.0)[0] == 2.0**-149


def test_exp_nonpositive__its_domain__has_the_bits_of_exp() -> None:
    x = measure_library.sample(BOUNDS["exp_nonpositive"])[:200_000]
    assert bits(apply(library.exp_nonpositive, x)) == bits(apply(library.exp, x))


def test_exp2_log2__powers_of_two__are_exact() -> None:
    k = np.arange(-149, 128)
    powers = np.ldexp(np.float32(1), k).astype(np.float32)
    assert np.array_equal(apply(library.exp2, k.astype(np.float32)), powers)
    assert np.array_equal(apply(library.log2, powers), k.astype(np.float32))


@pytest.mark.parametrize("name", ["tanh", "erf", "sin", "atan"])
def test_odd_function__negated_argument__negates_the_bits(name: str) -> None:
    x = measure_library.sample(BOUNDS[name])[:200_000]
    positive, negative = apply(function(name), x), apply(function(name), -x)
    assert bits(np.negative(positive)) == bits(negative)


@pytest.mark.parametrize(
    "name, low, high",
    [
        ("tanh", -1.0, 1.0),
        ("erf", -1.0, 1.0),
        ("sin", -1.0, 1.0),
        ("cos", -1.0, 1.0),
        ("sigmoid", 0.0, 1.0),
    ],
)
def test_bounded_function__any_input__does_not_leave_its_range(
    name: str, low: float, high: float
) -> None:
    y = apply(function(name), measure_library.sample(BOUNDS[name]))
    assert low <= float(y.min())
    assert float(y.max()) <= high


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "silu"])
def test_gate__far_from_zero__is_the_identity_or_vanishes(name: str) -> None:
    # Nothing left of the smallest gate is more than a rounding away from 0 or from x.
    assert at(name, 20.0, 1e30, 3e38) == [20.0, float(np.float32(1e30)), float(np.float32(3e38))]
    assert [abs(y) < 1e-35 for y in at(name, -110.0, -1e30, -3e38)] == [True] * 3


# --- angles -----------------------------------------------------------------------------------


def pi_scaled(precision: int) -> int:
    """floor(pi * 2^precision), by Machin's formula in integers."""
    extra = precision + 32

    def arctan_of_inverse(n: int) -> int:
        power = (1 << extra) // n
        total, sign, k = 0, 1, 1
        while power:
            total += sign * (power // k)
            power //= n * n
            sign, k = -sign, k + 2
        return total

    return 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239)) >> 32


def test_two_over_pi__its_words__are_the_binary_expansion() -> None:
    expansion = (2 << 192 + 300) // pi_scaled(300)
    words = [expansion >> shift & (1 << 64) - 1 for shift in (128, 64, 0)]
    assert [w % (1 << 64) for w in trigonometric.TWO_OVER_PI] == words


def test_sin_cos__every_exponent__reduce_exactly() -> None:
    """Against an argument reduction with pi to 420 bits, not against a float's."""
    rng = np.random.default_rng(8)
    patterns = [
        int(e) << 23 | int(m)
        for e in range(0x80, 0xFF)
        for m in (0, 0x7FFFFF, *rng.integers(0, 1 << 23, 6))
    ]
    x = floats(patterns)
    sines, cosines = apply(library.sin, x).tolist(), apply(library.cos, x).tolist()
    pi = pi_scaled(420)
    for b, s, c in zip(patterns, sines, cosines, strict=True):
        scaled = int(model.value(b) * (1 << 420))
        angle = (scaled % (2 * pi)) / (1 << 420)
        assert abs(s - math.sin(angle)) <= 2.0**-23
        assert abs(c - math.cos(angle)) <= 2.0**-23


def test_atan2__all_special_pairs__as_in_c() -> None:
    values = [-INF, -3e38, -2.0, -1.0, -1e-45, -0.0, 0.0, 1e-45, 1.0, 2.0, 3e38, INF, NAN]
    y, x = (v.ravel().astype(np.float32) for v in np.meshgrid(values, values))
    got = apply(library.atan2, y, x).tolist()
    for a, b, g in zip(y.tolist(), x.tolist(), got, strict=True):
        want = math.atan2(a, b)
        assert math.isnan(g) == math.isnan(want)
        if not math.isnan(want):
            assert math.copysign(1, g) == math.copysign(1, want), (a, b)
            assert g == pytest.approx(want, rel=3e-7, abs=1e-44), (a, b)


def test_atan2__random_points__within_three_ulp() -> None:
    rng = np.random.default_rng(9)
    y, x = (rng.normal(size=200_000).astype(np.float32) for _ in range(2))
    exact = np.arctan2(y.astype(np.float64), x.astype(np.float64))
    error = np.abs(apply(library.atan2, y, x) - exact) / measure_library.ulp(exact)
    assert 1.5 < float(error.max()) <= 3.0


# --- powers -----------------------------------------------------------------------------------


def relative_half_ulps(got: F, exact: measure_library.D) -> float:
    """Largest relative error in units of 2^-24, over results that are normal."""
    normal = (np.abs(exact) > 2.0**-126) & (np.abs(exact) < 2.0**128)
    difference = np.abs(got[normal].astype(np.float64) / exact[normal] - 1)
    return float(difference.max() * 2.0**24)


@pytest.mark.parametrize("n", [-16, -7, -2, -1, 1, 2, 3, 5, 8, 13, 16])
def test_power_int__moderate_base__error_grows_with_the_exponent(n: int) -> None:
    x = np.random.default_rng(10).uniform(-30, 30, 200_000).astype(np.float32)
    got = apply(lambda r: library.power_int(r, n), x)
    assert got.dtype == np.float32
    assert relative_half_ulps(np.asarray(got, np.float32), x.astype(np.float64) ** n) <= abs(n)


def test_power_int__exponent_zero__is_one_even_for_nan() -> None:
    x = np.array([NAN, INF, 0.0, 3.0], np.float32)
    assert apply(lambda r: library.power_int(r, 0), x).tolist() == [1.0] * 4


@pytest.mark.parametrize(
    "exponent, last", [(2.0, Op.FMUL), (0.5, Op.FSQRT), (-0.5, Op.FDIV), (-3.0, Op.FDIV)]
)
def test_power_constant__easy_exponents__need_no_logarithm(exponent: float, last: Op) -> None:
    code = Code()
    instructions = code.finish(library.power_constant(code.load_f(0), exponent))
    assert instructions[-1].op == last
    assert len(instructions) <= 5


def test_power_constant__large_or_fractional_exponent__is_the_general_power() -> None:
    assert algebraic.CHAIN < 17
    x = np.array([-1.1, 1.1, 0.0, 2.0], np.float32)
    got = apply(lambda r: library.power_constant(r, 17.0), x).tolist()
    assert got == pytest.approx([float(v) ** 17 for v in x], rel=1e-5)
    root = apply(lambda r: library.power_constant(r, 0.25), x[1:]).tolist()
    assert root == pytest.approx([float(v) ** 0.25 for v in x[1:]], rel=5e-7)


def test_power__random_pairs__within_the_stated_ulps() -> None:
    rng = np.random.default_rng(11)
    x = np.exp(rng.normal(scale=6, size=400_000)).astype(np.float32)
    y = rng.normal(scale=8, size=400_000).astype(np.float32)
    weight = np.abs(y.astype(np.float64) * np.log(x.astype(np.float64)))
    exact = np.exp(y.astype(np.float64) * np.log(x.astype(np.float64)))
    got = np.asarray(apply(library.power, x, y), np.float64)
    within = (weight < 87) & (np.abs(exact) > 2.0**-126)
    error = np.abs(got - exact)[within] / measure_library.ulp(exact[within])
    assert float(error[weight[within] <= 1].max()) <= 4.0
    assert 60 < float(error.max()) <= 200.0


def test_power__special_pairs__as_in_c_but_for_what_is_documented() -> None:
    bases = [NAN, INF, -INF, 0.0, -0.0, 1e-45, 1.0, -1.0, 2.0, -2.0, 0.5, 3e38, -3e38]
    powers = [0.0, -0.0, 1.0, -1.0, 2.0, 3.0, -2.0, -3.0, 0.5, -0.5, INF, -INF, NAN, 1e30]
    x, y = (v.ravel().astype(np.float32) for v in np.meshgrid(bases, powers))
    got = apply(library.power, x, y).tolist()
    with np.errstate(all="ignore"):
        wanted = np.power(x.astype(np.float64), y.astype(np.float64)).astype(np.float32).tolist()
    unlike_c = 0
    for a, b, g, w in zip(x.tolist(), y.tolist(), got, wanted, strict=True):
        if (a == -INF and abs(b) == 0.5) or (a == -1.0 and math.isinf(b)):
            assert math.isnan(g)
            unlike_c += 1
        elif math.isfinite(w) and w != 0:
            assert g == pytest.approx(w, rel=2e-5, abs=2e-45), (a, b)
        else:
            assert same(g, w), (a, b, g, w)
    assert unlike_c == 4
