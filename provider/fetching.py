"""Fetches what jobs are made of, as long as no clock of this provider is at stake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from protocol.chain.book import JobRecord
from protocol.spec.job import JobStatus, unpack_steps
from protocol.spec.types import Program
from protocol.storage.cache import Cache
from protocol.storage.jobs import JobData, Judge, fetch_job, fetch_program
from protocol.storage.locators import JobLocators
from protocol.storage.store import Store
from provider.policy import Rules
from provider.progress import Glance


@dataclass(frozen=True)
class Fetcher:
    """``seconds`` bound the fetching of one job, ``mine`` are the live jobs of this provider,
    ``glance`` lets other things pass meanwhile."""

    store: Store
    cache: Cache
    rules: Rules
    seconds: float
    mine: Callable[[], Sequence[JobRecord]]
    glance: Callable[[], Glance]

    def data(self, job: JobRecord, judge: Judge | None = None) -> JobData:
        """Program, constants and inputs, checked against the terms."""
        return fetch_job(
            self.store,
            self.cache,
            job.terms.task,
            JobLocators.decode(job.locators),
            max_bytes=self.rules.max_memory,
            max_program=self.rules.max_program,
            judge=judge,
            progress=self.glance(),
            timeout=self._patience(),
        )

    def program(self, job: JobRecord) -> tuple[Program, tuple[int, ...]]:
        """The program alone, of a job that was taken, and its steps."""
        task, locators = job.terms.task, JobLocators.decode(job.locators)
        program = fetch_program(
            self.store, self.cache, locators, task.program_root, self._patience(),
            self.rules.max_program,
        )  # fmt: skip
        return program, unpack_steps(task.steps, len(program.phases))

    def _patience(self) -> float:
        """Seconds to wait for one job's data.  While claims of mine can be challenged no fetch may
        cost me a clock: strangers' jobs may trickle."""
        moves = [
            job.terms.deal.move_seconds
            for job in self.mine()
            if job.status is JobStatus.COMMITTED
        ]
        return min([self.seconds, *(max(5.0, m / 2) for m in moves)])
