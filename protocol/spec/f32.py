"""All floating-point policy of the specification, in one place.

Values are NumPy float32 arrays.  Every function returns canonical values: the only NaN is
0x7fc00000.  NumPy's float32 add, subtract, multiply, divide and square root round once to nearest
even and keep subnormals (IEEE-754 binary32); ``tests/differential`` compares them with Berkeley
SoftFloat.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from protocol.spec.constants import (
    CANONICAL_NAN,
    EXPONENT_OF_INF,
    EXPONENT_OF_NAN,
    EXPONENT_OF_ZERO,
    LDEXP_CLAMP,
)

F = npt.NDArray[np.float32]
I = npt.NDArray[np.int64]  # noqa: E741 - the two register types are called F and I

NAN = np.array(CANONICAL_NAN, np.uint32).view(np.float32)
INT64_MIN = -(1 << 63)
INT64_MAX = (1 << 63) - 1


def canonical(x: F) -> F:
    """x with every NaN replaced by the canonical one."""
    nan = np.isnan(x)
    return np.where(nan, NAN, x) if nan.any() else x


def key(x: F) -> I:
    """Total order of f32 as integers: -inf < ... < -0 < +0 < ... < inf < NaN.

    key(x) = bits ^ ((bits >> 31) & 0x7fffffff), bits as a signed 32-bit integer.
    """
    bits = np.asarray(canonical(x), np.float32).view(np.int32)
    return (bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))).astype(np.int64)


def add(a: F, b: F) -> F:
    return canonical(np.add(a, b, dtype=np.float32))


def sub(a: F, b: F) -> F:
    return canonical(np.subtract(a, b, dtype=np.float32))


def mul(a: F, b: F) -> F:
    return canonical(np.multiply(a, b, dtype=np.float32))


def div(a: F, b: F) -> F:
    return canonical(np.divide(a, b, dtype=np.float32))


def sqrt(a: F) -> F:
    return canonical(np.sqrt(a, dtype=np.float32))


def maximum(a: F, b: F) -> F:
    """The greater by ``key``: a NaN wins, +0 beats -0."""
    return np.where(key(a) >= key(b), a, b)


def minimum(a: F, b: F) -> F:
    """NaN if either is NaN, otherwise the smaller by ``key``."""
    return np.where(np.isnan(a) | np.isnan(b), NAN, np.where(key(a) <= key(b), a, b))


def to_bits(x: F) -> I:
    """The 32 bits as a signed integer."""
    return np.asarray(x, np.float32).view(np.int32).astype(np.int64)


def from_bits(bits: I) -> F:
    """The f32 of the low 32 bits, canonical."""
    return canonical(np.asarray(bits, np.int64).astype(np.int32).view(np.float32))


def from_int(x: I) -> F:
    """int64 to f32, one rounding to nearest even."""
    return np.asarray(x, np.int64).astype(np.float32)


def to_int(x: F) -> I:
    """An integral f32 to int64, saturating; NaN gives 0."""
    wide = np.asarray(x, np.float64)
    low, high = wide < -(2.0**63), wide >= 2.0**63
    safe = np.where(np.isnan(wide) | low | high, 0.0, wide).astype(np.int64)
    return np.where(high, np.int64(INT64_MAX), np.where(low, np.int64(INT64_MIN), safe))


def ldexp(x: F, n: I) -> F:
    """x * 2^n rounded once, n first clamped to +-300.

    In binary64 the product is exact (2^-149 * 2^-300 is normal there), so the conversion back is
    the one rounding.
    """
    n64 = np.clip(np.asarray(n, np.int64), -LDEXP_CLAMP, LDEXP_CLAMP)
    scale = ((n64 + 1023) << 52).view(np.float64)
    return canonical((np.asarray(x, np.float64) * scale).astype(np.float32))


def exponent(x: F) -> I:
    """floor(log2 |x|) for finite non-zero x, subnormals included; -200 for zero, 200 for an
    infinity, 201 for NaN."""
    wide = np.asarray(x, np.float64)
    e = np.frexp(np.where(np.isfinite(wide), wide, 1.0))[1].astype(np.int64) - 1
    e = np.where(wide == 0, EXPONENT_OF_ZERO, e)
    e = np.where(np.isinf(wide), EXPONENT_OF_INF, e)
    return np.where(np.isnan(wide), EXPONENT_OF_NAN, e)


def tree_sum(x: F) -> F:
    """Sum over the last axis: the tree of adjacent pairs, an odd node carried up, then + 0.0.

    The empty sum is +0.
    """
    if x.shape[-1] == 0:
        return np.zeros(x.shape[:-1], np.float32)
    while x.shape[-1] > 1:
        paired = x.shape[-1] // 2 * 2
        level = add(x[..., 0:paired:2], x[..., 1:paired:2])
        x = np.concatenate([level, x[..., paired:]], axis=-1)
    return add(x[..., 0], np.zeros((), np.float32))
