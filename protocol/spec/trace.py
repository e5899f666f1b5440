"""The trace of a whole run: what a provider commits when its claim is challenged.

Leaf s of the steps tree is the state root after s steps; the operations of step t (which leads
from leaf t to leaf t + 1) are committed when a dispute reaches them.  Everything is kept as bytes,
so this is for small programs; an engine builds the same trees in bounded memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np

from protocol.spec import trees
from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.interpreter import check_steps, check_tensors, initial_state, run_step
from protocol.spec.operations import Scalars
from protocol.spec.types import Array, Phase, Program


class Tree(IntEnum):
    """The trees of a trace; the names and numbers of contracts/types/Dispute.sol."""

    STEPS = 0
    OUTPUTS = 1
    STATES = 2
    OPERATIONS = 3
    STATE_BLOCKS = 4
    OPERATION_BLOCKS = 5


Corrupt = Callable[[int, int, Array], Array]
"""corrupt(step, operation, tensor) gives what a liar takes for the operation's result."""

Levels = Sequence[Sequence[bytes]]
"""All levels of a tree, leaves first."""

Raw = bytes | memoryview
"""The committed bytes of a tensor."""


class AnyTrees(Protocol):
    """The trees of a trace."""

    def levels(self, tree: Tree, step: int = 0, item: int = 0) -> Levels:
        """All levels of a tree."""


class AnyTrace(AnyTrees, Protocol):
    """What a player asks a trace for: ``Trace``, or one that an engine computes as it is asked.

    ``step`` is a leaf of the steps tree (its states, or the operations that lead to it) and
    ``item`` a state or an operation there.
    """

    def root(self, tree: Tree, step: int = 0, item: int = 0) -> bytes:
        """Root of a tree."""

    def block(self, tree: Tree, step: int, item: int, index: int) -> bytes:
        """The 512 bytes of a leaf of a blocks tree."""

    def data(self, tree: Tree, step: int, item: int) -> Raw:
        """All bytes of a state (STATES) or of an operation's result (OPERATIONS)."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Claimed (or true) bytes of every tensor of a run.

    ``states[s][k]`` are the bytes of state k after s steps, ``operations[t][i]`` those of operation
    i of step t (None: the step started with halt set), ``outputs`` the outputs' tensor roots.
    """

    states: list[list[bytes]]
    operations: list[list[bytes] | None]
    outputs: list[bytes]

    def state_roots(self) -> list[bytes]:
        """Leaves of the steps tree."""
        return [trees.list_root(map(trees.block_root, states)) for states in self.states]

    def levels(self, tree: Tree, step: int = 0, item: int = 0) -> Levels:
        """All levels of a tree.

        ``step`` is a leaf of the steps tree (its states, or the operations that lead to it) and
        ``item`` a state or an operation there.
        """
        if tree is Tree.STEPS:
            return trees.levels_of(self.state_roots())
        if tree is Tree.OUTPUTS:
            return trees.levels_of(self.outputs)
        if tree in (Tree.STATES, Tree.STATE_BLOCKS):
            tensors = self.states[step]
        else:
            done = self.operations[step - 1]
            if done is None:
                return [[trees.HALTED]]
            tensors = done
        if tree in (Tree.STATES, Tree.OPERATIONS):
            return trees.levels_of([trees.block_root(data) for data in tensors])
        return trees.levels_of(trees.block_leaves(tensors[item]))

    def root(self, tree: Tree, step: int = 0, item: int = 0) -> bytes:
        """Root of a tree."""
        return self.levels(tree, step, item)[-1][0]

    def block(self, tree: Tree, step: int, item: int, index: int) -> bytes:
        """The 512 bytes of a leaf of a blocks tree."""
        source = Tree.STATES if tree is Tree.STATE_BLOCKS else Tree.OPERATIONS
        data = self.data(source, step, item)
        size = BLOCK_BYTES
        return data[index * size : (index + 1) * size].ljust(size, b"\0")

    def data(self, tree: Tree, step: int, item: int) -> bytes:
        """All bytes of a state (STATES) or of an operation's result (OPERATIONS); none of an
        operation of a step that did not run."""
        if tree is Tree.STATES:
            return self.states[step][item]
        done = self.operations[step - 1]
        return b"" if done is None else done[item]


