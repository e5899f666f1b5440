"""The court: the pure twin of contracts/Court.sol.

The same functions in the same order, with the caller and the time as arguments.  ``MoveRefused``
carries the name of the error with which the contract reverts.  Times are seconds, money is wei and
tokens (smallest unit).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from protocol.spec import answers
from protocol.spec.answers import Answer, Part, Place
from protocol.spec.dispute import PREMIUM_PARTS, TIMEOUT_GAS, Claim
from protocol.spec.errors import MoveRefused
from protocol.spec.game import Game
from protocol.spec.job import (
    REWARD_PARTS,
    Deal,
    Fault,
    GasSchedule,
    Payout,
    answer_price,
    bounty_of,
    lock_of,
)

# --- constants: the same names and values as contracts/types/Demand.sol --------------------------

RUN_BLOCKS: Final = answers.RUN_BLOCKS
"""Blocks of 512 bytes that one demand for a tensor covers."""

DEMAND_SECONDS: Final = 15
"""Seconds that one demand takes in its provider's queue."""

ANSWER_GAS: Final = 250_000
"""Gas that an answer is paid for beside its bytes."""

BYTE_GAS: Final = 50
"""Gas that an answer is paid for each byte it shows."""

ANSWER_BYTES: Final = 16_384
"""Most bytes that an answer is paid for."""

DEMAND_GAS: Final = 200_000
"""Gas of opening a demand, repaid to the demander that is rewarded."""

ILLEGAL_GAS: Final = 2_000_000
"""Gas of proving a job illegal."""


class DemandState(IntEnum):
    """What became of a demand."""

    NONE = 0
    OPEN = 1
    ANSWERED = 2
    COLLECTED = 3


# --- containers ----------------------------------------------------------------------------------


@dataclass
class Demand:
    """One demand; the fields of the contract's struct."""

    demander: bytes
    deadline: int
    price: int
    """The most wei that a unit of its answer's gas is paid, of the block that demanded (the
    contract keeps it elsewhere)."""
    state: DemandState = DemandState.OPEN


@dataclass
class Docket:
    """Demands of one claim."""

    numbers: list[int] = field(default_factory=list)
    """Open demands, in order of opening."""
    count: int = 0
    places: dict[tuple[Part, int, int], int] = field(default_factory=dict)
    """Number of the demand for a place."""


@dataclass
class Queue:
    """Demands that one provider has to answer."""

    end: int = 0
    open: int = 0


# --- money ---------------------------------------------------------------------------------------


def paid_for(shown: int, gas_price: int) -> int:
    """What an answer that shows so many bytes is paid."""
    return (ANSWER_GAS + BYTE_GAS * min(shown, ANSWER_BYTES)) * gas_price


def fee_of(deal: Deal) -> int:
    """What a demand brings: the largest answer."""
    return paid_for(ANSWER_BYTES, deal.gas_price)


def withheld_payouts(
    deal: Deal, schedule: GasSchedule, due: Sequence[Payout], caller: bytes, demander: bytes
) -> list[Payout]:
    """Lines of a claim that fell for an unanswered demand: the challengers, as for silence, the
    caller, the earliest open demand's demander; the gas of the last two comes first."""
    lock, left = lock_of(deal, schedule)
    bounty = min(TIMEOUT_GAS * deal.gas_price, left)
    left -= bounty
    repaid = min(DEMAND_GAS * deal.gas_price, left)
    left -= repaid
    lines = []
    for line in due:
        gas = min(line.native, left)
        left -= gas
        lines.append(Payout(line.to, line.token, gas))
    reward = lock // REWARD_PARTS
    if lines:
        reward //= PREMIUM_PARTS
        lines[0] = Payout(lines[0].to, lines[0].token - reward, lines[0].native)
    return [*lines, Payout(caller, 0, bounty), Payout(demander, reward, repaid)]


def illegal_payouts(
    deal: Deal, schedule: GasSchedule, due: Sequence[Payout], caller: bytes, taken: bool
) -> list[Payout]:
    """Lines of a void job: whoever proved it illegal, then the challengers' gas, as far as the
    client's bounty goes and, if a provider took the job, its native lock."""
    left = bounty_of(deal, schedule) + (lock_of(deal, schedule)[1] if taken else 0)
    lines = []
    for who, gas in [(caller, ILLEGAL_GAS * deal.gas_price), *((p.to, p.native) for p in due)]:
        lines.append(Payout(who, 0, min(gas, left)))
        left -= lines[-1].native
    return lines


# --- the court -----------------------------------------------------------------------------------


