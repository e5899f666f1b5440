"""Horner's rule, as every function of the library uses it."""

from __future__ import annotations

from protocol.spec.assembler import RegF


def horner(x: RegF, coefficients: tuple[float, ...]) -> RegF:
    """c0 + x*(c1 + x*(c2 + ...)), every product and sum rounded: 2 instructions a degree."""
    value = x.code.real(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        value = value * x + c
    return value
