"""A stream has the root of its bytes, however they are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.hashing import Hasher, roots
from protocol.spec import trees
from protocol.spec.constants import ZERO

BIG = np.random.default_rng(3).bytes(3 * roots.CHUNK + 12_345)
ROOTS = {size: trees.block_root(BIG[:size]) for size in (len(BIG), 2 * roots.CHUNK)}


@pytest.mark.usefixtures("path")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 12_000), st.lists(st.integers(0, 1500), max_size=40))
def test_root__any_length_and_pieces__is_the_block_root(size: int, cuts: list[int]) -> None:
    data = BIG[:size]
    hasher = Hasher()
    at = 0
    for cut in cuts:
        hasher.write(data[at : at + cut])
        at += cut
    hasher.write(data[at:])
    assert hasher.size == size
    assert hasher.root() == trees.block_root(data)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("step", [99_991, roots.CHUNK - 1, roots.CHUNK, roots.CHUNK + 1, len(BIG)])
@pytest.mark.parametrize("size", list(ROOTS))
def test_root__pieces_across_subtrees__is_the_block_root(size: int, step: int) -> None:
    hasher = Hasher()
    view = memoryview(BIG)[:size]
    for at in range(0, size, step):
        hasher.write(view[at : at + step])
    assert hasher.size == size
    assert hasher.root() == ROOTS[size]


@pytest.mark.usefixtures("path")
def test_root__asked_in_between__does_not_disturb_the_stream() -> None:
    hasher = Hasher()
    assert hasher.root() == ZERO
    hasher.write(BIG[:700])
    assert hasher.root() == hasher.root() == trees.block_root(BIG[:700])
    hasher.write(np.frombuffer(BIG[700:], np.uint8))
    assert hasher.root() == ROOTS[len(BIG)]


@pytest.mark.usefixtures("path")
def test_write__memory_reused_by_the_caller__was_already_taken() -> None:
    hasher = Hasher()
    buffer = bytearray(1000)
    for at in range(0, 10_000, 1000):
        buffer[:] = BIG[at : at + 1000]
        hasher.write(buffer)
    assert hasher.root() == trees.block_root(BIG[:10_000])
