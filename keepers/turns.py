"""The clocks of game and court, as a timekeeper drives them.  Pure.

A challenger is late: ``timeoutChallengers``, for a bounty out of its bond.  The provider is late:
``timeoutProvider``, or demanded data is withheld: the court's ``timeout``, for a bounty out of the
provider's lock.  A claim fell: ``collect`` brings one's own bonds and fees back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Final

from keepers.policy import Policy
from protocol.chain.book import JobRecord
from protocol.chain.seats import MOST_CLOSED, Seat
from protocol.spec.dispute import CLOSE_GAS, TIMEOUT_GAS, Wait


class Late(Enum):
    """The call that the clock of a turn, or of a demand, waits for."""

    CHALLENGER = "timeoutChallengers"
    PROVIDER = "timeoutProvider"
    WITHHELD = "timeout"


DEFEAT_GAS: Final = 90_000
"""Gas that ``timeoutChallengers`` takes at most, beside DEFEAT_EACH; a test measures both."""

DEFEAT_EACH: Final = 30_000
"""Gas that each challenge takes at most."""


EXPOSE_GAS: Final = 560_000
"""Gas that ending a claim for its provider's lateness takes at most, in the game or in the court; a
test measures both with challengers to pay."""


@dataclass(frozen=True)
class Turn(Seat):
    """A turn of a challenge, and what ending it is worth."""

    @property
    def late(self) -> Late:
        """Whose clock it is."""
        return Late.CHALLENGER if self.challenge.wait is Wait.CHALLENGER else Late.PROVIDER

    @property
    def bounty(self) -> int:
        """Wei for whoever ends the turn when it is over."""
        gas = TIMEOUT_GAS if self.late is Late.PROVIDER else CLOSE_GAS
        return gas * self.job.terms.deal.gas_price

    @property
    def parties(self) -> set[bytes | None]:
        """Whom the end of the turn concerns."""
        return {self.job.terms.deal.client, self.job.provider, self.challenge.challenger}


@dataclass(frozen=True)
class Ask:
    """An open demand of a standing claim, and until when it may be answered."""

    job: JobRecord
    claim: bytes
    number: int
    demander: bytes
    deadline: int
    late: ClassVar[Late] = Late.WITHHELD

    @property
    def bounty(self) -> int:
        """Wei for whoever ends the claim when it is over."""
        return TIMEOUT_GAS * self.job.terms.deal.gas_price

    @property
    def parties(self) -> set[bytes | None]:
        """Whom the end of the claim concerns."""
        return {self.job.terms.deal.client, self.job.provider, self.demander}


@dataclass(frozen=True)
class Defeat:
    """Close late challenges of one claim.  ``most`` as of ``timekeeper.Close``."""

    job: bytes
    claim: bytes
    numbers: tuple[int, ...]
    bounty: int
    most: int | None


@dataclass(frozen=True)
class Rejection:
    """End a claim by the clock of a turn or of a demand, ``number``.  ``most`` as of ``Defeat``."""

    job: JobRecord
    claim: bytes
    number: int
    bounty: int
    most: int | None


class Topple(Rejection):
    """Reject a claim whose provider is late."""


@dataclass(frozen=True)
class Reclaim:
    """Take the bond of one's own challenge of a fallen claim back."""

    claim: bytes
    number: int


class Expose(Rejection):
    """Reject a claim whose provider withholds data."""


@dataclass(frozen=True)
class Refund:
    """Take the fees of one's own demands of a fallen claim back."""

    claim: bytes
    numbers: tuple[int, ...]


Move = Defeat | Topple | Expose | Reclaim | Refund


@dataclass(frozen=True)
class Board:
    """Open turns and demands of standing claims; one's own bonds and fees of fallen ones."""

    turns: tuple[Turn, ...] = ()
    asks: tuple[Ask, ...] = ()
    bonds: tuple[Reclaim, ...] = ()
    fees: tuple[Refund, ...] = ()

    @property
    def clocks(self) -> tuple[Turn | Ask, ...]:
        """Everything that waits for a time."""
        return (*self.turns, *self.asks)


def decide(board: Board, time: int, fee: int, me: bytes, policy: Policy) -> list[Move]:
    """What is due at ``time`` and worth ``fee`` wei a gas: late challengers, then providers, each
    longest overdue first; then what comes back.  ``me`` is the keeper's own account."""
    exposed = _exposures(board.asks, time, fee, me, policy)
    gone = {move.claim for move in exposed}
    moves = _turns(board.turns, time, fee, me, policy)
    defeats: list[Move] = [move for move in moves if isinstance(move, Defeat)]
    topples = [move for move in moves if isinstance(move, Topple) and move.claim not in gone]
    return [*defeats, *exposed, *topples, *board.bonds, *board.fees]


def _exposures(
    asks: Sequence[Ask], time: int, fee: int, me: bytes, policy: Policy
) -> list[Expose]:
    moves: dict[bytes, Expose] = {}
    for ask in sorted(asks, key=lambda a: (a.deadline, a.claim, a.number)):
        if time <= ask.deadline or ask.claim in moves:
            continue
        paid, most = _worth([ask], ask.demander == me, fee, policy)
        if paid:
            moves[ask.claim] = Expose(ask.job, ask.claim, ask.number, ask.bounty, most)
    return list(moves.values())


def _worth(
    of: Sequence[Turn] | Sequence[Ask], mine: bool, fee: int, policy: Policy
) -> tuple[bool, int | None]:
    """Whether a claim is to be ended by the first of these, its live challenges or a demand, and
    for how much at most: where one of them is ``mine`` at any cost."""
    if mine:
        return True, None
    parties = set[bytes | None]().union(*(x.parties for x in of))
    return policy.most(of[0].bounty, EXPOSE_GAS, fee, parties)


def _turns(
    turns: Sequence[Turn], time: int, fee: int, me: bytes, policy: Policy
) -> list[Defeat | Topple]:
    over = sorted(
        (turn for turn in turns if time > turn.deadline),
        key=lambda t: (t.deadline, t.claim, t.number),
    )
    moves: list[Defeat | Topple] = []
    for claim in dict.fromkeys(turn.claim for turn in over):
        of = [turn for turn in turns if turn.claim == claim]
        mine = any(turn.challenge.challenger == me for turn in of)
        due = [turn for turn in over if turn.claim == claim]
        silent = [turn for turn in due if turn.late is Late.PROVIDER]
        # Whoever is late and not defeated would be rewarded when the claim falls. One's own late
        # challenge is left to others: until they come, its bond may still come back.
        late = [turn for turn in due if turn.late is Late.CHALLENGER]
        moves += _defeats([t for t in late if t.challenge.challenger != me], fee, mine, policy)
        if silent:
            first = silent[0]
            paid, most = _worth([first, *of], mine, fee, policy)
            if paid:
                moves.append(Topple(first.job, claim, first.number, first.bounty, most))
    return moves


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


def pays(turn: Turn | Ask, board: Board, fee: int, me: bytes, policy: Policy) -> bool:
    """Whether the policy would end this turn or claim, alone."""
    if isinstance(turn, Ask):
        return _worth([turn], turn.demander == me, fee, policy)[0]
    of = [other for other in board.turns if other.claim == turn.claim]
    mine = any(other.challenge.challenger == me for other in of)
    if turn.late is Late.PROVIDER:
        return _worth([turn, *of], mine, fee, policy)[0]
    if turn.challenge.challenger == me:
        return False
    gas = DEFEAT_GAS + DEFEAT_EACH
    return mine or policy.most(turn.bounty, gas, fee, turn.parties)[0]
