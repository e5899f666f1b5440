"""Results that were computed and perhaps not yet committed, on disk, by job.

A crash between the last operation and the commit must not cost the run.  A result is written whole
(aside, synced, renamed) with its root, and used again only if its bytes still have that root.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from protocol.hashing import tensors_root
from protocol.spec.trees import tensor_bytes
from protocol.spec.types import Array, TensorDecl
from protocol.storage.errors import StorageError

INDEX = "result.json"


class Results:
    """A directory of finished results; one agent at a time writes to it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def _path(self, job: bytes) -> Path:
        return self.directory / job.hex()

    def save(self, job: bytes, decls: Sequence[TensorDecl], outputs: Sequence[Array]) -> bytes:
        """Keep the outputs of ``job``; gives their root.

        Raises StorageError where the disk is full or broken.
        """
        root = tensors_root(decls, outputs)
        try:
            aside = Path(tempfile.mkdtemp(prefix="partial-", dir=self.directory))
            try:
                for k, (decl, tensor) in enumerate(zip(decls, outputs, strict=True)):
                    _write(aside / f"{k}.bin", tensor_bytes(decl, tensor))
                _write(aside / INDEX, json.dumps({"root": root.hex()}).encode())
                self.drop(job)
                aside.rename(self._path(job))
            finally:
                shutil.rmtree(aside, ignore_errors=True)
            _sync(self.directory)
        except OSError as error:
            raise StorageError(
                f"results {self.directory}: {error.strerror or error}; make room there"
            ) from error
        return root

    def load(self, job: bytes, decls: Sequence[TensorDecl]) -> list[Array] | None:
        """The kept outputs of ``job``; None if there are none that still have their root."""
        index = self._path(job) / INDEX
        if not index.exists():
            return None
        try:
            wanted = bytes.fromhex(json.loads(index.read_text())["root"])
            outputs = [
                np.frombuffer((self._path(job) / f"{k}.bin").read_bytes(), d.dtype.numpy).reshape(
                    d.shape
                )
                for k, d in enumerate(decls)
            ]
        except (ValueError, KeyError, OSError):
            self.drop(job)
            return None
        if tensors_root(decls, outputs) != wanted:
            self.drop(job)
            return None
        return outputs

    def drop(self, job: bytes) -> None:
        """Forget the result of ``job``."""
        shutil.rmtree(self._path(job), ignore_errors=True)

    def keep_only(self, jobs: Sequence[bytes]) -> None:
        """Forget every result but those of ``jobs``, and what a crash left half written."""
        wanted = {job.hex() for job in jobs}
        for entry in self.directory.iterdir():
            if entry.is_dir() and entry.name not in wanted:
                shutil.rmtree(entry, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
