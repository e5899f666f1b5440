"""The engine's trace is the specification's, whatever is asked for and in which order."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from math import isqrt
from random import Random
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from protocol.spec import examples, trees
from protocol.spec.assembler import Code
from protocol.spec.builder import Builder, affine
from protocol.spec.examples import Example
from protocol.spec.trace import Trace, Tree, run_trace
from protocol.spec.types import Array, DType, Init, InitKind, Kind, Slot, Source, Template
from protocol.spec.workload import shelf_bytes
from provider.engine import Engine
from provider.engine.trace import EngineTrace

EXAMPLES = {e.name: e for e in examples.all_examples()}
STEPS = 1000
WIDTH = 1 << 13
"""Numbers of a state of 64 KiB."""

by_name = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)


def both(e: Example) -> tuple[Trace, EngineTrace]:
    truth = run_trace(e.program, e.constants, e.inputs, seed=e.seed, steps=e.steps)
    engine = Engine(e.program, e.constants)
    return truth, EngineTrace(engine, e.inputs, seed=e.seed, steps=e.steps)


@by_name
def test_levels__every_tree__equals_the_specification(example: Example) -> None:
    truth, got = both(example)
    assert got.levels(Tree.STEPS) == truth.levels(Tree.STEPS)
    assert got.levels(Tree.OUTPUTS) == truth.levels(Tree.OUTPUTS)
    for s in reversed(range(len(truth.states))):
        assert got.levels(Tree.STATES, s) == truth.levels(Tree.STATES, s)
        for k in range(len(truth.states[s])):
            tree = Tree.STATE_BLOCKS
            assert got.levels(tree, s, k) == truth.levels(tree, s, k)
            assert got.block(tree, s, k, 0) == truth.block(tree, s, k, 0)
        if s == 0:
            continue
        assert got.levels(Tree.OPERATIONS, s) == truth.levels(Tree.OPERATIONS, s)
        for i in range(len(truth.operations[s - 1] or [])):
            tree = Tree.OPERATION_BLOCKS
            assert got.levels(tree, s, i) == truth.levels(tree, s, i)
            assert got.block(tree, s, i, 0) == truth.block(tree, s, i, 0)


def test_trace__many_steps__keeps_about_their_root() -> None:
    e = EXAMPLES["phases"]
    _, got = both(e)
    assert got.ran == sum(e.steps or ())
    assert len(got._starts) <= 2 + got.ran // got._stride + 1
    assert len(got._roots) <= 2
    halted = both(EXAMPLES["counter"])[1]
    assert halted.ran == 5
    assert halted.operation_roots(6) == [trees.HALTED]


def test_trace__after_the_run__the_engine_still_runs() -> None:
    e = EXAMPLES["mlp"]
    engine = Engine(e.program, e.constants)
    before = engine.run(e.inputs)
    trace = EngineTrace(engine, e.inputs)
    assert trace.tensor(1, 2).tobytes() == before[0].tobytes()
    assert engine.run(e.inputs)[0].tobytes() == before[0].tobytes()
    assert np.array_equal(trace.state(1, 0), before[0])


@by_name
def test_data__every_tensor__is_the_specification_s(example: Example) -> None:
    truth, got = both(example)
    for s, states in enumerate(truth.states):
        assert [bytes(got.data(Tree.STATES, s, k)) for k in range(len(states))] == states
    for s, results in enumerate(truth.operations, start=1):
        for i, wanted in enumerate(results or []):
            assert got.data(Tree.OPERATIONS, s, i) == wanted


def test_tensor__an_operation_and_then_its_operands__one_run_gives_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    e = EXAMPLES["mlp"]
    engine = Engine(e.program, e.constants)
    trace = EngineTrace(engine, e.inputs)
    runs = Mock(side_effect=engine.states)
    monkeypatch.setattr(engine, "states", runs)
    item = len(e.program.phases[0].instances) - 1
    operands = [
        ref.index
        for ref in e.program.phases[0].instances[item].operands
        if ref.source is Source.OP
    ]
    assert len(operands) >= 2
    for op in (item, *operands, item):
        trace.tensor(1, op)
    assert runs.call_count == 1


@by_name
def test_prepare__every_place_in_any_order__is_one_run_and_the_specification_s(
    example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth, got = both(example)
    places = [
        (tree, s, k)
        for s in range(1, len(truth.states))
        for tree, count in (
            (Tree.OPERATIONS, 1),
            (Tree.STATE_BLOCKS, len(truth.states[s])),
            (Tree.OPERATION_BLOCKS, len(truth.operations[s - 1] or [])),
        )
        for k in range(count)
    ]
    Random(1).shuffle(places)
    ran, states = 0, got._engine.states

    def counted(*arguments: Any, **more: Any) -> Iterator[list[Array]]:
        nonlocal ran
        for number, found in enumerate(states(*arguments, **more)):
            ran += number > 0
            yield found

    monkeypatch.setattr(got._engine, "states", counted)
    got.prepare([(Tree.STEPS, 0, 0), (Tree.OUTPUTS, 0, 0), *places])
    assert ran == got.ran
    assert got.holds(places)
    for where in places:
        assert got.levels(*where) == truth.levels(*where)
    got.prepare(reversed(places))
    assert ran == got.ran


def test_prepare__tensors_are_hashed__answers_are_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, got = both(EXAMPLES["mlp"])
    operations = len(got._engine.program.phases[0].instances)
    places = [(Tree.OPERATION_BLOCKS, 1, k) for k in range(operations)]
    heard: list[tuple[int, int | None]] = []
    got._again = lambda done, total: heard.append((done, total))
    got._compute(places)
    assert not got.holds(places), "computed, not hashed"
    heard.clear()
    got.prepare(places)
    assert heard == [(k, operations) for k in range(1, operations + 1)]
    assert got.holds(places)

    def hashing(*given: Any) -> None:
        raise AssertionError("a tensor is hashed again")

    monkeypatch.setattr("provider.engine.shelf.block_leaves", hashing)
    for where in places:
        got.levels(*where)


def march(width: int) -> Example:
    """A thousand steps, each of which adds one to a state of so many numbers."""
    b = Builder()
    state = b.state(DType.I64, (width,), Init(InitKind.FILL, 0))
    c = Code()
    code = c.finish(c.load_i(0) + 1)
    slots, views = (Slot(DType.I64, width),), (affine(0, (width,), (1,)),)
    b.set_next(state, b.op(Template(Kind.MAP, DType.I64, (width,), slots, views, code), [state]))
    b.output(state)
    b.phase(max_steps=STEPS)
    program, constants = b.build()
    return Example("march", program, constants, [], steps=(STEPS,))


PLACES = (Tree.OPERATIONS, Tree.OPERATION_BLOCKS, Tree.STATES, Tree.STATE_BLOCKS)


def test_levels__one_place_of_a_thousand_steps__runs_about_their_root_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    e, ran = march(1), 0
    trace = EngineTrace(Engine(e.program, e.constants, threads=1), e.inputs, steps=e.steps)
    states = trace._engine.states

    def counted(*arguments: Any, **more: Any) -> Iterator[list[Array]]:
        nonlocal ran
        for number, found in enumerate(states(*arguments, **more)):
            ran += number > 0
            yield found

    monkeypatch.setattr(trace._engine, "states", counted)
    assert trace.ran == STEPS
    most = 0
    for step in Random(2).sample(range(1, STEPS + 1), 250) + [1, STEPS]:
        for tree in PLACES:
            ran = 0
            trace.levels(tree, step, 0)
            most = max(most, ran)
    assert isqrt(STEPS) - 2 <= most <= isqrt(STEPS) + 1


def test_trace__a_thousand_steps__keeps_states_of_about_their_root_and_none_in_memory() -> None:
    e = march(WIDTH)
    engine = Engine(e.program, e.constants, threads=1)
    # What is compiled on the way, once, is no trace's.
    EngineTrace(engine, e.inputs, steps=e.steps).levels(Tree.OPERATION_BLOCKS, 5)
    tracemalloc.start()
    try:
        trace = EngineTrace(engine, e.inputs, steps=e.steps)
        held, most = tracemalloc.get_traced_memory()
        kept = trace._shelf._end
        for step in range(1, STEPS + 1, 29):
            for tree in PLACES:
                trace.levels(tree, step, 0)
        later, most_later = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    one = 8 * WIDTH
    assert kept <= (isqrt(STEPS) + 3) * one
    assert not trace._shelf._held
    # All states are STEPS times one: what is in memory is what a few of them take.
    # All states are STEPS times one.  In memory are a few at any time, and of them none is kept.
    assert max(most, most_later) <= 8 * one, (most, most_later)
    assert max(held, later) <= 2 * one, (held, later)


def test_holds__what_no_run_gives__is_not_computed_for() -> None:
    _, got = both(EXAMPLES["counter"])
    beyond = [(Tree.OPERATIONS, 9, 0), (Tree.OPERATION_BLOCKS, 2, 99), (Tree.STATE_BLOCKS, 2, 99)]
    assert got.holds(beyond)
    for tree in (Tree.OPERATION_BLOCKS, Tree.STATE_BLOCKS):
        with pytest.raises(LookupError):
            got.levels(tree, 2, 99)


@by_name
def test_tamper__one_result__is_the_lie_of_the_specification(example: Example) -> None:
    e = example
    where = (0, len(e.program.phases[0].instances) // 2)

    def flip(step: int, op: int, tensor: Array) -> None:
        if (step, op) == where:
            tensor.reshape(-1)[-1:].view("u1")[0] ^= 1

    def corrupt(step: int, op: int, tensor: Array) -> Array:
        flip(step, op, tensor)
        return tensor

    lie = run_trace(
        e.program, e.constants, e.inputs, seed=e.seed, steps=e.steps, corrupt=corrupt
    )
    engine = Engine(e.program, e.constants)
    engine.tamper = flip
    got = EngineTrace(engine, e.inputs, seed=e.seed, steps=e.steps)
    assert got.levels(Tree.STEPS) == lie.levels(Tree.STEPS)
    assert got.levels(Tree.OUTPUTS) == lie.levels(Tree.OUTPUTS)
    for step, results in enumerate(lie.operations, start=1):
        assert got.levels(Tree.OPERATIONS, step) == lie.levels(Tree.OPERATIONS, step)
        if results is not None and step == 1:
            assert got.tensor(1, where[1]).tobytes() == results[where[1]]


def test_shelf_bytes__many_steps_with_a_large_state__bound_what_lies_on_disk() -> None:
    b = Builder()
    position = b.state(DType.I64, (1,), Init(InitKind.FILL, 0))
    log = b.state(DType.I64, (64, 1024), Init(InitKind.FILL, -1))
    view = affine(0, (1,), (0,))
    c, slots = Code(), (Slot(DType.I64, 1),)
    step = Template(Kind.MAP, DType.I64, (1,), slots, (view,), c.finish(c.load_i(0) + 1))
    b.set_next(position, b.op(step, [position]))
    c = Code()
    same = Template(Kind.MAP, DType.I64, (1,), slots, (view,), c.finish(c.load_i(0)))
    c = Code()
    row = Template(Kind.MAP, DType.I64, (1, 1024), (), (), c.finish(c.coord(1) + c.phase_step()))
    b.write_slice(log, 0, b.op(same, [position]), b.op(row, []))
    b.output(log)
    b.phase(max_steps=400)
    program, constants = b.build()
    for steps in (1, 10, 400):
        trace = EngineTrace(Engine(program, constants), [], seed=1, steps=(steps,))
        for item in range(2):
            trace.levels(Tree.STATE_BLOCKS, steps, item)
        for item in range(3):
            trace.levels(Tree.OPERATION_BLOCKS, steps, item)
        bound = shelf_bytes(program, (steps,))
        assert bound / 4 < trace._shelf._end <= bound
