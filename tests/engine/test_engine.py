"""The engine as a caller sees it: errors, memory, repeated runs, progress."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocol.spec import interpreter
from protocol.spec.assembler import Code
from protocol.spec.builder import Builder
from protocol.spec.errors import LimitExceeded, TensorMismatch
from protocol.spec.examples import all_examples, elementwise
from protocol.spec.types import Array, DType, Init, InitKind, Program, Slot
from provider.engine import Engine, EngineError, run
from provider.engine.plan import plan_body
from tests.engine.support import compare, same

EXAMPLES = {e.name: e for e in all_examples()}


def chain(length: int, width: int) -> tuple[Program, Array]:
    """Each operation reads only the one before."""
    b = Builder()
    ref = b.input(DType.F32, (width,))
    for k in range(length):
        code = Code()
        post = code.finish(code.load_f(0) * 0.5 + float(k))
        ref = b.op(elementwise(post, DType.F32, (width,), [(DType.F32, (1,))]), [ref])
    b.output(ref)
    return b.build()[0], np.linspace(-3, 3, width).astype(np.float32)


def test_run__wrong_dtype__says_what_is_wanted() -> None:
    program, x = chain(2, 8)
    with pytest.raises(TensorMismatch, match=r"input 0 is float64 .* wants float32"):
        run(program, [x.astype(np.float64)], constants=[])


def test_run__wrong_shape__says_what_is_wanted() -> None:
    program, x = chain(2, 8)
    with pytest.raises(TensorMismatch, match=r"\(7,\), the program wants float32 \(8,\)"):
        run(program, [x[:7]], constants=[])


def test_run__missing_input__says_how_many() -> None:
    program, _ = chain(2, 8)
    with pytest.raises(TensorMismatch, match="got 0 inputs, the program wants 1"):
        run(program, [], constants=[])


def test_engine__constant_beyond_its_bound__is_refused() -> None:
    example = EXAMPLES["mlp"]
    constants = [c.copy() for c in example.constants]
    for c, decl in zip(constants, example.program.constants, strict=True):
        if decl.bound:
            c.reshape(-1)[0] = decl.bound + 1
    with pytest.raises(TensorMismatch, match="beyond the declared bound"):
        Engine(example.program, constants)


def test_run__too_many_steps__says_the_limit() -> None:
    program, x = chain(2, 8)
    with pytest.raises(LimitExceeded, match="phase 0 allows 0 to 1 steps, got 2"):
        run(program, [x], constants=[], steps=(2,))


@pytest.mark.parametrize(
    "arguments, message",
    [({"backend": "abacus"}, "unknown backend 'abacus'"), ({"threads": 0}, "got 0 threads"),
     ({"device": "toaster"}, "unknown device 'toaster'")],
)  # fmt: skip
def test_run__impossible_request__is_one_clear_line(
    arguments: dict[str, object], message: str
) -> None:
    program, x = chain(1, 8)
    with pytest.raises(EngineError, match=message):
        run(program, [x], constants=[], **arguments)  # type: ignore[arg-type]


def test_run__read_only_inputs_and_constants__are_left_as_they_are() -> None:
    example = EXAMPLES["mlp"]
    inputs = [x.copy() for x in example.inputs]
    constants = [c.copy() for c in example.constants]
    for x in (*inputs, *constants):
        x.flags.writeable = False
    got = run(example.program, inputs, constants=constants)
    want = interpreter.run(example.program, example.constants, example.inputs)
    assert all(same(a, b) for a, b in zip(got, want, strict=True))
    assert all(same(a, b) for a, b in zip(inputs, example.inputs, strict=True))


def test_engine__second_run__does_not_remember_the_first() -> None:
    example = EXAMPLES["mlp"]
    engine = Engine(example.program, example.constants, threads=2)
    first = engine.run(example.inputs)
    other = [np.zeros_like(x) for x in example.inputs]
    want = interpreter.run(example.program, example.constants, other)
    second = engine.run(other)
    assert all(same(a, b) for a, b in zip(second, want, strict=True))
    want = interpreter.run(example.program, example.constants, example.inputs)
    assert all(same(a, b) for a, b in zip(first, want, strict=True))


def test_engine__long_chain__frees_results_after_their_last_use() -> None:
    program, x = chain(20, 1 << 14)
    engine = Engine(program, [], threads=1)
    engine.run([x])
    plan = plan_body(program, 0)
    assert plan.unshared == 20 * x.nbytes
    assert plan.size == 2 * x.nbytes
    assert engine.memory.peak <= engine.memory.planned
    assert engine.memory.peak <= 5 * x.nbytes


def test_run__progress__counts_every_operation_once() -> None:
    program, x = chain(6, 8)
    seen: list[tuple[int, int]] = []
    run(program, [x], constants=[], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(k + 1, 6) for k in range(6)]


def test_run__kept_state_with_odd_nan__keeps_its_bytes_and_reads_canonical() -> None:
    """A state that nothing changes is returned as it came; what reads it sees one NaN."""
    raw = np.array([0x7F800001, 0xFFC12345, 0x80000000, 0x3F800000], np.uint32).view(np.float32)
    b = Builder()
    b.input(DType.F32, (4,))
    kept = b.state(DType.F32, (4,), Init(InitKind.INPUT, 0))
    code = Code()
    read = elementwise(code.finish(code.load_f(0).bits()), DType.I64, (4,), [(DType.F32, (1,))])
    b.output(b.op(read, [kept]))
    b.output(kept)
    program, constants = b.build()
    compare(program, constants, [raw])


@pytest.mark.parametrize("at", [-1, 0, 2, 3])
def test_run__slice_write_over_steps__equals_interpreter(at: int) -> None:
    b = Builder()
    b.input(DType.F32, (2, 3))
    first = b.input(DType.I64, (1,))
    cache = b.state(DType.F32, (2, 3), Init(InitKind.INPUT, 0))
    code = Code()
    where = elementwise(
        code.finish(code.load_i(0) + code.step()), DType.I64, (1,), [(DType.I64, (1,))]
    )
    code = Code()
    value = elementwise(
        code.finish(code.load_f(0) + code.step().to_f32()), DType.F32, (2, 1),
        [(DType.F32, (3, 1))],
    )  # fmt: skip
    whole = elementwise(code.finish(code.load_f(0)), DType.F32, (2, 3), [(DType.F32, (3, 1))])
    old = b.op(whole, [cache])
    value = replace(value, slots=(Slot(DType.F32, 6),))
    b.write_slice(cache, 1, b.op(where, [first]), b.op(value, [cache]))
    b.output(cache)
    b.output(old)
    b.phase(max_steps=3)
    program, constants = b.build()
    data = np.arange(6, dtype=np.float32).reshape(2, 3)
    compare(program, constants, [data, np.array([at], np.int64)], threads=2)
    assert same(data, np.arange(6, dtype=np.float32).reshape(2, 3))
