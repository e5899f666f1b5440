"""DOT: exact integer dot products as matrix products, by int8 limbs where the bounds allow.

The axes of the grid are ordered: those that both operands depend on (a batch), those of the first
alone (rows), those of the second alone (columns).  A *scheme* splits each operand into int8 limbs
and says with which weights the int32 products add up to the exact sum; no partial product is
dropped, and they are combined in int64 or exact binary64, never in f32.  Small products, bounds
that limbs cannot hold, and devices whose int8 kernel failed its self-test use binary64 (every
partial sum stays below 2^53), or int64 where that failed too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import torch

from protocol.spec.constants import BOUND_A_I16, BOUND_B_I16
from protocol.spec.operations import Scalars
from protocol.spec.types import DType, Template
from provider.engine.arena import Arena
from provider.engine.grid import Access, Grid, Ranges, tiles
from provider.engine.kernels import F64, I64, Kernels
from provider.engine.tile import Geometry, TileFrame, elements

Tensor = torch.Tensor
Split = Callable[[Tensor], tuple[Tensor, ...]]

I8 = torch.int8
POINTS = 1 << 17
"""Elements of a tile: int8 products gain up to about 80 rows of 1536 columns."""

CHUNK = 1 << 14
"""Elements of a product that are combined at once, in 64-bit scratch."""

COLUMNS = 4096
"""Columns of a tile at most."""

WORTH = 1 << 20
"""Multiply-adds of one matrix product below which binary64, batched, is faster than limbs."""

MOST_TERMS = 1 << 17
"""Exclusive: terms of int8 products below 2^14 each whose int32 sum cannot overflow."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """sum(a*b) = sum over k of weight_k * (A_k . B_k), for limbs A_k, B_k of int8.

    ``a`` and ``b`` split int16 or int8 matrices [..., K]; ``widen`` is the largest number of limb
    terms per term; ``full`` says that limbs of the second operand leave [-64, 63].
    """

    name: str
    a: Split
    b: Split
    weights: tuple[int, ...]
    widen: int
    full: bool


def _radix(x: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """x = high * 2^bits + low, low in [-2^(bits-1), 2^(bits-1)); int8 both."""
    half = 1 << (bits - 1)
    wide = x if bits == 8 else x.to(torch.int16)
    high = (wide + half) >> bits
    if bits == 8:
        return high.to(I8), x.to(I8)  # the low byte, as a signed one
    return high.to(I8), (wide - (high << bits)).to(I8)


def _a256(x: Tensor) -> tuple[Tensor, ...]:
    high, low = _radix(x, 8)
    return high, low


def _cat_a(x: Tensor) -> tuple[Tensor, ...]:
    high, low = _radix(x, 8)
    return high, torch.cat([high, low], -1), low


def _cat_b(x: Tensor) -> tuple[Tensor, ...]:
    high, low = _radix(x, 7)
    return high, torch.cat([low * 2, high], -1), low


def _karatsuba(x: Tensor) -> tuple[Tensor, ...]:
    high, low = _radix(x, 7)
    return high, high + low, low


def _twice_a(x: Tensor) -> tuple[Tensor, ...]:
    high, low = _radix(x, 8)
    return high, high, low, low


def _twice_b(x: Tensor) -> tuple[Tensor, ...]:
    high, low = _radix(x, 7)
    return high, low, high, low


def _same(x: Tensor) -> tuple[Tensor, ...]:
    return (x,)


def _pair(x: Tensor) -> tuple[Tensor, ...]:
    return x, x


I16_CAT = Scheme("i16", _cat_a, _cat_b, (1 << 15, 1 << 7, 1), 2, full=True)
I16_FOUR = Scheme("i16", _twice_a, _twice_b, (1 << 15, 1 << 8, 1 << 7, 1), 1, full=False)
I14 = Scheme(
    "i14", _karatsuba, _karatsuba, ((1 << 14) - (1 << 7), 1 << 7, 1 - (1 << 7)), 1, full=True
)
I8W = Scheme("i8w", _a256, _pair, (256, 1), 1, full=True)
I8_ONE = Scheme("i8", _same, _same, (1,), 1, full=True)
I8_TWO = Scheme("i8", _pair, lambda x: _radix(x, 7), (128, 1), 1, full=False)


def scheme_of(t: Template, kernels: Kernels) -> Scheme | None:
    """The cheapest scheme whose limbs hold the declared bounds and whose kernel is exact here."""
    narrow, full = kernels.int_mm["narrow"], kernels.int_mm["full"]
    small_a = t.slots[t.views[0].slot].dtype is DType.I8
    small_b = t.slots[t.views[1].slot].dtype is DType.I8
    if not narrow or t.terms == 1 or 2 * t.terms >= MOST_TERMS:
        return None  # of one term, torch's int8 product on CPUs computes anything
    if small_a and not small_b:
        return None
    if small_a:
        return I8_ONE if full else I8_TWO
    if t.bound_a > BOUND_A_I16:
        return None
    if small_b:
        return I8W if full else I16_FOUR
    if t.bound_b > BOUND_B_I16:
        return None
    if full and t.bound_a <= BOUND_B_I16:
        return I14
    return I16_CAT if full else I16_FOUR


def _moves(access: Access, axis: int) -> bool:
    """Whether the view depends on a grid axis."""
    lines = (access.address, *(g.line for g in access.guards))
    return any(line.axes[axis] for line in lines)


def ordered(g: Geometry) -> tuple[Grid, tuple[int, int, int]] | None:
    """The grid with its axes ordered batch, rows, columns, and how many there are of each; None
    where a view is no line on the grid."""
    a, b = g.plain[0], g.plain[1]
    if a is None or b is None:
        return None
    axes = range(len(g.grid.radices))
    both = [k for k in axes if _moves(a, k) and _moves(b, k)]
    rows = [k for k in axes if k not in both and not _moves(b, k)]
    cols = [k for k in axes if k not in both and k not in rows]
    order = both + rows + cols
    grid = Grid(
        tuple(g.grid.radices[k] for k in order),
        tuple(g.grid.weights[k] for k in order),
        g.grid.r,
    )
    return grid, (len(both), len(rows), len(cols))


@dataclass(frozen=True, slots=True)
class Prepared:
    """The second operand of one run: limbs, or binary64, each [batch, columns, K]."""

    planes: tuple[Tensor, ...]

    @property
    def nbytes(self) -> int:
        return sum(p.nbytes for p in self.planes)


@dataclass(slots=True)
class DotPlan:
    """How a DOT template becomes matrix products on a device."""

    g: Geometry
    batch: int
    rows: int
    cols: int
    scheme: Scheme | None

    @classmethod
    def of(cls, g: Geometry) -> DotPlan | None:
        """The plan of a template whose grid is ordered (``geometry``)."""
        found = ordered(g)
        if found is None or found[0] != g.grid:
            return None
        nb, nr, nc = found[1]
        radices = g.grid.radices
        m, n = math.prod(radices[nb : nb + nr]), math.prod(radices[nb + nr :])
        scheme = scheme_of(g.t, g.kernels)
        if m * n * g.t.terms < WORTH:
            scheme = None
        plan = cls(g, nb, nr, nc, scheme)
        if scheme is not None and not plan.holds(m, n):
            g.kernels.disabled.setdefault("INT_MM_SHAPE", f"inexact at {m} x {g.t.terms} x {n}")
            plan.scheme = None
        return plan

    def holds(self, m: int, n: int) -> bool:
        """Whether the int8 product is exact at the extremes on a tile of this very shape."""
        assert self.scheme is not None
        device, low, high = self.g.device, -64, 63
        if self.scheme.full:
            low, high = -128, 127
        n = min(n, COLUMNS)
        m = max(1, min(m, POINTS // n))
        for k in {self.g.t.terms, self.g.t.terms * self.scheme.widen}:
            for a, b in ((-128, low), (127, low), (-128, high), (127, high)):
                left = torch.full((m, k), a, dtype=I8, device=device)
                right = torch.full((n, k), b, dtype=I8, device=device)
                if not bool((int_mm(left, right, Arena(device)) == a * b * k).all()):
                    return False
        return True

    @property
    def tiles(self) -> list[Ranges]:
        """Boxes: one batch element with limbs, as many as fit otherwise."""
        radices, split = self.g.grid.radices, self.batch + self.rows
        columns = list(tiles(radices[split:], COLUMNS))
        width = max(elements(c) for c in columns)
        if self.scheme is None and len(columns) == 1:
            return [(*r, *columns[0]) for r in tiles(radices[:split], max(1, POINTS // width))]
        ones = product(*([(k, k + 1) for k in range(n)] for n in radices[: self.batch]))
        rows = list(tiles(radices[self.batch : split], max(1, POINTS // width)))
        return [(*b, *r, *c) for b in ones for r in rows for c in columns]

    def prepare(self, operands: Sequence[Tensor], arena: Arena) -> Prepared:
        """Limbs (or binary64) of the whole second operand."""
        radices, split = self.g.grid.radices, self.batch + self.rows
        ranges = tuple(
            (0, 1) if self.batch <= k < split else (0, n) for k, n in enumerate(radices)
        )
        b = self._matrix(1, operands, ranges, arena)
        if self.scheme is None:
            return Prepared((b.to(self._wide),))
        return Prepared(tuple(p.contiguous() for p in self.scheme.b(b)))

    @property
    def _wide(self) -> torch.dtype:
        return F64 if self.g.kernels.f64_matmul else I64

    def _matrix(
        self, view: int, operands: Sequence[Tensor], ranges: Ranges, arena: Arena
    ) -> Tensor:
        """View 0 or 1 on a box, as [batch, rows or columns, K]."""
        frame = TileFrame(self.g, operands, Scalars(), ranges, arena, folding=True)
        x = frame.load(view, None)
        sizes = [b - a for a, b in ranges]
        split = self.batch + self.rows
        for k in range(self.batch, split) if view else range(split, len(ranges)):
            sizes[k] = 1
        shape = (math.prod(sizes[: self.batch]), math.prod(sizes[self.batch :]), self.g.t.terms)
        return x.expand(*sizes, *self.g.grid.r).reshape(shape)

    def tile(
        self, operands: Sequence[Tensor], b: Prepared, ranges: Ranges, live: int,
        dtype: torch.dtype, arena: Arena,
    ) -> Tensor:  # fmt: skip
        """Exact sums of one box, as ``dtype`` (int64, or f32 rounded once), shaped like the box."""
        split = self.batch + self.rows
        radices = self.g.grid.radices
        whole: Ranges = (*ranges[:split], *((0, 1) for _ in radices[split:]))
        a = self._matrix(0, operands, whole, arena)
        if live < self.g.t.terms:
            a = a.clone()
            a[..., live:] = 0
        first = _flat(radices[: self.batch], ranges[: self.batch])
        start = _flat(radices[split:], ranges[split:])
        stop = start + elements(ranges[split:])
        planes = [p[first : first + a.shape[0], start:stop] for p in b.planes]
        shape = [y - x for x, y in ranges]
        if self.scheme is None:
            sums = torch.bmm(a.to(self._wide), planes[0].transpose(1, 2)).add_(0)  # -0 is no sum
            return sums.to(dtype).reshape(shape)
        return self._limbs(a[0], [p[0] for p in planes], dtype, arena).reshape(shape)

    def _limbs(
        self, a: Tensor, planes: Sequence[Tensor], dtype: torch.dtype, arena: Arena
    ) -> Tensor:
        """Products of the limbs [m, K] and [n, K], combined."""
        assert self.scheme is not None
        weights = list(self.scheme.weights)
        sums = [int_mm(x, y, arena) for x, y in zip(self.scheme.a(a), planes, strict=True)]
        made = list(sums)
        first, second = weights[:2] if len(weights) > 1 else (1, 0)
        most = (1 << 14) * self.g.t.terms
        factor = first // second if second else 0
        merge = second > 0 and first % second == 0 and most * (factor + 2) < 1 << 31
        out = arena.get(dtype, tuple(sums[0].shape))
        rows = max(1, CHUNK // out.shape[1])
        for start in range(0, out.shape[0], rows):
            parts = [x[start : start + rows] for x in sums]
            if merge:
                parts[:2] = [parts[1].add_(parts[0], alpha=factor)]
                _combine(out[start : start + rows], parts, weights[1:], arena)
            else:
                _combine(out[start : start + rows], parts, weights, arena)
        for x in made:
            arena.put(x)
        return out


def _combine(
    out: Tensor, parts: Sequence[Tensor], weights: Sequence[int], arena: Arena
) -> None:
    """out = sum of weight * part, exact: in f64 (rounded once if ``out`` is f32) or int64.

    Products and sums stay below 2^53, so a fused multiply-add inside torch's add changes nothing.
    """
    wide = I64 if out.dtype is I64 else F64
    shape = tuple(out.shape)
    total = arena.get(wide, shape).copy_(parts[0])
    if weights[0] != 1 and len(parts) == 1:
        total.mul_(weights[0])
    scale = weights[0]
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        term = arena.get(wide, shape).copy_(part)
        if weight != 1:
            term.mul_(weight)
        torch.add(term, total, alpha=scale, out=total)
        scale = 1
        arena.put(term)
    out.copy_(total)
    arena.put(total)


def int_mm(a: Tensor, b: Tensor, arena: Arena) -> Tensor:
    """[m, K] by [n, K], int8, to int32 [m, n].  CUDA wants m > 16 and multiples of 8: padded."""
    m, n, k = a.shape[0], b.shape[0], a.shape[1]
    a, b = _dense(a), _dense(b)
    if a.device.type == "cpu":
        return torch._int_mm(a, b.t(), out=arena.get(torch.int32, (m, n)))
    a = torch.nn.functional.pad(a, (0, -k % 16, 0, max(0, 32 - m)))
    b = torch.nn.functional.pad(b, (0, -k % 16, 0, -n % 16))
    out = torch._int_mm(a, b.t())
    return out[:m, :n].contiguous() if out.shape != (m, n) else out


def _dense(x: Tensor) -> Tensor:
    """A matrix with every row behind the one before.  Of rows that overlap, or are one row, torch's
    int8 product computes anything; so it does of a lone row of stride 0, which ``contiguous``
    leaves as it is and ``view`` does not."""
    return x.contiguous().view(x.shape)


def _flat(radices: Sequence[int], ranges: Ranges) -> int:
    """Flattened index of a box's first point."""
    out = 0
    for n, (a, _) in zip(radices, ranges, strict=True):
        out = out * n + a
    return out


