"""Locators: where the data of a job, or a result, can be fetched.  They are hints, no promises.

What arrives is checked against the job's roots, so a wrong locator costs a job, never a bad
result.  The bytes go into calldata and their hash into the job, hence short and canonical::

    version u8 = 1 | kind u8 | for each CID: length u8, bytes | peers u8 | each: length u8, bytes

A job (kind 1) has the CIDs of program, constants manifest and inputs manifest, in this order; a
result (kind 2) that of its outputs manifest.  CIDs and peers (multiaddrs ending in /p2p/…) are in
their binary forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from multiaddr import Multiaddr  # type: ignore[import-untyped]
from multiaddr.exceptions import Error as MultiaddrError  # type: ignore[import-untyped]

from protocol.spec.trees import keccak256
from protocol.storage.cid import Cid
from protocol.storage.errors import MalformedCid, MalformedLocators

VERSION: Final = 1
JOB: Final = 1
RESULT: Final = 2
MAX_BYTES: Final = 2048
MAX_PEERS: Final = 16


@dataclass(frozen=True, slots=True)
class JobLocators:
    """Where a provider fetches a job from."""

    program: Cid
    constants: Cid
    inputs: Cid
    peers: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """Canonical bytes; MalformedLocators if a peer is no multiaddr or there is too much."""
        return _encode(JOB, (self.program, self.constants, self.inputs), self.peers)

    @property
    def hash(self) -> bytes:
        """keccak256 of the canonical bytes."""
        return keccak256(self.encode())

    @classmethod
    def decode(cls, data: bytes) -> JobLocators:
        """The locators that ``data`` encodes; MalformedLocators for anything not canonical."""
        cids, peers = _decode(data, JOB, 3)
        return cls(cids[0], cids[1], cids[2], peers)


@dataclass(frozen=True, slots=True)
class ResultLocators:
    """Where a client fetches a result from."""

    outputs: Cid
    peers: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """Canonical bytes; MalformedLocators if a peer is no multiaddr or there is too much."""
        return _encode(RESULT, (self.outputs,), self.peers)

    @property
    def hash(self) -> bytes:
        """keccak256 of the canonical bytes."""
        return keccak256(self.encode())

    @classmethod
    def decode(cls, data: bytes) -> ResultLocators:
        """The locators that ``data`` encodes; MalformedLocators for anything not canonical."""
        cids, peers = _decode(data, RESULT, 1)
        return cls(cids[0], peers)


def peer_bytes(address: str) -> bytes:
    """A multiaddr in its binary form; MalformedLocators unless it ends in /p2p/PEER."""
    try:
        parsed = Multiaddr(address)
        data = bytes(parsed.to_bytes())
        text = str(parsed)
    except (MultiaddrError, ValueError) as error:
        raise MalformedLocators(f"peer {address[:100]!r} is no multiaddr: {error}") from error
    if text != address or "/p2p/" not in text:
        raise MalformedLocators(
            f"peer {address[:100]!r}; wanted for example /ip4/127.0.0.1/tcp/4001/p2p/Qm…"
        )
    return data


def peer_text(data: bytes) -> str:
    """A multiaddr in its text form; MalformedLocators unless both forms are canonical."""
    try:
        text = str(Multiaddr(data))
    except (MultiaddrError, ValueError, KeyError) as error:
        raise MalformedLocators(f"peer {data.hex()[:80]} is no multiaddr: {error}") from error
    if peer_bytes(text) != data:
        raise MalformedLocators(f"peer {text[:100]!r} is not in canonical form")
    return text


def _encode(kind: int, cids: Sequence[Cid], peers: Sequence[str]) -> bytes:
    if len(peers) > MAX_PEERS:
        raise MalformedLocators(f"{len(peers)} peers, at most {MAX_PEERS} allowed")
    parts = [bytes([VERSION, kind])]
    parts += [_short(cid.to_bytes()) for cid in cids]
    parts.append(bytes([len(peers)]))
    parts += [_short(peer_bytes(peer)) for peer in peers]
    data = b"".join(parts)
    if len(data) > MAX_BYTES:
        raise MalformedLocators(f"{len(data)} bytes of locators, at most {MAX_BYTES}; drop peers")
    return data


def _short(data: bytes) -> bytes:
    if not 0 < len(data) < 256:
        raise MalformedLocators(f"part of {len(data)} bytes, wanted 1 to 255")
    return bytes([len(data)]) + data


class _Cursor:
    """Reads parts of a byte string in order."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        part = self._data[self._at : self._at + count]
        if len(part) != count:
            raise MalformedLocators(
                f"locators end after {len(self._data)} bytes, {count - len(part)} too early"
            )
        self._at += count
        return part

    def short(self) -> bytes:
        """The next part with its length in front."""
        return self.take(self.take(1)[0])

    def end(self) -> None:
        """Nothing may follow."""
        left = len(self._data) - self._at
        if left:
            raise MalformedLocators(f"{left} bytes follow the end of the locators")


def _decode(data: bytes, kind: int, count: int) -> tuple[list[Cid], tuple[str, ...]]:
    if len(data) > MAX_BYTES:
        raise MalformedLocators(f"{len(data)} bytes of locators, at most {MAX_BYTES} allowed")
    cursor = _Cursor(data)
    head = cursor.take(2)
    if head != bytes([VERSION, kind]):
        raise MalformedLocators(
            f"locators of version {head[0]}, kind {head[1]}; wanted {VERSION}, {kind}"
        )
    try:
        cids = [Cid.from_bytes(cursor.short()) for _ in range(count)]
    except MalformedCid as error:
        raise MalformedLocators(str(error)) from error
    peers_count = cursor.take(1)[0]
    if peers_count > MAX_PEERS:
        raise MalformedLocators(f"{peers_count} peers, at most {MAX_PEERS} allowed")
    peers = tuple(peer_text(cursor.short()) for _ in range(peers_count))
    cursor.end()
    return cids, peers
