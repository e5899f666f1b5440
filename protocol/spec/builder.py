"""Puts a program together: numbers things densely in the order of first use, shares equal
templates and equal constants.

    b = Builder()
    x, w = b.input(DType.F32, (2, 3)), b.constant(weights)
    b.output(b.op(template, [x, w]))
    program, constants = b.build()
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from protocol.spec.errors import ProgramError
from protocol.spec.types import (
    Array,
    Digit,
    DType,
    Guard,
    Init,
    InitKind,
    Instance,
    Next,
    NextKind,
    Phase,
    Program,
    Ref,
    Source,
    StateDecl,
    Template,
    TensorDecl,
    View,
)


def dtype_of(array: Array) -> DType:
    """The machine's dtype of a NumPy array; ProgramError if there is none."""
    for dtype in DType:
        if array.dtype == dtype.numpy:
            return dtype
    raise ProgramError(f"no machine dtype for {array.dtype}: convert to f32, i64, i32, i16 or i8")


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides in elements of a contiguous tensor."""
    out: list[int] = []
    stride = 1
    for n in reversed(shape):
        out.append(stride)
        stride *= n
    return tuple(reversed(out))


def affine(
    slot: int,
    radices: Sequence[int],
    strides: Sequence[int],
    *,
    r: Sequence[int] = (),
    r_strides: Sequence[int] = (),
    offset: int = 0,
    pad: int = 0,
    guards: Sequence[Guard] = (),
    weights: Sequence[Sequence[int]] = (),
) -> View:
    """A view from parallel lists.

    ``radices``/``strides`` are the digits of the output index, ``r``/``r_strides`` those of the
    reduction index (strides default to 0: the view does not depend on r).  ``weights[g]`` lists
    guard g's weights for all digits, those of i first.
    """
    r_strides = tuple(r_strides) or (0,) * len(r)
    rows = list(zip([*radices, *r], [*strides, *r_strides], strict=True))
    columns = [list(w) for w in weights] + [[0] * len(rows)] * (2 - len(weights))
    digits = tuple(
        Digit(n, s, columns[0][k], columns[1][k]) for k, (n, s) in enumerate(rows)
    )
    n = len(radices)
    return View(slot, offset, digits[:n], digits[n:], tuple(guards), pad)


class Builder:
    """One phase under construction (``phase`` ends it and starts the next)."""

    def __init__(self) -> None:
        self._constants: list[TensorDecl] = []
        self._values: list[Array] = []
        self._shared: dict[tuple[TensorDecl, bytes], int] = {}
        self._inputs: list[TensorDecl] = []
        self._states: list[StateDecl] = []
        self._outputs: list[int] = []
        self._templates: dict[Template, int] = {}
        self._instances: list[Instance] = []
        self._known: dict[Instance, int] = {}
        self._nexts: dict[int, Next] = {}
        self._phases: list[Phase] = []
        self._halt: int | None = None

    def constant(self, value: Array, bound: int = 0) -> Ref:
        """A constant; one with the same bytes, shape and bound is shared."""
        value = np.asarray(value, order="C")  # keeps 0-d arrays 0-d
        decl = TensorDecl(dtype_of(value), value.shape, bound)
        # Any collision-free key does; this one is far cheaper than the tensor's root.
        key = (decl, hashlib.sha256(value.reshape(-1).view(np.uint8).data).digest())
        if key not in self._shared:
            self._shared[key] = len(self._constants)
            self._constants.append(decl)
            self._values.append(value)
        return Ref(Source.CONST, self._shared[key])

    def input(self, dtype: DType, shape: Sequence[int]) -> Ref:
        self._inputs.append(TensorDecl(dtype, tuple(shape)))
        return Ref(Source.INPUT, len(self._inputs) - 1)

    def state(self, dtype: DType, shape: Sequence[int], init: Init, bound: int = 0) -> Ref:
        self._states.append(StateDecl(TensorDecl(dtype, tuple(shape), bound), init))
        return Ref(Source.STATE, len(self._states) - 1)

    def op(self, template: Template, operands: Sequence[Ref]) -> Ref:
        """An operation of the current body; an equal one is shared."""
        number = self._templates.setdefault(template, len(self._templates))
        instance = Instance(number, tuple(operands))
        if instance not in self._known:
            self._known[instance] = len(self._instances)
            self._instances.append(instance)
        return Ref(Source.OP, self._known[instance])

    def template_of(self, op: Ref) -> Template:
        """Template of an operation of the current body."""
        return list(self._templates)[self._instances[op.index].template]

    def decl(self, ref: Ref) -> TensorDecl:
        """Dtype and shape of anything defined so far."""
        match ref.source:
            case Source.CONST:
                return self._constants[ref.index]
            case Source.INPUT:
                return self._inputs[ref.index]
            case Source.STATE:
                return self._states[ref.index].tensor
            case Source.OP:
                t = self.template_of(ref)
                return TensorDecl(t.dtype, t.shape)

    def set_next(self, state: Ref, op: Ref) -> None:
        """The step makes ``state`` the value of ``op``."""
        self._nexts[state.index] = Next(NextKind.VALUE, op.index)

    def write_slice(self, state: Ref, axis: int, index: Ref, value: Ref) -> None:
        """The step writes ``value`` at position ``index`` along ``axis`` of ``state``."""
        self._nexts[state.index] = Next(NextKind.SLICE, value.index, axis, index.index)

    def output(self, ref: Ref) -> None:
        """Declare an output: a state, or an operation (which gets a state of its own, filled with
        zero before the step that computes it)."""
        if ref.source is Source.OP:
            d = self.decl(ref)
            state = self.state(d.dtype, d.shape, Init(InitKind.FILL, 0))
            self.set_next(state, ref)
            ref = state
        if ref.source is not Source.STATE:
            raise ProgramError(f"an output must be an operation or a state, got {ref.source.name}")
        self._outputs.append(ref.index)

    def halt(self, state: Ref) -> None:
        self._halt = state.index

    def phase(self, max_steps: int = 1) -> None:
        """End the body. States without a next keep their value."""
        nexts = tuple(self._nexts.get(k, Next(NextKind.KEEP)) for k in range(len(self._states)))
        self._phases.append(Phase(max_steps, tuple(self._instances), nexts))
        self._instances, self._known, self._nexts = [], {}, {}

    def build(self) -> tuple[Program, list[Array]]:
        """The program and its constants, in the order of their declarations."""
        if self._instances or not self._phases:
            self.phase()
        keep = Next(NextKind.KEEP)
        n = len(self._states)
        phases = [
            Phase(p.max_steps, p.instances, p.nexts + (keep,) * (n - len(p.nexts)))
            for p in self._phases
        ]
        program = Program(
            constants=tuple(self._constants),
            inputs=tuple(self._inputs),
            states=tuple(self._states),
            outputs=tuple(self._outputs),
            templates=tuple(self._templates),
            phases=tuple(phases),
            halt=self._halt,
        )
        return program, self._values


