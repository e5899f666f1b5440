"""Lies, by name: each makes of the truth what a cheating provider claims."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from protocol.spec import trees
from protocol.spec.trace import Trace
from protocol.spec.types import Array
from tests.actors.case import Case

Lie = Callable[[Case], Trace]


def flipped(data: bytes, at: int) -> bytes:
    """``data`` with the lowest bit of byte ``at`` flipped."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def one_bit_in(step: int, operation: int, byte: int = 0) -> Lie:
    """One flipped bit in a result of one operation; what follows is computed from it."""

    def corrupt(t: int, i: int, tensor: Array) -> Array:
        if (t, i) == (step, operation):
            tensor.reshape(-1).view("u1")[byte] ^= 1
        return tensor

    return lambda case: case.lie(corrupt)


def with_states(case: Case, edit: Callable[[list[list[bytes]]], None]) -> Trace:
    """The truth with other states."""
    states = [list(row) for row in case.truth.states]
    edit(states)
    return replace(case.truth, states=states)


def wrong_state(step: int, item: int, byte: int = 0) -> Lie:
    """From ``step`` on a state has one flipped bit; no operation says so."""

    def edit(states: list[list[bytes]]) -> None:
        for row in states[step:]:
            row[item] = flipped(row[item], byte)

    return lambda case: with_states(case, edit)


def garbage_in_the_tail(step: int, item: int) -> Lie:
    """The bytes beyond the end of an operation's last block are not zero."""

    def lie(case: Case) -> Trace:
        operations = [None if row is None else list(row) for row in case.truth.operations]
        row = operations[step]
        assert row is not None
        row[item] += b"\1"
        states = [list(r) for r in case.truth.states]
        states[step + 1][0] = flipped(states[step + 1][0], 0)
        return replace(case.truth, operations=operations, states=states)

    return lie


def one_operation_more(step: int) -> Lie:
    """An operation in the padding."""

    def lie(case: Case) -> Trace:
        operations = [None if row is None else list(row) for row in case.truth.operations]
        row = operations[step]
        assert row is not None
        row.append(b"\1")
        states = [list(r) for r in case.truth.states]
        states[step + 1][0] = flipped(states[step + 1][0], 0)
        return replace(case.truth, operations=operations, states=states)

    return lie


def wrong_output(item: int) -> Lie:
    """A right trace with a wrong output."""

    def lie(case: Case) -> Trace:
        outputs = list(case.truth.outputs)
        outputs[item] = trees.keccak256(b"garbage")
        return replace(case.truth, outputs=outputs)

    return lie


def halts_early(step: int) -> Lie:
    """Claims that ``halt`` was set before ``step``: repeats the state from there on."""

    def lie(case: Case) -> Trace:
        states = [list(row) for row in case.truth.states]
        for s in range(step + 1, len(states)):
            states[s] = list(states[step])
        operations = [row if t < step else None for t, row in enumerate(case.truth.operations)]
        return replace(case.truth, states=states, operations=operations)

    return lie


def runs_on(step: int) -> Lie:
    """Runs step ``step`` again as the one before, although ``halt`` was set."""

    def lie(case: Case) -> Trace:
        operations = list(case.truth.operations)
        operations[step] = operations[0]
        states = [list(row) for row in case.truth.states]
        for row in states[step + 1 :]:
            row[0] = flipped(row[0], 0)
        return replace(case.truth, states=states, operations=operations)

    return lie


def changes_in_the_halt(step: int) -> Lie:
    """A halted step that changes a state."""

    def edit(states: list[list[bytes]]) -> None:
        for row in states[step + 1 :]:
            row[0] = flipped(row[0], 0)

    return lambda case: with_states(case, edit)
