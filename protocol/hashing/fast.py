"""When to use the compiled kernels, and whether they may be trusted.

Compiling, or finding what was compiled before, takes a part of a second: it is done once there is
enough to hash (WORTH_LOADING).  Before their first use the kernels hash a pinned vector; if a bit
differs from the specification, or they cannot be had, everything is hashed by the specification's
own functions, slower and with the same results.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from types import ModuleType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from protocol.spec import trees
from protocol.spec.constants import BLOCK_BYTES, WORD

Bytes = NDArray[np.uint8]

WORTH_LOADING: Final = 16 << 20
"""Bytes hashed by a process, from which on loading the kernels pays."""

WORTH_A_CALL: Final = 2 * BLOCK_BYTES
"""Bytes from which on a call of a loaded kernel is faster than the plain functions."""

PINNED_BYTES: Final = 45 * BLOCK_BYTES - 3
PINNED_ROOT: Final = "c8bf6f77591e9ce3a993562504bf073cf22a85cf53ca9af9123c2abf7f3ce5ec"
"""Block root of PINNED_BYTES bytes, byte k being (k * k + k // 7) mod 251."""

_log = logging.getLogger(__name__)


class Kernel:
    """The compiled functions, over arrays instead of addresses."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self.lanes: int = module.LANES

    def leaves(self, data: Bytes, out: Bytes) -> None:
        """Leaf hashes of ``data`` u8[n] into ``out`` u8[ceil(n / 512), 32], both contiguous."""
        scratch = np.empty(self._module.SCRATCH, np.uint8)
        self._module.leaves(
            data.ctypes.data, data.nbytes, out.ctypes.data, scratch.ctypes.data
        )

    def levels(self, nodes: Bytes, count: int) -> None:
        """Fills ``nodes`` u8[rows_of(count), 32], contiguous, above its first ``count`` rows."""
        scratch = np.empty(self._module.SCRATCH, np.uint8)
        self._module.levels(nodes.ctypes.data, count, scratch.ctypes.data)


def rows_of(count: int) -> int:
    """Nodes of all levels of a tree of ``count`` leaves."""
    rows = count
    while count > 1:
        count = (count + 1) // 2
        rows += count
    return rows


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
        from numba.core.errors import NumbaError
    except ImportError as error:
        _log.info("hashing without compiled kernels: %s", error)
        return None
    try:
        from protocol.hashing import kernels

        kernel = Kernel(kernels)
        sound = passes(kernel)
    except (NumbaError, AttributeError, OSError, RuntimeError, TypeError, ValueError) as error:
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
    nodes = np.zeros((rows_of(len(wanted[0])), WORD), np.uint8)
    kernel.leaves(data, nodes[: len(wanted[0])])
    kernel.levels(nodes, len(wanted[0]))
    same = nodes.tobytes() == b"".join(node for level in wanted for node in level)
    return same and nodes[-1].tobytes().hex() == PINNED_ROOT


def _complain(what: str) -> None:
    warnings.warn(
        f"the compiled hashing kernels {what}; hashing goes on without them, many times slower. "
        "Remove what numba cached of protocol.hashing, or reinstall numba and llvmlite",
        RuntimeWarning,
        stacklevel=3,
    )
