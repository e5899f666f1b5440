"""The trace of a run, built by the engine in bounded memory: what a dispute asks a provider for.

One run gives the root of every state after every step and keeps the states of about every √T-th
step.  Whatever else a move needs (the operations of a step, the blocks of a tensor) is computed
again from the nearest kept states, hashed as it appears, and dropped: a move costs at most √T
steps.  Of the step that was last asked for, one operation's result stays with its operands: they
are what a proof of one of its elements is made from.  The trees are those of
``protocol.spec.trace``, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np

from protocol.hashing import block_levels, block_root
from protocol.spec import trees
from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.interpreter import check_steps
from protocol.spec.trace import Levels, Tree, phase_of
from protocol.spec.types import Array, Source
from provider.engine.engine import Engine, Progress, Start


def tensor_data(tensor: Array) -> memoryview:
    """The committed bytes of a tensor (row-major, little-endian), without a copy if possible."""
    return np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data


class EngineTrace:
    """The true trace of one run.  ``threads`` hash a tensor's blocks.

    Steps are numbered as in the specification: leaf s of the steps tree is the state after s steps,
    and the operations of ``step`` s are those that lead to it.
    """

    def __init__(
        self,
        engine: Engine,
        inputs: Sequence[Array],
        *,
        seed: int = 0,
        steps: Sequence[int] | None = None,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> None:
        self._engine = engine
        self._inputs = list(inputs)
        self._seed = seed
        self._steps = check_steps(engine.program, steps)
        self._threads = threads
        self._kept: dict[int, list[Array]] = {}
        self._tensors: dict[tuple[int, int], Array] = {}
        self._last: tuple[int, list[Array]] | None = None
        self._operations: tuple[int, list[bytes]] | None = None
        self.hashed = 0
        total = sum(self._steps)
        self._stride = max(1, math.isqrt(total))
        self.state_roots: list[list[bytes]] = []
        last: list[Array] = []
        run = engine.states(
            inputs, seed=seed, steps=self._steps, observe=self._observe, progress=progress
        )
        for s, states in enumerate(run):
            self.state_roots.append([self._root(x) for x in states])
            if s % self._stride == 0:
                self._kept[s] = states
            last = states
        self.ran = len(self.state_roots) - 1
        self.state_roots += [self.state_roots[-1]] * (total - self.ran)
        self._kept[self.ran] = last
        decls = [engine.program.states[n].tensor for n in engine.program.outputs]
        ends = [self.state_roots[-1][n] for n in engine.program.outputs]
        self.outputs = [
            trees.wrap(d.dtype, d.shape, root) for d, root in zip(decls, ends, strict=True)
        ]

    # --- what a game asks for --------------------------------------------------------------------

    def levels(self, tree: Tree, step: int = 0, item: int = 0) -> Levels:
        """All levels of a tree, leaves first."""
        match tree:
            case Tree.STEPS:
                return trees.levels_of([trees.list_root(roots) for roots in self.state_roots])
            case Tree.OUTPUTS:
                return trees.levels_of(self.outputs)
            case Tree.STATES:
                return trees.levels_of(self.state_roots[step])
            case Tree.OPERATIONS:
                return trees.levels_of(self.operation_roots(step))
            case _:
                return block_levels(self._blocks(tree, step, item), self._threads)

    def root(self, tree: Tree, step: int = 0, item: int = 0) -> bytes:
        """Root of a tree."""
        return self.levels(tree, step, item)[-1][0]

    def block(self, tree: Tree, step: int, item: int, index: int) -> bytes:
        """The 512 bytes of a leaf of a blocks tree."""
        data = self._blocks(tree, step, item)
        return bytes(data[index * BLOCK_BYTES : (index + 1) * BLOCK_BYTES]).ljust(
            BLOCK_BYTES, b"\0"
        )

    def data(self, tree: Tree, step: int, item: int) -> memoryview:
        """All bytes of a state (STATES) or of an operation's result (OPERATIONS)."""
        is_state = tree is Tree.STATES
        return tensor_data(self.state(step, item) if is_state else self.tensor(step, item))

    def operation_roots(self, step: int) -> list[bytes]:
        """Block roots of the operations that lead to leaf ``step``; HALTED alone if none ran."""
        if step > self.ran:
            return [trees.HALTED]
        if self._operations is None or self._operations[0] != step:
            roots: list[bytes] = []
            self._replay(step, lambda op, tensor: roots.append(self._root(tensor)))
            self._operations = (step, roots)
        return self._operations[1]

    def tensor(self, step: int, item: int) -> Array:
        """The result of operation ``item`` of the step that leads to leaf ``step``."""
        if (step, item) not in self._tensors:
            number, _ = phase_of(self._steps, step - 1)
            operands = self._engine.program.phases[number].instances[item].operands
            wanted = {item, *(ref.index for ref in operands if ref.source is Source.OP)}
            found: dict[tuple[int, int], Array] = {}

            def see(op: int, tensor: Array) -> None:
                if op in wanted:
                    found[step, op] = tensor

            self._replay(step, see)
            self._tensors = found
        return self._tensors[step, item]

    def state(self, step: int, item: int) -> Array:
        """A state after ``step`` steps."""
        return self._states(min(step, self.ran))[item]

    # --- computing again -------------------------------------------------------------------------

    def _blocks(self, tree: Tree, step: int, item: int) -> memoryview:
        is_state = tree is Tree.STATE_BLOCKS
        return self.data(Tree.STATES if is_state else Tree.OPERATIONS, step, item)

    def _root(self, tensor: Array) -> bytes:
        data = tensor_data(tensor)
        self.hashed += len(data)
        return block_root(data, self._threads)

    def _observe(self, phase: int, step: int, op: int, tensor: Array) -> None:
        """During the first run: the roots of the last step's operations, which a game on a
        one-step program asks for at once."""
        if step == sum(self._steps) - 1:
            if op == 0:
                self._operations = (step + 1, [])
            assert self._operations is not None, "operation 0 comes first"
            self._operations[1].append(self._root(tensor))

    def _start(self, step: int) -> Start:
        at = max(s for s in self._kept if s <= step)
        return Start(at, self._kept[at])

    def _states(self, step: int) -> list[Array]:
        if self._last is None or self._last[0] != step:
            start = self._start(step)
            run = self._engine.states(
                self._inputs, seed=self._seed, steps=self._steps, start=start
            )
            self._last = step, next(islice(run, step - start.step, None))
        return self._last[1]

    def _replay(self, step: int, see: Callable[[int, Array], None]) -> None:
        """Run the step that leads to leaf ``step`` again: see(operation, result) for each."""

        def observe(phase: int, t: int, op: int, tensor: Array) -> None:
            if t == step - 1:
                see(op, tensor)

        start = self._start(step - 1)
        run = self._engine.states(
            self._inputs, seed=self._seed, steps=self._steps, start=start, observe=observe
        )
        next(islice(run, step - start.step, None))
