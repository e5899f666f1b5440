"""Commitments: keccak trees over 512-byte blocks, lists, tensors, programs, traces.

A node is keccak256(left || right) of 64 bytes; a leaf of a block tree is keccak256 of 512 bytes,
the last block filled with zero bytes; a node that covers only padding is ZERO at every level.
What is neither carries a tag in front and is 96, 128 or 288 bytes long (``HALTED``: 32), so that
no preimage can be taken for another kind.  The depth of every tree follows from counts that are
themselves committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from Crypto.Hash import keccak

from protocol.spec.constants import (
    BLOCK_BYTES,
    TAG_HALTED,
    TAG_TENSOR,
    TAG_TRACE,
    WORD,
    ZERO,
)
from protocol.spec.errors import ProofError
from protocol.spec.types import Array, DType, TensorDecl


def keccak256(data: bytes | bytearray | memoryview) -> bytes:
    """The EVM's hash of ``data``: 32 bytes."""
    return keccak.new(digest_bits=256, data=bytes(data)).digest()


def word(value: int) -> bytes:
    """``value`` as one big-endian 32-byte word."""
    return value.to_bytes(WORD, "big")


def tagged(tag: bytes, data: bytes) -> bytes:
    """Hash of a thing of any length: keccak256(tag || length || keccak256(data)), 96 bytes."""
    return keccak256(tag + word(len(data)) + keccak256(data))


def parent(left: bytes, right: bytes) -> bytes:
    """The node above two others; ZERO above two ZEROs."""
    return ZERO if left == ZERO and right == ZERO else keccak256(left + right)


def depth_of(leaves: int) -> int:
    """Levels above the leaves: the least d with 2**d >= leaves (0 for one leaf or none)."""
    return max(leaves - 1, 0).bit_length()


