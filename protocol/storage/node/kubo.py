"""The running node: every call to the library passes here.

The library cannot remove a block and caches which blocks exist, so whatever changes the blocks
behind its back (garbage collection, a raw block put) ends with a restart of the node inside this
process.  That takes some 30 ms, keeps the ports, dials the peers again, and ends downloads that
nobody waits for any more, which the library alone would let hang for ever.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from protocol.storage.cid import Cid
from protocol.storage.config import NodeConfig
from protocol.storage.errors import ContentMissing, IpfsRefused, NodeError
from protocol.storage.node.gate import Deadline, Gate, SharedLock
from protocol.storage.node.libkubo import LibKubo
from protocol.storage.node.pins import Pins
from protocol.storage.node.repo import Repo
from protocol.storage.unixfs import links

log = logging.getLogger(__name__)
PINS: Final = "assay.pins"
DRAIN_S: Final = 10.0
DIAL_S: Final = 15.0


class Kubo:
    """One node on one repository."""

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.repo = Repo(config)
        self.lib = LibKubo(self.repo.path)
        self.gate = Gate()
        self.changes = SharedLock()
        self.generation = 0
        self.peer_id = ""
        if (self.repo.path / "config").exists() and not (self.repo.path / PINS).exists():
            self.repo.release()
            raise NodeError(
                f"{self.repo.path} is the repository of another program: choose an empty directory"
            )
        if not self.lib.create_repo():
            self.repo.release()
            raise NodeError(f"cannot make a repository in {self.repo.path}: is it writable?")
        self.repo.prepare()
        self.pins = Pins(self.repo.path / PINS)

    def start(self) -> None:
        """Runs the node; NodeError says why it does not run."""
        if not self.lib.run():
            raise NodeError(
                f"the node does not start on {self.repo.path}; see {self.repo.path / 'kubo.log'}"
            )
        self.peer_id = self.lib.node_id()

    def close(self) -> None:
        """Stops the node; calls in flight end with an error."""
        self.gate.shut()
        self.lib.close()
        self.gate.drained(DRAIN_S)
        self.repo.release()

    def restart(self) -> None:
        """Closes the node and starts it again, with empty caches and no download waiting."""
        with self.changes.exclusive():
            self._restart(lambda: None)

    def _restart(self, between: Callable[[], None]) -> None:
        """Does ``between`` while the node is closed; the caller holds ``changes`` alone."""
        with self.gate.entered():
            peers = [dial_address(peer) for peer in self.lib.peers()]
        self.gate.shut()
        try:
            self.lib.close()
            stragglers = self.gate.drained(DRAIN_S)
            try:
                between()
            finally:
                # A straggler will release a reference that the new node must not lose.
                for _ in range(1 + stragglers):
                    if not self.lib.run():
                        log.error("the node does not start again on %s", self.repo.path)
                self.generation += 1
        finally:
            self.gate.open()
        for peer in peers:
            threading.Thread(target=self._dial, args=(peer,), daemon=True).start()

    def addresses(self) -> list[str]:
        """Addresses of this node with its peer id, as others dial it."""
        with self.gate.entered():
            return [f"{address}/p2p/{self.peer_id}" for address in self.lib.addresses()]

    def peers(self) -> list[tuple[str, str]]:
        """Connected peers: address, peer id."""
        with self.gate.entered():
            found = self.lib.peers()
        return [(peer.rpartition("/")[0], peer.rpartition("/")[2]) for peer in found]

    def connect(self, address: str, seconds: float | None) -> None:
        """Dials a peer; IpfsRefused if it does not answer in time."""
        done = threading.Event()
        result: list[bool] = []

        def dial() -> None:
            result.append(self._dial(address))
            done.set()

        threading.Thread(target=dial, daemon=True).start()
        limit = min(seconds or DIAL_S, DIAL_S)
        if not done.wait(limit):
            raise IpfsRefused(f"connect {address}: no answer in {limit:.0f} s")
        if not result[0]:
            raise IpfsRefused(f"connect {address} failure: nobody answers there, or another swarm")

    def _dial(self, address: str) -> bool:
        with self.gate.entered():
            return self.lib.connect(address)

    def add(self, path: Path, *, only_hash: bool = False, pin: bool = True) -> Cid:
        """Adds a file, or only says which CID it would have."""
        with self.changes.shared():
            with self.gate.entered():
                text = self.lib.add(path, only_hash)
            if not text:
                raise IpfsRefused(f"could not add {path.name}: is the disk full?")
            cid = Cid.parse(text)
            if pin and not only_hash:
                self.pins.add(cid)
        return cid

    def pin(self, cid: Cid, bring: Callable[[Cid], object]) -> None:
        """Pins a DAG, all of which ``bring`` has fetched when it returns."""
        with self.changes.shared():
            bring(cid)
            self.pins.add(cid)

    def below(self, roots: Iterable[Cid]) -> dict[bytes, Cid]:
        """Every block here that is reachable from ``roots``, by digest."""
        found = {root.digest: root for root in roots}
        waiting = list(found.values())
        while waiting:
            cid = waiting.pop()
            for child in links(cid.codec, self.repo.read_block(cid) or b""):
                if child.digest not in found:
                    found[child.digest] = child
                    waiting.append(child)
        return found

    def collect(self) -> list[Cid]:
        """Removes every block that no pin reaches; what was removed, named as raw bytes."""
        removed: list[Cid] = []
        with self.changes.exclusive():
            keep = self.below(self.pins.roots())

            def sweep() -> None:
                for cid, path in self.repo.block_cids():
                    if cid.digest not in keep:
                        path.unlink(missing_ok=True)
                        removed.append(cid)

            self._restart(sweep)
        return removed

    def put_block(self, cid: Cid, data: bytes, readable: Callable[[Cid, Deadline], bool]) -> None:
        """Stores one block; if the node has cached that it is missing, the node restarts."""
        with self.changes.shared():
            self.repo.write_block(cid, data)
        if not readable(cid, Deadline(0.25)):
            self.restart()

    def trim_logs(self) -> None:
        """Empties the library's logs when they have grown too long."""
        for name in ("node.log", "kubo.log"):
            path = self.repo.path / name
            if path.exists() and path.stat().st_size > self.config.log_bytes:
                os.truncate(path, 0)


def dial_address(peer: str) -> str:
    """``address/peer id`` as the library lists it, written as a multiaddr."""
    address, _, peer_id = peer.rpartition("/")
    return f"{address}/p2p/{peer_id}"


def missing(cid: Cid, seconds: float, peers: Iterable[object]) -> ContentMissing:
    """The error for a block that nobody delivered."""
    count = len(list(peers))
    return ContentMissing(
        f"block {cid} was not found: no answer in {seconds:.1f} s from {count} connected "
        "peer(s); connect to a node that holds it"
    )
