"""Lists of tensors between two nodes: checked before use, cached by root, mapped."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from protocol.spec.trees import keccak256, tensors_root
from protocol.spec.types import Array, DType, TensorDecl
from protocol.storage.bundle import fetch_blob, fetch_tensors, publish_tensors
from protocol.storage.cache import Cache
from protocol.storage.cid import Cid
from protocol.storage.errors import (
    ContentMismatch,
    ContentMissing,
    ContentTooLarge,
    IpfsUnavailable,
)
from protocol.storage.manifest import TensorEntry, encode_manifest, manifest_root
from tests.storage.conftest import MakeStore, Pair
from tests.storage.fake_rpc import Handler, fake_rpc

TENSORS: list[Array] = [
    np.random.default_rng(7).standard_normal((300, 1000)).astype("<f4"),
    np.arange(64 * 3, dtype="<i8").reshape(64, 3),
    np.array(-5, "i1"),
    np.asfortranarray(np.arange(12, dtype="<i2").reshape(3, 4)),
    np.array([np.nan, -0.0, np.inf], ">f4"),
]
DECLS = [
    TensorDecl(DType.F32, (300, 1000)),
    TensorDecl(DType.I64, (64, 3)),
    TensorDecl(DType.I8, ()),
    TensorDecl(DType.I16, (3, 4)),
    TensorDecl(DType.F32, (3,)),
]
ROOT = tensors_root(DECLS, TENSORS)
LIMIT = 10_000_000


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", 100_000_000)


@pytest.mark.chain
def test_fetch__published_tensors__arrive_bit_for_bit_and_are_cached(
    pair: Pair, make_store: MakeStore, cache: Cache
) -> None:
    client, provider = make_store(pair.client.api), make_store(pair.provider.api)
    done: list[int] = []
    published = publish_tensors(client, TENSORS, lambda n, _: done.append(n))
    total = sum(tensor.nbytes for tensor in TENSORS)
    assert published.root == ROOT
    assert done[-1] == total
    provider.connect(pair.client.swarm)
    got = fetch_tensors(provider, cache, published.cid, ROOT, declared=DECLS, max_bytes=LIMIT)
    for array, tensor, decl in zip(got, TENSORS, DECLS, strict=True):
        assert array.dtype == decl.dtype.numpy
        assert array.shape == tensor.shape
        assert array.tobytes() == np.ascontiguousarray(tensor, decl.dtype.numpy).tobytes()
        assert isinstance(array, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    dead = make_store("/ip4/127.0.0.1/tcp/1")
    again = fetch_tensors(dead, cache, published.cid, ROOT, max_bytes=LIMIT, full_check=True)
    assert [array.tobytes() for array in again] == [array.tobytes() for array in got]


@pytest.mark.chain
def test_fetch__cached_tensor_rotten__is_fetched_again(
    pair: Pair, make_store: MakeStore, cache: Cache
) -> None:
    store = make_store(pair.client.api)
    published = publish_tensors(store, TENSORS)
    fetch_tensors(store, cache, published.cid, ROOT, max_bytes=LIMIT)
    path = cache.path("tensor", published.entries[0].root)
    path.write_bytes(bytes(path.stat().st_size))
    (first, *_) = fetch_tensors(store, cache, published.cid, ROOT, max_bytes=LIMIT)
    assert first.tobytes() == TENSORS[0].tobytes()


@pytest.mark.chain
def test_fetch__large_tensor__is_never_whole_in_memory(
    pair: Pair, make_store: MakeStore, cache: Cache
) -> None:
    store = make_store(pair.client.api)
    tensor = np.random.default_rng(3).integers(-(2**15), 2**15, (1000, 4000)).astype("<i2")
    published = publish_tensors(store, [tensor])
    tracemalloc.start()
    try:
        (got,) = fetch_tensors(store, cache, published.cid, published.root, max_bytes=1 << 26)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < tensor.nbytes // 3
    assert np.array_equal(got, tensor)


@pytest.mark.chain
def test_fetch__wrong_commitments__are_refused_before_any_tensor(
    pair: Pair, make_store: MakeStore, cache: Cache
) -> None:
    store = make_store(pair.client.api)
    published = publish_tensors(store, TENSORS)
    with pytest.raises(ContentMismatch, match="committed is 0x0000"):
        fetch_tensors(store, cache, published.cid, bytes(32), max_bytes=LIMIT)
    with pytest.raises(ContentTooLarge, match="at most 1000 taken"):
        fetch_tensors(store, cache, published.cid, ROOT, max_bytes=1000)
    with pytest.raises(ContentMismatch, match="the program has 4"):
        fetch_tensors(store, cache, published.cid, ROOT, declared=DECLS[:4], max_bytes=LIMIT)
    swapped = [DECLS[1], DECLS[0], *DECLS[2:]]
    with pytest.raises(ContentMismatch, match="tensor 0 is f32"):
        fetch_tensors(store, cache, published.cid, ROOT, declared=swapped, max_bytes=LIMIT)
    assert not list((cache.directory / "tensor").glob("*/*"))


@pytest.mark.chain
def test_fetch__manifest_that_points_to_other_bytes__is_a_mismatch(
    pair: Pair, make_store: MakeStore, cache: Cache
) -> None:
    store = make_store(pair.client.api)
    other = store.put_bytes(bytes(12))
    short = store.put_bytes(bytes(8))
    for cid, words in ((other, "has root"), (short, "wanted 12")):
        entry = TensorEntry(cid, DType.F32, (3,), keccak256(b"the committed tensor"))
        listed = store.put_bytes(encode_manifest([entry]))
        with pytest.raises(ContentMismatch, match=words):
            fetch_tensors(store, cache, listed, manifest_root([entry]), max_bytes=LIMIT)
    assert not list((cache.directory / "tensor").glob("*/*"))


@pytest.mark.chain
def test_fetch__manifest_is_no_manifest__is_a_mismatch(
    pair: Pair, make_store: MakeStore, cache: Cache
) -> None:
    store = make_store(pair.client.api)
    cid = store.put_bytes(b"hello")
    with pytest.raises(ContentMismatch, match="not JSON"):
        fetch_tensors(store, cache, cid, ROOT, max_bytes=LIMIT)


def test_fetch_blob__altered_program__is_a_mismatch_and_not_cached(
    make_store: MakeStore, cache: Cache
) -> None:
    program = b"a program" * 100
    root = keccak256(program)

    def verify(data: bytes) -> None:
        if keccak256(data) != root:
            raise ContentMismatch("altered program")

    def lies(handler: Handler, data: bytes) -> None:
        handler.whole(data.replace(b"a", b"b", 1))

    cid = Cid.of_block(program)
    with fake_rpc(program, lies) as rpc:
        store = make_store(rpc.api)
        with pytest.raises(ContentMismatch, match="altered program"):
            fetch_blob(store, cache, "program", cid, root, verify, 10_000)
        rpc.serve = lambda handler, data: handler.whole(data)
        assert fetch_blob(store, cache, "program", cid, root, verify, 10_000) == program
    assert fetch_blob(store, cache, "program", cid, root, verify, 10_000) == program


def test_fetch__ipfs_down_and_nothing_cached__is_one_clear_error(
    make_store: MakeStore, cache: Cache
) -> None:
    with pytest.raises(IpfsUnavailable, match="assay ipfs"):
        fetch_tensors(
            make_store("/ip4/127.0.0.1/tcp/1"), cache, Cid.of_block(b""), ROOT, max_bytes=LIMIT
        )


def test_publish__dtype_that_is_none_of_ours__is_refused(make_store: MakeStore) -> None:
    with pytest.raises(ContentMismatch, match="float64"):
        publish_tensors(make_store("/ip4/127.0.0.1/tcp/1"), [np.zeros(3)])


@pytest.mark.chain
def test_fetch__publisher_gone__is_missing(pair: Pair, make_store: MakeStore, cache: Cache) -> None:
    with pytest.raises(ContentMissing):
        fetch_tensors(
            make_store(pair.provider.api),
            cache,
            Cid.of_block(b"nobody has this"),
            ROOT,
            max_bytes=LIMIT,
            timeout=1.0,
        )
