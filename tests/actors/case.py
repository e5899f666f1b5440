"""One committed job over a small program: the terms, the truth and what was claimed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protocol.spec import encoding, trees
from protocol.spec.examples import Example
from protocol.spec.interpreter import check_steps
from protocol.spec.job import Task, pack_steps
from protocol.spec.trace import Corrupt, Trace, run_trace
from protocol.spec.types import Array


def raw(tensor: Array) -> bytes:
    """Committed bytes of a tensor."""
    return np.ascontiguousarray(tensor).tobytes()


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
