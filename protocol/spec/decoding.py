"""The strict decoder of a program and of its parts; ``encoding`` says what the bytes are.

Decoding accepts exactly the image of encoding: unknown codes, set reserved bytes, wrong counts,
missing or trailing bytes raise ``DecodeError`` with the byte position.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from protocol.spec.constants import (
    MACHINE_VERSION,
    MAGIC,
    MAX_DIGITS,
    MAX_DIMS,
    MAX_GUARDS,
    MAX_INSTRUCTIONS,
    MAX_RDIGITS,
    MAX_SLOTS,
    MAX_TABLE,
    MAX_VIEWS,
    NONE8,
    NONE32,
    WORD,
)
from protocol.spec.errors import DecodeError
from protocol.spec.microcode import Op, signature
from protocol.spec.types import (
    Digit,
    DType,
    Fold,
    Guard,
    Init,
    InitKind,
    Instance,
    Instr,
    Kind,
    Next,
    NextKind,
    Phase,
    Program,
    Ref,
    Slot,
    Source,
    StateDecl,
    Template,
    TensorDecl,
    View,
)

E = TypeVar("E", bound=IntEnum)
T = TypeVar("T")


class _Reader:
    """A cursor over bytes; every refusal names the position."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def fail(self, message: str) -> DecodeError:
        return DecodeError(f"byte {self.at}: {message}")

    def take(self, size: int, what: str) -> bytes:
        chunk = self.data[self.at : self.at + size]
        if len(chunk) < size:
            raise self.fail(f"file ends inside {what}: {size} bytes wanted, {len(chunk)} left")
        self.at += size
        return chunk

    def u(self, size: int, what: str) -> int:
        return int.from_bytes(self.take(size, what), "big")

    def i64(self, what: str) -> int:
        return int.from_bytes(self.take(8, what), "big", signed=True)

    def zeros(self, size: int, what: str) -> None:
        if any(self.take(size, what)):
            self.at -= size
            raise self.fail(f"reserved bytes of {what} must be zero")

    def count(self, size: int, limit: int, what: str) -> int:
        value = self.u(size, what)
        if value > limit:
            raise self.fail(f"{what} is {value}, at most {limit} allowed")
        return value

    def enum(self, kind: type[E], what: str) -> E:
        value = self.u(1, what)
        try:
            return kind(value)
        except ValueError:
            raise self.fail(f"{what} {value} is unknown, want one of {list(kind)}") from None

    def many(self, count: int, item: Callable[[_Reader], T]) -> tuple[T, ...]:
        return tuple(item(self) for _ in range(count))


def _optional(value: int) -> int | None:
    return None if value == NONE8 else value


def _read_shape(r: _Reader, dims: int, what: str) -> tuple[int, ...]:
    shape = tuple(r.u(4, what) for _ in range(dims))
    r.zeros(WORD - 4 * dims, what)
    return shape


def _read_decl(r: _Reader) -> TensorDecl:
    dtype = r.enum(DType, "dtype")
    dims = r.count(1, MAX_DIMS, "number of dimensions")
    r.zeros(6, "declaration")
    bound = r.u(8, "bound")
    r.zeros(8, "declaration")
    elements = r.u(8, "element count")
    shape = _read_shape(r, dims, "shape")
    if elements != math.prod(shape):
        raise r.fail(f"element count is {elements}, shape {shape} has {math.prod(shape)}")
    return TensorDecl(dtype, shape, bound)


def _read_state(r: _Reader) -> StateDecl:
    tensor = _read_decl(r)
    kind = r.enum(InitKind, "init kind")
    r.zeros(23, "init")
    return StateDecl(tensor, Init(kind, r.i64("init value")))


def _read_output(r: _Reader) -> int:
    state = r.u(4, "output")
    r.zeros(28, "output")
    return state


def _read_slot(r: _Reader) -> Slot:
    dtype = r.enum(DType, "slot dtype")
    r.zeros(23, "slot")
    return Slot(dtype, r.u(8, "slot element count"))


