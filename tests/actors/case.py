"""One committed job: the terms, the truth and what was claimed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from protocol.spec import encoding, trees
from protocol.spec.examples import Example
from protocol.spec.interpreter import check_steps
from protocol.spec.job import Task, pack_steps
from protocol.spec.proofs import LevelsOf, Prover
from protocol.spec.strategy import Truth
from protocol.spec.trace import Corrupt, Raw, Trace, Tree, run_trace
from protocol.spec.types import Array


def raw(tensor: Array) -> bytes:
    """Committed bytes of a tensor."""
    return np.ascontiguousarray(tensor).tobytes()


class AnyTrace(Truth, Protocol):
    """A whole trace: the specification's, or an engine's."""

    def root(self, tree: Tree, step: int = 0, item: int = 0) -> bytes:
        """Root of a tree."""

    def data(self, tree: Tree, step: int, item: int) -> Raw:
        """All bytes of a state (STATES) or of an operation's result (OPERATIONS)."""


class AnyCase(Protocol):
    """A job and its truth, as the players take it."""

    @property
    def example(self) -> Example:
        """The program and its run."""

    @property
    def truth(self) -> AnyTrace:
        """The true trace."""

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps of each phase."""

    def prover(self, levels: LevelsOf) -> Prover:
        """Builds proofs from the truth and the claimed trees."""

    def task(self, referee: bytes, locators_hash: bytes) -> Task:
        """What is computed."""


@dataclass(frozen=True)
class Case:
    """An example as a job."""

    example: Example
    truth: Trace

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps of each phase."""
        return check_steps(self.example.program, self.example.steps)

    def lie(self, corrupt: Corrupt) -> Trace:
        """The trace of a provider that takes other results for its operations."""
        return trace_of(self.example, corrupt)

    def prover(self, levels: LevelsOf) -> Prover:
        """Builds proofs from the truth and the claimed trees."""
        e = self.example
        return Prover(
            program=e.program,
            constants=[raw(x) for x in e.constants],
            inputs=[raw(x) for x in e.inputs],
            steps=self.steps,
            seed=e.seed,
            levels=levels,
            data=self.truth.data,
        )

    def task(self, referee: bytes, locators_hash: bytes) -> Task:
        """What is computed."""
        e = self.example
        return Task(
            referee=referee,
            program_root=encoding.program_root(e.program),
            constants_root=trees.tensors_root(e.program.constants, e.constants),
            inputs_root=trees.tensors_root(e.program.inputs, e.inputs),
            locators_hash=locators_hash,
            steps=pack_steps(self.steps),
            seed=e.seed,
        )


def trace_of(example: Example, corrupt: Corrupt | None = None) -> Trace:
    """The example's trace."""
    return run_trace(
        example.program, example.constants, example.inputs,
        seed=example.seed, steps=example.steps, corrupt=corrupt,
    )  # fmt: skip


def case_of(example: Example) -> Case:
    """The example as a job, with its truth."""
    return Case(example, trace_of(example))
