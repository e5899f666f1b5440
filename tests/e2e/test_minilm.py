"""MiniLM with its real weights: quality, and the same bits however it is run."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import client
from client.compiled import Compiled
from client.models.minilm import MiniLM, Tokenizer, load
from protocol.spec.types import Array
from provider.engine import Engine

SENTENCES = (
    (Path(__file__).parents[2] / "scripts" / "sentences.txt").read_text().splitlines()
)
CHECKED = (0, 5, 31, 63)
"""Sentences that are also run alone."""


@cache
def model() -> MiniLM:
    return load()


def tokens(sentences: list[str], length: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    return Tokenizer()(sentences, length)


@cache
def compiled(batch: int, length: int) -> Compiled:
    example = (torch.ones(batch, length, dtype=torch.int64),) * 2
    return client.compile(model(), example)


def run(sentences: list[str], length: int | None = None, threads: int | None = None) -> Array:
    ids, mask = tokens(sentences, length)
    made = compiled(*ids.shape)
    engine = Engine(made.program, made.constants, threads=threads)
    return engine.run([ids.numpy(), mask.numpy()])[0]


@pytest.fixture(scope="module")
def batch() -> Array:
    """All 64 sentences at once, padded to the longest."""
    return run(SENTENCES)


def test_minilm__64_sentences__keep_the_quality_of_fp32(batch: Array) -> None:
    with torch.no_grad():
        wanted = model()(*tokens(SENTENCES)).numpy().astype(np.float64)
    got = batch.astype(np.float64)
    norms = np.linalg.norm(got, axis=1) * np.linalg.norm(wanted, axis=1)
    cosines = (got * wanted).sum(axis=1) / norms
    assert len(cosines) == 64
    assert cosines.min() >= 0.99999


@pytest.mark.parametrize("threads", [1, 2])
def test_minilm__threads__same_bits(batch: Array, threads: int) -> None:
    assert run(SENTENCES, threads=threads).tobytes() == batch.tobytes()


def test_minilm__alone_unpadded__same_bits_as_in_the_batch(batch: Array) -> None:
    for k in CHECKED:
        alone = run([SENTENCES[k]])
        assert alone[0].tobytes() == batch[k].tobytes(), f"sentence {k}"


def test_minilm__padded_further__same_bits() -> None:
    k = CHECKED[1]
    plain = run([SENTENCES[k]])
    for length in (32, 45):
        assert run([SENTENCES[k]], length).tobytes() == plain.tobytes()
