"""What every past change of the contracts has: where it is."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.chain.errors import ChainError


@dataclass(frozen=True, order=True)
class Place:
    """Where an event is: block number and hash, position in the block, transaction; and when."""

    block: int
    index: int
    block_hash: bytes
    tx: bytes
    time: int


@dataclass(frozen=True)
class Event:
    """One past change.  Hashes and roots are 32 bytes, addresses 20."""

    place: Place


class HistoryBroken(ChainError):
    """Events contradict each other: some are missing, so the node left logs out."""
