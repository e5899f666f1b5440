"""Demands for data, from the side that asks: what one takes, opening it, and what becomes of it.

A piece of a claim is demanded once, by whoever pays first, and its answer is everybody's.
"""

from __future__ import annotations

from dataclasses import dataclass

from client.demanded import missing_text, outcome_text, piece_of, text_of
from client.job_errors import CannotDemand, NotAnswered, NotFinished
from client.jobs import Client
from client.views import utc
from protocol.chain.amounts import exactly
from protocol.chain.book import Attempt, Book, JobRecord
from protocol.chain.contracts import answer_of
from protocol.chain.court_reverts import DemandedBefore
from protocol.chain.demands import DemandRecord, Docket
from protocol.chain.errors import InsufficientFunds
from protocol.chain.flights import Outcome
from protocol.chain.reverts import TooLate, WrongClaim, WrongStatus
from protocol.chain.state import Snapshot
from protocol.spec import legality
from protocol.spec.answers import Part
from protocol.spec.demands import DemandState, fee_of
from protocol.spec.errors import IllegalProgram
from protocol.spec.job import JobStatus
from protocol.storage.errors import StorageError

PROGRAM_SECONDS = 20.0
"""How long the program may take to come, only to see whether a place exists."""


@dataclass(frozen=True)
class Asked:
    """One demand at one block.  ``ended``: its claim takes no answers any more."""

    record: JobRecord
    attempt: Attempt
    docket: Docket
    demand: DemandRecord
    ended: bool
    time: int

    @property
    def overdue(self) -> bool:
        """Whether the provider was silent until its clock ran out, and the claim still stands."""
        waits = self.demand.state is DemandState.OPEN and not self.ended
        return waits and self.time > self.demand.deadline

    @property
    def waits(self) -> bool:
        """Whether the provider may still answer."""
        return self.demand.state is DemandState.OPEN and not self.ended and not self.overdue

    @property
    def outcome(self) -> str:
        """What became of it, in words."""
        if self.overdue:
            return "not answered in time: anybody may end the claim now (a keeper does)"
        return outcome_text(self.demand, self.docket, self.ended)

    @property
    def piece(self) -> bytes | None:
        """What its answer shows, empty where there is no such thing; None without an answer."""
        d = self.demand
        if d.answer is None:
            return None
        return piece_of(d.part, answer_of(d.part, d.answer.proof)) if d.answer.shown else b""

    def check(self) -> None:
        """Raises NotAnswered where no answer can come any more."""
        if self.demand.answer is not None or self.waits:
            return
        back = self.ended and self.demand.state is DemandState.OPEN
        raise NotAnswered(
            f"demand {self.demand.number}, due until {utc(self.demand.deadline)}: {self.outcome}"
            f"{' (`assay keeper --once` by who paid it)' if back else ''}"
        )


