"""Runs an embedded node as a child process that does not outlive its parent."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from protocol.storage.errors import NodeError

STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class Ready:
    """What a node says when it serves: RPC address, peer id, addresses for peers, process id."""

    api: str
    peer_id: str
    swarm: tuple[str, ...]
    pid: int
    repo: Path


class NodeProcess:
    """A node in a child process; a context manager that stops it.

    The child reads its standard input and stops when that ends, so that no way for the parent to
    die leaves it behind.
    """

    def __init__(
        self, repo: Path, *, api_port: int = 0, swarm_port: int = 0, start_s: float = 30.0
    ) -> None:
        self.repo = repo
        self.start_s = start_s
        self._arguments = [
            *("--repo", str(repo), "--with-parent"),
            *("--api-port", str(api_port), "--swarm-port", str(swarm_port)),
        ]
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []

    def start(self) -> Ready:
        """Starts the node and waits until it serves; NodeError with its own words if it fails."""
        process = subprocess.Popen(
            [sys.executable, "-m", "protocol.storage.node", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._process = process
        timer = threading.Timer(self.start_s, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            for line in process.stdout:
                if line.startswith("ready "):
                    ready = json.loads(line.removeprefix("ready "))
                    for stream in (process.stdout, process.stderr):
                        threading.Thread(target=_drain, args=(stream,), daemon=True).start()
                    return Ready(
                        ready["api"],
                        ready["id"],
                        tuple(ready["swarm"]),
                        ready["pid"],
                        Path(ready["repo"]),
                    )
            words = process.stderr.read().strip().splitlines()
            said = words[-1].removeprefix("error: ") if words else "it said nothing"
        finally:
            timer.cancel()
        self.stop()
        raise NodeError(f"embedded IPFS node: {said}")

    @property
    def pid(self) -> int:
        """The process id of the running node."""
        if self._process is None:
            raise NodeError("embedded IPFS node: not started; call start first")
        return self._process.pid

    def stop(self) -> int:
        """Stops the node and reaps it; its exit status."""
        process = self._process
        if process is None:
            return 0
        assert process.stdin is not None
        process.stdin.close()
        try:
            status = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        self._process = None
        return status

    def kill(self) -> None:
        """Ends the node as a crash would: SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self.stop()

    def __enter__(self) -> Ready:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _drain(stream: object) -> None:
    """Reads what a node still says, so that it never waits for a reader."""
    try:
        for _ in stream:  # type: ignore[attr-defined]
            pass
    except ValueError:
        return  # closed by stop
