"""One tile of an operation: what its code sees (``lowering.Frame``), and how results are stored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from protocol.spec.constants import INDEX_CLAMP
from protocol.spec.legality import final_clamp
from protocol.spec.microcode import Op
from protocol.spec.operations import Scalars, suffix_products
from protocol.spec.types import Digit, Template
from provider.engine.arena import Arena
from provider.engine.grid import Access, Grid, Ranges, access_of, grid_of, views_read
from provider.engine.kernels import I64, Kernels
from provider.engine.lowering import TORCH, literals_of

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Geometry:
    """What all tiles of a template share: its grid and how each view lies on it."""

    t: Template
    grid: Grid
    plain: dict[int, Access | None]
    computed: dict[int, Access | None]
    pads: dict[int, Tensor]
    device: torch.device
    kernels: Kernels

    @classmethod
    def of(cls, t: Template, kernels: Kernels, device: torch.device) -> Geometry:
        """On the template's natural grid."""
        return cls._on(t, grid_of(t), kernels, device)

    def on(self, grid: Grid) -> Geometry:
        """The same on a grid with its axes in another order."""
        return self if grid == self.grid else self._on(self.t, grid, self.kernels, self.device)

    @classmethod
    def _on(cls, t: Template, grid: Grid, kernels: Kernels, device: torch.device) -> Geometry:
        read = sorted(views_read(t))
        plain = {k: access_of(t, grid, t.views[k], computed=False) for k in read}
        computed = {k: access_of(t, grid, t.views[k], computed=True) for k in read}
        pads = {
            k: literals_of([t.views[k].pad], t.slots[t.views[k].slot].dtype, device) for k in read
        }
        return cls(t, grid, plain, computed, pads, device, kernels)

    def live(self, operands: Sequence[Tensor], slot: int) -> int:
        """Element 0 of an i64 operand."""
        return int(operands[slot].reshape(-1)[0])


