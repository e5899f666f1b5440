"""Roots of bytes that come in pieces: the trees of ``protocol.spec.trees`` in little memory."""

from __future__ import annotations

from collections.abc import Sequence

from protocol.spec.constants import BLOCK_BYTES, ZERO
from protocol.spec.trees import keccak256, parent, wrap
from protocol.spec.types import DType


class BlockHasher:
    """Block root of what ``write`` is given; holds one block and one node a level.

    Equal to ``trees.block_root`` of the same bytes at once.
    """

    def __init__(self) -> None:
        self._tail = bytearray()
        self._nodes: list[bytes | None] = []
        self.size = 0

    def write(self, piece: bytes | memoryview) -> None:
        """Takes the next bytes."""
        view = memoryview(piece).cast("B")
        self.size += len(view)
        at = 0
        if self._tail:
            at = BLOCK_BYTES - len(self._tail)
            self._tail += view[:at]
            if len(self._tail) < BLOCK_BYTES:
                return
            self._leaf(self._tail)
            self._tail.clear()
        whole = at + (len(view) - at) // BLOCK_BYTES * BLOCK_BYTES
        for start in range(at, whole, BLOCK_BYTES):
            self._leaf(view[start : start + BLOCK_BYTES])
        self._tail += view[whole:]

    def _leaf(self, block: bytes | bytearray | memoryview) -> None:
        node = keccak256(block)
        for level, left in enumerate(self._nodes):
            if left is None:
                self._nodes[level] = node
                return
            self._nodes[level] = None
            node = parent(left, node)
        self._nodes.append(node)

    def root(self) -> bytes:
        """The root; the hasher takes no more bytes afterwards."""
        if self._tail:
            self._leaf(bytes(self._tail).ljust(BLOCK_BYTES, b"\0"))
            self._tail.clear()
        top = len(self._nodes) - 1
        node: bytes | None = None
        for level, left in enumerate(self._nodes):
            if left is not None:
                node = left if node is None and level == top else parent(left, node or ZERO)
            elif node is not None:
                node = parent(node, ZERO)
        return node or ZERO


def tensor_root_of(dtype: DType, shape: Sequence[int], data: bytes | memoryview) -> bytes:
    """Tensor root of raw little-endian bytes, without a copy of them."""
    hasher = BlockHasher()
    hasher.write(data)
    return wrap(dtype, shape, hasher.root())
