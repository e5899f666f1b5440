"""Computes the coefficients of ``protocol.spec.library``: ``python -m scripts.fit_library``.

Minimax fits by Lawson's iteration (weighted least squares whose weights grow where the error is
largest) on Chebyshev nodes, in binary64.  Coefficients are rounded to binary32 one by one, lowest
degree first, and the others are fitted again each time, so that the later ones absorb the rounding
of the earlier ones.  The reference functions are Python's ``math``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

D = npt.NDArray[np.float64]

NODES = 1200
ITERATIONS = 120


def nodes(low: float, high: float) -> D:
    """Chebyshev nodes of [low, high]."""
    k = np.arange(NODES)
    return (low + high) / 2 - (high - low) / 2 * np.cos(np.pi * (k + 0.5) / NODES)


def table(f: Callable[[float], float], x: D) -> D:
    return np.array([f(float(v)) for v in x])


def _lawson(columns: D, target: D, weight: D, denominator: Callable[[D], D]) -> tuple[float, D]:
    """Coefficients c that minimise max |weight * (columns c - target) / denominator(c)|."""
    growth = np.ones_like(target)
    below = np.ones_like(target)
    best: tuple[float, D] = (math.inf, np.zeros(columns.shape[1]))
    for _ in range(ITERATIONS):
        w = np.sqrt(growth) * weight / np.abs(below)
        solution = np.linalg.lstsq(columns * w[:, None], target * w, rcond=None)[0]
        c = np.asarray(solution, np.float64)
        below = denominator(c)
        error = np.abs(weight * (columns @ c - target) / below)
        worst = float(error.max())
        if worst < best[0]:
            best = (worst, c)
        growth = growth * (error / max(worst, 1e-300) + 1e-9)
        growth /= growth.max()
    return best


def fit(
    x: D, f: D, weight: D, top: int, bottom: int = 0, known: tuple[float, ...] = ()
) -> tuple[tuple[float, ...], tuple[float, ...], float]:
    """f(x) ~ P(x)/Q(x), deg P = top, deg Q = bottom, Q(0) = 1; ``known`` are P's first terms.

    Returns the f32 coefficients of P and of Q (lowest degree first) and log2 of the largest
    weighted error.
    """
    scale = 2.0 ** math.ceil(math.log2(float(np.abs(x).max())))  # exact to undo
    v = x / scale
    powers: D = np.vander(v, max(top, bottom) + 1, increasing=True)
    columns = np.concatenate([powers[:, : top + 1], -f[:, None] * powers[:, 1 : bottom + 1]], 1)
    exponents = [*range(top + 1), *range(1, bottom + 1)]
    order = sorted(range(len(exponents)), key=lambda k: (exponents[k], k))
    value = np.zeros(len(exponents))
    value[: len(known)] = np.array(known) * scale ** np.arange(len(known))
    free = [k for k in order if not (k < len(known))]
    worst = math.inf
    while free:
        fixed = [k for k in range(len(exponents)) if k not in free]
        rest = f - columns[:, fixed] @ value[fixed]

        def below(c: D, free: list[int] = free) -> D:
            full = value.copy()
            full[free] = c
            return np.asarray(1 + powers[:, 1 : bottom + 1] @ full[top + 1 :], np.float64)

        worst, c = _lawson(columns[:, free], rest, weight, below)
        size = scale ** exponents[free[0]]
        value[free[0]] = float(np.float32(c[0] / size)) * size
        free = free[1:]
    coefficients = value / scale ** np.array(exponents)
    p, q = coefficients[: top + 1], np.concatenate([[1.0], coefficients[top + 1 :]])
    error = np.abs(weight * (np.polyval(p[::-1], x) / np.polyval(q[::-1], x) - f))
    return tuple(map(float, p)), tuple(map(float, q)), math.log2(float(error.max()))


def fit_root(
    x: D, f: D, weight: D, root: int, top: int, known: tuple[float, ...] = ()
) -> tuple[tuple[float, ...], float]:
    """f(x) ~ P(x)^root: coefficients of P and log2 of the largest weighted error of the power."""
    g = f ** (1 / root)
    p, _, _ = fit(x, g, weight * root * g ** (root - 1), top, 0, known)
    error = np.abs(weight * (np.polyval(p[::-1], x) ** root - f))
    return p, math.log2(float(error.max()))


def show(name: str, coefficients: tuple[float, ...], error: float | None = None) -> None:
    rounded = ", ".join(repr(float(str(np.float32(c)))) for c in coefficients)
    note = "" if error is None else f"  # 2^{error:.1f}"
    print(f"{name} = ({rounded}){note}")


def main() -> None:
    half = math.log(2) / 2
    r = nodes(-half * 1.001, half * 1.001)
    r = r[np.abs(r) > 1e-5]
    p, _, e = fit(r, (table(math.expm1, r) - r) / r**2, r**2 / np.abs(np.expm1(r)), 4)
    show("EXP", p, e)

    s = nodes(1e-4, (math.sqrt(2) - 1) / (math.sqrt(2) + 1) * 1.001)
    z = s * s
    full = 2 * table(math.atanh, s)
    p, _, e = fit(z, (full - 2 * s) / (s * z), s * z / full, 2)
    show("LOG", p, e)

    x = nodes(1e-3, 0.65)
    t = table(math.tanh, x) / x
    p, _, e = fit(x * x, (t - 1) / x**2, x**2 / t, 4)
    show("TANH_SMALL", (1.0, *p), e)

    x = nodes(1e-3, 1.03)
    t = table(math.erf, x) / x
    p, _, e = fit(x * x, t - 1, 1 / t, 5)
    show("ERF_SMALL", p, e)
    x = nodes(1.03, 4.0)
    p, e = fit_root(x, table(math.erfc, x), np.ones_like(x), 4, 7)
    show("ERFC_ROOT", p, e)

    x = nodes(0.0, 5.4)
    t = table(lambda v: math.erfc(v / math.sqrt(2)), x)
    p, e = fit_root(x, t, np.full_like(x, 0.5), 4, 8, (1.0,))
    show("PHI_ROOT", p, e)

    y = nodes(1e-3, math.pi / 4 * 1.001)
    u = y * y
    p, _, e = fit(u, (np.sin(y) - y) / (y * u), y * u / np.sin(y), 2)
    show("SIN", p, e)
    p, _, e = fit(u, (np.cos(y) - 1 + u / 2) / u**2, u**2, 2)
    show("COS", (1.0, -0.5, *p), e)

    y = nodes(1e-3, 1.0)
    t = table(math.atan, y) / y
    p, q, e = fit(y * y, (t - 1) / y**2, y**2 / t, 2, 3)
    show("ATAN_TOP", p, e)
    show("ATAN_BOTTOM", q)


if __name__ == "__main__":
    main()
