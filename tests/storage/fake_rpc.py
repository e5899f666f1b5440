"""A Kubo RPC that lies: it serves one object, and spoils the answers it is told to spoil."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Serve = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    """Answers block/stat and cat."""

    protocol_version = "HTTP/1.1"
    server: FakeRpc

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        """One request."""
        parts = urlsplit(self.path)
        options = parse_qs(parts.query)
        self.server.requests.append(parts.path)
        try:
            if parts.path.endswith("/cat"):
                start = int(options.get("offset", ["0"])[0])
                count = int(options.get("length", ["-1"])[0])
                end = len(self.server.data) if count < 0 else start + count
                self.server.serve(self, self.server.data[start:end])
            else:
                self.json({"Key": "x", "Size": 1, "Strings": []})
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def json(self, value: dict[str, Any], status: int = 200) -> None:
        """An answer in JSON."""
        self.whole(json.dumps(value).encode(), status)

    def whole(self, data: bytes, status: int = 200, length: int | None = None) -> None:
        """An answer of a stated length."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)


class FakeRpc(ThreadingHTTPServer):
    """The server; ``serve`` answers cat."""

    daemon_threads = True

    def __init__(self, data: bytes, serve: Serve) -> None:
        self.data = data
        self.serve = serve
        self.requests: list[str] = []
        self.release = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def api(self) -> str:
        """Its address as a multiaddr."""
        return f"/ip4/127.0.0.1/tcp/{self.server_address[1]}"

    @property
    def cats(self) -> int:
        """How often content was asked for."""
        return sum(path.endswith("/cat") for path in self.requests)


@contextmanager
def fake_rpc(data: bytes, serve: Serve) -> Iterator[FakeRpc]:
    """A fake that runs for the length of the block."""
    server = FakeRpc(data, serve)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        server.shutdown()
        server.server_close()
        thread.join()
