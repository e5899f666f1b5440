"""The provider's defence: answers every challenge of its claims, closes those that ran out.

A cycle is: read the challenges of my claims at one block → pure ``decide`` → act.  The first answer
to a claim builds the trace of its run; later ones come from it.  Nothing is remembered that the
chain does not tell again: after a restart the trace is built anew, which is what the clocks allow
for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from protocol.chain.book import Book, JobRecord
from protocol.chain.chain import Chain
from protocol.chain.contracts import short
from protocol.chain.court_reverts import NotOpen
from protocol.chain.demands import DemandRecord
from protocol.chain.errors import GasTooHigh, NodeRefused, TransactionFailed
from protocol.chain.game_reverts import HasFallen, NotLive, WrongTurn
from protocol.chain.refusal import Reverted
from protocol.chain.reverts import WrongClaim
from protocol.chain.seats import MOST_CLOSED, Seat
from protocol.chain.state import Snapshot
from protocol.chain.transactions import Outcome, Result, Sender
from protocol.spec.answers import Answerer
from protocol.spec.dispute import Outcome as Ended
from protocol.spec.dispute import Wait
from protocol.spec.errors import LimitExceeded, ProgramError, TensorMismatch
from protocol.spec.strategy import Move, OpenStep
from protocol.storage.errors import StorageError
from provider.engine.claims import Truth, Truths
from provider.engine.errors import EngineError

MOST_MOVES: Final = 8
"""Moves in one transaction: about a million gas."""

FAILURES: Final = (
    Reverted, TransactionFailed, NodeRefused, GasTooHigh, StorageError, EngineError, ProgramError,
    TensorMismatch, LimitExceeded, ArithmeticError, LookupError, MemoryError, OSError, RuntimeError,
    TypeError, ValueError,
)  # fmt: skip
"""What goes wrong with one claim and does not stop the others: it is tried again at a later cycle.
torch reports a lack of memory as a RuntimeError."""

MOST_LOOKS: Final = 40
"""Looks in a row that find something due, before other work has its turn: whoever floods a provider
with demands does not keep it from running its jobs."""

RESTS: Final = 3
"""What failed is left alone so many times as long as it took: data that is not there, or a trace
that cannot be built, leaves the clocks of other claims their time."""

MOST_HELD: Final = 8
"""Claims whose data is kept at hand for demands."""

News = Callable[[], tuple[Snapshot, Book]]
Say = Callable[[str], None]
Build = Callable[[JobRecord], Truth]
Hold = Callable[[JobRecord], Answerer]


@dataclass(frozen=True)
class Answer:
    """Answer challenges of one claim, in this order."""

    job: JobRecord
    claim: bytes
    seats: tuple[Seat, ...]
    deadline: int


@dataclass(frozen=True)
class Close:
    """Close challenges whose challengers let their clocks run out."""

    job: JobRecord
    claim: bytes
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Ask:
    """An open demand for data of one of my claims."""

    job: JobRecord
    claim: bytes
    demand: DemandRecord


@dataclass(frozen=True)
class Supply:
    """Answer a demand."""

    job: JobRecord
    claim: bytes
    demand: DemandRecord


Action = Answer | Close | Supply
Matter = tuple[type[Action], bytes, int]


def decide(seats: Sequence[Seat], asks: Sequence[Ask], time: int) -> list[Action]:
    """What is due to a provider at ``time``: answers to challenges and to demands, each nearest
    deadline first, then what can be closed."""
    waiting: dict[bytes, list[Seat]] = {}
    late: dict[bytes, list[Seat]] = {}
    for seat in sorted(seats, key=lambda s: (s.deadline, s.number)):
        mine = seat.challenge.wait is not Wait.CHALLENGER
        if mine and time <= seat.deadline:
            waiting.setdefault(seat.claim, []).append(seat)
        elif not mine and time > seat.deadline:
            late.setdefault(seat.claim, []).append(seat)
    answers: list[Action] = [
        Answer(of[0].job, claim, tuple(_one_opening(of)[:MOST_MOVES]), of[0].deadline)
        for claim, of in waiting.items()
    ]
    supplies: list[Action] = [
        Supply(ask.job, ask.claim, ask.demand)
        for ask in sorted(asks, key=lambda a: (a.demand.deadline, a.claim, a.demand.number))
        if time <= ask.demand.deadline
    ]
    closings: list[Action] = [
        Close(of[0].job, claim, tuple(s.number for s in of[:MOST_CLOSED]))
        for claim, of in late.items()
    ]
    return answers + supplies + closings


def _one_opening(seats: Sequence[Seat]) -> list[Seat]:
    """One opening serves all that wait for it."""
    asked = set[tuple[Wait, int]]()
    out = []
    for seat in seats:
        key = (seat.challenge.wait, seat.challenge.step)
        if seat.challenge.wait is Wait.REVEAL or key not in asked:
            out.append(seat)
        asked.add(key)
    return out


class Defence:
    """Defends the claims of one provider.  ``build`` makes the truth of a job, ``hold`` answers
    demands for its data."""

    def __init__(
        self, chain: Chain, sender: Sender, build: Build, hold: Hold, say: Say,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.chain = chain
        self.sender = sender
        self.say = say
        self.truths = Truths()
        self._build = build
        self._hold = hold
        self._clock = clock
        self._holdings: dict[bytes, Answerer] = {}
        self._fetching: set[bytes] = set()
        self._rests: dict[Matter, float] = {}
        self._building = False
        self._last: dict[bytes, str] = {}

    def look(self, at: Snapshot, book: Book) -> tuple[list[Seat], list[Ask]]:
        """Live challenges of my standing claims, and open demands for their data."""
        jobs = {
            job.current.claim: job
            for job in book.jobs.values()
            if job.live and job.holds and job.provider == self.sender.address and job.current
        }
        asks = [
            Ask(jobs[claim], claim, demand)
            for claim, docket in book.dockets.items()
            if claim in jobs
            for demand in docket.open
        ]
        places = [
            (claim, x.number)
            for claim, dispute in book.disputes.items()
            if claim in jobs and dispute.fall is None
            for x in dispute.challenges
            if x.outcome is Ended.LIVE
        ]
        claims = [claim for claim, _ in places]
        self.truths.keep_only(claims)
        self._rests = {key: until for key, until in self._rests.items() if key[1] in jobs}
        self._last = {claim: line for claim, line in self._last.items() if claim in jobs}
        found = self.chain.turns_of(places, at)
        seats = [
            Seat(jobs[claim], claim, number, challenge, deadline)
            for (claim, number), (challenge, deadline) in zip(places, found, strict=True)
        ]
        return seats, asks

    def stand(self, news: News) -> bool:
        """Answer what is due, and what comes due meanwhile; whether anything was done."""
        for looks in range(MOST_LOOKS):
            if not self.cycle(*news()):
                return looks > 0
        return True

    def cycle(self, at: Snapshot, book: Book) -> bool:
        """Answer what is due; whether anything was done.  Of the demands it answers one: whatever
        came meanwhile is looked at before the next.

        Called again from within the building of a trace (a run tells its progress), it answers only
        what needs no other trace.
        """
        done = False
        for action in decide(*self.look(at, book), at.next_timestamp):
            matter, began = self._matter(action), self._clock()
            if began < self._rests.get(matter, 0.0):
                continue
            try:
                match action:
                    case Close():
                        done |= self._close(action)
                    case Supply() if action.claim not in self._fetching:
                        if self._supply(action):
                            return True
                    case Answer() if self.truths.has(action.claim) or not self._building:
                        done |= self._answer(action)
            except FAILURES as error:
                self._rests[matter] = began + (1 + RESTS) * (self._clock() - began)
                self._once(action.claim, f"job {short(action.job.job)} not defended: {error}")
        return done

    def _matter(self, action: Action) -> Matter:
        """What fails if ``action`` does: once a claim's data is there, one demand alone."""
        if isinstance(action, Supply) and action.claim in self._holdings:
            return Supply, action.claim, action.demand.number
        return type(action), action.claim, 0

    def _once(self, claim: bytes, line: str) -> None:
        """Says a line about a claim, unless it was the last one."""
        if self._last.get(claim) != line:
            self._last[claim] = line
            self.say(line)

    def _truth(self, job: JobRecord, claim: bytes) -> Truth:
        if self.truths.has(claim):
            return self.truths.of(claim, lambda: self._build(job))
        self.say(f"job {short(job.job)} is disputed: building the trace of its run")
        self._building = True
        try:
            return self.truths.of(claim, lambda: self._build(job))
        finally:
            self._building = False

    def _answer(self, action: Answer) -> bool:
        truth = self._truth(action.job, action.claim)
        moves: list[tuple[int, Move]] = []
        for seat in action.seats:
            found = truth.answer(seat.challenge)
            if not found:
                self._cannot(seat)
            opened = {move.step for _, move in moves if isinstance(move, OpenStep)}
            moves += [
                (seat.number, move)
                for move in found
                if not (isinstance(move, OpenStep) and move.step in opened)
            ]
        if not moves:
            return False
        try:
            self._send(action, moves)
        except (WrongTurn, NotLive, HasFallen):
            # Somebody was faster with one of them: each on its own.
            for number, move in moves:
                self._send(action, [(number, move)], already=_done)
        return True

    def _cannot(self, seat: Seat) -> None:
        """The challenge asks for what is below a node that our trace does not have."""
        self._once(
            seat.claim,
            f"job {short(seat.job.job)}: challenge {seat.number} asks for a node that this "
            f"machine's trace does not have: the committed result was computed otherwise",
        )

    def _send(
        self,
        action: Action,
        moves: Sequence[tuple[int, Move]],
        already: Callable[[Reverted], bool] | None = None,
    ) -> None:
        call = self.chain.contracts.game.play(action.claim, action.job.terms, moves)
        outcome = self.sender.send(call, already=already)
        self._said(action.job, call.what, outcome)

    def _held(self, job: JobRecord, claim: bytes) -> Answerer:
        if claim not in self._holdings:
            while len(self._holdings) >= MOST_HELD:
                del self._holdings[next(iter(self._holdings))]
            self._fetching.add(claim)
            try:
                self._holdings[claim] = self._hold(job)
            finally:
                self._fetching.discard(claim)
        return self._holdings[claim]

    def _supply(self, action: Supply) -> bool:
        """Answer a demand; False if somebody else did."""
        proof = self._held(action.job, action.claim).answer(*action.demand.place)
        call = self.chain.contracts.court.answer(
            action.job.terms, action.claim, *action.demand.place, proof
        )
        outcome = self.sender.send(call, already=_done)
        self._said(action.job, call.what, outcome)
        return outcome.result is Result.MINED

    def _close(self, action: Close) -> bool:
        call = self.chain.contracts.game.timeout_challengers(action.claim, action.numbers)
        self._said(action.job, call.what, self.sender.send(call, already=_done))
        return True

    def _said(self, job: JobRecord, what: str, outcome: Outcome) -> None:
        if outcome.result is Result.MINED:
            self.say(f"job {short(job.job)} defended: {what}, {outcome.gas} gas")


def _done(refusal: Reverted) -> bool:
    """Somebody else made the move, or the claim ended: nothing is left to do."""
    return isinstance(refusal, WrongTurn | NotLive | HasFallen | NotOpen | WrongClaim)

