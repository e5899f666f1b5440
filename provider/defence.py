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
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

from protocol.chain.book import Book, JobRecord
from protocol.chain.chain import Chain
from protocol.chain.contracts import short
from protocol.chain.demands import DemandRecord
from protocol.chain.seats import MOST_CLOSED, Seat
from protocol.chain.state import Snapshot
from protocol.chain.transactions import Sender
from protocol.spec.answers import Answerer
from protocol.spec.demands import DEMAND_SECONDS
from protocol.spec.dispute import Outcome as Ended
from protocol.spec.dispute import Wait
from protocol.spec.strategy import OpenStep
from provider.dispatch import FAILURES, MOST_CALLS, Dispatch, Key, Mined, Parcel, Reply
from provider.engine.claims import Truth, Truths
from provider.policy import MOST_HELD, MOST_SUPPLIES
from provider.progress import GLANCE_SECONDS

RESTS: Final = 3
"""What failed is left alone so many times as long as it took: data that is not there, or a trace
that cannot be built, leaves the clocks of other claims their time."""

T = TypeVar("T")
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

    @property
    def key(self) -> Key:
        """Of the demand."""
        return self.claim, -self.demand.number


Action = Answer | Supply
Matter = tuple[type[Action], bytes, int]


@dataclass(frozen=True)
class Due:
    """What is due at a ``time``, each kind in its order."""

    answers: tuple[Answer, ...]
    supplies: tuple[Supply, ...]
    closings: tuple[Close, ...]
    time: int

    def in_turn(self, action: Supply) -> bool:
        """Whether no more time is left for a demand than for one that is alone in the queue."""
        alone = DEMAND_SECONDS + action.job.terms.deal.move_seconds
        return action.demand.deadline <= self.time + alone


