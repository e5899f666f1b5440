"""Microcode: the instruction set and its meaning.

Straight-line SSA code over two register types, I (64-bit two's complement) and F (canonical f32).
Instruction number n writes register n.  Every instruction is total: the table below says what it
does for every bit pattern.

===========  =========  ==================================================================
group        opcodes    special cases
===========  =========  ==================================================================
loads        LOAD       view ``a``; false guard or address outside the operand: the pad
             LOADX      the same at address + clamp(reg b, +-2^62)
literals     CONSTI     imm, sign-extended            CONSTF  the f32 of bits imm, canonical
             CONSTHI    (reg a mod 2^32) | imm << 32
coordinates  COORD a    coordinate of i along output axis a      INDEX   flattened i
             RCOORD a   digit a of r (``pre`` only)              RINDEX  flattened r
scalars      STEP       number of the step in the job            PSTEP   in its phase
             SEED       the job's seed                           ACC     fold or DOT (``post``)
integers     ADD SUB MUL NEG          wrap mod 2^64
             DIV MOD    floor; x/0 = 0, x mod 0 = 0; MIN / -1 = MIN, MIN mod -1 = 0
             MIN MAX AND OR XOR NOT
             SHL SHR USHR             amount mod 64; SHR arithmetic, USHR logical
             EQ LT LE                 1 or 0
             CLAMP      to +-imm (imm unsigned, at most 2^31 - 1)
             SELI SELF  reg a != 0 ? reg b : reg c
floats       FADD FSUB FMUL FDIV FSQRT  IEEE-754 binary32, nearest even, subnormals kept
             FMIN FMAX  order of ``f32.key``; FMIN of a NaN is NaN, FMAX of a NaN is NaN
             FNEG FABS  sign bit; NaN stays canonical
             FEQ FLT FLE              IEEE: -0 = +0, a NaN compares false
             FLOOR CEIL TRUNC RINT    round to integral, RINT half to even; signs of zero kept
             LDEXP      reg a * 2^clamp(reg b, +-300), one rounding
conversion   I2F        one rounding to nearest even
             F2I        RINT then saturate to int64; NaN = 0 (FLOOR first for floor, and so on)
             BITS       the 32 bits, sign-extended            FROMBITS  low 32 bits, canonical
             EXPONENT   floor(log2|x|); 0: -200, inf: 200, NaN: 201
===========  =========  ==================================================================

A store to i32, i16 or i8 keeps the low bits.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Protocol, cast

import numpy as np

from protocol.spec import f32
from protocol.spec.constants import INDEX_CLAMP
from protocol.spec.f32 import F, I
from protocol.spec.types import Array, Instr


class Op(IntEnum):
    """Opcodes. Gaps leave room inside each group; an unlisted byte is illegal."""

    LOAD = 0x01
    LOADX = 0x02
    CONSTI = 0x03
    CONSTHI = 0x04
    CONSTF = 0x05
    COORD = 0x06
    RCOORD = 0x07
    INDEX = 0x08
    RINDEX = 0x09
    STEP = 0x0A
    PSTEP = 0x0B
    SEED = 0x0C
    ACC = 0x0D

    ADD = 0x10
    SUB = 0x11
    MUL = 0x12
    NEG = 0x13
    DIV = 0x14
    MOD = 0x15
    MIN = 0x16
    MAX = 0x17
    AND = 0x18
    OR = 0x19
    XOR = 0x1A
    NOT = 0x1B
    SHL = 0x1C
    SHR = 0x1D
    USHR = 0x1E
    EQ = 0x1F
    LT = 0x20
    LE = 0x21
    CLAMP = 0x22
    SELI = 0x23

    FADD = 0x30
    FSUB = 0x31
    FMUL = 0x32
    FDIV = 0x33
    FSQRT = 0x34
    FMIN = 0x35
    FMAX = 0x36
    FNEG = 0x37
    FABS = 0x38
    FEQ = 0x39
    FLT = 0x3A
    FLE = 0x3B
    FLOOR = 0x3C
    CEIL = 0x3D
    TRUNC = 0x3E
    RINT = 0x3F
    LDEXP = 0x40
    SELF = 0x41

    I2F = 0x50
    F2I = 0x51
    BITS = 0x52
    FROMBITS = 0x53
    EXPONENT = 0x54


Register = I | F

_SIGNATURES = {
    # opcode: (types of a, b, c; '-' unused, 'v' view, 'x' axis), result, uses imm
    Op.LOAD: ("v--", "?", False),
    Op.LOADX: ("vI-", "?", False),
    Op.CONSTI: ("---", "I", True),
    Op.CONSTHI: ("I--", "I", True),
    Op.CONSTF: ("---", "F", True),
    Op.COORD: ("x--", "I", False),
    Op.RCOORD: ("x--", "I", False),
    Op.INDEX: ("---", "I", False),
    Op.RINDEX: ("---", "I", False),
    Op.STEP: ("---", "I", False),
    Op.PSTEP: ("---", "I", False),
    Op.SEED: ("---", "I", False),
    Op.ACC: ("---", "?", False),
    Op.NEG: ("I--", "I", False),
    Op.NOT: ("I--", "I", False),
    Op.CLAMP: ("I--", "I", True),
    Op.SELI: ("III", "I", False),
    Op.SELF: ("IFF", "F", False),
    Op.LDEXP: ("FI-", "F", False),
    Op.I2F: ("I--", "F", False),
    Op.F2I: ("F--", "I", False),
    Op.BITS: ("F--", "I", False),
    Op.FROMBITS: ("I--", "F", False),
    Op.EXPONENT: ("F--", "I", False),
    **dict.fromkeys((Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.MOD, Op.MIN, Op.MAX), ("II-", "I", False)),
    **dict.fromkeys((Op.AND, Op.OR, Op.XOR, Op.SHL, Op.SHR, Op.USHR), ("II-", "I", False)),
    **dict.fromkeys((Op.EQ, Op.LT, Op.LE), ("II-", "I", False)),
    **dict.fromkeys((Op.FADD, Op.FSUB, Op.FMUL, Op.FDIV, Op.FMIN, Op.FMAX), ("FF-", "F", False)),
    **dict.fromkeys((Op.FSQRT, Op.FNEG, Op.FABS), ("F--", "F", False)),
    **dict.fromkeys((Op.FLOOR, Op.CEIL, Op.TRUNC, Op.RINT), ("F--", "F", False)),
    **dict.fromkeys((Op.FEQ, Op.FLT, Op.FLE), ("FF-", "I", False)),
}


def signature(op: Op) -> tuple[str, str, bool]:
    """Operand kinds (3 characters of ``-IFvx``), result type (I, F or ?), whether imm is used.

    The result of LOAD and LOADX is that of the view's dtype, of ACC that of the fold.
    """
    return _SIGNATURES[op]


# --- meaning of the integer instructions --------------------------------------------------------


def _wrap(x: I) -> I:
    return np.asarray(x, np.int64)


def _div(a: I, b: I) -> I:
    a, b = np.broadcast_arrays(a, b)
    special = (b == 0) | (b == -1)
    q = np.floor_divide(a, np.where(special, 1, b))
    return np.where(b == 0, 0, np.where(b == -1, np.negative(a), q))


def _mod(a: I, b: I) -> I:
    a, b = np.broadcast_arrays(a, b)
    special = (b == 0) | (b == -1)
    return np.where(special, 0, np.mod(a, np.where(special, 1, b)))


def _ushr(a: I, n: I) -> I:
    return (a.astype(np.uint64) >> (n & 63).astype(np.uint64)).astype(np.int64)


BINARY_I: dict[Op, Callable[[I, I], I]] = {
    Op.ADD: lambda a, b: _wrap(a + b),
    Op.SUB: lambda a, b: _wrap(a - b),
    Op.MUL: lambda a, b: _wrap(a * b),
    Op.DIV: _div,
    Op.MOD: _mod,
    Op.MIN: np.minimum,
    Op.MAX: np.maximum,
    Op.AND: np.bitwise_and,
    Op.OR: np.bitwise_or,
    Op.XOR: np.bitwise_xor,
    Op.SHL: lambda a, n: np.left_shift(a, n & 63),
    Op.SHR: lambda a, n: np.right_shift(a, n & 63),
    Op.USHR: _ushr,
    Op.EQ: lambda a, b: np.equal(a, b).astype(np.int64),
    Op.LT: lambda a, b: np.less(a, b).astype(np.int64),
    Op.LE: lambda a, b: np.less_equal(a, b).astype(np.int64),
}

UNARY_I: dict[Op, Callable[[I], I]] = {
    Op.NEG: lambda a: _wrap(np.negative(a)),
    Op.NOT: np.invert,
}

BINARY_F: dict[Op, Callable[[F, F], F]] = {
    Op.FADD: f32.add,
    Op.FSUB: f32.sub,
    Op.FMUL: f32.mul,
    Op.FDIV: f32.div,
    Op.FMIN: f32.minimum,
    Op.FMAX: f32.maximum,
}

UNARY_F: dict[Op, Callable[[F], F]] = {
    Op.FSQRT: f32.sqrt,
    Op.FNEG: lambda a: f32.canonical(np.negative(a)),
    Op.FABS: lambda a: f32.canonical(np.abs(a)),
    Op.FLOOR: np.floor,
    Op.CEIL: np.ceil,
    Op.TRUNC: np.trunc,
    Op.RINT: np.rint,
}

COMPARE_F: dict[Op, Callable[[F, F], I]] = {
    Op.FEQ: lambda a, b: np.equal(a, b).astype(np.int64),
    Op.FLT: lambda a, b: np.less(a, b).astype(np.int64),
    Op.FLE: lambda a, b: np.less_equal(a, b).astype(np.int64),
}


class Context(Protocol):
    """What a code sees of the element it computes: the interpreter implements it."""

    def load(self, view: int, extra: I | None) -> Register: ...
    def coord(self, axis: int) -> I: ...
    def rcoord(self, digit: int) -> I: ...
    def index(self) -> I: ...
    def rindex(self) -> I: ...
    def scalar(self, op: Op) -> I: ...
    def acc(self) -> Register: ...


def run(code: tuple[Instr, ...], ctx: Context) -> Register:
    """Value of the last register of a legal code, for all elements of ``ctx`` at once.

    Registers are NumPy arrays (int64 or float32) that broadcast against each other.
    """
    regs: list[Register] = []
    with np.errstate(all="ignore"):
        for ins in code:
            regs.append(_step(ins, regs, ctx))
    return regs[-1]


def _step(ins: Instr, regs: list[Register], ctx: Context) -> Register:
    op = Op(ins.op)
    if op in BINARY_F:
        return BINARY_F[op](as_f(regs[ins.a]), as_f(regs[ins.b]))
    if op in BINARY_I:
        return BINARY_I[op](as_i(regs[ins.a]), as_i(regs[ins.b]))
    if op in UNARY_F:
        return UNARY_F[op](as_f(regs[ins.a]))
    if op in UNARY_I:
        return UNARY_I[op](as_i(regs[ins.a]))
    if op in COMPARE_F:
        return COMPARE_F[op](as_f(regs[ins.a]), as_f(regs[ins.b]))
    match op:
        case Op.LOAD:
            return ctx.load(ins.a, None)
        case Op.LOADX:
            return ctx.load(ins.a, np.clip(as_i(regs[ins.b]), -INDEX_CLAMP, INDEX_CLAMP))
        case Op.CONSTI:
            return np.array(ins.imm, np.uint32).view(np.int32).astype(np.int64)
        case Op.CONSTHI:
            high = np.array(ins.imm, np.uint64) << np.uint64(32)
            low = as_i(regs[ins.a]).astype(np.uint64) & np.uint64(0xFFFFFFFF)
            return (low | high).astype(np.int64)
        case Op.CONSTF:
            return f32.from_bits(np.array(ins.imm, np.int64))
        case Op.COORD:
            return ctx.coord(ins.a)
        case Op.RCOORD:
            return ctx.rcoord(ins.a)
        case Op.INDEX:
            return ctx.index()
        case Op.RINDEX:
            return ctx.rindex()
        case Op.STEP | Op.PSTEP | Op.SEED:
            return ctx.scalar(op)
        case Op.ACC:
            return ctx.acc()
        case Op.CLAMP:
            return np.clip(as_i(regs[ins.a]), -ins.imm, ins.imm)
        case Op.SELI:
            return np.where(as_i(regs[ins.a]) != 0, as_i(regs[ins.b]), as_i(regs[ins.c]))
        case Op.SELF:
            return np.where(as_i(regs[ins.a]) != 0, as_f(regs[ins.b]), as_f(regs[ins.c]))
        case Op.LDEXP:
            return f32.ldexp(as_f(regs[ins.a]), as_i(regs[ins.b]))
        case Op.I2F:
            return f32.from_int(as_i(regs[ins.a]))
        case Op.F2I:
            return f32.to_int(np.rint(as_f(regs[ins.a])))
        case Op.BITS:
            return f32.to_bits(as_f(regs[ins.a]))
        case Op.FROMBITS:
            return f32.from_bits(as_i(regs[ins.a]))
        case Op.EXPONENT:
            return f32.exponent(as_f(regs[ins.a]))
    raise AssertionError(f"opcode {op!r} has a row in the table but no meaning")


def as_i(x: Array) -> I:
    """``x``, known to be int64."""
    assert x.dtype == np.int64, x.dtype
    return cast(I, x)


def as_f(x: Array) -> F:
    """``x``, known to be float32."""
    assert x.dtype == np.float32, x.dtype
    return cast(F, x)


def as_register(x: Array) -> Register:
    """``x``, known to be of one of the two register types."""
    return as_f(x) if x.dtype == np.float32 else as_i(x)
