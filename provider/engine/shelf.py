"""Where a trace keeps what it may need again: arrays on disk, read where they lie."""

from __future__ import annotations

import logging
import math
import tempfile
import weakref
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import IO, Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from protocol.hashing import Buffer, block_leaves, tree_levels
from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.trace import Levels
from protocol.spec.trees import depth_of
from protocol.spec.types import Array

log: Final = logging.getLogger("assay.provider")

ALIGN: Final = 64
"""Arrays begin at multiples of it."""

Kind = tuple[np.dtype[Any], tuple[int, ...]]
"""Dtype and shape of an array."""


class Shelf:
    """Arrays by key, one or several, in a file without a name: it goes when the shelf does, or the
    process.

    ``directory`` is where it lies (default: that of temporary files).
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._opened: IO[bytes] | None = None
        self._places: dict[Hashable, tuple[int, tuple[Kind, ...]]] = {}
        self._kinds: dict[tuple[Kind, ...], tuple[Kind, ...]] = {}
        self._held: dict[Hashable, list[Array]] = {}
        self._end = 0
        self._map: NDArray[np.uint8] = np.zeros(0, np.uint8)

    @property
    def _file(self) -> IO[bytes]:
        """Made when it is first needed.  Raises OSError."""
        if self._opened is None:
            self._opened = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115
            weakref.finalize(self, self._opened.close)
        return self._opened

    def __contains__(self, key: Hashable) -> bool:
        return key in self._places or key in self._held

    def put(self, key: Hashable, arrays: Sequence[Array]) -> None:
        """Keep copies of arrays, of any dtypes and shapes.  What cannot be written, as on a full
        disk, stays in memory."""
        kinds = tuple((x.dtype, x.shape) for x in arrays)
        try:
            size = self._write(arrays)
        except OSError as error:
            log.warning("%s: what a dispute needs stays in memory", error)
            self._held[key] = [x.copy() for x in arrays]
            return
        # Of many steps the kinds are the same: they are kept once.
        self._places[key] = self._end, self._kinds.setdefault(kinds, kinds)
        self._end += size

    def _write(self, arrays: Sequence[Array]) -> int:
        file, size = self._file, 0
        file.seek(self._end)
        for array in arrays:
            data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            file.write(data.data)
            file.write(bytes(-data.nbytes % ALIGN))
            size += data.nbytes + -data.nbytes % ALIGN
        file.flush()
        return size

    def get(self, key: Hashable) -> Array:
        """The one kept array, as ``all`` gives it."""
        return self.all(key)[0]

    def all(self, key: Hashable) -> list[Array]:
        """Kept arrays, not to be written to: their pages are read when they are looked at.

        Raises LookupError if they are not there.
        """
        if key in self._held:
            return self._held[key]
        at, kinds = self._places[key]
        out = []
        for dtype, shape in kinds:
            end = at + math.prod(shape) * dtype.itemsize
            if end > len(self._map):
                self._map = np.memmap(self._file, np.uint8, "r")
            out.append(self._map[at:end].view(dtype).reshape(shape))
            at = end + -end % ALIGN
        return out

    def levels(self, key: Hashable, leaves: Callable[[], NDArray[np.uint8]], count: int) -> Levels:
        """The levels of the tree over ``count`` leaves u8[n, 32], leaves first: computed when they
        are first asked for."""
        if key not in self:
            self.put(key, [packed_levels(leaves())])
        return unpacked(self.get(key), count)

    def block_levels(self, key: Hashable, data: Buffer, nbytes: int, threads: int = 1) -> Levels:
        """The same of the block tree over ``nbytes`` bytes of data."""
        count = -(-nbytes // BLOCK_BYTES)
        return self.levels(key, lambda: block_leaves(data, threads), count)


class Nodes(Sequence[bytes]):
    """Nodes of one level of a tree, where they lie: u8[n, 32]."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        found = self._rows[index]
        return [row.tobytes() for row in found] if isinstance(index, slice) else found.tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def packed_levels(leaves: NDArray[np.uint8]) -> Array:
    """All levels of the tree over ``leaves`` u8[n, 32], leaves first, in one array u8[m, 32]."""
    return np.concatenate(tree_levels(leaves))


def unpacked(levels: Array, count: int) -> list[Nodes]:
    """The levels in an array of ``packed_levels`` over ``count`` leaves."""
    out, at = [], 0
    for level in range(depth_of(count) + 1):
        width = max(1, -(-count // (1 << level)))
        out.append(Nodes(levels[at : at + width]))
        at += width
    return out
