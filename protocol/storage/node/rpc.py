"""The HTTP server: Kubo's RPC (``/api/v0``, POST only), the part of it that Assay uses.

Shapes of requests and answers follow the Kubo RPC reference.  Errors are status 500 (400 for a
bad argument) with ``{"Message", "Code", "Type": "error"}``.  A browser must not reach a node on
its user's machine: requests with an Origin, or under a host name that is not loopback, are
refused.
"""

from __future__ import annotations

import json
import logging
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from protocol.storage.cid import DAG_PB, RAW, Cid
from protocol.storage.errors import ContentTooLarge, IpfsRefused, MalformedCid, StorageError
from protocol.storage.node.body import first_file, open_body
from protocol.storage.node.fetch import Fetcher
from protocol.storage.node.gate import Deadline
from protocol.storage.node.kubo import Kubo
from protocol.storage.node.libkubo import KUBO_VERSION
from protocol.storage.node.reader import FileReader
from protocol.storage.unixfs import links

log = logging.getLogger(__name__)
PREFIX: Final = "/api/v0/"
UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
LOCAL_HOSTS: Final = ("localhost", "[::1]", "127.")
MAX_BLOCK: Final = 1 << 20
Json = dict[str, Any]


def duration(text: str) -> float:
    """Seconds in a Go duration such as ``1m30s``; IpfsRefused for anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise IpfsRefused(f"duration {text!r}; wanted for example 30s or 1m30s")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


class Query:
    """Arguments and options of a request."""

    def __init__(self, text: str) -> None:
        self._values = parse_qs(text, keep_blank_values=True, max_num_fields=64)

    @property
    def arguments(self) -> list[str]:
        """Values of ``arg``, in order."""
        return self._values.get("arg", [])

    def cid(self) -> Cid:
        """The one argument, a CID."""
        if len(self.arguments) != 1:
            raise IpfsRefused(f"{len(self.arguments)} arguments, wanted one CID")
        return Cid.parse(self.arguments[0])

    def text(self, name: str, default: str = "") -> str:
        """The last value of an option."""
        return self._values.get(name, [default])[-1]

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean option."""
        value = self.text(name, "true" if default else "false").lower()
        if value not in ("true", "false", "1", "0", ""):
            raise IpfsRefused(f"option {name} is {value!r}, wanted true or false")
        return value in ("true", "1", "")

    def number(self, name: str, default: int) -> int:
        """An option that is a whole number, 0 or more."""
        value = self.text(name, str(default))
        if not value.isdecimal():
            raise IpfsRefused(f"option {name} is {value!r}, wanted a whole number")
        return int(value)

    def deadline(self) -> Deadline | None:
        """The option ``timeout``, counted from now."""
        value = self.text("timeout")
        return Deadline(duration(value)) if value else None

    def demand(self, name: str, *accepted: str) -> None:
        """IpfsRefused if option ``name`` is given and is none of ``accepted``."""
        value = self.text(name, accepted[0]).lower()
        if value not in accepted:
            raise IpfsRefused(f"this node takes {name}={accepted[0]} only, not {value}")


