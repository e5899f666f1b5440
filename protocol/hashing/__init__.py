"""The trees of ``protocol.spec.trees`` at the speed of memory: the same bits, many lanes at once.

Large inputs go through kernels that are compiled on first use and kept on disk; small ones, and
all of them where there is no compiler, through the specification itself.
"""

from __future__ import annotations

from protocol.hashing.roots import (
    Buffer,
    block_leaves,
    block_levels,
    block_root,
    tensor_root,
    tensors_root,
    tree_levels,
)
from protocol.hashing.stream import Hasher

__all__ = [
    "Buffer",
    "Hasher",
    "block_leaves",
    "block_levels",
    "block_root",
    "tensor_root",
    "tensors_root",
    "tree_levels",
]
