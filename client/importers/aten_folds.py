"""Operators that fold axes: sums, extrema, norms, products."""

from __future__ import annotations

import math

from client.compiler.graph import Element, Expr
from client.importers.table import Call, lowers
from protocol.spec.types import Fold

F32, I64, BOOL = Element.F32, Element.I64, Element.BOOL


@lowers("sum", "sum.dim_IntList")
def _sum(c: Call) -> Expr:
    if c.element.is_float:
        return c.reduce(Fold.FSUM, c.x("self", F32))
    return c.reduce(Fold.ISUM, c.x("self", I64))


@lowers("mean", "mean.dim")
def _mean(c: Call) -> Expr:
    return c.ops.mean(c.x("self", F32), c.dims(), keep=bool(c.get("keepdim", False)))


@lowers("var.correction", "std.correction", "var_mean.correction")
def _var(c: Call) -> Expr | tuple[Expr | None, ...]:
    x, axes, keep = c.x(), c.dims(), bool(c["keepdim"])
    mean = c.ops.mean(x, axes, keep=True)
    centred = c.ops.binary("sub", x, mean)
    total = c.ops.reduce(Fold.FSUM, c.ops.mul(centred, centred), axes, keep=keep)
    free = x.count // total.count - c.get("correction", 1)
    out = c.ops.apply("div", total, c.ops.literal(float(free), F32))
    if c.name.startswith("std"):
        return c.ops.apply("sqrt", out)
    if c.name.startswith("var_mean"):
        return out, c.g.reshape(mean, out.shape)
    return out


@lowers("amax", "max")
def _amax(c: Call) -> Expr:
    return c.reduce(Fold.MAX, c.x())


@lowers("amin", "min")
def _amin(c: Call) -> Expr:
    return c.reduce(Fold.MIN, c.x())


@lowers("max.dim", "min.dim")
def _max_dim(c: Call) -> tuple[Expr | None, ...]:
    x, keep = c.x(), bool(c["keepdim"])
    if c.name.startswith("max"):
        best = x
    elif x.element.is_float:
        best = c.ops.apply("neg", x)
    else:
        best = c.ops.apply("not", c.ops.cast(x, I64))
    at = c.ops.reduce(Fold.ARGMAX, best, [c.axis()], keep=keep)
    fold = Fold.MAX if c.name.startswith("max") else Fold.MIN
    return c.ops.reduce(fold, x, [c.axis()], keep=keep), at


@lowers("argmax", "argmin")
def _argmax(c: Call) -> Expr:
    x = c.x()
    if c.name.startswith("argmin"):
        x = c.ops.apply("neg", x) if x.element.is_float else c.ops.apply("not", c.ops.cast(x, I64))
    return c.reduce(Fold.ARGMAX, x)


@lowers("any", "any.dim", "any.dims")
def _any(c: Call) -> Expr:
    return c.reduce(Fold.MAX, c.x("self", BOOL))


@lowers("all", "all.dim", "all.dims")
def _all(c: Call) -> Expr:
    return c.reduce(Fold.MIN, c.x("self", BOOL))


@lowers("linalg_vector_norm")
def _vector_norm(c: Call) -> Expr:
    x, order = c.x(), float(c["ord"])
    if order == 2:
        return c.ops.apply("sqrt", c.reduce(Fold.FSUM, c.ops.mul(x, x)))
    if order == 1:
        return c.reduce(Fold.FSUM, c.ops.apply("abs", x))
    if math.isinf(order):
        return c.reduce(Fold.MAX if order > 0 else Fold.MIN, c.ops.apply("abs", x))
    raise c.refuse(f"norm of order {order}, want 1, 2 or +-inf")


@lowers("_softmax", "softmax.int", "_log_softmax", "log_softmax.int", "_safe_softmax")
def _softmax(c: Call) -> Expr:
    log, safe = "log_softmax" in c.name, "safe" in c.name
    return c.ops.softmax(c.x("self", F32), c.axis(), safe=safe, log=log)


# --- norms --------------------------------------------------------------------------------------


def _affine(c: Call, x: Expr, weight: Expr | None, bias: Expr | None) -> Expr:
    x = x if weight is None else c.ops.mul(x, weight)
    return x if bias is None else c.ops.add(x, bias)


@lowers("layer_norm", "native_layer_norm")
def _layer_norm(c: Call) -> Expr | tuple[Expr | None, ...]:
    x = c.x("input")
    axes = [x.rank - 1 - k for k in range(len(c["normalized_shape"]))]
    out, mean, inverse = c.ops.normalise(x, axes, float(c["eps"]))
    out = _affine(c, out, c.maybe("weight"), c.maybe("bias"))
    return (out, mean, inverse) if c.name.startswith("native") else out


