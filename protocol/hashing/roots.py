"""Block trees and tensor roots at speed: the functions of ``protocol.spec.trees``, same bits.

``threads`` is the number of threads that hash at once; results do not depend on it.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.hashing import fast
from protocol.hashing.fast import Bytes
from protocol.spec import trees
from protocol.spec.constants import BLOCK_BYTES, WORD, ZERO
from protocol.spec.types import Array, TensorDecl

Buffer = bytes | bytearray | memoryview | mmap.mmap | NDArray[Any]
"""Contiguous memory, of any element type: what counts are its bytes."""

CHUNK_LEVELS: Final = 11
CHUNK: Final = BLOCK_BYTES << CHUNK_LEVELS
"""Bytes of a full subtree that is hashed at once: they fit the cache of a core."""


def flat(data: Buffer) -> Bytes:
    """The bytes of a buffer as u8[n], not copied; TypeError if they are not contiguous."""
    if isinstance(data, np.ndarray):
        contiguous, size = data.flags.c_contiguous, data.nbytes
    else:
        view = memoryview(data)
        contiguous, size = view.c_contiguous, view.nbytes
    if not contiguous:
        raise TypeError("got memory that is not contiguous, wanted contiguous: copy it first")
    return np.frombuffer(data, np.uint8) if size else np.zeros(0, np.uint8)


def flat_tensor(decl: TensorDecl, tensor: Array) -> Bytes:
    """``trees.tensor_bytes`` as u8[n]; a copy only of what is not contiguous little-endian."""
    return np.ascontiguousarray(tensor, decl.dtype.numpy).reshape(-1).view(np.uint8)


def _rows(nodes: Sequence[bytes]) -> Bytes:
    return np.frombuffer(b"".join(nodes), np.uint8).reshape(-1, WORD)


def block_leaves(data: Buffer, threads: int = 1) -> Bytes:
    """Leaf hashes of the blocks of ``data``, the last filled with zero bytes: u8[n, 32]."""
    view = flat(data)
    if not view.size:
        return np.zeros((0, WORD), np.uint8)
    kernel = fast.LOADER.kernel(view.size)
    if kernel is None:
        return _rows(trees.block_leaves(view.data))
    out = np.empty((-(-view.size // BLOCK_BYTES), WORD), np.uint8)
    parts = max(1, min(threads, view.size // CHUNK))
    cuts = [len(out) * k // parts for k in range(parts + 1)]

    def part(first: int, last: int) -> None:
        kernel.leaves(view[first * BLOCK_BYTES : last * BLOCK_BYTES], out[first:last])

    if parts == 1:
        part(0, len(out))
    else:
        with ThreadPoolExecutor(parts) as pool:
            for _ in pool.map(part, cuts[:-1], cuts[1:]):
                pass
    return out


def tree_levels(leaves: Bytes) -> list[Bytes]:
    """All levels over ``leaves`` u8[n, 32], leaves first, root last; without leaves one ZERO.

    Level k + 1 of ``trees.levels_of`` for level k of n nodes has ceil(n / 2): u8[ceil(n / 2), 32].
    """
    if leaves.ndim != 2 or leaves.shape[1] != WORD or leaves.dtype != np.uint8:
        raise TypeError(f"got leaves {leaves.dtype}{list(leaves.shape)}, wanted uint8[n, {WORD}]")
    kernel = fast.LOADER.kernel(leaves.size)
    if kernel is None:
        return [_rows(level) for level in trees.levels_of([row.tobytes() for row in leaves])]
    return kernel.levels(len(leaves), lambda rows: np.copyto(rows, leaves))


def block_levels(data: Buffer, threads: int = 1) -> list[list[bytes]]:
    """The block tree over ``data`` as ``trees.levels_of`` gives it: what a proof is made from."""
    levels = tree_levels(block_leaves(data, threads))
    return [[bytes(node) for node in level] for level in levels]


def subtree_root(data: Bytes) -> bytes:
    """Block root of at most CHUNK bytes u8[n]."""
    kernel = fast.LOADER.kernel(data.size)
    if kernel is None:
        return trees.block_root(data.data)
    levels = kernel.levels(
        -(-data.size // BLOCK_BYTES), lambda rows: kernel.leaves(data, rows)
    )
    return levels[-1].tobytes()


def join_subtrees(roots: Sequence[bytes], last_bytes: int) -> bytes:
    """Block root from the roots of subtrees of CHUNK bytes each, the last of ``last_bytes``."""
    if len(roots) < 2:
        return roots[0] if roots else ZERO
    last = roots[-1]
    for _ in range(trees.depth_of(-(-last_bytes // BLOCK_BYTES)), CHUNK_LEVELS):
        last = trees.parent(last, ZERO)
    return tree_levels(_rows([*roots[:-1], last]))[-1].tobytes()


def _subtrees(data: Bytes) -> Iterator[Bytes]:
    for start in range(0, data.size, CHUNK):
        yield data[start : start + CHUNK]


def block_root(data: Buffer, threads: int = 1) -> bytes:
    """Root of the block tree over ``data``: 32 bytes, ZERO for no bytes."""
    view = flat(data)
    if view.size <= CHUNK:
        return subtree_root(view)
    if threads == 1:
        roots = [subtree_root(piece) for piece in _subtrees(view)]
    else:
        with ThreadPoolExecutor(threads) as pool:
            roots = list(pool.map(subtree_root, _subtrees(view)))
    return join_subtrees(roots, (view.size - 1) % CHUNK + 1)


def tensor_root(decl: TensorDecl, tensor: Array, threads: int = 1) -> bytes:
    """Tensor root of an array of the declared dtype and shape."""
    root = block_root(flat_tensor(decl, tensor), threads)
    return trees.wrap(decl.dtype, decl.shape, root)


def tensors_root(
    decls: Sequence[TensorDecl], tensors: Sequence[Array], threads: int = 1
) -> bytes:
    """Root of a list of tensors: constants root, inputs root, outputs root."""
    rows = zip(decls, tensors, strict=True)
    return trees.list_root(tensor_root(decl, tensor, threads) for decl, tensor in rows)
