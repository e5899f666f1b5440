"""The provider's defence: answers every challenge of its claims, closes those that ran out.

A cycle is: read the challenges of my claims at one block → pure ``decide`` → act.  The first answer
to a claim builds the trace of its run; later ones come from it, and what all challenges of a claim
ask for is computed together.

Computations follow one another: traces of claims that have to be opened first, as the chain queues
them, then what was asked for first.  In the middle of one, what needs none is answered.  So a
challenge waits for the one that is under way and for one of each claim at most, however many
challengers there are; ``provider.policy`` takes no job for which that could be too long.

Nothing is remembered that the chain does not tell again: after a restart the trace is built anew,
which is what the clocks allow for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Final

from protocol.chain.book import Book, JobRecord
from protocol.chain.chain import Chain
from protocol.chain.contracts import Call, short
from protocol.chain.court_reverts import NotOpen
from protocol.chain.demands import DemandRecord
from protocol.chain.errors import ChainError, GasTooHigh, NodeRefused, TransactionFailed
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
from provider.policy import MOST_HELD, MOST_SUPPLIES
from provider.progress import GLANCE_SECONDS

MOST_MOVES: Final = 64
"""Moves in one transaction: below eight million gas and 96 KiB."""

MOST_CALLS: Final = 8
"""Calls on their way at once: they fill some blocks."""

FAILURES: Final = (
    Reverted, TransactionFailed, NodeRefused, GasTooHigh, StorageError, EngineError, ProgramError,
    TensorMismatch, LimitExceeded, ArithmeticError, LookupError, MemoryError, OSError, RuntimeError,
    TypeError, ValueError,
)  # fmt: skip
"""What goes wrong with one claim and does not stop the others: it is tried again at a later cycle.
torch reports a lack of memory as a RuntimeError."""

RESTS: Final = 3
"""What failed is left alone so many times as long as it took: data that is not there, or a trace
that cannot be built, leaves the clocks of other claims their time."""

Say = Callable[[str], None]
Build = Callable[[JobRecord], Truth]
Hold = Callable[[JobRecord], Answerer]

Key = tuple[bytes, int]
"""Claim, and number of a challenge; a demand's number counts below zero."""


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

    @property
    def key(self) -> Key:
        """Of the demand."""
        return self.claim, -self.demand.number


@dataclass(frozen=True)
class Reply:
    """What is owed to one challenge; each move tells one event."""

    job: JobRecord
    claim: bytes
    number: int
    moves: tuple[Move, ...]

    @property
    def key(self) -> Key:
        """Of the challenge."""
        return self.claim, self.number


@dataclass(frozen=True)
class Parcel:
    """What one transaction brings: replies to challenges, or the answer to one demand."""

    job: JobRecord
    claim: bytes
    call: Call
    keys: frozenset[Key]
    replies: tuple[Reply, ...] = ()

    @property
    def moves(self) -> int:
        """Events that it tells when nobody was faster."""
        return sum(len(r.moves) for r in self.replies) or 1


Action = Answer | Close | Supply
Matter = tuple[type[Action], bytes, int]


