"""Which blocks of its operands an element reads: what a proof of it must bring.

The element is computed once with operands that note where they are read; a load that yields its pad
reads nothing.  What bounds views and sums is read first, whether the element comes to it or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.costs import live_slots
from protocol.spec.operations import Scalars, element
from protocol.spec.types import Array, Template


class _Noting(np.ndarray[Any, Any]):
    """An array that adds to ``blocks`` the numbers of the blocks that are read of it."""

    blocks: set[int]

    def __array_finalize__(self, other: Array | None) -> None:
        self.blocks = getattr(other, "blocks", set())

    def __getitem__(self, at: Any) -> Any:
        plain = self.view(np.ndarray)
        places = np.unique(np.asarray(at, np.int64) * plain.itemsize // BLOCK_BYTES)
        self.blocks.update(places.tolist())
        return plain[at]


def element_reads(
    t: Template, operands: Sequence[Array], scalars: Scalars, i: int
) -> tuple[Array, list[list[int]]]:
    """Element ``i`` (an array of one), and for each operand the blocks read of it, ascending."""
    noting = []
    for operand in operands:
        view = np.ascontiguousarray(operand).reshape(-1).view(_Noting)
        view.blocks = set()
        noting.append(view)
    for slot in live_slots(t):
        noting[slot].blocks.add(0)
    value = element(t, noting, scalars, i)
    return value, [sorted(view.blocks) for view in noting]


def runs_of(blocks: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending numbers as runs: (first, how many)."""
    out: list[tuple[int, int]] = []
    for k in blocks:
        if out and out[-1][0] + out[-1][1] == k:
            out[-1] = (out[-1][0], out[-1][1] + 1)
        else:
            out.append((k, 1))
    return out
