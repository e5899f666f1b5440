"""Functions that are one or two IEEE operations, and powers."""

from __future__ import annotations

from protocol.spec.assembler import RegF


def reciprocal(x: RegF) -> RegF:
    """1 / x, one rounding. +-0: +-inf; +-inf: +-0."""
    return 1.0 / x


def rsqrt(x: RegF) -> RegF:
    """1 / sqrt(x), two roundings by definition. x < 0: NaN; +-0: +-inf; +inf: +0."""
    return 1.0 / x.sqrt()
