"""The engine against the interpreter, byte for byte: examples and random legal programs."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.spec import interpreter
from protocol.spec.assembler import Code
from protocol.spec.builder import Builder, affine
from protocol.spec.examples import Example, all_examples
from protocol.spec.types import DType, Fold, InitKind, Kind, NextKind, Slot, Template
from provider.engine import run
from tests.builders import random_program
from tests.engine.support import compare

EXAMPLES = all_examples()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("example", EXAMPLES, ids=[e.name for e in EXAMPLES])
def test_run__example_program__equals_interpreter(example: Example, threads: int) -> None:
    compare(
        example.program, example.constants, example.inputs,
        seed=example.seed, steps=example.steps, threads=threads,
    )  # fmt: skip


@pytest.mark.parametrize("block", range(8))
def test_run__random_legal_programs__equal_interpreter(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        case = random_program(np.random.default_rng(seed))
        compare(
            case.program, case.constants, case.inputs, seed=case.seed, threads=1 + seed % 2
        )


def test_random_program__hundred_draws__cover_every_kind_fold_and_next() -> None:
    programs = [random_program(np.random.default_rng(seed)).program for seed in range(100)]
    templates = [t for p in programs for t in p.templates]
    assert {t.kind for t in templates} == set(Kind)
    assert {t.fold for t in templates} == set(Fold)
    assert {len(t.r) for t in templates} == {0, 1, 2, 3}
    assert any(t.live_r is not None for t in templates)
    assert any(t.live_out is not None for t in templates)
    assert any(v.guards for t in templates for v in t.views)
    assert any(d.stride < 0 for t in templates for v in t.views for d in v.digits)
    nexts = [
        row for p in programs for row in zip(p.phases[0].nexts, p.states, strict=True)
    ]
    assert {item.kind for item, _ in nexts} == set(NextKind)
    slices = [(item, s) for item, s in nexts if item.kind is NextKind.SLICE]
    assert {s.tensor.dtype for _, s in slices} == set(DType)
    assert {item.axis for item, _ in slices} == {0, 1, 2}
    assert {s.init.kind for _, s in slices} == set(InitKind)
    assert {p.halt is None for p in programs} == {True, False}


@pytest.mark.long
def test_run__thousand_random_programs__equal_interpreter() -> None:
    for seed in range(1000, 2000):
        case = random_program(np.random.default_rng(seed))
        compare(
            case.program, case.constants, case.inputs, seed=case.seed, threads=1 + seed % 2
        )


WIDTHS = [(DType.I8, 300), (DType.I8, 127), (DType.I16, 40_000), (DType.I32, 1 << 30)]


@pytest.mark.parametrize(("dtype", "bound"), WIDTHS)
def test_run__clamp_wider_than_the_dtype__keeps_the_low_bits(dtype: DType, bound: int) -> None:
    values = np.array([-1e9, -301, -300.5, -129, -128, -1, -0.0, 127.5, 128, 300, 1e9, np.nan])
    x = np.concatenate([values, np.arange(-400, 400, 7.25)]).astype(np.float32)
    c = Code()
    post = c.finish(c.load_f(0).to_int().clamp(bound))
    slots, views = (Slot(DType.F32, x.size),), (affine(0, x.shape, (1,)),)
    b = Builder()
    b.output(b.op(Template(Kind.MAP, dtype, x.shape, slots, views, post), [b.constant(x)]))
    program, constants = b.build()
    (wanted,) = interpreter.run(program, constants, [])
    (got,) = run(program, [], constants=constants)
    assert got.tobytes() == wanted.tobytes()
