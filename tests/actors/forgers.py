"""Lies about a whole run or about the nodes of its trees: cheaper runs, copies, forged nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import numpy as np

from protocol.spec import trees
from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.trace import Levels, Trace, Tree
from protocol.spec.types import Array, DType
from tests.actors.case import Case, trace_of
from tests.actors.liars import Lie, one_bit_in

Where = tuple[Tree, int, int]
"""A tree of a trace: its kind, the step, the item."""


def run_of(case: Case, **changes: object) -> Trace:
    """The trace of the same program with other arguments, as fields of ``Example``."""
    return trace_of(replace(case.example, **changes))  # type: ignore[arg-type]


# --- cheaper or other runs -----------------------------------------------------------------------


def wrong_weight(constant: int, row: int) -> Lie:
    """One weight of one constant is another; everything else is computed as it should be."""

    def lie(case: Case) -> Trace:
        constants = [x.copy() for x in case.example.constants]
        weights = constants[constant].reshape(-1, constants[constant].shape[-1])
        weights[row, 0] = -weights[row, 0] or 1
        return run_of(case, constants=constants)

    return lie


def clipped_weights(case: Case) -> Trace:
    """What an engine gets that keeps weights to what two int8 limbs hold."""
    return run_of(case, constants=[np.clip(x, -32639, 32639) for x in case.example.constants])


def skipped(operation: int, before: int) -> Lie:
    """Operation ``operation`` is not computed: its result is that of operation ``before``."""

    def lie(case: Case) -> Trace:
        kept: dict[int, Array] = {}

        def corrupt(_: int, i: int, tensor: Array) -> Array:
            kept[i] = tensor
            return kept[before] if i == operation else tensor

        return case.lie(corrupt)

    return lie


def eight_bits(operations: Sequence[int]) -> Lie:
    """These i16 operations are quantised to eight bits, and scaled up again."""

    def corrupt(_: int, i: int, tensor: Array) -> Array:
        if i not in operations:
            return tensor
        return (np.rint(tensor.astype(np.float64) / 257.0) * 257.0).astype(tensor.dtype)

    return lambda case: case.lie(corrupt)


def short_mantissa(_: int, __: int, tensor: Array) -> Array:
    """A result as bfloat16 has it: f32 without the low half of its bits."""
    if tensor.dtype != DType.F32.numpy:
        return tensor
    bits = tensor.view(np.uint32) & np.uint32(0xFFFF0000)
    return bits.view(np.float32)


def in_bfloat16(case: Case) -> Trace:
    """Every f32 result keeps eight bits of its mantissa."""
    return case.lie(short_mantissa)


def of_other_inputs(case: Case) -> Trace:
    """A job with the same program and other inputs, its result and its trace copied."""
    inputs = [np.roll(x, 1, axis=-1).copy() for x in case.example.inputs]
    assert any((a != b).any() for a, b in zip(inputs, case.example.inputs, strict=True))
    return run_of(case, inputs=inputs)


def of_another_seed(case: Case) -> Trace:
    """A job that differs in the seed alone, copied."""
    return run_of(case, seed=case.example.seed + 1)


# --- wrappers ------------------------------------------------------------------------------------


def misdeclared_output(item: int, dtype: DType, shape: Sequence[int]) -> Lie:
    """The right bytes of an output, declared with another dtype or shape."""

    def lie(case: Case) -> Trace:
        e, outputs = case.example, list(case.truth.outputs)
        data = case.truth.states[-1][e.program.outputs[item]]
        outputs[item] = trees.wrap(dtype, shape, trees.block_root(data))
        assert outputs[item] != case.truth.outputs[item]
        return replace(case.truth, outputs=outputs)

    return lie


# --- padding -------------------------------------------------------------------------------------


def one_block_more(operation: int) -> Lie:
    """A block behind the last of an operation, in the padding of its tree."""

    def lie(case: Case) -> Trace:
        claimed = one_bit_in(0, operation + 1)(case)
        row = list(claimed.operations[0] or [])
        whole = -(-len(row[operation]) // BLOCK_BYTES) * BLOCK_BYTES
        row[operation] = row[operation].ljust(whole, b"\0") + b"\1" * BLOCK_BYTES
        return replace(claimed, operations=[row, *claimed.operations[1:]])

    return lie


def one_state_more(step: int) -> Lie:
    """A state behind the last, from ``step`` on."""

    def lie(case: Case) -> Trace:
        rows = case.truth.states
        return replace(case.truth, states=[*rows[:step], *([*r, b"\1"] for r in rows[step:])])

    return lie


def one_step_more(case: Case) -> Trace:
    """A state root behind the last step of the job."""
    return replace(case.truth, states=[*case.truth.states, case.truth.states[0]])


def one_output_more(case: Case) -> Trace:
    """A tensor behind the last output."""
    return replace(case.truth, outputs=[*case.truth.outputs, trees.keccak256(b"one more")])


def garbage_in_a_state(step: int, item: int) -> Lie:
    """The bytes beyond the end of a state's last block are not zero, from ``step`` on."""

    def lie(case: Case) -> Trace:
        states = [list(row) for row in case.truth.states]
        for row in states[step:]:
            row[item] += b"\1"
        return replace(case.truth, states=states)

    return lie


