"""Conformance self-test: every kernel against the specification, before first use.

Runs in each worker thread of a pool, through the very kernels that it will use: whole vectors with
a ragged end, a scalar operand on either side, strided operands.  A kernel that differs anywhere is
replaced by its exact fallback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from protocol.spec import f32
from protocol.spec.microcode import Op, signature
from protocol.spec.operations import fold_last
from protocol.spec.types import Array, Fold
from provider.engine import folds
from provider.engine.arena import Arena
from provider.engine.dot import int_mm
from provider.engine.kernels import (
    F32,
    F64,
    FAST,
    I32,
    I64,
    REFERENCE,
    SATURATED,
    Kernels,
    f2i_saturated,
)
from provider.engine.pool import Pool

Tensor = torch.Tensor

SPECIAL_BITS = (
    0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007FFFFF, 0x807FFFFF, 0x00800000, 0x80800000,
    0x00800001, 0x3F000000, 0xBF000000, 0x3F7FFFFF, 0x3F800000, 0xBF800000, 0x3F800001, 0x40000000,
    0x40200000, 0xC0200000, 0x40600000, 0x4AFFFFFF, 0x4B000001, 0x4B7FFFFF, 0x4F000000, 0xCF000000,
    0x5EFFFFFF, 0x5F000000, 0xDF000000, 0xDF000001, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000,
    0x7FC00000, 0x7F000000, 0x01000000, 0x1A000000,
)  # fmt: skip
"""f32 at which implementations differ: zeros, subnormals, ties, 2^24, the limits of int32 and
int64, the largest, infinities, NaN."""

SPECIAL_INTS = (
    0, 1, -1, 2, 3, 7, 31, 32, 63, 64, 65, 127, -128, 300, -300, 1023, 32767, -32768, (1 << 24) + 1,
    (1 << 31) - 1, -(1 << 31), 1 << 31, (1 << 53) + 1, (1 << 55) + (1 << 31) + 1, (1 << 62) + 1,
    (1 << 63) - 1, -(1 << 63), -(1 << 63) + 1,
)  # fmt: skip

COUNT = 6001
"""Random vectors beside the cross product of special ones; odd, so that vector loops have tails."""


@cache
def _vectors(kinds: str) -> tuple[Array, ...]:
    """Arrays of operands (I or F each): specials crossed, then random ones."""
    rng = np.random.default_rng(7)
    columns: list[Any] = []
    special: dict[str, Any] = {
        "F": np.array(SPECIAL_BITS, np.uint32).view(np.float32),
        "I": np.array(SPECIAL_INTS, np.int64),
    }
    crossed: Sequence[Any] = np.meshgrid(*(special[k] for k in kinds[:2]), indexing="ij")
    for n, kind in enumerate(kinds):
        head = crossed[n].reshape(-1) if n < 2 else np.resize(special[kind], columns[0].size)
        if kind == "F":
            words = rng.integers(0, 1 << 32, COUNT, dtype=np.uint32).view(np.float32)
            near = rng.normal(0, 100, COUNT).astype(np.float32)
            tail: Any = f32.canonical(np.where(rng.random(COUNT) < 0.5, words, near))
        else:
            tail = rng.integers(-(1 << 63), (1 << 63) - 1, COUNT) >> rng.integers(0, 64, COUNT)
        columns.append(np.concatenate([head, tail[: COUNT]])[: crossed[0].size + COUNT])
    return tuple(columns)


@cache
def _expected(op: Op, kinds: str) -> Array:
    with np.errstate(all="ignore"):
        return REFERENCE[op](*_vectors(kinds))


def _same(got: Tensor, want: Array) -> bool:
    """Equal bits, any NaN counting as the canonical one."""
    if got.dtype is F32:
        array = f32.canonical(got.cpu().numpy().astype(np.float32))
        return array.tobytes() == np.ascontiguousarray(want, np.float32).tobytes()
    return bool(np.array_equal(got.cpu().numpy().astype(np.int64), want))


def _variants(arena: Arena, args: Sequence[Array]) -> Iterator[tuple[list[Tensor], slice]]:
    """Operands as tensors in the layouts that tiles have, and the part of the vectors they hold."""
    device = arena.device
    plain = [torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in args]
    yield plain, slice(None)
    yield [torch.stack([x, x], 1)[:, 0] for x in plain], slice(None)


def _fits32(op: Op, args: Sequence[Any]) -> Any:
    """Vectors on which an integer instruction may run in int32, or None."""
    if op not in _IN_32:
        return None
    fit = np.ones(args[0].shape, bool)
    values: list[Any] = [*args, _expected(op, "I" * len(args))]
    for x in values:
        fit &= (x >= -(1 << 31)) & (x < 1 << 31)
    if op in (Op.SHL, Op.SHR):
        fit &= (args[1] >= 0) & (args[1] < 32)
    elif op in (Op.DIV, Op.MOD):
        fit &= args[1] > 0
    return fit


_IN_32 = (
    Op.ADD, Op.SUB, Op.MUL, Op.NEG, Op.MIN, Op.MAX, Op.AND, Op.OR, Op.XOR, Op.NOT, Op.SHL, Op.SHR,
    Op.DIV, Op.MOD, Op.EQ, Op.LT, Op.LE,
)  # fmt: skip


def check_op(op: Op, kernels: Kernels, arena: Arena) -> bool:
    """Whether the kernel of ``op`` agrees with the specification on every vector."""
    kinds = signature(op)[0].strip("-")
    args, want = _vectors(kinds), _expected(op, kinds)
    kernel = kernels.table[op]
    for tensors, part in _variants(arena, args):
        out = kernel(arena, *tensors)
        ok = _same(out, want[part])
        arena.put(out)
        if not ok:
            return False
    fit = _fits32(op, args)
    if fit is not None:
        narrow = [torch.from_numpy(a[fit].astype(np.int32)).to(arena.device) for a in args]
        if not _same(kernel(arena, *narrow), want[fit]):
            return False
    if len(kinds) == 2:
        return _check_scalars(kernel, args, want, arena)
    return True


def _check_scalars(
    kernel: Callable[..., Tensor], args: Sequence[Array], want: Array, arena: Arena
) -> bool:
    """One operand a single element, which vector loops treat apart."""
    n = len(SPECIAL_BITS) if args[1].dtype == np.float32 else len(SPECIAL_INTS)
    for start in range(0, n * 8, n):  # rows of the cross product: operand 0 is constant
        part = slice(start, start + n)
        a, b = (torch.from_numpy(x[part].copy()).to(arena.device) for x in args)
        if not _same(kernel(arena, a[:1], b), want[part]):
            return False
    for start in range(8):  # columns: operand 1 is constant
        part = slice(start, n * 20, n)
        a, b = (torch.from_numpy(x[part].copy()).to(arena.device) for x in args)
        if not _same(kernel(arena, a, b[:1]), want[part]):
            return False
    return True


def check_conversions(kernels: Kernels, arena: Arena) -> bool:
    """The fused F2I and CLAMP, saturating F2I, and the stores' low bits and canonical NaN."""
    x: Any = _vectors("F")[0]
    t = torch.from_numpy(x).to(arena.device)
    with np.errstate(all="ignore"):
        whole = f32.to_int(np.rint(x))
    for bound in (127, 8127, 32639, 1 << 24):
        held = kernels.rint_clamped(arena, t, bound)
        if not _same(held.to(I64), np.clip(whole, -bound, bound)):
            return False
        if bound < 1 << 15 and not _same(held.to(torch.int16), np.clip(whole, -bound, bound)):
            return False
    if not _same(f2i_saturated(arena, t), np.clip(whole, -SATURATED, SATURATED)):
        return False
    n: Any = _vectors("I")[0]
    wide = torch.from_numpy(n).to(arena.device)
    for dtype in (torch.int32, torch.int16, torch.int8):
        low = torch.empty(n.shape, dtype=dtype, device=arena.device).copy_(wide)
        if low.cpu().numpy().tobytes() != n.astype(low.cpu().numpy().dtype).tobytes():
            return False
    noisy = t.clone()
    noisy.view(I32)[3::7] = -1  # a NaN with sign and payload
    clean = kernels.canonical(noisy.clone()).cpu().numpy()
    want = f32.canonical(noisy.cpu().numpy().astype(np.float32))
    return clean.tobytes() == want.tobytes()


