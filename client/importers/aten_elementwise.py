"""Elementwise operators."""

from __future__ import annotations

from client.compiler.graph import Element, Expr
from client.importers.table import Call, lowers
from protocol.spec.assembler import f32_bits

F32, I64, BOOL = Element.F32, Element.I64, Element.BOOL


def _unary(function: str) -> None:
    def lower(c: Call) -> Expr:
        return c.ops.apply(function, c.x(element=c.element))

    names = {"trunc": ("trunc", "fix"), "round": ("round",)}.get(function, (function,))
    lowers(*names)(lower)


def _rounding(function: str) -> None:
    def lower(c: Call) -> Expr:
        x = c.x()
        return c.ops.apply(function, x) if x.element.is_float else x

    lowers(function)(lower)


for _name in (
    *("sqrt", "rsqrt", "reciprocal", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p"),
    *("sigmoid", "silu", "tanh", "erf", "sin", "cos", "atan", "neg", "abs", "relu", "sign"),
    *("hardsigmoid", "hardswish"),
):
    _unary(_name)
for _name in ("floor", "ceil", "trunc", "round"):
    _rounding(_name)


@lowers("tan")
def _tan(c: Call) -> Expr:
    x = c.x("self", F32)
    return c.ops.apply("div", c.ops.apply("sin", x), c.ops.apply("cos", x))


@lowers("atan2")
def _atan2(c: Call) -> Expr:
    return c.ops.apply("atan2", c.x("self", F32), c.x("other", F32))


@lowers("gelu")
def _gelu(c: Call) -> Expr:
    return c.ops.apply("gelu_tanh" if c["approximate"] == "tanh" else "gelu", c.x())


@lowers("elu")
def _elu(c: Call) -> Expr:
    bits = [f32_bits(float(c[name])) for name in ("alpha", "scale", "input_scale")]
    return c.ops.apply("elu", c.x(), params=bits)


@lowers("leaky_relu")
def _leaky_relu(c: Call) -> Expr:
    return c.ops.apply("leaky_relu", c.x(), params=(f32_bits(float(c["negative_slope"])),))


@lowers("softplus")
def _softplus(c: Call) -> Expr:
    bits = [f32_bits(float(c[name])) for name in ("beta", "threshold")]
    return c.ops.apply("softplus", c.x(), params=bits)


@lowers("add.Tensor", "add.Scalar", "sub.Tensor", "sub.Scalar", "rsub.Scalar", "rsub.Tensor")
def _add(c: Call) -> Expr:
    a, b = c.x("self", c.element), c.x("other", c.element)
    if c.get("alpha", 1) != 1:
        scaled = a if c.name.startswith("rsub") else b
        scaled = c.ops.mul(scaled, c.ops.literal(c["alpha"], c.element))
        a, b = (scaled, b) if c.name.startswith("rsub") else (a, scaled)
    if c.name.startswith("rsub"):
        a, b = b, a
    if c.element is BOOL:
        return c.ops.apply("or", a, b, params=(BOOL.value,))
    return c.ops.binary("add" if c.name.startswith("add") else "sub", a, b)


@lowers("mul.Tensor", "mul.Scalar")
def _mul(c: Call) -> Expr:
    a, b = c.x("self", c.element), c.x("other", c.element)
    return c.ops.mul(a, b)


@lowers("div.Tensor", "div.Scalar", "div.Tensor_mode", "div.Scalar_mode", "floor_divide")
def _div(c: Call) -> Expr:
    a, b = c.x("self", c.element), c.x("other", c.element)
    mode = "floor" if c.name.startswith("floor") else c.get("rounding_mode")
    if not c.element.is_float:
        return c.ops.apply(f"i{mode}_div", a, b, params=(c.element.value,))
    out = c.ops.apply("div", a, b)
    return out if mode is None else c.ops.apply(mode, out)


@lowers("remainder.Tensor", "remainder.Scalar", "fmod.Tensor", "fmod.Scalar")
def _remainder(c: Call) -> Expr:
    a, b = c.x("self", c.element), c.x("other", c.element)
    mode = "floor" if c.name.startswith("remainder") else "trunc"
    if c.element.is_float:
        return c.ops.apply(f"{mode}_mod", a, b)
    return c.ops.apply(f"i{mode}_mod", a, b, params=(c.element.value,))


@lowers("pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar")
def _pow(c: Call) -> Expr:
    exponent = c["exponent"]
    if isinstance(exponent, Expr):
        if not c.element.is_float:
            raise c.refuse("integer powers want a constant exponent")
        return c.ops.apply("power", c.x("self", F32), c.x("exponent", F32))
    x = c.x("self", c.element)
    if not c.element.is_float:
        if exponent < 0 or exponent > 64:
            raise c.refuse(f"integer power {exponent}, want 0 to 64")
        return c.ops.apply("ipower", x, params=(c.element.value, int(exponent)))
    return c.ops.apply("power_constant", x, params=(f32_bits(float(exponent)),))


@lowers("maximum", "minimum", "clamp_min.Tensor", "clamp_max.Tensor")
def _extremum(c: Call) -> Expr:
    other = next(name for name in ("other", "min", "max") if name in c.arguments)
    a, b = c.x("self", c.element), c.x(other, c.element)
    kind = "max" if c.name.startswith(("maximum", "clamp_min")) else "min"
    return _bound(c, kind, a, b)


def _bound(c: Call, kind: str, a: Expr, b: Expr) -> Expr:
    if c.element.is_float:
        return c.ops.apply("f" + kind, a, b)
    return c.ops.apply("i" + kind, a, b, params=(c.element.value,))


@lowers("clamp", "clamp.Tensor", "clamp_min", "clamp_max", "hardtanh")
def _clamp(c: Call) -> Expr:
    low = "min_val" if "min_val" in c.arguments else "min"
    high = "max_val" if "max_val" in c.arguments else "max"
    out = c.x("self", c.element)
    for kind, name in (("max", low), ("min", high)):
        bound = c.maybe(name, c.element)
        if bound is not None:
            out = _bound(c, kind, out, bound)
    return out


def _compare(name: str, function: str, *, swap: bool, negate: bool) -> None:
    def lower(c: Call) -> Expr:
        a, b = c.common("self", "other")
        a, b = (b, a) if swap else (a, b)
        out = c.ops.compare(function, a, b)
        return c.ops.apply("logical_not", out) if negate else out

    lowers(f"{name}.Tensor", f"{name}.Scalar")(lower)


_compare("eq", "eq", swap=False, negate=False)
_compare("ne", "eq", swap=False, negate=True)
_compare("lt", "lt", swap=False, negate=False)
_compare("gt", "lt", swap=True, negate=False)
_compare("le", "le", swap=False, negate=False)
_compare("ge", "le", swap=True, negate=False)


def _bitwise(name: str, function: str) -> None:
    def lower(c: Call) -> Expr:
        a, b = c.x("self", c.element), c.x("other", c.element)
        return c.ops.apply(function, a, b, params=(c.element.value,))

    lowers(f"{name}.Tensor", f"{name}.Scalar", f"__{function}__.Scalar")(lower)


for _name in ("and", "or", "xor"):
    _bitwise(f"bitwise_{_name}", _name)


def _logical(function: str) -> None:
    def lower(c: Call) -> Expr:
        return c.ops.apply(function, c.x("self", BOOL), c.x("other", BOOL), params=(BOOL.value,))

    lowers(f"logical_{function}")(lower)


for _name in ("and", "or", "xor"):
    _logical(_name)


@lowers("logical_not")
def _logical_not(c: Call) -> Expr:
    return c.ops.apply("logical_not", c.x("self", BOOL))


@lowers("bitwise_not")
def _bitwise_not(c: Call) -> Expr:
    return c.ops.apply("logical_not" if c.element is BOOL else "not", c.x())


@lowers("bitwise_left_shift.Tensor", "bitwise_left_shift.Tensor_Scalar", "__lshift__.Scalar")
def _shift_left(c: Call) -> Expr:
    a, b = c.x("self", c.element), c.x("other", c.element)
    return c.ops.apply("shl", a, b, params=(c.element.value,))


@lowers("bitwise_right_shift.Tensor", "bitwise_right_shift.Tensor_Scalar", "__rshift__.Scalar")
def _shift_right(c: Call) -> Expr:
    a, b = c.x("self", c.element), c.x("other", c.element)
    return c.ops.apply("shr", a, b, params=(c.element.value,))


@lowers("isnan", "isinf")
def _is_special(c: Call) -> Expr:
    x = c.x()
    if not x.element.is_float:
        return c.ops.full(x.shape, False, BOOL)
    return c.ops.apply(c.name.partition(".")[0], x, to=BOOL)


@lowers("where.self", "where.ScalarOther", "where.ScalarSelf", "where.Scalar")
def _where(c: Call) -> Expr:
    a, b = c.x("self", c.element), c.x("other", c.element)
    return c.ops.select(c.x("condition", BOOL), a, b)


@lowers("masked_fill.Scalar", "masked_fill.Tensor")
def _masked_fill(c: Call) -> Expr:
    return c.ops.select(c.x("mask", BOOL), c.x("value", c.element), c.x("self", c.element))


@lowers("_to_copy", "to.dtype", "to.dtype_layout", "prims::convert_element_type")
def _to_copy(c: Call) -> Expr:
    return c.ops.cast(c.x(), c.element)


@lowers("native_dropout")
def _native_dropout(c: Call) -> tuple[Expr | None, ...]:
    if c["train"]:
        raise c.refuse("dropout in training mode: call .eval() on the module")
    return c.x("input"), c.ops.full(c.x("input").shape, True, BOOL)


@lowers("dropout")
def _dropout(c: Call) -> Expr:
    if c["train"]:
        raise c.refuse("dropout in training mode: call .eval() on the module")
    return c.x("input")


# --- constants ----------------------------------------------------------------------------------


@lowers("full", "full_like", "scalar_tensor", "new_full")
def _full(c: Call) -> Expr:
    value = c["s"] if "s" in c.arguments else c["fill_value"]
    return c.ops.full(c.shape, value, c.element)


@lowers("zeros", "zeros_like", "new_zeros")
def _zeros(c: Call) -> Expr:
    return c.ops.full(c.shape, 0, c.element)


@lowers("ones", "ones_like", "new_ones")
def _ones(c: Call) -> Expr:
    return c.ops.full(c.shape, 1, c.element)


@lowers("arange.start_step", "arange", "arange.start")
def _arange(c: Call) -> Expr:
    start, step = c.get("start", 0), c.get("step", 1)
    at = c.g.coordinate(c.shape, 0)
    if c.element.is_float:
        scaled = c.ops.mul(c.ops.cast(at, F32), c.ops.literal(float(step), F32))
        return c.ops.add(scaled, c.ops.literal(float(start), F32))
    scaled = c.ops.mul(at, c.ops.literal(int(step), I64))
    return c.ops.cast(c.ops.add(scaled, c.ops.literal(int(start), I64)), c.element)


@lowers("eye", "eye.m")
def _eye(c: Call) -> Expr:
    row, column = c.g.coordinate(c.shape, 0), c.g.coordinate(c.shape, 1)
    return c.ops.cast(c.ops.compare("eq", row, column), c.element)


@lowers("tril", "triu")
def _triangle(c: Call) -> Expr:
    x = c.x()
    row, column = (c.g.coordinate(x.shape, x.rank - k) for k in (2, 1))
    edge = c.ops.add(row, c.ops.literal(int(c["diagonal"]), I64))
    lower = c.name.startswith("tril")
    inside = c.ops.compare("le", *((column, edge) if lower else (edge, column)))
    return c.ops.select(inside, x, c.ops.literal(0, x.element))


