"""What one operation means.

``element`` is the definition: one output element of one operation, folds in Python, sums in
unbounded integers.  ``evaluate`` computes a whole tensor with NumPy and is tested against it.

Elements are computed on a grid whose axes are the digits of the flattened output index (and, while
folding, of the reduction index).  A register is an array that broadcasts to the grid: what does
not depend on a digit has length 1 along it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from protocol.spec import f32
from protocol.spec.errors import LimitExceeded
from protocol.spec.f32 import I
from protocol.spec.microcode import Op, Register, as_f, as_i, as_register
from protocol.spec.microcode import run as run_code
from protocol.spec.types import (
    Array,
    Digit,
    DType,
    Fold,
    Kind,
    Template,
    View,
)

GRID_LIMIT = 1 << 21
"""Grid points evaluated at once: bounds memory, cannot change a bit."""


@dataclass(frozen=True, slots=True)
class Scalars:
    """Program scalars of one step: its number in the job and in its phase, and the seed (i64)."""

    step: int = 0
    phase_step: int = 0
    seed: int = 0


def to_register(dtype: DType, raw: Array) -> Register:
    """Elements as a load yields them: canonical f32, or sign-extended int64."""
    return f32.canonical(raw.astype(np.float32)) if dtype.is_float else raw.astype(np.int64)


def literal(dtype: DType, value: int) -> Register:
    """A pad or dead value as a register of one element: raw bits for f32, else the integer."""
    if dtype.is_float:
        return f32.from_bits(np.array([value], np.int64))
    return np.array([value], np.int64)


def store(dtype: DType, reg: Register) -> Array:
    """A register as elements of ``dtype``: integers keep their low bits."""
    return reg.astype(dtype.numpy)


def suffix_products(radices: Sequence[int]) -> list[int]:
    """Weight of each digit (last fastest), after the whole product."""
    out = [1]
    for radix in reversed(radices):
        out.append(out[-1] * radix)
    return out[::-1]


def common_grid(lists: Sequence[Sequence[int]]) -> tuple[int, ...] | None:
    """Radices that refine every list of radices of the same product; None if there are none."""
    cuts = sorted({c for radices in lists for c in suffix_products(radices)})
    ratios = [(high // low, high % low) for low, high in zip(cuts, cuts[1:], strict=False)]
    if any(rest for _, rest in ratios):
        return None
    return tuple(q for q, _ in reversed(ratios))


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the grid of output digits: radices, and the range taken of each."""

    radices: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]

    @property
    def slices(self) -> tuple[slice, ...]:
        return tuple(slice(*span) for span in self.ranges)


