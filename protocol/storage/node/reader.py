"""A file as a stream of bytes, read block by block in order, with a window of blocks ahead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from protocol.storage.cid import Cid
from protocol.storage.errors import MalformedNode
from protocol.storage.node.fetch import Fetcher, Want
from protocol.storage.node.gate import Deadline
from protocol.storage.unixfs import FileNode, links, parse

MAX_DEPTH: Final = 24
FIRST_WINDOW: Final = 4
LARGEST_WINDOW: Final = 24


class FileReader:
    """Reads one file through a fetcher; ``block_s`` bounds the wait for each block."""

    def __init__(
        self, fetcher: Fetcher, deadline: Deadline | None, block_s: float, *, offline: bool = False
    ) -> None:
        self._fetcher = fetcher
        self._deadline = deadline
        self._block_s = block_s
        self._offline = offline
        self._window = FIRST_WINDOW

    def block(self, cid: Cid) -> bytes:
        """One block; ContentMissing if it does not come in time."""
        left = self._block_s if self._deadline is None else self._deadline.left
        return self._fetcher.get(cid, Deadline(min(self._block_s, left)), offline=self._offline)

    def root(self, cid: Cid) -> FileNode:
        """The first block of a file."""
        return parse(cid.codec, self.block(cid))

    def read(self, node: FileNode, start: int, end: int, depth: int = 0) -> Iterator[bytes]:
        """Bytes ``start`` to ``end`` (exclusive) of the file below ``node``.

        MalformedNode where a block's size is not the one its parent states, or where blocks lie
        deeper than MAX_DEPTH.
        """
        if depth > MAX_DEPTH:
            raise MalformedNode(f"file deeper than {MAX_DEPTH} blocks")
        if start < len(node.data):
            yield node.data[start : min(end, len(node.data))]
        at = len(node.data)
        wanted: list[tuple[Cid, int, int, int]] = []
        for child in node.children:
            low, high = max(start - at, 0), min(end - at, child.size)
            if low < high:
                wanted.append((child.cid, child.size, low, high))
            at += child.size
        ahead: list[Want | None] = []
        try:
            for index, (cid, size, low, high) in enumerate(wanted):
                while len(ahead) < min(index + self._window, len(wanted)):
                    ahead.append(self._ahead(wanted[len(ahead)][0]))
                inner = parse(cid.codec, self.block(cid))
                self._fetcher.release(ahead[index])
                ahead[index] = None
                if inner.size != size:
                    raise MalformedNode(f"block {cid} holds {inner.size} bytes, not {size}")
                self._window = min(self._window + 1, LARGEST_WINDOW)
                yield from self.read(inner, low, high, depth + 1)
        finally:
            for want in ahead:
                self._fetcher.release(want)

    def _ahead(self, cid: Cid) -> Want | None:
        return None if self._offline else self._fetcher.prefetch(cid)

    def fetch_all(self, cid: Cid) -> int:
        """Brings every block below ``cid`` here; how many there are."""
        seen = {cid.digest}
        waiting = [cid]
        while waiting:
            current = waiting.pop()
            below = links(current.codec, self.block(current))
            fresh = [child for child in below if child.digest not in seen]
            seen.update(child.digest for child in fresh)
            wants = [self._ahead(child) for child in fresh[:LARGEST_WINDOW]]
            waiting.extend(reversed(fresh))
            for want in wants:
                self._fetcher.release(want)
        return len(seen)
