"""A job on its way, told line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

import pytest

from assay import following
from client.jobs import Client
from client.views import JobView
from protocol.chain.book import Attempt, JobRecord
from protocol.chain.event import Place
from protocol.spec.job import Fault, JobStatus, JobTerms
from tests.provider.test_policy import DEAL, TASK

PROVIDER = b"\x22" * 20
HERE = Place(1, 0, bytes(32), bytes(32), 1_000)


def view(status: JobStatus, *attempts: Attempt, clock: int = 1_600) -> JobView:
    record = JobRecord(b"\x11" * 32, JobTerms(TASK, DEAL), b"", HERE, status, 0, clock, 0, attempts)
    return JobView(record, 1_000, 0, 0, 0)


TRY = Attempt(0, PROVIDER, HERE, 1_100)


@pytest.mark.parametrize(
    "status, acts",
    [
        (JobStatus.ACCEPTED, True), (JobStatus.COMMITTED, True), (JobStatus.FINALIZED, False),
        (JobStatus.REFUNDED, False), (JobStatus.OPEN, False),
    ],
)  # fmt: skip
def test_line__the_provider__is_named_only_for_what_it_did_itself(
    status: JobStatus, acts: bool
) -> None:
    said = following.line(view(status, TRY))
    assert (" by 0x2222" in said) is acts
    assert said.startswith(status.name.lower())


def test_line__an_open_job__says_what_providers_do_before_they_take_it() -> None:
    assert "fetch program, weights and inputs" in following.line(view(JobStatus.OPEN))
    assert "fetch" not in following.line(view(JobStatus.OPEN, clock=900))


def test_line__a_lost_attempt__says_why() -> None:
    lost = replace(TRY, fault=Fault.LATE)
    assert "the last provider lost it: late" in following.line(view(JobStatus.OPEN, lost))


def test_follow__where_nothing_changes__says_so_from_time_to_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 0.0

    class Quiet:
        """A client of a job that is taken after a minute."""

        def follow(
            self, job: bytes, until: frozenset[JobStatus], waiting: Callable[[JobView], None]
        ) -> Iterator[JobView]:
            nonlocal now
            open_ = view(JobStatus.OPEN)
            yield open_
            for _ in range(60):
                now += 1
                waiting(replace(open_, time=1_000 + int(now)))
            yield view(JobStatus.FINALIZED, TRY)

    client = cast(Client, Quiet())
    assert following.follow(client, b"", clock=lambda: now).status is JobStatus.FINALIZED
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "open", "still open after 15 s", "still open after 30 s", "still open after 45 s",
        "still open after 60 s", "finalized",
    ]  # fmt: skip
    assert "585 s left" in lines[1] or "10 min left" in lines[1]
