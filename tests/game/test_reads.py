"""A proof brings the blocks that an element reads, and no element reads any other."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.spec.examples import Example, all_examples
from protocol.spec.interpreter import run
from protocol.spec.operations import Scalars, element
from protocol.spec.reads import element_reads, runs_of
from protocol.spec.types import Array, Source, Template
from tests.game.world import case


def operations_of(e: Example) -> list[tuple[Template, list[Array]]]:
    """The operations of the first step and their operands, without those that read states."""
    results: dict[int, Array] = {}

    def see(phase: int, step: int, op: int, tensor: Array) -> None:
        if (phase, step) == (0, 0):
            results[op] = tensor

    run(e.program, e.constants, e.inputs, seed=e.seed, steps=e.steps, observe=see)
    sources = {Source.CONST: e.constants, Source.INPUT: e.inputs}
    out = []
    for instance in e.program.phases[0].instances:
        if any(ref.source is Source.STATE for ref in instance.operands):
            continue
        operands = [
            results[ref.index] if ref.source is Source.OP else sources[ref.source][ref.index]
            for ref in instance.operands
        ]
        out.append((e.program.templates[instance.template], operands))
    return out


def with_garbage_elsewhere(tensor: Array, blocks: list[int]) -> Array:
    """All bytes outside ``blocks`` inverted."""
    data = np.frombuffer(tensor.tobytes(), "u1").copy()
    keep = np.isin(np.arange(len(data)) // 512, blocks)
    data[~keep] ^= 0xFF
    return np.frombuffer(data.tobytes(), tensor.dtype)


@pytest.mark.parametrize("example", [*all_examples(), case("wide").example], ids=lambda e: e.name)
def test_element_reads__garbage_in_all_other_blocks__gives_the_same_bits(example: Example) -> None:
    for t, operands in operations_of(example):
        for i in {0, t.count // 2, t.count - 1}:
            value, reads = element_reads(t, operands, Scalars(seed=example.seed), i)
            garbled = [
                with_garbage_elsewhere(x, blocks) for x, blocks in zip(operands, reads, strict=True)
            ]
            again = element(t, garbled, Scalars(seed=example.seed), i)
            assert again.tobytes() == value.tobytes()


def test_element_reads__wide_operand__one_block() -> None:
    ((t, operands),) = operations_of(case("wide").example)
    _, reads = element_reads(t, operands, Scalars(), 17_500)
    assert reads == [[17_500 * 4 // 512]]


def test_runs_of__neighbours__are_one_run() -> None:
    assert runs_of([0, 1, 2, 5, 7, 8]) == [(0, 3), (5, 1), (7, 2)]
    assert runs_of([]) == []
