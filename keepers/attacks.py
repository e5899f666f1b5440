"""What a watchtower does next: a pure function of what it sees on chain at one block.

Moves of disputes by deadline, bonds to collect, then what is to be challenged, and what is to be
computed, each by value at risk.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from keepers.judge import Verdict
from protocol.chain.book import JobRecord
from protocol.chain.seats import Seat
from protocol.spec.dispute import MAX_MOVES, Wait, clock_of
from protocol.spec.job import Deal, JobStatus


@dataclass(frozen=True)
class Policy:
    """What is watched: claims whose price is at least ``min_price`` tokens (smallest units), whose
    moves have at least ``min_move_seconds``, of all clients or of ``clients`` alone.  Credits from
    ``collect_token`` tokens or ``collect_wei`` wei on are withdrawn."""

    min_price: int = 0
    min_move_seconds: int = 10
    clients: frozenset[bytes] = frozenset()
    collect_token: int = 10**18
    collect_wei: int = 10**16


@dataclass(frozen=True)
class View:
    """All that a decision needs.

    ``time`` is when a call sent now would run; ``claims`` are committed jobs; ``verdicts`` by
    claim; ``seats`` are live challenges of mine of standing claims, ``others`` those of others
    beside them; ``fallen`` mine of fallen ones, (claim, number), whose bonds wait; ``credits`` what
    the contracts owe me.
    """

    time: int
    claims: tuple[JobRecord, ...]
    verdicts: Mapping[bytes, Verdict]
    seats: tuple[Seat, ...] = ()
    others: tuple[Seat, ...] = ()
    fallen: tuple[tuple[bytes, int], ...] = ()
    credits: tuple[tuple[str, int, int], ...] = ()

    @property
    def live(self) -> tuple[Seat, ...]:
        """Challenges of mine that can still be won.  One whose clock I let run out is lost, and no
        reason not to open another."""
        return tuple(
            seat
            for seat in self.seats
            if seat.challenge.wait is not Wait.CHALLENGER or self.time <= seat.deadline
        )

    @property
    def seated(self) -> frozenset[bytes]:
        """Claims that a challenge of mine attacks."""
        return frozenset(seat.claim for seat in self.live)


class Kind(Enum):
    """What is to be done about a claim."""

    PLAY = "play"
    TIMEOUT = "timeoutProvider"
    COLLECT = "collect"
    CHALLENGE = "challenge"
    VOID = "proveIllegal"
    CHECK = "check"


MOVES: Final = (Kind.PLAY, Kind.TIMEOUT, Kind.COLLECT)
"""What is one call, made from a trace at most."""

COMPUTED: Final = (Kind.PLAY, Kind.CHALLENGE, Kind.VOID)
"""What takes a trace, or a look at all of a job's data, unless they are there."""

TOGETHER: Final = 16
"""Calls on their way at once: a node keeps so many of one account, and they fill a block or two."""


@dataclass(frozen=True)
class Act:
    """One thing to do about a claim; ``since`` tells one turn of a challenge from the next."""

    kind: Kind
    claim: bytes
    job: bytes
    number: int = 0
    since: int = 0


@dataclass(frozen=True)
class Withdraw:
    """Take what a contract owes: tokens, or wei where ``native``."""

    contract: str
    amount: int
    native: bool


Move = Act | Withdraw


