"""The first bit that differs, and what people are told of a job."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from client.compare import first_difference
from client.views import ENDED, NEXT, OVERDUE, job_view
from protocol.chain.book import JobRecord, Place
from protocol.chain.state import Snapshot
from protocol.spec.job import Deal, GasSchedule, JobStatus, JobTerms, Task
from protocol.spec.types import Array

NAN, OTHER_NAN = np.array([0x7FC00000, 0x7FC00001], np.uint32).view(np.float32)


def f32(*values: float) -> Array:
    return np.array(values, np.float32)


def test_first_difference__same_bits__is_none() -> None:
    a = [f32(1, np.nan, -0.0), np.arange(6, dtype=np.int64).reshape(2, 3)]
    assert first_difference(a, [x.copy() for x in a]) is None
    assert first_difference([], []) is None
    assert first_difference([np.zeros((0, 3), np.int8)], [np.zeros((0, 3), np.int8)]) is None


def test_first_difference__one_element__names_output_index_and_bytes() -> None:
    right = [f32(1, 2), np.arange(6, dtype=np.int16).reshape(2, 3)]
    wrong = [right[0].copy(), right[1].copy()]
    wrong[1][1, 2] = -1
    found = first_difference(wrong, right)
    assert found is not None
    assert (found.output, found.index, found.got, found.wanted) == (1, 5, "ffff", "0500")
    assert "1 of 6 elements of output 1" in str(found)
    assert "(1, 2)" in str(found)


@pytest.mark.parametrize(
    "got, wanted", [(f32(0.0), f32(-0.0)), (np.array([OTHER_NAN]), np.array([NAN]))]
)
def test_first_difference__equal_values_of_other_bits__differ(got: Array, wanted: Array) -> None:
    assert first_difference([got], [wanted]) is not None


@pytest.mark.parametrize(
    "got",
    [[], [f32(1), f32(2)], [np.array([1], np.int32)], [f32(1, 2)], [f32(1).reshape(1, 1)]],
    ids=["fewer", "more", "dtype", "length", "shape"],
)
def test_first_difference__other_declaration__differs(got: list[Array]) -> None:
    assert first_difference(got, [f32(1)]) is not None


def test_first_difference__views_and_strides__are_compared_by_value() -> None:
    base = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert first_difference([base.T], [np.ascontiguousarray(base.T)]) is None


# --- views ---------------------------------------------------------------------------------------

SCHEDULE = GasSchedule(10, 1, 100, 7, 5)
DEAL = Deal(b"\1" * 20, 0, bytes(32), 50, 50, 0, 20_000, 3, 1000, 2, 60, 60, 60, 60)
NONE = bytes(32)
PLACE = Place(1, 0, NONE, NONE, 1000)
RECORD = JobRecord(
    b"\7" * 32, JobTerms(Task(b"\2" * 20, NONE, NONE, NONE, NONE, 1), DEAL), b"", PLACE,
    JobStatus.OPEN, 0, 1060,
)  # fmt: skip


def at(time: int) -> Snapshot:
    return Snapshot(5, NONE, time, time, 1)


def test_job_view__money__follows_the_deal() -> None:
    view = job_view(RECORD, at(1000), SCHEDULE)
    assert (view.price, view.bounty) == (50, 14)
    assert (view.lock_token, view.lock_native) == (100, (2 * 100 + 5) * 2)


@pytest.mark.parametrize("status", NEXT)
def test_job_view__live__says_what_it_waits_for_and_what_is_due(status: JobStatus) -> None:
    record = replace(RECORD, status=status)
    assert job_view(record, at(1060), SCHEDULE).next == NEXT[status]
    assert job_view(record, at(1060), SCHEDULE).seconds_left == 0
    late = job_view(record, at(1061), SCHEDULE)
    assert (late.next, late.seconds_left) == (OVERDUE[status], -1)


@pytest.mark.parametrize("status", sorted(JobRecord.FINAL))
def test_job_view__ended__says_what_became_of_it(status: JobStatus) -> None:
    view = job_view(replace(RECORD, status=status, clock=0), at(9999), SCHEDULE)
    assert (view.next, view.seconds_left) == (ENDED[status], None)


def test_job_view__held__counts_the_challenges() -> None:
    record = replace(RECORD, status=JobStatus.COMMITTED, holds=2)
    assert job_view(record, at(9999), SCHEDULE).next == "2 challenges or demands are open"