def boxes(radices: tuple[int, ...], limit: int) -> Iterator[Box]:
    """Cover the grid with boxes of at most ``limit`` points (or one, if limit is smaller)."""
    inner = 1
    axis = len(radices)
    while axis > 0 and inner * radices[axis - 1] <= limit:
        axis -= 1
        inner *= radices[axis]
    if axis == 0:
        yield Box(radices, tuple((0, n) for n in radices))
        return
    axis -= 1
    step = max(1, limit // inner)
    tail = tuple((0, n) for n in radices[axis + 1 :])
    for head in product(*(range(n) for n in radices[:axis])):
        fixed = tuple((k, k + 1) for k in head)
        for start in range(0, radices[axis], step):
            yield Box(radices, (*fixed, (start, min(start + step, radices[axis])), *tail))


class Frame:
    """The elements of one box: implements ``microcode.Context``.

    ``folding`` adds the digits of r as trailing axes.
    """

    def __init__(
        self,
        t: Template,
        operands: Sequence[Array],
        scalars: Scalars,
        box: Box,
        *,
        folding: bool = False,
        acc: Register | None = None,
    ) -> None:
        self.t = t
        self.operands = operands
        self.scalars = scalars
        self.box = box
        self.rs = t.r if folding else ()
        self._acc = acc
        self._dims = len(box.radices) + len(self.rs)
        self._weights = suffix_products(box.radices)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*(b - a for a, b in self.box.ranges), *self.rs)

    def _axis(self, axis: int, start: int, stop: int) -> I:
        shape = [1] * self._dims
        shape[axis] = stop - start
        return np.arange(start, stop, dtype=np.int64).reshape(shape)

    def _zero(self) -> I:
        return np.zeros((1,) * self._dims, np.int64)

    def index(self) -> I:
        return self._part(1, math.prod(self.box.radices))

    def _part(self, low: int, high: int) -> I:
        """Digits of weight low up to high of the flattened index, as one number."""
        out = self._zero()
        for k, weight in enumerate(self._weights[1:]):
            if low <= weight < high:
                out = out + self._axis(k, *self.box.ranges[k]) * (weight // low)
        return out

    def digit(self, radices: Sequence[int], k: int) -> I:
        """Digit k of the flattened output index split by ``radices``."""
        cuts = suffix_products(radices)
        high, low = cuts[k], cuts[k + 1]
        if high in self._weights and low in self._weights:
            return self._part(low, high)
        return (self.index() // low) % radices[k]

    def coord(self, axis: int) -> I:
        return self.digit(self.t.shape, axis)

    def rcoord(self, digit: int) -> I:
        return self._axis(len(self.box.radices) + digit, 0, self.rs[digit])

    def rindex(self) -> I:
        out = self._zero()
        for k, weight in enumerate(suffix_products(self.rs)[1:]):
            out = out + self.rcoord(k) * weight
        return out

    def scalar(self, op: Op) -> I:
        s = self.scalars
        value = {Op.STEP: s.step, Op.PSTEP: s.phase_step, Op.SEED: s.seed}[op]
        return self._zero() + np.int64(value)

    def acc(self) -> Register:
        assert self._acc is not None, "ACC outside post is illegal"
        return self._acc

    def live(self, slot: int) -> int:
        """Element 0 of an i64 operand."""
        return int(self.operands[slot].reshape(-1)[0])

    def _affine(self, view: View, pick: Callable[[Digit], int], offset: int) -> I:
        """offset + sum(pick(digit) * digit), only along the axes that matter."""
        radices = [d.radix for d in view.digits]
        out = self._zero() + np.int64(offset)
        for k, d in enumerate(view.digits):
            if pick(d):
                out = out + self.digit(radices, k) * np.int64(pick(d))
        for k, d in enumerate(view.rdigits if self.rs else ()):
            if pick(d):
                out = out + self.rcoord(k) * np.int64(pick(d))
        return out

    def load(self, view: int, extra: I | None) -> Register:
        v = self.t.views[view]
        slot = self.t.slots[v.slot]
        address = self._affine(v, lambda d: d.stride, v.offset)
        if extra is not None:
            address = address + extra
        valid = (address >= 0) & (address < slot.count)
        for g, pick in zip(v.guards, (lambda d: d.g0, lambda d: d.g1), strict=False):
            bound = g.bound if g.live is None else min(g.bound, self.live(g.live))
            at = self._affine(v, pick, g.offset)
            valid = valid & (at >= 0) & (at < bound)
        flat = self.operands[v.slot].reshape(-1)
        if valid.all():
            return to_register(slot.dtype, flat[address])
        # Nothing is read where the pad is: a proof brings what is read.
        out = np.full(valid.shape, literal(slot.dtype, v.pad))
        out[valid] = to_register(slot.dtype, flat[np.broadcast_to(address, valid.shape)[valid]])
        return out


# --- folds --------------------------------------------------------------------------------------


def neutral(fold: Fold, like: Register) -> Register:
    """Value of a position that does not take part, of the register type of ``like``."""
    is_float = like.dtype == np.float32
    if fold in (Fold.FSUM, Fold.ISUM):
        bits = 0x80000000 if is_float else 0
    elif fold is Fold.MIN:
        bits = 0x7F800000 if is_float else f32.INT64_MAX
    else:
        bits = 0xFF800000 if is_float else f32.INT64_MIN
    return literal(DType.F32 if is_float else DType.I64, bits)


def order_key(x: Register) -> I:
    """Integers ordered as max, min and argmax order the values."""
    return f32.key(as_f(x)) if x.dtype == np.float32 else as_i(x)


def fold_last(fold: Fold, x: Register) -> Register:
    """Fold the last axis of ``x`` (at least one long), with NumPy."""
    if fold is Fold.FSUM:
        return f32.tree_sum(as_f(x))
    if fold is Fold.ISUM:
        with np.errstate(over="ignore"):
            return as_i(np.sum(x, axis=-1, dtype=np.int64))
    order = order_key(x)
    if fold is Fold.MIN:
        order = np.where(np.isnan(x), np.int64(f32.INT64_MIN), order)
        return _take(x, order.argmin(axis=-1))
    best = order.argmax(axis=-1)
    if fold is Fold.ARGMAX:
        return as_i(np.asarray(best, np.int64))
    return _take(x, best)


def _take(x: Register, at: I) -> Register:
    """Element ``at`` of the last axis."""
    got: Array = np.take_along_axis(x, at[..., None], -1)[..., 0]
    return as_register(got)


def fold_list(fold: Fold, values: list[Register]) -> Register:
    """The same fold over a Python list of one-element registers: the definition."""
    if fold is Fold.FSUM:
        level = [as_f(v) for v in values]
        while len(level) > 1:
            pairs = [f32.add(a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
            level = pairs + level[len(pairs) * 2 :]
        return f32.add(level[0], np.zeros(1, np.float32))
    if fold is Fold.ISUM:
        total = sum(int(v[0]) for v in values)
        return np.array([(total + (1 << 63)) % (1 << 64) - (1 << 63)], np.int64)
    keys = [int(order_key(v)[0]) for v in values]
    if fold is Fold.MIN:
        nan = [k for k, v in enumerate(values) if v.dtype == np.float32 and np.isnan(v[0])]
        return values[nan[0] if nan else keys.index(min(keys))]
    best = keys.index(max(keys)) if keys else 0
    if fold is Fold.ARGMAX:
        return np.array([best], np.int64)
    return values[best]


# --- one operation ------------------------------------------------------------------------------


def _live_terms(t: Template, frame: Frame) -> int:
    """Positions of r that take part."""
    return t.terms if t.live_r is None else min(t.terms, max(0, frame.live(t.live_r)))


def _reduce(t: Template, frame: Frame) -> Register:
    value = run_code(t.pre, frame)
    full = np.broadcast_to(value, frame.shape)
    flat = as_register(full.reshape(*frame.shape[: len(frame.box.radices)], t.terms))
    live = _live_terms(t, frame)
    if live == 0 and t.fold is Fold.ARGMAX:
        return np.zeros(flat.shape[:-1], np.int64)
    if live < t.terms:
        flat = as_register(np.where(np.arange(t.terms) < live, flat, neutral(t.fold, value)))
    return fold_last(t.fold, flat)


def _dot(t: Template, frame: Frame) -> I:
    """Sums of products, exact: |sum| <= 2^30 * 2^16 < 2^53, so binary64 holds every partial sum
    and their order does not matter.  An axis of the grid that only one operand depends on is a row
    or a column of a matrix product; an axis of both is a batch."""
    a, b = frame.load(0, None), frame.load(1, None)
    live = _live_terms(t, frame)
    if live < t.terms:
        a = np.where(frame.rindex() < live, a, 0)
    dims = len(frame.box.radices)
    a = as_i(np.broadcast_to(a, (*a.shape[:dims], *t.r)).reshape(*a.shape[:dims], t.terms))
    b = as_i(np.broadcast_to(b, (*b.shape[:dims], *t.r)).reshape(*b.shape[:dims], t.terms))
    both = [k for k in range(dims) if a.shape[k] > 1 and b.shape[k] > 1]
    rows = [k for k in range(dims) if k not in both and b.shape[k] == 1]
    cols = [k for k in range(dims) if k not in both and k not in rows]
    left = a.transpose(*both, *rows, *cols, dims).reshape(*_lengths(a, both), -1, t.terms)
    right = b.transpose(*both, *rows, *cols, dims).reshape(*_lengths(b, both), -1, t.terms)
    sums = np.matmul(left.astype(np.float64), right.astype(np.float64).swapaxes(-1, -2))
    order = both + rows + cols
    shaped = sums.reshape([max(a.shape[k], b.shape[k]) for k in order])
    return as_i(shaped.transpose([order.index(k) for k in range(dims)]).astype(np.int64))


def _lengths(x: Register, axes: list[int]) -> list[int]:
    return [x.shape[k] for k in axes]


def grid_of(t: Template) -> tuple[int, ...]:
    """Radices of a grid on which every view and coordinate of ``t`` is a whole number of axes."""
    lists = [list(t.shape), *([d.radix for d in v.digits] for v in t.views)]
    return common_grid(lists) or (t.count,)


@np.errstate(all="ignore")
def evaluate(t: Template, operands: Sequence[Array], scalars: Scalars) -> Array:
    """The whole result of one operation: an array of the template's dtype and shape.

    ``operands`` match the template's slots in dtype and element count (any shape).
    """
    grid = grid_of(t)
    out = np.empty(grid, t.dtype.numpy)
    limit = max(1, GRID_LIMIT // (t.terms if t.kind is Kind.REDUCE else 1))
    for box in boxes(grid, limit):
        acc: Register | None = None
        if t.kind is not Kind.MAP:
            inner = Frame(t, operands, scalars, box, folding=True)
            acc = _reduce(t, inner) if t.kind is Kind.REDUCE else _dot(t, inner)
        frame = Frame(t, operands, scalars, box, acc=acc)
        value = store(t.dtype, run_code(t.post, frame))
        if t.live_out is not None:
            slot, axis = t.live_out
            dead = store(t.dtype, literal(t.dtype, t.dead))
            value = np.where(frame.coord(axis) < frame.live(slot), value, dead)
        out[box.slices] = value
    return out.reshape(t.shape)


@np.errstate(all="ignore")
def element(t: Template, operands: Sequence[Array], scalars: Scalars, i: int) -> Array:
    """Element i (flattened) of an operation, by the definition: an array of one element."""
    if not 0 <= i < t.count:
        raise LimitExceeded(f"element {i} is outside an output of {t.count} elements")
    box = Box((t.count,), ((i, i + 1),))
    frame = Frame(t, operands, scalars, box)
    if t.live_out is not None and int(frame.coord(t.live_out[1])[0]) >= frame.live(t.live_out[0]):
        return store(t.dtype, literal(t.dtype, t.dead))
    if t.kind is Kind.MAP:
        return store(t.dtype, run_code(t.post, frame).reshape(1))
    inner = Frame(t, operands, scalars, box, folding=True)
    live = _live_terms(t, inner)
    acc: Register
    if t.kind is Kind.DOT:
        pair = [np.broadcast_to(inner.load(k, None), inner.shape).reshape(-1) for k in (0, 1)]
        terms = zip(pair[0][:live], pair[1][:live], strict=True)
        acc = np.array([sum(int(x) * int(y) for x, y in terms)], np.int64)
    else:
        value = as_register(np.broadcast_to(run_code(t.pre, inner), inner.shape).reshape(-1))
        listed = [value[k : k + 1] for k in range(live)]
        empty: list[Register] = [] if t.fold is Fold.ARGMAX else [neutral(t.fold, value)]
        acc = fold_list(t.fold, listed or empty)
    frame = Frame(t, operands, scalars, box, acc=acc)
    return store(t.dtype, run_code(t.post, frame).reshape(1))
