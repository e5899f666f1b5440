"""How fast block trees are hashed: the specification's functions against the compiled kernels.

``python -m scripts.bench_hashing [MB]`` prints megabytes a second of processor time on one core,
of wall time on two, and the tensor root of a weight matrix before and after. Other programs on
the machine disturb the times less than the ratios: both sides of a ratio are measured in turn.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from protocol.hashing import block_leaves, block_root, fast, tensor_root
from protocol.spec import trees
from protocol.spec.types import DType, TensorDecl

DEFAULT_MB = 45
PLAIN_MB = 4
"""The slow side hashes this much a time."""
REPEATS = 5


@contextmanager
def kernel(loaded: fast.Kernel | None) -> Iterator[None]:
    """Hashing with this kernel, or with none."""
    before = fast.LOADER
    fast.LOADER = fast.Loader.of(loaded)
    try:
        yield
    finally:
        fast.LOADER = before


def seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """The shortest of REPEATS runs on a clock."""
    best = float("inf")
    for _ in range(REPEATS):
        start = clock()
        work()
        best = min(best, clock() - start)
    return best


def row(what: str, plain: float, quick: float) -> None:
    """One line: two speeds in MB/s and their ratio."""
    print(f"{what:<34} {plain:>10.1f} {quick:>10.1f} {quick / plain:>8.1f}x")


def main() -> int:
    """Measures and prints; 1 if the kernels cannot be had."""
    size = (int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_MB) * 10**6
    start = time.process_time()
    loaded = fast.load()
    if loaded is None:
        print("no compiled kernels here: install llvmlite")
        return 1
    print(f"{loaded.lanes} lanes, loaded in {time.process_time() - start:.2f} s of processor time")
    data = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    small = data[: PLAIN_MB * 10**6]
    tensor = data[: size // 2 * 2].view(np.int16)
    decl = TensorDecl(DType.I16, tensor.shape)
    cpu, wall = time.process_time, time.perf_counter

    print(f"{'MB/s':<34} {'plain':>10} {'fast':>10} {'ratio':>9}")
    plain: dict[str, float] = {}
    with kernel(None):
        plain["leaves"] = small.size / seconds(lambda: block_leaves(small), cpu) / 1e6
        plain["root"] = small.size / seconds(lambda: block_root(small), cpu) / 1e6
        plain["wall"] = small.size / seconds(lambda: block_root(small), wall) / 1e6
    with kernel(loaded):
        for threads, clock, base in ((1, cpu, ""), (1, wall, "wall"), (2, wall, "wall")):
            label = f"{threads} thread{'s' * (threads > 1)}, {base or 'processor'} time"
            speed = size / seconds(partial(block_leaves, data, threads), clock) / 1e6
            row(f"leaves, {label}", plain["wall" if base else "leaves"], speed)
            speed = size / seconds(partial(block_root, data, threads), clock) / 1e6
            row(f"root, {label}", plain["wall" if base else "root"], speed)
    start = cpu()
    before = trees.tensor_root(decl, tensor)
    slow = cpu() - start
    with kernel(loaded):
        quick = seconds(lambda: tensor_root(decl, tensor), cpu)
        same = tensor_root(decl, tensor) == before
    print(
        f"tensor root of {tensor.nbytes / 1e6:.0f} MB i16: {slow:.3f} s before, {quick:.4f} s "
        f"after, {slow / quick:.0f}x, {'equal' if same else 'DIFFERENT'}"
    )
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
