"""Intervals of integer registers: proofs from literals, dtypes and shapes, never guesses."""

from __future__ import annotations

from collections.abc import Callable

from protocol.spec.microcode import Op

FULL = (-(1 << 63), (1 << 63) - 1)
INT32 = (-(1 << 31), (1 << 31) - 1)

Interval = tuple[int, int]


def _corners(fn: Callable[[int, int], int], a: Interval, b: Interval) -> Interval:
    values = [fn(x, y) for x in a for y in b]
    return _checked(min(values), max(values))


def _checked(low: int, high: int) -> Interval:
    """The interval, or everything if it may have wrapped."""
    return (low, high) if FULL[0] <= low and high <= FULL[1] else FULL


def _bits_span(a: Interval, b: Interval) -> Interval:
    """Of OR and XOR: sign-extended values of n bits stay values of n bits."""
    width = max(x.bit_length() for x in (*a, *b))
    return (0 if a[0] >= 0 and b[0] >= 0 else -(1 << width)), (1 << width) - 1


def span_of(op: Op, a: Interval, b: Interval, c: Interval, imm: int) -> Interval:
    """Interval of an integer instruction's result from those of its operands."""
    match op:
        case Op.ADD:
            return _checked(a[0] + b[0], a[1] + b[1])
        case Op.SUB:
            return _checked(a[0] - b[1], a[1] - b[0])
        case Op.MUL:
            return _corners(lambda x, y: x * y, a, b)
        case Op.NEG:
            return _checked(-a[1], -a[0])
        case Op.DIV if b[0] == b[1] > 0:
            return a[0] // b[0], a[1] // b[0]
        case Op.MOD if b[0] == b[1] > 0:
            return 0, b[0] - 1
        case Op.MIN:
            return min(a[0], b[0]), min(a[1], b[1])
        case Op.MAX:
            return max(a[0], b[0]), max(a[1], b[1])
        case Op.AND if a[0] >= 0 or b[0] >= 0:
            return 0, min(x[1] for x in (a, b) if x[0] >= 0)
        case Op.AND | Op.OR | Op.XOR:
            return _bits_span(a, b)
        case Op.NOT:
            return ~a[1], ~a[0]
        case Op.SHL if b[0] == b[1] and 0 <= b[0] < 63:
            return _checked(a[0] << b[0], a[1] << b[0])
        case Op.SHR if b[0] == b[1] and 0 <= b[0] < 64:
            return a[0] >> b[0], a[1] >> b[0]
        case Op.USHR if a[0] >= 0:
            return 0, a[1]
        case Op.EQ | Op.LT | Op.LE | Op.FEQ | Op.FLT | Op.FLE:
            return 0, 1
        case Op.CLAMP:
            return max(min(a[0], imm), -imm), min(max(a[1], -imm), imm)
        case Op.SELI:
            return min(b[0], c[0]), max(b[1], c[1])
        case Op.BITS:
            return INT32
        case Op.EXPONENT:
            return -200, 201
        case _:
            return FULL
