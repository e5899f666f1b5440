"""The only reader and writer of environment variables among the scripts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables of this process for the length of a block, then restores them."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def child_environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """A copy of this process's environment for a child, with ``settings`` laid over it."""
    return {**os.environ, **(settings or {})}


def executable_path() -> list[Path]:
    """The folders of ``PATH``, in order."""
    return [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
