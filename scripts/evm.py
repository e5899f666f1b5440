"""Local EVM nodes as child processes: Anvil and Ganache on free loopback ports."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import IO

from protocol.spec.errors import AssayError
from scripts import config, tools

MNEMONIC = "test test test test test test test test test test test junk"
"""The public development phrase; its accounts hold nothing on any real chain."""

CHAIN_ID = 31337
STATES = 128
"""Blocks whose state Anvil keeps, in memory: as many as a full node of a public chain does (Geth's
default).  Without a bound it writes older ones to a folder of the user's home that it never
empties."""

START_SECONDS = 30.0
STOP_SECONDS = 10.0
_LISTENING = re.compile(r"Listening on (?P<host>[0-9.]+):(?P<port>[0-9]+)")
_PORT_TRIES = 3


class NodeFailed(AssayError):
    """A local EVM node did not start."""


@dataclass(frozen=True)
class EvmNode:
    """A running node: its JSON-RPC address and its process."""

    name: str
    url: str
    process: subprocess.Popen[str]


def free_port() -> int:
    """A loopback TCP port that nothing listens on now (another process may take it)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if not isinstance(port, int):
        raise NodeFailed(f"got {port!r} from the system; a port number is wanted")
    return port


def _drain(output: IO[str], ports: SimpleQueue[int | None], tail: deque[str]) -> None:
    """Reads the node's output to its end, so that its pipe never fills."""
    for line in output:
        tail.append(line.rstrip()[:200])
        if found := _LISTENING.search(line):
            ports.put(int(found["port"]))
    ports.put(None)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _running(name: str, command: Sequence[str | Path]) -> Iterator[EvmNode]:
    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=config.child_environment(),
    )
    assert process.stdout is not None, "asked for as a pipe above"
    ports: SimpleQueue[int | None] = SimpleQueue()
    tail: deque[str] = deque(maxlen=20)
    reader = threading.Thread(target=_drain, args=(process.stdout, ports, tail), daemon=True)
    reader.start()
    try:
        try:
            port = ports.get(timeout=START_SECONDS)
        except Empty:
            raise NodeFailed(
                f"got nothing from {name} in {START_SECONDS:g} s; the line 'Listening on' is "
                f"wanted; its last words: {' | '.join(tail)}"
            ) from None
        if port is None:
            raise NodeFailed(f"{name} ended before it listened; its last words: {' | '.join(tail)}")
        yield EvmNode(name, f"http://127.0.0.1:{port}", process)
    finally:
        _stop(process)
        reader.join(STOP_SECONDS)
        process.stdout.close()


@contextmanager
def anvil(*options: str, port: int = 0, chain_id: int = CHAIN_ID) -> Iterator[EvmNode]:
    """Runs Anvil for the length of a block; ``options`` are added to its command line.

    ``port`` 0 lets the system choose. The node starts in its own session, so Ctrl-C at a
    terminal reaches the caller alone, who then leaves the block and stops the node.

    Raises NodeFailed when it does not listen in time, ToolMissing when it is not installed.
    """
    command: list[str | Path] = [tools.anvil(), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--chain-id", str(chain_id), "--mnemonic", MNEMONIC]
    with TemporaryDirectory(prefix="assay-anvil-") as folder:
        command += ["--prune-history", str(STATES), "--cache-path", folder, *options]
        with _running("anvil", command) as node:
            yield node


@contextmanager
def ganache(*options: str, port: int = 0, chain_id: int = CHAIN_ID) -> Iterator[EvmNode]:
    """Runs Ganache (hard fork Shanghai, its newest) for the length of a block, as ``anvil``."""
    for attempt in range(1, _PORT_TRIES + 1):
        # Ganache cannot be asked for any free port: a free one may be gone when it binds.
        chosen = port or free_port()
        command: list[str | Path] = ["node", tools.ganache(), "--server.host", "127.0.0.1"]
        command += ["--server.port", str(chosen), "--chain.hardfork", "shanghai"]
        command += ["--chain.chainId", str(chain_id), "--wallet.mnemonic", MNEMONIC, *options]
        running = _running("ganache", command)
        try:
            node = running.__enter__()
        except NodeFailed:
            if port or attempt == _PORT_TRIES:
                raise
            continue
        try:
            yield node
        finally:
            running.__exit__(None, None, None)
        return
