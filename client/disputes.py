"""Disputes about a job as people and scripts see them: read from the chain, told in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from client.demanded import outcome_text, place_text
from client.descent import Finding, Known, Leg, finding, legs, move_text, turn_text
from client.job_errors import UnknownJob
from client.jobs import Client
from client.spoils import FAULTS, Costs, Line, Parties, Party, costs, money, split_of
from client.turns import seconds_left
from protocol.chain.book import Attempt, Book, JobRecord
from protocol.chain.demands import DemandEvent, DemandRecord, Docket
from protocol.chain.disputes import ChallengeRecord, ClaimFell, Dispute, Move
from protocol.chain.errors import Reorganised
from protocol.chain.event import Event
from protocol.chain.receipts import Sent, sent
from protocol.chain.state import Snapshot
from protocol.spec.demands import DemandState
from protocol.spec.dispute import Challenge, Outcome, Wait
from protocol.spec.job import JobStatus

Turns = Mapping[int, tuple[Challenge, int]]
"""By number: a live challenge as the contract has it, and until when its present turn lasts."""


@dataclass(frozen=True)
class Turn:
    """Whose turn it is in a live challenge, what is due, and until when (the chain's seconds)."""

    wait: Wait
    deadline: int
    text: str


@dataclass(frozen=True)
class MoveView:
    """One move: in words, its transaction and sender, how long its side had left.

    ``gas`` is that of the whole transaction, at its first move; None at the others.
    """

    move: Move
    text: str
    sent: Sent
    party: Party
    role: str
    gas: int | None
    left: int | None


@dataclass(frozen=True)
class ChallengeView:
    """One challenge: its moves, the way down, and where it stands or what it showed."""

    record: ChallengeRecord
    moves: tuple[MoveView, ...]
    legs: tuple[Leg, ...]
    turn: Turn | None
    finding: Finding | None
    outcome: str


@dataclass(frozen=True)
class DemandView:
    """One demand for data: in words, who sent it, and the gas of asking."""

    record: DemandRecord
    text: str
    outcome: str
    sent: Sent
    live: bool


@dataclass(frozen=True)
class DisputeView:
    """The dispute about one attempt at a job: its challenges, and the demands for data."""

    dispute: Dispute
    docket: Docket
    record: JobRecord
    attempt: Attempt
    outcome: str
    challenges: tuple[ChallengeView, ...]
    demands: tuple[DemandView, ...]
    money: tuple[Line, ...]
    costs: tuple[Costs, ...]
    parties: Parties

    @property
    def live(self) -> bool:
        """Whether a challenge or a demand of a standing claim waits for somebody."""
        waiting = any(x.turn is not None for x in self.challenges)
        return waiting or any(d.live for d in self.demands)

    def rank(self, who: bytes) -> tuple[int, int]:
        """The order in which parties are named: challengers by their first challenge, provider,
        client, others."""
        mine = self.dispute.of(who)
        return self.parties.of(who).value, mine[0].number if mine else 0


@dataclass(frozen=True)
class Disputed:
    """All disputes about a job at one block, by attempt."""

    record: JobRecord
    at: Snapshot
    disputes: tuple[DisputeView, ...]

    @property
    def time(self) -> int:
        """The chain's time."""
        return self.at.next_timestamp


# --- from the chain ------------------------------------------------------------------------------


Case = tuple[Dispute, Docket]
"""What was disputed and demanded of one claim; one of both may be empty."""


def cases_of(book: Book, job: bytes, attempt: int | None = None) -> list[Case]:
    """The disputed claims of a job, or that of one attempt at it (from 0)."""
    out = []
    for tried in book.jobs[job].attempts if job in book.jobs else ():
        claim, root = tried.claim, tried.result_root
        if claim is None or root is None or attempt not in (None, tried.number):
            continue
        if claim in book.disputes or claim in book.dockets:
            plain = Dispute(claim, job, tried.number, tried.provider, root, 0, 0)
            docket = book.dockets.get(claim, Docket(claim, job))
            out.append((book.disputes.get(claim, plain), docket))
    return out


class Reader:
    """Reads the disputes about one job.  ``known`` names its operations; where it is None, ``why``
    says why."""

    def __init__(
        self, client: Client, job: bytes, known: Known | None = None, why: str = ""
    ) -> None:
        self.client, self.job, self.known, self.why = client, job, known, why

    def read(self, attempt: int | None = None) -> Disputed:
        """What is now.  Raises UnknownJob, NodeUnavailable, Reorganised."""
        for _ in range(self.client.chain.config.rpc_attempts):
            try:
                return self._read(attempt)
            except Reorganised:
                self.client.chain.rpc.pause(self.client.chain.config.poll_seconds)
        return self._read(attempt)

    def _read(self, attempt: int | None) -> Disputed:
        chain = self.client.chain
        book, at = self._book()
        record = book.jobs[self.job]
        bounty = chain.bounty_of(record.terms.deal, at)
        views = []
        for d, docket in cases_of(book, self.job, attempt):
            places = [move.event.place for x in d.challenges for move in x.moves]
            places += [event.place for event in book.events if _is_of(event, docket)]
            made = sent(chain, (place.tx for place in places))
            live = [x.number for x in d.challenges if x.outcome is Outcome.LIVE]
            numbers = live if (record, d) in book.standing() else []
            turns = chain.turns_of([(d.claim, n) for n in numbers], at) if numbers else []
            turned = dict(zip(numbers, turns, strict=True))
            views.append(self._view((d, docket), book, made, turned, bounty))
        return Disputed(record, at, tuple(views))

    def _book(self) -> tuple[Book, Snapshot]:
        book, at = self.client.book()
        if self.job not in book.jobs:
            raise UnknownJob(f"job 0x{self.job.hex()} was undone by a reorg: post it again")
        return book, at

    def _view(
        self, case: Case, book: Book, made: Mapping[bytes, Sent], turns: Turns, bounty: int
    ) -> DisputeView:
        entry = book.providers.get(case[0].provider)
        game, delegate = self.client.chain.deployment.game, entry.delegate if entry else b""
        return dispute_view(
            case, book, made, turns, game, delegate, bounty, self.known, self.why
        )

    def follow(self, attempt: int | None, now: Disputed) -> Iterator[Disputed]:
        """What is after each change from ``now`` on, until nothing disputed moves any more, or the
        job has ended.  Raises as ``read``, and Interrupted when a stop is asked for."""
        while now.record.live and (not now.disputes or any(v.live for v in now.disputes)):
            self.client.chain.rpc.pause(self.client.chain.config.poll_seconds)
            book, _ = self._book()
            told = [(view.dispute, view.docket) for view in now.disputes]
            if (book.jobs[self.job], cases_of(book, self.job, attempt)) != (now.record, told):
                now = self.read(attempt)
                yield now


# --- in words: pure ------------------------------------------------------------------------------


def _is_of(event: Event, docket: Docket) -> bool:
    return isinstance(event, DemandEvent) and event.claim == docket.claim


def dispute_view(
    case: Case,
    book: Book,
    made: Mapping[bytes, Sent],
    turns: Turns,
    game: bytes,
    delegate: bytes,
    bounty: int,
    known: Known | None,
    why: str,
) -> DisputeView:
    """A dispute as it is seen.  ``made`` are the transactions of its moves, by hash."""
    d, docket = case
    record = book.jobs[d.job]
    attempt, fell = record.attempts[d.attempt], fall_of(d)
    deal = record.terms.deal
    challengers = frozenset(x.challenger for x in d.challenges)
    demanders = frozenset(x.demander for x in docket.demands)
    parties = Parties(d.provider, deal.client, challengers, demanders, delegate)
    data = None
    if fell is not None and made[fell.place.tx].to == game:
        data = made[fell.place.tx].data
    found = finding(d, record.terms.task, data, known, why)
    left = seconds_left(d, deal)
    first = _first_moves(d)
    challenges = []
    for x in d.challenges:
        mine = found if fell is not None and fell.number == x.number else None
        moves = []
        for k, move in enumerate(x.moves):
            place = move.event.place
            one = made[place.tx]
            text = move_text(move, x.moves[max(k - 1, 0)].stop, mine.what if mine else "the claim")
            moves.append(MoveView(
                move, text, one, parties.of(one.sender), _role(parties, d, x, one.sender),
                one.gas if place == first[place.tx] else None, left.get(place),
            ))  # fmt: skip
        turn = _turn(x, turns)
        outcome = _challenge_outcome(d, x, record)
        challenges.append(
            ChallengeView(x, tuple(moves), tuple(legs(d, x)), turn, mine, outcome)
        )
    current = record.attempts[-1] == attempt and record.live
    ended = d.fall is not None or attempt.fault is not None or record.status is JobStatus.VOIDED
    demands = [
        DemandView(x, place_text(x), outcome_text(x, docket, ended), made[x.asked.tx],
                   current and not ended and x.state is DemandState.OPEN)
        for x in docket.demands
    ]  # fmt: skip
    lines = money(d, docket, deal, bounty, ended, split_of(book.events, d))
    return DisputeView(
        d, docket, record, attempt, _outcome(d, record, attempt), tuple(challenges),
        tuple(demands), tuple(lines), tuple(costs(made.values(), parties)), parties,
    )  # fmt: skip


def _first_moves(d: Dispute) -> dict[bytes, object]:
    """By transaction, the place of its first move."""
    places = sorted(move.event.place for x in d.challenges for move in x.moves)
    return {place.tx: place for place in reversed(places)}


def _role(parties: Parties, d: Dispute, x: ChallengeRecord, who: bytes) -> str:
    """Who sent a move of challenge ``x``; a challenger of another one by its number."""
    party = parties.of(who)
    if party is Party.PROVIDER and who != d.provider:
        return "provider's delegate"
    if party is Party.CHALLENGER and who != x.challenger:
        return f"challenger {d.of(who)[0].number}"
    return party.name.lower()


def _turn(x: ChallengeRecord, turns: Turns) -> Turn | None:
    if x.number not in turns:
        return None
    told, deadline = turns[x.number]
    return Turn(told.wait, deadline, turn_text(told.wait, x.stop))


def fall_of(d: Dispute) -> ClaimFell | None:
    """How a challenge made the claim fall; None where none did, or the court ended it."""
    return d.fall if isinstance(d.fall, ClaimFell) else None


def _challenge_outcome(d: Dispute, x: ChallengeRecord, record: JobRecord) -> str:
    if x.outcome is Outcome.DEFEATED:
        return "defeated: the challenger ran out of time"
    if d.fall is None:
        return "live" if record.live else record.status.name.lower()
    bond = "bond back" if x.outcome is Outcome.COLLECTED else "bond to collect"
    fell = fall_of(d)
    if fell is None:
        return f"the court ended the claim; {bond}"
    by = "it made the claim fall" if fell.number == x.number else "the claim fell by another"
    return f"{by}; {bond}"


def _outcome(d: Dispute, record: JobRecord, attempt: Attempt) -> str:
    fell = fall_of(d)
    if fell is not None:
        return f"the claim fell to challenge {fell.number}: {FAULTS[fell.fault]}"
    if attempt.fault is not None:
        return f"the claim was rejected: {FAULTS[attempt.fault]}"
    if record.status is JobStatus.FINALIZED:
        return "the result stands" + (": every challenge was defeated" if d.challenges else "")
    live = [x for x in d.challenges if x.outcome is Outcome.LIVE]
    if not record.live:
        return f"the job was {record.status.name.lower()}"
    if not d.challenges:
        return "nobody challenged the result so far"
    if live:
        return f"{len(live)} of {len(d.challenges)} challenges are live"
    return "every challenge was defeated; others may still come"


def roles_of(view: DisputeView, who: bytes) -> str:
    """Who an account is in a dispute, with its challenges' numbers."""
    party = view.parties.of(who)
    name = party.name.lower()
    return name if party is not Party.CHALLENGER else f"{name} {_numbers(view.dispute.of(who))}"


def _numbers(challenges: Sequence[ChallengeRecord]) -> str:
    numbers = [str(x.number) for x in challenges]
    return ", ".join(numbers[:3]) + ("…" if len(numbers) > 3 else "")