class Demander:
    """Demands one place of a job's newest claim."""

    def __init__(
        self, client: Client, job: bytes, part: Part, item: int = 0, index: int = 0
    ) -> None:
        self.client, self.job, self.place = client, job, (part, item, index)

    def find(self) -> Asked | None:
        """The demand for this place, whoever opened it.  Raises UnknownJob."""
        self.client.record(self.job)
        book, at = self.client.book()
        attempts = book.jobs[self.job].attempts
        return self._asked(book, at, attempts[-1]) if attempts else None

    def _asked(self, book: Book, at: Snapshot, attempt: Attempt) -> Asked | None:
        docket = book.dockets.get(attempt.claim) if attempt.claim is not None else None
        demand = None if docket is None else docket.at(*self.place)
        if docket is None or demand is None:
            return None
        record = book.jobs[self.job]
        attempt = record.attempts[attempt.number]
        ended = attempt.fault is not None or not record.live or attempt.claim in book.fallen
        return Asked(record, attempt, docket, demand, ended, at.next_timestamp)

    def check(self) -> int:
        """The fee, in wei, of what can be demanded now.

        Raises UnknownJob; NotFinished before there is a claim; CannotDemand after its window, for
        a place that cannot be, or that is not in the program where that can be had;
        InsufficientFunds; WalletError.
        """
        record, at = self.client.record(self.job)
        name = f"job 0x{self.job.hex()}"
        if record.status in (JobStatus.OPEN, JobStatus.ACCEPTED):
            raise NotFinished(f"{name} is {record.status.name.lower()}: data can be demanded once "
                              f"a provider has committed a result: wait")  # fmt: skip
        if record.status is not JobStatus.COMMITTED:
            raise CannotDemand(f"{name} was {record.status.name.lower()}: data can be demanded "
                               f"only from commit to the end of the window")  # fmt: skip
        until = record.attempts[-1].window_until
        if at.next_timestamp > until:
            raise CannotDemand(f"the window of {name} ended at {utc(until)}: nobody has to show "
                               f"its data any more")  # fmt: skip
        if not self.client.chain.has_court:
            raise CannotDemand("this market has no court: no data can be demanded on it")
        missing = missing_text(*self.place) or self._missing(record)
        if missing:
            raise CannotDemand(f"{missing}: name another place, nothing was paid")
        fee, me = fee_of(record.terms.deal), self.client.sender.address
        has = self.client.balances().native
        if has <= fee:
            raise InsufficientFunds(
                f"0x{me.hex()} has {exactly(has)}, the fee of a demand is {exactly(fee)} beside "
                f"gas: send it {exactly(fee - has)} more, and a little"
            )
        return fee

    def _missing(self, record: JobRecord) -> str:
        """Why the job's program has no such place; empty where it has, or cannot be had."""
        part, item, index = self.place
        if not item and not index and part in (Part.HEADER, Part.OUTPUT):
            return ""  # every legal program has them
        try:
            program = self.client.program(record, PROGRAM_SECONDS)
            legality.check(program)
        except (StorageError, IllegalProgram):
            return ""  # the answer will say
        return missing_text(part, item, index, program)

    def open(self) -> tuple[Asked, Outcome]:
        """Demands it, unless somebody did before, in which case nothing is paid.

        Raises as ``check``, and what ``Sender.send`` raises.
        """
        fee = self.check()
        record, _ = self.client.record(self.job)
        attempt = record.attempts[-1]
        if attempt.claim is None:
            raise self._late("its claim is gone")
        call = self.client.chain.contracts.court.demand(
            record.terms, attempt.claim, *self.place, fee
        )
        try:
            outcome = self.client.sender.send(
                call, already=lambda refusal: isinstance(refusal, DemandedBefore)
            )
        except (TooLate, WrongStatus, WrongClaim) as error:
            raise self._late(str(error)) from error
        asked = self._asked(*self.client.book(), attempt)
        if asked is None:
            raise self._undone()
        return asked, outcome

    def follow(self, now: Asked) -> Asked:
        """The demand when it is answered, or when no answer can come any more.

        Raises CannotDemand when a reorg undid it, Interrupted when a stop is asked for,
        NodeUnavailable.
        """
        while now.waits:
            self.client.chain.rpc.pause(self.client.chain.config.poll_seconds)
            found = self._asked(*self.client.book(), now.attempt)
            if found is None:
                raise self._undone()
            now = found
        return now

    def _late(self, why: str) -> CannotDemand:
        return CannotDemand(f"job 0x{self.job.hex()} moved on meanwhile, and nothing was paid "
                            f"({why}): see assay status")  # fmt: skip

    def _undone(self) -> CannotDemand:
        what = text_of(*self.place)
        return CannotDemand(f"the demand for {what} was undone by a reorg: demand it again")


def hint(client: Client, job: bytes) -> str:
    """What can be done about data that does not come; empty where nothing can."""
    record, at = client.record(job)
    if record.status is not JobStatus.COMMITTED or not client.chain.has_court:
        return ""
    until = record.attempts[-1].window_until
    if at.next_timestamp > until:
        return ""
    return (f"until {utc(until)} `assay demand 0x{job.hex()[:10]}` makes the provider show it, or "
            f"lose its stake")  # fmt: skip
