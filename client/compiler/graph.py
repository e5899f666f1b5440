"""Tensor expressions: what a module computes, before anything is decided about operations.

An expression is immutable and has a number; its arguments have smaller numbers.  ``Graph`` makes
expressions and returns the known one if it already has it, so that work asked for twice (the
quantised input of q, k and v) is done once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from protocol.spec.types import Array, DType, Fold

if TYPE_CHECKING:
    from client.compiler.scalars import Scalar


class Element(Enum):
    """Element types of expressions; a bool is stored as an i8 of 0 or 1."""

    F32 = "float32"
    I64 = "int64"
    I32 = "int32"
    I16 = "int16"
    I8 = "int8"
    BOOL = "bool"

    @property
    def dtype(self) -> DType:
        """The machine's dtype in memory."""
        return DType.I8 if self is Element.BOOL else DType[self.name]

    @property
    def is_float(self) -> bool:
        return self is Element.F32


@dataclass(eq=False, slots=True)
class Expr:
    """One tensor. ``args`` are its operands, ``constant`` whether no input can change it,
    ``source`` the place in the user's module that first asked for it."""

    number: int
    element: Element
    shape: tuple[int, ...]
    args: tuple[Expr, ...]
    constant: bool
    source: str

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def rank(self) -> int:
        return len(self.shape)


@dataclass(eq=False, slots=True)
class Const(Expr):
    """A tensor known now."""

    value: Array
    bound: int = 0


@dataclass(eq=False, slots=True)
class Input(Expr):
    """A tensor of the job; ``position`` among its inputs."""

    position: int


@dataclass(eq=False, slots=True)
class Map(Expr):
    """``fn`` of the elements of ``args``, which all have this shape."""

    fn: Scalar


@dataclass(eq=False, slots=True)
class Coordinate(Expr):
    """The coordinate along ``axis`` of each element, an i64."""

    axis: int


@dataclass(eq=False, slots=True)
class Reshape(Expr):
    """The same elements in the same order."""


@dataclass(eq=False, slots=True)
class Permute(Expr):
    """Axis k is axis ``order[k]`` of the argument."""

    order: tuple[int, ...]


@dataclass(eq=False, slots=True)
class Expand(Expr):
    """Axes of length 1 repeated."""


@dataclass(eq=False, slots=True)
class Slice(Expr):
    """Coordinate c of axis k is coordinate ``starts[k] + steps[k] * c`` of the argument.

    Coordinates may leave the argument (padding, concatenation): such elements are some value that
    the one who asked must not use.
    """

    starts: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(eq=False, slots=True)
class Affine(Expr):
    """Axis k of the argument is at ``rows[k]``: an offset and pairs (axis, factor) of this one's
    coordinates. All coordinates are inside the argument."""

    rows: tuple[tuple[int, tuple[tuple[int, int], ...]], ...]


@dataclass(eq=False, slots=True)
class Gather(Expr):
    """An element of args[0], the table, at one index an axis.

    ``picks[k]`` is either an output axis whose coordinate is the index, or None: then the next of
    the other arguments (i64, of this shape) is.  An address outside the table yields ``pad``.
    """

    picks: tuple[int | None, ...]
    pad: int


@dataclass(eq=False, slots=True)
class Reduce(Expr):
    """Fold over the last ``axes`` axes of the argument, last fastest."""

    fold: Fold
    axes: int


@dataclass(eq=False, slots=True)
class Dot(Expr):
    """Exact sum of products over the last ``axes`` axes of two integer tensors of equal shape, an
    i64.

    The arguments are views (repeated along the other's axes) of tensors within ``bounds``.
    """

    bounds: tuple[int, int]
    axes: int


def same_order(e: Expr) -> bool:
    """Whether ``e`` is a view with its argument's elements in their order."""
    if isinstance(e, Permute):
        long = [k for k in e.order if e.args[0].shape[k] > 1]
        return long == sorted(long)
    return isinstance(e, Reshape)


Core = (Reduce, Dot)
Movement = (Reshape, Permute, Expand, Slice, Affine)


