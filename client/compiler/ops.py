"""Tensor operations on expressions, without PyTorch: elementwise, folds, norms, products.

Elementwise functions want operands of the element type that they compute in (``cast``); shapes
broadcast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from client.compiler import forms
from client.compiler.errors import CompileError
from client.compiler.forms import NotAffine, Term
from client.compiler.graph import Element, Expand, Expr, Graph, Map, Permute, Reshape, Slice
from client.compiler.scalars import number, scalar
from protocol.spec.constants import BOUND_A_I16, BOUND_B_I16, BOUND_I8
from protocol.spec.types import Fold

CHUNK = 8_192
"""Terms of a DOT; a longer contraction is summed from parts of this length, with the same bits.
Both operands of one element are then 32 KiB of proof."""

MANY = 1 << 40
"""Stands for the length of an axis that happens to have one element."""

F32, I64, BOOL = Element.F32, Element.I64, Element.BOOL


@dataclass(frozen=True, slots=True)
class Precision:
    """Largest magnitudes of quantised values: first operand, second operand, weights."""

    first: int
    second: int
    weight: int

    @staticmethod
    def stored(bound: int) -> Element:
        """The element type that holds +-bound."""
        return Element.I8 if bound <= BOUND_I8 else Element.I16


PRECISIONS = {
    "i16": Precision(BOUND_A_I16, BOUND_B_I16, BOUND_B_I16),
    "i14": Precision(BOUND_B_I16, BOUND_B_I16, BOUND_B_I16),
    "i8w": Precision(BOUND_A_I16, BOUND_B_I16, BOUND_I8),
    "i8": Precision(BOUND_I8, BOUND_I8, BOUND_I8),
}
"""By name. In ``i8w`` only weights have 8 bits: keys and values are activations."""


def broadcast(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The common shape; CompileError if there is none."""
    try:
        return np.broadcast_shapes(*map(tuple, shapes))
    except ValueError:
        raise CompileError(f"shapes {[tuple(s) for s in shapes]} do not broadcast") from None


