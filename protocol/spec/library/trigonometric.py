"""sin, cos, atan, atan2.

The angle is reduced by integers (Payne and Hanek): x = m 2^(e-23) with a 24-bit integer m, so
that x * 2/pi modulo 4, as a fixed-point number of quadrants with 62 fractional bits, is m times
a 64-bit window of the binary expansion of 2/pi, modulo 2^64: one wrapping multiplication.  The
window is cut, not rounded: the phase is wrong by less than 2^-38 quadrants for every finite x.
"""

from __future__ import annotations

import math

from protocol.spec.assembler import RegF, RegI
from protocol.spec.library.polynomial import horner

TWO_OVER_PI = (-0x5D067C91B1BBEAD7, -0x03D8A82E0ACB2240, -0x249D6A66C3BC6FBF)
"""floor(2^192 * 2/pi) as three 64-bit words, the highest first, read as signed."""
TINY = 2.0**-12
"""Below it sin x is x and cos x is 1, to a quarter of an ulp."""

SIN = (-0.16666655, 0.008332187, -0.00019517908)
"""(sin r - r) / r^3 in r^2, for |r| <= pi/4."""
COS = (1.0, -0.5, 0.041666646, -0.0013887301, 2.4430668e-05)
"""cos r in r^2, for |r| <= pi/4."""

ATAN_TOP = (-0.33333325, -0.28827885, -0.04186411)
ATAN_BOTTOM = (1.0, 1.4648299, 0.57598084, 0.050850622)
"""(atan(t) - t) / t^3 in t^2, top over bottom, for 0 <= t <= 1."""


def _phase(x: RegF) -> RegI:
    """x * 2/pi modulo 4, times 2^62, for 2^-39 <= |x| < inf (anything beyond)."""
    w0, w1, w2 = TWO_OVER_PI
    e = x.exponent()
    m = x.ldexp(-e + 23).to_int()
    s = e + 39  # the window holds the bits of 2/pi * 2^s before the point
    first, second = s.lt(64), s.lt(128)
    high = first.where_int(0, second.where_int(w0, w1))
    low = first.where_int(w0, second.where_int(w1, w2))
    a = s & 63
    return m * ((high << a) | (low.ushr(1).ushr(a ^ 63)))


def sin_of_phase(phase: RegI) -> RegF:
    """sin(phase * pi/2 * 2^-62), for every 64-bit integer."""
    r = (phase << 2).to_f32() * (math.pi / 2 * 2.0**-64)
    u = r * r
    quadrant = (phase + (1 << 61)) >> 62
    sin, cos = r + (r * u) * horner(u, SIN), horner(u, COS)
    y = (quadrant & 1).where(cos, sin)
    return (quadrant & 2).where(-y, y)


def sin(x: RegF) -> RegF:
    """Sine of radians, for every finite x. NaN and +-inf: NaN; +-0: itself."""
    return x.abs().lt(TINY).where(x, sin_of_phase(_phase(x)) + (x - x))


def cos(x: RegF) -> RegF:
    """Cosine of radians, for every finite x. NaN and +-inf: NaN; +-0: 1."""
    y = sin_of_phase(_phase(x) + (1 << 62)) + (x - x)
    return x.abs().lt(TINY).where(x.code.real(1.0), y)


def _atan_unit(t: RegF) -> RegF:
    u = t * t
    return t + t * (u * horner(u, ATAN_TOP) / horner(u, ATAN_BOTTOM))


def atan(x: RegF) -> RegF:
    """Arc tangent in radians. NaN: NaN; +-inf: +-pi/2; +-0: itself."""
    a = x.abs()
    p = _atan_unit(a.min(1.0) / a.max(1.0))
    p = a.le(1.0).where(p, math.pi / 2 - p)
    return _with_sign_of(x, p)


def atan2(y: RegF, x: RegF) -> RegF:
    """Angle of the point (x, y) in (-pi, pi], zeros and infinities as in C: the sign of the
    result is that of y, and x counts as negative if its sign bit is set. NaN: NaN."""
    a, b = y.abs(), x.abs()
    low, high = a.min(b), a.max(b)
    t = low.eq(math.inf).where(x.code.real(1.0), low / high)
    p = _atan_unit(high.eq(0.0).where(low, t))
    p = b.lt(a).where(math.pi / 2 - p, p)
    p = x.bits().lt(0).where(math.pi - p, p)
    return _with_sign_of(y, p)


def _with_sign_of(x: RegF, magnitude: RegF) -> RegF:
    """``magnitude`` (not negative, or NaN) with the sign bit of x."""
    return x.bits().lt(0).where(-magnitude, magnitude)
