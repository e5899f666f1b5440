"""A compiled model as a job: truth and lies are computed by the engine, at the model's size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import client
from client.models import minilm
from protocol.hashing import block_levels, tensors_root
from protocol.spec import encoding
from protocol.spec.examples import Example
from protocol.spec.interpreter import check_steps
from protocol.spec.job import Task, pack_steps
from protocol.spec.proofs import LevelsOf, Prover
from protocol.spec.types import Array
from provider.engine import Engine
from provider.engine.engine import Tamper
from provider.engine.trace import EngineTrace, tensor_data

SENTENCES: Final = Path(__file__).parents[2] / "scripts" / "sentences.txt"

Change = Callable[[Array], None]
"""change(result) changes an operation's result, in place."""


def one_bit(element: int, bit: int = 0) -> Change:
    """Flips one bit of one element, counted in row-major order."""

    def change(result: Array) -> None:
        result.reshape(-1)[element : element + 1].view("u1")[bit // 8] ^= 1 << (bit % 8)

    return change


def at(operation: int, change: Change, step: int = 0) -> Tamper:
    """A lie in one operation; what follows is computed from it."""

    def tamper(t: int, n: int, result: Array) -> None:
        if (t, n) == (step, operation):
            change(result)

    return tamper


@dataclass(frozen=True)
class CompiledCase:
    """A compiled model, its inputs and the true trace of its run."""

    example: Example
    truth: EngineTrace

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps of each phase."""
        return check_steps(self.example.program, self.example.steps)

    def lie(self, tamper: Tamper) -> EngineTrace:
        """The trace of a provider whose engine tampers with its results."""
        engine = Engine(self.example.program, self.example.constants)
        engine.tamper = tamper
        return EngineTrace(engine, self.example.inputs)

    def prover(self, levels: LevelsOf) -> Prover:
        """Builds proofs from the truth and the claimed trees."""
        e = self.example
        return Prover(
            program=e.program,
            constants=[tensor_data(x) for x in e.constants],
            inputs=[tensor_data(x) for x in e.inputs],
            steps=self.steps,
            seed=e.seed,
            levels=levels,
            data=self.truth.data,
            tree=block_levels,
        )

    def task(self, referee: bytes, locators_hash: bytes) -> Task:
        """What is computed."""
        e = self.example
        return Task(
            referee=referee,
            program_root=encoding.program_root(e.program),
            constants_root=tensors_root(e.program.constants, e.constants),
            inputs_root=tensors_root(e.program.inputs, e.inputs),
            locators_hash=locators_hash,
            steps=pack_steps(self.steps),
            seed=e.seed,
        )


@cache
def minilm_case(sentences: int) -> CompiledCase:
    """MiniLM over the demonstration's first sentences."""
    tokens = minilm.Tokenizer()(SENTENCES.read_text().splitlines()[:sentences])
    made = client.compile(minilm.load(), tokens)
    example = Example("minilm", made.program, made.constants, made.bind(*tokens))
    return CompiledCase(example, EngineTrace(Engine(made.program, made.constants), example.inputs))