class Rpc(ThreadingHTTPServer):
    """The server of one node."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, kubo: Kubo, port: int, stop: Callable[[], None]) -> None:
        self.kubo = kubo
        self.fetcher = Fetcher(kubo)
        self.stop = stop
        super().__init__((kubo.config.api_host, port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event; anything else is a defect and is logged."""
        log.debug("request from %s broke off", client_address, exc_info=True)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = 120
    started = False
    server: Rpc

    def log_message(self, format: str, *args: object) -> None:
        """Requests go to the debug log, not to the terminal."""
        log.debug(format, *args)

    def do_GET(self) -> None:
        """Kubo's RPC knows only POST."""
        self._error(405, "the RPC takes POST requests")

    do_HEAD = do_PUT = do_DELETE = do_OPTIONS = do_GET

    def do_POST(self) -> None:
        """Finds the command, runs it, turns errors into answers."""
        parts = urlsplit(self.path)
        self.started = False
        try:
            refusal = self._refusal()
            if refusal:
                self._error(403, refusal)
                return
            command = COMMANDS.get(parts.path.removeprefix(PREFIX))
            if command is None or not parts.path.startswith(PREFIX):
                self._error(404, f"command {parts.path!r} is not served by this node")
                return
            self.server.kubo.trim_logs()
            command(self, Query(parts.query))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except (MalformedCid, ContentTooLarge) as error:
            self._error(400, str(error))
        except (StorageError, ValueError, OSError) as error:
            self._error(500, str(error))

    def _refusal(self) -> str:
        """Why this request may not come from here; "" if it may."""
        host = str(self.headers.get("Host", ""))
        if self.headers.get("Origin") or "Mozilla" in str(self.headers.get("User-Agent", "")):
            return "requests from browsers are refused"
        if not host.startswith(LOCAL_HOSTS):
            return f"host {host[:80]!r} is not loopback"
        return ""

    def _error(self, status: int, message: str) -> None:
        """An error answer, or the end of the connection if an answer has begun."""
        self.close_connection = True
        if self.started:
            log.warning("answer broken off: %s", message)
            return
        data = json.dumps({"Message": message, "Code": 0, "Type": "error"}).encode()
        self._head(status, "application/json", [("Content-Length", str(len(data)))])
        self.wfile.write(data)

    def _head(self, status: int, kind: str, extra: list[tuple[str, str]]) -> None:
        self.started = True
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if self.close_connection:
            self.send_header("Connection", "close")
        for name, value in extra:
            self.send_header(name, value)
        self.end_headers()

    def answer(self, *values: Json) -> None:
        """One JSON value a line."""
        data = "".join(json.dumps(value) + "\n" for value in values).encode()
        self._head(200, "application/json", [("Content-Length", str(len(data)))])
        self.wfile.write(data)

    def stream(self, pieces: Iterator[bytes], length: int) -> None:
        """Bytes as they come; a connection that ends without the last chunk is an error."""
        extra = [
            ("Transfer-Encoding", "chunked"),
            ("X-Stream-Output", "1"),
            ("X-Content-Length", str(length)),
        ]
        self._head(200, "application/octet-stream", extra)
        for piece in pieces:
            if piece:
                self.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def upload(self, target: Path, limit: int) -> str:
        """The request's one file, written to ``target``; its name."""
        with target.open("wb") as file:
            return first_file(self.headers, open_body(self.headers, self.rfile), file, limit)

    def reader(self, query: Query) -> FileReader:
        """A file reader with this request's deadline."""
        config = self.server.kubo.config
        offline = query.flag("offline")
        deadline = query.deadline()
        block_s = config.block_s if deadline is None else deadline.seconds
        return FileReader(self.server.fetcher, deadline, block_s, offline=offline)


def serve_id(h: Handler, query: Query) -> None:
    kubo = h.server.kubo
    h.answer(
        {
            "ID": kubo.peer_id,
            "PublicKey": "",
            "Addresses": kubo.addresses(),
            "AgentVersion": f"assay-libkubo/{KUBO_VERSION}",
            "Protocols": ["/ipfs/bitswap/1.2.0"],
        }
    )


def serve_version(h: Handler, query: Query) -> None:
    h.answer({"Version": KUBO_VERSION, "Commit": "", "Repo": "14", "System": "libkubo"})


def serve_connect(h: Handler, query: Query) -> None:
    deadline = query.deadline()
    for address in query.arguments:
        if "/p2p/" not in address:
            raise IpfsRefused(f"address {address[:120]!r} names no peer; wanted …/p2p/PEER")
        h.server.kubo.connect(address, deadline.left if deadline else None)
    h.answer({"Strings": [f"connect {address} success" for address in query.arguments]})


def serve_peers(h: Handler, query: Query) -> None:
    peers = [{"Addr": address, "Peer": peer} for address, peer in h.server.kubo.peers()]
    h.answer({"Peers": peers})


def serve_add(h: Handler, query: Query) -> None:
    """Kubo's defaults only: they are what the library does, and a CID must say what was asked."""
    query.demand("cid-version", "0")
    query.demand("raw-leaves", "false")
    query.demand("chunker", "size-262144")
    query.demand("hash", "sha2-256")
    for name in ("trickle", "nocopy", "wrap-with-directory", "inline"):
        query.demand(name, "false")
    kubo = h.server.kubo
    with tempfile.NamedTemporaryFile(dir=kubo.repo.temporary) as holder:
        path = Path(holder.name)
        name = h.upload(path, kubo.config.max_add_bytes)
        cid = kubo.add(path, only_hash=query.flag("only-hash"), pin=query.flag("pin", True))
        size = path.stat().st_size
    h.answer({"Name": name or str(cid), "Hash": str(cid), "Size": str(size)})


