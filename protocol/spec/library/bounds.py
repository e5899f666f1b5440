"""The largest errors of the library, as measured, and its costs.

``python -m scripts.measure_library`` measures them again (``--full``: over all 2^32 inputs), and
``tests/spec/test_library.py`` fails when a sample of two million inputs a function finds more, or
so much less that the bound says little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Unit(Enum):
    """What an error is divided by.  ulp(y) is the distance between neighbouring f32 at |y|."""

    ULP = "ulp"
    """ulp(exact value)."""
    ULP_OF_X = "ulp of x"
    """ulp(x): for x times something that is at most 1, where the tail near 0 does not matter."""
    ULP_OF_1 = "2^-23"
    """2^-23: an absolute error, for what lies in [-1, 1] and crosses 0."""


@dataclass(frozen=True, slots=True)
class Bound:
    """|f(x) - exact| <= error units for every finite x with low <= x <= high.

    ``floor``: exact values smaller in magnitude count as if they were this large.
    ``instructions``: length of the code that is f(load), the load and the literals included.
    """

    error: float
    instructions: int
    unit: Unit = Unit.ULP
    low: float = -math.inf
    high: float = math.inf
    floor: float = 2.0**-126


BOUNDS: Final[dict[str, Bound]] = {
    "exp": Bound(1.1, 34),
    "exp_nonpositive": Bound(1.1, 32, high=0.0),
    "exp2": Bound(1.1, 29),
    "expm1": Bound(1.7, 40),
    "log": Bound(1.0, 44, low=0.0),
    "log2": Bound(1.9, 41, low=0.0),
    "log10": Bound(2.1, 46, low=0.0),
    "log1p": Bound(1.0, 56, low=-1.0),
    "sigmoid": Bound(2.5, 39),
    "silu": Bound(3.3, 42, floor=2.0**-118),
    "softplus": Bound(1.9, 72),
    "tanh": Bound(1.5, 64),
    "erf": Bound(2.1, 56),
    "gelu": Bound(3.2, 38, Unit.ULP_OF_X),
    "gelu_tanh": Bound(1.7, 44, Unit.ULP_OF_X),
    "sin": Bound(1.0, 77, Unit.ULP_OF_1),
    "cos": Bound(1.0, 79, Unit.ULP_OF_1),
    "atan": Bound(2.4, 36),
    "reciprocal": Bound(0.5, 3),
    "rsqrt": Bound(1.5, 4, low=0.0),
}
