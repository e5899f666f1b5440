"""Block roots of bytes that come in pieces, in little memory."""

from __future__ import annotations

from protocol.hashing.roots import CHUNK, Buffer, flat, join_subtrees, subtree_root


class Hasher:
    """Block root of what ``write`` is given: that of the same bytes at once.

    Holds at most CHUNK bytes (1 MiB), and 32 bytes for every CHUNK that it has seen.
    """

    def __init__(self) -> None:
        self._tail = bytearray()
        self._roots: list[bytes] = []
        self.size = 0
        """Bytes written."""

    def write(self, piece: Buffer) -> None:
        """Takes the next bytes; whole subtrees are hashed where they are, without a copy."""
        view = flat(piece)
        self.size += view.size
        at = 0
        if self._tail:
            at = CHUNK - len(self._tail)
            self._tail += view[:at].data
            if len(self._tail) < CHUNK:
                return
            self._roots.append(subtree_root(flat(self._tail)))
            self._tail = bytearray()
        while view.size - at >= CHUNK:
            self._roots.append(subtree_root(view[at : at + CHUNK]))
            at += CHUNK
        self._tail += view[at:].data

    def root(self) -> bytes:
        """The root of the bytes so far: 32 bytes, ZERO for none."""
        if not self._tail:
            return join_subtrees(self._roots, CHUNK)
        last = subtree_root(flat(bytes(self._tail)))
        return join_subtrees([*self._roots, last], len(self._tail))
