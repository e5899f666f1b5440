"""What has been fetched and checked, on disk, under its root.

``DIR/KIND/XY/ROOT`` holds the raw bytes (a reader may map them), ``ROOT.meta`` beside it their
length, modification time and two checksums, for a cheap check at every load; the full check is
the root itself.  Files appear whole (written aside, synced, renamed), the record after the bytes;
locks by the first digits of the root make processes that want one thing fetch it once.  The least
recently used entries go when the cache is over its bound; whoever has one mapped keeps it.
The time of last use, which the record has, may lie ahead: until then the entry is held, whatever
the bound.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from protocol.storage.errors import ContentMismatch, StorageError

log = logging.getLogger(__name__)
KINDS: Final = ("program", "tensor", "manifest")
EDGE: Final = 64 << 10
STALE_S: Final = 3600.0
FullCheck = Callable[[Path], None]
"""Raises ContentMismatch unless the file is what its root commits to."""


class Entry:
    """An entry being written: bytes first, checked by whoever writes them, then ``commit``."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, piece: bytes | memoryview, /) -> None:
        """Takes the next bytes."""
        self._file.write(piece)

    def reset(self) -> None:
        """Forgets all bytes so far."""
        self._file.seek(0)
        self._file.truncate()


class Cache:
    """A directory of entries; processes may share it."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self.directory = directory
        self.max_bytes = max_bytes
        self._partial = directory / "partial"
        try:
            self._partial.mkdir(parents=True, exist_ok=True)
            (directory / "locks").mkdir(exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"cache {directory}: {error.strerror}; set ASSAY_CACHE to a directory you can write"
            ) from error

    def path(self, kind: str, root: bytes) -> Path:
        """Where the bytes of an entry lie, whether or not it exists."""
        if kind not in KINDS or len(root) != 32:
            raise StorageError(f"cache entry {kind!r} with a root of {len(root)} bytes, wanted 32")
        return self.directory / kind / root.hex()[:2] / root.hex()

    def find(self, kind: str, root: bytes, full: FullCheck | None = None) -> Path | None:
        """The entry, if it is there and passes the cheap check and ``full``; it counts as used.

        A corrupt entry is removed, with a warning, and not found.
        """
        path = self.path(kind, root)
        record = meta_path(path)
        try:
            expected = json.loads(record.read_text())
            if expected != fingerprint(path):
                raise ContentMismatch("its length, time or checksums have changed")
            if full is not None:
                full(path)
            _used(record, time.time())
        except FileNotFoundError:
            return None
        except (ValueError, ContentMismatch) as error:
            self.discard(kind, root, str(error))
            return None
        return path

    def hold(self, kind: str, root: bytes, until: float) -> None:
        """An entry that is there stays until ``until`` (seconds since 1970), whatever process
        evicts, and over a restart."""
        with suppress(FileNotFoundError):
            _used(meta_path(self.path(kind, root)), until)

    def discard(self, kind: str, root: bytes, why: str) -> None:
        """Removes an entry that cannot be used."""
        path = self.path(kind, root)
        log.warning("cache entry %s %s… is corrupt (%s): removed", kind, root.hex()[:12], why)
        meta_path(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)

    def obtain(
        self,
        kind: str,
        root: bytes,
        fetch: Callable[[Entry], None],
        full: FullCheck | None = None,
    ) -> Path:
        """The entry, fetched by ``fetch`` if it is not there.

        ``fetch`` writes the bytes and checks them against ``root``; if it raises, nothing is kept.
        Raises StorageError where the disk is full or broken.
        """
        try:
            return self._obtain(kind, root, fetch, full)
        except OSError as error:
            raise StorageError(
                f"cache {self.directory}: {error.strerror or error}; make room there, or set "
                "ASSAY_CACHE to another directory"
            ) from error

    def _obtain(
        self, kind: str, root: bytes, fetch: Callable[[Entry], None], full: FullCheck | None
    ) -> Path:
        found = self.find(kind, root, full)
        if found is not None:
            return found
        with self._locked(root.hex()[:3]):
            found = self.find(kind, root, full)
            if found is not None:
                return found
            path = self.path(kind, root)
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._whole(path) as file:
                fetch(Entry(file))
            try:
                self._record(path)
            except OSError:
                path.unlink(missing_ok=True)  # without its record nobody would evict it
                raise
        self.evict(keep=path)
        return path

    def _record(self, path: Path) -> None:
        with self._whole(meta_path(path)) as file:
            file.write(json.dumps(fingerprint(path)).encode())

    @contextmanager
    def _whole(self, path: Path) -> Iterator[BinaryIO]:
        """A file that appears at ``path`` once it is written, or not at all."""
        handle, name = tempfile.mkstemp(dir=self._partial)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)

    def entries(self) -> list[tuple[float, int, Path]]:
        """Last use, or until when it is held (seconds since 1970), bytes and path of entries."""
        found = []
        for record in self.directory.glob("*/??/*.meta"):
            path = record.with_suffix("")
            try:
                found.append((record.stat().st_mtime, path.stat().st_size, path))
            except FileNotFoundError:
                continue  # another process removed it
        return found

    @property
    def size(self) -> int:
        """Bytes in all entries."""
        return sum(size for _, size, _ in self.entries())

    def evict(self, keep: Path | None = None) -> None:
        """Removes the least recently used entries beyond the bound, but none that is held, and what
        crashes left."""
        with self._locked("evict"):
            now = time.time()
            oldest = now - STALE_S
            for leftover in self._partial.iterdir():
                with suppress(FileNotFoundError):  # another process has just finished it
                    if leftover.stat().st_mtime < oldest:
                        leftover.unlink()
            entries = sorted(self.entries())
            total = sum(size for _, size, _ in entries)
            for used, size, path in entries:
                if total <= self.max_bytes or used > now:
                    break
                if path != keep:
                    meta_path(path).unlink(missing_ok=True)
                    path.unlink(missing_ok=True)
                    total -= size

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Holds a lock that other processes and threads respect."""
        with (self.directory / "locks" / name).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def meta_path(path: Path) -> Path:
    """The record beside an entry."""
    return path.with_name(path.name + ".meta")


def _used(record: Path, when: float) -> None:
    """Never brings the time of last use back."""
    if record.stat().st_mtime < when:
        os.utime(record, (when, when))


def fingerprint(path: Path) -> dict[str, int]:
    """Length, modification time (ns) and checksums of the first and last 64 KiB of a file."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        head = zlib.crc32(file.read(EDGE))
        file.seek(max(0, status.st_size - EDGE))
        tail = zlib.crc32(file.read(EDGE))
    return {"size": status.st_size, "time": status.st_mtime_ns, "head": head, "tail": tail}