def decide(seats: Sequence[Seat], asks: Sequence[Ask], time: int) -> list[Action]:
    """What is due to a provider at ``time``: openings by deadline, other answers to challenges in
    the order of being asked, answers to demands by deadline, then what can be closed."""
    waiting: dict[bytes, list[Seat]] = {}
    late: dict[bytes, list[Seat]] = {}
    for seat in sorted(seats, key=lambda s: (s.deadline, s.number)):
        mine = seat.challenge.wait is not Wait.CHALLENGER
        if mine and time <= seat.deadline:
            waiting.setdefault(seat.claim, []).append(seat)
        elif not mine and time > seat.deadline:
            late.setdefault(seat.claim, []).append(seat)
    answers: list[Action] = [
        Answer(of[0].job, claim, tuple(_one_opening(of)), of[0].deadline)
        for claim, of in sorted(waiting.items(), key=lambda item: _turn(item[1]))
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


def _turn(seats: Sequence[Seat]) -> tuple[bool, int]:
    """Sorts claims by whose answers are computed first."""
    if seats[0].challenge.wait is Wait.OPENING:
        return False, seats[0].deadline
    return True, min(s.challenge.since for s in seats)


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
        self._opening = False
        self._busy = False
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

    def cycle(self, at: Snapshot, book: Book) -> bool:
        """Answer what is due; whether anything was done.  What is at hand is sent, of all claims
        and to challenges and demands together; then, for a while, what is not is computed and sent:
        somebody who demands data without end keeps no computation from beginning.

        Called again from within a computation of its own (a run tells its progress), it computes
        nothing; but a trace that has to be opened is built in the middle of anything but the
        building of another such.
        """
        actions = decide(*self.look(at, book), at.next_timestamp)
        answers = [action for action in actions if isinstance(action, Answer)]
        supplies = [action for action in actions if isinstance(action, Supply)]
        sent = self._play(self._supplied(supplies) + self._replies(answers, frozenset()))
        done = bool(sent)
        if self._prepare(answers):
            done = True
            self._play(self._replies(answers, sent))
        for action in actions:
            if isinstance(action, Close):
                done |= self._attempt(action, partial(self._close, action))
        if self._fetch(supplies):
            done = True
            self._play(self._supplied([s for s in supplies if s.key not in sent]))
        return done

    def _attempt(self, action: Action, act: Callable[[], bool]) -> bool:
        """Do something about one claim; what fails is left alone for a while."""
        matter, began = self._matter(action), self._clock()
        if began < self._rests.get(matter, 0.0):
            return False
        try:
            return act()
        except FAILURES as error:
            self._rests[matter] = began + (1 + RESTS) * (self._clock() - began)
            self._once(action.claim, f"job {short(action.job.job)} not defended: {error}")
            return False

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
        if not self.truths.has(claim):
            self.say(f"job {short(job.job)} is disputed: building the trace of its run")
        return self.truths.of(claim, lambda: self._build(job))

    # --- computing -------------------------------------------------------------------------------

    def _prepare(self, answers: Sequence[Answer]) -> bool:
        """Compute for challenges that need it, one claim after the other, for a while."""
        began, done = self._clock(), False
        for action in answers:
            opening = action.seats[0].challenge.wait is Wait.OPENING
            if self._busy and (self._opening or not opening):
                continue
            if len(self._ready(action)) < len(action.seats):
                done |= self._attempt(action, partial(self._compute, action))
                if self._clock() >= began + GLANCE_SECONDS:
                    break
        return done

    def _ready(self, action: Answer) -> list[Seat]:
        """Challenges that can be answered without a computation."""
        if not self.truths.has(action.claim):
            return []
        truth = self._truth(action.job, action.claim)
        return [s for s in action.seats if truth.ready(s.challenge)]

    def _compute(self, action: Answer) -> bool:
        before = self._busy, self._opening
        self._busy = True
        self._opening |= action.seats[0].challenge.wait is Wait.OPENING
        try:
            truth = self._truth(action.job, action.claim)
            truth.prepare([s.challenge for s in action.seats])
        finally:
            self._busy, self._opening = before
        return True

    # --- sending ---------------------------------------------------------------------------------

    def _replies(self, answers: Sequence[Answer], but: Set[Key]) -> list[Parcel]:
        """What is at hand ``but`` for some challenges."""
        replies: list[Reply] = []
        for action in answers:
            seats = [s for s in self._ready(action) if (s.claim, s.number) not in but]
            replies += self._owed(action, seats) if seats else []
        batches: list[list[Reply]] = []
        for reply in replies:
            size = sum(len(r.moves) for r in batches[-1]) if batches else MOST_MOVES
            if size + len(reply.moves) > MOST_MOVES:
                batches.append([])
            batches[-1].append(reply)
        return [self._parcel(batch) for batch in batches]

    def _owed(self, action: Answer, seats: Sequence[Seat]) -> list[Reply]:
        """What is owed to challenges of one claim."""
        truth = self._truth(action.job, action.claim)
        opened = set[int]()
        replies = []
        for seat in seats:
            try:
                owed = truth.answer(seat.challenge)
            except FAILURES as error:
                self._once(seat.claim, f"job {short(seat.job.job)} not defended: {error}")
                continue
            if not owed:
                self._cannot(seat)
            moves = [m for m in owed if not (isinstance(m, OpenStep) and m.step in opened)]
            opened |= {m.step for m in owed if isinstance(m, OpenStep)}
            if moves:
                replies.append(Reply(action.job, action.claim, seat.number, tuple(moves)))
        return replies

    def _parcel(self, replies: Sequence[Reply]) -> Parcel:
        game = self.chain.contracts.game
        call = game.together(
            [game.move(r.claim, r.number, r.job.terms, m) for r in replies for m in r.moves],
            every=False,
        )
        keys = frozenset(r.key for r in replies)
        return Parcel(replies[0].job, replies[0].claim, call, keys, tuple(replies))

    def _play(self, parcels: list[Parcel]) -> set[Key]:
        """Send each, but for moves that are refused: somebody was faster, or the challenge has
        moved on.  What was sent."""
        done = set[Key]()
        while parcels:
            now, parcels = parcels[:MOST_CALLS], parcels[MOST_CALLS:]
            try:
                ends = self.sender.send_all([parcel.call for parcel in now])
            except FAILURES as error:
                job = now[0].job.job
                self._once(now[0].claim, f"job {short(job)} not defended: {error}")
                return done
            for parcel, end in zip(now, ends, strict=True):
                if isinstance(end, ChainError):
                    parcels = self._refused(parcel, end) + parcels
                elif end.result is Result.MINED:
                    made, moves = len(end.logs), parcel.moves
                    faster = f", {made} of {moves} moves: others were faster" * (made < moves)
                    self._said(parcel.job, parcel.call.what + faster, end)
                    done |= parcel.keys
        return done

    def _refused(self, parcel: Parcel, refusal: ChainError) -> list[Parcel]:
        """What is still to be sent of a parcel that was not mined."""
        replies = parcel.replies
        if len(replies) < 2:
            if not (isinstance(refusal, Reverted) and _done(refusal)):
                job = parcel.job.job
                self._once(parcel.claim, f"job {short(job)}: not answered: {refusal}")
            return []
        stand = [r for r in replies if self._stands(r)]
        if len(stand) < len(replies):
            return [self._parcel(stand)] if stand else []
        half = len(replies) // 2
        return [self._parcel(replies[:half]), self._parcel(replies[half:])]

    def _stands(self, reply: Reply) -> bool:
        try:
            self.sender.simulate(self._parcel([reply]).call, "latest")
        except Reverted:
            return False
        return True

    def _cannot(self, seat: Seat) -> None:
        """The challenge asks for what is below a node that our trace does not have."""
        self._once(
            seat.claim,
            f"job {short(seat.job.job)}: challenge {seat.number} asks for a node that this "
            f"machine's trace does not have: the committed result was computed otherwise",
        )

    def _hold_data(self, action: Supply) -> bool:
        while len(self._holdings) >= MOST_HELD:
            del self._holdings[next(iter(self._holdings))]
        self._fetching.add(action.claim)
        try:
            self._holdings[action.claim] = self._hold(action.job)
        finally:
            self._fetching.discard(action.claim)
        return True

    def _supplied(self, supplies: Sequence[Supply]) -> list[Parcel]:
        """Answers to demands for what is at hand, for a while."""
        began, parcels = self._clock(), list[Parcel]()
        for action in supplies:
            if action.claim in self._holdings:
                self._attempt(action, partial(self._supply, action, parcels))
            if len(parcels) == MOST_SUPPLIES or self._clock() >= began + GLANCE_SECONDS:
                break
        return parcels

    def _supply(self, action: Supply, parcels: list[Parcel]) -> bool:
        """Answer a demand."""
        proof = self._holdings[action.claim].answer(*action.demand.place)
        call = self.chain.contracts.court.answer(
            action.job.terms, action.claim, *action.demand.place, proof
        )
        parcels.append(Parcel(action.job, action.claim, call, frozenset({action.key})))
        return True

    def _fetch(self, supplies: Sequence[Supply]) -> bool:
        """Have the data of claims at hand, for a while; whether there is now more of it."""
        began, got = self._clock(), 0
        for action in supplies:
            if action.claim not in self._holdings and action.claim not in self._fetching:
                got += self._attempt(action, partial(self._hold_data, action))
            if got == MOST_SUPPLIES or (got and self._clock() >= began + GLANCE_SECONDS):
                break
        return got > 0

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

