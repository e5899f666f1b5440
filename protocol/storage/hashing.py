"""Roots of tensors as they arrive: ``protocol.hashing`` under the names that storage uses."""

from __future__ import annotations

from collections.abc import Sequence

from protocol.hashing import Buffer, Hasher, block_root
from protocol.spec.trees import wrap
from protocol.spec.types import DType

BlockHasher = Hasher
"""``write`` pieces, read ``size``, ask for the ``root``."""


def tensor_root_of(dtype: DType, shape: Sequence[int], data: Buffer) -> bytes:
    """Tensor root of raw little-endian bytes, without a copy of them."""
    return wrap(dtype, shape, block_root(data))
