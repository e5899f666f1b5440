"""Whole tensors equal the definition element by element; programs do what their words say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from protocol.spec import examples, interpreter, operations
from protocol.spec.errors import LimitExceeded, TensorMismatch
from protocol.spec.examples import Example
from protocol.spec.operations import Scalars, boxes, common_grid, element, evaluate
from protocol.spec.types import Array, Instance, Program, Ref, Source, Template

EXAMPLES = {e.name: e for e in examples.all_examples()}
by_name = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)


def run(e: Example, steps: Sequence[int] | None = None) -> list[Array]:
    return interpreter.run(
        e.program, e.constants, e.inputs, seed=e.seed, steps=steps or e.steps
    )


def operations_of(e: Example) -> list[tuple[Template, list[Array], Array]]:
    """Template, operands and result of every operation of the first step."""
    p: Program = e.program
    states = [interpreter.initial_state(s, e.constants, e.inputs) for s in p.states]
    results: list[Array] = []
    tables = {
        Source.CONST: e.constants,
        Source.INPUT: e.inputs,
        Source.STATE: states,
        Source.OP: results,
    }

    def fetch(ref: Ref) -> Array:
        return tables[ref.source][ref.index]

    out = []
    for instance in p.phases[0].instances:
        assert isinstance(instance, Instance)
        t = p.templates[instance.template]
        operands = [fetch(ref) for ref in instance.operands]
        results.append(evaluate(t, operands, Scalars(0, 0, e.seed)))
        out.append((t, operands, results[-1]))
    return out


@by_name
def test_evaluate__every_example_operation__equals_element_by_element(example: Example) -> None:
    for t, operands, result in operations_of(example):
        scalars = Scalars(0, 0, example.seed)
        flat = result.reshape(-1)
        assert result.dtype == t.dtype.numpy
        assert result.shape == t.shape
        for i in range(t.count):
            assert element(t, operands, scalars, i).tobytes() == flat[i : i + 1].tobytes()


@by_name
def test_evaluate__tiny_boxes__same_bytes(
    example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [r.tobytes() for _, _, r in operations_of(example)]
    monkeypatch.setattr(operations, "GRID_LIMIT", 7)
    assert [r.tobytes() for _, _, r in operations_of(example)] == whole


def test_run__phases__share_the_state() -> None:
    out = run(EXAMPLES["phases"])
    x = np.array([1.5, -0.0, 3e38], np.float32)
    with np.errstate(over="ignore"):
        want = x * np.float32(8)
    for step in (3, 4):
        want = want + np.float32(step) + x
    assert out[0].tobytes() == want.astype(np.float32).tobytes()


def test_run__halt_set__runs_nothing_more() -> None:
    """The counter halts after five steps, however many the job asks for."""
    five, nine = run(EXAMPLES["counter"], (5,)), run(EXAMPLES["counter"], (9,))
    four = run(EXAMPLES["counter"], (4,))
    assert [a.tobytes() for a in five] == [a.tobytes() for a in nine]
    assert int(nine[1][0]) == 5
    assert int(four[1][0]) == 4


def test_run__slice_write__leaves_other_elements() -> None:
    e = EXAMPLES["counter"]
    log = run(e)[0].astype(object)
    mask = (1 << 64) - 1
    for step in range(5):
        for row in range(2):
            word = ((e.seed & mask) ^ (step * 0x1E3779B97F4A7C15 & mask)) + row + step
            assert int(log[row, step]) & mask == word & mask
    assert (log[:, 5:] == -1).all()


def test_run__computed_index_outside__gives_the_canonical_pad() -> None:
    out = run(EXAMPLES["gather"])[0]
    bits = out.view(np.uint32)
    assert out[0].tobytes() == EXAMPLES["gather"].constants[0][0].tobytes()
    for row in (3, 4, 5, 6, 7):
        assert (bits[row] == 0x7FC00000).all(), "a NaN pad is canonical"


def test_run__convolution__equals_the_padded_loop() -> None:
    e = EXAMPLES["convolution"]
    x = np.clip(e.inputs[0].astype(np.int64), -127, 127)
    w = e.constants[0].astype(np.int64)
    padded = np.zeros((7, 6, 3), np.int64)
    padded[1:6, 1:5] = x
    want = np.zeros((5, 4, 2), np.int64)
    for y in range(5):
        for z in range(4):
            for o in range(2):
                want[y, z, o] = (padded[y : y + 3, z : z + 3] * w[o]).sum()
    assert (run(e)[0] == want).all()


def test_run__live_bound__ignores_what_is_beyond() -> None:
    e = EXAMPLES["live"]
    before = run(e)
    changed = e.inputs[0].copy()
    changed[:, 3:] = np.float32(7)
    after = interpreter.run(e.program, e.constants, [changed, e.inputs[1]])
    assert [a.tobytes() for a in before] == [a.tobytes() for a in after]
    assert (before[4].view(np.uint32)[3] == 0x7FC00000).all(), "dead rows, canonical"


@pytest.mark.parametrize("live", [0, -5])
def test_run__nothing_live__gives_the_empty_folds(live: int) -> None:
    e = EXAMPLES["live"]
    out = interpreter.run(e.program, e.constants, [e.inputs[0], np.array([live], np.int64)])
    assert (out[0].view(np.uint32) == 0).all(), "empty sum is +0"
    assert (out[1].view(np.uint32) == 0xFF800000).all(), "empty max is -inf"
    assert (out[2].view(np.uint32) == 0x7F800000).all(), "empty min is inf"
    assert (out[3] == 0).all(), "empty argmax is 0"


def test_run__sums_of_masked_rows__do_not_depend_on_padding() -> None:
    """Zeros of either sign behind a row cannot change its sum."""
    from protocol.spec import f32

    rng = np.random.default_rng(11)
    for n in (1, 2, 3, 5, 17, 64, 100):
        row = rng.normal(size=n).astype(np.float32) * np.float32(2.0) ** rng.integers(-60, 60, n)
        row = row.astype(np.float32)
        want = f32.tree_sum(row).tobytes()
        for pad in (np.float32(0.0), np.float32(-0.0)):
            for extra in (1, 7, 64):
                padded = np.concatenate([row, np.full(extra, pad, np.float32)])
                assert f32.tree_sum(padded).tobytes() == want


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "got 0 inputs, the program wants 1"),
        ([np.zeros((3, 70), np.float64)], "input 0 is float64"),
        ([np.zeros((3, 71), np.float32)], r"\(3, 71\), the program wants float32 \(3, 70\)"),
    ],
)
def test_run__wrong_inputs__says_what_is_wanted(inputs: list[Array], message: str) -> None:
    e = EXAMPLES["mlp"]
    with pytest.raises(TensorMismatch, match=message):
        interpreter.run(e.program, e.constants, inputs)


def test_run__constant_beyond_its_bound__is_refused() -> None:
    e = EXAMPLES["mlp"]
    bad = [e.constants[0].copy(), *e.constants[1:]]
    bad[0][0, 0] = 8128
    with pytest.raises(TensorMismatch, match="holds 8128, beyond the declared bound of 8127"):
        interpreter.run(e.program, bad, e.inputs)
    bad[0][0, 0] = -32768
    with pytest.raises(TensorMismatch, match="holds 32768"):
        interpreter.run(e.program, bad, e.inputs)


def test_run__too_many_steps__says_the_limit() -> None:
    with pytest.raises(LimitExceeded, match="phase 0 allows 0 to 16 steps, got 17"):
        run(EXAMPLES["counter"], (17,))


def test_element__outside__is_refused() -> None:
    t, operands, _ = operations_of(EXAMPLES["mlp"])[0]
    with pytest.raises(LimitExceeded, match="element 3 is outside an output of 3"):
        element(t, operands, Scalars(), 3)


def test_common_grid__nested_radices__refines_both() -> None:
    assert common_grid([[6, 4], [24], [2, 12]]) == (2, 3, 4)
    assert common_grid([[6, 4], [3, 8]]) == (3, 2, 4)
    assert common_grid([[4, 6], [6, 4]]) is None
    assert common_grid([[]]) == ()


def test_boxes__any_limit__cover_each_point_once() -> None:
    for limit in (1, 2, 5, 12, 100):
        seen = np.zeros((3, 4, 5), int)
        for box in boxes((3, 4, 5), limit):
            seen[box.slices] += 1
        assert (seen == 1).all()
