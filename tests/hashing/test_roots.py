"""Trees hashed at speed are the trees of the specification, bit for bit."""

from __future__ import annotations

import mmap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.hashing import block_leaves, block_root, roots, tensor_root, tensors_root, tree_levels
from protocol.spec import trees
from protocol.spec.constants import ZERO
from protocol.spec.types import Array, DType, TensorDecl

CHUNK = roots.CHUNK
LENGTHS = [0, 1, 63, 64, 511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097, 8191, 65_537]
AROUND_CHUNKS = [CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + 5 * 512, 2 * CHUNK, 3 * CHUNK + 777]


def _bytes(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("size", [*LENGTHS, *range(512, 20 * 512, 512)])
def test_block_leaves__any_length__are_those_of_the_specification(size: int) -> None:
    data = _bytes(size)
    leaves = block_leaves(data)
    assert leaves.dtype == np.uint8
    assert leaves.shape == (-(-size // 512), 32)
    assert leaves.tobytes() == b"".join(trees.block_leaves(data))


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("count", [*range(40), 127, 128, 129, 1000])
def test_tree_levels__any_count__are_those_of_the_specification(count: int) -> None:
    rows = np.frombuffer(_bytes(count * 32, count), np.uint8).reshape(-1, 32)
    wanted = trees.levels_of([row.tobytes() for row in rows])
    assert [level.tobytes() for level in tree_levels(rows)] == [b"".join(w) for w in wanted]


@pytest.mark.usefixtures("path")
def test_tree_levels__zero_nodes__have_zero_above_two_of_them() -> None:
    generator = np.random.default_rng(5)
    rows = np.frombuffer(_bytes(100 * 32), np.uint8).reshape(-1, 32).copy()
    rows[generator.integers(0, 100, 60)] = 0
    rows[40:72] = 0
    wanted = trees.levels_of([row.tobytes() for row in rows])
    levels = tree_levels(rows)
    assert [level.tobytes() for level in levels] == [b"".join(w) for w in wanted]
    assert not levels[3][5:9].any()


@pytest.mark.usefixtures("path")
def test_tree_levels__strided_leaves__equal_their_copy() -> None:
    rows = np.frombuffer(_bytes(60 * 64), np.uint8).reshape(60, 64)[::3, 5:37]
    assert tree_levels(rows)[-1].tobytes() == trees.list_root(row.tobytes() for row in rows)


def test_tree_levels__wrong_shape__says_what_was_got() -> None:
    with pytest.raises(TypeError, match=r"got leaves uint8\[4, 31\], wanted uint8\[n, 32\]"):
        tree_levels(np.zeros((4, 31), np.uint8))


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("size", LENGTHS)
def test_block_root__any_length__is_that_of_the_specification(size: int) -> None:
    data = _bytes(size)
    assert block_root(data) == trees.block_root(data)


@pytest.mark.usefixtures("path")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=3000), st.integers(1, 40))
def test_block_root__random_bytes__is_that_of_the_specification(data: bytes, times: int) -> None:
    assert block_root(data * times) == trees.block_root(data * times)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_block_root__lengths_around_subtrees__is_that_of_the_specification(threads: int) -> None:
    data = _bytes(max(AROUND_CHUNKS))
    for size in AROUND_CHUNKS:
        piece = memoryview(data)[:size]
        wanted = trees.block_leaves(piece)
        assert block_leaves(piece, threads).tobytes() == b"".join(wanted)
        assert block_root(piece, threads) == trees.list_root(wanted)


@pytest.mark.usefixtures("path")
def test_block_root__zero_bytes__are_hashed_unlike_padding() -> None:
    assert block_root(bytes(512)) != ZERO
    assert block_root(b"") == ZERO
    assert block_root(bytes(CHUNK + 1)) == trees.block_root(bytes(CHUNK + 1))


@pytest.mark.usefixtures("path")
def test_block_root__every_kind_of_memory__gives_one_root(tmp_path: Path) -> None:
    data = _bytes(40_001)
    wanted = trees.block_root(data)
    file = tmp_path / "data"
    file.write_bytes(data)
    unaligned = memoryview(b"x" + data)[1:]
    for kind in (data, bytearray(data), memoryview(data), unaligned, np.frombuffer(data, "u1")):
        assert block_root(kind) == wanted
    assert block_root(np.memmap(file, np.uint8, "r")) == wanted
    with file.open("rb") as opened:
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert block_root(mapped) == wanted
    wide = np.frombuffer(data[:40_000], "<f4").reshape(100, 100)
    assert block_root(wide) == block_root(wide.data) == trees.block_root(data[:40_000])


@pytest.mark.parametrize(
    "strided", [memoryview(bytes(4096))[::2], np.zeros((64, 64), np.int16).T], ids=["view", "array"]
)
def test_block_root__memory_with_gaps__is_refused(strided: roots.Buffer) -> None:
    with pytest.raises(TypeError, match="copy it first"):
        block_root(strided)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("dtype", list(DType))
def test_tensor_root__layouts_of_one_tensor__give_one_root(dtype: DType) -> None:
    tensor = np.random.default_rng(1).integers(-100, 100, (37, 6, 50)).astype(dtype.numpy)
    decl = TensorDecl(dtype, tensor.shape, bound=100)
    wanted = trees.tensor_root(decl, tensor)
    gaps = np.repeat(tensor, 2, axis=2)[:, :, ::2]
    layouts = [tensor, np.asfortranarray(tensor), gaps, tensor[::-1].copy()[::-1]]
    layouts.append(tensor.astype(tensor.dtype.newbyteorder(">")))
    for layout in layouts:
        assert tensor_root(decl, layout) == wanted


@pytest.mark.usefixtures("path")
def test_tensors_root__scalars_empty_and_large__is_that_of_the_specification() -> None:
    tensors: list[Array] = [
        np.array(7, np.int64),
        np.zeros((0, 3), np.float32),
        np.arange(700_000, dtype=np.int16).reshape(700, 1000),
    ]
    kinds = [DType.I64, DType.F32, DType.I16]
    decls = [TensorDecl(k, t.shape) for k, t in zip(kinds, tensors, strict=True)]
    assert tensors_root(decls, tensors, threads=2) == trees.tensors_root(decls, tensors)
    assert tensors_root([], []) == ZERO
    with pytest.raises(ValueError, match="shorter"):
        tensors_root(decls, tensors[:2])


def test_block_root__called_by_many_threads__gives_each_its_own(path: str) -> None:
    size = 300_000 if path == "compiled" else 30_000
    pieces = [_bytes(size + k, k) for k in range(12)]
    wanted = [trees.block_root(piece) for piece in pieces]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(block_root, pieces)) == wanted
