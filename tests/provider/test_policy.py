"""What a provider takes, and why it refuses."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from protocol.spec import examples, legality
from protocol.spec.assembler import Code
from protocol.spec.builder import Builder, affine
from protocol.spec.job import Deal, GasSchedule, Task
from protocol.spec.microcode import Op
from protocol.spec.types import (
    Digit,
    DType,
    Instr,
    Kind,
    Next,
    NextKind,
    Phase,
    Program,
    Slot,
    Template,
    View,
)
from protocol.spec.workload import (
    DESCRIPTOR,
    STEP_BYTES,
    TENSORS,
    Rate,
    Work,
    data_of,
    peak_memory,
    pieces_of,
    work_of,
)
from provider.policy import (
    MOST_HELD,
    Duty,
    Rules,
    Standing,
    judge_duties,
    judge_program,
    judge_tables,
    judge_terms,
)
from provider.telemetry import read

SCHEDULE = GasSchedule(min_lock=100, min_gas_price=1, dispute_gas=1000, close_gas=10, late_gas=10)
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
duty = partial(Duty, piece=0.0, data=0.0, move=60)
WORK = Work(products=10**6, instructions=10**6, memory=1 << 20)


def test_judge_terms__everything_fits__accepts() -> None:
    assert judge_terms(TASK, DEAL, ME, SCHEDULE, RULES) is None


@pytest.mark.parametrize(
    ("deal", "me", "rules", "reason"),
    [
        ({}, {"lost_before": True}, {}, "lost an earlier attempt"),
        ({"capability": bytes(31) + b"\2"}, {}, {}, "capabilities 0x2"),
        ({}, {}, {"min_price": 51}, "below the minimum 0.000000000000000051 ADT"),
        ({}, {"stake": 99}, {}, "of stake, 0.000000000000000099 ADT is free"),
        ({}, {"deposit": 2010 * 3 - 1}, {}, "ETH of deposit"),
        ({}, {"backlog_ms": 8_001}, {}, "unsettled work would be 10001 ms"),
        ({}, {}, {"max_work_seconds": 1.9}, "declares 2000 ms of work"),
        ({"window_seconds": 8 * 86_400}, {}, {}, "stays locked for 691200 s"),
        ({"move_seconds": 9}, {}, {}, "leaves 9 s for an answer"),
        ({"move_seconds": 47}, {"block_seconds": 12}, {}, "an answer, 4 blocks of this chain take"),
        ({}, {"base_fee": 3}, {}, "of gas, at least 0.000000004 gwei wanted"),
        ({"gas_price": 124}, {"base_fee": 100, "deposit": 10**6}, {}, "fee is 0.0000001 gwei"),
    ],
)
def test_judge_terms__one_thing_short__says_which(
    deal: dict[str, Any], me: dict[str, Any], rules: dict[str, Any], reason: str
) -> None:
    terms, standing = replace(DEAL, **deal), replace(ME, **me)
    got = judge_terms(TASK, terms, standing, SCHEDULE, replace(RULES, **rules))
    assert got is not None
    assert reason in got


@pytest.mark.parametrize(
    ("deal", "me"),
    [
        ({"move_seconds": 48}, {"block_seconds": 12}),
        ({"move_seconds": 10}, {"block_seconds": 0}),
        ({"gas_price": 125}, {"base_fee": 100, "deposit": 10**6}),
        ({"gas_price": 1}, {"base_fee": None}),
        ({"gas_price": 1}, {"base_fee": 0}),
    ],
)
def test_judge_terms__just_enough_for_this_chain__accepts(
    deal: dict[str, Any], me: dict[str, Any]
) -> None:
    assert judge_terms(TASK, replace(DEAL, **deal), replace(ME, **me), SCHEDULE, RULES) is None


def test_judge_terms__batch__refuses() -> None:
    got = judge_terms(replace(TASK, task_count=2), DEAL, ME, SCHEDULE, RULES)
    assert got is not None
    assert "batches" in got


@pytest.mark.parametrize(
    ("seconds", "memory_free", "rules", "reason"),
    [
        (1.0, (1 << 20) - 1, {}, "needs 1048576 bytes, 1048575 are available"),
        (1.0, 0, {"max_memory": 1000}, "1000 are available"),
        (13.0, 0, {}, "takes 31.0 s with margin and 5 s for its commit, the job allows 30 s"),
        (2.1, 0, {}, "takes 2100 ms with its trace, the job declares 2000 ms"),
        (1.0, 0, {"price_per_second": 51}, "0.00000000000000005 ADT is below"),
    ],
)
def test_judge_program__one_thing_short__says_which(
    seconds: float, memory_free: int, rules: dict[str, Any], reason: str
) -> None:
    got = judge_program(DEAL, WORK, seconds, seconds, replace(RULES, **rules), memory_free)
    assert got is not None
    assert reason in got


def test_judge_program__everything_fits__accepts() -> None:
    assert judge_program(DEAL, WORK, 2.0, 2.0, RULES, 1 << 30) is None


def test_judge_program__slow_blocks__leave_less_of_the_run_clock() -> None:
    deal = replace(DEAL, run_seconds=52)
    assert judge_program(deal, WORK, 2.0, 2.0, RULES, 0, block_seconds=12) is None
    late = judge_program(deal, WORK, 2.1, 2.0, RULES, 0, block_seconds=12) or ""
    assert "takes 52.2 s with margin and 48 s for its commit, the job allows 52 s" in late
    assert judge_program(deal, WORK, 2.1, 2.0, RULES, 0, block_seconds=1) is None


def test_judge_program__time_without_trace_fits__is_refused_for_the_trace() -> None:
    assert judge_program(DEAL, WORK, 1.0, 2.1, RULES, 1 << 30)


def test_judge_duties__all_results_challenged_at_once__answers_stay_within_every_clock() -> None:
    long, short = duty(10.0, 1000, 99), duty(1.0, 100, 99)
    assert judge_duties(long, [long] * 9, RULES) is None
    assert "of 10 unsettled results could take 1100 s, the shortest" in (
        judge_duties(long, [long] * 10, RULES) or ""
    )
    assert "is 100 s" in (judge_duties(long, [short], RULES) or "")
    assert "is 100 s" in (judge_duties(short, [long], RULES) or "")
    assert judge_duties(short, [short] * 9, RULES) is None
    assert judge_duties(long, [long] * 10, replace(RULES, margin=1.0)) is None


def test_judge_duties__nothing_that_is_under_way__makes_an_opening_late() -> None:
    long, short = duty(10.0, 9000, 9000), duty(1.0, 9000, 20)
    assert judge_duties(long, [short], RULES) is None
    for new, other in ((replace(long, seconds=10.1), short), (short, replace(long, seconds=10.1))):
        assert "has to be opened within 20 s" in (judge_duties(new, [other], RULES) or "")


def test_judge_duties__one_long_piece_of_any_job__makes_a_demand_late() -> None:
    """15 s and 60 s are left for the first: 2 s of other work, and 36.5 s with a margin of 2."""
    calm, long = duty(1.0, 9000, 9000), duty(1.0, 9000, 9000, piece=36.5)
    assert judge_duties(long, [], RULES) is None
    assert judge_duties(long, [calm], replace(RULES, margin=1.0)) is None
    longer = replace(long, piece=36.6)
    for new, others in ((longer, []), (longer, [calm]), (calm, [longer])):
        got = judge_duties(new, others, RULES) or ""
        assert f"for data of this and of {len(others)} unsettled results could take 75 s" in got
        assert got.endswith("where their clocks leave 75 s")
    assert "leave 35 s" in (judge_duties(long, [replace(calm, move=20)], RULES) or "")
    assert "leave 27 s" in (judge_duties(long, [], RULES, block_seconds=12) or "")


def test_judge_duties__tensors_of_one_job_and_operation_of_another__count_together() -> None:
    large, long = duty(1.0, 9000, 9000, data=20.0), duty(1.0, 9000, 9000, piece=20.0)
    assert judge_duties(large, [], RULES) is None
    assert judge_duties(long, [], RULES) is None
    assert "could take 82 s" in (judge_duties(large, [long], RULES) or "")
    assert "could take 82 s" in (judge_duties(long, [large], RULES) or "")


def test_judge_duties__data_of_many_results__is_hashed_as_fast_as_demands_come_due() -> None:
    """Each takes its 6 s and leaves 6 s to other work, of the 15 s between two demands."""
    quick, slow = duty(1.0, 9000, 9000, data=3.0), duty(1.0, 9000, 9000, data=6.0)
    assert judge_duties(quick, [quick] * 500, replace(RULES, margin=1.0)) is None
    assert judge_duties(slow, [slow] * 4, RULES) is None
    assert "of this and of 7 unsettled" in (judge_duties(slow, [slow] * 7, RULES) or "")


def test_judge_duties__answers_wait_for_their_block__and_other_work_has_as_long() -> None:
    """A turn of heavy data takes 3 s, and 12 s for its block; then other work has 15 s."""
    light, heavy = duty(1.0, 9000, 9000, data=0.1), duty(1.0, 9000, 9000, data=1.5)
    slow = partial(judge_duties, rules=RULES, block_seconds=12)
    assert slow(light, [light] * 14) is None
    assert slow(heavy, []) is None
    assert slow(heavy, [heavy]) is None, "5 s of 27 s, then 35 s of 42 s"
    assert "could take 65 s where their clocks leave 57 s" in (slow(heavy, [heavy] * 2) or "")
    assert judge_duties(heavy, [heavy] * 2, RULES) is None


def test_judge_duties__traces_of_all_results__fit_the_disk() -> None:
    one = duty(1.0, 9000, 9000, disk=10)
    assert judge_duties(one, [one] * 3, RULES, disk_free=40) is None
    assert "could take 40 bytes of disk, 39 are free" in (
        judge_duties(one, [one] * 3, RULES, disk_free=39) or ""
    )
    assert judge_duties(one, [one] * 3, RULES) is None, "unknown"


def test_judge_duties__more_results_than_are_held__are_light_or_refused() -> None:
    light, heavy = duty(1.0, 9000, 9000, data=0.1), duty(1.0, 9000, 9000, data=3.8)
    assert judge_duties(light, [light] * (MOST_HELD + 50), RULES) is None
    assert judge_duties(heavy, [light] * (MOST_HELD - 1), RULES) is None
    assert "of 17 unsettled results 16 are held" in (judge_duties(heavy, [light] * 16, RULES) or "")


def test_pieces_of__operations__are_what_is_done_in_one_go() -> None:
    rate = Rate(1e9, 1e9)
    whole = rate.seconds(work_of(one := chain(Op.FSQRT, 200)))
    assert max(map(rate.seconds, pieces_of(one))) == pytest.approx(whole, rel=0.01)
    counter = examples.counter().program
    few, many = (max(map(rate.trace_seconds, pieces_of(counter, (n,)))) for n in (1, 16))
    assert few == many


def test_pieces_of__steps_without_operations__are_all_one_piece() -> None:
    program = examples.counter().program
    (phase,) = program.phases[:1]
    idle = Phase(1 << 31, (), tuple(Next(NextKind.KEEP) for _ in phase.nexts))
    pieces = pieces_of(replace(program, phases=(idle,), halt=None))
    assert max(map(Rate(1e12, 1e12).trace_seconds, pieces)) > 1e5


def test_pieces_of__outputs__are_published_in_one_go() -> None:
    program = examples.counter().program
    many = replace(program, outputs=program.outputs[:1] * 1000)
    state = program.states[program.outputs[0]].tensor.nbytes
    rate = Rate(1e15, 1e15, 1e15, outputs=1000.0, traced=1e15)
    assert max(map(rate.seconds, pieces_of(many))) == pytest.approx(state, rel=1e-6)


def test_data_of__mlp__is_all_that_may_be_demanded() -> None:
    program = examples.mlp().program
    given = sum(d.nbytes for d in (*program.constants, *program.inputs))
    outputs = sum(program.states[n].tensor.nbytes for n in program.outputs)
    assert data_of(program).traced == given + 2 * outputs


def test_work_of__steps__are_all_traced_states_and_results() -> None:
    program = examples.counter().program
    one, two = work_of(program, (1,)), work_of(program, (2,))
    states = sum(s.tensor.nbytes for s in program.states)
    results = sum(
        t.count * t.dtype.size
        for t in (program.templates[n.template] for n in program.phases[0].instances)
    )
    assert (one.traced, two.traced) == (2 * states + results, 3 * states + 2 * results)
    mlp = examples.mlp().program
    given = sum(d.nbytes for d in (*mlp.constants, *mlp.inputs))
    assert work_of(mlp).traced - given == 2 * sum(s.tensor.nbytes for s in mlp.states) + sum(
        mlp.templates[n.template].count * mlp.templates[n.template].dtype.size
        for n in mlp.phases[0].instances
    )
    rate = Rate(1e15, 1e15, 1e15, 1e15, traced=1000.0)
    assert rate.trace_seconds(two) == pytest.approx(two.traced / 1000, rel=1e-6)
    tensors = 3 * len(program.states) + 2 * len(program.phases[0].instances)
    assert two.tensors == tensors + DESCRIPTOR * len(program.templates)
    rate = Rate(1e15, 1e15, 1000.0, 1e15, traced=1e15)
    calls = two.operations + two.tensors / TENSORS
    assert rate.trace_seconds(two) == pytest.approx(calls / 1000, rel=1e-6)


def test_work_of__mlp__counts_products_and_instructions() -> None:
    program = examples.mlp().program
    work = work_of(program)
    assert work.products == 3 * 5 * 70
    assert work.instructions > 3 * 70 * 2
    free = {"instructions": 1e15, "operations": 1e15, "outputs": 1e15}
    assert Rate(products=1050.0, **free).seconds(work) == pytest.approx(1.0, rel=1e-6)


def test_work_of__two_steps__is_twice_one() -> None:
    program = examples.counter().program
    one, two = work_of(program, (1,)), work_of(program, (2,))
    assert two.instructions == 2 * one.instructions
    assert two.memory == one.memory + STEP_BYTES


def test_peak_memory__chain__holds_two_neighbours_at_once() -> None:
    program = examples.mlp().program
    # absmax (3 f32) lives until the DOT; quantised (3x70 i16) and result (3x5 f32) meet there
    assert peak_memory(program, program.phases[0]) == 3 * 4 + 3 * 70 * 2 + 15 * 4


def test_read__this_machine__reports_processors_and_says_why_no_gpu() -> None:
    reading = read()
    assert reading.processors >= 1
    assert reading.memory_total >= reading.memory_free >= 0
    assert reading.gpus or "no GPU" in reading.note


# --- programs that strangers write --------------------------------------------------------------


def one(t: Template) -> Program:
    """A program of one operation on zeros; legal."""
    b = Builder()
    bounds = {t.views[0].slot: t.bound_a, t.views[1].slot: t.bound_b} if t.r and t.bound_a else {}
    tensors = [np.zeros(s.count, s.dtype.numpy) for s in t.slots]
    b.output(b.op(t, [b.constant(x, bounds.get(k, 0)) for k, x in enumerate(tensors)]))
    program, _ = b.build()
    legality.check(program)
    return program


def chain(op: Op, count: int) -> Program:
    """A MAP that applies one instruction of floats ``count`` times to 2^20 elements."""
    post = [Instr(Op.LOAD, 0, 0, 0, 0)]
    post += [Instr(op, k, k if op is Op.FADD else 0, 0, 0) for k in range(count)]
    n = 1 << 20
    slots = (Slot(DType.F32, n),)
    return one(Template(Kind.MAP, DType.F32, (n,), slots, (affine(0, (n,), (1,)),), tuple(post)))


def dot(
    count: int, terms: int, a: View, b: View, slots: tuple[int, int], bounds: tuple[int, int]
) -> Program:
    code = Code()
    return one(
        Template(
            kind=Kind.DOT,
            dtype=DType.F32,
            shape=(count,),
            slots=tuple(Slot(DType.I16, n) for n in slots),
            views=(a, b),
            post=code.finish(code.acc_i().to_f32()),
            r=(terms,),
            bound_a=bounds[0],
            bound_b=bounds[1],
        )
    )


def test_work_of__steps_that_compute_nothing__still_take_their_time() -> None:
    program = examples.counter().program
    (phase,) = program.phases[:1]
    idle = Phase(1 << 31, (), tuple(Next(NextKind.KEEP) for _ in phase.nexts))
    work = work_of(replace(program, phases=(idle,), halt=None))
    assert (work.products, work.instructions) == (0, 0)
    assert Rate(1e12, 1e12).seconds(work) > 1e5


def test_work_of__slow_instructions__weigh_more_than_additions() -> None:
    slow, fast = work_of(chain(Op.FSQRT, 200)), work_of(chain(Op.FADD, 200))
    assert slow.instructions > 30 * fast.instructions


def test_work_of__windows_as_second_operand__count_the_gathered_matrix() -> None:
    """2^16 windows of 2^14 terms out of 80,000 elements: as a matrix they are 2 GiB."""
    n, k = 1 << 16, 1 << 14
    first = affine(0, (n,), (0,), r=(k,), r_strides=(1,))
    second = affine(1, (n,), (1,), r=(k,), r_strides=(1,))
    work = work_of(dot(n, k, first, second, (k, n + k), (100, 100)))
    assert work.memory > n * k * 2


def test_work_of__views_that_split_the_index_differently__cost_a_gather_a_term() -> None:
    first = View(
        slot=0,
        offset=0,
        pad=0,
        guards=(),
        digits=(Digit(3, 64, 0, 0), Digit(5, 0, 0, 0)),
        rdigits=(Digit(64, 1, 0, 0),),
    )
    second = replace(first, slot=1, digits=(Digit(5, 64, 0, 0), Digit(3, 0, 0, 0)))
    work = work_of(dot(15, 64, first, second, (192, 320), (100, 100)))
    assert work.instructions > 100 * work.products
    assert work.scratch > 64 << 20


def test_work_of__bounds_too_wide_for_limbs__cost_more() -> None:
    first = affine(0, (8,), (64,), r=(64,), r_strides=(1,))
    second = affine(1, (8,), (0,), r=(64,), r_strides=(1,))
    narrow = work_of(dot(8, 64, first, second, (512, 64), (32639, 8127)))
    wide = work_of(dot(8, 64, first, second, (512, 64), (32768, 32768)))
    assert wide.products > narrow.products


def test_work_of__one_state_as_many_outputs__is_published_as_often() -> None:
    program = examples.counter().program
    many = replace(program, outputs=program.outputs[:1] * 1000)
    often = work_of(many)
    state = program.states[program.outputs[0]].tensor.nbytes
    assert often.outputs == 1000 * state
    assert often.memory >= 1000 * state


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"max_instances": 0}, "operations, at most 0"),
        ({"max_tensors": 0}, "states, at most 0"),
    ],
)
def test_judge_tables__too_long__says_which(rules: dict[str, Any], reason: str) -> None:
    program = examples.mlp().program
    assert judge_tables(program, RULES) is None
    got = judge_tables(program, replace(RULES, **rules))
    assert got is not None
    assert reason in got
    outputs = replace(program, outputs=program.outputs[:1] * 5000)
    assert "5000 outputs" in (judge_tables(outputs, RULES) or "")


def test_judge_program__scratch__counts_once_a_thread() -> None:
    work = replace(WORK, scratch=100)
    most = WORK.memory + 300
    assert judge_program(DEAL, work, 1.0, 1.0, RULES, most, threads=3) is None
    assert "are available" in (judge_program(DEAL, work, 1.0, 1.0, RULES, most, threads=4) or "")
