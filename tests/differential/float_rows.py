"""Rows for contracts/test/FloatRows.sol: operands, and the result that Berkeley SoftFloat gives.

The two operations that IEEE-754 leaves open, min and max, follow the table of the specification,
with SoftFloat's comparisons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Final

import numpy as np
import softfloatpy as soft

from protocol.spec.constants import CANONICAL_NAN
from tests.spec import float_cases, model

ROW: Final = 12
EVEN: Final = soft.RoundingMode.NEAR_EVEN

Soft = Callable[..., soft.Float32]


class FloatOp(IntEnum):
    """Operations, in the order of FloatRows."""

    ADD = 0
    SUB = 1
    MUL = 2
    DIV = 3
    SQRT = 4
    MIN = 5
    MAX = 6
    EQ = 7
    LT = 8
    LE = 9
    FLOOR = 10
    CEIL = 11
    TRUNC = 12
    RINT = 13
    LDEXP = 14
    FROM_INT = 15
    TO_INT = 16
    READ = 17


UNARY: Final[dict[FloatOp, Soft]] = {
    FloatOp.SQRT: soft.f32_sqrt,
    FloatOp.FLOOR: lambda x: soft.f32_round_to_int(x, soft.RoundingMode.MIN),
    FloatOp.CEIL: lambda x: soft.f32_round_to_int(x, soft.RoundingMode.MAX),
    FloatOp.TRUNC: lambda x: soft.f32_round_to_int(x, soft.RoundingMode.MIN_MAG),
    FloatOp.RINT: lambda x: soft.f32_round_to_int(x, EVEN),
}
BINARY: Final[dict[FloatOp, Soft]] = {
    FloatOp.ADD: soft.f32_add,
    FloatOp.SUB: soft.f32_sub,
    FloatOp.MUL: soft.f32_mul,
    FloatOp.DIV: soft.f32_div,
}
COMPARISONS: Final = {
    FloatOp.EQ: soft.f32_eq,
    FloatOp.LT: soft.f32_lt_quiet,
    FloatOp.LE: soft.f32_le_quiet,
}


def _float(bits: int) -> soft.Float32:
    return soft.Float32.from_bytes(bits.to_bytes(4, "big"))


def _bits(x: soft.Float32) -> bytes:
    bits: bytes = x.to_bytes()
    if int.from_bytes(bits, "big") & 0x7FFFFFFF > model.INF:
        return CANONICAL_NAN.to_bytes(4, "big")
    return bits


def _extreme(a: int, b: int, greater: bool) -> int:
    """NaN if either is; of two zeros, -0 is the smaller."""
    x, y = _float(a), _float(b)
    if not (soft.f32_eq(x, x) and soft.f32_eq(y, y)):
        return CANONICAL_NAN
    if soft.f32_eq(x, y):
        return a & b if greater else a | b
    return a if soft.f32_lt_quiet(x, y) != greater else b


def _scaled(bits: int, n: int) -> bytes:
    """By a power of two in binary64, where it is exact, and rounded once."""
    power = soft.Float64.from_bytes((min(max(n, -300), 300) + 1023 << 52).to_bytes(8, "big"))
    return _bits(soft.f64_to_f32(soft.f64_mul(soft.f32_to_f64(_float(bits)), power)))


def _integer(bits: int) -> int:
    """To the nearest, saturated; NaN gives 0.  SoftFloat leaves both open."""
    magnitude = bits & 0x7FFFFFFF
    if magnitude > model.INF:
        return 0
    if magnitude >= 0x5F000000:  # 2^63
        return -(1 << 63) if bits & model.SIGN else (1 << 63) - 1
    n: int = soft.f32_to_i64(_float(bits), EVEN).to_int()
    return n


def _pair_row(op: FloatOp) -> Callable[[int, int], bytes]:
    if op in BINARY:
        f = BINARY[op]
        return lambda a, b: _bits(f(_float(a), _float(b)))
    if op in COMPARISONS:
        g = COMPARISONS[op]
        return lambda a, b: int(g(_float(a), _float(b))).to_bytes(4, "big")
    greater = op is FloatOp.MAX
    return lambda a, b: _extreme(a, b, greater).to_bytes(4, "big")


def _chunks(cases: Sequence[int], at_a_time: int) -> Iterator[Sequence[int]]:
    for k in range(0, len(cases), at_a_time):
        yield cases[k : k + at_a_time]


def rows(op: FloatOp, seed: int, random: int, at_a_time: int) -> Iterator[bytes]:
    """Rows of all special cases and at least ``random`` others, ``at_a_time`` in a piece."""
    if op is FloatOp.FROM_INT:
        for part in _chunks(float_cases.integers(seed, random).tolist(), at_a_time):
            results = (_bits(soft.i64_to_f32(soft.Int64.from_int(n))) for n in part)
            both = zip(part, results, strict=True)
            yield b"".join(n.to_bytes(8, "big", signed=True) + want for n, want in both)
    elif op is FloatOp.TO_INT:
        for part in _chunks(float_cases.singles(seed, random).tolist(), at_a_time):
            yield b"".join(
                a.to_bytes(4, "big") + _integer(a).to_bytes(8, "big", signed=True) for a in part
            )
    elif op is FloatOp.READ:
        for part in _chunks(float_cases.singles(seed, random).tolist(), at_a_time):
            yield b"".join(a.to_bytes(4, "little") + bytes(4) + _bits(_float(a)) for a in part)
    elif op is FloatOp.LDEXP:
        cases = float_cases.singles(seed, random)
        rng = np.random.default_rng(seed + 1)
        powers = rng.choice([40, 300, 1 << 31], len(cases)) * rng.uniform(-1, 1, len(cases))
        numbers = powers.astype(np.int32).tolist()
        for k, part in enumerate(_chunks(cases.tolist(), at_a_time)):
            pairs = zip(part, numbers[k * at_a_time :], strict=False)
            yield b"".join(
                a.to_bytes(4, "big") + n.to_bytes(4, "big", signed=True) + _scaled(a, n)
                for a, n in pairs
            )
    elif op in UNARY:
        f = UNARY[op]
        for part in _chunks(float_cases.singles(seed, random).tolist(), at_a_time):
            yield b"".join(a.to_bytes(4, "big") + bytes(4) + _bits(f(_float(a))) for a in part)
    else:
        left, right = (x.tolist() for x in float_cases.pairs(seed, random))
        result = _pair_row(op)
        for k, part in enumerate(_chunks(left, at_a_time)):
            pairs = zip(part, right[k * at_a_time :], strict=False)
            yield b"".join(
                a.to_bytes(4, "big") + b.to_bytes(4, "big") + result(a, b) for a, b in pairs
            )
