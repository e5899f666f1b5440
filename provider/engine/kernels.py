"""The engine's floating-point and integer policy: one torch kernel per instruction.

A kernel takes an arena and tensors and returns a new tensor (never one of its arguments), written
into a buffer of the arena.  Integers travel as int32 where the lowering proved that 32 bits
suffice, comparisons as bool.  A float may carry any NaN: it is made canonical where its bits can
be seen (stores, BITS).  Every kernel has an exact twin, the specification's own NumPy function
(``exact``), which replaces it on a device where the self-test finds it wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from protocol.spec import f32
from protocol.spec.constants import (
    CANONICAL_NAN,
    EXPONENT_OF_INF,
    EXPONENT_OF_NAN,
    EXPONENT_OF_ZERO,
    LDEXP_CLAMP,
)
from protocol.spec.microcode import BINARY_F, BINARY_I, COMPARE_F, UNARY_F, UNARY_I, Op
from protocol.spec.types import Array
from provider.engine.arena import Arena

Tensor = torch.Tensor
Kernel = Callable[..., Tensor]

F32, F64, I32, I64, BOOL = torch.float32, torch.float64, torch.int32, torch.int64, torch.bool
SATURATED = 1 << 30
"""A float-to-integer conversion whose users clamp to less may saturate here."""


def cast(arena: Arena, x: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy of ``x`` as ``dtype`` (int64 to narrower: low bits)."""
    return arena.get(dtype, tuple(x.shape)).copy_(x)


def canonical_(x: Tensor) -> Tensor:
    """Every NaN of an f32 tensor replaced by the canonical one, in place."""
    if x.device.type == "cpu" and math.isfinite(x.sum().item()):
        return x  # a NaN anywhere would have made the sum NaN
    bits = x.view(I32)
    bits.masked_fill_(x.isnan(), CANONICAL_NAN)
    return x


def _binary(fn: Callable[..., Tensor]) -> Kernel:
    def kernel(arena: Arena, a: Tensor, b: Tensor) -> Tensor:
        out: Tensor = fn(a, b, out=arena.get(a.dtype, arena.broadcast(a, b)))
        return out

    return kernel


def _unary(fn: Callable[..., Tensor]) -> Kernel:
    def kernel(arena: Arena, a: Tensor) -> Tensor:
        out: Tensor = fn(a, out=arena.get(a.dtype, tuple(a.shape)))
        return out

    return kernel


def _compare(fn: Callable[..., Tensor]) -> Kernel:
    def kernel(arena: Arena, a: Tensor, b: Tensor) -> Tensor:
        out: Tensor = fn(a, b, out=arena.get(BOOL, arena.broadcast(a, b)))
        return out

    return kernel


def fmax(arena: Arena, a: Tensor, b: Tensor) -> Tensor:
    """The greater by key.  torch.maximum is right except between zeros of unlike sign; equal
    values have equal bits or are such zeros, and +0 is their AND."""
    out = torch.maximum(a, b, out=arena.get(F32, arena.broadcast(a, b)))
    return _mend_zeros(arena, a, b, out, torch.bitwise_and)


def fmin(arena: Arena, a: Tensor, b: Tensor) -> Tensor:
    """The smaller by key, NaN if either is: of two zeros the OR."""
    out = torch.minimum(a, b, out=arena.get(F32, arena.broadcast(a, b)))
    return _mend_zeros(arena, a, b, out, torch.bitwise_or)


def _mend_zeros(
    arena: Arena, a: Tensor, b: Tensor, out: Tensor, pick: Callable[..., Tensor]
) -> Tensor:
    shape = tuple(out.shape)
    equal = torch.eq(a, b, out=arena.get(BOOL, shape))
    if out.device.type != "cpu" or bool(equal.any()):
        bits = pick(a.view(I32), b.view(I32), out=arena.get(I32, shape))
        bits = torch.where(equal, bits, out.view(I32), out=arena.get(I32, shape))
        out.view(I32).copy_(bits)
    arena.put(equal)
    return out