@lowers("rms_norm", "_fused_rms_norm")
def _rms_norm(c: Call) -> Expr | tuple[Expr | None, ...]:
    x = c.x("input")
    axes = [x.rank - 1 - k for k in range(len(c["normalized_shape"]))]
    square = c.ops.mean(c.ops.mul(x, x), axes, keep=True)
    eps = float(c.get("eps", 1.1920928955078125e-07))
    inverse = c.ops.apply("rsqrt", c.ops.add(square, c.ops.literal(eps, F32)))
    weight = c.maybe("weight")
    out = c.ops.mul(x, inverse)
    out = out if weight is None else c.ops.mul(out, weight)
    return (out, inverse) if c.name.startswith("_") else out


@lowers("native_group_norm")
def _group_norm(c: Call) -> tuple[Expr | None, ...]:
    x, groups = c.x("input"), int(c["group"])
    batch, channels = x.shape[:2]
    grouped = c.g.reshape(x, (batch, groups, x.count // (batch * groups)))
    out, mean, inverse = c.ops.normalise(grouped, [2], float(c["eps"]))
    shape = (channels, *(1,) * (x.rank - 2))
    weight, bias = (c.maybe(name) for name in ("weight", "bias"))
    spread = [None if p is None else c.g.reshape(p, shape) for p in (weight, bias)]
    rows = (batch, groups)
    out = _affine(c, c.g.reshape(out, x.shape), spread[0], spread[1])
    return out, c.g.reshape(mean, rows), c.g.reshape(inverse, rows)


@lowers("_native_batch_norm_legit_no_training")
def _batch_norm(c: Call) -> tuple[Expr | None, ...]:
    x = c.x("input")
    shape = (x.shape[1], *(1,) * (x.rank - 2))

    def channel(name: str) -> Expr | None:
        p = c.maybe(name)
        return None if p is None else c.g.reshape(p, shape)

    mean, variance = channel("running_mean"), channel("running_var")
    assert mean is not None
    assert variance is not None
    inverse = c.ops.apply("rsqrt", c.ops.add(variance, c.ops.literal(float(c["eps"]), F32)))
    out = c.ops.mul(c.ops.binary("sub", x, mean), inverse)
    return _affine(c, out, channel("weight"), channel("bias")), None, None


# --- products -----------------------------------------------------------------------------------


def _matmul(c: Call, a: Expr, b: Expr) -> Expr:
    """torch.matmul: 1-d operands are a row or a column."""
    row, column = a.rank == 1, b.rank == 1
    a = c.ops.unsqueeze(a, 0) if row else a
    b = b if column else c.ops.transpose(b)
    b = c.ops.unsqueeze(b, 0) if column else b
    return c.g.reshape(c.ops.product(a, b), c.shape)


@lowers("mm", "bmm", "matmul", "mv", "dot")
def _product(c: Call) -> Expr:
    second = next(name for name in ("mat2", "vec", "other", "tensor") if name in c.arguments)
    a, b = c.x("self"), c.x(second)
    if not (a.element.is_float and b.element.is_float):
        raise c.refuse(f"product of {a.element.value} and {b.element.value}, want float32")
    return _matmul(c, a, b)


@lowers("addmm", "baddbmm", "addmv")
def _addmm(c: Call) -> Expr:
    names = {"addmm": ("mat1", "mat2"), "baddbmm": ("batch1", "batch2"), "addmv": ("mat", "vec")}
    first, second = names[c.name.partition(".")[0]]
    out, bias = _matmul(c, c.x(first), c.x(second)), c.x("self")
    if c.get("alpha", 1) != 1:
        out = c.ops.mul(out, c.ops.literal(float(c["alpha"]), F32))
    beta = float(c.get("beta", 1))
    if beta == 0:
        return out
    if beta != 1:
        bias = c.ops.mul(bias, c.ops.literal(beta, F32))
    return c.ops.add(out, bias)


@lowers("linear")
def _linear(c: Call) -> Expr:
    x, bias = c.x("input"), c.maybe("bias")
    rows = c.ops.unsqueeze(x, 0) if x.rank == 1 else x
    out = c.g.reshape(c.ops.product(rows, c.x("weight")), c.shape)
    return out if bias is None else c.ops.add(out, bias)


@lowers("scaled_dot_product_attention")
def _attention(c: Call) -> Expr:
    if float(c["dropout_p"]):
        raise c.refuse("dropout in training mode: call .eval() on the module")
    q, k, v = c.x("query"), c.x("key"), c.x("value")
    if c["enable_gqa"] and k.shape[-3] != q.shape[-3]:
        k, v = (_repeat_heads(c, x, q.shape[-3]) for x in (k, v))
    return c.ops.attention(
        q, k, v, c.maybe("attn_mask"), causal=bool(c["is_causal"]), scale=c["scale"]
    )


def _repeat_heads(c: Call, x: Expr, heads: int) -> Expr:
    """Each head of keys or values, repeated for its group of queries."""
    *head, own, length, width = x.shape
    split = c.g.reshape(x, (*head, own, 1, length, width))
    spread = c.g.expand(split, (*head, own, heads // own, length, width))
    return c.g.reshape(spread, (*head, heads, length, width))
