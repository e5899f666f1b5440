"""Block trees, lists and paths."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.spec import trees
from protocol.spec.constants import BLOCK_BYTES, ZERO
from protocol.spec.errors import ProofError
from protocol.spec.types import DType


def naive_root(leaves: list[bytes]) -> bytes:
    """The whole padded tree, level by level, with padding spelt out."""
    width = 1
    while width < max(len(leaves), 1):
        width *= 2
    level = leaves + [ZERO] * (width - len(leaves))
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=True)
        level = [ZERO if a == b == ZERO else trees.keccak256(a + b) for a, b in pairs]
    return level[0]


@given(st.lists(st.binary(min_size=32, max_size=32).filter(any), max_size=40))
@settings(derandomize=True, max_examples=60)
def test_list_root__any_leaves__equals_the_padded_tree(leaves: list[bytes]) -> None:
    assert trees.list_root(leaves) == naive_root(leaves)


@given(st.integers(1, 40), st.data())
@settings(derandomize=True, max_examples=150)
def test_siblings_of__any_run__leads_to_the_root_from_its_place_only(
    total: int, data: st.DataObject
) -> None:
    leaves = [trees.keccak256(bytes([k])) for k in range(total)]
    levels = trees.levels_of(leaves)
    root = levels[-1][0]
    first = data.draw(st.integers(0, total - 1))
    count = data.draw(st.integers(1, total - first))
    siblings = trees.siblings_of(levels, first, count)
    run = leaves[first : first + count]
    assert trees.root_from_run(run, first, total, siblings) == root
    for other in range(total - count + 1):
        try:
            same = trees.root_from_run(run, other, total, siblings) == root
        except ProofError:
            same = False
        assert same == (other == first)
    with pytest.raises(ProofError, match="siblings"):
        trees.root_from_run(run, first, total, [*siblings, ZERO])
    if siblings:
        with pytest.raises(ProofError, match="siblings"):
            trees.root_from_run(run, first, total, siblings[:-1])


def test_root_from_run__run_outside__raises() -> None:
    with pytest.raises(IndexError, match="leaves 2 to 2 of 2"):
        trees.root_from_run([ZERO], 2, 2, [ZERO])
    with pytest.raises(IndexError, match="leaves 1 to 2 of 2"):
        trees.siblings_of(trees.levels_of([ZERO, ZERO]), 1, 2)


def test_block_root__last_block__is_filled_with_zero_bytes() -> None:
    data = b"x" * (BLOCK_BYTES + 3)
    full = data.ljust(2 * BLOCK_BYTES, b"\0")
    assert trees.block_root(data) == trees.block_root(full)
    assert trees.block_root(data) != trees.block_root(full + b"\0")


def test_keccak256__empty__is_the_evm_hash() -> None:
    want = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert trees.keccak256(b"").hex() == want


def test_wrap__dtype_or_shape_changed__gives_another_root() -> None:
    root = trees.block_root(bytes(96))
    made = {
        trees.wrap(dtype, shape, root)
        for dtype, shape in [
            (DType.F32, (24,)),
            (DType.F32, (4, 6)),
            (DType.F32, (6, 4)),
            (DType.I32, (24,)),
            (DType.F32, (24, 1)),
            (DType.I16, (48,)),
        ]
    }
    assert len(made) == 6


def test_trace_root__halted_and_trace__differ_from_plain_nodes() -> None:
    a, b = trees.keccak256(b"a"), trees.keccak256(b"b")
    assert len({trees.trace_root(a, b), trees.parent(a, b), trees.HALTED, trees.tagged(a, b)}) == 4
