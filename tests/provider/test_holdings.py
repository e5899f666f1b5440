"""Answers to demands are those of the plain answerer; each tensor is hashed once."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from protocol.hashing import block_leaves
from protocol.spec import examples
from protocol.spec.answers import Answerer, Part
from protocol.spec.interpreter import check_steps, run
from protocol.storage.jobs import JobData
from provider.holdings import answerer

EXAMPLES = {e.name: e for e in examples.all_examples()}


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_answer__every_place__is_the_plain_answerers_and_hashed_once(
    example: examples.Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    e = example
    outputs = run(e.program, e.constants, e.inputs, seed=e.seed, steps=e.steps)
    data = JobData(e.program, e.constants, e.inputs, check_steps(e.program, e.steps))
    held = {Part.CONSTANT: e.constants, Part.INPUT: e.inputs, Part.OUTPUT: outputs}
    plain = Answerer(e.program, lambda part, item: held[part][item].tobytes())
    hashed = Mock(side_effect=block_leaves)
    monkeypatch.setattr("provider.engine.shelf.block_leaves", hashed)
    again = Mock(side_effect=AssertionError("a tensor is hashed beside its tree"))
    monkeypatch.setattr("protocol.hashing.roots.block_root", again)
    got = answerer(data, outputs, tmp_path, threads=2)
    for part, tensors in held.items():
        for item, tensor in enumerate(tensors):
            for index in range(-(-tensor.nbytes // (32 * 512)) + 1):
                for _ in range(2):
                    assert got.answer(part, item, index) == plain.answer(part, item, index)
    assert hashed.call_count == sum(map(len, held.values())) > 0
