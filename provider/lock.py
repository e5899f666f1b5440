"""One agent a directory."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocol.spec.errors import AssayError


class AgentRunning(AssayError):
    """Another process works in the same directory."""


@contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Hold the agent's directory; AgentRunning if another process does."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AgentRunning(
                f"another agent works in {directory}: stop it, or give this one its own --dir"
            ) from None
        yield
