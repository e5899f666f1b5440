"""Live challenges as they stand at one block: whose turn, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.chain.book import JobRecord
from protocol.spec.dispute import Challenge

MOST_CLOSED: Final = 64
"""Challenges closed in one transaction: below ten million gas."""


@dataclass(frozen=True)
class Seat:
    """A live challenge of a standing claim: where it stands, and until when its turn lasts."""

    job: JobRecord
    claim: bytes
    number: int
    challenge: Challenge
    deadline: int