def geometry(g: Geometry) -> Geometry:
    """The geometry of a DOT on its ordered grid."""
    found = ordered(g)
    return g if found is None else g.on(found[0])


def generic(frame: TileFrame, live: int, kernels: Kernels) -> Tensor:
    """Sums of products of one tile, as f64 or int64, for any views: |sum| <= 2^46, so binary64
    holds every partial sum and their order does not matter."""
    a, b = frame.load(0, None), frame.load(1, None)
    dims, r = len(frame.ranges), frame.rs
    terms = frame.g.grid.terms
    wide = F64 if kernels.f64_matmul else I64
    a = a.expand(*a.shape[:dims], *r).reshape(*a.shape[:dims], terms)[..., :live].to(wide)
    b = b.expand(*b.shape[:dims], *r).reshape(*b.shape[:dims], terms)[..., :live].to(wide)
    both = [k for k in range(dims) if a.shape[k] > 1 and b.shape[k] > 1]
    rows = [k for k in range(dims) if k not in both and b.shape[k] == 1]
    cols = [k for k in range(dims) if k not in both and k not in rows]
    order = both + rows + cols
    batch = [a.shape[k] for k in both]
    left = a.permute(*order, dims).reshape(*batch, -1, live)
    right = b.permute(*order, dims).reshape(*batch, -1, live)
    sums = torch.matmul(left, right.transpose(-1, -2)).add_(0)  # -0 is no sum
    shaped = sums.reshape([max(a.shape[k], b.shape[k]) for k in order])
    return shaped.permute([order.index(k) for k in range(dims)])
