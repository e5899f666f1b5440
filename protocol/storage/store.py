"""A store: put bytes, get them back, over a Kubo RPC that may be down, slow or lying."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from protocol.storage.cid import Cid
from protocol.storage.client import RpcClient
from protocol.storage.config import StorageConfig
from protocol.storage.errors import (
    ContentMismatch,
    ContentMissing,
    ContentTooLarge,
    ContentTooSlow,
    IpfsRefused,
    IpfsSilent,
    IpfsUnavailable,
    MalformedCid,
    StorageError,
)

log = logging.getLogger(__name__)
Progress = Callable[[int, int | None], None]
"""Called with bytes done so far and, where it is known, their final number."""
Verify = Callable[[bytes], None]
"""Raises ContentMismatch unless the bytes are those that were committed to."""
DIALS = 2
"""How many unanswered dials one round of dialling waits for."""
RETRIED = (ContentMissing, ContentMismatch, IpfsUnavailable)


class Readable(Protocol):
    """A source of bytes, b"" at its end."""

    def read(self, size: int = -1, /) -> bytes: ...
    def close(self) -> None: ...


class Sink(Protocol):
    """Where fetched bytes go; ``reset`` forgets all of them."""

    def write(self, piece: bytes, /) -> object: ...
    def reset(self) -> None: ...
    def check(self) -> None:
        """Raises ContentMismatch unless everything written is what was committed to."""


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node as it presents itself: peer id and the addresses to dial it at."""

    peer_id: str
    addresses: tuple[str, ...]


class _Memory:
    """Collects bytes for one verification at the end."""

    def __init__(self, verify: Verify | None) -> None:
        self._verify = verify
        self.data = bytearray()

    def write(self, piece: bytes, /) -> None:
        self.data += piece

    def reset(self) -> None:
        self.data.clear()

    def check(self) -> None:
        if self._verify is not None:
            self._verify(bytes(self.data))


class _Counted:
    """A file that reports how much of it has been read."""

    def __init__(self, file: Readable, total: int | None, progress: Progress | None) -> None:
        self._file = file
        self._total = total
        self._progress = progress
        self._done = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self._done += len(data)
        if self._progress is not None and data:
            self._progress(self._done, self._total)
        return data


class _Pace:
    """The time granted to one object: what a trickle may cost, or what the caller allows."""

    def __init__(self, cid: Cid, config: StorageConfig, timeout: float | None) -> None:
        self._cid = cid
        self._rate = config.min_rate
        self._timeout = timeout
        waits = config.attempts * (config.find_s + config.stall_s + config.backoff_max_s)
        self._idle = config.grace_s + waits
        self._started = time.monotonic()
        self._received = 0

    @property
    def left(self) -> float:
        """Seconds that remain; negative when they are over."""
        return self._granted - (time.monotonic() - self._started)

    @property
    def _granted(self) -> float:
        granted = self._idle + self._received / self._rate
        return granted if self._timeout is None else min(granted, self._timeout)

    def took(self, count: int) -> None:
        """Counts received bytes; ContentTooSlow if the time is over."""
        self._received += count
        if self.left < 0:
            raise ContentTooSlow(
                f"{self._cid}: {self._received} bytes came in the {self._granted:.1f} s granted; "
                "wanted all"
            )


