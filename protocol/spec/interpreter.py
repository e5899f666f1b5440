"""The plain interpreter: what a program means.

``run`` executes phases step by step with ``operations.evaluate``; every operation's tensor can be
observed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from protocol.spec.errors import LimitExceeded, TensorMismatch
from protocol.spec.operations import Scalars, evaluate, literal, store
from protocol.spec.types import (
    Array,
    InitKind,
    NextKind,
    Phase,
    Program,
    Ref,
    Source,
    StateDecl,
    TensorDecl,
)

Observer = Callable[[int, int, int, Array], None]
"""observe(phase, step, operation, tensor) sees every operation's result."""


def check_tensor(what: str, decl: TensorDecl, tensor: Array) -> None:
    """TensorMismatch unless ``tensor`` has the declared dtype, shape and bound."""
    if tensor.dtype != decl.dtype.numpy or tensor.shape != decl.shape:
        raise TensorMismatch(
            f"{what} is {tensor.dtype} {tuple(tensor.shape)}, "
            f"the program wants {decl.dtype.numpy} {decl.shape}"
        )
    if decl.bound and tensor.size:
        worst = max(abs(int(tensor.min())), abs(int(tensor.max())))
        if worst > decl.bound:
            raise TensorMismatch(
                f"{what} holds {worst}, beyond the declared bound of {decl.bound}"
            )


def check_tensors(what: str, decls: Sequence[TensorDecl], tensors: Sequence[Array]) -> None:
    """TensorMismatch unless the list matches the declarations one by one."""
    if len(decls) != len(tensors):
        raise TensorMismatch(f"got {len(tensors)} {what}s, the program wants {len(decls)}")
    for k, (decl, tensor) in enumerate(zip(decls, tensors, strict=True)):
        check_tensor(f"{what} {k}", decl, tensor)


def check_steps(program: Program, steps: Sequence[int] | None) -> tuple[int, ...]:
    """Steps of each phase: as given, or every phase's maximum. LimitExceeded if beyond it."""
    wanted = tuple(p.max_steps for p in program.phases) if steps is None else tuple(steps)
    if len(wanted) != len(program.phases):
        raise LimitExceeded(f"got steps for {len(wanted)} phases, want {len(program.phases)}")
    for k, (n, phase) in enumerate(zip(wanted, program.phases, strict=True)):
        if not 0 <= n <= phase.max_steps:
            raise LimitExceeded(f"phase {k} allows 0 to {phase.max_steps} steps, got {n}")
    return wanted


def initial_state(
    decl: StateDecl, constants: Sequence[Array], inputs: Sequence[Array]
) -> Array:
    """A state before the first step, as a new array."""
    kind, value = decl.init.kind, decl.init.value
    if kind is InitKind.FILL:
        fill = store(decl.tensor.dtype, literal(decl.tensor.dtype, value))
        return np.full(decl.tensor.shape, fill[0], decl.tensor.dtype.numpy)
    source = constants[value] if kind is InitKind.CONST else inputs[value]
    return source.copy()


def run_step(
    program: Program,
    phase: Phase,
    constants: Sequence[Array],
    inputs: Sequence[Array],
    states: Sequence[Array],
    scalars: Scalars,
    observe: Callable[[int, Array], None] | None = None,
) -> list[Array]:
    """The states after one step of ``phase``; reads see ``states``, which stay unchanged."""
    results: list[Array] = []
    sources: dict[Source, Sequence[Array]] = {
        Source.CONST: constants,
        Source.INPUT: inputs,
        Source.STATE: states,
        Source.OP: results,
    }

    def fetch(ref: Ref) -> Array:
        return sources[ref.source][ref.index]

    for number, instance in enumerate(phase.instances):
        operands = [fetch(ref) for ref in instance.operands]
        results.append(evaluate(program.templates[instance.template], operands, scalars))
        if observe is not None:
            observe(number, results[-1])
    return [_next_state(phase, k, states[k], results) for k in range(len(states))]


def _next_state(phase: Phase, k: int, old: Array, results: Sequence[Array]) -> Array:
    item = phase.nexts[k]
    if item.kind is NextKind.KEEP:
        return old
    if item.kind is NextKind.VALUE:
        return results[item.value].reshape(old.shape)
    at = int(results[item.index].reshape(-1)[0])
    if not 0 <= at < old.shape[item.axis]:
        return old
    new = old.copy()
    where = (slice(None),) * item.axis + (slice(at, at + 1),)
    new[where] = results[item.value].reshape(new[where].shape)
    return new


def run(
    program: Program,
    constants: Sequence[Array],
    inputs: Sequence[Array],
    *,
    seed: int = 0,
    steps: Sequence[int] | None = None,
    observe: Observer | None = None,
) -> list[Array]:
    """The program's outputs, in order.

    ``constants`` and ``inputs`` match the declarations (TensorMismatch otherwise); ``steps`` gives
    the steps of each phase (default: the maxima); ``seed`` is an i64.
    """
    check_tensors("constant", program.constants, constants)
    check_tensors("input", program.inputs, inputs)
    wanted = check_steps(program, steps)
    states = [initial_state(s, constants, inputs) for s in program.states]
    step = 0
    for number, (phase, count) in enumerate(zip(program.phases, wanted, strict=True)):
        for k in range(count):
            if program.halt is not None and int(states[program.halt].reshape(-1)[0]) != 0:
                return [states[n] for n in program.outputs]

            def see(op: int, tensor: Array, number: int = number, step: int = step) -> None:
                if observe is not None:
                    observe(number, step, op, tensor)

            scalars = Scalars(step, k, seed)
            states = run_step(program, phase, constants, inputs, states, scalars, see)
            step += 1
    return [states[n] for n in program.outputs]
