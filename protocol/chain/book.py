"""What events mean: jobs, attempts, providers; disputes about claims and demands.  Pure.

The events of a block range, in order, give the state of every job at the end of that range
(``Book.apply``); ``Book.rolled_back`` gives an earlier state again.  A differential test compares
each state with the contracts' own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import ClassVar

from protocol.chain import demands, disputes
from protocol.chain.demands import DemandEvent, Docket
from protocol.chain.disputes import ClaimEnded, ClaimEvent, ClaimFell, Dispute, GameEvent
from protocol.chain.event import Event as Event
from protocol.chain.event import HistoryBroken as HistoryBroken
from protocol.chain.event import Place as Place
from protocol.spec.job import MAX_PHASES, Fault, JobStatus, JobTerms, Payout, unpack_steps


@dataclass(frozen=True)
class JobEvent(Event):
    """An event of one job."""

    job: bytes


@dataclass(frozen=True)
class Posted(JobEvent):
    client: bytes
    terms: JobTerms
    locators: bytes


@dataclass(frozen=True)
class Accepted(JobEvent):
    provider: bytes
    attempt: int
    run_until: int


@dataclass(frozen=True)
class Committed(JobEvent):
    claim: bytes
    provider: bytes
    result_root: bytes
    window_until: int
    locators: bytes


@dataclass(frozen=True)
class Finalized(JobEvent):
    provider: bytes
    caller: bytes
    price: int


@dataclass(frozen=True)
class Refunded(JobEvent):
    client: bytes
    price: int


@dataclass(frozen=True)
class Cancelled(JobEvent):
    pass


@dataclass(frozen=True)
class AttemptLost(JobEvent):
    provider: bytes
    attempt: int
    fault: Fault
    open_until: int


@dataclass(frozen=True)
class Voided(JobEvent):
    provider: bytes
    to_provider: int
    payouts: tuple[Payout, ...]


@dataclass(frozen=True)
class ProvenIllegal(JobEvent):
    """The job is void; ``claim`` is its current claim, or zero.  ``kind`` as of ``Illegality``."""

    claim: bytes
    caller: bytes
    kind: int


@dataclass(frozen=True)
class HoldsChanged(JobEvent):
    claim: bytes
    holds: int


@dataclass(frozen=True)
class Registered(Event):
    provider: bytes
    capabilities: bytes
    delegate: bytes
    endpoint: bytes


@dataclass(frozen=True)
class Slashed(Event):
    provider: bytes
    fault: Fault
    token: int
    native: int
    burned: int
    payouts: tuple[Payout, ...]


@dataclass(frozen=True)
class Attempt:
    """One provider's try.  ``result_root``, ``claim`` and ``locators`` once it committed."""

    number: int
    provider: bytes
    accepted: Place
    run_until: int
    committed: Place | None = None
    result_root: bytes | None = None
    claim: bytes | None = None
    window_until: int = 0
    locators: bytes = b""
    fault: Fault | None = None


@dataclass(frozen=True)
class JobRecord:
    """All that events tell of one job.

    ``clock`` is what the state waits for (0 in final states); ``attempt`` counts from 0;
    ``holds`` are open challenges and demands; ``ended`` is where it became final.
    """

    job: bytes
    terms: JobTerms
    locators: bytes
    posted: Place
    status: JobStatus
    attempt: int
    clock: int
    holds: int = 0
    attempts: tuple[Attempt, ...] = ()
    ended: Place | None = None

    FINAL: ClassVar[frozenset[JobStatus]] = frozenset(
        {JobStatus.FINALIZED, JobStatus.REFUNDED, JobStatus.CANCELLED, JobStatus.VOIDED}
    )

    @property
    def live(self) -> bool:
        """Whether the job still moves."""
        return self.status not in self.FINAL

    @property
    def current(self) -> Attempt | None:
        """The running, committed or final attempt; None while the job is open."""
        if self.status in (JobStatus.ACCEPTED, JobStatus.COMMITTED, JobStatus.FINALIZED):
            return self.attempts[-1]
        return None

    @property
    def provider(self) -> bytes | None:
        """Who has the job now, or finished it."""
        return self.current.provider if self.current else None

    @property
    def result_root(self) -> bytes | None:
        """The committed root of the current claim, or of the final one."""
        return self.current.result_root if self.current else None

    def lost(self, provider: bytes) -> bool:
        """Whether ``provider`` lost an attempt and may not take the job again."""
        return any(a.provider == provider and a.fault is not None for a in self.attempts)