class Ops:
    """Operations that make expressions of ``graph``."""

    def __init__(self, graph: Graph, precision: Precision) -> None:
        self.g, self.precision = graph, precision

    # -- elementwise -----------------------------------------------------------------------------

    def literal(self, value: float | int | bool, element: Element) -> Expr:
        """A 0-d tensor that holds a number."""
        return self.g.map(number(value, element), element, [], ())

    def full(self, shape: Sequence[int], value: float | int | bool, element: Element) -> Expr:
        return self.g.expand(self.literal(value, element), shape)

    def apply(
        self, name: str, *args: Expr, to: Element | None = None, params: Sequence[int | str] = ()
    ) -> Expr:
        """Function ``name`` of ``scalars.EMIT``; the result has element ``to`` or that of the
        last argument."""
        shape = broadcast(*(a.shape for a in args))
        return self.g.map(scalar(name, *params), to or args[-1].element, args, shape)

    def cast(self, x: Expr, element: Element) -> Expr:
        if x.element is element:
            return x
        if isinstance(x, Expand):
            return self.g.expand(self.cast(x.args[0], element), x.shape)
        return self.apply("cast", x, to=element, params=(x.element.value, element.value))

    def binary(self, name: str, a: Expr, b: Expr) -> Expr:
        """add, sub, mul on operands of one element type."""
        if a.element.is_float:
            return self.apply(name, a, b)
        return self.apply("i" + name, a, b, params=(a.element.value,))

    def add(self, a: Expr, b: Expr) -> Expr:
        return self.binary("add", a, b)

    def mul(self, a: Expr, b: Expr) -> Expr:
        return self.binary("mul", a, b)

    def compare(self, name: str, a: Expr, b: Expr) -> Expr:
        """eq, lt or le: a bool."""
        return self.apply(("f" if a.element.is_float else "i") + name, a, b, to=BOOL)

    def select(self, condition: Expr, a: Expr, b: Expr) -> Expr:
        return self.apply("select", condition, a, b)

    # -- views -----------------------------------------------------------------------------------

    def unsqueeze(self, x: Expr, axis: int) -> Expr:
        axis %= x.rank + 1
        return self.g.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))

    def transpose(self, x: Expr, a: int = -2, b: int = -1) -> Expr:
        order = list(range(x.rank))
        order[a], order[b] = order[b], order[a]
        return self.g.permute(x, order)

    def narrow(self, x: Expr, axis: int, start: int, length: int, step: int = 1) -> Expr:
        """Elements start, start + step, ... along ``axis``; may leave the tensor."""
        axis %= x.rank
        starts = [start if k == axis else 0 for k in range(x.rank)]
        steps = [step if k == axis else 1 for k in range(x.rank)]
        shape = [length if k == axis else n for k, n in enumerate(x.shape)]
        return self.g.slice(x, starts, steps, shape)

    def concatenate(self, parts: Sequence[Expr], axis: int) -> Expr:
        """Parts along ``axis``: a selection by coordinate."""
        axis %= parts[0].rank
        length = sum(p.shape[axis] for p in parts)
        shape = [length if k == axis else n for k, n in enumerate(parts[0].shape)]
        at = self.g.coordinate(shape, axis)
        end = length - parts[-1].shape[axis]
        out = self.narrow(parts[-1], axis, -end, length)
        for p in reversed(parts[:-1]):
            start = end - p.shape[axis]
            here = self.compare("lt", at, self.literal(end, I64))
            out = self.select(here, self.narrow(p, axis, -start, length), out)
            end = start
        return out

    def pad(self, x: Expr, before: Sequence[int], after: Sequence[int], fill: Expr) -> Expr:
        """``fill`` around ``x``; negative widths cut."""
        shape = [b + n + a for b, n, a in zip(before, x.shape, after, strict=True)]
        out = self.g.slice(x, [-b for b in before], [1] * x.rank, shape)
        for axis, (b, a) in enumerate(zip(before, after, strict=True)):
            at = self.g.coordinate(shape, axis)
            if b > 0:
                out = self.select(self.compare("lt", at, self.literal(b, I64)), fill, out)
            if a > 0:
                end = self.literal(shape[axis] - a, I64)
                out = self.select(self.compare("lt", at, end), out, fill)
        return out

    # -- folds -----------------------------------------------------------------------------------

    def reduce(self, fold: Fold, x: Expr, axes: Sequence[int], *, keep: bool = False) -> Expr:
        """Fold ``axes`` (all, if none are given), in their order, the last fastest."""
        axes = sorted({a % x.rank for a in axes}) if x.rank else []
        if not axes:
            axes = list(range(x.rank))
        if not axes:
            x, axes = self.g.reshape(x, (1,)), [0]
            return self.g.reduce(fold, x, 1)
        rest = [k for k in range(x.rank) if k not in axes]
        out = self.g.reduce(fold, self.g.permute(x, [*rest, *axes]), len(axes))
        if keep:
            out = self.g.reshape(out, [1 if k in axes else n for k, n in enumerate(x.shape)])
        return out

    def mean(self, x: Expr, axes: Sequence[int], *, keep: bool = False) -> Expr:
        total = self.reduce(Fold.FSUM, x, axes, keep=keep)
        return self.apply("div", total, self.literal(x.count // total.count, F32))

    def softmax(self, x: Expr, axis: int, *, safe: bool = False, log: bool = False) -> Expr:
        """e^(x - max) over its sum; ``safe``: a row of -inf gives zeros instead of NaN."""
        top = self.reduce(Fold.MAX, x, [axis], keep=True)
        lower = self.binary("sub", x, top)
        e = self.apply("exp_nonpositive", lower)
        total = self.reduce(Fold.FSUM, e, [axis], keep=True)
        if log:
            return self.binary("sub", lower, self.apply("log", total))
        out = self.apply("div", e, total)
        if not safe:
            return out
        empty = self.compare("eq", top, self.literal(-math.inf, F32))
        return self.select(empty, self.literal(0.0, F32), out)

    def normalise(self, x: Expr, axes: Sequence[int], eps: float) -> tuple[Expr, Expr, Expr]:
        """(x - mean) / sqrt(variance + eps) over ``axes``; the mean; 1 / sqrt(...)."""
        mean = self.mean(x, axes, keep=True)
        centred = self.binary("sub", x, mean)
        variance = self.mean(self.mul(centred, centred), axes, keep=True)
        inverse = self.apply("rsqrt", self.add(variance, self.literal(eps, F32)))
        return self.mul(centred, inverse), mean, inverse

    # -- products ----------------------------------------------------------------------------------

    def product(self, a: Expr, b: Expr) -> Expr:
        """Sum over the last axes: a [.., M, K], b [.., N, K] (f32) to [.., M, N], by exact
        integers.

        The first operand has a scale a row.  So has the second if its rows lie along memory (a
        weight, keys); else (values) it has one a position, which the first operand takes before it
        is quantised, so that nothing of a position with weight zero enters.
        """
        if a.constant and not b.constant:
            return self.transpose(self.product(b, a))
        a, b = self._padded(a), self._padded(b)
        if b.constant:
            q, inverse = self.rows(b, self.precision.weight)
            bound = self.precision.weight
        else:
            bound = self.precision.second
            if _rows_contiguous(b):
                q, inverse = self.rows(b, bound)
            else:
                q, along = self._columns(b, bound)
                a, inverse = self.mul(a, self.unsqueeze(along, -2)), None
        first, scale = self.rows(a, self.precision.first)
        acc = self._dot(first, q, (self.precision.first, bound))
        out = self.mul(self.apply("to_f32", acc, to=F32), self.unsqueeze(scale, -1))
        return out if inverse is None else self.mul(out, self.unsqueeze(inverse, -2))

    def rows(self, x: Expr, bound: int) -> tuple[Expr, Expr]:
        """Quantised along the last axis, in memory in this order; the inverse scales."""
        if isinstance(x, Expand):
            return self._repeated(x, bound)
        top = self.reduce(Fold.MAX, self.apply("abs", x), [-1])
        return self.quantised(x, self.unsqueeze(top, -1), bound), self.inverse(top, bound)

    def quantised(self, x: Expr, top: Expr, bound: int) -> Expr:
        """Integers within +-bound, in memory in the order of x; ``top`` are the largest
        magnitudes, which broadcast against x."""
        s = self.apply("scale", top, params=(bound,))
        return self.apply("quantise", x, s, to=Precision.stored(bound), params=(bound,))

    def inverse(self, top: Expr, bound: int) -> Expr:
        """What one step of the integers of ``quantised`` stands for."""
        return self.apply("inv_scale", top, params=(bound,))

    def _repeated(self, x: Expand, bound: int) -> tuple[Expr, Expr]:
        """The same for repeated rows: quantised once."""
        base = x.args[0]
        if base.shape[-2:] != x.shape[-2:]:
            base = self.g.expand(base, (*base.shape[:-2], *x.shape[-2:]))
            if isinstance(base, Expand):
                return self.rows(self.apply("same", base), bound)
        q, inverse = self.rows(base, bound)
        head = x.shape[:-2]
        return self.g.expand(q, (*head, *q.shape[-2:])), self.g.expand(inverse, x.shape[:-1])

    def _columns(self, x: Expr, bound: int) -> tuple[Expr, Expr]:
        """x [.., N, K] quantised with one scale for each K; the inverse scales [.., K]."""
        top = self.reduce(Fold.MAX, self.apply("abs", self.transpose(x)), [-1])
        return self.quantised(x, self.unsqueeze(top, -2), bound), self.inverse(top, bound)

    def _padded(self, x: Expr) -> Expr:
        """Rows that are too long for one DOT, filled with zeros to whole chunks."""
        k = x.shape[-1]
        if k <= 2 * CHUNK or k % CHUNK == 0:
            return x
        none = [0] * x.rank
        return self.pad(x, none, [*none[1:], CHUNK - k % CHUNK], self.literal(0.0, F32))

    def _dot(self, a: Expr, b: Expr, bounds: tuple[int, int]) -> Expr:
        """Quantised rows [.., M, K] by rows [.., N, K]: i64 [.., M, N]."""
        g = self.g
        m, n, k = a.shape[-2], b.shape[-2], a.shape[-1]
        head = broadcast(a.shape[:-2], b.shape[:-2])
        if k <= 2 * CHUNK:
            shape = (*head, m, n, k)
            return g.dot(
                g.expand(self.unsqueeze(a, -2), shape),
                g.expand(self.unsqueeze(b, -3), shape),
                bounds,
            )
        parts = k // CHUNK
        shape = (*head, m, n, parts, CHUNK)
        left = g.reshape(a, (*a.shape[:-2], m, 1, parts, CHUNK))
        right = g.reshape(b, (*b.shape[:-2], 1, n, parts, CHUNK))
        partial = g.dot(g.expand(left, shape), g.expand(right, shape), bounds)
        return g.reduce(Fold.ISUM, partial, 1)

    def attention(
        self,
        q: Expr,
        k: Expr,
        v: Expr,
        mask: Expr | None,
        *,
        causal: bool,
        scale: float | None,
    ) -> Expr:
        """softmax(q k^T * scale + mask) v, a row without any position giving zeros.

        q [.., S, D], k [.., T, D], v [.., T, E]; a bool mask keeps where true.
        """
        factor = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
        scores = self.mul(self.product(q, k), self.literal(factor, F32))
        lowest = self.literal(-math.inf, F32)
        if causal:
            last = scores.rank - 1
            row = self.g.coordinate(scores.shape, last - 1)
            column = self.g.coordinate(scores.shape, last)
            scores = self.select(self.compare("le", column, row), scores, lowest)
        if mask is not None and mask.element is BOOL:
            scores = self.select(mask, scores, lowest)
        elif mask is not None:
            scores = self.add(scores, mask)
        return self.product(self.softmax(scores, -1, safe=True), self.transpose(v))


def _rows_contiguous(x: Expr) -> bool:
    """Whether the last axis of ``x`` lies along memory where ``x`` comes from.

    The answer is the same for an axis of length 1 (which is followed as if it were longer), so that
    bits do not depend on a length.
    """
    at = forms.coordinates(x.shape)
    if x.shape[-1] == 1:
        at = (*at[:-1], forms.make(0, [Term(False, 1, MANY, 1)]))
    e = x
    while e.args:
        if isinstance(e, Reshape):
            try:
                at = forms.unflatten(forms.flatten(at, e.shape), e.args[0].shape)
            except NotAffine:
                return True
        elif isinstance(e, Permute):
            place = {axis: k for k, axis in enumerate(e.order)}
            at = tuple(at[place[axis]] for axis in range(e.rank))
        elif isinstance(e, Slice):
            at = tuple(c * step for c, step in zip(at, e.steps, strict=True))
        elif isinstance(e, Expand):
            rows = zip(at, e.args[0].shape, e.shape, strict=True)
            at = tuple(c if n == m else forms.ZERO for c, n, m in rows)
        elif not isinstance(e, Map):
            break
        e = e.args[0] if len(e.args) == 1 else max(e.args, key=_own_size)
    address = forms.flatten(at, e.shape)
    inner = [t.coef for t in address.terms if t.weight == 1 and t.radix in (x.shape[-1], MANY)]
    inner = inner or [t.coef for t in address.terms if t.weight == 1]
    return not inner or inner == [1]


def _own_size(e: Expr) -> tuple[bool, int]:
    """Elements before repetition; what an input can change counts more than what none can."""
    while isinstance(e, Expand):
        e = e.args[0]
    return not e.constant, e.count