class TileFrame:
    """The elements of one box of the grid; ``folding`` adds the digits of r as trailing axes.

    Registers broadcast to (axes of the box, digits of r): what does not depend on an axis has
    length 1 along it.  ``operands`` are flat tensors.
    """

    def __init__(
        self,
        g: Geometry,
        operands: Sequence[Tensor],
        scalars: Scalars,
        ranges: Ranges,
        arena: Arena,
        *,
        folding: bool = False,
        acc: Tensor | None = None,
    ) -> None:
        self.g = g
        self.operands = operands
        self.scalars = scalars
        self.ranges = ranges
        self.arena = arena
        self.rs = g.grid.r if folding else ()
        self._acc = acc
        self._dims = len(ranges) + len(self.rs)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*(b - a for a, b in self.ranges), *self.rs)

    # -- coordinates -----------------------------------------------------------------------------

    def _axis(self, axis: int, start: int, stop: int) -> Tensor:
        shape = [1] * self._dims
        shape[axis] = stop - start
        return torch.arange(start, stop, dtype=I64, device=self.g.device).reshape(shape)

    def _zero(self) -> Tensor:
        return torch.zeros((1,) * self._dims, dtype=I64, device=self.g.device)

    def index(self) -> Tensor:
        return self._part(1, self.g.t.count)

    def _part(self, low: int, high: int) -> Tensor:
        """Axes of weight low up to high, as one number."""
        out = self._zero()
        for k, weight in enumerate(self.g.grid.weights):
            if low <= weight < high:
                out = out + self._axis(k, *self.ranges[k]) * (weight // low)
        return out

    def digit(self, radices: Sequence[int], k: int) -> Tensor:
        """Digit k of the flattened output index split by ``radices``."""
        cuts = suffix_products(radices)
        high, low = cuts[k], cuts[k + 1]
        grid = self.g.grid
        edges = {1, grid.count, *grid.weights}
        if high in edges and low in edges:
            return self._part(low, high)
        return (self.index() // low) % radices[k]

    def coord(self, axis: int) -> Tensor:
        return self.digit(self.g.t.shape, axis)

    def rcoord(self, digit: int) -> Tensor:
        return self._axis(len(self.ranges) + digit, 0, self.rs[digit])

    def rindex(self) -> Tensor:
        out = self._zero()
        for k, weight in enumerate(suffix_products(self.rs)[1:]):
            out = out + self.rcoord(k) * weight
        return out

    def scalar(self, op: Op) -> Tensor:
        s = self.scalars
        value = {Op.STEP: s.step, Op.PSTEP: s.phase_step, Op.SEED: s.seed}[op]
        return self._zero().fill_(value)

    def acc(self) -> Tensor:
        assert self._acc is not None, "ACC outside post is illegal"
        return self._acc.view(self._acc.shape)  # a fresh object: the arena takes back no views

    # -- loads -----------------------------------------------------------------------------------

    def load(self, view: int, extra: Tensor | None) -> Tensor:
        """Elements of the operand's dtype: a strided view of it where the access is plain."""
        access = (self.g.plain if extra is None else self.g.computed)[view]
        if access is not None and access.plain:
            return self._strided(access)
        return self._gather(view, access, extra)

    def _strided(self, access: Access) -> Tensor:
        line = access.address
        offset = line.offset
        size: list[int] = []
        for stride, (start, stop) in zip(line.axes, self.ranges, strict=True):
            offset += stride * start
            size.append(stop - start if stride else 1)
        stride_list = list(line.axes)
        if self.rs:
            size += [n if s else 1 for n, s in zip(self.rs, line.r, strict=True)]
            stride_list += line.r
        operand = self.operands[access.slot]
        return operand.as_strided(size, stride_list, operand.storage_offset() + offset)

    def _line(self, offset: int, axes: Sequence[int], r: Sequence[int]) -> Tensor:
        out = self._zero() + offset
        for k, stride in enumerate(axes):
            if stride:
                out = out + self._axis(k, *self.ranges[k]) * stride
        for k, stride in enumerate(r if self.rs else ()):
            if stride:
                out = out + self.rcoord(k) * stride
        return out

    def _digits(self, offset: int, view: int, values: Sequence[int]) -> Tensor:
        """The same sum where the view's digits are no whole axes."""
        v = self.g.t.views[view]
        radices = [d.radix for d in v.digits]
        out = self._zero() + offset
        for k, value in enumerate(values):
            if value and k < len(radices):
                out = out + self.digit(radices, k) * value
            elif value and self.rs:
                out = out + self.rcoord(k - len(radices)) * value
        return out

    def _gather(self, view: int, access: Access | None, extra: Tensor | None) -> Tensor:
        v = self.g.t.views[view]
        every: tuple[Digit, ...] = (*v.digits, *v.rdigits)
        flat = self.operands[v.slot]
        if access is None:
            address = self._digits(v.offset, view, [d.stride for d in every])
        else:
            line = access.address
            address = self._line(line.offset, line.axes, line.r)
        if extra is not None:
            address = address + extra.clamp(-INDEX_CLAMP, INDEX_CLAMP)
        valid = (address >= 0) & (address < flat.numel())
        if access is None:
            columns = ([d.g0 for d in every], [d.g1 for d in every])
            for guard, values in zip(v.guards, columns, strict=False):
                at = self._digits(guard.offset, view, values)
                valid = valid & (at >= 0) & (at < self._limit(guard.bound, guard.live))
        else:
            for bound in access.guards:
                at = self._line(bound.line.offset, bound.line.axes, bound.line.r)
                valid = valid & (at >= 0) & (at < self._limit(bound.bound, bound.live))
        safe = torch.where(valid, address, 0)
        got = flat.take(safe)
        return torch.where(valid, got, self.g.pads[view])

    def _limit(self, bound: int, live: int | None) -> int:
        return bound if live is None else min(bound, self.g.live(self.operands, live))


def store(g: Geometry, out: Tensor, ranges: Ranges, value: Tensor) -> None:
    """Write a register to its tile of the flat output: low bits of integers, canonical NaN."""
    tile = output_tile(g, out, ranges)
    tile.copy_(narrowable(g.t, value))
    if g.t.dtype.is_float:
        g.kernels.canonical(tile)


def narrowable(t: Template, value: Tensor) -> Tensor:
    """``value``, ready to lose its high bits.

    Integers may be held as f32, exactly; a conversion of a float to i16 or i8 is undefined beyond
    their range, so it goes through int32 unless the code ends in a clamp within it.
    """
    if t.dtype.is_float or not value.is_floating_point():
        return value
    bound = final_clamp(t)
    return value if bound is not None and bound <= t.dtype.max else value.to(torch.int32)


def output_tile(g: Geometry, out: Tensor, ranges: Ranges) -> Tensor:
    """The box of the flat output as a tensor of the box's shape."""
    offset = sum(w * a for w, (a, _) in zip(g.grid.weights, ranges, strict=True))
    size = [b - a for a, b in ranges]
    return out.as_strided(size, g.grid.weights, out.storage_offset() + offset)


def live_terms(g: Geometry, operands: Sequence[Tensor]) -> int:
    """Positions of r that take part."""
    t = g.t
    if t.live_r is None:
        return t.terms
    return min(t.terms, max(0, g.live(operands, t.live_r)))


def bury(frame: TileFrame, value: Tensor) -> Tensor:
    """``value`` in the output's dtype, with the template's ``dead`` beyond ``live_out``."""
    t = frame.g.t
    if t.live_out is None:
        return value
    slot, axis = t.live_out
    alive = frame.coord(axis) < frame.g.live(frame.operands, slot)
    dead = literals_of([t.dead], t.dtype, frame.g.device)
    return torch.where(alive, narrowable(t, value).to(TORCH[t.dtype]), dead)


def elements(ranges: Ranges) -> int:
    """Points of a box."""
    return math.prod(b - a for a, b in ranges)
