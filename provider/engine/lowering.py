"""From microcode to a list of kernel calls on tensors of the cheapest exact type.

Every integer register gets an interval that holds whatever the operands are; where it and those of
the operands lie within 32 bits the instruction runs in int32, comparisons yield bool, and an F2I
whose users all clamp saturates early.  An interval is a proof, not a guess: it only uses literals,
dtypes, shapes and the bounds that legality guarantees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch

from protocol.spec.assembler import bits_f32
from protocol.spec.microcode import Op, signature
from protocol.spec.types import DType, Fold, Instr, Kind, Template
from provider.engine.arena import Arena
from provider.engine.intervals import FULL, INT32, Interval, span_of
from provider.engine.kernels import (
    BOOL,
    F32,
    I32,
    I64,
    SATURATED,
    Kernels,
    cast,
    clamp_int,
    f2i_saturated,
)

Tensor = torch.Tensor

TORCH: dict[DType, torch.dtype] = {
    DType.F32: torch.float32,
    DType.I64: torch.int64,
    DType.I32: torch.int32,
    DType.I16: torch.int16,
    DType.I8: torch.int8,
}

HELD = 1 << 24
"""Integers up to this are exact in f32."""

class Frame(Protocol):
    """What code sees of the tile it computes."""

    arena: Arena

    def load(self, view: int, extra: Tensor | None) -> Tensor: ...
    def coord(self, axis: int) -> Tensor: ...
    def rcoord(self, digit: int) -> Tensor: ...
    def index(self) -> Tensor: ...
    def rindex(self) -> Tensor: ...
    def scalar(self, op: Op) -> Tensor: ...
    def acc(self) -> Tensor: ...


Step = Callable[[Frame, list[Tensor]], Tensor]
Regs = list[Tensor]


@dataclass(frozen=True, slots=True)
class Reg:
    """What is known of a register: its tensor's dtype and, for integers, an interval.

    An integer register may be held in f32 (``held``), integral and at most 2^24 in magnitude; the
    sum of a DOT that is only converted arrives converted (``rounded``).
    """

    dtype: torch.dtype
    span: Interval = FULL
    literal: int | None = None
    held: bool = False
    rounded: bool = False

    @property
    def fits32(self) -> bool:
        return INT32[0] <= self.span[0] and self.span[1] <= INT32[1]


@dataclass(frozen=True, slots=True)
class Lowered:
    """Steps in order; ``target[k]`` is the register that step k writes, ``dead[k]`` the registers
    that nothing needs after it.  ``start`` holds the literals."""

    steps: tuple[Step, ...]
    target: tuple[int, ...]
    dead: tuple[tuple[int, ...], ...]
    start: tuple[Tensor | None, ...]
    result: int
    out: Reg

    def run(self, frame: Frame) -> Tensor:
        """The last register for the tile of ``frame``."""
        regs: list[Tensor] = list(self.start)  # type: ignore[arg-type]
        put = frame.arena.put
        for step, target, dead in zip(self.steps, self.target, self.dead, strict=True):
            regs[target] = step(frame, regs)
            for k in dead:
                put(regs[k])
        return regs[self.result]


def acc_span(t: Template, pre: Reg | None) -> Interval:
    """Interval of ACC."""
    if t.kind is Kind.DOT:
        most = t.bound_a * t.bound_b * t.terms
        return -most, most
    if t.fold is Fold.ARGMAX:
        return 0, t.terms - 1
    if t.fold in (Fold.MAX, Fold.MIN) and pre is not None and t.live_r is None:
        return pre.span
    return FULL


def acc_reg(t: Template, pre: Reg | None) -> Reg:
    """What the post code receives as ACC: f32 where a DOT's sum is only converted to that."""
    span = acc_span(t, pre)
    if t.kind is Kind.DOT:
        accs = {n for n, ins in enumerate(t.post) if ins.op == Op.ACC}
        uses = {ins.op for ins in t.post if accs & set(_reads(ins))}
        rounded = uses == {int(Op.I2F)} and len(t.post) - 1 not in accs
        return Reg(F32, span, rounded=True) if rounded else Reg(I64, span)
    is_float = pre is not None and pre.dtype is F32 and not pre.held
    return Reg(F32 if is_float and t.fold is not Fold.ARGMAX else I64, span)


def _reads(ins: Instr) -> tuple[int, ...]:
    kinds = signature(Op(ins.op))[0]
    return tuple(
        n for kind, n in zip(kinds, (ins.a, ins.b, ins.c), strict=True) if kind in "IF"
    )


_BOOLEAN = (Op.EQ, Op.LT, Op.LE, Op.FEQ, Op.FLT, Op.FLE)
_LOGIC = (Op.AND, Op.OR, Op.XOR)
_NARROW = (Op.ADD, Op.SUB, Op.MUL, Op.NEG, Op.MIN, Op.MAX, Op.NOT, *_LOGIC, *_BOOLEAN[:3])
_SHIFTS = (Op.SHL, Op.SHR, Op.USHR)