def _read_guard(r: _Reader) -> Guard:
    offset, bound = r.i64("guard"), r.i64("guard")
    live = _optional(r.u(1, "guard"))
    r.zeros(15, "guard")
    return Guard(offset, bound, live)


def _read_digit(r: _Reader) -> Digit:
    return Digit(r.u(8, "radix"), r.i64("stride"), r.i64("guard weight"), r.i64("guard weight"))


def _read_view(r: _Reader, rdigits: int) -> View:
    slot = r.u(1, "view slot")
    digits = r.count(1, MAX_DIGITS, "number of digits")
    guards = r.count(1, MAX_GUARDS, "number of guards")
    r.zeros(5, "view")
    offset, pad = r.i64("view offset"), r.i64("view pad")
    r.zeros(8, "view")
    return View(
        slot=slot,
        offset=offset,
        pad=pad,
        guards=r.many(guards, _read_guard),
        digits=r.many(digits, _read_digit),
        rdigits=r.many(rdigits, _read_digit),
    )


def _read_instr(r: _Reader) -> Instr:
    op = r.enum(Op, "opcode")
    a, b, c = r.take(3, "instruction")
    ins = Instr(op, a, b, c, r.u(4, "instruction"))
    kinds, _, uses_imm = signature(op)
    unused = [n for k, n in zip(kinds, (a, b, c), strict=True) if k == "-" and n]
    if unused or (ins.imm and not uses_imm):
        r.at -= 8
        raise r.fail(f"unused fields of {op.name} must be zero")
    return ins


def _read_code(r: _Reader, count: int) -> tuple[Instr, ...]:
    code = r.many(count, _read_instr)
    r.zeros(-8 * count % WORD, "code")
    return code


def _read_template(r: _Reader) -> Template:
    kind, dtype, fold = r.enum(Kind, "kind"), r.enum(DType, "dtype"), r.enum(Fold, "fold")
    dims = r.count(1, MAX_DIMS, "number of dimensions")
    slots = r.count(1, MAX_SLOTS, "number of slots")
    views = r.count(1, MAX_VIEWS, "number of views")
    rdigits = r.count(1, MAX_RDIGITS, "number of reduction digits")
    live_r = _optional(r.u(1, "live_r"))
    pre = r.count(2, MAX_INSTRUCTIONS, "number of pre instructions")
    post = r.count(2, MAX_INSTRUCTIONS, "number of post instructions")
    live_slot, live_axis = _optional(r.u(1, "live_out")), r.u(1, "live_out")
    if live_slot is None and live_axis:
        raise r.fail("live_out axis must be zero when there is no live_out slot")
    r.zeros(2, "template")
    bound_a, bound_b, dead = r.u(4, "bound_a"), r.u(4, "bound_b"), r.i64("dead")
    return Template(
        kind=kind,
        dtype=dtype,
        fold=fold,
        live_r=live_r,
        live_out=None if live_slot is None else (live_slot, live_axis),
        bound_a=bound_a,
        bound_b=bound_b,
        dead=dead,
        shape=_read_shape(r, dims, "template shape"),
        r=_read_shape(r, rdigits, "reduction radices"),
        slots=r.many(slots, _read_slot),
        views=r.many(views, lambda rd: _read_view(rd, rdigits)),
        pre=_read_code(r, pre),
        post=_read_code(r, post),
    )


def _read_ref(r: _Reader) -> Ref:
    return Ref(r.enum(Source, "operand source"), r.u(3, "operand"))


def _read_instance(r: _Reader) -> Instance:
    template = r.u(4, "instance")
    end = r.at + 4 * MAX_SLOTS
    count = r.data[end] if end < len(r.data) else 0
    if count > MAX_SLOTS:
        raise r.fail(f"instance has {count} operands, at most {MAX_SLOTS} fit")
    operands = r.many(count, _read_ref)
    r.zeros(4 * (MAX_SLOTS - count), "instance")
    r.take(1, "instance")
    r.zeros(11, "instance")
    return Instance(template, operands)


