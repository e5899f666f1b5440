"""tanh, erf and the two forms of gelu.

All coefficients come from ``scripts.fit_library``; the largest errors are in ``bounds.BOUNDS``.
erf and gelu need no exp: a fourth power of a polynomial falls off like their tails.
"""

from __future__ import annotations

import math

from protocol.spec.assembler import RegF
from protocol.spec.library.exponential import exp
from protocol.spec.library.polynomial import horner

TANH_SMALL = (1.0, -0.3333326, 0.13330829, -0.053687915, 0.020469079, -0.005514809)
"""tanh(x)/x in x^2, for |x| <= 0.65."""

ERF_SMALL = (0.12837911, -0.3761223, 0.112793185, -0.02668498, 0.0048851403, -0.0005493162)
"""erf(x)/x - 1 in x^2, for |x| <= 1.03."""
ERFC_ROOT = (
    1.0043311,
    -0.30405679,
    -0.071474575,
    -0.043024041,
    0.062065489,
    -0.020917742,
    0.0030093413,
    -0.00016314619,
)
"""(1 - erf(x))^(1/4) in x, for 1.03 <= x <= 4: the fourth power multiplies the relative error of
the root by 4, harmless where it is taken from 1."""
ERF_END = 4.2
"""erf is 1 from here on, in f32."""

PHI_ROOT = (
    1.0,
    -0.19947004,
    -0.059698254,
    0.0055362834,
    0.0045053195,
    -3.6227175e-05,
    -0.00036761625,
    6.983314e-05,
    -4.0693703e-06,
)
"""(2 Phi(-a))^(1/4) in a, for 0 <= a <= 5.4; its only positive zero is at 5.63."""
PHI_END = 5.75
"""Beyond its zero the root is negative and taken as 0."""


def tanh(x: RegF) -> RegF:
    """Hyperbolic tangent: x P(x^2) up to 0.65, then 1 - 2 / (e^2|x| + 1).

    NaN: NaN; +-inf: +-1; +-0: itself.
    """
    a = x.abs()
    small = x * horner(x * x, TANH_SMALL)
    big = 1.0 - 2.0 / (exp(a * 2.0) + 1.0)
    return a.le(0.65).where(small, x.lt(0.0).where(-big, big))


def erf(x: RegF) -> RegF:
    """Error function: x + x P(x^2) up to 1.03, then 1 - R(|x|)^4.

    NaN: NaN; +-inf: +-1; +-0: itself.
    """
    a = x.abs()
    small = x + x * horner(x * x, ERF_SMALL)
    root = horner(a.min(ERF_END), ERFC_ROOT)
    square = root * root
    big = 1.0 - square * square
    return a.le(1.03).where(small, x.lt(0.0).where(-big, big))


def gelu(x: RegF) -> RegF:
    """x Phi(x), Phi the normal distribution function (the exact, erf form).

    For both signs x Phi(x) = max(x, 0) - |x| Phi(-|x|), and 2 Phi(-a) = R(a)^4.  Exactly x from
    5.7 on and exactly 0 below -5.7 (there |gelu| < 4e-8).  NaN: NaN; +inf: inf; -inf: 0;
    +-0: 0.
    """
    a = x.abs().min(PHI_END)
    root = horner(a, PHI_ROOT).max(0.0)
    square = root * root
    return x.max(0.0) - (a * 0.5) * (square * square)


def gelu_tanh(x: RegF) -> RegF:
    """x (1 + tanh y) / 2 with y = sqrt(2/pi) (x + 0.044715 x^3), as x / (1 + e^-2y).

    NaN: NaN; +inf: inf; -inf: -0; +-0: itself.
    """
    c = -2 * math.sqrt(2 / math.pi)
    e = exp(x * (c + x * x * (c * 0.044715)))
    return x.max(-200.0) / (e + 1.0)