# --- nodes without preimage ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Forged(Trace):
    """A trace some of whose trees are made up: what is below their nodes nobody knows."""

    forged: Mapping[Where, Levels] = field(default_factory=dict)

    def levels(self, tree: Tree, step: int = 0, item: int = 0) -> Levels:
        made_up = self.forged.get((tree, step, item))
        return Trace.levels(self, tree, step, item) if made_up is None else made_up


def forged(claimed: Trace, where: Where, levels: Levels) -> Forged:
    """``claimed`` with one tree made up."""
    return Forged(claimed.states, claimed.operations, claimed.outputs, {where: levels})


def garbage_root(case: Case) -> Trace:
    """Opens with random nodes, of which it knows nothing; the result is random too."""
    rng = Random(1)
    levels = case.truth.levels(Tree.STEPS)
    top = max(0, len(levels) - 6)
    nodes = trees.levels_of([rng.randbytes(32) for _ in levels[top]])
    claimed = replace(case.truth, outputs=[rng.randbytes(32) for _ in case.truth.outputs])
    return forged(claimed, (Tree.STEPS, 0, 0), [*levels[:top], *nodes])


def hidden_operation(step: int, operation: int, *, byte: int = 0) -> Lie:
    """One flipped bit, and in place of the operation's root a random node that hides it."""

    def lie(case: Case) -> Trace:
        claimed = one_bit_in(step, operation, byte)(case)
        leaves = list(claimed.levels(Tree.OPERATIONS, step + 1)[0])
        leaves[operation] = Random(2).randbytes(32)
        return forged(claimed, (Tree.OPERATIONS, step + 1, 0), trees.levels_of(leaves))

    return lie


def hidden_states(step: int) -> Lie:
    """A random node in place of the root of the states after ``step`` steps."""

    def lie(case: Case) -> Trace:
        leaves = list(case.truth.levels(Tree.STEPS)[0])
        leaves[step] = Random(3).randbytes(32)
        return forged(case.truth, (Tree.STEPS, 0, 0), trees.levels_of(leaves))

    return lie


def hidden_block(operation: int, block: int) -> Lie:
    """A random node in place of a block of an operation; what follows is computed from a lie."""

    def lie(case: Case) -> Trace:
        claimed = one_bit_in(0, operation, block * BLOCK_BYTES)(case)
        leaves = list(claimed.levels(Tree.OPERATION_BLOCKS, 1, operation)[0])
        leaves[block] = Random(4).randbytes(32)
        blocks = trees.levels_of(leaves)
        roots = list(claimed.levels(Tree.OPERATIONS, 1)[0])
        roots[operation] = blocks[-1][0]
        made_up = {
            (Tree.OPERATION_BLOCKS, 1, operation): blocks,
            (Tree.OPERATIONS, 1, 0): trees.levels_of(roots),
        }
        return Forged(claimed.states, claimed.operations, claimed.outputs, made_up)

    return lie