def clamp_float(arena: Arena, x: Tensor, limit: float, low: bool) -> Tensor:
    """FMAX (``low``) or FMIN with a limit that is no NaN and, but for FMAX with +0, no zero."""
    out = arena.get(F32, tuple(x.shape))
    if low:
        torch.clamp(x, min=limit, out=out)
        return out.add_(0.0) if limit == 0 else out
    return torch.clamp(x, max=limit, out=out)


def f2i(arena: Arena, x: Tensor) -> Tensor:
    """RINT, then saturate to int64; NaN gives 0."""
    r = torch.round(x)
    high, low = r >= 2.0**63, r < -(2.0**63)
    r.masked_fill_(high | low | r.isnan(), 0.0)
    out = cast(arena, r, I64)
    out.masked_fill_(high, f32.INT64_MAX)
    return out.masked_fill_(low, f32.INT64_MIN)


def f2i_saturated(arena: Arena, x: Tensor) -> Tensor:
    """F2I for users that clamp to at most 2^30: saturates there, in int32."""
    r = rint_clamped(arena, x, SATURATED)
    out = cast(arena, r, I32)
    arena.put(r)
    return out


def rint_clamped(arena: Arena, x: Tensor, bound: int) -> Tensor:
    """F2I and CLAMP to +-bound, held in f32 (bound at most 2^24, or 2^30); no NaN."""
    r = torch.round(x, out=arena.get(F32, tuple(x.shape)))
    if x.device.type != "cpu" or not math.isfinite(r.sum().item()):
        r.masked_fill_(r.isnan(), 0.0)
    return r.clamp_(-float(bound), float(bound))


def i2f(arena: Arena, x: Tensor) -> Tensor:
    """One rounding to nearest even, from int32, int64, bool, or an integral f64."""
    return cast(arena, x, F32)


def bits(arena: Arena, x: Tensor) -> Tensor:
    """The 32 bits, NaN canonical, as int32."""
    out = arena.get(I32, tuple(x.shape)).copy_(x.view(I32))
    canonical_(out.view(F32))
    return out


def from_bits(arena: Arena, x: Tensor) -> Tensor:
    """The f32 of the low 32 bits."""
    out = cast(arena, x, I32)
    return arena.get(F32, tuple(x.shape)).copy_(out.view(F32))


def ldexp(arena: Arena, x: Tensor, n: Tensor) -> Tensor:
    """x * 2^n, n clamped to +-300: exact in binary64, the conversion back is the one rounding."""
    wide = n.clamp(-LDEXP_CLAMP, LDEXP_CLAMP).to(I64)
    wide.add_(1023).bitwise_left_shift_(52)
    product = torch.mul(x.to(F64), wide.view(F64))
    return cast(arena, product, F32)


def exponent(arena: Arena, x: Tensor) -> Tensor:
    """floor(log2 |x|) as int32; 0: -200, inf: 200, NaN: 201."""
    e = torch.frexp(x.to(F64))[1].to(I32) - 1
    e.masked_fill_(x == 0, EXPONENT_OF_ZERO)
    e.masked_fill_(x.isinf(), EXPONENT_OF_INF)
    e.masked_fill_(x.isnan(), EXPONENT_OF_NAN)
    return cast(arena, e, I32)


def _shift(fn: Callable[..., Tensor]) -> Kernel:
    def kernel(arena: Arena, a: Tensor, n: Tensor) -> Tensor:
        out: Tensor = fn(a, n & 63, out=arena.get(a.dtype, arena.broadcast(a, n)))
        return out

    return kernel


def ushr(arena: Arena, a: Tensor, n: Tensor) -> Tensor:
    """Logical shift right: the arithmetic one with the copies of the sign masked away."""
    n = n & 63
    shifted = torch.bitwise_right_shift(a, n, out=arena.get(I64, arena.broadcast(a, n)))
    mask = torch.bitwise_left_shift(torch.full_like(n, -2), 63 - n).bitwise_not_()
    return shifted.bitwise_and_(mask)


