"""Writes microcode: typed registers with operators, equal instructions shared, dead ones dropped.

    code = Code()
    x, m = code.load(0, DType.F32), code.load(1, DType.F32)
    post = code.finish(x / m + 1.0)

``Code`` checks register types as it goes; ``finish`` gives the tuple of ``Instr`` for a template.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from protocol.spec.constants import MAX_INSTRUCTIONS
from protocol.spec.errors import LimitExceeded
from protocol.spec.microcode import Op, signature
from protocol.spec.types import DType, Instr


def f32_bits(value: float) -> int:
    """Bits of ``value`` rounded once to f32 (nearest even; NaN canonical)."""
    with np.errstate(all="ignore"):
        rounded = np.float32(value)
    return 0x7FC00000 if np.isnan(rounded) else int(rounded.view(np.uint32))


def bits_f32(bits: int) -> float:
    """The f32 of 32 raw bits, as a Python float."""
    return float(struct.unpack("<f", struct.pack("<I", bits))[0])


@dataclass(frozen=True, slots=True, eq=False)
class _Reg:
    code: Code
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class RegI(_Reg):
    """A 64-bit integer register; comparisons (``eq``, ``lt``, ``le``) give 0 or 1."""

    def __add__(self, other: IntLike) -> RegI:
        return self.code.i(Op.ADD, self, self.code.integer(other))

    def __sub__(self, other: IntLike) -> RegI:
        return self.code.i(Op.SUB, self, self.code.integer(other))

    def __mul__(self, other: IntLike) -> RegI:
        return self.code.i(Op.MUL, self, self.code.integer(other))

    def __floordiv__(self, other: IntLike) -> RegI:
        return self.code.i(Op.DIV, self, self.code.integer(other))

    def __mod__(self, other: IntLike) -> RegI:
        return self.code.i(Op.MOD, self, self.code.integer(other))

    def __and__(self, other: IntLike) -> RegI:
        return self.code.i(Op.AND, self, self.code.integer(other))

    def __or__(self, other: IntLike) -> RegI:
        return self.code.i(Op.OR, self, self.code.integer(other))

    def __xor__(self, other: IntLike) -> RegI:
        return self.code.i(Op.XOR, self, self.code.integer(other))

    def __lshift__(self, other: IntLike) -> RegI:
        return self.code.i(Op.SHL, self, self.code.integer(other))

    def __rshift__(self, other: IntLike) -> RegI:
        return self.code.i(Op.SHR, self, self.code.integer(other))

    def __neg__(self) -> RegI:
        return self.code.i(Op.NEG, self)

    def __invert__(self) -> RegI:
        return self.code.i(Op.NOT, self)

    def ushr(self, other: IntLike) -> RegI:
        return self.code.i(Op.USHR, self, self.code.integer(other))

    def min(self, other: IntLike) -> RegI:
        return self.code.i(Op.MIN, self, self.code.integer(other))

    def max(self, other: IntLike) -> RegI:
        return self.code.i(Op.MAX, self, self.code.integer(other))

    def eq(self, other: IntLike) -> RegI:
        return self.code.i(Op.EQ, self, self.code.integer(other))

    def lt(self, other: IntLike) -> RegI:
        return self.code.i(Op.LT, self, self.code.integer(other))

    def le(self, other: IntLike) -> RegI:
        return self.code.i(Op.LE, self, self.code.integer(other))

    def clamp(self, bound: int) -> RegI:
        """min(max(self, -bound), bound)."""
        return self.code.i(Op.CLAMP, self, imm=bound)

    def to_f32(self) -> RegF:
        return self.code.f(Op.I2F, self)

    def from_bits(self) -> RegF:
        """The f32 of the low 32 bits."""
        return self.code.f(Op.FROMBITS, self)

    def where(self, then: RegF, other: FloatLike) -> RegF:
        """self != 0 ? then : other."""
        return self.code.f(Op.SELF, self, then, self.code.real(other))

    def where_int(self, then: IntLike, other: IntLike) -> RegI:
        return self.code.i(Op.SELI, self, self.code.integer(then), self.code.integer(other))


@dataclass(frozen=True, slots=True, eq=False)
class RegF(_Reg):
    """An f32 register."""

    def __add__(self, other: FloatLike) -> RegF:
        return self.code.f(Op.FADD, self, self.code.real(other))

    def __radd__(self, other: float) -> RegF:
        return self.code.f(Op.FADD, self.code.real(other), self)

    def __sub__(self, other: FloatLike) -> RegF:
        return self.code.f(Op.FSUB, self, self.code.real(other))

    def __rsub__(self, other: float) -> RegF:
        return self.code.f(Op.FSUB, self.code.real(other), self)

    def __mul__(self, other: FloatLike) -> RegF:
        return self.code.f(Op.FMUL, self, self.code.real(other))

    def __rmul__(self, other: float) -> RegF:
        return self.code.f(Op.FMUL, self.code.real(other), self)

    def __truediv__(self, other: FloatLike) -> RegF:
        return self.code.f(Op.FDIV, self, self.code.real(other))

    def __rtruediv__(self, other: float) -> RegF:
        return self.code.f(Op.FDIV, self.code.real(other), self)

    def __neg__(self) -> RegF:
        return self.code.f(Op.FNEG, self)

    def abs(self) -> RegF:
        return self.code.f(Op.FABS, self)

    def sqrt(self) -> RegF:
        return self.code.f(Op.FSQRT, self)

    def min(self, other: FloatLike) -> RegF:
        return self.code.f(Op.FMIN, self, self.code.real(other))

    def max(self, other: FloatLike) -> RegF:
        return self.code.f(Op.FMAX, self, self.code.real(other))

    def floor(self) -> RegF:
        return self.code.f(Op.FLOOR, self)

    def ceil(self) -> RegF:
        return self.code.f(Op.CEIL, self)

    def trunc(self) -> RegF:
        return self.code.f(Op.TRUNC, self)

    def rint(self) -> RegF:
        return self.code.f(Op.RINT, self)

    def eq(self, other: FloatLike) -> RegI:
        return self.code.i(Op.FEQ, self, self.code.real(other))

    def lt(self, other: FloatLike) -> RegI:
        return self.code.i(Op.FLT, self, self.code.real(other))

    def le(self, other: FloatLike) -> RegI:
        return self.code.i(Op.FLE, self, self.code.real(other))

    def ldexp(self, n: IntLike) -> RegF:
        return self.code.f(Op.LDEXP, self, self.code.integer(n))

    def exponent(self) -> RegI:
        return self.code.i(Op.EXPONENT, self)

    def to_int(self) -> RegI:
        """Rounded to nearest even, saturated to int64; NaN gives 0."""
        return self.code.i(Op.F2I, self)

    def bits(self) -> RegI:
        return self.code.i(Op.BITS, self)


IntLike = RegI | int
FloatLike = RegF | float
Reg = RegI | RegF


class Code:
    """One code under construction. Raises TypeError for a register of the wrong type or code."""

    def __init__(self) -> None:
        self._instrs: list[Instr] = []
        self._known: dict[Instr, int] = {}

    # -- sources -------------------------------------------------------------------------------

    def load(self, view: int, dtype: DType) -> Reg:
        """The element that ``view`` addresses: RegF for F32, RegI for the integers."""
        number = self._emit(Instr(Op.LOAD, view))
        return RegF(self, number) if dtype.is_float else RegI(self, number)

    def load_f(self, view: int) -> RegF:
        return RegF(self, self._emit(Instr(Op.LOAD, view)))

    def load_i(self, view: int) -> RegI:
        return RegI(self, self._emit(Instr(Op.LOAD, view)))

    def loadx(self, view: int, index: RegI, dtype: DType) -> Reg:
        """The element at the view's address plus ``index``."""
        number = self._emit(Instr(Op.LOADX, view, self._own(index)))
        return RegF(self, number) if dtype.is_float else RegI(self, number)

    def coord(self, axis: int) -> RegI:
        return RegI(self, self._emit(Instr(Op.COORD, axis)))

    def rcoord(self, digit: int) -> RegI:
        return RegI(self, self._emit(Instr(Op.RCOORD, digit)))

    def index(self) -> RegI:
        return RegI(self, self._emit(Instr(Op.INDEX)))

    def rindex(self) -> RegI:
        return RegI(self, self._emit(Instr(Op.RINDEX)))

    def step(self) -> RegI:
        return RegI(self, self._emit(Instr(Op.STEP)))

    def phase_step(self) -> RegI:
        return RegI(self, self._emit(Instr(Op.PSTEP)))

    def seed(self) -> RegI:
        return RegI(self, self._emit(Instr(Op.SEED)))

    def acc_f(self) -> RegF:
        """Result of a float fold (in ``post``)."""
        return RegF(self, self._emit(Instr(Op.ACC)))

    def acc_i(self) -> RegI:
        """Result of an integer fold or a DOT (in ``post``)."""
        return RegI(self, self._emit(Instr(Op.ACC)))

    def integer(self, value: IntLike) -> RegI:
        """A literal (or a register, unchanged): one instruction for 32 bits, two beyond."""
        if isinstance(value, RegI):
            return value
        if not -(1 << 63) <= value < 1 << 63:
            raise LimitExceeded(f"integer literal {value} does not fit 64 bits")
        low = RegI(self, self._emit(Instr(Op.CONSTI, imm=value & 0xFFFFFFFF)))
        if -(1 << 31) <= value < 1 << 31:
            return low
        high = Instr(Op.CONSTHI, low.number, imm=(value >> 32) & 0xFFFFFFFF)
        return RegI(self, self._emit(high))

    def real(self, value: FloatLike) -> RegF:
        """A literal rounded once to f32 (or a register, unchanged)."""
        if isinstance(value, RegF):
            return value
        return RegF(self, self._emit(Instr(Op.CONSTF, imm=f32_bits(value))))

    def float_bits(self, bits: int) -> RegF:
        """The f32 literal of 32 raw bits."""
        return RegF(self, self._emit(Instr(Op.CONSTF, imm=bits)))

    # -- instructions ----------------------------------------------------------------------------

    def i(self, op: Op, *regs: Reg, imm: int = 0) -> RegI:
        return RegI(self, self._typed(op, "I", regs, imm))

    def f(self, op: Op, *regs: Reg, imm: int = 0) -> RegF:
        return RegF(self, self._typed(op, "F", regs, imm))

    def finish(self, result: Reg) -> tuple[Instr, ...]:
        """The code that yields ``result`` last, without instructions that nothing needs.

        Raises LimitExceeded beyond 256 instructions.
        """
        keep: set[int] = set()
        todo = [self._own(result)]
        while todo:
            number = todo.pop()
            if number not in keep:
                keep.add(number)
                todo += self._operands(self._instrs[number])
        order = sorted(keep - {result.number}) + [result.number]
        if len(order) > MAX_INSTRUCTIONS:
            raise LimitExceeded(
                f"code has {len(order)} instructions, at most {MAX_INSTRUCTIONS} fit: split it"
            )
        place = {number: k for k, number in enumerate(order)}
        return tuple(self._renumber(self._instrs[n], place) for n in order)

    # -- internals -------------------------------------------------------------------------------

    def _typed(self, op: Op, result: str, regs: tuple[Reg, ...], imm: int) -> int:
        kinds, yields, _ = signature(op)
        want = kinds.replace("-", "")
        got = "".join("F" if isinstance(r, RegF) else "I" for r in regs)
        if want != got or yields != result:
            raise TypeError(f"{op.name} takes {want} and yields {yields}, got {got} for {result}")
        numbers = [self._own(r) for r in regs] + [0, 0, 0]
        return self._emit(Instr(op, numbers[0], numbers[1], numbers[2], imm))

    def _own(self, reg: Reg) -> int:
        if reg.code is not self:
            raise TypeError("register belongs to another code")
        return reg.number

    def _emit(self, ins: Instr) -> int:
        if ins not in self._known:
            self._known[ins] = len(self._instrs)
            self._instrs.append(ins)
        return self._known[ins]

    @staticmethod
    def _operands(ins: Instr) -> list[int]:
        kinds = signature(Op(ins.op))[0]
        fields = zip(kinds, (ins.a, ins.b, ins.c), strict=True)
        return [n for kind, n in fields if kind in "IF"]

    @staticmethod
    def _renumber(ins: Instr, place: dict[int, int]) -> Instr:
        kinds = signature(Op(ins.op))[0]
        fields = zip(kinds, (ins.a, ins.b, ins.c), strict=True)
        a, b, c = (place[n] if kind in "IF" else n for kind, n in fields)
        return Instr(ins.op, a, b, c, ins.imm)
