"""The embedded node over its RPC: transfers, crashes, garbage collection, bad requests."""

from __future__ import annotations

import http.client
import io
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from protocol.storage.cid import Cid
from protocol.storage.errors import (
    ContentMissing,
    IpfsRefused,
    NodeError,
)
from protocol.storage.process import NodeProcess, Ready
from protocol.storage.store import Store
from tests.storage.conftest import MakeStore, Pair

pytestmark = pytest.mark.chain
Fresh = Callable[[int], bytes]


def put_block(store: Store, data: bytes, **options: str) -> Cid:
    answer = store.rpc.upload("/block/put", io.BytesIO(data), 5.0, **options)
    return Cid.parse(answer["Key"])


def objects(store: Store) -> int:
    return int(store.rpc.one("/repo/stat")["NumObjects"])


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A node started as a person would start it; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "protocol.storage.node", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_exchange__twenty_megabytes__travel_between_two_nodes(
    pair: Pair, make_store: MakeStore, fresh: Fresh
) -> None:
    data = fresh(20_000_000)
    client, provider = make_store(pair.client.api), make_store(pair.provider.api)
    started = time.monotonic()
    cid = client.put_bytes(data)
    put_s = time.monotonic() - started
    assert provider.connect(pair.client.swarm) == []
    assert provider.peers() == [pair.client.peer_id]
    started = time.monotonic()
    assert provider.get(cid, len(data)) == data
    get_s = time.monotonic() - started
    print(f"put {20 / put_s:.0f} MB/s, get between nodes {20 / get_s:.0f} MB/s")
    assert provider.get(cid, len(data)) == data  # now from its own disk
    assert 20 / put_s > 2
    assert 20 / get_s > 2


def test_cat__range__fetches_only_the_blocks_it_needs(
    pair: Pair, make_store: MakeStore, fresh: Fresh
) -> None:
    data = fresh(8_000_000)
    client, provider = make_store(pair.client.api), make_store(pair.provider.api)
    cid = client.put_bytes(data)
    provider.connect(pair.client.swarm)
    before = objects(provider)
    pieces = provider.rpc.stream("/cat", str(cid), offset="1000000", length="300000")
    assert b"".join(pieces) == data[1_000_000:1_300_000]
    assert objects(provider) - before <= 4
    assert b"".join(provider.rpc.stream("/cat", str(cid), offset="7999990")) == data[-10:]
    assert b"".join(provider.rpc.stream("/cat", str(cid), offset="9000000")) == b""


def test_add__empty_and_small__come_back(pair: Pair, make_store: MakeStore) -> None:
    store = make_store(pair.client.api)
    for data in (b"", b"x", b"--boundary\r\n", bytes(262_144), bytes(262_145)):
        assert store.get(store.put_bytes(data), len(data)) == data


def test_add__the_same_bytes_as_kubo__has_the_same_cid(pair: Pair, make_store: MakeStore) -> None:
    # `echo -n hello | ipfs add -Q` of any Kubo with default settings.
    cid = make_store(pair.client.api).put_bytes(b"hello")
    assert str(cid) == "QmWfVY9y3xjsixTgbd9AorQxH7VtMpzfx2HaWtsoUYecaX"


def test_get__missing_content__is_a_clear_error_in_bounded_time(
    pair: Pair, make_store: MakeStore, fresh: Fresh
) -> None:
    started = time.monotonic()
    with pytest.raises(ContentMissing, match="connect to a node that holds it"):
        make_store(pair.provider.api).get(Cid.of_block(fresh(100)), 100)
    assert time.monotonic() - started < 6


def test_get__missing_leaf__is_missing_not_truncated(
    pair: Pair, make_store: MakeStore, fresh: Fresh
) -> None:
    store = make_store(pair.client.api)
    leaf = Cid.of_block(fresh(50))
    link = b"\x0a\x24" + leaf.to_bytes()
    node = b"\x12" + bytes([len(link)]) + link + b"\x0a\x06\x08\x02\x18\x32\x20\x32"
    root = put_block(store, node, cid_codec="dag-pb")
    with pytest.raises(ContentMissing, match="after 0 bytes"):
        store.get(root, 100, timeout=1.5)


