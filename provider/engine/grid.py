"""Affine geometry of a template: the grid of its output, and its views as strides on that grid.

A grid axis is a digit of the flattened output index; its weight is what one step along it adds to
that index.  Where every view that is read splits the index at the same places, a view is one stride
per axis (``Affine``); where they do not, the grid is the flat index and digits are divided out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from protocol.spec.microcode import Op
from protocol.spec.operations import common_grid, suffix_products
from protocol.spec.types import Digit, Kind, Template, View


@dataclass(frozen=True, slots=True)
class Grid:
    """Axes of the output (major to minor): radices, weights; and the digits of r."""

    radices: tuple[int, ...]
    weights: tuple[int, ...]
    r: tuple[int, ...]

    @property
    def count(self) -> int:
        return math.prod(self.radices)

    @property
    def terms(self) -> int:
        return math.prod(self.r)


@dataclass(frozen=True, slots=True)
class Line:
    """offset + sum(stride * position) over grid axes and digits of r."""

    offset: int
    axes: tuple[int, ...]
    r: tuple[int, ...]

    def span(self, grid: Grid) -> tuple[int, int]:
        """Lowest and highest value on the whole grid."""
        pairs = zip((*self.axes, *self.r), (*grid.radices, *grid.r), strict=True)
        spans = [s * (n - 1) for s, n in pairs]
        return self.offset + sum(min(s, 0) for s in spans), self.offset + sum(
            max(s, 0) for s in spans
        )


@dataclass(frozen=True, slots=True)
class Bound:
    """A guard that can fail: 0 <= line < min(bound, live)."""

    line: Line
    bound: int
    live: int | None


@dataclass(frozen=True, slots=True)
class Access:
    """How a view reads its operand: address, the guards that can fail, whether the address can
    leave the operand."""

    slot: int
    address: Line
    guards: tuple[Bound, ...]
    escapes: bool
    pad: int

    @property
    def plain(self) -> bool:
        """Whether the view is a strided tensor (torch has no negative strides)."""
        strides = (*self.address.axes, *self.address.r)
        return not self.guards and not self.escapes and min(strides, default=0) >= 0


def views_read(t: Template) -> set[int]:
    """Numbers of the views that the template reads."""
    loads = {ins.a for ins in (*t.pre, *t.post) if ins.op in (Op.LOAD, Op.LOADX)}
    return loads | ({0, 1} if t.kind is Kind.DOT else set())


def _reads_coordinates(t: Template) -> bool:
    return t.live_out is not None or any(ins.op == Op.COORD for ins in (*t.pre, *t.post))


def grid_of(t: Template) -> Grid:
    """The coarsest grid that what the template reads refines to (the flat index if none)."""
    lists: list[list[int]] = [[t.count]]
    lists += [[d.radix for d in t.views[k].digits] for k in sorted(views_read(t))]
    if _reads_coordinates(t):
        lists.append(list(t.shape))
    radices = common_grid(lists) or (t.count,)
    kept = [(n, w) for n, w in zip(radices, suffix_products(radices)[1:], strict=True) if n > 1]
    kept = kept or [(1, 1)]
    return Grid(tuple(n for n, _ in kept), tuple(w for _, w in kept), t.r)


def digits_fit(grid: Grid, radices: Sequence[int]) -> bool:
    """Whether every digit of the split is a whole number of grid axes."""
    cuts = {w for n, w in zip(grid.radices, grid.weights, strict=True)}
    cuts |= {w * n for n, w in zip(grid.radices, grid.weights, strict=True)}
    return all(c in cuts for c in _inner_cuts(radices)) or grid.count == 1


def _inner_cuts(radices: Sequence[int]) -> list[int]:
    """Weights strictly inside the split where a digit longer than 1 starts."""
    cuts = suffix_products(radices)
    return sorted({c for c in cuts if 1 < c < cuts[0]})


def axis_factors(grid: Grid, radices: Sequence[int], values: Sequence[int]) -> tuple[int, ...]:
    """Per grid axis: value of the digit that holds it, times the axis's weight in the digit."""
    cuts = suffix_products(radices)
    out = []
    for weight in grid.weights:
        k = next(k for k in range(len(radices)) if cuts[k + 1] <= weight < cuts[k])
        out.append(values[k] * (weight // cuts[k + 1]))
    return tuple(out)


def line_of(grid: Grid, offset: int, digits: Sequence[Digit], rdigits: Sequence[Digit],
            values: Sequence[int]) -> Line:
    """The line of one value per digit (those of i, then those of r)."""
    radices = [d.radix for d in digits]
    n = len(digits)
    if grid.count == 1:
        return Line(offset, (0,) * len(grid.radices), tuple(values[n:]))
    return Line(offset, axis_factors(grid, radices, values[:n]), tuple(values[n:]))


def access_of(t: Template, grid: Grid, view: View, *, computed: bool) -> Access | None:
    """The view on the grid; None if its digits are no whole axes. Guards that hold everywhere are
    dropped; ``computed`` says that an index is added to the address."""
    if not digits_fit(grid, [d.radix for d in view.digits]):
        return None
    every = (*view.digits, *view.rdigits)
    address = line_of(grid, view.offset, view.digits, view.rdigits, [d.stride for d in every])
    low, high = address.span(grid)
    escapes = computed or low < 0 or high >= t.slots[view.slot].count
    guards = []
    weights = ([d.g0 for d in every], [d.g1 for d in every])
    for g, values in zip(view.guards, weights, strict=False):
        line = line_of(grid, g.offset, view.digits, view.rdigits, values)
        low, high = line.span(grid)
        if g.live is not None or low < 0 or high >= g.bound:
            guards.append(Bound(line, g.bound, g.live))
    return Access(view.slot, address, tuple(guards), escapes, view.pad)


Ranges = tuple[tuple[int, int], ...]


def tiles(radices: Sequence[int], limit: int) -> Iterator[Ranges]:
    """Boxes of at most ``limit`` points (or one) that cover the grid, in order."""
    inner = 1
    axis = len(radices)
    while axis > 0 and inner * radices[axis - 1] <= limit:
        axis -= 1
        inner *= radices[axis]
    if axis == 0:
        yield tuple((0, n) for n in radices)
        return
    axis -= 1
    parts = -(-radices[axis] // max(1, limit // inner))
    step = -(-radices[axis] // parts)
    tail = tuple((0, n) for n in radices[axis + 1 :])
    for head in product(*(range(n) for n in radices[:axis])):
        fixed = tuple((k, k + 1) for k in head)
        for start in range(0, radices[axis], step):
            yield (*fixed, (start, min(start + step, radices[axis])), *tail)
