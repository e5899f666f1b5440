"""The nouns of the tensor machine: values, views, templates, instances, phases, programs.

Plain frozen data; meaning lives in ``interpreter`` and ``microcode``, the rules in ``legality``,
the bytes in ``encoding``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]


class DType(IntEnum):
    """Element types; memory is little-endian, row-major."""

    F32 = 0
    I64 = 1
    I32 = 2
    I16 = 3
    I8 = 4

    @property
    def size(self) -> int:
        """Bytes of one element."""
        return _SIZES[self]

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The little-endian NumPy dtype."""
        return _NUMPY[self]

    @property
    def is_float(self) -> bool:
        return self is DType.F32

    @property
    def min(self) -> int:
        """Smallest value of an integer dtype."""
        return -(1 << (8 * self.size - 1))

    @property
    def max(self) -> int:
        """Largest value of an integer dtype."""
        return (1 << (8 * self.size - 1)) - 1


_SIZES = {DType.F32: 4, DType.I64: 8, DType.I32: 4, DType.I16: 2, DType.I8: 1}
_NUMPY: dict[DType, np.dtype[np.generic]] = {
    DType.F32: np.dtype("<f4"),
    DType.I64: np.dtype("<i8"),
    DType.I32: np.dtype("<i4"),
    DType.I16: np.dtype("<i2"),
    DType.I8: np.dtype("i1"),
}


class Kind(IntEnum):
    """The three operation kinds."""

    MAP = 0
    REDUCE = 1
    DOT = 2


class Fold(IntEnum):
    """What a REDUCE does with the values of its ``pre`` code (NONE for MAP and DOT).

    FSUM takes f32; ISUM takes i64; MAX, MIN and ARGMAX take either register type.  MAX and MIN
    yield the type they take, ARGMAX and ISUM an i64, FSUM an f32.
    """

    NONE = 0
    FSUM = 1
    MAX = 2
    MIN = 3
    ARGMAX = 4
    ISUM = 5


class Source(IntEnum):
    """Where an operand of an instance comes from."""

    CONST = 0
    INPUT = 1
    STATE = 2
    OP = 3


class InitKind(IntEnum):
    """What a state holds before the first step."""

    CONST = 0
    INPUT = 1
    FILL = 2


class NextKind(IntEnum):
    """How a phase's step changes a state."""

    KEEP = 0
    VALUE = 1
    SLICE = 2


@dataclass(frozen=True, slots=True)
class Instr:
    """One instruction; its register number is its position in its code.

    ``op`` is a ``microcode.Op``; ``a b c`` are register numbers, view or axis numbers (u8, 0 when
    unused); ``imm`` is 32 raw bits (0 when unused).
    """

    op: int
    a: int = 0
    b: int = 0
    c: int = 0
    imm: int = 0


@dataclass(frozen=True, slots=True)
class Digit:
    """One digit of a mixed-radix index: its radix, its stride in elements, its guard weights."""

    radix: int
    stride: int
    g0: int = 0
    g1: int = 0


@dataclass(frozen=True, slots=True)
class Guard:
    """True when ``0 <= offset + sum(weight*digit) < min(bound, live)``.

    ``live`` is an operand slot whose element 0 (an i64) bounds it further, or None.
    """

    offset: int
    bound: int
    live: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """An affine address into an operand, or its pad value.

    ``digits`` split the flattened output index i (last fastest; radices multiply to the element
    count of the output), ``rdigits`` are the digits of the reduction index r (their radices are
    the template's ``r``).  address = offset + sum(stride*digit).  The load yields ``pad`` (an
    integer value, or for f32 the raw bits) when a guard is false or the address is not in the
    operand.
    """

    slot: int
    offset: int
    digits: tuple[Digit, ...]
    rdigits: tuple[Digit, ...] = ()
    guards: tuple[Guard, ...] = ()
    pad: int = 0


@dataclass(frozen=True, slots=True)
class Slot:
    """What a template expects of one operand: dtype and number of elements."""

    dtype: DType
    count: int


