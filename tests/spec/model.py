"""A second, independent meaning of the microcode: Python integers and fractions, no NumPy.

A value is a Python int: of an I register the signed number, of an F register the 32 raw bits.
Written from the table of special cases, one element at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from protocol.spec.microcode import Op

NAN, INF, MINUS_INF = 0x7FC00000, 0x7F800000, 0xFF800000
MINUS_ZERO = 0x80000000
SIGN = 0x80000000

# Bits of f32: both zeros, ends of the subnormals and normals, integers and halves around
# rounding boundaries, ends of the integer types, infinities, NaNs of every kind.
F_VALUES: tuple[int, ...] = tuple(
    sign | bits
    for sign in (0, SIGN)
    for bits in (
        0x00000000, 0x00000001, 0x00000002, 0x00000003, 0x00400000, 0x007FFFFF, 0x00800000,
        0x00800001, 0x00FFFFFF, 0x01000000, 0x0C000000, 0x33800000, 0x33800001, 0x34000000,
        0x3EFFFFFF, 0x3F000000, 0x3F000001, 0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x3FBFFFFF,
        0x3FC00000, 0x40000000, 0x40200000, 0x40490FDB, 0x4A7FFFFF, 0x4AFFFFFF, 0x4B000000,
        0x4B000001, 0x4B7FFFFF, 0x4B800000, 0x4EFFFFFF, 0x4F000000, 0x4F800000, 0x5EFFFFFF,
        0x5F000000, 0x5F000001, 0x5F800000, 0x7E800000, 0x7EFFFFFF, 0x7F000000, 0x7F7FFFFE,
        0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FBFFFFF, 0x7FC00000, 0x7FC00001, 0x7FFFFFFF,
    )
)  # fmt: skip

# Integers: ends of every dtype, their neighbours, powers of two that round in f32, shift amounts.
I_VALUES: tuple[int, ...] = tuple(
    sorted(
        {
            s * ((1 << k) + d)
            for k in (0, 1, 3, 7, 8, 15, 16, 23, 24, 25, 31, 32, 39, 53, 62)
            for d in (-1, 0, 1)
            for s in (-1, 1)
        }
        | {-(1 << 63), -(1 << 63) + 1, (1 << 63) - 1, (1 << 63) - 2, 63, 64, 65, 300, 301, -300}
        | {(1 << 24) + 3, 0x7FFFFF8000000000, 0x7FFFFFBFFFFFFFFF, 0x7FFFFFC000000000, -149, 127}
    )
)


def wrap(x: int) -> int:
    """x mod 2^64 as a signed 64-bit number."""
    return (x + (1 << 63)) % (1 << 64) - (1 << 63)


def is_nan(b: int) -> bool:
    return b & ~SIGN > INF


def is_inf(b: int) -> bool:
    return b & ~SIGN == INF


def canonical(b: int) -> int:
    return NAN if is_nan(b) else b


def value(b: int) -> Fraction:
    """Exact value of finite bits."""
    exponent, mantissa = (b >> 23) & 0xFF, b & 0x7FFFFF
    if exponent:
        mantissa |= 0x800000
    magnitude = Fraction(mantissa) * Fraction(2) ** (max(exponent, 1) - 150)
    return -magnitude if b & SIGN else magnitude


def rounded(x: Fraction, zero_sign: int = 0) -> int:
    """Bits of x rounded once to nearest even; an exact zero has ``zero_sign``."""
    if x == 0:
        return zero_sign
    sign, x = (SIGN, -x) if x < 0 else (0, x)
    exponent = x.numerator.bit_length() - x.denominator.bit_length()
    if x < Fraction(2) ** exponent:
        exponent -= 1
    quantum = max(exponent, -126) - 23
    units = round(x / Fraction(2) ** quantum)  # Python rounds halves to even
    # Carries into the exponent come out right: the encoding counts units.
    bits = units if exponent < -126 else units + ((quantum + 149) << 23)
    return sign | min(bits, INF)


def integral(b: int, how: Callable[[Fraction], int]) -> int:
    if is_nan(b):
        return NAN
    if is_inf(b):
        return b
    return rounded(Fraction(how(value(b))), b & SIGN)


def key(b: int) -> int:
    """Position in the total order -inf < ... < -0 < +0 < ... < inf < NaN."""
    return -(b & ~SIGN) - 1 if b & SIGN else b


def add(a: int, b: int) -> int:
    if is_nan(a) or is_nan(b) or (is_inf(a) and is_inf(b) and a != b):
        return NAN
    if is_inf(a) or is_inf(b):
        return a if is_inf(a) else b
    return rounded(value(a) + value(b), a & b & SIGN)


def sub(a: int, b: int) -> int:
    return NAN if is_nan(b) else add(a, b ^ SIGN)


def mul(a: int, b: int) -> int:
    sign = (a ^ b) & SIGN
    if is_nan(a) or is_nan(b):
        return NAN
    if is_inf(a) or is_inf(b):
        return NAN if a & ~SIGN == 0 or b & ~SIGN == 0 else sign | INF
    return rounded(value(a) * value(b), sign)


def div(a: int, b: int) -> int:
    sign = (a ^ b) & SIGN
    if is_nan(a) or is_nan(b) or (is_inf(a) and is_inf(b)):
        return NAN
    if is_inf(a):
        return sign | INF
    if is_inf(b):
        return sign
    if b & ~SIGN == 0:
        return NAN if a & ~SIGN == 0 else sign | INF
    return rounded(value(a) / value(b), sign)


def sqrt(a: int) -> int:
    if a & ~SIGN == 0 or a == INF:
        return a
    if is_nan(a) or a & SIGN:
        return NAN
    # 2^200 makes the integer root far longer than 24 bits; a sticky bit keeps it off the ties.
    scaled = value(a) * 2**400
    root = math.isqrt(int(scaled))
    exact = root * root == scaled
    return rounded(Fraction(2 * root + (0 if exact else 1), 2**201))


def less(a: int, b: int, or_equal: bool) -> int:
    if is_nan(a) or is_nan(b):
        return 0
    x, y = (Fraction(0) if v & ~SIGN == 0 else _extended(v) for v in (a, b))
    return int(x <= y if or_equal else x < y)


def _extended(b: int) -> Fraction:
    if is_inf(b):
        return Fraction(-(2**200) if b & SIGN else 2**200)
    return value(b)


def to_int(b: int) -> int:
    if is_nan(b):
        return 0
    if is_inf(b):
        return -(1 << 63) if b & SIGN else (1 << 63) - 1
    return min(max(round(value(b)), -(1 << 63)), (1 << 63) - 1)


def ldexp(b: int, n: int) -> int:
    if is_nan(b) or is_inf(b):
        return b
    return rounded(value(b) * Fraction(2) ** min(max(n, -300), 300), b & SIGN)


def exponent(b: int) -> int:
    if is_nan(b):
        return 201
    if is_inf(b):
        return 200
    if b & ~SIGN == 0:
        return -200
    mantissa, e = b & 0x7FFFFF, (b >> 23) & 0xFF
    return e - 127 if e else mantissa.bit_length() - 150


def from_bits(x: int) -> int:
    return canonical(x & 0xFFFFFFFF)


def to_bits(b: int) -> int:
    return b - (1 << 32) if b & SIGN else b


def floor_div(a: int, b: int) -> int:
    return wrap(a // b) if b else 0


def choose(c: int, a: int, b: int) -> int:
    return a if c != 0 else b


MEANING: dict[Op, Callable[..., int]] = {
    Op.ADD: lambda a, b: wrap(a + b),
    Op.SUB: lambda a, b: wrap(a - b),
    Op.MUL: lambda a, b: wrap(a * b),
    Op.NEG: lambda a: wrap(-a),
    Op.DIV: floor_div,
    Op.MOD: lambda a, b: a % b if b else 0,
    Op.MIN: min,
    Op.MAX: max,
    Op.AND: lambda a, b: a & b,
    Op.OR: lambda a, b: a | b,
    Op.XOR: lambda a, b: a ^ b,
    Op.NOT: lambda a: -1 - a,
    Op.SHL: lambda a, n: wrap(a * 2 ** (n % 64)),
    Op.SHR: lambda a, n: a // 2 ** (n % 64),
    Op.USHR: lambda a, n: wrap(a % 2**64 // 2 ** (n % 64)),
    Op.EQ: lambda a, b: int(a == b),
    Op.LT: lambda a, b: int(a < b),
    Op.LE: lambda a, b: int(a <= b),
    Op.SELI: choose,
    Op.FADD: add,
    Op.FSUB: sub,
    Op.FMUL: mul,
    Op.FDIV: div,
    Op.FSQRT: sqrt,
    Op.FMIN: lambda a, b: NAN if is_nan(a) or is_nan(b) else min(a, b, key=key),
    Op.FMAX: lambda a, b: NAN if is_nan(a) or is_nan(b) else max(a, b, key=key),
    Op.FNEG: lambda a: NAN if is_nan(a) else a ^ SIGN,
    Op.FABS: lambda a: NAN if is_nan(a) else a & ~SIGN,
    Op.FEQ: lambda a, b: less(a, b, True) & less(b, a, True),
    Op.FLT: lambda a, b: less(a, b, False),
    Op.FLE: lambda a, b: less(a, b, True),
    Op.FLOOR: lambda a: integral(a, math.floor),
    Op.CEIL: lambda a: integral(a, math.ceil),
    Op.TRUNC: lambda a: integral(a, math.trunc),
    Op.RINT: lambda a: integral(a, round),
    Op.LDEXP: ldexp,
    Op.SELF: choose,
    Op.I2F: lambda a: rounded(Fraction(a)),
    Op.F2I: to_int,
    Op.BITS: to_bits,
    Op.FROMBITS: from_bits,
    Op.EXPONENT: exponent,
}
"""Instructions that are functions of registers; CLAMP also takes its literal."""


def clamp(a: int, bound: int) -> int:
    return min(max(a, -bound), bound)
