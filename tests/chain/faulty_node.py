"""A JSON-RPC server that does what a test tells it to: answers, errors, silence, rubbish."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], Any]


class FaultyNode:
    """Requests seen, and what to do with the next ones: a status, raw bytes, or an answer."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.faults: list[int | bytes | float] = []
        self.answer: Answer = lambda request: {"result": "0x1"}
        self.release = threading.Event()
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                node.requests.append(asked)
                fault = node.faults.pop(0) if node.faults else None
                if isinstance(fault, float):
                    node.release.wait(fault)
                    self.close_connection = True
                    return
                if isinstance(fault, bytes):
                    self._send(200, fault)
                elif isinstance(fault, int):
                    self._send(fault, b"busy")
                else:
                    many = asked if isinstance(asked, list) else [asked]
                    answers = [
                        {"jsonrpc": "2.0", "id": one["id"], **node.answer(one)} for one in many
                    ]
                    body = answers if isinstance(asked, list) else answers[0]
                    self._send(200, json.dumps(body).encode())

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def error(self, message: str, code: int = -32000, data: Any = None) -> None:
        """Answers everything with an error from now on."""
        body: dict[str, Any] = {"code": code, "message": message}
        if data is not None:
            body["data"] = data
        self.answer = lambda request: {"error": body}


@contextmanager
def faulty_node() -> Iterator[FaultyNode]:
    """Serves for the length of a block."""
    node = FaultyNode()
    thread = threading.Thread(target=node.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield node
    finally:
        node.release.set()
        node.server.shutdown()
        thread.join()
        node.server.server_close()
