"""The engine's trace is the specification's, whatever is asked for and in which order."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.spec import examples, trees
from protocol.spec.examples import Example
from protocol.spec.trace import Trace, Tree, run_trace
from provider.engine import Engine
from provider.engine.trace import EngineTrace

EXAMPLES = {e.name: e for e in examples.all_examples()}
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
    assert len(got._kept) <= 2 + got.ran // got._stride + 1
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