class Store:
    """Client of one IPFS node.  Close it, or use it as a context manager."""

    def __init__(self, config: StorageConfig | None = None) -> None:
        self.config = StorageConfig.from_env() if config is None else config
        self.rpc = RpcClient(self.config)
        self._addresses: dict[str, None] = {}
        self._expected = False

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes connections."""
        self.rpc.close()

    def node(self) -> NodeInfo:
        """Who the node is; IpfsUnavailable if there is none."""
        answer = self.rpc.one("/id")
        addresses = answer.get("Addresses") or []
        return NodeInfo(str(answer.get("ID", "")), tuple(str(a) for a in addresses))

    def connect(self, addresses: Iterable[str]) -> list[str]:
        """Has the node dial peers (multiaddrs with /p2p/…); one line for each that failed.

        These addresses, and no earlier ones, are dialled again before every retry of a fetch:
        strangers name them, so they cost at most ``DIALS`` times ``find_s`` together.
        """
        self._addresses = dict.fromkeys(addresses)
        return self._dial_all()

    def expect(self, addresses: Iterable[str]) -> None:
        """As ``connect``, when something is fetched first: what is in the cache needs no peer, and
        whoever names dead ones takes no time from who has it."""
        self._addresses = dict.fromkeys(addresses)
        self._expected = True

    def _dial_all(self) -> list[str]:
        """Dials every address until the time for that is over; one line for each that failed."""
        until = time.monotonic() + DIALS * self.config.find_s
        failed = []
        for address in self._addresses:
            if time.monotonic() >= until:
                failed.append(f"{address}: not dialled, the others took too long")
                continue
            try:
                self._dial(address)
            except (IpfsRefused, IpfsSilent, ContentMissing) as error:
                failed.append(str(error))
        return failed

    def _dial(self, address: str) -> None:
        seconds = self.config.find_s
        text = f"{int(seconds * 1000)}ms"
        self.rpc.one("/swarm/connect", address, seconds=seconds + 5.0, timeout=text)

    def peers(self) -> list[str]:
        """Peer ids that the node is connected to."""
        found = self.rpc.one("/swarm/peers").get("Peers") or []
        return [str(peer.get("Peer", "")) for peer in found]

    def pin(self, cid: Cid, seconds: float = 600.0) -> None:
        """Brings all of a DAG to the node and keeps it there."""
        self.rpc.one("/pin/add", str(cid), seconds=seconds)

    def unpin(self, cid: Cid) -> None:
        """Lets the node drop a pinned DAG; IpfsRefused if it is not pinned."""
        self.rpc.one("/pin/rm", str(cid))

    def pins(self) -> list[str]:
        """CIDs of the pinned roots."""
        keys = self.rpc.one("/pin/ls", type="recursive").get("Keys") or {}
        return [str(key) for key in keys]

    def collect_garbage(self, seconds: float = 600.0) -> int:
        """Has the node remove every block that is not pinned; how many it removed."""
        return len(self.rpc.call("/repo/gc", seconds=seconds))

    def put_bytes(self, data: bytes | memoryview, progress: Progress | None = None) -> Cid:
        """Adds and pins bytes."""
        view = memoryview(data).cast("B")
        return self._put(lambda: _Reader(view), len(view), progress)

    def put_file(self, path: Path, progress: Progress | None = None) -> Cid:
        """Adds and pins a file, in pieces."""
        return self._put(lambda: path.open("rb"), path.stat().st_size, progress)

    def _put(self, open_file: Callable[[], Readable], size: int, progress: Progress | None) -> Cid:
        seconds = self.config.stall_s + size / self.config.min_rate
        pauses = self._pauses()
        while True:
            try:
                with closing(open_file()) as file:
                    return self.put_stream(file, progress, total=size, seconds=seconds)
            except IpfsUnavailable as error:
                self._pause(next(pauses, None), error)

    def put_stream(
        self,
        file: Readable,
        progress: Progress | None = None,
        *,
        total: int | None = None,
        seconds: float = 3600.0,
    ) -> Cid:
        """Adds and pins what ``file`` yields; one try, as it cannot be read twice."""
        counted = _Counted(file, total, progress)
        answer = self.rpc.upload("/add", counted, seconds, pin="true")
        try:
            return Cid.parse(str(answer.get("Hash", "")))
        except MalformedCid as error:
            raise IpfsRefused(f"IPFS RPC {self.config.api} answers add with {error}") from error

    def get(
        self,
        cid: Cid,
        max_bytes: int,
        *,
        verify: Verify | None = None,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> bytes:
        """The bytes of a file of at most ``max_bytes``, in memory.

        Tries ``config.attempts`` times.  Raises ContentMissing, ContentMismatch (from
        ``verify``), ContentTooLarge or IpfsUnavailable.
        """
        sink = _Memory(verify)
        self.fetch(cid, sink, max_bytes, progress=progress, timeout=timeout)
        return bytes(sink.data)

    def fetch(
        self,
        cid: Cid,
        sink: Sink,
        max_bytes: int,
        *,
        size: int | None = None,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> int:
        """Streams a file into ``sink`` and has it checked; the number of bytes.

        ``size`` is the exact length if it is known.  A broken stream goes on where it broke; bytes
        that fail the check are forgotten and fetched again.  ``timeout`` bounds the whole.
        """
        if self._expected:
            self._expected = False
            self._dial_all()
        pace = _Pace(cid, self.config, timeout)
        limit = max_bytes if size is None else size
        done = 0
        pauses = self._pauses()
        while True:
            try:
                self._look(cid, pace.left)
                for piece in self._pieces(cid, done, limit - done + 1, pace.left):
                    if done + len(piece) > limit:
                        raise ContentTooLarge(
                            f"{cid} is longer than {limit} bytes; it is not what was promised"
                        )
                    sink.write(piece)
                    done += len(piece)
                    if progress is not None:
                        progress(done, size)
                    pace.took(len(piece))
                if size is not None and done != size:
                    raise ContentMismatch(f"{cid} has {done} bytes, wanted {size}")
                sink.check()
                return done
            except RETRIED as error:
                if isinstance(error, ContentMismatch):
                    sink.reset()
                    done = 0
                pause = next(pauses, None)
                self._pause(pause if pause is None or pause < pace.left else None, error)
                self._dial_again()

    def _pieces(self, cid: Cid, start: int, count: int, left: float) -> Iterator[bytes]:
        """Pieces of a file from ``start`` on; the connection is closed with the iterator."""
        seconds = min(self.config.stall_s, max(left, 0.0) + 1.0)
        options = {"offset": str(start), "length": str(count)}
        with closing(self.rpc.stream("/cat", str(cid), seconds=seconds, **options)) as pieces:
            try:
                for piece in pieces:
                    start += len(piece)
                    yield piece
            except IpfsSilent as error:
                raise ContentMissing(
                    f"{cid}: nothing came for {seconds:.1f} s after {start} bytes; "
                    "no connected node delivers the next block"
                ) from error

    def _look(self, cid: Cid, left: float) -> None:
        """Has the node find the first block, which it says in words if it cannot."""
        seconds = min(self.config.find_s, max(left, 0.1))
        text = f"{max(1, int(seconds * 1000))}ms"
        self.rpc.one("/block/stat", str(cid), seconds=seconds + 5.0, timeout=text)

    def _pauses(self) -> Iterator[float]:
        """Seconds to wait before each further try."""
        config = self.config
        for attempt in range(config.attempts - 1):
            yield min(config.backoff_s * 2**attempt, config.backoff_max_s)

    def _pause(self, seconds: float | None, error: StorageError) -> None:
        """Waits before another try, or raises ``error`` if there is none left."""
        if seconds is None:
            raise error
        log.warning("%s; trying again in %.2g s", error, seconds)
        time.sleep(seconds)

    def _dial_again(self) -> None:
        """Has the node dial the peers of ``connect`` again; failures show in the next try."""
        try:
            for line in self._dial_all():
                log.debug("%s", line)
        except StorageError as error:
            log.debug("%s", error)


class _Reader:
    """Reads memory without copying it whole."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    def close(self) -> None:
        """Forgets the memory."""
        self._view = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        end = len(self._view) if size < 0 else self._at + size
        data = bytes(self._view[self._at : end])
        self._at += len(data)
        return data
