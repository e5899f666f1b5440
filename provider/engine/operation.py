"""One template, prepared for a device: runs over tiles into a flat output tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from protocol.spec.operations import Scalars
from protocol.spec.types import Kind, Template
from provider.engine import dot, folds
from provider.engine.arena import Arena
from provider.engine.grid import Ranges, tiles
from provider.engine.kernels import F32, I64, Kernels
from provider.engine.lowering import Reg, acc_reg, lower
from provider.engine.pool import Pool
from provider.engine.tile import Geometry, TileFrame, bury, live_terms, store

Tensor = torch.Tensor

TILE = 1 << 18
"""Elements of a CPU tile at most: its registers stay in the last-level cache, and the interpreter
lock changes hands seldom (smaller tiles fit nearer caches, but cost more than they gain)."""

SMALL_TILE = 1 << 15
"""A tile is not made smaller than this only to give every worker one."""

DEVICE_TILE = 1 << 24
"""Elements of a tile on other devices: bounds memory only."""


def _parts(
    ranges: Ranges, acc: Tensor | None, limit: int
) -> Iterator[tuple[Ranges, Tensor | None]]:
    """A box in parts of at most ``limit`` elements, each with its part of ACC: a matrix product
    wants larger tiles than what follows it."""
    sizes = [b - a for a, b in ranges]
    if acc is None or math.prod(sizes) <= limit:
        yield ranges, acc
        return
    for part in tiles(sizes, limit):
        box = tuple((a + x, a + y) for (a, _), (x, y) in zip(ranges, part, strict=True))
        whole = acc.shape == (1,)
        yield box, acc if whole else acc[tuple(slice(x, y) for x, y in part)]


class Operation:
    """Prepared once per template; ``run`` may be called many times."""

    def __init__(
        self, t: Template, kernels: Kernels, device: torch.device, threads: int = 1
    ) -> None:
        self.t = t
        self.kernels = kernels
        self.g = Geometry.of(t, kernels, device)
        if t.kind is Kind.DOT:
            self.g = dot.geometry(self.g)
        self.pre = lower(t, kernels, device, pre=True) if t.kind is Kind.REDUCE else None
        pre = self.pre.out if self.pre else None
        self.acc: Reg | None = None
        if t.kind is not Kind.MAP:
            self.acc = acc_reg(t, pre)
        self.post = lower(t, kernels, device, pre=False, acc=self.acc)
        share = t.terms if t.kind is Kind.REDUCE else 1
        fair = max(SMALL_TILE, -(-t.count * share // threads))
        self.limit = min(TILE, fair) if device.type == "cpu" else DEVICE_TILE
        self.tiles: list[Ranges] = list(tiles(self.g.grid.radices, max(1, self.limit // share)))
        self.dot = dot.DotPlan.of(self.g) if t.kind is Kind.DOT else None
        if self.dot is not None:
            self.tiles = self.dot.tiles

    def prepare(self, operands: Sequence[Tensor], pool: Pool) -> dot.Prepared | None:
        """What a DOT keeps of its second operand, where that is a constant."""
        return self.dot.prepare(operands, pool.arena()) if self.dot is not None else None

    def run(
        self,
        operands: Sequence[Tensor],
        scalars: Scalars,
        out: Tensor,
        pool: Pool,
        prepared: dot.Prepared | None = None,
    ) -> None:
        """Fill the flat ``out``; ``operands`` are flat tensors of the slots' dtypes."""
        live = live_terms(self.g, operands)
        if prepared is None:
            prepared = self.prepare(operands, pool)

        def tile(arena: Arena, ranges: Ranges) -> None:
            acc: Tensor | None = None
            if self.t.kind is not Kind.MAP:
                inner = TileFrame(self.g, operands, scalars, ranges, arena, folding=True)
                acc = self._accumulate(inner, live, prepared)
            for box, part in _parts(ranges, acc, self.limit):
                frame = TileFrame(self.g, operands, scalars, box, arena, acc=part)
                value = self.post.run(frame)
                store(self.g, out, box, bury(frame, value))
                arena.put(value)
            if acc is not None:
                arena.put(acc if acc._base is None else acc._base)

        pool.run(tile, self.tiles)

    def _accumulate(self, frame: TileFrame, live: int, b: dot.Prepared | None) -> Tensor:
        if self.t.kind is not Kind.DOT:
            return self._fold(frame, live)
        assert self.acc is not None
        dtype = self.acc.dtype
        if live == 0:
            return torch.zeros((1,), dtype=dtype, device=self.g.device)
        if self.dot is None or b is None:
            return dot.generic(frame, live, self.kernels).to(dtype)
        return self.dot.tile(frame.operands, b, frame.ranges, live, dtype, frame.arena)

    def _fold(self, frame: TileFrame, live: int) -> Tensor:
        assert self.pre is not None
        assert self.acc is not None
        outer = frame.shape[: len(frame.ranges)]
        is_float = self.pre.out.dtype is F32 and not self.pre.out.held
        if live == 0:
            return folds.empty(self.t.fold, outer, self.acc.dtype, self.g.device)
        value = self.pre.run(frame)
        full = value.expand(frame.shape).reshape(*outer, self.t.terms)
        flat = full[..., :live]
        flat = flat if is_float else flat.to(I64)
        got = folds.fold(self.t.fold, flat, len(outer), fast=self.kernels.fast_folds)
        arena = frame.arena
        if got.untyped_storage().data_ptr() == value.untyped_storage().data_ptr():
            got = got.clone()
        arena.put(value)
        return got