def _floor_kernel(fn: Callable[..., Tensor], *, is_mod: bool) -> Kernel:
    def kernel(arena: Arena, a: Tensor, b: Tensor) -> Tensor:
        a, b = torch.broadcast_tensors(a, b)
        zero, minus = b == 0, b == -1
        safe = b.masked_fill(zero | minus, 1)
        out: Tensor = fn(a, safe)
        if is_mod:
            out.masked_fill_(minus, 0)
        else:
            out = torch.where(minus, a.neg(), out)
        out.masked_fill_(zero, 0)
        return cast(arena, out, a.dtype)

    return kernel


def _floor_div(a: Tensor, b: Tensor) -> Tensor:
    return torch.div(a, b, rounding_mode="floor")


def select(arena: Arena, c: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """c != 0 ? a : b."""
    if c.dtype is not BOOL:
        c = torch.ne(c, 0)
    return torch.where(c, a, b, out=arena.get(a.dtype, arena.broadcast(c, a, b)))


def clamp_int(arena: Arena, x: Tensor, bound: int) -> Tensor:
    """CLAMP, in the type of ``x``."""
    return torch.clamp(x, -bound, bound, out=arena.get(x.dtype, tuple(x.shape)))


def fsqrt(arena: Arena, x: Tensor) -> Tensor:
    """By way of binary64: torch's own f32 square root is off by one ulp on some CPUs.

    A square root of an f32 is at least 2^-50 (relative) away from every midpoint of two f32, so
    an error of up to 4 ulp of the f64 root cannot change its rounding.
    """
    wide = arena.get(F64, tuple(x.shape)).copy_(x)
    torch.sqrt(wide, out=wide)
    out = cast(arena, wide, F32)
    arena.put(wide)
    return out


def fabs(arena: Arena, x: Tensor) -> Tensor:
    return torch.abs(x, out=arena.get(F32, tuple(x.shape)))


FAST: dict[Op, Kernel] = {
    Op.ADD: _binary(torch.add),
    Op.SUB: _binary(torch.sub),
    Op.MUL: _binary(torch.mul),
    Op.NEG: _unary(torch.neg),
    Op.DIV: _floor_kernel(_floor_div, is_mod=False),
    Op.MOD: _floor_kernel(torch.remainder, is_mod=True),
    Op.MIN: _binary(torch.minimum),
    Op.MAX: _binary(torch.maximum),
    Op.AND: _binary(torch.bitwise_and),
    Op.OR: _binary(torch.bitwise_or),
    Op.XOR: _binary(torch.bitwise_xor),
    Op.NOT: _unary(torch.bitwise_not),
    Op.SHL: _shift(torch.bitwise_left_shift),
    Op.SHR: _shift(torch.bitwise_right_shift),
    Op.USHR: ushr,
    Op.EQ: _compare(torch.eq),
    Op.LT: _compare(torch.lt),
    Op.LE: _compare(torch.le),
    Op.SELI: select,
    Op.SELF: select,
    Op.FADD: _binary(torch.add),
    Op.FSUB: _binary(torch.sub),
    Op.FMUL: _binary(torch.mul),
    Op.FDIV: _binary(torch.div),
    Op.FSQRT: fsqrt,
    Op.FMIN: fmin,
    Op.FMAX: fmax,
    Op.FNEG: _unary(torch.neg),
    Op.FABS: fabs,
    Op.FEQ: _compare(torch.eq),
    Op.FLT: _compare(torch.lt),
    Op.FLE: _compare(torch.le),
    Op.FLOOR: _unary(torch.floor),
    Op.CEIL: _unary(torch.ceil),
    Op.TRUNC: _unary(torch.trunc),
    Op.RINT: _unary(torch.round),
    Op.LDEXP: ldexp,
    Op.I2F: i2f,
    Op.F2I: f2i,
    Op.BITS: bits,
    Op.FROMBITS: from_bits,
    Op.EXPONENT: exponent,
}


# --- the exact twins ----------------------------------------------------------------------------


def _select(c: Array, a: Array, b: Array) -> Array:
    return np.where(c != 0, a, b)


def _f2i(x: f32.F) -> f32.I:
    return f32.to_int(np.rint(x))


REFERENCE: dict[Op, Callable[..., Array]] = {
    **BINARY_F,
    **BINARY_I,
    **UNARY_F,
    **UNARY_I,
    **COMPARE_F,
    Op.SELI: _select,
    Op.SELF: _select,
    Op.LDEXP: f32.ldexp,
    Op.I2F: f32.from_int,
    Op.F2I: _f2i,
    Op.BITS: f32.to_bits,
    Op.FROMBITS: f32.from_bits,
    Op.EXPONENT: f32.exponent,
}
"""The specification's functions, on int64 and canonical float32 arrays."""


def _plain(x: Tensor) -> Array:
    """A tensor as an array of a register type, NaN canonical."""
    array: Array = x.detach().cpu().numpy()
    if array.dtype == np.float32:
        return f32.canonical(array.astype(np.float32))
    return array.astype(np.int64)


def exact(op: Op) -> Kernel:
    """The specification's function as a kernel; the type of its result is that of the fast
    one."""
    reference = REFERENCE[op]
    compares = op in COMPARE_F or op in (Op.EQ, Op.LT, Op.LE)

    def kernel(arena: Arena, *args: Tensor) -> Tensor:
        with np.errstate(all="ignore"):
            value = torch.from_numpy(np.ascontiguousarray(reference(*map(_plain, args))))
        if value.dtype is F32:
            dtype = F32
        elif compares:
            dtype = BOOL
        elif op in (Op.BITS, Op.EXPONENT):
            dtype = I32
        elif op is Op.F2I:
            dtype = I64
        else:
            dtype = args[-1].dtype
        return arena.get(dtype, tuple(value.shape)).copy_(value)

    return kernel


def exact_rint_clamped(arena: Arena, x: Tensor, bound: int) -> Tensor:
    """``rint_clamped`` by the specification's functions."""
    value = np.clip(_f2i(_plain(x)), -bound, bound).astype(np.float32)  # type: ignore[arg-type]
    return arena.get(F32, tuple(x.shape)).copy_(torch.from_numpy(value))


def exact_canonical_(x: Tensor) -> Tensor:
    """``canonical_`` by the specification's function."""
    return x.copy_(torch.from_numpy(np.ascontiguousarray(_plain(x), np.float32)))


class Kernels:
    """The kernels of one device: the fast ones, less those that a self-test disabled."""

    def __init__(self) -> None:
        self.table: dict[Op, Kernel] = dict(FAST)
        self.rint_clamped: Callable[[Arena, Tensor, int], Tensor] = rint_clamped
        self.clamp_float: Callable[[Arena, Tensor, float, bool], Tensor] | None = clamp_float
        self.canonical: Callable[[Tensor], Tensor] = canonical_
        self.disabled: dict[str, str] = {}
        self.int_mm = {"narrow": True, "full": True}
        self.f64_matmul = True
        self.fast_folds = True

    def disable(self, name: str, why: str) -> None:
        """Use the exact fallback of a kernel (an opcode's name, or a group's) from now on."""
        self.disabled[name] = why
        match name:
            case "CONVERT":
                self.rint_clamped = exact_rint_clamped
                self.canonical = exact_canonical_
                self.table[Op.F2I] = exact(Op.F2I)
            case "CLAMP_FLOAT":
                self.clamp_float = None
            case "FOLD":
                self.fast_folds = False
            case "INT_MM":
                self.int_mm = {"narrow": False, "full": False}
            case "INT_MM_FULL":
                self.int_mm["full"] = False
            case "F64_MATMUL":
                self.f64_matmul = False
            case _:
                self.table[Op[name]] = exact(Op[name])