@dataclass(frozen=True)
class ProviderRecord:
    """A provider's latest entry in the registry."""

    provider: bytes
    capabilities: bytes
    delegate: bytes
    endpoint: bytes
    place: Place


def _last(record: JobRecord, **changes: object) -> tuple[Attempt, ...]:
    latest: Attempt = replace(record.attempts[-1], **changes)  # type: ignore[arg-type]
    return (*record.attempts[:-1], latest)


def step(record: JobRecord | None, event: JobEvent) -> JobRecord:
    """The job after one more event.  Raises HistoryBroken when the event cannot follow."""
    if isinstance(event, Posted):
        if record is not None:
            raise HistoryBroken(f"job 0x{event.job.hex()} is posted twice: read the logs again")
        clock = event.place.time + event.terms.deal.open_seconds
        return JobRecord(
            event.job, event.terms, event.locators, event.place, JobStatus.OPEN, 0, clock
        )
    if record is None:
        raise HistoryBroken(
            f"got {type(event).__name__} of job 0x{event.job.hex()}, which was never posted: "
            f"start from an earlier block"
        )
    if isinstance(event, Accepted):
        attempt = Attempt(event.attempt, event.provider, event.place, event.run_until)
        return replace(
            _of(record, event, JobStatus.OPEN),
            status=JobStatus.ACCEPTED,
            clock=event.run_until,
            attempts=(*record.attempts, attempt),
        )
    if isinstance(event, Committed):
        attempts = _last(
            _of(record, event, JobStatus.ACCEPTED),
            committed=event.place,
            result_root=event.result_root,
            claim=event.claim,
            window_until=event.window_until,
            locators=event.locators,
        )
        return replace(
            record, status=JobStatus.COMMITTED, clock=event.window_until, attempts=attempts
        )
    if isinstance(event, ProvenIllegal):
        # Why the job is void: its own event follows.
        return _of(record, event, JobStatus.OPEN, JobStatus.ACCEPTED, JobStatus.COMMITTED)
    if isinstance(event, HoldsChanged):
        return replace(_of(record, event, JobStatus.COMMITTED), holds=event.holds)
    if isinstance(event, AttemptLost):
        _of(record, event, JobStatus.ACCEPTED, JobStatus.COMMITTED)
        opens = event.open_until != 0
        return replace(
            record,
            status=JobStatus.OPEN if opens else JobStatus.REFUNDED,
            attempt=event.attempt + opens,
            clock=event.open_until,
            holds=0,
            attempts=_last(record, fault=event.fault),
            ended=None if opens else event.place,
        )
    return _end(record, event)


def _end(record: JobRecord, event: JobEvent) -> JobRecord:
    if isinstance(event, Finalized):
        status = JobStatus.FINALIZED
        _of(record, event, JobStatus.COMMITTED)
    elif isinstance(event, Refunded):
        status = JobStatus.REFUNDED
        _of(record, event, JobStatus.OPEN, JobStatus.REFUNDED)
    elif isinstance(event, Cancelled):
        status = JobStatus.CANCELLED
        _of(record, event, JobStatus.OPEN)
    else:
        status = JobStatus.VOIDED
        _of(record, event, JobStatus.OPEN, JobStatus.ACCEPTED, JobStatus.COMMITTED)
    return replace(record, status=status, clock=0, holds=0, ended=event.place)


def _of(record: JobRecord, event: JobEvent, *wanted: JobStatus) -> JobRecord:
    if record.status not in wanted:
        raise HistoryBroken(
            f"got {type(event).__name__} of job 0x{record.job.hex()}, which is "
            f"{record.status.name}; it follows {' or '.join(w.name for w in wanted)}: a node "
            f"left logs out, read them again"
        )
    return record


