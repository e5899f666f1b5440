"""Operators that only move elements."""

from __future__ import annotations

from typing import Any

from client.compiler.graph import Element, Expr
from client.importers.table import Call, lowers
from protocol.spec.constants import CANONICAL_NAN


@lowers(
    *("clone", "alias", "detach", "contiguous", "lift_fresh_copy", "lift_fresh", "view_of"),
    *("positive", "prims::view_of", "expand_copy"),
)
def _same(c: Call) -> Expr:
    return c.g.expand(c.x(), c.shape)


@lowers("_assert_tensor_metadata")
def _nothing(c: Call) -> None:
    return None


@lowers(
    *("view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "squeeze.dim", "squeeze.dims"),
    *("flatten.using_ints", "unflatten.int", "view_copy"),
)
def _reshape(c: Call) -> Expr:
    return c.g.reshape(c.x(), c.shape)


@lowers("expand", "broadcast_to", "expand_as")
def _expand(c: Call) -> Expr:
    return c.g.expand(c.x(), c.shape)


@lowers("repeat")
def _repeat(c: Call) -> Expr:
    x = c.x()
    x = c.g.reshape(x, (1,) * (len(c.shape) - x.rank) + x.shape)
    pairs = [(n // length, length) for n, length in zip(c.shape, x.shape, strict=True)]
    split = c.g.reshape(x, [k for _, length in pairs for k in (1, length)])
    return c.g.reshape(c.g.expand(split, [k for pair in pairs for k in pair]), c.shape)


@lowers("permute")
def _permute(c: Call) -> Expr:
    x = c.x()
    return c.g.permute(x, [d % x.rank for d in c["dims"]])


@lowers("transpose.int", "t", "mT", "numpy_T")
def _transpose(c: Call) -> Expr:
    x = c.x()
    if x.rank < 2:
        return x
    return c.ops.transpose(x, c.get("dim0", -2), c.get("dim1", -1))


@lowers("slice.Tensor", "narrow")
def _slice(c: Call) -> Expr:
    x, axis = c.x(), c.axis()
    n = x.shape[axis]
    start = max(-n, min(n, int(c.get("start", 0)))) % (n + 1 if int(c.get("start", 0)) >= 0 else n)
    return c.ops.narrow(x, axis, start, c.shape[axis], int(c.get("step", 1)))


@lowers("select.int")
def _select(c: Call) -> Expr:
    x, axis = c.x(), c.axis()
    return c.g.reshape(c.ops.narrow(x, axis, int(c["index"]) % x.shape[axis], 1), c.shape)


@lowers("flip")
def _flip(c: Call) -> Expr:
    x = c.x()
    axes = {d % x.rank for d in c["dims"]}
    starts = [n - 1 if k in axes else 0 for k, n in enumerate(x.shape)]
    return c.g.slice(x, starts, [-1 if k in axes else 1 for k in range(x.rank)], x.shape)


@lowers("diagonal")
def _diagonal(c: Call) -> Expr:
    x, offset = c.x(), int(c["offset"])
    first, second = int(c["dim1"]) % x.rank, int(c["dim2"]) % x.rank
    last = x.rank - 2
    rest = iter(range(last))
    starts = {first: max(0, -offset), second: max(0, offset)}
    rows = [
        (starts[k], ((last, 1),)) if k in starts else (0, ((next(rest), 1),))
        for k in range(x.rank)
    ]
    return c.g.affine(x, c.shape, rows)


@lowers("split_with_sizes", "split.Tensor", "chunk", "unbind.int")
def _split(c: Call) -> tuple[Expr | None, ...]:
    x, axis = c.x(), c.axis()
    out, start = [], 0
    for result in c.results:
        assert result is not None
        length = 1 if c.name.startswith("unbind") else result[1][axis]
        out.append(c.g.reshape(c.ops.narrow(x, axis, start, length), result[1]))
        start += length
    return tuple(out)


@lowers("cat")
def _cat(c: Call) -> Expr:
    parts = [p for p in c["tensors"] if p.shape != (0,)]
    return c.ops.concatenate([c.ops.cast(p, c.element) for p in parts], int(c["dim"]))


@lowers("stack")
def _stack(c: Call) -> Expr:
    axis = int(c["dim"])
    parts = [c.ops.unsqueeze(c.ops.cast(p, c.element), axis) for p in c["tensors"]]
    return c.ops.concatenate(parts, axis % len(c.shape))


@lowers("constant_pad_nd")
def _pad(c: Call) -> Expr:
    x, widths = c.x(), list(c["pad"])
    before, after = [0] * x.rank, [0] * x.rank
    for k, (b, a) in enumerate(zip(widths[::2], widths[1::2], strict=True)):
        before[x.rank - 1 - k], after[x.rank - 1 - k] = b, a
    return c.ops.pad(x, before, after, c.ops.literal(c["value"], x.element))


# --- indices ------------------------------------------------------------------------------------


def _pad_of(x: Expr) -> int:
    """What an index outside the table yields: NaN, so that it shows; 0 for integers."""
    return CANONICAL_NAN if x.element.is_float else 0


def _wrapped(c: Call, index: Expr, length: int) -> Expr:
    """Negative indices count from the end."""
    i64 = Element.I64
    index = c.ops.cast(index, i64)
    negative = c.ops.compare("lt", index, c.ops.literal(0, i64))
    return c.ops.select(negative, c.ops.add(index, c.ops.literal(length, i64)), index)


@lowers("embedding")
def _embedding(c: Call) -> Expr:
    table, index = c.x("weight"), c.ops.cast(c.x("indices"), Element.I64)
    picks = [None, index.rank]
    return c.g.gather(table, picks, [c.ops.unsqueeze(index, -1)], c.shape, _pad_of(table))


@lowers("index_select")
def _index_select(c: Call) -> Expr:
    x, axis = c.x(), c.axis()
    index = _wrapped(c, c.x("index"), x.shape[axis])
    picks = [None if k == axis else k for k in range(x.rank)]
    shaped = [-1 if k == axis else 1 for k in range(x.rank)]
    spread = c.g.reshape(index, [index.count if n < 0 else n for n in shaped])
    return c.g.gather(x, picks, [spread], c.shape, _pad_of(x))


@lowers("gather")
def _gather(c: Call) -> Expr:
    x, axis = c.x(), c.axis()
    index = _wrapped(c, c.x("index"), x.shape[axis])
    picks = [None if k == axis else k for k in range(x.rank)]
    return c.g.gather(x, picks, [index], c.shape, _pad_of(x))


@lowers("index_put")
def _index_put(c: Call) -> Expr:
    """One index along one axis: a selection by coordinate."""
    x, given = c.x(), list(c["indices"])
    used = [k for k, i in enumerate(given) if i is not None]
    if c["accumulate"] or len(used) != 1 or given[used[0]].count != 1:
        raise c.refuse("only a write at one index of one axis, without accumulation")
    axis, index = used[0], given[used[0]]
    if index.element is Element.BOOL:
        raise c.refuse("a bool mask selects a number of elements that depends on data")
    values = c.x("values", x.element)
    if values.rank >= x.rank - axis and index.rank == 0:
        values = c.ops.unsqueeze(values, values.rank - (x.rank - 1 - axis))
    at = c.g.coordinate(x.shape, axis)
    here = c.ops.compare("eq", at, c.g.reshape(_wrapped(c, index, x.shape[axis]), ()))
    return c.ops.select(here, values, x)


@lowers("index.Tensor")
def _index(c: Call) -> Expr:
    x = c.x()
    given: list[Any] = list(c["indices"]) + [None] * (x.rank - len(c["indices"]))
    used = [k for k, i in enumerate(given) if i is not None]
    if any(given[k].element is Element.BOOL for k in used):
        raise c.refuse("a bool mask selects a number of elements that depends on data")
    width = max(given[k].rank for k in used)
    together = used == list(range(used[0], used[-1] + 1))
    first = used[0] if together else 0
    rest = [k for k in range(x.rank) if given[k] is None]
    place = {k: n if n < first else n + width for n, k in enumerate(rest)}
    picks = [place.get(k) for k in range(x.rank)]
    indices = []
    tail = len(c.shape) - first - width
    for k in used:
        i = _wrapped(c, given[k], x.shape[k])
        indices.append(c.g.reshape(i, (*i.shape, *(1,) * tail)))
    return c.g.gather(x, picks, indices, c.shape, _pad_of(x))