def levels_of(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """All levels, leaves first, root last; each without its ZERO tail (an empty tree: [[ZERO]])."""
    level = list(leaves) or [ZERO]
    levels = [level]
    while len(level) > 1:
        if len(level) % 2:
            level = [*level, ZERO]
        level = [parent(level[k], level[k + 1]) for k in range(0, len(level), 2)]
        levels.append(level)
    return levels


def list_root(leaves: Iterable[bytes]) -> bytes:
    """Root of a binary tree over ``leaves`` (32-byte hashes), ZERO for none."""
    return levels_of(list(leaves))[-1][0]


def siblings_of(
    levels: Sequence[Sequence[bytes]], first: int, count: int = 1
) -> list[bytes]:
    """What proves leaves ``first`` up to ``first + count`` (not included) under the root.

    Lowest level first, left before right.  Nodes that cover only padding are not sent: they are
    ZERO by rule, so that a proof has one form and nothing else can stand in the padding.
    """
    if not 0 <= first < first + count <= len(levels[0]):
        raise IndexError(f"leaves {first} to {first + count - 1} of {len(levels[0])}")
    out: list[bytes] = []
    low, high = first, first + count - 1
    for level in levels[:-1]:
        ends = [k for k in (low - 1,) if low & 1] + [k for k in (high + 1,) if not high & 1]
        out += [level[k] for k in ends if k < len(level)]
        low, high = low >> 1, high >> 1
    return out


def root_from_run(
    run: Sequence[bytes], first: int, total: int, siblings: Sequence[bytes]
) -> bytes:
    """Root of a tree of ``total`` leaves that adjacent leaves and their siblings give.

    Raises IndexError if the run is not inside the tree, ProofError if there are not exactly as
    many siblings as position and ``total`` demand.
    """
    if not 0 <= first < first + len(run) <= total:
        raise IndexError(f"leaves {first} to {first + len(run) - 1} of {total}")
    nodes, width, at = list(run), total, first
    rest = iter(siblings)
    used = 0

    def take(position: int) -> bytes:
        nonlocal used
        if position >= width:
            return ZERO
        used += 1
        node = next(rest, None)
        if node is None:
            raise ProofError(f"got {len(siblings)} siblings, more are wanted")
        return node

    while width > 1:
        if at & 1:
            nodes.insert(0, take(at - 1))
            at -= 1
        if len(nodes) & 1:
            nodes.append(take(at + len(nodes)))
        nodes = [parent(nodes[k], nodes[k + 1]) for k in range(0, len(nodes), 2)]
        at, width = at >> 1, (width + 1) >> 1
    if used != len(siblings):
        raise ProofError(f"got {len(siblings)} siblings, {used} are wanted")
    return nodes[0]


def block_leaves(data: bytes | memoryview) -> list[bytes]:
    """Leaf hashes of ``data``; the tail of the last block is zero bytes."""
    view = memoryview(data).cast("B")
    starts = range(0, len(view), BLOCK_BYTES)
    return [keccak256(bytes(view[k : k + BLOCK_BYTES]).ljust(BLOCK_BYTES, b"\0")) for k in starts]


def block_root(data: bytes | memoryview) -> bytes:
    """Root of the block tree over ``data``."""
    return list_root(block_leaves(data))


def shape_word(shape: Sequence[int]) -> bytes:
    """Eight big-endian u32, unused ones zero."""
    return b"".join(d.to_bytes(4, "big") for d in shape).ljust(WORD, b"\0")


def tensor_meta(dtype: DType, shape: Sequence[int], bound: int = 0) -> bytes:
    """Two words: dtype u8, dimensions u8, 6 zero, bound u64, 8 zero, elements u64; the shape."""
    count = 1
    for d in shape:
        count *= d
    head = bytes([dtype, len(shape)]) + bytes(6) + bound.to_bytes(8, "big")
    return head + bytes(8) + count.to_bytes(8, "big") + shape_word(shape)


def wrap(dtype: DType, shape: Sequence[int], root: bytes) -> bytes:
    """Tensor root: binds a block root to dtype and shape (128-byte preimage)."""
    return keccak256(TAG_TENSOR + tensor_meta(dtype, shape) + root)


def tensor_bytes(decl: TensorDecl, tensor: Array) -> bytes:
    """The committed bytes of a tensor: row-major, little-endian."""
    return np.ascontiguousarray(tensor, decl.dtype.numpy).tobytes()


def tensor_root(decl: TensorDecl, tensor: Array) -> bytes:
    """Tensor root of an array of the declared dtype and shape."""
    return wrap(decl.dtype, decl.shape, block_root(tensor_bytes(decl, tensor)))


def tensors_root(decls: Sequence[TensorDecl], tensors: Sequence[Array]) -> bytes:
    """Root of a list of tensors: constants root, inputs root, outputs root."""
    return list_root(tensor_root(d, t) for d, t in zip(decls, tensors, strict=True))


def state_root(decls: Sequence[TensorDecl], states: Sequence[Array]) -> bytes:
    """State root of a step: a tree over the states' bare block roots."""
    return list_root(block_root(tensor_bytes(d, s)) for d, s in zip(decls, states, strict=True))


def steps_root(state_roots: Sequence[bytes]) -> bytes:
    """Root over the state roots before the first step and after each step."""
    return list_root(state_roots)


def operations_root(
    operations: Sequence[bytes], nexts: Sequence[bytes], outputs: Sequence[bytes]
) -> bytes:
    """Operations root of one step, from bare block roots.

    Three sections in order: the operations; the next-states, whose root is the state root of the
    step; at the last step the outputs' tensor roots, whose root is the outputs root, else none.
    """
    sections = [list_root(operations), list_root(nexts), list_root(outputs)]
    return list_root(sections)


HALTED = keccak256(TAG_HALTED)
"""Operations root of a step that started with ``halt`` set."""


def trace_root(steps: bytes, outputs: bytes) -> bytes:
    """H(steps root, outputs root): what a provider opens with."""
    return keccak256(TAG_TRACE + steps + outputs)
