"""Functions of single elements: how each is written in microcode, and what it costs.

A ``Scalar`` is a name, parameters and a cost in instructions; ``EMIT`` maps the name to what
writes it on assembler registers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from client.compiler.graph import Element
from protocol.spec import library
from protocol.spec.assembler import Code, Reg, RegF, RegI, bits_f32, f32_bits
from protocol.spec.microcode import Op

Emit = Callable[..., Reg]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A function of elements: a name of ``EMIT``, its parameters, its cost in instructions."""

    name: str
    params: tuple[int | str, ...] = ()
    cost: int = 1

    def emit(self, code: Code, args: list[Reg]) -> Reg:
        """Write the function on ``args``."""
        return EMIT[self.name](code, *self.params, *args)


def wrap(x: RegI, element: Element) -> RegI:
    """The value that a store to ``element`` and a load from it give back."""
    if element is Element.I64:
        return x
    if element is Element.BOOL:
        return nonzero(x)
    bits = 64 - 8 * element.dtype.size
    return (x << bits) >> bits


def nonzero(x: RegI) -> RegI:
    return x.eq(0) ^ 1


def _literal(code: Code, kind: str, value: int) -> Reg:
    """A number: raw bits for f32, else an integer."""
    return code.float_bits(value) if kind == Element.F32.value else code.integer(value)


def _cast(code: Code, old: str, new: str, x: Reg) -> Reg:
    """Conversion between element types, as PyTorch: towards zero, bool is "not zero"."""
    source, target = Element(old), Element(new)
    if source is target:
        return x
    if isinstance(x, RegF):
        if target is Element.BOOL:
            return x.eq(0.0) ^ 1
        return wrap(x.trunc().to_int(), target)
    if target is Element.F32:
        return x.to_f32()
    widens = source is Element.BOOL or target.dtype.size >= source.dtype.size
    return x if widens and target is not Element.BOOL else wrap(x, target)


def _int_binary(op: Op) -> Emit:
    def write(code: Code, element: str, a: RegI, b: RegI) -> Reg:
        return wrap(code.i(op, a, b), Element(element))

    return write


def _trunc_div(code: Code, element: str, a: RegI, b: RegI) -> Reg:
    """Integer quotient towards zero."""
    q = a // b
    inexact = (a % b).eq(0) ^ 1
    negative = (a ^ b).lt(0)
    return wrap(q + (inexact & negative), Element(element))


def _trunc_mod(code: Code, element: str, a: RegI, b: RegI) -> Reg:
    """Remainder with the sign of the dividend."""
    q = cast(RegI, _trunc_div(code, Element.I64.value, a, b))
    return wrap(b.eq(0).where_int(0, a - q * b), Element(element))


def _floor_mod(code: Code, a: RegF, b: RegF) -> Reg:
    """a - b * floor(a / b): remainder with the sign of the divisor, to one rounding a step."""
    return a - b * (a / b).floor()


def _float_trunc_mod(code: Code, a: RegF, b: RegF) -> Reg:
    return a - b * (a / b).trunc()


def _float_min(code: Code, a: RegF, b: RegF) -> Reg:
    return a.min(b)


def _int_power(code: Code, element: str, n: int, x: RegI) -> Reg:
    out = code.integer(1)
    for _ in range(n):
        out = out * x
    return wrap(out, Element(element))


def _sign(code: Code, x: Reg) -> Reg:
    """-1, 0 or 1; NaN and zeros are themselves."""
    if isinstance(x, RegI):
        return code.integer(0).lt(x) - x.lt(0)
    one = code.real(1.0)
    return x.lt(0.0).where(-one, code.real(0.0).lt(x).where(one, x))


def _clamp_f(code: Code, low: int, high: int, x: RegF) -> Reg:
    """min(max(x, low), high) with bounds as raw bits; NaN stays NaN."""
    return x.max(code.float_bits(low)).min(code.float_bits(high))


def _select(code: Code, condition: RegI, a: Reg, b: Reg) -> Reg:
    if isinstance(a, RegF):
        return condition.where(a, cast(RegF, b))
    return condition.where_int(a, cast(RegI, b))


def _same(code: Code, x: Reg) -> Reg:
    return x


def _on_f(function: Callable[[RegF], Reg]) -> Emit:
    def write(code: Code, x: RegF) -> Reg:
        return function(x)

    return write


def _on_reg(f: Callable[[RegF], Reg], i: Callable[[RegI], Reg]) -> Emit:
    def write(code: Code, x: Reg) -> Reg:
        return f(x) if isinstance(x, RegF) else i(x)

    return write


def _elu(code: Code, alpha: int, scale: int, inner: int, x: RegF) -> Reg:
    """scale * (x if x > 0 else alpha * expm1(inner * x)); parameters are raw bits."""
    a, s, n = (code.float_bits(bits) for bits in (alpha, scale, inner))
    negative = library.expm1(x * n) * a
    return code.real(0.0).lt(x).where(x, negative) * s


def _leaky(code: Code, slope: int, x: RegF) -> Reg:
    return code.real(0.0).lt(x).where(x, x * code.float_bits(slope))


def _softplus(code: Code, beta: int, threshold: int, x: RegF) -> Reg:
    b, limit = code.float_bits(beta), code.float_bits(threshold)
    scaled = x * b
    return limit.lt(scaled).where(x, library.softplus(scaled) / b)


def _hard_sigmoid(x: RegF) -> RegF:
    return (x + 3.0).max(0.0).min(6.0) / 6.0


def _relu_f(x: RegF) -> RegF:
    return x.max(0.0)


