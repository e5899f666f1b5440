"""exp, log and what follows from them.

All coefficients come from ``scripts.fit_library``; the largest errors, in ulp, are in
``bounds.BOUNDS``.  There is no fused multiply-add: every product and sum below is rounded.
"""

from __future__ import annotations

import math

from protocol.spec.assembler import RegF, RegI
from protocol.spec.constants import CANONICAL_NAN
from protocol.spec.library.polynomial import horner

LN2_HIGH = 0.693145751953125
"""ln 2 cut to 15 significant bits: its product with an integer below 2^9 is exact."""
LN2_LOW = math.log(2) - LN2_HIGH
"""The rest of ln 2, rounded once to f32 where it is used."""

EXP = (0.49999997, 0.16666546, 0.041667435, 0.008366272, 0.0013870696)
"""(e^r - 1 - r) / r^2 on |r| <= ln(2)/2."""
LOG = (0.66666776, 0.3997756, 0.298719)
"""(2 atanh s - 2s) / s^3 in z = s^2, on |s| <= (sqrt 2 - 1) / (sqrt 2 + 1)."""


def _reduce(x: RegF) -> tuple[RegF, RegI]:
    """x = n ln 2 + r with |r| <= ln(2)/2 (a little more by rounding), for |x| < 350: r and n."""
    n = (x * (1 / math.log(2))).rint()
    return (x - n * LN2_HIGH) - n * LN2_LOW, n.to_int()


def _expm1_near_0(r: RegF) -> RegF:
    return r + (r * r) * horner(r, EXP)


def exp(x: RegF) -> RegF:
    """e^x. NaN: NaN; -inf: +0; +inf: inf; +-0: 1. From 88.722839 on inf, below -103.972 +0;
    subnormal results are rounded once more (LDEXP)."""
    r, n = _reduce(x.max(-104.0).min(89.0))
    return (1.0 + _expm1_near_0(r)).ldexp(n)


def exp_nonpositive(x: RegF) -> RegF:
    """``exp`` for x <= 0 or NaN, one instruction shorter and with the same bits (softmax)."""
    r, n = _reduce(x.max(-104.0))
    return (1.0 + _expm1_near_0(r)).ldexp(n)


def exp2(x: RegF) -> RegF:
    """2^x, exact for integral x. NaN: NaN; -inf: +0; +inf: inf; 128 and above inf, below -150
    +0."""
    x = x.max(-152.0).min(129.0)
    n = x.rint()
    return (1.0 + _expm1_near_0((x - n) * math.log(2))).ldexp(n.to_int())


def expm1(x: RegF) -> RegF:
    """e^x - 1, relatively accurate near 0. NaN: NaN; -inf: -1; +inf: inf; +-0: itself."""
    r, n = _reduce(x.max(-18.0).min(89.0))
    one = x.code.real(1.0)
    y = (_expm1_near_0(r) + (1.0 - one.ldexp(-n))).ldexp(n)
    return x.eq(0.0).where(x, y)


def _log_parts(x: RegF) -> tuple[RegI, RegF]:
    """x = 2^e m with m in (sqrt(2)/2, sqrt(2)], for finite positive x: e and m."""
    e = x.exponent()
    m = x.ldexp(-e)
    high = x.code.real(math.sqrt(2)).lt(m)
    return e + high, high.where(m * 0.5, m)


def _log1p_tail(f: RegF) -> RegF:
    """f - log(1 + f) for 1 + f in (sqrt(2)/2, sqrt(2)].

    With s = f / (2 + f): log(1 + f) = 2 atanh s = 2s + s R(s^2) and 2s = f - s f, so the tail is
    s (f - R), small against f.
    """
    s = f / (f + 2.0)
    z = s * s
    return s * (f - z * horner(z, LOG))


def _log_specials(x: RegF, y: RegF) -> RegF:
    """y for finite positive x; -inf for +-0, inf for inf, NaN for the others."""
    code = x.code
    rest = x.eq(0.0).where(code.real(-math.inf), code.float_bits(CANONICAL_NAN))
    return code.real(0.0).lt(x).where(x.lt(math.inf).where(y, x), rest)


def positive_log(x: RegF) -> RegF:
    """``log`` for finite x > 0 alone: anything for the others."""
    e, m = _log_parts(x)
    n, f = e.to_f32(), m - 1.0
    return n * LN2_HIGH + (f - (_log1p_tail(f) - n * LN2_LOW))


def log(x: RegF) -> RegF:
    """Natural logarithm, subnormals included. NaN and x < 0: NaN; +-0: -inf; +inf: inf; 1: +0."""
    return _log_specials(x, positive_log(x))


def log2(x: RegF) -> RegF:
    """Logarithm to base 2, exact for powers of two. Specials as ``log``."""
    e, m = _log_parts(x)
    f = m - 1.0
    return _log_specials(x, e.to_f32() + (f - _log1p_tail(f)) * (1 / math.log(2)))


def log10(x: RegF) -> RegF:
    """Logarithm to base 10: log x * (1 / ln 10), rounded. Specials as ``log``."""
    return log(x) * (1 / math.log(10))


def log1p(x: RegF) -> RegF:
    """log(1 + x), relatively accurate near 0. NaN and x < -1: NaN; -1: -inf; +inf: inf;
    +-0: itself.

    u = 1 + x is rounded; what the rounding lost, divided by u, is added to log u.
    """
    code = x.code
    u = x + 1.0
    lost = x.lt(1.0).where(x - (u - 1.0), 1.0 - (u - x))
    e, m = _log_parts(u)
    n, f = e.to_f32(), m - 1.0
    y = n * LN2_HIGH + (f - ((_log1p_tail(f) - lost / u) - n * LN2_LOW))
    y = x.lt(math.inf).where(y, x)
    rest = x.eq(-1.0).where(code.real(-math.inf), code.float_bits(CANONICAL_NAN))
    return x.eq(0.0).where(x, code.real(-1.0).lt(x).where(y, rest))


def sigmoid(x: RegF) -> RegF:
    """1 / (1 + e^-x), as e / (1 + e) with e = e^-|x| on the negative side, so that tiny results
    keep their relative accuracy. NaN: NaN; -inf: +0; +inf: 1."""
    e = exp_nonpositive(-x.abs())
    return x.lt(0.0).where(e, 1.0) / (e + 1.0)


def silu(x: RegF) -> RegF:
    """x * sigmoid(x). NaN: NaN; +inf: inf; -inf: -0; +-0: itself."""
    e = exp_nonpositive(-x.abs())
    left = x.max(-200.0)  # sigmoid is 0 there: keeps -inf * 0 from being NaN
    return left * (x.lt(0.0).where(e, 1.0) / (e + 1.0))


def softplus(x: RegF) -> RegF:
    """log(1 + e^x) = max(x, 0) + log1p(e^-|x|). NaN: NaN; -inf: +0; +inf: inf.

    With u = e^-|x| in [0, 1] none of the special cases of ``log1p`` arises.
    """
    t = exp_nonpositive(-x.abs())
    u = t + 1.0
    e, m = _log_parts(u)
    n, f = e.to_f32(), m - 1.0
    lost = (t - (u - 1.0)) / u
    y = n * LN2_HIGH + (f - ((_log1p_tail(f) - lost) - n * LN2_LOW))
    return x.max(0.0) + y
