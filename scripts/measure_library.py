"""Measures the errors of ``protocol.spec.library``: ``python -m scripts.measure_library``.

A pinned sample of about a million inputs a function; with ``--full`` every f32 of its domain (some
minutes of one core a function, spread over ``--processes``, one a core if not given).  Names after
the options choose functions.  The reference is binary64 arithmetic, whose error is
below 2^-20 ulp of f32.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from protocol.spec import library, microcode
from protocol.spec.assembler import Code, RegF
from protocol.spec.library.bounds import BOUNDS, Bound, Unit
from protocol.spec.microcode import Op, Register
from protocol.spec.types import Instr

D = npt.NDArray[np.float64]
F = npt.NDArray[np.float32]
I = npt.NDArray[np.int64]  # noqa: E741 - the machine's two register types

SAMPLE = 1 << 20
CHUNK = 1 << 16
"""Inputs at a time: what is computed of them fits a cache."""

OVERFLOW = 2.0**128
"""An infinite result counts as this."""


@dataclass(frozen=True)
class Loads:
    """A ``microcode.Context`` where view k loads array k and nothing else exists."""

    arrays: tuple[Register, ...]

    def load(self, view: int, extra: I | None) -> Register:
        if extra is not None:
            raise ValueError("no computed loads here: only LOAD")
        return self.arrays[view]

    def coord(self, axis: int) -> I:
        raise ValueError("no coordinates here: only LOAD")

    def rcoord(self, digit: int) -> I:
        raise ValueError("no coordinates here: only LOAD")

    def index(self) -> I:
        raise ValueError("no coordinates here: only LOAD")

    def rindex(self) -> I:
        raise ValueError("no coordinates here: only LOAD")

    def scalar(self, op: Op) -> I:
        raise ValueError("no scalars here: only LOAD")

    def acc(self) -> Register:
        raise ValueError("no accumulator here: only LOAD")


def _each(f: Callable[[float], float]) -> Callable[[D], D]:
    """f over an array, by way of Python's ``math``."""
    return lambda x: np.fromiter(map(f, x.tolist()), np.float64, len(x))


def _sigmoid(x: D) -> D:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


REFERENCES: dict[str, Callable[[D], D]] = {
    "exp": np.exp,
    "exp_nonpositive": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "sigmoid": _sigmoid,
    "silu": lambda x: x * _sigmoid(x),
    "softplus": lambda x: np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))),
    "tanh": np.tanh,
    "erf": _each(math.erf),
    "gelu": lambda x: x * 0.5 * _each(math.erfc)(-x * math.sqrt(0.5)),
    "gelu_tanh": lambda x: x * _sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)),
    "sin": np.sin,
    "cos": np.cos,
    "atan": np.arctan,
    "reciprocal": lambda x: 1.0 / x,
    "rsqrt": lambda x: 1.0 / np.sqrt(x),
}


def code_of(name: str) -> tuple[Instr, ...]:
    """The code ``function(load of view 0)``."""
    function: Callable[[RegF], RegF] = getattr(library, name)
    code = Code()
    return code.finish(function(code.load_f(0)))


def ulp(y: D) -> D:
    """Distance between neighbouring f32 at |y|, 2^-149 for subnormals."""
    exponents = np.frexp(np.minimum(np.abs(y), 3.0e38))[1] - 1
    return np.asarray(np.ldexp(1.0, np.maximum(exponents, -126) - 23), np.float64)


def sample(bound: Bound, seed: int = 20) -> F:
    """A pinned sample of the domain: half random bit patterns, a quarter even in (-16, 16) and
    an eighth even in (-128, 128), the rest around powers of two and their thirds."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 1 << 32, SAMPLE, np.uint32).view(np.float32)
    near = rng.uniform(-16, 16, SAMPLE // 2).astype(np.float32)
    wide = rng.uniform(-128, 128, SAMPLE // 4).astype(np.float32)
    powers = np.ldexp(1.0, np.arange(-149, 128)).astype(np.float32)
    corners = np.concatenate([powers, powers * np.float32(1.3333334)]).view(np.int32)
    around = (corners[:, None] + np.arange(-40, 41)).clip(0, 0x7F7FFFFF).astype(np.int32).ravel()
    edges = around.view(np.float32)
    return _inside(np.concatenate([bits, near, wide, edges, -edges]), bound)


def _inside(x: F, bound: Bound) -> F:
    with np.errstate(invalid="ignore"):
        inside = (x >= bound.low) & (x <= bound.high) & np.isfinite(x) & (x != 0)
    return np.asarray(x[inside], np.float32)


def errors(name: str, x: F) -> D:
    """Errors at x in the unit of the function's bound."""
    bound = BOUNDS[name]
    got = np.asarray(microcode.run(code_of(name), Loads((x,))), np.float64)
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        exact = REFERENCES[name](wide)
    exact, got = exact.clip(-OVERFLOW, OVERFLOW), got.clip(-OVERFLOW, OVERFLOW)
    match bound.unit:
        case Unit.ULP:
            unit = ulp(np.maximum(np.abs(exact), bound.floor))
        case Unit.ULP_OF_X:
            unit = ulp(np.maximum(np.abs(wide), bound.floor))
        case Unit.ULP_OF_1:
            unit = np.full_like(wide, 2.0**-23)
    # A NaN on one side only would be an infinite error; on both sides there is none.
    wrong = np.isnan(got) != np.isnan(exact)
    return np.where(wrong, math.inf, np.nan_to_num(np.abs(got - exact) / unit))


def worst(name: str, chunks: Iterable[F]) -> tuple[float, float]:
    """Largest error of the function and where it is."""
    found = (0.0, 0.0)
    for x in chunks:
        if len(x):
            e = errors(name, x)
            k = int(e.argmax())
            found = max(found, (float(e[k]), float(x[k])))
    return found


def _worst_of_patterns(name: str, start: int) -> tuple[float, float]:
    bits = np.arange(start, start + CHUNK, dtype=np.uint32)
    return worst(name, [_inside(bits.view(np.float32), BOUNDS[name])])


def _keep_memory() -> None:
    """The allocator gives back what is freed, and asks for it anew, until it sees more freed at
    once: half of the time went there."""
    np.empty(1 << 24, np.uint8)


def worst_of_all(name: str, processes: int | None = None) -> tuple[float, float]:
    """The same over every f32 of the domain, on so many processes (None: one a core)."""
    starts = range(0, 1 << 32, CHUNK)
    with ProcessPoolExecutor(processes, initializer=_keep_memory) as pool:
        return max(pool.map(_worst_of_patterns, [name] * len(starts), starts, chunksize=512))


def rows(names: list[str], full: bool, processes: int | None = None) -> Iterator[str]:
    yield f"{'function':<16}{'largest error':>14}  {'unit':<9}{'at':>16}{'bound':>7}{'length':>8}"
    for name in names:
        e, at = worst_of_all(name, processes) if full else worst(name, [sample(BOUNDS[name])])
        b = BOUNDS[name]
        yield (
            f"{name:<16}{e:>14.4f}  {b.unit.value:<9}{at:>16.9g}{b.error:>7}{len(code_of(name)):>8}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="errors of the library's functions")
    parser.add_argument("--full", action="store_true", help="every f32 of the domain")
    parser.add_argument("--processes", type=int, help="of --full (one a core)")
    parser.add_argument("names", nargs="*", choices=[*BOUNDS, []], help="functions (all)")
    arguments = parser.parse_args()
    for row in rows(arguments.names or list(BOUNDS), arguments.full, arguments.processes):
        print(row, flush=True)


if __name__ == "__main__":
    main()
