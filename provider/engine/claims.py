"""The truth of a job as its disputes need it: the trace of a run, and proofs from it.

Whoever defends a claim, and whoever attacks one, holds a ``Truth``.  It costs a run of the program
with hashing, and is built once; a move then costs at most √T steps.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from protocol.hashing import block_levels
from protocol.spec.dispute import Challenge
from protocol.spec.proofs import Prover
from protocol.spec.strategy import Attack, Known, Move, answer, claimed_levels
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
    ) -> None:
        self.steps = steps
        self.program = engine.program
        self.trace = EngineTrace(
            engine, inputs, seed=seed, steps=steps, threads=engine.pool.threads, progress=progress
        )
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

    def answer(self, x: Challenge) -> list[Move]:
        """What this trace's provider owes to a challenge."""
        return answer(x, self.trace)

    def attack(self, x: Challenge, known: Known) -> list[Move]:
        """All that a challenger can do now.  Raises NothingWrong, HistoryIncomplete."""
        self._known = known
        return Attack(self.program, self.steps, self.trace, known, self._prover).moves(x)


class Truths:
    """Truths by claim, built when they are first asked for; the ``keep`` last used stay."""

    def __init__(self, keep: int = 8) -> None:
        self._keep = keep
        self._held: OrderedDict[bytes, Truth] = OrderedDict()

    def has(self, claim: bytes) -> bool:
        """Whether asking for it costs nothing."""
        return claim in self._held

    def of(self, claim: bytes, build: Callable[[], Truth]) -> Truth:
        """The truth about a claim."""
        if claim not in self._held:
            made = build()
            while len(self._held) >= self._keep:
                self._held.popitem(last=False)
            self._held[claim] = made
        self._held.move_to_end(claim)
        return self._held[claim]

    def keep_only(self, claims: Sequence[bytes]) -> None:
        """Forgets all but these."""
        for claim in set(self._held) - set(claims):
            del self._held[claim]
