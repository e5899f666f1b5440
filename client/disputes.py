"""Disputes about a job as people and scripts see them: read from the chain, told in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from client.descent import Finding, Known, Leg, finding, legs, move_text, turn_text
from client.job_errors import UnknownJob
from client.jobs import Client
from client.spoils import FAULTS, Costs, Line, Parties, Party, costs, money, slash_of
from client.turns import seconds_left
from protocol.chain.book import Attempt, Book, JobRecord
from protocol.chain.disputes import ChallengeRecord, ClaimFell, Dispute, Move
from protocol.chain.errors import Reorganised
from protocol.chain.receipts import Sent, sent
from protocol.chain.state import Snapshot
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
class DisputeView:
    """The dispute about one attempt at a job."""

    dispute: Dispute
    record: JobRecord
    attempt: Attempt
    outcome: str
    challenges: tuple[ChallengeView, ...]
    money: tuple[Line, ...]
    costs: tuple[Costs, ...]
    parties: Parties

    @property
    def live(self) -> bool:
        """Whether a challenge of a standing claim still moves."""
        return any(x.turn is not None for x in self.challenges)

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
        return max(self.at.timestamp, self.at.next_timestamp)


# --- from the chain ------------------------------------------------------------------------------


def disputes_of(book: Book, job: bytes, attempt: int | None = None) -> list[Dispute]:
    """Disputes about a job, or about one attempt at it (from 0)."""
    return [
        d for d in book.disputes.values()
        if d.job == job and attempt in (None, d.attempt)
    ]  # fmt: skip


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
        views = []
        for d in disputes_of(book, self.job, attempt):
            moves = [move for x in d.challenges for move in x.moves]
            made = sent(chain, (move.event.place.tx for move in moves))
            live = [x.number for x in d.challenges if x.outcome is Outcome.LIVE]
            numbers = live if (record, d) in book.standing() else []
            turns = chain.turns_of([(d.claim, n) for n in numbers], at) if numbers else []
            views.append(self._view(d, book, made, dict(zip(numbers, turns, strict=True))))
        return Disputed(record, at, tuple(views))

    def _book(self) -> tuple[Book, Snapshot]:
        book, at = self.client.book()
        if self.job not in book.jobs:
            raise UnknownJob(f"job 0x{self.job.hex()} was undone by a reorg: post it again")
        return book, at

    def _view(
        self, d: Dispute, book: Book, made: Mapping[bytes, Sent], turns: Turns
    ) -> DisputeView:
        entry = book.providers.get(d.provider)
        game, delegate = self.client.chain.deployment.game, entry.delegate if entry else b""
        return dispute_view(d, book, made, turns, game, delegate, self.known, self.why)

    def follow(self, attempt: int | None, now: Disputed) -> Iterator[Disputed]:
        """What is after each change from ``now`` on, until nothing disputed moves any more, or the
        job has ended.  Raises as ``read``, and Interrupted when a stop is asked for."""
        while now.record.live and (not now.disputes or any(v.live for v in now.disputes)):
            self.client.chain.rpc.pause(self.client.chain.config.poll_seconds)
            book, _ = self._book()
            told = [view.dispute for view in now.disputes]
            if (book.jobs[self.job], disputes_of(book, self.job, attempt)) != (now.record, told):
                now = self.read(attempt)
                yield now


# --- in words: pure ------------------------------------------------------------------------------


def dispute_view(
    d: Dispute,
    book: Book,
    made: Mapping[bytes, Sent],
    turns: Turns,
    game: bytes,
    delegate: bytes,
    known: Known | None,
    why: str,
) -> DisputeView:
    """A dispute as it is seen.  ``made`` are the transactions of its moves, by hash."""
    record = book.jobs[d.job]
    attempt, fell = record.attempts[d.attempt], fall_of(d)
    deal = record.terms.deal
    callers = {tx: one.sender if one.to == game else one.to for tx, one in made.items()}
    challengers = frozenset(x.challenger for x in d.challenges)
    parties = Parties(d.provider, deal.client, challengers, delegate)
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
    lines = money(d, deal, slash_of(book.events, d), callers)
    return DisputeView(
        d, record, attempt, _outcome(d, record, attempt), tuple(challenges), tuple(lines),
        tuple(costs(made.values(), parties)), parties,
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
        return "the result stands: every challenge was defeated"
    live = [x for x in d.challenges if x.outcome is Outcome.LIVE]
    if not record.live:
        return f"the job was {record.status.name.lower()}"
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