class Lowering:
    """Lowers one code of a template for one device."""

    def __init__(
        self, t: Template, kernels: Kernels, device: torch.device, *, pre: bool, acc: Reg | None
    ) -> None:
        self.t = t
        self.kernels = kernels
        self.device = device
        self.code = t.pre if pre else t.post
        self.acc = acc
        self.regs: list[Reg] = []
        self.start: list[Tensor | None] = [None] * len(self.code)
        self.literals: dict[tuple[int, torch.dtype], int] = {}
        self.steps: list[tuple[int, Step, tuple[int, ...]]] = []
        self.users: list[list[Instr]] = [[] for _ in self.code]
        for ins in self.code:
            for n in _reads(ins):
                self.users[n].append(ins)

    def lower(self) -> Lowered:
        """The whole code."""
        for n, ins in enumerate(self.code):
            self.regs.append(self._lower(n, ins))
        last = len(self.code) - 1
        final: dict[int, int] = {}
        for k, (target, _, reads) in enumerate(self.steps):
            for reg in (target, *reads):
                final[reg] = k
        dead: list[tuple[int, ...]] = []
        for k in range(len(self.steps)):
            gone = (r for r, at in final.items() if at == k and r != last)
            dead.append(tuple(r for r in gone if self.start[r] is None and not self._foreign(r)))
        return Lowered(
            tuple(s for _, s, _ in self.steps),
            tuple(t for t, _, _ in self.steps),
            tuple(dead),
            tuple(self.start),
            last,
            self.regs[-1],
        )

    def _foreign(self, n: int) -> bool:
        """Whether a register's tensor is a view or the frame's own, never the arena's."""
        op = self.code[n].op
        return op in (Op.LOAD, Op.LOADX, Op.ACC) or (
            op == Op.I2F and self.regs[self.code[n].a].rounded
        )

    # -- pieces ----------------------------------------------------------------------------------

    def _emit(self, n: int, step: Step, *reads: int) -> None:
        self.steps.append((n, step, reads))

    def _literal(self, value: int, dtype: torch.dtype) -> Tensor:
        if dtype is F32:
            bits = torch.tensor([value], dtype=I64).to(I32).view(F32)
            self.kernels.canonical(bits)
            return bits.to(self.device)
        return torch.tensor([value], dtype=dtype, device=self.device)

    def _as(self, n: int, dtype: torch.dtype) -> tuple[int, torch.dtype | None]:
        """Register to read for operand n as ``dtype``, and the cast it still needs."""
        reg = self.regs[n]
        if reg.dtype is dtype and not (reg.held and dtype is F32):
            return n, None
        if reg.literal is None:
            return n, dtype
        key = (reg.literal, dtype)
        if key not in self.literals:
            self.literals[key] = len(self.start)
            self.start.append(self._literal(reg.literal, dtype))
        return self.literals[key], None

    def _call(
        self, n: int, kernel: Callable[..., Tensor], *operands: tuple[int, torch.dtype | None]
    ) -> None:
        """Emit a kernel call, with the casts that its operands need."""
        reads = tuple(r for r, _ in operands)
        if any(want for _, want in operands):

            def casting(frame: Frame, regs: Regs) -> Tensor:
                arena, made, args = frame.arena, [], []
                for r, want in operands:
                    x = regs[r]
                    if want is not None:
                        x = cast(arena, x, want)
                        made.append(x)
                    args.append(x)
                out = kernel(arena, *args)
                for x in made:
                    arena.put(x)
                return out

            self._emit(n, casting, *reads)
        elif len(reads) == 1:
            (a,) = reads
            self._emit(n, lambda frame, regs: kernel(frame.arena, regs[a]), *reads)
        elif len(reads) == 2:
            a, b = reads
            self._emit(n, lambda frame, regs: kernel(frame.arena, regs[a], regs[b]), *reads)
        else:
            self._emit(n, lambda fr, regs: kernel(fr.arena, *(regs[r] for r in reads)), *reads)

    def _lower(self, n: int, ins: Instr) -> Reg:
        op = Op(ins.op)
        kinds, result, _ = signature(op)
        if op in (Op.LOAD, Op.LOADX, Op.ACC) or kinds.strip("-x") == "":
            return self._source(n, op, ins)
        if op in (Op.F2I, Op.CLAMP, Op.I2F, Op.CONSTHI, Op.LDEXP):
            return self._special(n, op, ins)
        kernel = self.kernels.table[op]
        if op in (Op.FMIN, Op.FMAX) and self._limit(n, op, ins):
            return Reg(F32)
        if "I" not in kinds:  # floats in
            self._call(n, kernel, *((k, None) for k in _reads(ins)))
            if result == "F":
                return Reg(F32)
            dtype = BOOL if op in _BOOLEAN else I32
            return Reg(dtype, span_of(op, FULL, FULL, FULL, 0))
        if op is Op.SELF:
            self._call(n, kernel, self._condition(ins.a), (ins.b, None), (ins.c, None))
            return Reg(F32)
        if op is Op.FROMBITS:
            self._call(n, kernel, self._integer(ins.a))
            return Reg(F32)
        return self._integers(n, op, ins)

    def _limit(self, n: int, op: Op, ins: Instr) -> bool:
        """FMIN or FMAX with a literal as torch's clamp, which is exact for one that is no zero and
        no NaN (no ambiguous pair), and for max(x, +0) once + 0.0 has made its zeros positive."""
        clamp, low = self.kernels.clamp_float, op is Op.FMAX
        for value, limit in ((ins.a, ins.b), (ins.b, ins.a)):
            literal = self.code[limit]
            if literal.op != Op.CONSTF or clamp is None:
                continue
            number, rest = bits_f32(literal.imm), literal.imm & 0x7FFFFFFF
            if rest > 0x7F800000 or (rest == 0 and (op is Op.FMIN or literal.imm != 0)):
                continue
            self._call(n, partial(clamp_to, clamp, number, low), (value, None))
            return True
        return False

    def _condition(self, k: int) -> tuple[int, torch.dtype | None]:
        """A register as a condition: any dtype will do."""
        return k, None

    def _integer(self, k: int) -> tuple[int, torch.dtype | None]:
        """A register as int32 or int64, whichever it fits."""
        return self._as(k, I32 if self.regs[k].fits32 else I64)

    def _integers(self, n: int, op: Op, ins: Instr) -> Reg:
        reads = _reads(ins)
        regs = [self.regs[k] for k in reads]
        spans = [r.span for r in regs] + [FULL] * 3
        span = span_of(op, spans[0], spans[1], spans[2], ins.imm)
        if op is Op.SELI:
            narrow = regs[1].fits32 and regs[2].fits32
            width = I32 if narrow else I64
            wanted = [self._condition(ins.a), self._as(ins.b, width), self._as(ins.c, width)]
            self._call(n, self.kernels.table[op], *wanted)
            return Reg(width, span)
        if op in _LOGIC and all(r.dtype is BOOL for r in regs):
            self._call(n, self.kernels.table[op], *((k, None) for k in reads))
            return Reg(BOOL, (0, 1))
        if op is Op.USHR and spans[0][0] >= 0:
            op = Op.SHR
        narrow = all(r.fits32 for r in regs) and INT32[0] <= span[0] and span[1] <= INT32[1]
        if op in _SHIFTS:
            low, high = spans[1]
            narrow = narrow and op is not Op.USHR and low >= 0 and high < 32
        elif op in (Op.DIV, Op.MOD):
            narrow = narrow and spans[1][0] > 0
        elif op not in _NARROW:
            narrow = False
        width = I32 if narrow else I64
        self._call(n, self.kernels.table[op], *(self._as(k, width) for k in reads))
        return Reg(BOOL if op in _BOOLEAN else width, span)

    def _source(self, n: int, op: Op, ins: Instr) -> Reg:
        t, imm = self.t, ins.imm
        match op:
            case Op.LOAD | Op.LOADX:
                return self._load(n, ins)
            case Op.CONSTI:
                value = imm - (1 << 32) if imm >> 31 else imm
                self.start[n] = self._literal(value, I32)
                return Reg(I32, (value, value), value)
            case Op.CONSTF:
                self.start[n] = self._literal(imm, F32)
                return Reg(F32)
            case Op.COORD:
                self._emit(n, lambda frame, regs: frame.coord(ins.a))
                return Reg(I64, (0, t.shape[ins.a] - 1))
            case Op.RCOORD:
                self._emit(n, lambda frame, regs: frame.rcoord(ins.a))
                return Reg(I64, (0, t.r[ins.a] - 1))
            case Op.INDEX:
                self._emit(n, lambda frame, regs: frame.index())
                return Reg(I64, (0, t.count - 1))
            case Op.RINDEX:
                self._emit(n, lambda frame, regs: frame.rindex())
                return Reg(I64, (0, t.terms - 1))
            case Op.ACC:
                assert self.acc is not None, "ACC outside post is illegal"
                if self.acc.rounded:
                    return self.acc  # its I2F reads it
                self._emit(n, lambda frame, regs: frame.acc())
                return self.acc
            case _:
                self._emit(n, lambda frame, regs: frame.scalar(op))
                return Reg(I64)

    def _load(self, n: int, ins: Instr) -> Reg:
        dtype = self.t.slots[self.t.views[ins.a].slot].dtype
        if ins.op == Op.LOAD:
            self._emit(n, lambda frame, regs: frame.load(ins.a, None))
        else:
            reg, want = self._as(ins.b, I64)

            def computed(frame: Frame, regs: Regs) -> Tensor:
                extra = regs[reg] if want is None else regs[reg].to(I64)
                return frame.load(ins.a, extra)

            self._emit(n, computed, reg)
        span = FULL if dtype.is_float else (dtype.min, dtype.max)
        return Reg(TORCH[dtype], span)

    def _special(self, n: int, op: Op, ins: Instr) -> Reg:
        a = self.regs[ins.a]
        match op:
            case Op.F2I:
                return self._f2i(n, ins)
            case Op.CLAMP:
                return self._clamp(n, ins)
            case Op.LDEXP:
                b = self._integer(ins.b)
                self._call(n, self.kernels.table[op], (ins.a, None), b)
                return Reg(F32)
            case Op.I2F:
                if a.rounded:
                    self._emit(n, lambda frame, regs: frame.acc())
                elif a.held:  # only the sign of a zero can differ
                    zero = self._as_zero()
                    self._call(n, self.kernels.table[Op.FADD], (ins.a, None), (zero, None))
                else:
                    self._call(n, self.kernels.table[op], (ins.a, None))
                return Reg(F32)
            case _:  # CONSTHI
                if a.literal is not None:
                    value = (a.literal & 0xFFFFFFFF) | ins.imm << 32
                    value -= (1 << 64) if value >> 63 else 0
                    self.start[n] = self._literal(value, I64)
                    return Reg(I64, (value, value), value)
                high = ins.imm << 32
                high -= (1 << 64) if high >> 63 else 0

                def consthi(arena: Arena, x: Tensor) -> Tensor:
                    return cast(arena, (x & 0xFFFFFFFF) | high, I64)

                self._call(n, consthi, self._as(ins.a, I64))
                return Reg(I64)

    def _as_zero(self) -> int:
        key = (0, F32)
        if key not in self.literals:
            self.literals[key] = len(self.start)
            self.start.append(self._literal(0, F32))
        return self.literals[key]

    def _clamped_only(self, n: int, most: int) -> bool:
        """Whether every use of register n clamps it to at most ``most`` first."""
        if n == len(self.code) - 1 or {"F2I", "CONVERT"} & set(self.kernels.disabled):
            return False
        return all(
            (u.op == Op.CLAMP and u.imm <= most)
            or (u.op == Op.LDEXP and u.b == n and most >= SATURATED)
            for u in self.users[n]
        )

    def _f2i(self, n: int, ins: Instr) -> Reg:
        if self.users[n] and self._clamped_only(n, HELD):
            return Reg(F32, FULL, held=True)  # the clamps below read the float itself
        if self._clamped_only(n, SATURATED):
            self._call(n, f2i_saturated, (ins.a, None))
            return Reg(I32, (-SATURATED, SATURATED))
        self._call(n, self.kernels.table[Op.F2I], (ins.a, None))
        return Reg(I64)

    def _clamp(self, n: int, ins: Instr) -> Reg:
        a, bound = self.regs[ins.a], ins.imm
        span = span_of(Op.CLAMP, a.span, FULL, FULL, bound)
        source = self.code[ins.a]
        if a.held and source.op == Op.F2I:
            rint_clamped = self.kernels.rint_clamped
            self._call(n, lambda arena, x: rint_clamped(arena, x, bound), (source.a, None))
            return Reg(F32, span, held=True)
        self._call(n, lambda arena, x: clamp_int(arena, x, bound), self._integer(ins.a))
        return Reg(I32 if a.fits32 else I64, span)


def clamp_to(
    clamp: Callable[..., Tensor], limit: float, low: bool, arena: Arena, x: Tensor
) -> Tensor:
    """A kernel of one operand from ``Kernels.clamp_float``."""
    return clamp(arena, x, limit, low)


def lower(
    t: Template, kernels: Kernels, device: torch.device, *, pre: bool, acc: Reg | None = None
) -> Lowered:
    """``pre`` or ``post`` of a legal template for a device."""
    return Lowering(t, kernels, device, pre=pre, acc=acc).lower()


def literals_of(values: Sequence[int], dtype: DType, device: torch.device) -> Tensor:
    """Elements of ``dtype`` (raw bits for f32, NaN canonical) as a tensor."""
    if dtype.is_float:
        quiet = [0x7FC00000 if v & 0x7FFFFFFF > 0x7F800000 else v for v in values]
        wide = torch.tensor(quiet, dtype=I64)
        return wide.to(I32).view(F32).to(device)
    return torch.tensor(list(values), dtype=TORCH[dtype], device=device)
