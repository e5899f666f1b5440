"""What the timekeeper decides, without a chain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepers.timekeeper import (
    GAS,
    KINDS,
    Close,
    Collect,
    Kind,
    Policy,
    View,
    bounty,
    clocks,
    deadline,
    decide,
)
from protocol.chain.book import Attempt, JobRecord, Place
from protocol.spec.job import Deal, GasSchedule, JobStatus, JobTerms, Task, task_hash

SCHEDULE = GasSchedule(
    min_lock=10, min_gas_price=1, dispute_gas=1_000_000, close_gas=120_000, late_gas=250_000
)
CLIENT, PROVIDER = b"\1" * 20, b"\2" * 20
ROOT = b"\x07" * 32
GWEI = 10**9
LIVE = tuple(KINDS)


def record(
    status: JobStatus = JobStatus.OPEN,
    clock: int = 100,
    *,
    number: int = 0,
    gas_price: int = 2 * GWEI,
    holds: int = 0,
) -> JobRecord:
    task = Task(b"\x09" * 20, ROOT, ROOT, ROOT, ROOT, steps=1, seed=number)
    deal = Deal(CLIENT, number, bytes(32), 5, 5, 0, 10_000, 3, 1000, gas_price, 60, 60, 60, 60)
    place = Place(1, 0, bytes(32), bytes(32), 1)
    made = JobRecord(number.to_bytes(32, "big"), JobTerms(task, deal), b"", place, status, 0, clock)
    if status in (JobStatus.ACCEPTED, JobStatus.COMMITTED):
        made = replace(made, attempts=(Attempt(0, PROVIDER, place, clock),))
    return replace(made, holds=holds)


def view(*jobs: JobRecord, time: int = 101, fee: int = GWEI, **rest: Any) -> View:
    return View(time, jobs, SCHEDULE, fee, **rest)


records = st.builds(
    record,
    st.sampled_from(LIVE),
    st.integers(0, 200),
    number=st.integers(0, 2**32),
    gas_price=st.sampled_from([GWEI // 10, GWEI, 2 * GWEI, 100 * GWEI]),
    holds=st.sampled_from([0, 0, 0, 1, 7]),
)
views = st.builds(
    lambda jobs, time, fee: view(*jobs, time=time, fee=fee),
    st.lists(records, max_size=8, unique_by=lambda r: r.job),
    st.integers(0, 200),
    st.sampled_from([GWEI // 10, GWEI, 50 * GWEI]),
)
policies = st.builds(
    Policy,
    st.sampled_from([None, 0, 10**14]),
    st.sampled_from([frozenset(), frozenset({CLIENT}), frozenset({PROVIDER})]),
)


@pytest.mark.parametrize("status, kind", KINDS.items())
def test_decide__clock_over__makes_the_call_that_it_waits_for(
    status: JobStatus, kind: Kind
) -> None:
    job = record(status)
    (move,) = decide(view(job), Policy())
    assert isinstance(move, Close)
    assert (move.kind, move.job, move.deal) == (kind, job.job, job.terms.deal)
    assert move.task == task_hash(job.terms.task)
    gas = 250_000 if kind is Kind.SLASH_LATE else 120_000
    assert move.bounty == move.most == gas * 2 * GWEI


@pytest.mark.parametrize("status", LIVE)
def test_decide__exactly_at_the_clock__waits(status: JobStatus) -> None:
    assert decide(view(record(status), time=100), Policy()) == []
    assert len(decide(view(record(status), time=101), Policy())) == 1


def test_decide__held_claim__waits_however_late() -> None:
    assert decide(view(record(JobStatus.COMMITTED, holds=1), time=10**6), Policy()) == []


def test_decide__bounty_below_gas__leaves_it_unless_told_otherwise() -> None:
    seen = view(record(gas_price=GWEI // 10))
    assert decide(seen, Policy()) == []
    (free,) = decide(seen, Policy(min_profit=None))
    (mine,) = decide(seen, Policy(interests=frozenset({CLIENT})))
    assert isinstance(free, Close)
    assert free.most is None
    assert mine == free


def test_decide__minimal_profit__is_kept_in_the_cap() -> None:
    (move,) = decide(view(record()), Policy(min_profit=10**14))
    assert isinstance(move, Close)
    assert move.most == move.bounty - 10**14


def test_decide__credits__are_collected_from_the_threshold_on() -> None:
    policy = Policy(collect_wei=10)
    assert decide(view(credits={"market": 9, "registry": 9}), policy) == []
    assert decide(view(credits={"market": 10, "registry": 11}), policy) == [
        Collect("market", 10),
        Collect("registry", 11),
    ]


@given(views, policies)
def test_decide__any_view__acts_only_when_due_and_paid(seen: View, policy: Policy) -> None:
    jobs = {r.job: r for r in seen.jobs}
    moves = [move for move in decide(seen, policy) if isinstance(move, Close)]
    assert len({move.job for move in moves}) == len(moves)
    for move in moves:
        job = jobs[move.job]
        assert seen.time > job.clock
        assert job.holds == 0
        assert move.kind is KINDS[job.status]
        if move.most is not None:
            assert GAS[move.kind] * seen.fee <= move.most <= move.bounty
    if policy.min_profit is None:
        due = {j.job for j in seen.jobs if j.clock < seen.time and not j.holds}
        assert {move.job for move in moves} == due


@given(views, policies)
def test_decide__any_view__is_a_function_of_the_set_of_jobs(seen: View, policy: Policy) -> None:
    backwards = replace(seen, jobs=tuple(reversed(seen.jobs)))
    assert decide(seen, policy) == decide(backwards, policy)


@given(views)
def test_deadline__any_view__nothing_new_is_due_before_it(seen: View) -> None:
    policy = Policy(min_profit=None)
    end = deadline(seen)
    due = decide(seen, policy)
    if end is None:
        later = replace(seen, time=10**9)
        assert decide(later, policy) == due
        return
    assert end >= seen.time
    assert decide(replace(seen, time=end), policy) == due or any(
        r.clock < end for r in seen.jobs if r.clock >= seen.time
    )
    after = decide(replace(seen, time=end + 1), policy)
    held = all(r.holds for r in seen.jobs if r.clock == end)
    assert held or len(after) > len(due)


@given(views, policies)
def test_clocks__any_view__has_a_row_a_live_job_and_agrees(seen: View, policy: Policy) -> None:
    rows = clocks(seen, policy)
    assert [row.clock for row in rows] == sorted(r.clock for r in seen.jobs)
    moves = {m.job for m in decide(seen, policy) if isinstance(m, Close)}
    assert {row.job for row in rows if row.left < 0 and not row.held and row.pays} == moves
    for row in rows:
        assert isinstance(row.kind, Kind)
        assert row.bounty == bounty(row.kind, _deal(seen, row.job), SCHEDULE)


def _deal(seen: View, job: bytes) -> Deal:
    return next(r.terms.deal for r in seen.jobs if r.job == job)