def test_fetch__many_dead_wants__do_not_starve_live_ones(
    pair: Pair, make_store: MakeStore, fresh: Fresh
) -> None:
    client, provider = make_store(pair.client.api), make_store(pair.provider.api)

    def ask() -> None:
        with pytest.raises(ContentMissing):
            provider.rpc.one("/block/stat", str(Cid.of_block(fresh(9))), timeout="100ms")

    threads = [threading.Thread(target=ask) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    data = fresh(1_000_000)
    cid = client.put_bytes(data)
    provider.connect(pair.client.swarm)
    assert provider.get(cid, len(data)) == data


def test_block_put__asked_for_before_it_existed__reaches_who_asked(
    pair: Pair, make_store: MakeStore, fresh: Fresh
) -> None:
    client, provider = make_store(pair.client.api), make_store(pair.provider.api)
    provider.connect(pair.client.swarm)
    data = fresh(1000)
    cid = Cid.of_block(data)
    with pytest.raises(ContentMissing):
        provider.rpc.one("/block/stat", str(cid), timeout="300ms")
    assert put_block(client, data) == cid
    provider.connect(pair.client.swarm)
    assert b"".join(provider.rpc.stream("/block/get", str(cid))) == data


def test_gc__drops_what_is_not_pinned_and_nothing_else(
    pair: Pair, make_store: MakeStore, fresh: Fresh
) -> None:
    store = make_store(pair.client.api)
    kept, dropped = fresh(1_000_000), fresh(1_000_000)
    keep, drop = store.put_bytes(kept), store.put_bytes(dropped)
    store.unpin(drop)
    assert store.collect_garbage() >= 5
    assert store.get(keep, len(kept)) == kept
    with pytest.raises(ContentMissing, match="locally"):
        store.rpc.one("/block/stat", str(drop), offline="true")
    again = store.put_bytes(dropped)  # the node must not believe that it still has it
    assert again == drop
    assert store.get(drop, len(dropped)) == dropped
    assert {str(keep), str(drop)} <= set(store.pins())


def test_gc__a_pinned_block_is_gone__keeps_the_others(
    tmp_path: Path, make_store: MakeStore
) -> None:
    node = NodeProcess(tmp_path / "node")
    ready = node.start()
    try:
        store = make_store(ready.api)
        first, second = os.urandom(600_000), os.urandom(600_000)
        broken = store.put_bytes(first)
        kept = store.put_bytes(second)
        (lost,) = [p for p in ready.repo.glob("blocks/*/*.data") if first[:99] in p.read_bytes()]
        lost.unlink()
        assert len(store.pins()) == 2
        store.collect_garbage()
        assert store.get(kept, len(second)) == second
        rest = store.rpc.stream("/cat", str(broken), offset="300000", offline="true")
        assert b"".join(rest) == first[300_000:]
    finally:
        assert node.stop() == 0


def test_start__repository_of_another_program__is_refused(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("{}")
    with pytest.raises(NodeError, match="another program"):
        NodeProcess(tmp_path).start()


def test_pin__unpinned_content__is_pinned_with_all_blocks(
    pair: Pair, make_store: MakeStore, fresh: Fresh
) -> None:
    client, provider = make_store(pair.client.api), make_store(pair.provider.api)
    data = fresh(2_000_000)
    cid = client.put_bytes(data)
    provider.connect(pair.client.swarm)
    provider.pin(cid)
    provider.collect_garbage()
    pieces = provider.rpc.stream("/cat", str(cid), offline="true")
    assert b"".join(pieces) == data
    provider.unpin(cid)
    with pytest.raises(IpfsRefused, match="not pinned"):
        provider.unpin(cid)


def test_crash__kill_9_and_restart__every_block_and_port_is_there(
    tmp_path: Path, make_store: MakeStore, fresh: Fresh
) -> None:
    node = NodeProcess(tmp_path / "node")
    first = node.start()
    data = fresh(3_000_000)
    cid = make_store(first.api).put_bytes(data)
    node.kill()
    assert not alive(first.pid)
    second = node.start()
    try:
        store = make_store(second.api)
        assert (second.api, second.swarm) == (first.api, first.swarm)
        assert store.get(cid, len(data)) == data
        assert store.pins() == [str(cid)]
    finally:
        assert node.stop() == 0


def test_damage__a_block_altered_on_disk__is_fetched_again(
    pair: Pair, make_store: MakeStore, fresh: Fresh
) -> None:
    client, provider = make_store(pair.client.api), make_store(pair.provider.api)
    data = fresh(1000)
    cid = client.put_bytes(data)
    provider.connect(pair.client.swarm)
    assert provider.get(cid, 1000) == data
    blocks = pair.provider.repo / "blocks"
    (path,) = [path for path in blocks.glob("*/*.data") if data in path.read_bytes()]
    path.write_bytes(b"rotten")
    assert provider.get(cid, 1000) == data


def test_start__repository_in_use__says_so(pair: Pair) -> None:
    with pytest.raises(NodeError, match="another node runs on"):
        NodeProcess(pair.client.repo).start()


def test_start__port_in_use__says_so(pair: Pair, tmp_path: Path) -> None:
    port = int(pair.client.api.rpartition("/")[2])
    with pytest.raises(NodeError, match=f"RPC port {port}: Address already in use"):
        NodeProcess(tmp_path / "node", api_port=port).start()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop__signal__exits_cleanly_and_leaves_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    ready_file = tmp_path / "ready.json"
    with running("--repo", str(tmp_path / "node"), "--ready-file", str(ready_file)) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready {")
        assert json.loads(ready_file.read_text())["pid"] == process.pid
        process.send_signal(number)
        _, complaints = process.communicate(timeout=10)
        assert process.returncode == 0
        assert complaints == ""
    assert not ready_file.exists()
    assert not (tmp_path / "node" / "api").exists()


def test_stop__parent_killed__node_goes_too(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from protocol.storage.process import NodeProcess\n"
        "node = NodeProcess(Path(sys.argv[1])); print(node.start().pid, flush=True)\n"
        "sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "node")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        end = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        ended, _, _ = select.select([end], [], [], 10)
        os.close(end)
    assert ended, "the node outlived its parent by 10 s"


def test_shutdown__over_rpc__ends_the_process(tmp_path: Path, make_store: MakeStore) -> None:
    node = NodeProcess(tmp_path / "node")
    ready = node.start()
    make_store(ready.api).rpc.one("/shutdown")
    assert node.stop() == 0


def request(ready: Ready, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
    port = int(ready.api.rpartition("/")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "words"),
    [
        ("GET", "/api/v0/id", {}, 405, "POST"),
        ("POST", "/api/v0/id", {"Origin": "https://evil.example"}, 403, "browsers"),
        ("POST", "/api/v0/id", {"Host": "evil.example"}, 403, "loopback"),
        ("POST", "/api/v0/key/gen", {}, 404, "not served"),
        ("POST", "/api/v0/cat", {}, 500, "wanted one CID"),
        ("POST", "/api/v0/cat?arg=Qm", {}, 400, "is no CID"),
        ("POST", "/api/v0/cat?arg=hello", {}, 400, "is no CID"),
        ("POST", "/api/v0/add", {}, 500, "boundary"),
        ("POST", "/api/v0/add?cid-version=1", {}, 500, "cid-version=0 only"),
        ("POST", "/api/v0/swarm/connect?arg=/ip4/127.0.0.1/tcp/1", {}, 500, "names no peer"),
        (
            "POST",
            "/api/v0/block/stat?timeout=soon&arg=QmWfVY9y3xjsixTgbd9AorQxH7VtMpzfx2HaWtsoUYecaX",
            {},
            500,
            "duration",
        ),
    ],
)
def test_request__bad__gets_one_clear_error(
    pair: Pair, method: str, path: str, headers: dict[str, str], status: int, words: str
) -> None:
    got, text = request(pair.client, method, path, headers)
    assert got == status
    answer = json.loads(text)
    assert words in answer["Message"]
    assert answer["Type"] == "error"


def test_connect__nobody_there__is_reported_not_raised(pair: Pair, make_store: MakeStore) -> None:
    store = make_store(pair.provider.api)
    nobody = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"
    (line,) = store.connect([f"/ip4/127.0.0.1/tcp/1/p2p/{nobody}"])
    assert "failure" in line or "no answer" in line


def test_swarm__another_key__cannot_connect(
    pair: Pair, tmp_path: Path, make_store: MakeStore
) -> None:
    with running("--repo", str(tmp_path / "other"), "--swarm-key", "11" * 32) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline().removeprefix("ready "))
        store = make_store(ready["api"])
        (line,) = store.connect(pair.client.swarm)
        assert store.peers() == []
        assert "failure" in line or "no answer" in line
