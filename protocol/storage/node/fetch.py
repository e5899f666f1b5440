"""Blocks that are not here: each wanted once, by any number of waiters, with deadlines.

The library's download has no deadline, so every want occupies a thread until its block comes.
A want that nobody waits for any more is abandoned; when abandoned wants hold the last threads
that live ones need, the node is restarted, which ends all downloads, and the live ones go on.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import Final

from protocol.storage.cid import Cid
from protocol.storage.errors import ContentMissing
from protocol.storage.node.gate import Deadline
from protocol.storage.node.kubo import Kubo, missing

NOWHERE: Final = "/dev/null"
RESTART_PAUSE_S: Final = 0.5


class Want:
    """A block that somebody waits for, or waited for."""

    def __init__(self, cid: Cid) -> None:
        self.cid = cid
        self.waiters = 0
        self.arrived = threading.Event()


class Fetcher:
    """Reads blocks, from disk or from connected peers."""

    def __init__(self, kubo: Kubo) -> None:
        self.kubo = kubo
        self._wants: dict[bytes, Want] = {}
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Want] = queue.SimpleQueue()
        self._running: set[Want] = set()
        self._threads = 0
        self._restarted = -RESTART_PAUSE_S
        self._due = False

    def get(self, cid: Cid, deadline: Deadline, *, offline: bool = False) -> bytes:
        """The block's bytes; ContentMissing when the deadline passes first."""
        while True:
            data = self.kubo.repo.read_block(cid)
            if data is not None:
                return data
            if offline:
                raise ContentMissing(f"block {cid} was not found locally (offline)")
            want = self._join(cid)
            try:
                if not want.arrived.wait(deadline.left):
                    raise missing(cid, deadline.seconds, self.kubo.peers())
            finally:
                self._leave(want)

    def prefetch(self, cid: Cid) -> Want | None:
        """Starts to fetch a block unless it is here; give the result to ``release``."""
        return None if self.kubo.repo.has_block(cid) else self._join(cid)

    def release(self, want: Want | None) -> None:
        """Ends one waiter's interest in a want."""
        if want is not None:
            self._leave(want)

    def readable(self, cid: Cid, deadline: Deadline) -> bool:
        """Whether the node itself finds a block that lies in its repository."""
        want = self._join(cid)
        try:
            return want.arrived.wait(deadline.left)
        finally:
            self._leave(want)

    def _join(self, cid: Cid) -> Want:
        with self._lock:
            want = self._wants.get(cid.digest)
            if want is None:
                want = self._wants[cid.digest] = Want(cid.as_raw())
                self._queue.put(want)
                if self._threads < self.kubo.config.fetch_threads and not self._idle():
                    self._threads += 1
                    threading.Thread(target=self._work, daemon=True).start()
            want.waiters += 1
        self._free_threads()
        return want

    def _leave(self, want: Want) -> None:
        with self._lock:
            want.waiters -= 1

    def _idle(self) -> bool:
        """Whether a thread is free for the want just queued; the lock is held."""
        return self._threads - len(self._running) >= self._queue.qsize()

    def _free_threads(self) -> None:
        """Restarts the node if abandoned wants hold threads that others need."""
        with self._lock:
            starved = not self._queue.empty() and len(self._running) >= self._threads
            abandoned = any(want.waiters == 0 for want in self._running)
            if self._due or not (starved and abandoned):
                return
            self._due = True
            wait = max(0.0, self._restarted + RESTART_PAUSE_S - time.monotonic())
        timer = threading.Timer(wait, self._restart)
        timer.daemon = True
        timer.start()

    def _restart(self) -> None:
        self.kubo.restart()
        with self._lock:
            self._restarted = time.monotonic()
            self._due = False
        self._free_threads()

    def _work(self) -> None:
        while True:
            want = self._queue.get()
            with self._lock:
                self._running.add(want)
            self._fetch(want)
            with self._lock:
                self._running.discard(want)
            self._free_threads()

    def _fetch(self, want: Want) -> None:
        """Downloads until the block is here or nobody waits for it."""
        while True:
            generation = self.kubo.generation
            with self.kubo.gate.entered():
                delivered = self.kubo.lib.download(str(want.cid), NOWHERE)
            if delivered and not self.kubo.repo.has_block(want.cid):
                # The node took its cache's word for a block that has left the disk.
                self.kubo.restart()
                continue
            with self._lock:
                if delivered or want.waiters == 0:
                    self._wants.pop(want.cid.digest, None)
                    break
            if generation == self.kubo.generation:
                # Closing or refused at once: the last waiter's deadline ends this.
                want.arrived.wait(0.1)
        if delivered:
            want.arrived.set()
