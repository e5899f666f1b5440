"""The dispute game's clocks, as a timekeeper drives them.  Pure.

A challenger is late: ``timeoutChallengers``, for a bounty out of its bond.  The provider is late:
``timeoutProvider``, which pays challengers alone, so it is made for them and for other interested
parties.  A claim fell: ``collect`` brings the bonds of one's own challenges back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from keepers.policy import Policy
from protocol.chain.book import JobRecord
from protocol.spec.dispute import CLOSE_GAS, Challenge, Wait


class Late(Enum):
    """The call that the clock of a turn waits for."""

    CHALLENGER = "timeoutChallengers"
    PROVIDER = "timeoutProvider"


MOST_CLOSED: Final = 64
"""Challenges closed in one transaction: below ten million gas."""

DEFEAT_GAS: Final = 90_000
"""Gas that ``timeoutChallengers`` takes at most, beside DEFEAT_EACH; a test measures both."""

DEFEAT_EACH: Final = 30_000
"""Gas that each challenge takes at most."""


@dataclass(frozen=True)
class Turn:
    """A live challenge of a standing claim: where it stands, and until when its turn lasts."""

    job: JobRecord
    claim: bytes
    number: int
    challenge: Challenge
    deadline: int

    @property
    def late(self) -> Late:
        """Whose clock it is."""
        return Late.CHALLENGER if self.challenge.wait is Wait.CHALLENGER else Late.PROVIDER

    @property
    def bounty(self) -> int:
        """Wei for whoever ends the turn when it is over."""
        if self.late is Late.PROVIDER:
            return 0
        return CLOSE_GAS * self.job.terms.deal.gas_price

    @property
    def parties(self) -> set[bytes | None]:
        """Whom the end of the turn concerns."""
        return {self.job.terms.deal.client, self.job.provider, self.challenge.challenger}


@dataclass(frozen=True)
class Defeat:
    """Close late challenges of one claim.  ``most`` as of ``timekeeper.Close``."""

    job: bytes
    claim: bytes
    numbers: tuple[int, ...]
    bounty: int
    most: int | None


@dataclass(frozen=True)
class Topple:
    """Reject a claim whose provider is late."""

    job: JobRecord
    claim: bytes
    number: int


@dataclass(frozen=True)
class Reclaim:
    """Take the bond of one's own challenge of a fallen claim back."""

    claim: bytes
    number: int


Move = Defeat | Topple | Reclaim


def decide(
    turns: Sequence[Turn], bonds: Sequence[Reclaim], time: int, fee: int, me: bytes, policy: Policy
) -> list[Move]:
    """What is due at ``time`` and worth ``fee`` wei a gas, longest overdue first; ``me`` is the
    keeper's own account."""
    over = sorted(
        (turn for turn in turns if time > turn.deadline),
        key=lambda t: (t.deadline, t.claim, t.number),
    )
    moves: list[Move] = []
    for claim in dict.fromkeys(turn.claim for turn in over):
        of = [turn for turn in turns if turn.claim == claim]
        mine = any(turn.challenge.challenger == me for turn in of)
        due = [turn for turn in over if turn.claim == claim]
        silent = [turn for turn in due if turn.late is Late.PROVIDER]
        # Whoever is late and not defeated would be rewarded when the claim falls. One's own late
        # challenge is left to others: until they come, its bond may still come back.
        late = [turn for turn in due if turn.late is Late.CHALLENGER]
        moves += _defeats([t for t in late if t.challenge.challenger != me], fee, mine, policy)
        if silent and topples(of, mine, policy):
            moves.append(Topple(silent[0].job, claim, silent[0].number))
    return moves + list(bonds)


def _defeats(late: Sequence[Turn], fee: int, mine: bool, policy: Policy) -> list[Defeat]:
    moves = []
    for start in range(0, len(late), MOST_CLOSED):
        part = late[start : start + MOST_CLOSED]
        bounty = sum(turn.bounty for turn in part)
        parties = set[bytes | None]().union(*(turn.parties for turn in part))
        paid, most = policy.most(bounty, DEFEAT_GAS + DEFEAT_EACH * len(part), fee, parties)
        if paid or mine:
            numbers = tuple(turn.number for turn in part)
            most = None if mine else most
            moves.append(Defeat(part[0].job.job, part[0].claim, numbers, bounty, most))
    return moves


def topples(of: Sequence[Turn], mine: bool, policy: Policy) -> bool:
    """Whether the policy has a claim rejected, of which these are the live challenges: for its own
    challenge, for an interest, or because it makes every due call."""
    parties = set[bytes | None]().union(*(turn.parties for turn in of))
    return mine or policy.min_profit is None or bool(policy.interests & parties)


def pays(turn: Turn, turns: Sequence[Turn], fee: int, me: bytes, policy: Policy) -> bool:
    """Whether the policy would end this turn, alone."""
    of = [other for other in turns if other.claim == turn.claim]
    mine = any(other.challenge.challenger == me for other in of)
    if turn.late is Late.PROVIDER:
        return topples(of, mine, policy)
    if turn.challenge.challenger == me:
        return False
    gas = DEFEAT_GAS + DEFEAT_EACH
    return mine or policy.most(turn.bounty, gas, fee, turn.parties)[0]
