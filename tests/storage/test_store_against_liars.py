"""A store in front of an RPC that is down, broken or lying: one clear error, or the right bytes."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.storage.cid import Cid
from protocol.storage.config import StorageConfig
from protocol.storage.errors import (
    ContentMismatch,
    ContentMissing,
    ContentTooLarge,
    ContentTooSlow,
    IpfsRefused,
    IpfsUnavailable,
    StorageConfigError,
)
from protocol.storage.store import Store
from tests.storage.conftest import MakeStore
from tests.storage.fake_rpc import Handler, fake_rpc

DATA = b"".join(hashlib.sha256(bytes([k])).digest() for k in range(100))
CID = Cid.of_block(DATA)


@pytest.fixture
def make_store(tmp_path: Path) -> Iterator[MakeStore]:
    """Makes stores that give up after a second; closes them."""
    stores: list[Store] = []

    def make(api: str) -> Store:
        config = StorageConfig(
            api=api,
            cache_dir=tmp_path / "cache",
            connect_s=1.0,
            find_s=1.0,
            stall_s=1.0,
            attempts=2,
            backoff_s=0.05,
        )
        stores.append(Store(config))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def verify(data: bytes) -> None:
    """Accepts DATA alone."""
    if data != DATA:
        raise ContentMismatch(f"{len(data)} bytes that were not committed to")


def honest(handler: Handler, data: bytes) -> None:
    handler.whole(data)


def test_get__honest_node__returns_the_bytes(make_store: MakeStore) -> None:
    seen: list[int] = []
    with fake_rpc(DATA, honest) as rpc:
        store = make_store(rpc.api)
        got = store.get(CID, 4096, verify=verify, progress=lambda done, _: seen.append(done))
    assert got == DATA
    assert seen[-1] == len(DATA)


def test_get__altered_bytes__retries_then_raises_mismatch(make_store: MakeStore) -> None:
    def altered(handler: Handler, data: bytes) -> None:
        handler.whole(b"\xff" + data[1:])

    with fake_rpc(DATA, altered) as rpc, pytest.raises(ContentMismatch, match="3200 bytes"):
        make_store(rpc.api).get(CID, 4096, verify=verify)
    assert rpc.cats == 2


def test_get__altered_once__is_fetched_again_whole(make_store: MakeStore) -> None:
    def altered_once(handler: Handler, data: bytes) -> None:
        handler.whole(b"\xff" + data[1:] if handler.server.cats == 1 else data)

    with fake_rpc(DATA, altered_once) as rpc:
        assert make_store(rpc.api).get(CID, 4096, verify=verify) == DATA
    assert rpc.cats == 2


def test_get__connection_breaks__goes_on_where_it_broke(make_store: MakeStore) -> None:
    lengths: list[int] = []

    def breaks(handler: Handler, data: bytes) -> None:
        lengths.append(len(data))
        if len(lengths) == 1:
            handler.whole(data[:1000], length=len(data))
            handler.close_connection = True  # 2200 bytes are still owed
        else:
            handler.whole(data)

    with fake_rpc(DATA, breaks) as rpc:
        assert make_store(rpc.api).get(CID, 4096, verify=verify) == DATA
    assert lengths == [len(DATA), len(DATA) - 1000]


def test_get__truncated_for_ever__raises_mismatch(make_store: MakeStore) -> None:
    with (
        fake_rpc(DATA[:-1], honest) as rpc,
        pytest.raises(ContentMismatch, match="3199 bytes"),
    ):
        make_store(rpc.api).get(CID, 4096, verify=verify)


def test_get__endless_answer__stops_at_the_limit(make_store: MakeStore) -> None:
    def endless(handler: Handler, data: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while not handler.server.release.is_set():
            handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    with fake_rpc(DATA, endless) as rpc, pytest.raises(ContentTooLarge, match="longer than 4096"):
        make_store(rpc.api).get(CID, 4096, verify=verify)


def test_get__one_endless_chunk__stops_at_the_limit(make_store: MakeStore) -> None:
    def endless(handler: Handler, data: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"7fffffffff\r\n")
        while not handler.server.release.is_set():
            handler.wfile.write(bytes(0x10000))

    with fake_rpc(DATA, endless) as rpc, pytest.raises(ContentTooLarge, match="longer than 4096"):
        make_store(rpc.api).get(CID, 4096, verify=verify)


def silent(handler: Handler, data: bytes) -> None:
    handler.server.release.wait(20)
    handler.close_connection = True


def test_get__silent_node__raises_missing_in_bounded_time(make_store: MakeStore) -> None:
    started = time.monotonic()
    with fake_rpc(DATA, silent) as rpc, pytest.raises(ContentMissing, match="after 0 bytes"):
        make_store(rpc.api).get(CID, 4096, verify=verify)
    assert time.monotonic() - started < 5


def test_get__trickle__raises_too_slow(make_store: MakeStore) -> None:
    def trickle(handler: Handler, data: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        for byte in data:
            handler.wfile.write(bytes([byte]))
            if handler.server.release.wait(0.05):
                return

    with (
        fake_rpc(DATA, trickle) as rpc,
        pytest.raises(ContentTooSlow, match="in the 0.5 s gra"),
    ):
        make_store(rpc.api).get(CID, 4096, verify=verify, timeout=0.5)


def test_get__error_answer__is_quoted(make_store: MakeStore) -> None:
    def refuses(handler: Handler, data: bytes) -> None:
        handler.json({"Message": "merkledag: bad day", "Code": 0, "Type": "error"}, 500)

    with fake_rpc(DATA, refuses) as rpc, pytest.raises(IpfsRefused, match="bad day"):
        make_store(rpc.api).get(CID, 4096)
    assert rpc.cats == 1


def test_get__not_found_answer__is_missing_after_retries(make_store: MakeStore) -> None:
    def lost(handler: Handler, data: bytes) -> None:
        handler.json({"Message": "ipld: could not find Qm", "Code": 0, "Type": "error"}, 500)

    with fake_rpc(DATA, lost) as rpc, pytest.raises(ContentMissing, match="could not find"):
        make_store(rpc.api).get(CID, 4096)
    assert rpc.cats == 2


def test_get__a_web_server_instead__names_the_problem(make_store: MakeStore) -> None:
    def page(handler: Handler, data: bytes) -> None:
        handler.whole(b"<html>", 404)

    with fake_rpc(DATA, page) as rpc, pytest.raises(IpfsRefused, match="is it a Kubo RPC"):
        make_store(rpc.api).get(CID, 4096)


def test_node__nothing_listens__says_how_to_start_one(make_store: MakeStore) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        store = make_store(f"/ip4/127.0.0.1/tcp/{holder.getsockname()[1]}")
        with pytest.raises(IpfsUnavailable, match="assay ipfs"):
            store.node()
        with pytest.raises(IpfsUnavailable, match="assay ipfs"):
            store.put_bytes(b"x")


def test_node__answer_is_no_json__raises_unavailable(make_store: MakeStore) -> None:
    with fake_rpc(DATA, honest) as rpc:
        store = make_store(rpc.api)
        with pytest.raises(IpfsUnavailable, match="no JSON"):
            store.rpc.one("/cat")


def test_store__address_is_no_multiaddr__is_a_configuration_error(make_store: MakeStore) -> None:
    with pytest.raises(StorageConfigError, match="multiaddr"):
        make_store("http://localhost:5001")
    with pytest.raises(StorageConfigError, match="multiaddr"):
        make_store("/ip4/nowhere/tcp/5001")


def test_put__node_answers_with_a_bad_cid__is_refused(make_store: MakeStore) -> None:
    with fake_rpc(DATA, honest) as rpc, pytest.raises(IpfsRefused, match="is no CID"):
        make_store(rpc.api).put_bytes(b"x")


def missing(handler: Handler, data: bytes) -> None:
    handler.json({"Message": "block was not found locally", "Code": 0, "Type": "error"}, 500)


def test_connect__peers_of_an_earlier_job__are_not_dialled_again(make_store: MakeStore) -> None:
    with fake_rpc(DATA, missing) as rpc:
        store = make_store(rpc.api)
        store.connect([f"/ip4/10.0.0.{k}/tcp/1/p2p/x" for k in range(8)])
        store.connect(["/ip4/10.0.1.1/tcp/1/p2p/x"])
        with pytest.raises((ContentMissing, IpfsRefused, IpfsUnavailable)):
            store.get(CID, 4096, verify=verify)
        dials = sum(path.endswith("/swarm/connect") for path in rpc.requests)
    assert dials <= 8 + 1 + 1


def test_connect__peers_that_never_answer__cost_two_of_them(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store("/ip4/127.0.0.1/tcp/1")
    dialled: list[str] = []

    def silent(address: str) -> None:
        dialled.append(address)
        threading.Event().wait(store.config.find_s)
        raise ContentMissing(f"{address}: no answer")

    monkeypatch.setattr(store, "_dial", silent)
    failed = store.connect([f"/ip4/10.0.0.{k}/tcp/1/p2p/x" for k in range(16)])
    assert len(dialled) == 2
    assert len(failed) == 16
    assert "not dialled" in failed[-1]
