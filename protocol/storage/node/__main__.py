"""``python -m protocol.storage.node --repo DIR``: runs the embedded node until it is stopped.

Prints one line ``ready {…}`` when it serves, and exits 0 on SIGTERM, SIGINT, the RPC's
``shutdown``, or (with ``--with-parent``) the end of its standard input.  A failure to start is
one line on standard error and exit 1.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Final

from protocol.storage.config import NodeConfig, force_private_network
from protocol.storage.errors import NodeError, StorageError
from protocol.storage.node.kubo import Kubo
from protocol.storage.node.rpc import Rpc

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stop:
    """Something to wait for that signals of any thread, Go's too, can set: a pipe."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def catch_signals(self) -> None:
        """Signals write to the pipe from the C handler, whichever thread they hit."""
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def set(self) -> None:
        """Stops the node."""
        os.write(self._write, b"\0")

    def wait(self) -> None:
        """Waits until somebody stops the node."""
        os.read(self._read, 1)

    def follow_parent(self) -> None:
        """Stops when standard input ends, as it does when the parent is gone."""

        def watch() -> None:
            while os.read(0, 4096):
                pass
            self.set()

        threading.Thread(target=watch, daemon=True).start()


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="protocol.storage.node", description=__doc__)
    parser.add_argument("--repo", type=Path, required=True, help="directory of the node")
    parser.add_argument("--api-port", type=int, default=0, help="RPC port (0: last one, or free)")
    parser.add_argument("--swarm-port", type=int, default=0, help="port for peers (same)")
    parser.add_argument("--swarm-host", default="127.0.0.1", help="address to listen for peers on")
    parser.add_argument("--swarm-key", default="", help="64 hex digits; nodes must share them")
    parser.add_argument("--ready-file", type=Path, help="also write the ready object here")
    parser.add_argument("--with-parent", action="store_true", help="stop when stdin ends")
    return parser.parse_args(arguments)


def bind(kubo: Kubo, stop: Stop) -> Rpc:
    """The RPC server on the wanted port, or else on last time's if it is free, or on any."""
    wanted = kubo.config.api_port
    if wanted:
        try:
            return Rpc(kubo, wanted, stop.set)
        except OSError as error:
            raise NodeError(f"RPC port {wanted}: {error.strerror}; choose another") from error
    try:
        return Rpc(kubo, kubo.repo.old_api_port(), stop.set)
    except OSError:
        return Rpc(kubo, 0, stop.set)


def log_to_file(repo: Path) -> None:
    """Sends what the library writes to files in the repository; ``sys.stderr`` keeps its place.

    It writes to descriptor 2 (here ``node.log``) and to ``kubo.log`` in the working directory.
    """
    os.chdir(repo)
    Path("kubo.log").unlink(missing_ok=True)
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    os.dup2(os.open("node.log", flags, 0o600), 2)


def serve(options: argparse.Namespace, stop: Stop) -> None:
    """Starts the node, says so, and waits for the end."""
    try:
        key = bytes.fromhex(options.swarm_key)
    except ValueError as error:
        raise NodeError("swarm key is not hexadecimal; wanted 64 digits") from error
    config = NodeConfig(
        repo=options.repo,
        api_port=options.api_port,
        swarm_host=options.swarm_host,
        swarm_port=options.swarm_port,
        swarm_key=key,
    )
    force_private_network()
    stop.catch_signals()
    kubo = Kubo(config)
    server = bind(kubo, stop)
    port = server.server_address[1]
    kubo.repo.record_api(int(port))
    kubo.start()
    stop.catch_signals()  # again: starting, the library took them
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    ready = {
        "api": f"/ip4/{config.api_host}/tcp/{port}",
        "id": kubo.peer_id,
        "swarm": kubo.addresses(),
        "pid": os.getpid(),
        "repo": str(kubo.repo.path),
    }
    if options.ready_file:
        partial = options.ready_file.with_suffix(".partial")
        partial.write_text(json.dumps(ready))
        partial.replace(options.ready_file)
    print("ready", json.dumps(ready), flush=True)
    if options.with_parent:
        stop.follow_parent()
    stop.wait()
    server.shutdown()
    kubo.close()
    if options.ready_file:
        options.ready_file.unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> int:
    """Runs a node; the exit status."""
    options = parse_arguments(arguments)
    stop = Stop()
    try:
        options.repo = options.repo.resolve()
        if options.ready_file:
            options.ready_file = options.ready_file.resolve()
        options.repo.mkdir(parents=True, exist_ok=True, mode=0o700)
        log_to_file(options.repo)
    except OSError as error:
        print(f"error: repository {options.repo}: {error.strerror}", file=sys.stderr)
        return 1
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s: %(message)s")
    try:
        serve(options, stop)
    except StorageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Go's threads are still there, and the interpreter cannot end them in good order.
    os._exit(status)