class Book:
    """Every job, provider, dispute and demand, from events in order."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.events: list[Event] = []
        self._jobs: dict[bytes, JobRecord] = {}
        self._providers: dict[bytes, ProviderRecord] = {}
        self._disputes: dict[bytes, Dispute] = {}
        self._dockets: dict[bytes, Docket] = {}
        self._claims: dict[bytes, bytes] = {}
        self._fallen: set[bytes] = set()
        self.apply(events)

    @property
    def jobs(self) -> Mapping[bytes, JobRecord]:
        """Records by job hash, oldest first."""
        return self._jobs

    @property
    def providers(self) -> Mapping[bytes, ProviderRecord]:
        """Registered providers by address, oldest first."""
        return self._providers

    @property
    def disputes(self) -> Mapping[bytes, Dispute]:
        """Claims that were ever challenged, by claim, oldest first."""
        return self._disputes

    @property
    def dockets(self) -> Mapping[bytes, Docket]:
        """Claims of which data was ever demanded, by claim, oldest first."""
        return self._dockets

    @property
    def claims(self) -> Mapping[bytes, bytes]:
        """Job hash of every claim that was ever committed."""
        return self._claims

    @property
    def fallen(self) -> AbstractSet[bytes]:
        """Claims that game or court ended: bonds and fees come back."""
        return self._fallen

    def standing(self) -> list[tuple[JobRecord, Dispute]]:
        """Disputes of claims that are committed and not rejected, with their jobs."""
        return [
            (record, dispute)
            for dispute in self._disputes.values()
            if (record := self._jobs[dispute.job]).status is JobStatus.COMMITTED
            and record.attempts[-1].claim == dispute.claim
            and not dispute.over
        ]

    def apply(self, events: Iterable[Event]) -> None:
        """Takes later events.  Raises HistoryBroken; what came before it is kept."""
        for event in events:
            if isinstance(event, JobEvent):
                self._jobs[event.job] = step(self._jobs.get(event.job), event)
                if isinstance(event, Committed):
                    self._claims[event.claim] = event.job
            elif isinstance(event, ClaimEvent):
                self._follow(event)
            elif isinstance(event, DemandEvent):
                docket = self._dockets.get(event.claim)
                if docket is None:
                    docket = Docket(event.claim, self._job_of(event.claim, event))
                self._dockets[event.claim] = demands.follow(docket, event)
            elif isinstance(event, Registered):
                self._providers[event.provider] = ProviderRecord(
                    event.provider, event.capabilities, event.delegate, event.endpoint, event.place
                )
            self.events.append(event)

    def _follow(self, event: ClaimEvent) -> None:
        if isinstance(event, ClaimFell | ClaimEnded):
            self._fallen.add(event.claim)
        dispute = self._disputes.get(event.claim)
        if dispute is None and not isinstance(event, GameEvent):
            return  # the court ended a claim that nobody challenged
        if dispute is None:
            dispute = self._begin(event)
        self._disputes[event.claim] = disputes.follow(dispute, event)

    def _job_of(self, claim: bytes, event: Event) -> bytes:
        job = self._claims.get(claim)
        if job is None:
            raise HistoryBroken(
                f"got {type(event).__name__} of claim 0x{claim.hex()}, which was never "
                f"committed: start from an earlier block"
            )
        return job

    def _begin(self, event: ClaimEvent) -> Dispute:
        job = self._job_of(event.claim, event)
        terms, attempts = self._jobs[job].terms, self._jobs[job].attempts
        attempt = next(a for a in attempts if a.claim == event.claim)
        leaves = 1 + sum(unpack_steps(terms.task.steps, MAX_PHASES))
        root = attempt.result_root or bytes(32)
        return disputes.begin(event, job, attempt.number, attempt.provider, root, leaves)

    def rolled_back(self, block: int) -> Book:
        """A new book without what happened after block number ``block``."""
        return Book([event for event in self.events if event.place.block <= block])
