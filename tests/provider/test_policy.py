"""What a provider takes, and why it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protocol.spec import examples
from protocol.spec.job import Deal, GasSchedule, Task
from protocol.spec.workload import Rate, Work, peak_memory, work_of
from provider.policy import Rules, Standing, judge_program, judge_terms
from provider.telemetry import read

SCHEDULE = GasSchedule(min_lock=100, dispute_gas=1000, close_gas=10, late_gas=10)
TASK = Task(bytes(20), bytes(32), bytes(32), bytes(32), bytes(32), steps=1)
DEAL = Deal(
    client=bytes(20), nonce=0, capability=bytes(32), price_floor=50, price_ceiling=50,
    ramp_seconds=0, stake_bps=20_000, attempts=2, work_ms=2_000, gas_price=3, open_seconds=60,
    run_seconds=30, window_seconds=60, move_seconds=60,
)  # fmt: skip
ME = Standing(
    address=b"\1" * 20, capabilities=0b1, stake=100, deposit=2010 * 3, backlog_ms=0,
    max_backlog_ms=10_000,
)  # fmt: skip
RULES = Rules()
WORK = Work(products=10**6, instructions=10**6, memory=1 << 20)


def test_judge_terms__everything_fits__accepts() -> None:
    assert judge_terms(TASK, DEAL, ME, SCHEDULE, RULES) is None


@pytest.mark.parametrize(
    ("deal", "me", "rules", "reason"),
    [
        ({}, {"lost_before": True}, {}, "lost an earlier attempt"),
        ({"capability": bytes(31) + b"\2"}, {}, {}, "capabilities 0x2"),
        ({}, {}, {"min_price": 51}, "below the minimum 51"),
        ({}, {"stake": 99}, {}, "takes 100 of stake, 99 is free"),
        ({}, {"deposit": 2010 * 3 - 1}, {}, "wei of deposit"),
        ({}, {"backlog_ms": 8_001}, {}, "unsettled work would be 10001 ms"),
        ({}, {}, {"max_work_seconds": 1.9}, "declares 2000 ms of work"),
    ],
)
def test_judge_terms__one_thing_short__says_which(
    deal: dict[str, Any], me: dict[str, Any], rules: dict[str, Any], reason: str
) -> None:
    terms, standing = replace(DEAL, **deal), replace(ME, **me)
    got = judge_terms(TASK, terms, standing, SCHEDULE, replace(RULES, **rules))
    assert got is not None
    assert reason in got


def test_judge_terms__batch__refuses() -> None:
    got = judge_terms(replace(TASK, task_count=2), DEAL, ME, SCHEDULE, RULES)
    assert got is not None
    assert "batches" in got


@pytest.mark.parametrize(
    ("seconds", "memory_free", "rules", "reason"),
    [
        (1.0, (1 << 20) - 1, {}, "needs 1048576 bytes, 1048575 are available"),
        (1.0, 0, {"max_memory": 1000}, "1000 are available"),
        (13.0, 0, {}, "takes 31.0 s with margin, the job allows 30 s"),
        (2.1, 0, {}, "takes 2100 ms, the job declares 2000 ms"),
        (1.0, 0, {"price_per_second": 51}, "price 50 is below 51"),
    ],
)
def test_judge_program__one_thing_short__says_which(
    seconds: float, memory_free: int, rules: dict[str, Any], reason: str
) -> None:
    got = judge_program(DEAL, WORK, seconds, replace(RULES, **rules), memory_free)
    assert got is not None
    assert reason in got


def test_judge_program__everything_fits__accepts() -> None:
    assert judge_program(DEAL, WORK, 2.0, RULES, 1 << 30) is None


def test_work_of__mlp__counts_products_and_instructions() -> None:
    program = examples.mlp().program
    work = work_of(program)
    assert work.products == 3 * 5 * 70
    assert work.instructions > 3 * 70 * 2
    assert Rate(products=1050.0, instructions=1e12).seconds(work) == pytest.approx(1.0, rel=1e-6)


def test_work_of__two_steps__is_twice_one() -> None:
    program = examples.counter().program
    one, two = work_of(program, (1,)), work_of(program, (2,))
    assert two.instructions == 2 * one.instructions
    assert two.memory == one.memory


def test_peak_memory__chain__holds_two_neighbours_at_once() -> None:
    program = examples.mlp().program
    # absmax (3 f32) lives until the DOT; quantised (3x70 i16) and result (3x5 f32) meet there
    assert peak_memory(program, program.phases[0]) == 3 * 4 + 3 * 70 * 2 + 15 * 4


def test_read__this_machine__reports_processors_and_says_why_no_gpu() -> None:
    reading = read()
    assert reading.processors >= 1
    assert reading.memory_total >= reading.memory_free >= 0
    assert reading.gpus or "no GPU" in reading.note
