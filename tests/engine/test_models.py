"""Compiled models: the engine equals the interpreter in every operation, and the bits do not depend
on batch, padding or threads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

import client
from client.compiled import Compiled
from client.models import minilm
from protocol.spec.types import Array
from provider.engine import Engine, run
from tests.engine.support import compare, same

SMALL = minilm.Config(
    vocabulary=50, positions=16, segments=2, width=24, layers=2, heads=3, inner=48, eps=1e-12
)
SENTENCE = "The ferry left the harbour before dawn, while the town was still asleep."


def small_model() -> minilm.MiniLM:
    """A little encoder with weights of ordinary size."""
    torch.manual_seed(0)
    return minilm.MiniLM(SMALL).eval()


def tokens(batch: int, length: int, used: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask of ``batch`` rows, of which row k has ``used[k]`` tokens."""
    rng = np.random.default_rng(1)
    ids = torch.from_numpy(rng.integers(1, SMALL.vocabulary, (batch, 16)))[:, :length].clone()
    mask = torch.tensor([[int(k < n) for k in range(length)] for n in used])
    return ids * mask, mask


def outputs(compiled: Compiled, *args: torch.Tensor, threads: int = 1) -> list[Array]:
    return run(
        compiled.program, compiled.bind(*args), constants=compiled.constants, threads=threads
    )


@pytest.mark.parametrize("precision", ["i16", "i14", "i8w", "i8"])
def test_engine__small_encoder__every_operation_equals_interpreter(precision: str) -> None:
    args = tokens(3, 7, (7, 4, 1))
    compiled = client.compile(small_model(), args, precision)
    compare(compiled.program, compiled.constants, compiled.bind(*args), threads=2)


def test_engine__batch_padding_threads__same_bits() -> None:
    model = small_model()
    ids, mask = tokens(3, 7, (7, 4, 1))
    together = client.compile(model, (ids, mask))
    whole = outputs(together, ids, mask)[0]
    assert same(whole, outputs(together, ids, mask, threads=2)[0])
    longer = torch.nn.functional.pad(ids, (0, 5)), torch.nn.functional.pad(mask, (0, 5))
    padded = outputs(client.compile(model, longer), *longer)[0]
    assert same(whole, padded)
    single = client.compile(model, (ids[:1], mask[:1]))
    for k in range(3):
        alone = outputs(single, ids[k : k + 1], mask[k : k + 1])[0]
        assert same(whole[k : k + 1], alone)


def test_engine__minilm_one_sentence__every_operation_equals_interpreter() -> None:
    args = minilm.Tokenizer()([SENTENCE])
    compiled = client.compile(minilm.load(), args)
    engine = Engine(compiled.program, compiled.constants, threads=2)
    compare(compiled.program, compiled.constants, compiled.bind(*args), engine=engine)


@pytest.mark.long
def test_engine__minilm_batch_of_64_and_of_one__same_bits() -> None:
    model, tokenizer = minilm.load(), minilm.Tokenizer()
    lines = [f"{SENTENCE} {k} " + "and again " * (k % 5) for k in range(64)]
    args = tokenizer(lines)
    compiled = client.compile(model, args)
    whole = outputs(compiled, *args)[0]
    assert same(whole, outputs(compiled, *args, threads=2)[0])
    for k in (0, 4, 63):
        alone = tokenizer(lines[k : k + 1])
        single = client.compile(model, alone)
        assert same(whole[k : k + 1], outputs(single, *alone)[0])
