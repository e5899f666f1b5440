"""The truth of a job as its disputes need it: the trace of a run, and proofs from it.

Whoever defends a claim, and whoever attacks one, holds a ``Truth``.  It costs a run of the program
with hashing, and is built once; the answers to any number of challenges then cost one more at most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from protocol.hashing import block_levels
from protocol.spec.dispute import Challenge
from protocol.spec.proofs import Prover
from protocol.spec.strategy import Attack, Known, Move, answer, asked_of, claimed_levels
from protocol.spec.trace import Levels, Tree
from protocol.spec.types import Array
from provider.engine.engine import Engine, Progress
from provider.engine.trace import EngineTrace, tensor_data


class Truth:
    """The trace of one run, and a prover over it.  Arguments as those of ``EngineTrace``."""

    def __init__(
        self,
        engine: Engine,
        constants: Sequence[Array],
        inputs: Sequence[Array],
        *,
        seed: int,
        steps: tuple[int, ...],
        progress: Progress | None = None,
        again: Progress | None = None,
        directory: Path | None = None,
    ) -> None:
        self.steps = steps
        self.program = engine.program
        self._engine = engine
        self.trace = EngineTrace(
            engine, inputs, seed=seed, steps=steps, threads=engine.pool.threads,
            progress=progress, again=again, directory=directory,
        )  # fmt: skip
        # Many claims may be disputed at once: what a run needs is given back after it.
        engine.release()
        self._known = Known(b"")
        self._prover = Prover(
            program=engine.program,
            constants=[tensor_data(x) for x in constants],
            inputs=[tensor_data(x) for x in inputs],
            steps=steps,
            seed=seed,
            levels=self._claimed,
            data=self.trace.data,
            tree=block_levels,
        )

    def _claimed(self, tree: Tree, step: int, item: int) -> Levels:
        return claimed_levels(self._known, self.trace, tree, step, item)

    def ready(self, x: Challenge) -> bool:
        """Whether the answer to a challenge needs no more of the program to be run."""
        return self.trace.holds(asked_of(x))

    def prepare(self, asked: Sequence[Challenge]) -> None:
        """Compute what challenges ask for together: at most one run of the program, however many
        they are."""
        if not all(self.ready(x) for x in asked):
            try:
                self.trace.prepare([where for x in asked for where in asked_of(x)])
            finally:
                self._engine.release()

    def answer(self, x: Challenge) -> list[Move]:
        """What this trace's provider owes to a challenge."""
        self.prepare([x])
        return answer(x, self.trace)

    def attack(self, x: Challenge, known: Known) -> list[Move]:
        """All that a challenger can do now.  Raises NothingWrong, HistoryIncomplete."""
        self._known = known
        return Attack(self.program, self.steps, self.trace, known, self._prover).moves(x)


class Truths:
    """Truths by claim, built when they are first asked for, until their claims are forgotten."""

    def __init__(self) -> None:
        self._held: dict[bytes, Truth] = {}

    def has(self, claim: bytes) -> bool:
        """Whether asking for it costs nothing."""
        return claim in self._held

    def of(self, claim: bytes, build: Callable[[], Truth]) -> Truth:
        """The truth about a claim."""
        if claim not in self._held:
            self._held[claim] = build()
        return self._held[claim]

    def forget(self, claim: bytes) -> None:
        """What was built for a claim, if anything was, is given back."""
        self._held.pop(claim, None)

    def keep_only(self, claims: Sequence[bytes]) -> None:
        """Forgets all but these."""
        for claim in set(self._held) - set(claims):
            del self._held[claim]