def check_clamp_float(kernels: Kernels, arena: Arena) -> bool:
    """FMIN and FMAX with every special literal that the lowering gives to torch's clamp."""
    x: Any = _vectors("F")[0]
    t = torch.from_numpy(x).to(arena.device)
    clamp = kernels.clamp_float
    if clamp is None:
        return False
    for word in SPECIAL_BITS:
        limit: Any = np.array([word], np.uint32).view(np.float32)
        if np.isnan(limit[0]):
            continue
        if (limit[0] != 0 or word == 0) and not _same(
            clamp(arena, t, float(limit[0]), True), f32.maximum(x, limit)
        ):
            return False
        if limit[0] != 0 and not _same(
            clamp(arena, t, float(limit[0]), False), f32.minimum(x, limit)
        ):
            return False
    return True


def check_folds(arena: Arena) -> bool:
    """MAX, MIN, ARGMAX and FSUM of rows of every length up to 40, torch's fast ones included."""
    x: Any = _vectors("F")[0]
    for width in range(1, 41):
        rows = f32.canonical(x[: x.size // width * width].reshape(-1, width))
        t = torch.from_numpy(rows).to(arena.device)
        for kind in (Fold.MAX, Fold.MIN, Fold.ARGMAX, Fold.FSUM):
            with np.errstate(all="ignore"):
                want = fold_last(kind, rows)
            if not _same(folds.fold(kind, t, 1, fast=True), want):
                return False
    return True


def check_int_mm(arena: Arena, low: int, high: int) -> bool:
    """Whether int8 products are exact when the second operand is within [low, high]: at the
    extremes, where pairs of products would saturate, and on random values."""
    rng = np.random.default_rng(11)
    for m, k, n in ((17, 64, 16), (32, 383, 40), (33, 1024, 64), (64, 96, 8)):
        cases = [(a, b) for a in (-128, 127) for b in (low, high)]
        pairs: list[Any] = [(np.full((m, k), a), np.full((k, n), b)) for a, b in cases]
        pairs.append((rng.integers(-128, 128, (m, k)), rng.integers(low, high + 1, (k, n))))
        for a, b in pairs:
            left = torch.from_numpy(a.astype(np.int8)).to(arena.device)
            right = torch.from_numpy(b.astype(np.int8)).to(arena.device)
            want = a.astype(np.int64) @ b.astype(np.int64)
            if not _same(int_mm(left, right.t().contiguous(), arena), want):
                return False
    return True


def check_f64_matmul(arena: Arena) -> bool:
    """Products of 16-bit values in binary64, whatever the order of its sums."""
    rng = np.random.default_rng(13)
    for m, k, n in ((5, 4096, 3), (33, 65, 17)):
        a = rng.choice([-32768, 32767, -32639, 1, 12345], (m, k))
        b = rng.choice([-32768, 32767, -1, 8127, 31], (n, k))
        left, right = (torch.from_numpy(x).to(arena.device).to(F64) for x in (a, b))
        if not _same((left @ right.t()).to(I64), a.astype(np.int64) @ b.astype(np.int64).T):
            return False
    return True


def check_all(kernels: Kernels, arena: Arena) -> dict[str, str]:
    """Names of what failed, with the reason."""
    failed: dict[str, str] = {}
    for op in FAST:
        if not check_op(op, kernels, arena):
            failed[op.name] = "differs from the specification"
    if not check_conversions(kernels, arena):
        failed["CONVERT"] = "differs from the specification"
    if not check_clamp_float(kernels, arena):
        failed["CLAMP_FLOAT"] = "differs from the specification"
    if not check_folds(arena):
        failed["FOLD"] = "differs from the specification"
    if not check_int_mm(arena, -64, 63):
        failed["INT_MM"] = "inexact even with a second operand within [-64, 63]"
    elif not check_int_mm(arena, -128, 127):
        failed["INT_MM_FULL"] = "inexact with a second operand beyond [-64, 63]"
    if not check_f64_matmul(arena):
        failed["F64_MATMUL"] = "inexact below 2^53"
    return failed


def kernels_for(device: torch.device, pool: Pool) -> Kernels:
    """The kernels of ``device`` after the self-test in every worker of ``pool``."""
    kernels = Kernels()
    failed: dict[str, str] = {}
    for found in pool.everywhere(lambda arena: check_all(kernels, arena)):
        failed.update(found)
    for name, why in failed.items():
        kernels.disable(name, why)
    return kernels
