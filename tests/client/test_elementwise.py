"""Elementwise operators against PyTorch. Tolerances are relative: a few units in the last place of
f32 (1.2e-7) for functions, none where both round once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.client.running import check, kinds

torch.manual_seed(0)
X = torch.randn(3, 7) * 3
Y = torch.randn(3, 7)
POSITIVE = X.abs() + 0.1
SPECIAL = torch.tensor([0.0, -0.0, 1.0, -1.5, math.inf, -math.inf, math.nan, 2.5, 0.5, -2.5])
WHOLE = torch.tensor([[-9, -4, 0, 5], [3, 7, -2, 100]])
DIVISOR = torch.tensor([[2, -3, 4, -5], [-2, 3, 7, 9]])

EXACT: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "add alpha": lambda x, y: torch.add(x, y, alpha=2),
    "sub": lambda x, y: x - y,
    "rsub": lambda x, y: 1.5 - x,
    "mul": lambda x, y: x * y * 0.25,
    "div": lambda x, y: x / y,
    "neg, abs": lambda x, y: (-x, x.abs()),
    "maximum, minimum": lambda x, y: (torch.maximum(x, y), torch.minimum(x, y)),
    "clamp": lambda x, y: (x.clamp(-1, 2), x.clamp(min=0.5), x.clamp(max=0.5)),
    "relu": lambda x, y: (x.relu(), F.relu6(x), F.leaky_relu(x, 0.125)),
    "rounding": lambda x, y: (x.floor(), x.ceil(), x.trunc(), x.round()),
    "compare": lambda x, y: (x < y, x <= y, x > y, x >= y, x == y, x != y),
    "compare number": lambda x, y: (x < 1, x >= 0.5, x == 2),
    "where": lambda x, y: torch.where(x > 0, x, y),
    "masked fill": lambda x, y: x.masked_fill(y > 0, -math.inf),
    "logic": lambda x, y: ((x > 0) & (y > 0), (x > 0) | (y > 0), ~(x > 0), (x > 0) ^ (y > 0)),
    "logical": lambda x, y: (torch.logical_and(x, y), torch.logical_not(x)),
    "square": lambda x, y: x**2,
    "cube": lambda x, y: x**3,
    "sign": lambda x, y: x.sign(),
    "casts": lambda x, y: (x.long(), x.bool(), (x > 0).float(), x.int(), (x > 0).long()),
    "broadcast": lambda x, y: x + y[:, :1] * y[0],
    "reciprocal": lambda x, y: 1 / x,
}

CLOSE: dict[str, Callable[[Tensor], Any]] = {
    "exp": torch.exp,
    "exp2": torch.exp2,
    "expm1": torch.expm1,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "silu": F.silu,
    "softplus": F.softplus,
    "elu": F.elu,
    "selu": F.selu,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "mish": F.mish,
    "log": lambda x: x.abs().log(),
    "log2": lambda x: x.abs().log2(),
    "log10": lambda x: x.abs().log10(),
    "log1p": lambda x: x.abs().log1p(),
    "sqrt": lambda x: x.abs().sqrt(),
    "rsqrt": lambda x: x.abs().rsqrt(),
    "power": lambda x: x.abs() ** 1.7,
    "power of tensors": lambda x: x.abs() ** x,
    "sin": torch.sin,
    "cos": torch.cos,
    "atan": torch.atan,
    "atan2": lambda x: torch.atan2(x, Y),
}


@pytest.mark.parametrize("name", EXACT)
def test_compile__exactly_rounded_operators__equal_to_pytorch(name: str) -> None:
    check(EXACT[name], X, Y)


@pytest.mark.parametrize("name", CLOSE)
def test_compile__functions__within_a_few_ulp_of_pytorch(name: str) -> None:
    check(CLOSE[name], X, rtol=2e-6, atol=2e-7)


def test_compile__gelu__within_absolute_tolerance_of_pytorch() -> None:
    check(lambda x: (F.gelu(x), F.gelu(x, approximate="tanh")), X, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["exp", "sigmoid", "tanh", "erf", "expm1"])
def test_compile__infinities_and_nan__as_pytorch(name: str) -> None:
    check(CLOSE[name], SPECIAL, rtol=2e-6, atol=2e-7)


def test_compile__nan_tests_and_rounding_of_specials__as_pytorch() -> None:
    check(lambda x: (x.isnan(), x.isinf(), x.round(), x.relu(), x.clamp(-1, 1)), SPECIAL)


def test_compile__integers__equal_to_pytorch() -> None:
    check(
        lambda a, b: (
            *(a + b, a - b, a * b, -a, a.abs(), a // b, a % b, torch.fmod(a, b), a**3),
            *(torch.div(a, b, rounding_mode="trunc"), a & b, a | b, a ^ b, ~a, a << 2, a >> 1),
            *(a.clamp(-3, 4), torch.maximum(a, b), a < b, a == 3, a / b, a + 0.5),
        ),
        WHOLE,
        DIVISOR,
    )


def test_compile__narrow_integers__wrap_as_pytorch() -> None:
    small = torch.tensor([100, -100, 127, -128], dtype=torch.int8)
    check(lambda a: (a + a, a * a, (a + a) < 0, a.to(torch.int16) * 300), small)


def test_compile__float_remainders__equal_to_pytorch() -> None:
    check(lambda x, y: (torch.fmod(x, 0.75), torch.remainder(x, 0.75)), X, Y, atol=1e-6)


def test_compile__constants__made_in_the_program() -> None:
    check(
        lambda x: (
            x + torch.arange(7),
            torch.arange(2, 14, 3) + x[0, :4].long(),
            torch.full_like(x, 3.5),
            torch.zeros_like(x) + torch.ones(7),
            torch.tril(torch.ones(7, 7)) * x[0],
        ),
        X,
    )


def test_compile__chain_of_elementwise_work__one_operation() -> None:
    compiled = check(lambda x, y: ((x + y) * 2 - x).relu() / 3, X, Y)
    assert kinds(compiled) == ["MAP"]


def test_compile__value_wanted_twice__computed_once_if_costly_again_if_cheap() -> None:
    costly = check(lambda x: (x.tanh().sum(1), x.tanh().amax(1)), X, rtol=1e-5, atol=1e-6)
    assert kinds(costly) == ["MAP", "REDUCE", "REDUCE"]
    cheap = check(lambda x: ((x + 1).sum(1), (x + 1).amax(1)), X, rtol=1e-6)
    assert kinds(cheap) == ["REDUCE", "REDUCE"]


def test_compile__more_than_a_template_holds__split() -> None:
    def many(*xs: Tensor) -> Tensor:
        total = xs[0]
        for x in xs[1:]:
            total = total * 0.5 + x
        return total

    tensors = [torch.randn(4, 3) for _ in range(30)]
    compiled = check(many, *tensors)
    assert kinds(compiled).count("MAP") >= 3

    def long(x: Tensor) -> Tensor:
        for _ in range(20):
            x = torch.sigmoid(x) * 1.5
        return x

    assert len(kinds(check(long, X, rtol=1e-5, atol=1e-6))) >= 2


def test_compile__very_long_chain__cut_into_operations() -> None:
    def chain(x: Tensor) -> Tensor:
        for _ in range(700):
            x = x * 0.5 + 1
        return x

    assert len(kinds(check(chain, X, rtol=1e-6))) >= 6