def decide(view: View, policy: Policy) -> list[Move]:
    """Moves of disputes by deadline, then bonds to collect; then what is to be challenged, then
    what is to be computed, each by value at risk."""
    silent = _silent(view)
    moves: list[Move] = []
    for seat in sorted(view.seats, key=lambda s: (s.deadline, s.claim, s.number)):
        x, over = seat.challenge, silent.pop(seat.claim, None)
        if over is not None:
            since = over.challenge.since
            moves.append(_act(Kind.TIMEOUT, over.job, over.claim, over.number, since))
        # t <= deadline is the mover's; my own late turn is lost.
        elif x.wait is Wait.CHALLENGER and view.time <= seat.deadline:
            moves.append(_act(Kind.PLAY, seat.job, seat.claim, seat.number, x.since))
    moves += [Act(Kind.COLLECT, claim, b"", number) for claim, number in view.fallen]
    seated, unknown = view.seated, []
    dearest = sorted(view.claims, key=lambda r: (-r.terms.deal.price_ceiling, r.clock, r.job))
    for record in dearest:
        claim = claim_of(record)
        if claim is None or not _watched(record, policy):
            continue
        verdict, open_ = view.verdicts.get(claim), view.time <= record.clock
        # A job that disputes hold can be voided after its window too.
        if verdict is Verdict.ILLEGAL and (open_ or record.holds):
            moves.append(_act(Kind.VOID, record, claim))
        elif not open_:
            continue
        elif verdict is Verdict.WRONG and claim not in seated:
            moves.append(_act(Kind.CHALLENGE, record, claim))
        elif verdict is None:
            unknown.append(record)
    moves += [_act(Kind.CHECK, r, claim_of(r) or b"") for r in unknown]
    for contract, token, native in view.credits:
        if token >= policy.collect_token or native >= policy.collect_wei:
            owed = ((token, False), (native, True))
            moves += [Withdraw(contract, amount, wei) for amount, wei in owed if amount]
    return moves


def _silent(view: View) -> dict[bytes, Seat]:
    """By claim, the turn that its provider let pass: mine if there is one.  Another's ends the
    claim as well, and would be at hand for whoever wants to be first when a proof is coming."""
    late = [
        seat
        for seat in (*view.seats, *view.others)
        if seat.challenge.wait is not Wait.CHALLENGER and view.time > seat.deadline
    ]
    return {seat.claim: seat for seat in reversed(late)}


def _act(kind: Kind, record: JobRecord, claim: bytes, number: int = 0, since: int = 0) -> Act:
    return Act(kind, claim, record.job, number, since)


def _watched(record: JobRecord, policy: Policy) -> bool:
    deal = record.terms.deal
    mine = not policy.clients or deal.client in policy.clients
    in_time = deal.move_seconds >= policy.min_move_seconds
    return mine and in_time and deal.price_ceiling >= policy.min_price


def claim_of(record: JobRecord) -> bytes | None:
    """The current claim of a committed job."""
    if record.status is not JobStatus.COMMITTED or record.current is None:
        return None
    return record.current.claim


def deadline(view: View) -> int | None:
    """When a clock of a dispute of mine runs out next."""
    clocks = (s.deadline for s in (*view.seats, *view.others))
    return min((until for until in clocks if until >= view.time), default=None)


def slack(view: View) -> float:
    """Seconds for which all disputes of mine can do without me; infinite where there are none."""
    return min((_slack(seat, view.time) for seat in view.live), default=math.inf)


def _slack(seat: Seat, time: int) -> int:
    x = seat.challenge
    if x.wait is Wait.CHALLENGER:
        return seat.deadline - time
    return x.challenger_budget + seat.job.terms.deal.move_seconds


def no_room(live: Sequence[Seat], deal: Deal, mined: float) -> str | None:
    """Reason to open no challenge of a job of this deal beside ``live`` ones.

    So many moves as are TOGETHER are ``mined`` in as many seconds, those of disputes with short
    moves first; what exceeds a move's own time is taken from its clock.  A claim that is worth less
    than the dearest that is played gets half of the places: no cheap ones keep a dear one waiting.
    """
    deals = [seat.job.terms.deal for seat in live]
    dearest = max((d.price_ceiling for d in deals), default=0)
    places = TOGETHER if deal.price_ceiling >= dearest else TOGETHER // 2
    before = sum(d.move_seconds <= deal.move_seconds for d in deals)
    clocks = [(clock_of(deal), deal.move_seconds, -(-(before + 1) // places))]
    for seat, its in zip(live, deals, strict=True):
        rank = sum(d.move_seconds <= its.move_seconds for d in deals)
        if its.move_seconds >= deal.move_seconds and rank % TOGETHER == 0:  # one round more
            budget = seat.challenge.challenger_budget
            clocks.append((budget, its.move_seconds, rank // TOGETHER + 1))
    for clock, move, rounds in clocks:
        need = MAX_MOVES * max(0.0, rounds * mined - move) + mined
        # Half of it: the other half is for computing.
        if 2 * need > clock:
            return (
                f"beside {len(live)} disputes of mine, with moves mined in {mined:.0f} s, those of "
                f"one could take {need:.0f} s of a clock of {clock} s"
            )
    return None