def _read_next(r: _Reader) -> Next:
    kind, axis = r.enum(NextKind, "next kind"), r.u(1, "next")
    r.zeros(2, "next")
    item = Next(kind, r.u(4, "next"), axis, r.u(4, "next"))
    r.zeros(20, "next")
    fields = ("value", "axis", "index")
    used = {NextKind.KEEP: (), NextKind.VALUE: ("value",), NextKind.SLICE: fields}
    for name in fields:
        if name not in used[kind] and getattr(item, name):
            raise r.fail(f"{name} of a {kind.name} next must be zero")
    return item


@dataclass(frozen=True, slots=True)
class Header:
    """What a program's header says: the halt state, and how long each table is."""

    halt: int | None
    constants: int
    inputs: int
    states: int
    outputs: int
    templates: int
    phases: int


def _read_header(r: _Reader) -> Header:
    start = r.take(len(MAGIC), "the header")
    if start != MAGIC:
        r.at = 0
        raise r.fail(f"not an Assay program: starts with {start!r}, want {MAGIC!r}")
    version = r.u(2, "version")
    if version != MACHINE_VERSION:
        raise r.fail(f"machine version {version} is not supported, want {MACHINE_VERSION}")
    r.zeros(2, "header")
    halt = r.u(4, "halt")
    names = ("constants", "inputs", "states", "outputs", "templates", "phases")
    counts = [r.count(4, MAX_TABLE, f"number of {name}") for name in names]
    r.zeros(24, "header")
    return Header(None if halt == NONE32 else halt, *counts)


def _read_phase_head(r: _Reader) -> tuple[int, int]:
    max_steps = r.u(8, "maximum of steps")
    instances = r.count(4, MAX_TABLE, "number of instances")
    r.zeros(20, "phase")
    return max_steps, instances


def decode(data: bytes) -> Program:
    """The program whose canonical encoding is ``data``; DecodeError for anything else."""
    r = _Reader(data)
    h = _read_header(r)

    def read_phase(rd: _Reader) -> Phase:
        max_steps, instances = _read_phase_head(rd)
        return Phase(max_steps, rd.many(instances, _read_instance), rd.many(h.states, _read_next))

    program = Program(
        constants=r.many(h.constants, _read_decl),
        inputs=r.many(h.inputs, _read_decl),
        states=r.many(h.states, _read_state),
        outputs=r.many(h.outputs, _read_output),
        templates=r.many(h.templates, _read_template),
        phases=r.many(h.phases, read_phase),
        halt=h.halt,
    )
    if r.at != len(data):
        raise r.fail(f"{len(data) - r.at} bytes follow the end of the program")
    return program


# --- parts ----------------------------------------------------------------------------------------


def _whole(data: bytes, read: Callable[[_Reader], T]) -> T:
    """All of ``data`` as one part."""
    r = _Reader(data)
    part = read(r)
    if r.at != len(data):
        raise r.fail(f"{len(data) - r.at} bytes follow the end")
    return part


def decode_header(data: bytes) -> Header:
    """Two words."""
    return _whole(data, _read_header)


def decode_decl(data: bytes) -> TensorDecl:
    """Declaration of a constant or an input: two words."""
    return _whole(data, _read_decl)


def decode_state(data: bytes) -> StateDecl:
    """Three words."""
    return _whole(data, _read_state)


def decode_template(data: bytes) -> Template:
    """The whole of ``data`` as one template."""
    return _whole(data, _read_template)


def decode_phase_head(data: bytes) -> tuple[int, int]:
    """Maximum of steps, number of instances: one word."""
    return _whole(data, _read_phase_head)


def decode_instance(data: bytes) -> Instance:
    """Two words."""
    return _whole(data, _read_instance)


def decode_next(data: bytes) -> Next:
    """One word."""
    return _whole(data, _read_next)