@dataclass(frozen=True, slots=True)
class Template:
    """The shape of an operation, shared by all its instances.

    MAP:    out[i] = post(loads, coordinates of i)
    REDUCE: out[i] = post(fold over r of pre(loads, coordinates of i and r))
    DOT:    out[i] = post(sum over r of view0(i, r) * view1(i, r), loads)

    ``r`` are the radices of the reduction index (empty for MAP), last fastest.  ``bound_a`` and
    ``bound_b`` bound the magnitudes of a DOT's two operands.  ``live_r`` is a slot whose i64
    element 0 bounds the flattened r: positions at or beyond it do not take part.  ``live_out`` is
    (slot, axis): output elements whose coordinate along ``axis`` is at or beyond the slot's
    element 0 are ``dead`` (an integer value, or raw f32 bits) and nothing is computed.
    """

    kind: Kind
    dtype: DType
    shape: tuple[int, ...]
    slots: tuple[Slot, ...]
    views: tuple[View, ...]
    post: tuple[Instr, ...]
    pre: tuple[Instr, ...] = ()
    r: tuple[int, ...] = ()
    fold: Fold = Fold.NONE
    bound_a: int = 0
    bound_b: int = 0
    live_r: int | None = None
    live_out: tuple[int, int] | None = None
    dead: int = 0

    @property
    def count(self) -> int:
        """Elements of the output."""
        return math.prod(self.shape)

    @property
    def terms(self) -> int:
        """Positions of the reduction index (1 for MAP)."""
        return math.prod(self.r)


@dataclass(frozen=True, slots=True)
class TensorDecl:
    """Dtype and shape of a constant, an input or a state.

    ``bound`` > 0 declares that every element of an integer tensor is within +-bound; only then may
    a DOT read it (never for inputs).
    """

    dtype: DType
    shape: tuple[int, ...]
    bound: int = 0

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.count * self.dtype.size


@dataclass(frozen=True, slots=True)
class Init:
    """Start of a state: a constant or input of the same dtype and shape, or one repeated element.

    ``value`` is the index of the constant or input, or the element (raw bits for f32).
    """

    kind: InitKind
    value: int


@dataclass(frozen=True, slots=True)
class StateDecl:
    tensor: TensorDecl
    init: Init


@dataclass(frozen=True, slots=True)
class Ref:
    """One operand of an instance; for OP the index is an earlier instance of the same body."""

    source: Source
    index: int


@dataclass(frozen=True, slots=True)
class Instance:
    """One operation of a body: a template and its operands (one per slot)."""

    template: int
    operands: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class Next:
    """How a step changes a state.

    KEEP: not at all.  VALUE: it becomes operation ``value``.  SLICE: index c along ``axis``, where
    c is element 0 of the i64 operation ``index``, becomes operation ``value`` (of the state's shape
    with that axis 1); a c outside the axis changes nothing.
    """

    kind: NextKind
    value: int = 0
    axis: int = 0
    index: int = 0


@dataclass(frozen=True, slots=True)
class Phase:
    """A body, the largest number of steps a job may ask of it, and the next of every state."""

    max_steps: int
    instances: tuple[Instance, ...]
    nexts: tuple[Next, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """A whole program.

    ``outputs`` are state numbers: the job's results are those states after the last step.
    ``halt`` is the number of an i32 state of one element, or None.
    """

    constants: tuple[TensorDecl, ...]
    inputs: tuple[TensorDecl, ...]
    states: tuple[StateDecl, ...]
    outputs: tuple[int, ...]
    templates: tuple[Template, ...]
    phases: tuple[Phase, ...]
    halt: int | None = None

    def decl(self, ref: Ref, phase: int) -> tuple[DType, int]:
        """Dtype and element count of what ``ref`` names in ``phase``.

        Raises IndexError if it names nothing.
        """
        if ref.source is Source.OP:
            t = self.templates[self.phases[phase].instances[ref.index].template]
            return t.dtype, t.count
        table = {
            Source.CONST: self.constants,
            Source.INPUT: self.inputs,
            Source.STATE: tuple(s.tensor for s in self.states),
        }[ref.source]
        return table[ref.index].dtype, table[ref.index].count
