"""When to use the compiled kernels, and whether they may be trusted.

Compiling takes a tenth of a second: it is done once there is enough to hash (WORTH_LOADING).
Before their first use the kernels hash a pinned vector; if a bit differs from the specification,
or they cannot be had, everything is hashed by the specification's own functions, slower and with
the same results.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from protocol.spec import trees
from protocol.spec.constants import BLOCK_BYTES, WORD

if TYPE_CHECKING:
    from protocol.hashing.kernels import Functions

Bytes = NDArray[np.uint8]

WORTH_LOADING: Final = 4 << 20
"""Bytes hashed by a process, from which on loading the kernels pays."""

WORTH_A_CALL: Final = 2 * BLOCK_BYTES
"""Bytes from which on a call of a loaded kernel is faster than the plain functions."""

PINNED_BYTES: Final = 45 * BLOCK_BYTES - 3
PINNED_ROOT: Final = "c8bf6f77591e9ce3a993562504bf073cf22a85cf53ca9af9123c2abf7f3ce5ec"
"""Block root of PINNED_BYTES bytes, byte k being (k * k + k // 7) mod 251."""

_log = logging.getLogger(__name__)


class Kernel:
    """The compiled functions, over arrays instead of addresses; any thread may use them."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions
        self.lanes: int = functions.lanes

    def leaves(self, data: Bytes, out: Bytes) -> None:
        """Leaf hashes of ``data`` u8[n] into ``out`` u8[ceil(n / 512), 32], both contiguous."""
        if len(out) * BLOCK_BYTES - data.size not in range(BLOCK_BYTES):
            raise ValueError(f"got {len(out)} rows for the leaves of {data.size} bytes")
        groups = data.size // (self.lanes * BLOCK_BYTES)
        self._functions.hash_blocks(data.ctypes.data, out.ctypes.data, groups)
        done = groups * self.lanes
        if done < len(out):
            blocks = np.zeros((self.lanes, BLOCK_BYTES), np.uint8)
            rest = data[done * BLOCK_BYTES :]
            blocks.reshape(-1)[: rest.size] = rest
            digests = np.empty((self.lanes, WORD), np.uint8)
            self._functions.hash_blocks(blocks.ctypes.data, digests.ctypes.data, 1)
            out[done:] = digests[: len(out) - done]

    def levels(self, count: int, fill: Callable[[Bytes], None]) -> list[Bytes]:
        """All levels above ``count`` > 0 leaves u8[count, 32], which ``fill`` writes, first them.

        Each level is followed in memory by zeros up to a whole number of groups: nodes of zeros
        hash to zeros, so that no level has a rest to be treated apart.
        """
        unit = 2 * self.lanes
        sizes = [count]
        while sizes[-1] > 1:
            sizes.append((sizes[-1] + 1) // 2)
        starts = [0]
        for size in sizes:
            starts.append(starts[-1] + -(-size // unit) * unit)
        nodes = np.zeros((starts[-1], WORD), np.uint8)
        fill(nodes[:count])
        base = nodes.ctypes.data
        for level, size in enumerate(sizes[:-1]):
            below, above = base + starts[level] * WORD, base + starts[level + 1] * WORD
            self._functions.hash_pairs(below, above, -(-size // unit))
        return [nodes[start : start + size] for start, size in zip(starts, sizes, strict=False)]


class Loader:
    """Loads the kernels at most once in a process, when that pays; safe in several threads."""

    def __init__(self, worth: int = WORTH_LOADING) -> None:
        self._lock = threading.Lock()
        self._worth = worth
        self._seen = 0
        self._tried = False
        self._kernel: Kernel | None = None

    @classmethod
    def of(cls, kernel: Kernel | None) -> Self:
        """A loader that has decided: for this kernel, or for none."""
        loader = cls()
        loader._tried, loader._kernel = True, kernel
        return loader

    def kernel(self, size: int) -> Kernel | None:
        """What to hash the next ``size`` bytes with; None for the plain functions."""
        if size < WORTH_A_CALL:
            return None
        if self._tried:
            return self._kernel
        with self._lock:
            self._seen += size
            if not self._tried and self._seen >= self._worth:
                self._kernel = load()
                self._tried = True
            return self._kernel


LOADER = Loader()


def load() -> Kernel | None:
    """The tested kernels, or None: with a warning if they are broken, without if there are none."""
    if sys.byteorder != "little":
        return None
    try:
        from protocol.hashing.kernels import Functions
    except ImportError as error:
        _log.info("hashing without compiled kernels: %s", error)
        return None
    try:
        kernel = Kernel(Functions())
        sound = passes(kernel)
    except (AttributeError, OSError, RuntimeError, TypeError, ValueError) as error:
        _complain(f"could not be compiled ({type(error).__name__}: {error})")
        return None
    if not sound:
        _complain("gave a wrong digest in their self-test")
        return None
    return kernel


def passes(kernel: Kernel) -> bool:
    """Whether the kernels give every node of the pinned vector's tree as the specification does."""
    k = np.arange(PINNED_BYTES)
    data = ((k * k + k // 7) % 251).astype(np.uint8)
    wanted = trees.levels_of(trees.block_leaves(data.data))
    got = kernel.levels(len(wanted[0]), lambda rows: kernel.leaves(data, rows))
    same = [level.tobytes() for level in got] == [b"".join(level) for level in wanted]
    return same and got[-1].tobytes().hex() == PINNED_ROOT


def _complain(what: str) -> None:
    warnings.warn(
        f"the compiled hashing kernels {what}; hashing goes on without them, many times slower. "
        "Install the release of llvmlite that constraints.txt names",
        RuntimeWarning,
        stacklevel=3,
    )
