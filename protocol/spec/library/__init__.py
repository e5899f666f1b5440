"""The library: functions over registers, written inline into programs.

Each takes and gives registers of one ``assembler.Code``.  What a program carries is the
instructions, so the version of the library never matters to who runs or checks a program.
``bounds.BOUNDS`` holds the largest error of each function, measured by
``python -m scripts.measure_library``.
"""

from __future__ import annotations

from protocol.spec.library.activation import erf, gelu, gelu_tanh, tanh
from protocol.spec.library.algebraic import power, power_constant, power_int, reciprocal, rsqrt
from protocol.spec.library.exponential import (
    exp,
    exp2,
    exp_nonpositive,
    expm1,
    log,
    log1p,
    log2,
    log10,
    sigmoid,
    silu,
    softplus,
)
from protocol.spec.library.quantise import (
    dequantise,
    inv_scale,
    quantise,
    quantise_scaled,
    scale,
)
from protocol.spec.library.random import normal, philox4x32_10, uniform
from protocol.spec.library.trigonometric import atan, atan2, cos, sin

__all__ = [
    "atan",
    "atan2",
    "cos",
    "dequantise",
    "erf",
    "exp",
    "exp2",
    "exp_nonpositive",
    "expm1",
    "gelu",
    "gelu_tanh",
    "inv_scale",
    "log",
    "log10",
    "log1p",
    "log2",
    "normal",
    "philox4x32_10",
    "power",
    "power_constant",
    "power_int",
    "quantise",
    "quantise_scaled",
    "reciprocal",
    "rsqrt",
    "scale",
    "sigmoid",
    "silu",
    "sin",
    "softplus",
    "tanh",
    "uniform",
]