@dataclass
class Graph:
    """Makes expressions. ``source`` is stamped on new ones."""

    source: str = ""
    exprs: list[Expr] = field(default_factory=list)
    _known: dict[Hashable, Expr] = field(default_factory=dict)

    def _make(
        self,
        kind: Callable[..., Expr],
        element: Element,
        shape: Sequence[int],
        args: Sequence[Expr],
        *rest: Hashable,
    ) -> Expr:
        key = (kind, element, tuple(shape), tuple(a.number for a in args), *rest)
        if key not in self._known:
            fixed = kind is not Input and all(a.constant for a in args)
            self._add(
                kind(len(self.exprs), element, tuple(shape), tuple(args), fixed, self.source, *rest)
            )
            self._known[key] = self.exprs[-1]
        return self._known[key]

    def _add(self, e: Expr) -> Expr:
        self.exprs.append(e)
        return e

    def const(self, value: Array, element: Element, bound: int = 0) -> Expr:
        """A tensor of the element's machine dtype."""
        assert value.dtype == element.dtype.numpy, (value.dtype, element)
        n = len(self.exprs)
        return self._add(Const(n, element, value.shape, (), True, self.source, value, bound))

    def input(self, element: Element, shape: Sequence[int], position: int) -> Expr:
        return self._make(Input, element, shape, (), position)

    def map(self, fn: Scalar, element: Element, args: Sequence[Expr], shape: Sequence[int]) -> Expr:
        """``fn`` of arguments that are broadcast to ``shape``."""
        return self._make(Map, element, shape, [self.expand(a, shape) for a in args], fn)

    def coordinate(self, shape: Sequence[int], axis: int) -> Expr:
        return self._make(Coordinate, Element.I64, shape, (), axis)

    def reshape(self, x: Expr, shape: Sequence[int]) -> Expr:
        if x.shape == tuple(shape):
            return x
        base = x.args[0] if isinstance(x, Reshape) else x
        assert x.count == math.prod(shape), (x.shape, shape)
        if base.shape == tuple(shape):
            return base
        return self._make(Reshape, x.element, shape, [base])

    def permute(self, x: Expr, order: Sequence[int]) -> Expr:
        order = tuple(order)
        if isinstance(x, Permute):
            order = tuple(x.order[k] for k in order)
            x = x.args[0]
        shape = [x.shape[k] for k in order]
        if order == tuple(range(x.rank)):
            return x
        return self._make(Permute, x.element, shape, [x], order)

    def expand(self, x: Expr, shape: Sequence[int]) -> Expr:
        """Broadcast as NumPy does."""
        if x.shape == tuple(shape):
            return x
        x = self.reshape(x, (1,) * (len(shape) - x.rank) + x.shape)
        if x.shape == tuple(shape):
            return x
        if isinstance(x, Expand):
            x = x.args[0]
        pairs = zip(x.shape, shape, strict=True)
        assert all(a in (1, b) for a, b in pairs), (x.shape, shape)
        return self._make(Expand, x.element, shape, [x])

    def slice(
        self, x: Expr, starts: Sequence[int], steps: Sequence[int], shape: Sequence[int]
    ) -> Expr:
        plain = all(s == 0 for s in starts) and all(s == 1 for s in steps)
        if plain and x.shape == tuple(shape):
            return x
        return self._make(Slice, x.element, shape, [x], tuple(starts), tuple(steps))

    def gather(
        self,
        table: Expr,
        picks: Sequence[int | None],
        indices: Sequence[Expr],
        shape: Sequence[int],
        pad: int = 0,
    ) -> Expr:
        full = [self.expand(i, shape) for i in indices]
        return self._make(Gather, table.element, shape, [table, *full], tuple(picks), pad)

    def reduce(self, fold: Fold, x: Expr, axes: int) -> Expr:
        """Fold the last ``axes`` axes; FSUM of f32, ISUM and ARGMAX to i64, MAX and MIN as x."""
        element = x.element
        if fold in (Fold.ISUM, Fold.ARGMAX):
            element = Element.I64
        return self._make(Reduce, element, x.shape[: x.rank - axes], [x], fold, axes)

    def affine(
        self,
        x: Expr,
        shape: Sequence[int],
        rows: Sequence[tuple[int, tuple[tuple[int, int], ...]]],
    ) -> Expr:
        return self._make(Affine, x.element, shape, [x], tuple(rows))

    def dot(self, a: Expr, b: Expr, bounds: tuple[int, int], axes: int = 1) -> Expr:
        assert a.shape == b.shape, (a.shape, b.shape)
        return self._make(Dot, Element.I64, a.shape[: a.rank - axes], [a, b], bounds, axes)
