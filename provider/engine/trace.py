"""The trace of a run, built by the engine in bounded memory: what a dispute asks a provider for.

One run gives the root of every state after every step and keeps the states of about every √T-th
step.  Whatever else is asked for (the operations of a step, the bytes of a tensor) is computed
again from the nearest kept states: one place costs at most √T steps, any number of them that are
asked for together (``prepare``) one run at most.  What was computed once is kept on disk.  The
trees are those of ``protocol.spec.trace``, bit for bit.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from protocol.hashing import Buffer, block_root
from protocol.spec import trees
from protocol.spec.constants import BLOCK_BYTES, WORD
from protocol.spec.interpreter import check_steps
from protocol.spec.trace import Levels, Tree, phase_of
from protocol.spec.types import Array, Source
from provider.engine.engine import Engine, Progress, Start
from provider.engine.shelf import Shelf

Where = tuple[Tree, int, int]
"""A tree of a trace: which kind, at which leaf of the steps tree, of which item there."""


_BLOCKS = (Tree.STATE_BLOCKS, Tree.OPERATION_BLOCKS)
"""Trees over the blocks of one tensor."""


def tensor_data(tensor: Array) -> memoryview:
    """The committed bytes of a tensor (row-major, little-endian), without a copy if possible."""
    return np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data


class EngineTrace:
    """The true trace of one run.  ``threads`` hash a tensor's blocks.

    Steps are numbered as in the specification: leaf s of the steps tree is the state after s steps,
    and the operations of ``step`` s are those that lead to it.  ``progress`` hears of the first
    run, ``again`` of what is computed again; what is kept lies in ``directory`` (default: that of
    temporary files).
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
        again: Progress | None = None,
        directory: Path | None = None,
    ) -> None:
        self._engine = engine
        self._inputs = list(inputs)
        self._seed = seed
        self._steps = check_steps(engine.program, steps)
        self._threads = threads
        self._again = again
        self._shelf = Shelf(directory)
        self._roots: dict[tuple[Tree, int], list[bytes]] = {}
        self._starts: list[int] = []
        self.hashed = 0
        total = sum(self._steps)
        self._stride = max(1, math.isqrt(total))
        self._leaves = bytearray()
        last: list[Array] = []
        ends: list[bytes] = []
        run = engine.states(
            inputs, seed=seed, steps=self._steps, observe=self._observe, progress=progress
        )
        for s, states in enumerate(run):
            ends = [self._root(x) for x in states]
            self._leaves += trees.list_root(ends)
            if s % self._stride == 0:
                self._keep(s, states)
            last, self.ran = states, s
        self._leaves += self._leaves[-WORD:] * (total - self.ran)
        if self.ran not in self._starts:
            self._keep(self.ran, last)
        self._roots[Tree.STATES, self.ran] = ends
        decls = [engine.program.states[n].tensor for n in engine.program.outputs]
        ends = [ends[n] for n in engine.program.outputs]
        self.outputs = [
            trees.wrap(d.dtype, d.shape, root) for d, root in zip(decls, ends, strict=True)
        ]

    # --- what a game asks for --------------------------------------------------------------------

    def levels(self, tree: Tree, step: int = 0, item: int = 0) -> Levels:
        """All levels of a tree, leaves first."""
        where = self._place(tree, step, item)
        if tree in _BLOCKS:
            data = self._blocks(tree, step, item)
            key = ("levels", where)
            return self._shelf.block_levels(key, data, data.nbytes, self._threads)
        match tree:
            case Tree.STEPS:
                roots: Buffer = self._leaves
            case Tree.OUTPUTS:
                roots = b"".join(self.outputs)
            case Tree.STATES:
                roots = b"".join(self.state_roots(step))
            case _:
                roots = b"".join(self.operation_roots(step))
        leaves = np.frombuffer(roots, np.uint8).reshape(-1, WORD)
        return self._shelf.levels(("levels", where), lambda: leaves, len(leaves))

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
        self._compute([(Tree.OPERATIONS, step, 0)])
        return self._roots[Tree.OPERATIONS, step]

    def state_roots(self, step: int) -> list[bytes]:
        """Block roots of the states after ``step`` steps."""
        self._compute([(Tree.STATES, step, 0)])
        return self._roots[Tree.STATES, min(step, self.ran)]

    def tensor(self, step: int, item: int) -> Array:
        """The result of operation ``item`` of the step that leads to leaf ``step``."""
        where = (Tree.OPERATION_BLOCKS, step, item)
        if where not in self._shelf:
            # Its operands are what a proof of one of its elements is made from.
            number, _ = phase_of(self._steps, step - 1)
            operands = self._engine.program.phases[number].instances[item].operands
            items = {item, *(ref.index for ref in operands if ref.source is Source.OP)}
            self._compute([(Tree.OPERATION_BLOCKS, step, op) for op in items])
        return self._shelf.get(where)

    def state(self, step: int, item: int) -> Array:
        """A state after ``step`` steps."""
        where = self._place(Tree.STATE_BLOCKS, step, item)
        if where[1] in self._starts:
            return self._kept(where[1])[item]
        if where not in self._shelf:
            items = range(self._count(Tree.STATE_BLOCKS, step))
            self._compute([(Tree.STATE_BLOCKS, step, k) for k in items])
        return self._shelf.get(where)

    # --- computing again -------------------------------------------------------------------------

    def holds(self, places: Iterable[Where]) -> bool:
        """Whether what is in the trees at ``places`` is given without computing, or hashing a
        tensor, again."""
        found = list(places)
        return not self._missing(found) and not self._unhashed(found)

    def prepare(self, places: Iterable[Where]) -> None:
        """Compute what is in the trees at ``places``, as far as it is not kept, and hash it.

        From each of the kept states one run, up to the last step that is wanted before the next:
        together at most one run of the program, however many places there are.
        """
        found = list(places)
        self._compute(found)
        unhashed = self._unhashed(found)
        for done, where in enumerate(unhashed, 1):
            self.levels(*where)
            if self._again is not None:
                self._again(done, len(unhashed))

    def _compute(self, places: Iterable[Where]) -> None:
        wanted: dict[int, set[Where]] = {}
        for where in self._missing(places):
            if where[0] is Tree.STATES and where[1] in self._starts:
                self._roots[where[:2]] = [self._root(x) for x in self._kept(where[1])]
                continue
            start = self._starts[bisect_left(self._starts, where[1]) - 1]
            wanted.setdefault(start, set()).add(where)
        for start, found in sorted(wanted.items()):
            self._stretch(start, found)

    def _missing(self, places: Iterable[Where]) -> list[Where]:
        """Those that want a run: not what is known of all steps, and not what does not exist."""
        found = {self._place(*where) for where in places}
        return [
            where
            for where in found
            if where[2] < self._count(*where[:2])
            and where[:2] not in self._roots
            and where not in self._shelf
            and not (where[0] is Tree.STATE_BLOCKS and where[1] in self._starts)
        ]

    def _unhashed(self, places: Iterable[Where]) -> list[Where]:
        """Tensors whose trees are not kept."""
        found = {self._place(*where) for where in places if where[0] in _BLOCKS}
        return [
            where
            for where in sorted(found)
            if where[2] < self._count(*where[:2]) and ("levels", where) not in self._shelf
        ]

    def _count(self, tree: Tree, step: int) -> int:
        """Trees of a kind at a step that a run gives."""
        match tree:
            case Tree.STATES:
                return 1
            case Tree.STATE_BLOCKS:
                return len(self._engine.program.states)
            case Tree.OPERATIONS if 0 < step <= self.ran:
                return 1
            case Tree.OPERATION_BLOCKS if 0 < step <= self.ran:
                number, _ = phase_of(self._steps, step - 1)
                return len(self._engine.program.phases[number].instances)
        return 0

    def _place(self, tree: Tree, step: int, item: int) -> Where:
        """Where something is kept: states do not change after the last step that ran."""
        states = tree in (Tree.STATES, Tree.STATE_BLOCKS)
        return tree, min(step, self.ran) if states else step, item

    def _stretch(self, start: int, wanted: set[Where]) -> None:
        """Run from the states after ``start`` steps, and keep what is wanted on the way."""
        roots: dict[tuple[Tree, int], list[bytes]] = {
            where[:2]: [] for where in wanted if where[0] in (Tree.STATES, Tree.OPERATIONS)
        }

        def see(roots_of: Tree, blocks_of: Tree, step: int, item: int, tensor: Array) -> None:
            if (roots_of, step) in roots:
                roots[roots_of, step].append(self._root(tensor))
            if (blocks_of, step, item) in wanted:
                self._shelf.put((blocks_of, step, item), [tensor])

        def observe(phase: int, t: int, op: int, tensor: Array) -> None:
            see(Tree.OPERATIONS, Tree.OPERATION_BLOCKS, t + 1, op, tensor)

        run = self._engine.states(
            self._inputs,
            seed=self._seed,
            steps=self._steps,
            start=Start(start, self._kept(start)),
            observe=observe,
            progress=self._again,
        )
        last = max(step for _, step, _ in wanted)
        for s, states in enumerate(run, start):
            for k, tensor in enumerate(states):
                see(Tree.STATES, Tree.STATE_BLOCKS, s, k, tensor)
            if s == last:
                break
        self._roots |= roots

    def _keep(self, step: int, states: Sequence[Array]) -> None:
        """Keep the states after a step: runs can start from them."""
        self._shelf.put(("states", step), states)
        self._starts.append(step)

    def _kept(self, step: int) -> list[Array]:
        return self._shelf.all(("states", step))

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
            key = (Tree.OPERATIONS, step + 1)
            self._roots.setdefault(key, []).append(self._root(tensor))
