"""What people and scripts see of jobs and providers: plain frozen data, and words for it.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from protocol.chain.book import Attempt, JobRecord, ProviderRecord
from protocol.chain.state import ProviderState, Snapshot
from protocol.spec.job import GasSchedule, JobStatus, bounty_of, lock_of

NEXT = {
    JobStatus.OPEN: "waits for a provider",
    JobStatus.ACCEPTED: "a provider computes",
    JobStatus.COMMITTED: "can be challenged",
}
"""What a live job does while its clock runs."""

OVERDUE = {
    JobStatus.OPEN: "nobody took it: anybody may refund it",
    JobStatus.ACCEPTED: "its provider is late: anybody may slash it and open the job again",
    JobStatus.COMMITTED: "the result stands: anybody may finalize it",
}
"""What is due once the clock is over."""

ENDED = {
    JobStatus.FINALIZED: "done: the provider is paid",
    JobStatus.REFUNDED: "no result: the price went back to the client",
    JobStatus.CANCELLED: "taken back by the client",
    JobStatus.VOIDED: "its program was proven illegal: the client paid",
}
"""What became of a job."""


@dataclass(frozen=True)
class JobView:
    """One job at one block.  Money in smallest units, times in the chain's seconds.

    ``clock`` is 0 in final states; ``seconds_left`` is negative when the clock is over and
    somebody's call is due; ``next`` says in words what the job waits for, or what became of it.
    """

    record: JobRecord
    time: int
    bounty: int
    lock_token: int
    lock_native: int

    @property
    def job(self) -> bytes:
        """The job hash."""
        return self.record.job

    @property
    def status(self) -> JobStatus:
        """Where the job is."""
        return self.record.status

    @property
    def price(self) -> int:
        """Tokens."""
        return self.record.terms.deal.price_ceiling

    @property
    def seconds_left(self) -> int | None:
        """Until the clock is over; None in final states."""
        return self.record.clock - self.time if self.record.live else None

    @property
    def next(self) -> str:
        """What the job waits for, in words."""
        record = self.record
        if not record.live:
            return ENDED[record.status]
        if record.holds and record.status is JobStatus.COMMITTED:
            return f"{record.holds} challenges or demands are open"
        return (NEXT if record.clock >= self.time else OVERDUE)[record.status]

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every provider's try so far."""
        return self.record.attempts


def job_view(record: JobRecord, at: Snapshot, schedule: GasSchedule) -> JobView:
    """A job as it is at block ``at``."""
    token, native = lock_of(record.terms.deal, schedule)
    time = at.next_timestamp
    return JobView(record, time, bounty_of(record.terms.deal, schedule), token, native)


@dataclass(frozen=True)
class ProviderView:
    """One provider: its latest entry in the registry, and its money and record at one block."""

    record: ProviderRecord
    state: ProviderState


def utc(seconds: int) -> str:
    """A time of the chain (seconds since 1970) as people write it."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"second {seconds}"
