"""Convolution, pooling, cumulative sums and writes to a part of a tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence

from client.compiler.graph import Element, Expr
from client.compiler.ops import CHUNK
from client.importers.table import Call, lowers
from protocol.spec.types import Fold

F32, I64 = Element.F32, Element.I64

Row = tuple[int, tuple[tuple[int, int], ...]]
"""A row of ``graph.Affine``."""


def _pair(values: Sequence[int] | int, default: Sequence[int] = ()) -> tuple[int, int]:
    """Numbers for the two axes of an image; one number stands for both."""
    items = [values] if isinstance(values, int) else list(values) or list(default)
    return (items[0], items[0]) if len(items) == 1 else (items[0], items[1])


def _axis_row(out: int, stride: int, tap: int, dilation: int) -> Row:
    """Coordinate of a window: stride * output + dilation * tap."""
    return 0, ((out, stride), (tap, dilation))


def _length(n: int, kernel: int, stride: int, dilation: int) -> int:
    return (n - dilation * (kernel - 1) - 1) // stride + 1


# --- convolution --------------------------------------------------------------------------------


@lowers("convolution", "conv2d", "conv1d", "conv2d.padding", "conv1d.padding")
def _convolution(c: Call) -> Expr:
    if c.get("transposed", False):
        raise c.refuse("transposed convolution")
    x, w, bias = c.x("input"), c.x("weight"), c.maybe("bias")
    spatial = w.rank - 2
    if spatial > 2:
        raise c.refuse(f"{spatial} spatial axes, at most 2")
    kernel = w.shape[2:]
    stride, dilation = ((list(c[k]) * spatial)[:spatial] for k in ("stride", "dilation"))
    padding = c["padding"]
    if isinstance(padding, str):
        widths = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        sizes = widths if padding == "same" else [0] * spatial
        before, after = [s // 2 for s in sizes], [s - s // 2 for s in sizes]
    else:
        before = after = (list(padding) * spatial)[:spatial]
    if spatial == 1:
        x, w = c.ops.unsqueeze(x, -2), c.ops.unsqueeze(w, -2)
        stride, dilation = [1, *stride], [1, *dilation]
        before, after = [0, *before], [0, *after]
    batched = x.rank == 4
    x = x if batched else c.ops.unsqueeze(x, 0)
    padded = c.ops.pad(x, [0, 0, *before], [0, 0, *after], c.ops.literal(0.0, F32))
    out = _windows(c, x, padded, w, stride, dilation, int(c["groups"]))
    out = c.g.reshape(out, c.shape)
    if bias is None:
        return out
    return c.ops.add(out, c.g.reshape(bias, (bias.count, *(1,) * spatial)))


def _windows(
    c: Call,
    bare: Expr,
    x: Expr,
    w: Expr,
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Expr:
    """x [N, C, H, W] (``bare`` with its padding) by w [O, C / groups, KH, KW]: [N, O, OH, OW].

    The input is quantised once an image, the weights once an output channel; a sum over one
    channel (depthwise) is a float sum of products.
    """
    g, (n, channels, height, width), (o, inner, kh, kw) = c.g, x.shape, w.shape
    oh = _length(height, kh, stride[0], dilation[0])
    ow = _length(width, kw, stride[1], dilation[1])
    shape = (n, groups, o // groups, oh, ow, kh, kw, inner)
    rows = (
        (0, ((0, 1),)),
        _axis_row(3, stride[0], 5, dilation[0]),
        _axis_row(4, stride[1], 6, dilation[1]),
        (0, ((1, inner), (7, 1))),
    )
    last = g.permute(x, (0, 2, 3, 1))
    taps = (groups, o // groups, 1, 1, kh, kw, inner)
    if inner == 1 and (channels > 1 or dilation[1] > 1 or kw == 1):
        flat = g.reshape(g.permute(w, (0, 2, 3, 1)), taps)
        products = c.ops.mul(g.affine(last, shape, rows), g.expand(flat, shape))
        return g.reshape(c.ops.reduce(Fold.FSUM, products, [5, 6, 7]), (n, o, oh, ow))
    terms = kh * kw * inner
    if terms > 2 * CHUNK:
        raise c.refuse(f"window of {terms} values, at most {2 * CHUNK}")
    precision = c.ops.precision
    second = precision.weight if w.constant else precision.second
    q, scale = c.ops.rows(g.reshape(g.permute(w, (0, 2, 3, 1)), (o, terms)), second)
    order = g.permute(bare, (0, 2, 3, 1))
    top = c.ops.reduce(Fold.MAX, c.ops.apply("abs", order), [1, 2, 3])
    image = c.ops.quantised(last, g.reshape(top, (n, 1, 1, 1)), precision.first)
    per_image = c.ops.inverse(top, precision.first)
    windows = g.affine(image, shape, rows)
    acc = g.dot(windows, g.expand(g.reshape(q, taps), shape), (precision.first, second), 3)
    out = c.ops.mul(c.ops.apply("to_f32", acc, to=F32), g.reshape(per_image, (n, 1, 1, 1, 1)))
    out = c.ops.mul(out, g.reshape(scale, (groups, o // groups, 1, 1)))
    return g.reshape(out, (n, o, oh, ow))


# --- pooling --------------------------------------------------------------------------------------


def _pool(c: Call, x: Expr, fill: float, kernel: tuple[int, int], out: Sequence[int]) -> Expr:
    """Windows [.., OH, OW, KH, KW] of x [.., H, W], padded with ``fill``."""
    stride = _pair(c.get("stride", ()), kernel)
    dilation = _pair(c.get("dilation", 1))
    padding = _pair(c.get("padding", 0))
    after = [
        max(0, (n - 1) * s + d * (k - 1) + 1 - length - p)
        for n, s, d, k, length, p in zip(
            out, stride, dilation, kernel, x.shape[-2:], padding, strict=True
        )
    ]
    lead = x.rank - 2
    none = [0] * lead
    x = c.ops.pad(x, [*none, *padding], [*none, *after], c.ops.literal(fill, x.element))
    rows: list[Row] = [(0, ((k, 1),)) for k in range(lead)]
    rows.append(_axis_row(lead, stride[0], lead + 2, dilation[0]))
    rows.append(_axis_row(lead + 1, stride[1], lead + 3, dilation[1]))
    return c.g.affine(x, (*x.shape[:-2], *out, *kernel), rows)


@lowers("max_pool2d_with_indices", "max_pool2d")
def _max_pool(c: Call) -> Expr | tuple[Expr | None, ...]:
    x, kernel = c.x(), _pair(c["kernel_size"])
    windows = _pool(c, x, -math.inf, kernel, c.shape[-2:])
    best = c.g.reduce(Fold.MAX, windows, 2)
    if c.name.startswith("max_pool2d."):
        return best
    tap = c.g.reduce(Fold.ARGMAX, windows, 2)
    stride, dilation = _pair(c.get("stride", ()), kernel), _pair(c.get("dilation", 1))
    padding = _pair(c.get("padding", 0))

    def place(axis: int, step: Expr) -> Expr:
        at = c.g.coordinate(c.shape, len(c.shape) - 2 + axis)
        start = c.ops.mul(at, c.ops.literal(stride[axis], I64))
        moved = c.ops.mul(step, c.ops.literal(dilation[axis], I64))
        return c.ops.add(c.ops.add(start, moved), c.ops.literal(-padding[axis], I64))

    width = c.ops.literal(kernel[1], I64)
    row = place(0, c.ops.apply("ifloor_div", tap, width, params=(I64.value,)))
    column = place(1, c.ops.apply("ifloor_mod", tap, width, params=(I64.value,)))
    return best, c.ops.add(c.ops.mul(row, c.ops.literal(x.shape[-1], I64)), column)


@lowers("avg_pool2d")
def _average_pool(c: Call) -> Expr:
    x, kernel = c.x(), _pair(c["kernel_size"])
    total = c.g.reduce(Fold.FSUM, _pool(c, x, 0.0, kernel, c.shape[-2:]), 2)
    if c.get("divisor_override") is not None:
        return c.ops.apply("div", total, c.ops.literal(float(c["divisor_override"]), F32))
    padded = any(_pair(c.get("padding", 0))) or c["ceil_mode"]
    if not padded or (c["count_include_pad"] and not c["ceil_mode"]):
        return c.ops.apply("div", total, c.ops.literal(float(kernel[0] * kernel[1]), F32))
    if c["count_include_pad"]:
        raise c.refuse("ceil_mode together with count_include_pad")
    ones = c.ops.full(x.shape[-2:], 1.0, F32)
    counts = c.g.reduce(Fold.FSUM, _pool(c, ones, 0.0, kernel, c.shape[-2:]), 2)
    return c.ops.apply("div", total, counts)


@lowers("_adaptive_avg_pool2d", "adaptive_avg_pool2d")
def _adaptive_pool(c: Call) -> Expr:
    x, out = c.x(), c.shape[-2:]
    if any(n % m for n, m in zip(x.shape[-2:], out, strict=True)):
        raise c.refuse(f"{x.shape[-2:]} to {out}: the output must divide the input")
    kernel = (x.shape[-2] // out[0], x.shape[-1] // out[1])
    split = (*x.shape[:-2], out[0], kernel[0], out[1], kernel[1])
    lead = x.rank - 2
    order = [*range(lead), lead, lead + 2, lead + 1, lead + 3]
    windows = c.g.permute(c.g.reshape(x, split), order)
    return c.ops.mean(windows, [lead + 2, lead + 3])


# --- cumulative, and partial writes ---------------------------------------------------------------


@lowers("cumsum")
def _cumsum(c: Call) -> Expr:
    """Sums of everything up to an element, by doubling: the order of float additions is ours."""
    x = c.x("self", c.element)
    if not x.rank:
        return x
    axis, n = c.axis(), x.shape[c.axis()]
    zero = c.ops.literal(0, c.element)
    at = c.g.coordinate(x.shape, axis)
    step = 1
    while step < n:
        inside = c.ops.compare("le", c.ops.literal(step, I64), at)
        earlier = c.ops.narrow(x, axis, -step, n)
        x = c.ops.add(x, c.ops.select(inside, earlier, zero))
        step *= 2
    return x


@lowers("select_scatter", "slice_scatter")
def _scatter_part(c: Call) -> Expr:
    x, axis = c.x(), c.axis()
    source = c.x("src", x.element)
    n = x.shape[axis]
    if c.name.startswith("select"):
        source = c.ops.unsqueeze(source, axis)
        start, step = int(c["index"]) % n, 1
    else:
        start, step = min(n, max(0, int(c.get("start", 0)) % n)), int(c.get("step", 1))
        start = min(n, int(c.get("start", 0))) if int(c.get("start", 0)) >= 0 else start
    if step != 1:
        raise c.refuse(f"a write with step {step}, want 1")
    count = source.shape[axis]
    if not count:
        return x
    at = c.g.coordinate(x.shape, axis)
    moved = c.ops.narrow(source, axis, -start, n)
    below = c.ops.compare("lt", at, c.ops.literal(start, I64))
    beyond = c.ops.compare("le", c.ops.literal(start + count, I64), at)
    return c.ops.select(below, x, c.ops.select(beyond, x, moved))


@lowers("scatter.value", "scatter.src")
def _scatter(c: Call) -> Expr:
    """With one index along the axis: a selection by coordinate."""
    x, axis, index = c.x(), c.axis(), c.x("index")
    same = [k for k in range(x.rank) if k != axis]
    if index.shape[axis] != 1 or any(index.shape[k] != x.shape[k] for k in same):
        raise c.refuse(f"index of shape {index.shape}, want length 1 along axis {axis}")
    value = c.x("value" if c.name.endswith("value") else "src", x.element)
    if value.rank:
        value = c.ops.narrow(value, axis, 0, 1)
    at = c.g.coordinate(x.shape, axis)
    here = c.ops.compare("eq", at, c.ops.cast(index, I64))
    return c.ops.select(here, value, x)


@lowers("copy")
def _copy(c: Call) -> Expr:
    return c.g.expand(c.x("src", c.element), c.shape)
