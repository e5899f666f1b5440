"""The engine against the interpreter, byte for byte: examples and random legal programs."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.spec.examples import Example, all_examples
from protocol.spec.types import Fold, Kind
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


def test_random_program__hundred_draws__cover_every_kind_and_fold() -> None:
    templates = [
        t
        for seed in range(100)
        for t in random_program(np.random.default_rng(seed)).program.templates
    ]
    assert {t.kind for t in templates} == set(Kind)
    assert {t.fold for t in templates} == set(Fold)
    assert {len(t.r) for t in templates} == {0, 1, 2, 3}
    assert any(t.live_r is not None for t in templates)
    assert any(t.live_out is not None for t in templates)
    assert any(v.guards for t in templates for v in t.views)
    assert any(d.stride < 0 for t in templates for v in t.views for d in v.digits)


@pytest.mark.long
def test_run__thousand_random_programs__equal_interpreter() -> None:
    for seed in range(1000, 2000):
        case = random_program(np.random.default_rng(seed))
        compare(
            case.program, case.constants, case.inputs, seed=case.seed, threads=1 + seed % 2
        )
