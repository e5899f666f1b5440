"""Adversarial values: one of every class, and random ones near the edges."""

from __future__ import annotations

import random

Random = random.Random

FLOATS = [
    0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000, 0x80800000,
    0x3F000000, 0x3F7FFFFF, 0x3F800000, 0xBF800000, 0x3F800001, 0x3FC00000, 0xC0200000,
    0x4B000001, 0x4B7FFFFF, 0xCB800000, 0x5F000000, 0xDF000000, 0x5EFFFFFF, 0x7F7FFFFF,
    0xFF7FFFFF, 0x7D923456, 0xFE800000, 0x7F800000, 0xFF800000, 0x7FC00000,
]  # fmt: skip
"""One of every class: zeros, subnormals, halves, odd and even integers, limits, infinities, NaN."""

INTEGERS = [
    0, 1, -1, 2, 63, 64, -64, 300, -301, 0x7FFFFFFF, -0x80000000, 0xFFFFFFFF,
    (1 << 24) + 1, (1 << 53) + 1, (1 << 62), -(1 << 62) - 1, (1 << 63) - 1, -(1 << 63),
]  # fmt: skip
"""Small ones, shift amounts, halves of a word, ties of I2F, the limits."""


def random_float(rng: Random) -> int:
    """Bits of a canonical f32: any, or near one, or of few bits (so that ties occur)."""
    match rng.randrange(4):
        case 0:
            bits = rng.getrandbits(32)
        case 1:
            bits = rng.choice([0x3F800000, 0xBF800000]) + rng.getrandbits(20)
        case 2:
            bits = rng.getrandbits(9) << 23 | rng.getrandbits(3) << rng.randrange(20)
        case _:
            bits = rng.choice(FLOATS) ^ rng.getrandbits(2)
    return 0x7FC00000 if bits & 0x7FFFFFFF > 0x7F800000 else bits


def random_integer(rng: Random) -> int:
    bits = rng.choice([2, 7, 24, 25, 26, 33, 63, 64])
    value = rng.getrandbits(bits)
    return value - (1 << 64) if value >> 63 else rng.choice([1, -1]) * value
