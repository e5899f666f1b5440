"""What a node keeps: a journal of pinned roots.

The library's own pins are not used: it waits for ever, or falls over, when it lists them and a
block is not there.  The journal has one line a change, ``+CID`` or ``-CID``, synced before the
change counts; a line that a crash cut short is no change.  A repository without a journal was made
by somebody else, and its blocks are not ours to collect.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from protocol.storage.cid import Cid
from protocol.storage.errors import IpfsRefused, MalformedCid, NodeError


class Pins:
    """The pinned roots of one repository; threads may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._roots: dict[Cid, None] = {}
        try:
            text = path.read_text("ascii") if path.exists() else ""
            for line in text.splitlines(keepends=True):
                if line.endswith("\n"):
                    self._apply(line[0], Cid.parse(line[1:-1]))
            self._compact()
        except (OSError, ValueError, MalformedCid) as error:
            raise NodeError(f"journal of pins {path} cannot be read: {error}") from error

    def _apply(self, sign: str, cid: Cid) -> None:
        if sign == "+":
            self._roots[cid] = None
        elif sign == "-":
            self._roots.pop(cid, None)
        else:
            raise ValueError(f"line begins with {sign!r}, wanted + or -")

    def _compact(self) -> None:
        """Writes the journal anew, without what has been taken back."""
        partial = self._path.with_suffix(".partial")
        with partial.open("w", encoding="ascii") as file:
            file.writelines(f"+{cid}\n" for cid in self._roots)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._path)

    def _append(self, sign: str, cid: Cid) -> None:
        with self._path.open("a", encoding="ascii") as file:
            file.write(f"{sign}{cid}\n")
            file.flush()
            os.fsync(file.fileno())
        self._apply(sign, cid)

    def add(self, cid: Cid) -> None:
        """Pins a root; once pinned, again is no change."""
        with self._lock:
            if cid not in self._roots:
                self._append("+", cid)

    def remove(self, cid: Cid) -> None:
        """Takes a pin back; IpfsRefused if there is none."""
        with self._lock:
            if cid not in self._roots:
                raise IpfsRefused(f"{cid} is not pinned or pinned indirectly")
            self._append("-", cid)

    def roots(self) -> list[Cid]:
        """Every pinned root, oldest first."""
        with self._lock:
            return list(self._roots)