class Court:
    """All demands of one deployment, and what it owes; the claims are the game's."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.dockets: defaultdict[bytes, Docket] = defaultdict(Docket)
        self.demands: dict[tuple[bytes, int], Demand] = {}
        self.queues: defaultdict[bytes, Queue] = defaultdict(Queue)
        self.credits: defaultdict[bytes, int] = defaultdict(int)

    # --- demands ---------------------------------------------------------------------------------

    def demand(
        self, claim_id: bytes, part: Part, item: int, index: int, who: bytes, now: int
    ) -> int:
        """Demand a piece of a committed claim in its window."""
        c, docket = self._claim(claim_id), self.dockets[claim_id]
        flat = Part.CONSTANT_DECL <= part <= Part.PHASE
        if (part is Part.HEADER and item | index) or (flat and index):
            raise MoveRefused("NoSuchPlace", f"{part.name} {item} {index}")
        if (part, item, index) in docket.places:
            raise MoveRefused("DemandedBefore", str(docket.places[part, item, index]))
        if c.fallen:
            raise MoveRefused("WrongStatus")
        if now > c.window_until:
            raise MoveRefused("TooLate", f"{now} > {c.window_until}")
        c.holds += 1
        docket.count += 1
        docket.numbers.append(docket.count)
        docket.places[part, item, index] = docket.count
        deadline = self._queue(c.provider, now) + c.terms.deal.move_seconds
        price = answer_price(c.terms.deal.gas_price, self.game.schedule, self.game.base_fee)
        self.demands[claim_id, docket.count] = Demand(who, deadline, price)
        return docket.count

    def answer(
        self, claim_id: bytes, part: Part, item: int, index: int, proof: Answer, now: int
    ) -> int:
        """Answer a demand; from anybody, for the provider.  Raises ProofError where the referee
        reverts."""
        c, docket = self._claim(claim_id), self.dockets[claim_id]
        number = docket.places.get((part, item, index))
        if number is None:
            raise MoveRefused("NotDemanded", f"{part.name} {item} {index}")
        d = self._load(claim_id, number)
        if now > d.deadline:
            raise MoveRefused("TooLate", f"{now} > {d.deadline}")
        place = Place(c.terms.task, c.program, c.result_root, part, item, index)
        shown = answers.shown(place, proof)
        if c.fallen:
            raise MoveRefused("WrongStatus")
        self._end(c, claim_id, number, DemandState.ANSWERED)
        c.holds -= 1
        deal, game = c.terms.deal, self.game
        paid = paid_for(shown, answer_price(d.price, game.schedule, game.base_fee))
        self.credits[c.provider] += paid
        self.credits[d.demander] += fee_of(deal) - paid
        return shown

    def timeout(self, claim_id: bytes, number: int, who: bytes, now: int) -> None:
        """A demand's clock ran out: the claim falls."""
        c = self._claim(claim_id)
        d = self._load(claim_id, number)
        if now <= d.deadline:
            raise MoveRefused("TooEarly", f"{now} <= {d.deadline}")
        if c.fallen:
            raise MoveRefused("WrongStatus")
        rewarded = self.demands[claim_id, self.dockets[claim_id].numbers[0]].demander
        due = self.game.end(claim_id)
        c.fault = Fault.WITHHELD
        c.payouts = withheld_payouts(c.terms.deal, self.game.schedule, due, who, rewarded)

    def collect(self, claim_id: bytes, numbers: Sequence[int]) -> None:
        """The fees of open demands of a claim that ended come back."""
        c = self._claim(claim_id)
        if not c.fallen:
            raise MoveRefused("HasNotFallen")
        for number in numbers:
            d = self._load(claim_id, number)
            self._end(c, claim_id, number, DemandState.COLLECTED)
            self.credits[d.demander] += fee_of(c.terms.deal)

    # --- legality --------------------------------------------------------------------------------

    def prove_illegal(self, claim_id: bytes, illegal: bool, who: bytes) -> list[Payout]:
        """The job of a committed claim is void, if the proof shows that it is ``illegal``; who is
        paid by the client."""
        c = self._claim(claim_id)
        if c.fallen:
            raise MoveRefused("WrongStatus")
        if not illegal:
            raise MoveRefused("ProvesNothing")
        due = self.game.end(claim_id)
        return illegal_payouts(c.terms.deal, self.game.schedule, due, who, taken=True)

    # --- state -----------------------------------------------------------------------------------

    def _claim(self, claim_id: bytes) -> Claim:
        return self.game.claims[claim_id]

    def _load(self, claim_id: bytes, number: int) -> Demand:
        d = self.demands.get((claim_id, number))
        if d is None or d.state is not DemandState.OPEN:
            raise MoveRefused("NotOpen", f"demand {number}")
        return d

    def _end(self, c: Claim, claim_id: bytes, number: int, state: DemandState) -> None:
        self.demands[claim_id, number].state = state
        self.dockets[claim_id].numbers.remove(number)
        self.queues[c.provider].open -= 1

    def _queue(self, provider: bytes, now: int) -> int:
        q = self.queues[provider]
        q.open += 1
        q.end = min(max(q.end, now) + DEMAND_SECONDS, now + DEMAND_SECONDS * q.open)
        return q.end
