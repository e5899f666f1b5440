"""Calls that are on their way to be mined, and how they ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from protocol.chain.contracts import Call
from protocol.chain.errors import ChainError
from protocol.chain.fees import Fees


class Result(Enum):
    """How a send ended."""

    MINED = "mined"
    ALREADY_DONE = "already done"
    DRY_RUN = "dry run"


@dataclass(frozen=True)
class Outcome:
    """What a send did.  ``tx``, ``block``, ``gas`` and ``paid`` (wei) when it was mined."""

    result: Result
    call: Call
    tx: bytes = b""
    block: int = 0
    gas: int = 0
    paid: int = 0
    logs: tuple[dict[str, Any], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Quote:
    """Gas that a call would use, and wei that it would cost now."""

    gas: int
    fees: Fees

    @property
    def cost(self) -> int:
        """Wei."""
        return self.gas * self.fees.expected


@dataclass
class Flight:
    """A nonce of ours with everything that was sent for it, newest last.

    ``began`` and ``bump_at``, when higher fees are due, are seconds of the sender's clock;
    ``gone`` counts how often in a row the nonce was used and none of ours had a receipt.
    """

    call: Call
    nonce: int
    gas: int
    fees: Fees
    began: float
    bump_at: float
    sent: list[tuple[bytes, bytes]] = field(default_factory=list)
    gone: int = 0


@dataclass
class Batch:
    """Calls that were sent together, in their order: each is on its way, or ended as an outcome,
    or as an error of its own.  ``deadline`` is that of the sender's patience, by its clock."""

    ends: list[Flight | Outcome | ChainError]
    deadline: float

    @property
    def over(self) -> bool:
        """Whether all have ended."""
        return not any(isinstance(end, Flight) for end in self.ends)

    def outcomes(self) -> Sequence[Outcome | ChainError]:
        """How each ended.  Raises ValueError while one is on its way."""
        found = [end for end in self.ends if not isinstance(end, Flight)]
        if len(found) < len(self.ends):
            missing = len(self.ends) - len(found)
            raise ValueError(f"{missing} of {len(self.ends)} calls are still on their way")
        return found
