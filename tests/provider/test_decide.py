"""The agent's decisions, without chain, clock or files; and results that survive a crash."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.chain.book import Attempt, JobRecord, Place
from protocol.spec.job import Fault, JobStatus, JobTerms
from protocol.spec.types import Array, DType, TensorDecl
from protocol.storage.errors import StorageError
from provider.decide import (
    Collect,
    Finish,
    Habits,
    Miss,
    Refusal,
    Refuse,
    Settle,
    Sight,
    Take,
    decide,
)
from provider.policy import Rules
from provider.results import Results
from tests.provider.test_policy import DEAL, ME, SCHEDULE, TASK

HABITS = Habits()
OTHER = b"\2" * 20


def place(block: int) -> Place:
    return Place(block, 0, bytes(32), bytes(32), 1000 + block)


def job(name: int, **changes: Any) -> JobRecord:
    made = JobRecord(
        job=bytes([name]) * 32,
        terms=JobTerms(TASK, DEAL),
        locators=b"",
        posted=place(name),
        status=JobStatus.OPEN,
        attempt=0,
        clock=5000,
    )
    return replace(made, **changes)


def held(name: int, provider: bytes, status: JobStatus, clock: int, **changes: Any) -> JobRecord:
    attempt = Attempt(0, provider, place(name), clock)
    return job(name, status=status, clock=clock, attempts=(attempt,), **changes)


def sight(*jobs: JobRecord, **changes: Any) -> Sight:
    made = Sight(time=2000, me=ME, jobs=jobs, credits={}, refused={})
    return replace(made, **changes)


def actions(s: Sight, habits: Habits = HABITS) -> list[object]:
    return list(decide(s, SCHEDULE, Rules(), habits))


def test_decide__nothing_there__does_nothing() -> None:
    assert actions(sight()) == []


def test_decide__open_jobs__takes_the_best_paid_one() -> None:
    deal = replace(DEAL, price_floor=60, price_ceiling=60, stake_bps=1)
    rich = job(2, terms=JobTerms(TASK, deal))
    assert actions(sight(job(1), rich, job(3))) == [Take(rich)]


def test_decide__equal_jobs__takes_the_older() -> None:
    assert actions(sight(job(3), job(1))) == [Take(job(1))]


def test_decide__accepted_job_of_mine__comes_before_new_work() -> None:
    mine = held(1, ME.address, JobStatus.ACCEPTED, 2000)
    sooner = held(3, ME.address, JobStatus.ACCEPTED, 2000 - 0)
    assert actions(sight(mine, job(2))) == [Finish(mine)]
    later = held(4, ME.address, JobStatus.ACCEPTED, 4000)
    assert actions(sight(later, sooner)) == [Finish(sooner)]


def test_decide__accepted_job_past_its_clock__is_given_up_once() -> None:
    late = held(1, ME.address, JobStatus.ACCEPTED, 1999)
    mine = held(3, ME.address, JobStatus.ACCEPTED, 2000)
    assert actions(sight(late)) == [Miss(late)]
    assert actions(sight(late, mine)) == [Miss(late), Finish(mine)]
    assert actions(sight(late, failed=frozenset({late.job}))) == []


def test_decide__accepted_job_that_cannot_run_here__does_not_stop_other_work() -> None:
    broken = held(1, ME.address, JobStatus.ACCEPTED, 4000)
    assert actions(sight(broken, job(2), failed=frozenset({broken.job}))) == [Take(job(2))]


def test_decide__job_of_another__is_left_alone() -> None:
    assert actions(sight(held(1, OTHER, JobStatus.ACCEPTED, 3000))) == []
    assert actions(sight(held(1, OTHER, JobStatus.COMMITTED, 100))) == []


def test_decide__window_long_over__settles_unless_held() -> None:
    over = held(1, ME.address, JobStatus.COMMITTED, 2000 - HABITS.settle_after - 1)
    assert actions(sight(over)) == [Settle(over)]
    assert actions(sight(replace(over, clock=2000 - HABITS.settle_after))) == []
    assert actions(sight(replace(over, holds=1))) == []


def test_decide__job_lost_before__is_refused_with_the_reason() -> None:
    attempt = Attempt(0, ME.address, place(1), 1500, fault=Fault.LATE)
    lost = job(1, attempts=(attempt,), attempt=1)
    (refusal,) = actions(sight(lost))
    assert isinstance(refusal, Refuse)
    assert "lost an earlier attempt" in refusal.reason


def test_decide__refused_job__is_looked_at_again_later() -> None:
    refused = {job(1).job: Refusal("no", until=2000)}
    assert actions(sight(job(1), refused=refused)) == []
    assert actions(sight(job(1), refused=refused, time=2001)) == [Take(job(1))]


def test_decide__open_clock_over__is_not_taken() -> None:
    assert actions(sight(job(1, clock=1999))) == []


def test_decide__credits__are_collected_from_the_threshold_on() -> None:
    s = sight(credits={"market": (50, 7), "registry": (49, 0)})
    assert actions(s) == []
    assert actions(s, Habits(collect_token=50)) == [Collect("market", 50, 7)]


DECLS = [TensorDecl(DType.F32, (2, 3)), TensorDecl(DType.I8, ())]
OUTPUTS: list[Array] = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(5, np.int8)]
JOB = b"\7" * 32


def test_load__saved_result__comes_back_bit_for_bit(tmp_path: Path) -> None:
    results = Results(tmp_path)
    assert results.load(JOB, DECLS) is None
    root = results.save(JOB, DECLS, OUTPUTS)
    got = Results(tmp_path).load(JOB, DECLS)
    assert got is not None
    assert [a.tobytes() for a in got] == [a.tobytes() for a in OUTPUTS]
    assert [a.shape for a in got] == [(2, 3), ()]
    assert results.save(JOB, DECLS, OUTPUTS) == root


def test_load__altered_or_cut_file__is_forgotten(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for damage in (b"\0" * 24, b"", b"short"):
        results.save(JOB, DECLS, OUTPUTS)
        (tmp_path / JOB.hex() / "0.bin").write_bytes(damage)
        assert results.load(JOB, DECLS) is None
        assert not (tmp_path / JOB.hex()).exists()


def test_save__disk_is_full__is_one_clear_error_and_leaves_the_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("provider.results.os.fsync", full)
    with pytest.raises(StorageError, match=r"No space left .* make room"):
        Results(tmp_path).save(JOB, DECLS, OUTPUTS)
    assert list(tmp_path.iterdir()) == []


def test_keep_only__crash_remains__are_removed(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.save(JOB, DECLS, OUTPUTS)
    results.save(b"\1" * 32, DECLS, OUTPUTS)
    (tmp_path / "partial-x").mkdir()
    results.keep_only([JOB])
    assert [p.name for p in tmp_path.iterdir()] == [JOB.hex()]
