"""Philox words, uniform and normal values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from protocol.spec import library
from protocol.spec.assembler import Code, Reg, RegI
from protocol.spec.f32 import I
from scripts.measure_library import ulp
from tests.spec import model
from tests.spec.registers import apply

ONES = 0xFFFFFFFF


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, ...]:
    """Philox4x32-10 from its definition, in Python integers."""
    x, k = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * x[0], 1 << 32)
        high1, low1 = divmod(0xCD9E8D57 * x[2], 1 << 32)
        x = [high1 ^ x[1] ^ k[0], low1, high0 ^ x[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % (1 << 32), (k[1] + 0xBB67AE85) % (1 << 32)]
    return tuple(x)


def words(n: I, t: I, stream: int, seed: I) -> list[tuple[int, ...]]:
    """The library's four words for every element."""

    def word(k: int) -> I:
        def one(n: RegI, t: RegI, seed: RegI) -> Reg:
            return library.philox4x32_10(n.code, n, t, stream, seed)[k]

        return np.asarray(apply(one, n, t, seed), np.int64)

    return list(zip(*(word(k).tolist() for k in range(4)), strict=True))


# The generator's published known answers: zeros, ones, and digits of pi.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def joined(low: int, high: int) -> I:
    return np.array([model.wrap(low | high << 32)], np.int64)


@pytest.mark.parametrize("counter, key, want", KNOWN, ids=["zeros", "ones", "pi"])
def test_philox__published_vectors__are_reproduced(
    counter: tuple[int, int, int, int], key: tuple[int, int], want: tuple[int, ...]
) -> None:
    assert philox(counter, key) == want
    n, t, seed = joined(*counter[:2]), np.array([counter[2]], np.int64), joined(*key)
    assert words(n, t, counter[3], seed) == [want]


@pytest.mark.parametrize("stream", [0, 1, 0x80000000, ONES])
def test_philox__adversarial_integers__equals_the_definition(stream: int) -> None:
    rng = np.random.default_rng(14)
    count = len(model.I_VALUES)
    n = np.array(model.I_VALUES, np.int64)
    t, seed = n[rng.permutation(count)], n[rng.permutation(count)]
    mask = ONES
    want = [
        philox((a & mask, a >> 32 & mask, b & mask, stream), (s & mask, s >> 32 & mask))
        for a, b, s in zip(n.tolist(), t.tolist(), seed.tolist(), strict=True)
    ]
    assert words(n, t, stream, seed) == want


def test_philox__four_words__fit_one_code() -> None:
    code = Code()
    four = library.philox4x32_10(code, code.index(), code.step(), 7, code.seed())
    together = four[0] ^ four[1] ^ four[2] ^ four[3]
    assert len(code.finish(together)) <= 160
    alone = Code()
    first = library.philox4x32_10(alone, alone.index(), alone.step(), 7, alone.seed())[0]
    assert len(alone.finish(first)) < len(code.finish(together))


def test_philox__other_element_step_stream_or_seed__gives_other_words() -> None:
    one = np.array([1], np.int64)
    drawn = {
        *words(one, one, 1, one),
        *words(one + 1, one, 1, one),
        *words(one, one + 1, 1, one),
        *words(one, one, 2, one),
        *words(one, one, 1, one + 1),
        *words(one + (1 << 32), one, 1, one),
        *words(one, one, 1, one + (1 << 32)),
    }
    assert len(drawn) == 7


def test_uniform__ends_of_the_words__are_exact_and_below_one() -> None:
    w = np.array([0, 255, 256, 1 << 31, ONES], np.int64)
    want = [0.0, 0.0, 2.0**-24, 0.5, 1 - 2.0**-24]
    assert apply(library.uniform, w).tolist() == want


def test_uniform__many_elements__look_uniform() -> None:
    n = np.arange(100_000, dtype=np.int64)
    w = np.array([r[0] for r in words(n, np.zeros_like(n), 3, np.zeros_like(n))], np.int64)
    u = np.asarray(apply(library.uniform, w), np.float64)
    assert abs(u.mean() - 0.5) < 0.005
    counts = np.histogram(u, bins=64, range=(0, 1))[0]
    chi_squared = float(((counts - n.size / 64) ** 2 / (n.size / 64)).sum())
    assert chi_squared < 120  # 63 degrees of freedom: mean 63, standard deviation 11


def test_normal__random_words__is_box_muller_to_a_few_ulp() -> None:
    rng = np.random.default_rng(15)
    w0, w1 = (rng.integers(0, 1 << 32, 100_000, np.int64) for _ in range(2))
    got = np.asarray(apply(library.normal, w0, w1), np.float64)
    radius = np.sqrt(-2 * np.log(((w0 >> 8) + 1) * 2.0**-24))
    exact = radius * np.cos(2 * math.pi * w1 * 2.0**-32)
    assert float((np.abs(got - exact) / ulp(radius)).max()) < 3.0
    assert abs(got.mean()) < 0.02
    assert abs(got.std() - 1) < 0.02


def test_normal__ends_of_the_words__stays_finite() -> None:
    w0, w1 = (v.ravel() for v in np.meshgrid(*[np.array([0, 1 << 31, ONES], np.int64)] * 2))
    got = apply(library.normal, w0, w1)
    assert float(np.abs(got).max()) == pytest.approx(math.sqrt(48 * math.log(2)))
