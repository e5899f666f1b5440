"""What the agent does next: a pure function of what it sees on chain at one block.

Work in hand comes first (an accepted job must be committed in time), then money that is due, then
new work.  One job at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from protocol.chain.book import JobRecord
from protocol.spec.job import GasSchedule, JobStatus
from provider.policy import Rules, Standing, judge_terms


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a job was not taken, ``times`` in a row; it is looked at again once the chain's time is
    past ``until``."""

    reason: str
    until: int
    times: int = 1


@dataclass(frozen=True, slots=True)
class Sight:
    """What the agent knows at one block.

    ``time`` is the time a transaction sent now would run at.  ``jobs`` are all live jobs.
    ``credits`` are tokens and wei that could be withdrawn, by contract name.  ``failed`` are
    accepted jobs that this machine turned out to be unable to run, or to run in time.
    """

    time: int
    me: Standing
    jobs: tuple[JobRecord, ...]
    credits: Mapping[str, tuple[int, int]]
    refused: Mapping[bytes, Refusal]
    failed: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Finish:
    """Run a job that is mine and commit its result."""

    job: JobRecord


@dataclass(frozen=True, slots=True)
class Miss:
    """Give up an accepted job of mine whose time is over: no commit would be taken."""

    job: JobRecord


@dataclass(frozen=True, slots=True)
class Settle:
    """Finalize a job of mine that nobody finalized."""

    job: JobRecord


@dataclass(frozen=True, slots=True)
class Collect:
    """Withdraw credits from one contract."""

    contract: str
    token: int
    native: int


@dataclass(frozen=True, slots=True)
class Take:
    """Fetch and check an open job, accept it if it suits, then run it."""

    job: JobRecord


@dataclass(frozen=True, slots=True)
class Refuse:
    """Remember that a job does not suit, from its terms alone."""

    job: JobRecord
    reason: str


Action = Finish | Miss | Settle | Collect | Take | Refuse


@dataclass(frozen=True, slots=True)
class Habits:
    """Times in seconds, amounts in the smallest units.

    ``settle_after`` lets keepers finalize first; credits are withdrawn from ``collect_token`` on
    (0: never).
    """

    settle_after: int = 30
    collect_token: int = 0
    recheck_seconds: int = 300


def decide(sight: Sight, schedule: GasSchedule, rules: Rules, habits: Habits) -> list[Action]:
    """Actions in the order they are to be done; at most one of Finish and Take."""
    mine = [job for job in sight.jobs if job.provider == sight.me.address]
    accepted = [
        job for job in mine if job.status is JobStatus.ACCEPTED and job.job not in sight.failed
    ]
    running = [job for job in accepted if sight.time <= job.clock]
    actions: list[Action] = [Miss(job) for job in accepted if sight.time > job.clock]
    if running:
        return [*actions, Finish(min(running, key=lambda j: j.clock))]
    actions += [
        Settle(job)
        for job in mine
        if job.status is JobStatus.COMMITTED
        and job.holds == 0
        and sight.time > job.clock + habits.settle_after
    ]
    for name, (token, native) in sorted(sight.credits.items()):
        if habits.collect_token and token >= habits.collect_token:
            actions.append(Collect(name, token, native))
    return actions + _new_work(sight, schedule, rules)


def _new_work(sight: Sight, schedule: GasSchedule, rules: Rules) -> list[Action]:
    """The best open job that the terms allow, and those to be refused."""
    refusals: list[Action] = []
    fit: list[JobRecord] = []
    for job in sight.jobs:
        if job.status is not JobStatus.OPEN or sight.time > job.clock:
            continue
        known = sight.refused.get(job.job)
        if known is not None and sight.time <= known.until:
            continue
        me = replace(sight.me, lost_before=job.lost(sight.me.address))
        reason = judge_terms(job.terms.task, job.terms.deal, me, schedule, rules)
        if reason is None:
            fit.append(job)
        else:
            refusals.append(Refuse(job, reason))
    if not fit:
        return refusals
    return [*refusals, Take(max(fit, key=_worth))]


def _worth(job: JobRecord) -> tuple[float, int, bytes]:
    """Price per declared work; then the older job; the hash breaks ties."""
    deal = job.terms.deal
    return deal.price_ceiling / max(1, deal.work_ms), -job.posted.block, job.job
