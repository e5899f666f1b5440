"""Arrays on disk are what was put there; packed trees are those of the specification."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from protocol.hashing import block_leaves
from protocol.spec import trees
from protocol.spec.types import Array
from provider.engine.shelf import Shelf, packed_levels, unpacked


def test_get__arrays_of_all_kinds__are_what_was_put(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    arrays: list[Array] = [
        np.zeros((0, 3), np.float32),
        np.array(-7, np.int64),
        rng.integers(0, 256, 1001, np.uint8),
        rng.normal(size=(5, 7)).astype(np.float32)[::2, 1:],
        rng.integers(-9, 9, (3, 4, 5)).astype(np.int16),
    ]
    shelf = Shelf(tmp_path)
    for k, array in enumerate(arrays):
        shelf.put(k, [array])
    shelf.put("all", arrays)
    shelf.put("none", [])
    for k, array in enumerate(arrays):
        got = shelf.get(k)
        assert k in shelf
        assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes())
    for got, array in zip(shelf.all("all"), arrays, strict=True):
        assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert shelf.all("none") == []
    assert list(tmp_path.iterdir()) == []
    assert "other" not in shelf
    with pytest.raises(LookupError):
        shelf.get("other")


def test_get__a_thousand_arrays_at_once__need_no_file_each() -> None:
    shelf = Shelf()
    for k in range(3000):
        shelf.put(k, [np.full(9, k)])
    before = len(list(Path("/dev/fd").iterdir()))
    held = [shelf.get(k) for k in range(3000)]
    assert len(list(Path("/dev/fd").iterdir())) < before + 10
    assert [int(x[3]) for x in held] == list(range(3000))


def test_put__disk_is_full_and_then_is_not__keeps_all(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    arrays = [np.full(999, k) for k in range(4)]
    shelf.put(0, [arrays[0]])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, before[1]))
    try:
        shelf.put(1, [arrays[1]])
        shelf.put(2, [arrays[2]])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    shelf.put(3, [arrays[3]])
    for k, array in enumerate(arrays):
        assert np.array_equal(shelf.get(k), array)
    on_disk = [isinstance(shelf.get(k).base, np.memmap) for k in range(4)]
    assert on_disk == [True, False, False, True]


def test_put__no_file_can_be_made__keeps_it_in_memory(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "gone")
    shelf.put(0, [np.arange(5)])
    assert shelf.get(0).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("size", [0, 1, 512, 513, 1537, 5 * 512, 33 * 512 + 1])
def test_unpacked__levels__are_the_specification_s(size: int) -> None:
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    got = unpacked(packed_levels(block_leaves(data)), -(-size // 512))
    wanted = trees.levels_of(trees.block_leaves(data.tobytes()))
    assert got == wanted
    for row, level in zip(got, wanted, strict=True):
        assert row[0] == level[0]
        assert row[1:3] == level[1:3]
        assert row[-1] == level[-1]
        assert row != [*level, bytes(32)]
