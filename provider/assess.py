"""What a job asks of this machine: memory, time for its run, time for answers to challengers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from protocol.chain.book import JobRecord
from protocol.spec.dispute import clock_of
from protocol.spec.errors import AssayError
from protocol.spec.job import Deal, trace_seconds
from protocol.spec.types import Program
from protocol.spec.workload import Rate, data_of, pieces_of, shelf_bytes, work_of
from provider import telemetry
from provider.policy import Duty, Rules, judge_duties, judge_program, judge_tables

Fetch = Callable[[JobRecord], tuple[Program, tuple[int, ...]]]
"""The program of a job that was taken, and its steps; from the cache, where it is held."""


class Unsuitable(AssayError):
    """A program is legal, and not for this provider."""


class Assessor:
    """Judges jobs by what this machine can do; remembers what those that it took ask of it."""

    def __init__(
        self, rules: Rules, threads: int | None, fetch: Fetch,
        disk_free: Callable[[], int | None] = lambda: None,
    ) -> None:  # fmt: skip
        self.rules = rules
        self.rate = Rate(1.0, 1.0)
        self._threads = threads
        self._fetch = fetch
        self._disk_free = disk_free
        self._duties: dict[bytes, Duty] = {}

    def assess(
        self, job: JobRecord, program: Program, steps: tuple[int, ...], mine: Sequence[JobRecord],
        block_seconds: int = 0,
    ) -> float:  # fmt: skip
        """Seconds that a run of the job takes here.  ``mine`` are the unsettled jobs of this
        provider; a block takes ``block_seconds``.

        Raises Unsuitable if the rules forbid the job.
        """
        reason = judge_tables(program, self.rules)
        if reason is not None:
            raise Unsuitable(reason)
        deal, work = job.terms.deal, work_of(program, steps)
        seconds, duty = self.rate.seconds(work), duty_of(deal, self.rate, program, steps)
        reading = telemetry.read()
        threads = self._threads or reading.processors
        others = [self._duty(x) for x in mine if x.job != job.job]
        reason = judge_program(
            deal, work, seconds, duty.seconds, self.rules, reading.memory_free, threads,
            block_seconds,
        ) or judge_duties(
            duty, others, self.rules, block_seconds, self._disk_free()
        )  # fmt: skip
        if reason is not None:
            raise Unsuitable(reason)
        self._duties[job.job] = duty
        return seconds

    def keep_only(self, jobs: Sequence[bytes]) -> None:
        """Forgets all but these."""
        for job in set(self._duties) - set(jobs):
            del self._duties[job]

    def _duty(self, job: JobRecord) -> Duty:
        """After a restart the program is looked at again."""
        if job.job not in self._duties:
            deal = job.terms.deal
            try:
                self._duties[job.job] = duty_of(deal, self.rate, *self._fetch(job))
            except AssayError:
                return declared(deal)
        return self._duties[job.job]


def duty_of(deal: Deal, rate: Rate, program: Program, steps: tuple[int, ...]) -> Duty:
    """Of a job at the rate of this machine."""
    return _duty(
        deal,
        rate.trace_seconds(work_of(program, steps)),
        max(map(rate.trace_seconds, pieces_of(program, steps))),
        rate.trace_seconds(data_of(program)),
        shelf_bytes(program, steps),
    )


def declared(deal: Deal) -> Duty:
    """Of a job whose program cannot be had now: what the terms declare, for the trace as for any
    part of it."""
    work = deal.work_ms / 1000
    return _duty(deal, work, work, work)


def _duty(deal: Deal, seconds: float, piece: float, data: float, disk: int = 0) -> Duty:
    opening = trace_seconds(deal.work_ms) + deal.move_seconds
    return Duty(seconds, clock_of(deal), opening, piece, data, deal.move_seconds, disk)
