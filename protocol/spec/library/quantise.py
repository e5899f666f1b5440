"""Quantise and dequantise, the only way between f32 and the operands of a DOT.

``m`` is max |x| of the row (NaN if any element is NaN), ``bound`` the largest magnitude of the
precision (``constants.BOUND_*``).

    2^-100 <= m < inf:  s = bound / m,  q = clamp(rint_even(x * s), +-bound),  inv = m / bound
    smaller m:          q = 0,  inv = +0
    m infinite or NaN:  q = 0,  inv = NaN   (a poisoned row shows in every output it touches)

Each quotient and product is one f32 rounding; ``inv`` is not 1/s.
"""

from __future__ import annotations

from protocol.spec.assembler import RegF, RegI
from protocol.spec.constants import CANONICAL_NAN, QUANTISE_MIN


def scale(m: RegF, bound: int) -> RegF:
    """s of a row: bound / m; +0 where m is below 2^-100, infinite or NaN."""
    return m.code.real(QUANTISE_MIN).le(m).where(m.code.real(bound) / m, 0.0)


def quantise_scaled(x: RegF, s: RegF, bound: int) -> RegI:
    """q of an element, given its row's ``scale``; the last instruction is CLAMP.

    The conversion is RINT, then saturation; NaN (infinity times the zero scale) gives 0.
    """
    return (x * s).to_int().clamp(bound)


def quantise(x: RegF, m: RegF, bound: int) -> RegI:
    """q of an element, given its row's m; the last instruction is CLAMP.

    The special rows need no further select: s is then +0, and x * 0 is 0 or NaN, both of which
    convert to 0.
    """
    return quantise_scaled(x, scale(m, bound), bound)


def inv_scale(m: RegF, bound: int) -> RegF:
    """inv of a row."""
    code = m.code
    finite = m.lt(float("inf")).where(m / code.real(bound), code.float_bits(CANONICAL_NAN))
    return m.lt(QUANTISE_MIN).where(code.real(0.0), finite)


def dequantise(acc: RegI, inv_a: RegF, inv_b: RegF) -> RegF:
    """(f32(acc) * inv_a) * inv_b, each step rounded once; a bias is a rounded add after it."""
    return (acc.to_f32() * inv_a) * inv_b
