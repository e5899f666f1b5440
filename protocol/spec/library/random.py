"""Random words and what is drawn from them.

Words are Philox4x32-10 with key (seed low, seed high) and counter (n low, n high, t, stream):
``n`` the flattened coordinate of the element, ``t`` a value of the program (a step or a
position), ``stream`` a constant that tells apart the draws of one element.  Never the index of an
operation or the machine's step counter: the same numbers come out of a batched check.
"""

from __future__ import annotations

from protocol.spec.assembler import Code, RegF, RegI
from protocol.spec.library.exponential import positive_log
from protocol.spec.library.trigonometric import sin_of_phase

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
"""Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3 (2011)."""
WEYL = (0x9E3779B9, 0xBB67AE85)
"""Key increments of a round: fractional bits of the golden ratio and of sqrt 3."""
MASK = 0xFFFFFFFF


def philox4x32_10(
    code: Code, n: RegI, t: RegI, stream: int, seed: RegI
) -> tuple[RegI, RegI, RegI, RegI]:
    """Four words in [0, 2^32) for element n.

    ``t`` counts modulo 2^32, ``stream`` is in [0, 2^32).  Unused words cost nothing.
    """
    key = [seed & MASK, seed.ushr(32)]
    c0, c1, c2, c3 = n & MASK, n.ushr(32), t & MASK, code.integer(stream)
    for number in range(ROUNDS):
        if number:
            key = [(k + w) & MASK for k, w in zip(key, WEYL, strict=True)]
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (p1.ushr(32) ^ c1) ^ key[0],
            p1 & MASK,
            (p0.ushr(32) ^ c3) ^ key[1],
            p0 & MASK,
        )
    return c0, c1, c2, c3


def uniform(word: RegI) -> RegF:
    """(word >> 8) * 2^-24, in [0, 1), for a word in [0, 2^32): both steps exact."""
    return word.ushr(8).to_f32() * 2.0**-24


def normal(word0: RegI, word1: RegI) -> RegF:
    """A standard normal value from two words (Box and Muller): sqrt(-2 ln u) cos(2 pi v).

    u = ((word0 >> 8) + 1) * 2^-24 in (0, 1], v = word1 * 2^-32 in [0, 1).  At most 5.768 in
    magnitude.
    """
    u = (word0.ushr(8) + 1).to_f32() * 2.0**-24
    radius = (positive_log(u) * -2.0).sqrt()
    return radius * sin_of_phase((word1 << 32) + (1 << 62))