EMIT: dict[str, Emit] = {
    "literal": _literal,
    "same": _same,
    "cast": _cast,
    "select": _select,
    # floats
    "add": lambda code, a, b: a + b,
    "sub": lambda code, a, b: a - b,
    "mul": lambda code, a, b: a * b,
    "div": lambda code, a, b: a / b,
    "fmin": lambda code, a, b: a.min(b),
    "fmax": lambda code, a, b: a.max(b),
    "floor_mod": _floor_mod,
    "trunc_mod": _float_trunc_mod,
    "feq": lambda code, a, b: a.eq(b),
    "flt": lambda code, a, b: a.lt(b),
    "fle": lambda code, a, b: a.le(b),
    "clamp_f": _clamp_f,
    "power_constant": lambda code, bits, x: library.power_constant(x, bits_f32(bits)),
    "power": lambda code, x, y: library.power(x, y),
    "atan2": lambda code, y, x: library.atan2(y, x),
    "neg": _on_reg(lambda x: -x, lambda x: -x),
    "abs": _on_reg(lambda x: x.abs(), lambda x: x.max(-x)),
    "relu": _on_reg(_relu_f, lambda x: x.max(0)),
    "sign": _sign,
    "sqrt": _on_f(lambda x: x.sqrt()),
    "rsqrt": _on_f(library.rsqrt),
    "reciprocal": _on_f(library.reciprocal),
    "floor": _on_f(lambda x: x.floor()),
    "ceil": _on_f(lambda x: x.ceil()),
    "trunc": _on_f(lambda x: x.trunc()),
    "round": _on_f(lambda x: x.rint()),
    "isnan": _on_f(lambda x: x.eq(x) ^ 1),
    "isinf": _on_f(lambda x: x.abs().eq(math.inf)),
    "exp": _on_f(library.exp),
    "exp_nonpositive": _on_f(library.exp_nonpositive),
    "exp2": _on_f(library.exp2),
    "expm1": _on_f(library.expm1),
    "log": _on_f(library.log),
    "log2": _on_f(library.log2),
    "log10": _on_f(library.log10),
    "log1p": _on_f(library.log1p),
    "sigmoid": _on_f(library.sigmoid),
    "silu": _on_f(library.silu),
    "softplus": _softplus,
    "tanh": _on_f(library.tanh),
    "erf": _on_f(library.erf),
    "sin": _on_f(library.sin),
    "cos": _on_f(library.cos),
    "atan": _on_f(library.atan),
    "gelu": _on_f(library.gelu),
    "gelu_tanh": _on_f(library.gelu_tanh),
    "elu": _elu,
    "leaky_relu": _leaky,
    "hardsigmoid": _on_f(_hard_sigmoid),
    "hardswish": _on_f(lambda x: x * _hard_sigmoid(x)),
    # integers
    "iadd": _int_binary(Op.ADD),
    "isub": _int_binary(Op.SUB),
    "imul": _int_binary(Op.MUL),
    "ifloor_div": _int_binary(Op.DIV),
    "ifloor_mod": _int_binary(Op.MOD),
    "itrunc_div": _trunc_div,
    "itrunc_mod": _trunc_mod,
    "imin": _int_binary(Op.MIN),
    "imax": _int_binary(Op.MAX),
    "and": _int_binary(Op.AND),
    "or": _int_binary(Op.OR),
    "xor": _int_binary(Op.XOR),
    "shl": _int_binary(Op.SHL),
    "shr": _int_binary(Op.SHR),
    "not": lambda code, x: ~x,
    "logical_not": lambda code, x: x.eq(0),
    "ieq": lambda code, a, b: a.eq(b),
    "ilt": lambda code, a, b: a.lt(b),
    "ile": lambda code, a, b: a.le(b),
    "ipower": _int_power,
    # quantised products
    "to_f32": lambda code, x: x.to_f32(),
    "scale": lambda code, bound, m: library.scale(m, bound),
    "quantise": lambda code, bound, x, s: library.quantise_scaled(x, s, bound),
    "inv_scale": lambda code, bound, m: library.inv_scale(m, bound),
}

COSTS: dict[str, int] = {
    **dict.fromkeys(("exp", "exp_nonpositive", "exp2", "gelu", "tanh", "erf"), 20),
    **dict.fromkeys(("expm1", "sigmoid", "silu", "elu", "log", "log2", "log10"), 25),
    **dict.fromkeys(("log1p", "softplus", "gelu_tanh", "power", "atan2"), 35),
    **dict.fromkeys(("sin", "cos", "atan"), 30),
    **dict.fromkeys(("literal", "same"), 0),
    **dict.fromkeys(("scale", "inv_scale", "sign", "hardsigmoid", "hardswish"), 4),
    **dict.fromkeys(("power_constant",), 4),
    **dict.fromkeys(("itrunc_div", "itrunc_mod", "quantise", "floor_mod", "trunc_mod"), 4),
    **dict.fromkeys(("div", "sqrt"), 2),
    **dict.fromkeys(("rsqrt", "reciprocal"), 3),
}
"""Instructions of what is not about one; decides what is computed twice and what is kept."""


def scalar(name: str, *params: int | str) -> Scalar:
    """The function ``name`` of ``EMIT``."""
    assert name in EMIT, name
    return Scalar(name, params, COSTS.get(name, 1))


def number(value: float | int | bool, element: Element) -> Scalar:
    """A literal: rounded to f32, or an integer, or 0 or 1."""
    if element.is_float:
        return scalar("literal", element.value, f32_bits(float(value)))
    return scalar("literal", element.value, int(bool(value) if element is Element.BOOL else value))
