"""Bits of f32 that lie where rounding is hard: ties, cancellation, the edges of the subnormals."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from tests.spec import model

Words = npt.NDArray[np.uint32]

PAIRS = tuple(itertools.product(model.F_VALUES, repeat=2))


def _words(rng: np.random.Generator, n: int) -> Words:
    return rng.integers(0, 1 << 32, n, np.uint32)


def pairs(seed: int, random: int) -> tuple[Words, Words]:
    """All pairs of special values, random patterns, and pairs made to cancel, to be swallowed, to
    tie, and to give subnormal products and quotients: ``random`` of these, in all."""
    rng = np.random.default_rng(seed)
    n = random // 9
    a, b = _words(rng, random - 7 * n), _words(rng, random - 7 * n)
    near = _words(rng, n)
    flipped = _words(rng, n) & np.uint32(model.SIGN)
    close = near + rng.integers(-4, 5, n).astype(np.uint32) ^ flipped
    # Few mantissa bits and exponents up to 30 apart: many ties and exact results.
    coarse = _words(rng, n) & np.uint32(0xBFFC0003)
    shifted = coarse + (rng.integers(-30, 31, n).astype(np.int64) << 23).astype(np.uint32)
    # Exponents that add up to about -127, or differ by it.
    fraction = np.uint32(0x807FFFFF)
    low = _words(rng, n) & fraction | rng.integers(0, 80, n, np.uint32) << np.uint32(23)
    other = _words(rng, n) & fraction | rng.integers(40, 230, n, np.uint32) << np.uint32(23)
    # Exponents up to 26 apart, any mantissas: sums that round by what is shifted out.
    large = _words(rng, n)
    apart = large - (rng.integers(0, 27, n).astype(np.uint32) << np.uint32(23))
    small = apart & np.uint32(0x7F800000) | _words(rng, n) & fraction
    # Both subnormal, or one of them and anything.
    tiny, less = _words(rng, n) & fraction, _words(rng, n) & fraction
    # Products and quotients around the largest finite number.
    high = _words(rng, n) & fraction | rng.integers(185, 197, n, np.uint32) << np.uint32(23)
    much = _words(rng, n) & fraction | rng.integers(185, 197, n, np.uint32) << np.uint32(23)
    # Quotients just beside the middle of two floats.
    divisor = rng.integers(1 << 23, 1 << 24, n)
    middle = 2 * rng.integers(1 << 23, 1 << 24, n) + 1
    dividend = (middle * divisor).astype(np.float32).view(np.uint32)
    dividend += rng.integers(-1, 2, n).astype(np.uint32)
    special = np.array(PAIRS, np.uint32)
    left = [special[:, 0], a, near, coarse, low, large, tiny, high, dividend]
    right = [special[:, 1], b, close, shifted, other, small, less, much]
    right.append(divisor.astype(np.float32).view(np.uint32))
    return np.concatenate(left), np.concatenate(right)


def near_ties_of_roots() -> Words:
    """Squares plus a little: their roots lie barely above the middle of two floats.  Of r, odd and
    of 25 bits, r * r + d has 24 bits if it is 0 modulo 2^26, which d = 7, 15, ... allow."""
    out = []
    for d in range(7, 2000, 8):
        r = next(r for r in (1, 3, 5, 7) if (r * r + d) % 16 == 0)
        for bit in range(4, 26):  # each step makes one bit more of the square right
            r += (r * r + d >> bit & 1) << (bit - 1)
        for root in (r, -r, r + (1 << 25), -r + (1 << 25)):
            if 1 << 24 <= root % (1 << 26) < 1 << 25:
                out.append((root % (1 << 26)) ** 2 + d)
    return np.array(out, np.float64).astype(np.float32).view(np.uint32)


def singles(seed: int, random: int) -> Words:
    """Special values, random patterns, squares and their neighbours, halves of integers, small
    integers over powers of two, squares of the middles of two floats and near them."""
    rng = np.random.default_rng(seed)
    n = random // 4
    roots = (2 * rng.integers(1 << 23, 1 << 24, n) + 1) << rng.integers(0, 2, n)
    middles = (roots.astype(np.float64) ** 2).astype(np.float32).view(np.uint32)
    middles += rng.integers(-1, 2, n).astype(np.uint32)
    squares = (rng.integers(1, 1 << 12, 2000) ** 2).astype(np.float32)
    near_squares = (squares.view(np.uint32)[:, None] + np.arange(-1, 2)).astype(np.uint32)
    halves = (rng.integers(-(1 << 22), 1 << 22, 4000) / 2).astype(np.float32)
    few = rng.integers(1, 1 << 10, 2000).astype(np.float32).view(np.uint32)
    scaled = few - (rng.integers(0, 100, 2000).astype(np.uint32) << np.uint32(23))
    values = np.array(model.F_VALUES, np.uint32)
    parts = [values, _words(rng, random - n), near_squares.ravel(), halves.view(np.uint32)]
    return np.concatenate([*parts, scaled, middles, near_ties_of_roots()])


def integers(seed: int, random: int) -> npt.NDArray[np.int64]:
    """Special values, integers of every width, and neighbours of those halfway between floats."""
    rng = np.random.default_rng(seed)
    n = random // 2
    wide = rng.integers(-(1 << 63), (1 << 63) - 1, random - n, np.int64, endpoint=True)
    any_width = wide >> rng.integers(0, 63, random - n)
    width = rng.integers(1, 39, n)
    kept = rng.integers(1 << 23, 1 << 24, n) << width
    ties = kept + (np.int64(1) << (width - 1)) + rng.integers(-1, 2, n)
    signs = rng.choice(np.array([-1, 1]), n)
    return np.concatenate([np.array(model.I_VALUES, np.int64), any_width, signs * ties])
