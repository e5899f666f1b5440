"""Functions that are one or two IEEE operations, and powers."""

from __future__ import annotations

import math

from protocol.spec.assembler import RegF
from protocol.spec.constants import CANONICAL_NAN
from protocol.spec.library.exponential import exp, log

CHAIN = 16
"""Integral exponents up to this magnitude are multiplication chains."""


def reciprocal(x: RegF) -> RegF:
    """1 / x, one rounding. +-0: +-inf; +-inf: +-0."""
    return 1.0 / x


def rsqrt(x: RegF) -> RegF:
    """1 / sqrt(x), two roundings by definition. x < 0: NaN; +-0: +-inf; +inf: +0."""
    return 1.0 / x.sqrt()


def power_int(x: RegF, n: int) -> RegF:
    """x^n by squaring and multiplying from the highest bit of |n| on; n < 0: 1 / x^|n|.

    x^0 is 1 for every x, NaN included.  The relative error is below |n| * 2^-24 as long as no
    partial product overflows or underflows (then the result is infinite or 0 like the product).
    """
    if n == 0:
        return x.code.real(1.0)
    y = x
    for bit in bin(abs(n))[3:]:
        y = y * y
        if bit == "1":
            y = y * x
    return y if n > 0 else 1.0 / y


def power_constant(x: RegF, exponent: float) -> RegF:
    """x^exponent for a constant: ``power_int`` up to +-16, ``sqrt`` and ``rsqrt`` for +-0.5,
    ``power`` for any other."""
    if exponent == math.floor(exponent) and abs(exponent) <= CHAIN:
        return power_int(x, int(exponent))
    if exponent == 0.5:
        return x.sqrt()
    if exponent == -0.5:
        return rsqrt(x)
    return power(x, x.code.real(exponent))


def power(x: RegF, y: RegF) -> RegF:
    """x^y as e^(y log |x|), with the sign of x for odd integral y.

    The error of the logarithm is multiplied by |y log x|: below 4 ulp while that is at most 1,
    up to 200 ulp at the ends of the range.  x^0 and 1^y are 1 for NaN too; x < 0 with y not
    integral: NaN (also for -inf, unlike C); (-1)^+-inf: NaN (unlike C); otherwise zeros and
    infinities as in C.
    """
    code = x.code
    p = exp(y * log(x.abs()))
    half = y * 0.5
    odd = y.rint().eq(y) & (half.rint().eq(half) ^ 1)
    p = (odd & x.bits().lt(0)).where(-p, p)
    p = (x.lt(0.0) & (y.rint().eq(y) ^ 1)).where(code.float_bits(CANONICAL_NAN), p)
    return (y.eq(0.0) | x.eq(1.0)).where(code.real(1.0), p)
