"""Roots of streams equal roots of whole bytes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from protocol.spec import trees
from protocol.spec.types import DType, TensorDecl
from protocol.storage.hashing import BlockHasher, tensor_root_of


@given(st.integers(0, 12_000), st.lists(st.integers(1, 1500), min_size=1, max_size=40))
def test_root__any_length_and_pieces__equals_the_block_root(size: int, cuts: list[int]) -> None:
    data = np.random.default_rng(size).bytes(size)
    hasher = BlockHasher()
    at = 0
    for cut in cuts:
        hasher.write(data[at : at + cut])
        at += cut
    hasher.write(data[at:])
    assert hasher.size == size
    assert hasher.root() == trees.block_root(data)


def test_root__every_small_number_of_blocks__equals_the_block_root() -> None:
    for blocks in range(40):
        data = bytes(range(256)) * 2 * blocks
        hasher = BlockHasher()
        hasher.write(data)
        assert hasher.root() == trees.block_root(data)


def test_tensor_root_of__arrays__equals_the_tensor_root() -> None:
    for dtype in DType:
        tensor = np.arange(3 * 4 * 70).reshape(3, 4, 70).astype(dtype.numpy)
        decl = TensorDecl(dtype, tensor.shape)
        assert tensor_root_of(dtype, tensor.shape, tensor.tobytes()) == trees.tensor_root(
            decl, tensor
        )