def _bytes(tensor: Array) -> bytes:
    return np.ascontiguousarray(tensor).tobytes()


def phase_of(steps: Sequence[int], t: int) -> tuple[int, int]:
    """Phase of step ``t`` (below the sum of ``steps``), and the step's number there."""
    for number, count in enumerate(steps):
        if t < count:
            return number, t
        t -= count
    raise IndexError(f"step {t} beyond the last of {sum(steps)}")


def run_trace(
    program: Program,
    constants: Sequence[Array],
    inputs: Sequence[Array],
    *,
    seed: int = 0,
    steps: Sequence[int] | None = None,
    corrupt: Corrupt | None = None,
) -> Trace:
    """The trace of a run; arguments as those of ``interpreter.run``.

    With ``corrupt`` it is a liar's: what follows is computed from what it gives.
    """
    check_tensors("constant", program.constants, constants)
    check_tensors("input", program.inputs, inputs)
    wanted = check_steps(program, steps)
    states = [initial_state(s, constants, inputs) for s in program.states]
    kept = [[_bytes(x) for x in states]]
    operations: list[list[bytes] | None] = []
    for t in range(sum(wanted)):
        number, k = phase_of(wanted, t)
        if program.halt is not None and int(states[program.halt].reshape(-1)[0]) != 0:
            operations.append(None)
        else:
            results: list[bytes] = []
            scalars = Scalars(t, k, seed)
            phase = program.phases[number]
            states = _step(program, phase, constants, inputs, states, scalars, corrupt, results)
            operations.append(results)
        kept.append([_bytes(x) for x in states])
    decls = [program.states[n].tensor for n in program.outputs]
    ends = [kept[-1][n] for n in program.outputs]
    outputs = [
        trees.wrap(d.dtype, d.shape, trees.block_root(x)) for d, x in zip(decls, ends, strict=True)
    ]
    return Trace(kept, operations, outputs)


def _step(
    program: Program,
    phase: Phase,
    constants: Sequence[Array],
    inputs: Sequence[Array],
    states: Sequence[Array],
    scalars: Scalars,
    corrupt: Corrupt | None,
    results: list[bytes],
) -> list[Array]:
    def see(number: int, tensor: Array) -> None:
        if corrupt is not None:
            tensor[...] = corrupt(scalars.step, number, tensor.copy())
        results.append(_bytes(tensor))

    return run_step(program, phase, constants, inputs, states, scalars, see)


@dataclass(frozen=True, slots=True)
class Place:
    """A leaf of a tree of a trace."""

    tree: Tree
    step: int
    item: int
    index: int


def first_difference(truth: Trace, claimed: Trace) -> Place | None:
    """Where a challenger's walk ends: the leftmost leaf of ``claimed`` that differs, or None.

    First by step, then operations before states, then by block; outputs come last.
    """
    for s, (good, bad) in enumerate(zip(truth.state_roots(), claimed.state_roots(), strict=True)):
        if good != bad:
            return _in_step(truth, claimed, s)
    for j, (good, bad) in enumerate(zip(truth.outputs, claimed.outputs, strict=True)):
        if good != bad:
            return Place(Tree.OUTPUTS, 0, 0, j)
    return None


def _in_step(truth: Trace, claimed: Trace, s: int) -> Place:
    if s > 0:
        good, bad = truth.operations[s - 1], claimed.operations[s - 1]
        if good is None or bad is None:
            if good is not bad or claimed.states[s] != claimed.states[s - 1]:
                return Place(Tree.STEPS, s, 0, s)
        elif good != bad:
            return _in_tensors(Tree.OPERATION_BLOCKS, s, good, bad)
    return _in_tensors(Tree.STATE_BLOCKS, s, truth.states[s], claimed.states[s])


def _in_tensors(tree: Tree, s: int, good: list[bytes], bad: list[bytes]) -> Place:
    item = next(k for k, (a, b) in enumerate(zip(good, bad, strict=True)) if a != b)
    pairs = zip(trees.block_leaves(good[item]), trees.block_leaves(bad[item]), strict=True)
    return Place(tree, s, item, next(k for k, (a, b) in enumerate(pairs) if a != b))