def decide(seats: Sequence[Seat], asks: Sequence[Ask], time: int) -> Due:
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
    answers = tuple(
        Answer(of[0].job, claim, tuple(_one_opening(of)), of[0].deadline)
        for claim, of in sorted(waiting.items(), key=lambda item: _turn(item[1]))
    )
    supplies = tuple(
        Supply(ask.job, ask.claim, ask.demand)
        for ask in sorted(asks, key=lambda a: (a.demand.deadline, a.claim, a.demand.number))
        if time <= ask.demand.deadline
    )
    closings = tuple(
        Close(of[0].job, claim, tuple(s.number for s in of[:MOST_CLOSED]))
        for claim, of in late.items()
    )
    return Due(answers, supplies, closings, time)


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
        self._open: list[tuple[int, set[Key]]] = []
        self._opening = False
        self._busy = False
        self._last: dict[bytes, str] = {}
        self.dispatch = Dispatch(chain, sender, say, self._once)

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

    def cycle(self, at: Snapshot, book: Book, *, waits: bool = True) -> bool:
        """Answer what is due; whether anything was done.  What is at hand is sent, of all claims
        and to challenges and demands together; then, for a while, what is not is computed and sent:
        somebody who demands data without end keeps no computation from beginning.

        One that ``waits`` ends when all that it sent is mined.  Called from within a run (it tells
        its progress), it does not: while its calls are on their way, nothing more is sent.  Within
        a computation of its own it computes nothing; but a trace that has to be opened is built in
        the middle of anything but the building of another such.
        """
        due = decide(*self.look(at, book), at.next_timestamp)
        nothing = replace(due, answers=(), supplies=(), closings=())
        self._open.append((at.number, set()))
        try:
            sent = self._send(due, waits)
            done = self._prepare(due.answers)
            if done:
                sent |= self._send(replace(nothing, answers=due.answers), waits)
            if self._fetch(due.supplies):
                done = True
                sent |= self._send(replace(nothing, supplies=due.supplies), waits)
            return done or bool(sent)
        finally:
            self._open.pop()

    def _send(self, due: Due, waits: bool) -> set[Key]:
        """Send what is at hand, if nothing is on its way; what was mined."""
        mined = self._noted(self.dispatch.landed(waits=waits))
        if not self.dispatch.away:
            replies, closings = self._replies(due.answers), self._closings(due.closings)
            urgent, later = self._supplied(due)
            room = MOST_CALLS - len(urgent) - bool(closings)
            parcels = replies[:room] + urgent + closings + replies[room:] + later
            mined |= self._noted(self.dispatch.send(parcels, waits=waits))
        return mined

    def _noted(self, mined: Mined) -> set[Key]:
        """What was mined is not sent again by any cycle that looked before it was: not either by
        one in the middle of whose computation it was."""
        for looked, known in self._open:
            known |= {key for key, block in mined.items() if block > looked}
        return set(mined)

    def _known(self) -> set[Key]:
        """What need not be sent: it was since we looked, or is on its way."""
        return self._open[-1][1] | self.dispatch.keys

    def _attempt(self, action: Action, act: Callable[[], bool]) -> bool:
        """Do something about one claim; what fails is left alone for a while."""
        matter, began = self._matter(action), self._clock()
        if began < self._rested(action):
            return False
        try:
            return act()
        except FAILURES as error:
            self._rests[matter] = began + (1 + RESTS) * (self._clock() - began)
            self._once(action.claim, f"job {short(action.job.job)} not defended: {error}")
            return False

    def _rested(self, action: Action) -> float:
        """When it may be tried again."""
        return self._rests.get(self._matter(action), 0.0)

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

    def _a_while(self, things: Iterable[T]) -> Iterator[T]:
        """So many as are begun within some seconds: one at least."""
        began = self._clock()
        for thing in things:
            yield thing
            if self._clock() >= began + GLANCE_SECONDS:
                break

    def _prepare(self, answers: Sequence[Answer]) -> bool:
        """Compute for challenges that need it, one claim after the other, for a while."""
        done = False
        for action in self._a_while(answers):
            opening = action.seats[0].challenge.wait is Wait.OPENING
            if self._busy and (self._opening or not opening):
                continue
            if len(self._ready(action)) < len(action.seats):
                done |= self._attempt(action, partial(self._compute, action))
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

    def _replies(self, answers: Sequence[Answer]) -> list[Parcel]:
        """What is at hand for challenges, and can be put together in a while."""
        known = self._known()
        owed = (reply for action in answers for reply in self._owed(action, known))
        return self.dispatch.parcels(self._a_while(owed))

    def _owed(self, action: Answer, but: Set[Key]) -> Iterator[Reply]:
        """What is owed to challenges of one claim, and needs no computation."""
        opened = set[int]()
        for seat in self._ready(action):
            if (seat.claim, seat.number) in but:
                continue
            try:
                owed = self._truth(action.job, action.claim).answer(seat.challenge)
            except FAILURES as error:
                self._once(seat.claim, f"job {short(seat.job.job)} not defended: {error}")
                continue
            if not owed:
                self._cannot(seat)
            moves = [m for m in owed if not (isinstance(m, OpenStep) and m.step in opened)]
            opened |= {m.step for m in owed if isinstance(m, OpenStep)}
            if moves:
                yield Reply(action.job, action.claim, seat.number, tuple(moves))

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

    def _next(self, supplies: Sequence[Supply]) -> Iterator[Supply]:
        """Demands that are not answered, nor left alone after a failure."""
        known = self._known()
        return (s for s in supplies if s.key not in known and self._clock() >= self._rested(s))

    def _supplied(self, due: Due) -> tuple[list[Parcel], list[Parcel]]:
        """Answers to demands for what is at hand, for a while; those whose turn has come apart."""
        urgent: list[Parcel] = []
        later: list[Parcel] = []
        held = (action for action in self._next(due.supplies) if action.claim in self._holdings)
        for action in self._a_while(held):
            parcels = urgent if due.in_turn(action) else later
            self._attempt(action, partial(self._supply, action, parcels))
            if len(urgent) + len(later) == MOST_SUPPLIES:
                break
        return urgent, later

    def _supply(self, action: Supply, parcels: list[Parcel]) -> bool:
        """Answer a demand."""
        # The data that was used last is given up last.
        data = self._holdings[action.claim] = self._holdings.pop(action.claim)
        proof = data.answer(*action.demand.place)
        call = self.chain.contracts.court.answer(
            action.job.terms, action.claim, *action.demand.place, proof
        )
        parcels.append(Parcel(action.job, action.claim, call, frozenset({action.key})))
        return True

    def _fetch(self, supplies: Sequence[Supply]) -> bool:
        """Have the data of claims at hand, for a while; whether there is now more of it."""
        began, ready, got = self._clock(), 0, False
        for action in self._next(supplies):
            if action.claim in self._holdings or action.claim in self._fetching:
                ready += 1
            elif self._attempt(action, partial(self._hold_data, action)):
                ready, got = ready + 1, True
            if ready == MOST_SUPPLIES or (got and self._clock() >= began + GLANCE_SECONDS):
                break
        return got

    def _closings(self, closings: Sequence[Close]) -> list[Parcel]:
        made, known = [self._closing(action) for action in closings], self._known()
        return [parcel for parcel in made if not parcel.keys & known]

    def _closing(self, action: Close) -> Parcel:
        call = self.chain.contracts.game.timeout_challengers(action.claim, action.numbers)
        keys = frozenset((action.claim, number) for number in action.numbers)
        return Parcel(action.job, action.claim, call, keys)