def serve_cat(h: Handler, query: Query) -> None:
    reader = h.reader(query)
    node = reader.root(query.cid())
    start = min(query.number("offset", 0), node.size)
    end = min(start + query.number("length", node.size), node.size)
    pieces = reader.read(node, start, end)
    first = next(pieces, b"")  # errors before the first byte are proper answers

    def all_pieces() -> Iterator[bytes]:
        yield first
        yield from pieces

    h.stream(all_pieces(), end - start)


def serve_block_get(h: Handler, query: Query) -> None:
    data = h.reader(query).block(query.cid())
    h.stream(iter([data]), len(data))


def serve_block_stat(h: Handler, query: Query) -> None:
    cid = query.cid()
    h.answer({"Key": str(cid), "Size": len(h.reader(query).block(cid))})


def serve_block_put(h: Handler, query: Query) -> None:
    query.demand("mhtype", "sha2-256")
    codec = query.text("cid-codec", query.text("format", "raw"))
    if codec not in ("raw", "dag-pb", "protobuf", "v0"):
        raise IpfsRefused(f"cid-codec {codec!r}, wanted raw or dag-pb")
    kubo = h.server.kubo
    with tempfile.NamedTemporaryFile(dir=kubo.repo.temporary) as holder:
        h.upload(Path(holder.name), MAX_BLOCK)
        data = Path(holder.name).read_bytes()
    cid = Cid.of_block(data, RAW if codec == "raw" else DAG_PB, 0 if codec == "v0" else 1)
    links(cid.codec, data)
    kubo.put_block(cid, data, h.server.fetcher.readable)
    if query.flag("pin"):
        kubo.pin(cid, h.reader(query).fetch_all)
    h.answer({"Key": str(cid), "Size": len(data)})


def serve_pin_add(h: Handler, query: Query) -> None:
    for name in query.arguments:
        h.server.kubo.pin(Cid.parse(name), h.reader(query).fetch_all)
    h.answer({"Pins": query.arguments})


def serve_pin_rm(h: Handler, query: Query) -> None:
    for name in query.arguments:
        h.server.kubo.pins.remove(Cid.parse(name))
    h.answer({"Pins": query.arguments})


def serve_pin_ls(h: Handler, query: Query) -> None:
    kubo = h.server.kubo
    roots = kubo.pins.roots()
    kinds: dict[str, str] = {}
    wanted = query.text("type", "all")
    if wanted in ("all", "indirect"):
        kinds.update((str(cid), "indirect") for cid in kubo.below(roots).values())
    if wanted in ("all", "recursive"):
        kinds.update((str(cid), "recursive") for cid in roots)
    if query.arguments:
        absent = [name for name in query.arguments if name not in kinds]
        if absent:
            raise IpfsRefused(f"path {absent[0]!r} is not pinned")
        kinds = {name: kinds[name] for name in query.arguments}
    h.answer({"Keys": {name: {"Type": kind} for name, kind in kinds.items()}})


def serve_gc(h: Handler, query: Query) -> None:
    removed = h.server.kubo.collect()
    h.answer(*({"Key": {"/": str(cid)}} for cid in removed))


def serve_stat(h: Handler, query: Query) -> None:
    sizes = [path.stat().st_size for _, path in h.server.kubo.repo.block_cids()]
    path = str(h.server.kubo.repo.path)
    h.answer({"RepoSize": sum(sizes), "NumObjects": len(sizes), "RepoPath": path, "Version": "14"})


def serve_shutdown(h: Handler, query: Query) -> None:
    h.close_connection = True
    h.answer({})
    threading.Thread(target=h.server.stop, daemon=True).start()


COMMANDS: Final[dict[str, Callable[[Handler, Query], None]]] = {
    "id": serve_id,
    "version": serve_version,
    "swarm/connect": serve_connect,
    "swarm/peers": serve_peers,
    "add": serve_add,
    "cat": serve_cat,
    "block/get": serve_block_get,
    "block/stat": serve_block_stat,
    "block/put": serve_block_put,
    "pin/add": serve_pin_add,
    "pin/rm": serve_pin_rm,
    "pin/ls": serve_pin_ls,
    "repo/gc": serve_gc,
    "repo/stat": serve_stat,
    "shutdown": serve_shutdown,
}
