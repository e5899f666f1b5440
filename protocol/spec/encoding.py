"""The canonical bytes of a program, and the strict decoder.

Everything is big-endian, fixed-width and a multiple of 32 bytes, so that a contract reads it a word
at a time.  A program is, in order:

    header       2 words   magic 8, version u16, flags u16 (0), halt u32, constants u32, inputs u32,
                           states u32, outputs u32 | templates u32, phases u32, 24 zero
    constants    2 words   dtype u8, dims u8, 6 zero, bound u64, 8 zero, elements u64 | 8 x u32
    inputs       2 words   the same
    states       3 words   the same | init kind u8, 23 zero, init value i64
    outputs      1 word    state u32, 28 zero
    templates    word-aligned, each self-delimiting:
      head       3 words   kind dtype fold dims slots views rdigits live_r (u8 each), pre u16,
                           post u16, live_out slot u8, live_out axis u8, 2 zero, bound_a u32,
                           bound_b u32, dead i64 | shape 8 x u32 | r 3 x u32, 20 zero
      slots      1 word    dtype u8, 23 zero, elements u64
      views      1 word    slot digits guards (u8), 5 zero, offset i64, pad i64, 8 zero
        guards   1 word    offset i64, bound i64, live u8, 15 zero
        digits   1 word    radix u64, stride i64, g0 i64, g1 i64: those of i, then those of r
      pre, post  4 instructions a word: op a b c (u8), imm u32; zero bytes fill the last word
    phases       1 word    max steps u64, instances u32, 20 zero
      instances  2 words   template u32, operands 12 x (source u8, index u24), operand count u8,
                           11 zero
      nexts      1 word    kind u8, axis u8, 2 zero, value u32, index u32, 20 zero; one per state

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
    MAX_PROGRAM_BYTES,
    MAX_RDIGITS,
    MAX_SLOTS,
    MAX_TABLE,
    MAX_VIEWS,
    NONE8,
    NONE32,
    TAG_DECL,
    TAG_INSTANCE,
    TAG_NEXT,
    TAG_OUTPUTS,
    TAG_PHASE,
    TAG_PROGRAM,
    TAG_STATE,
    TAG_TEMPLATE,
    WORD,
)
from protocol.spec.errors import DecodeError
from protocol.spec.microcode import Op, signature
from protocol.spec.trees import keccak256, list_root, shape_word, tagged, tensor_meta, word
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


# --- writing --------------------------------------------------------------------------------------


def _u(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


def _i64(value: int) -> bytes:
    return value.to_bytes(8, "big", signed=True)


def _fill(data: bytes) -> bytes:
    """Zero bytes up to the next whole word."""
    return data.ljust(-(-len(data) // WORD) * WORD, b"\0")


def encode_decl(decl: TensorDecl) -> bytes:
    """Two words."""
    return tensor_meta(decl.dtype, decl.shape, decl.bound)


def encode_state(state: StateDecl) -> bytes:
    """Three words."""
    init = bytes([state.init.kind]) + bytes(23) + _i64(state.init.value)
    return encode_decl(state.tensor) + init


def _encode_view(view: View) -> bytes:
    head = bytes([view.slot, len(view.digits), len(view.guards)]) + bytes(5)
    out = head + _i64(view.offset) + _i64(view.pad) + bytes(8)
    for g in view.guards:
        live = NONE8 if g.live is None else g.live
        out += _i64(g.offset) + _i64(g.bound) + bytes([live]) + bytes(15)
    for d in view.digits + view.rdigits:
        out += _u(d.radix, 8) + _i64(d.stride) + _i64(d.g0) + _i64(d.g1)
    return out


def _encode_code(code: tuple[Instr, ...]) -> bytes:
    return _fill(b"".join(bytes([n.op, n.a, n.b, n.c]) + _u(n.imm, 4) for n in code))


def encode_template(t: Template) -> bytes:
    """A template's words."""
    live_r = NONE8 if t.live_r is None else t.live_r
    slot, axis = (NONE8, 0) if t.live_out is None else t.live_out
    counts = [t.kind, t.dtype, t.fold, len(t.shape), len(t.slots), len(t.views), len(t.r), live_r]
    out = bytes(counts) + _u(len(t.pre), 2) + _u(len(t.post), 2) + bytes([slot, axis, 0, 0])
    out += _u(t.bound_a, 4) + _u(t.bound_b, 4) + _i64(t.dead)
    out += shape_word(t.shape) + shape_word(t.r)
    for s in t.slots:
        out += bytes([s.dtype]) + bytes(23) + _u(s.count, 8)
    out += b"".join(_encode_view(v) for v in t.views)
    return out + _encode_code(t.pre) + _encode_code(t.post)


def encode_instance(instance: Instance) -> bytes:
    """Two words."""
    refs = b"".join(bytes([ref.source]) + _u(ref.index, 3) for ref in instance.operands)
    body = _u(instance.template, 4) + refs.ljust(4 * MAX_SLOTS, b"\0")
    return (body + bytes([len(instance.operands)])).ljust(2 * WORD, b"\0")


def encode_next(item: Next) -> bytes:
    """One word."""
    head = bytes([item.kind, item.axis, 0, 0]) + _u(item.value, 4) + _u(item.index, 4)
    return head.ljust(WORD, b"\0")


def encode_phase_head(phase: Phase) -> bytes:
    """One word."""
    return (_u(phase.max_steps, 8) + _u(len(phase.instances), 4)).ljust(WORD, b"\0")


def encode_header(p: Program) -> bytes:
    """Two words."""
    halt = NONE32 if p.halt is None else p.halt
    out = MAGIC + _u(MACHINE_VERSION, 2) + bytes(2) + _u(halt, 4)
    for table in (p.constants, p.inputs, p.states, p.outputs, p.templates, p.phases):
        out += _u(len(table), 4)
    return out.ljust(2 * WORD, b"\0")


def encode(program: Program) -> bytes:
    """Canonical bytes. OverflowError or ValueError if a number does not fit its field."""
    out = [encode_header(program)]
    out += [encode_decl(d) for d in program.constants + program.inputs]
    out += [encode_state(s) for s in program.states]
    out += [_u(n, 4).ljust(WORD, b"\0") for n in program.outputs]
    out += [encode_template(t) for t in program.templates]
    for phase in program.phases:
        out.append(encode_phase_head(phase))
        out += [encode_instance(n) for n in phase.instances]
        out += [encode_next(n) for n in phase.nexts]
    return b"".join(out)


# --- the program root -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sections:
    """Leaf hashes of a program's tables; ``phases[p]`` is (instances, nexts)."""

    constants: list[bytes]
    inputs: list[bytes]
    states: list[bytes]
    outputs: list[bytes]
    templates: list[bytes]
    phases: list[tuple[list[bytes], list[bytes]]]


def sections(p: Program) -> Sections:
    """All leaf hashes under the program root, for roots and proofs."""
    return Sections(
        constants=[tagged(TAG_DECL, encode_decl(d)) for d in p.constants],
        inputs=[tagged(TAG_DECL, encode_decl(d)) for d in p.inputs],
        states=[tagged(TAG_STATE, encode_state(s)) for s in p.states],
        outputs=[tagged(TAG_OUTPUTS, word(n)) for n in p.outputs],
        templates=[tagged(TAG_TEMPLATE, encode_template(t)) for t in p.templates],
        phases=[
            (
                [tagged(TAG_INSTANCE, encode_instance(n)) for n in phase.instances],
                [tagged(TAG_NEXT, encode_next(n)) for n in phase.nexts],
            )
            for phase in p.phases
        ],
    )


def phase_hash(phase: Phase, instances: list[bytes], nexts: list[bytes]) -> bytes:
    """keccak256(tag || head || instances root || nexts root): 128 bytes."""
    roots = list_root(instances) + list_root(nexts)
    return keccak256(TAG_PHASE + encode_phase_head(phase) + roots)


def phase_hashes(p: Program) -> list[bytes]:
    """Leaves of the phases table."""
    phases = zip(p.phases, sections(p).phases, strict=True)
    return [phase_hash(ph, i, n) for ph, (i, n) in phases]


def tables(p: Program) -> list[bytes]:
    """Roots of constants, inputs, states, outputs, templates and phases."""
    s = sections(p)
    lists = (s.constants, s.inputs, s.states, s.outputs, s.templates, phase_hashes(p))
    return [list_root(leaves) for leaves in lists]


def program_root(p: Program) -> bytes:
    """keccak256(tag || header || six list roots): 288 bytes."""
    return keccak256(TAG_PROGRAM + encode_header(p) + b"".join(tables(p)))


# --- reading --------------------------------------------------------------------------------------


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


def decode(data: bytes) -> Program:
    """The program whose canonical encoding is ``data``; DecodeError for anything else."""
    if len(data) > MAX_PROGRAM_BYTES:
        raise DecodeError(f"program has {len(data)} bytes, at most {MAX_PROGRAM_BYTES} allowed")
    r = _Reader(data)
    if r.take(len(MAGIC), "the header") != MAGIC:
        r.at = 0
        raise r.fail(f"not an Assay program: starts with {data[:8]!r}, want {MAGIC!r}")
    version = r.u(2, "version")
    if version != MACHINE_VERSION:
        raise r.fail(f"machine version {version} is not supported, want {MACHINE_VERSION}")
    r.zeros(2, "header")
    halt = r.u(4, "halt")
    names = ("constants", "inputs", "states", "outputs", "templates", "phases")
    counts = [r.count(4, MAX_TABLE, f"number of {name}") for name in names]
    r.zeros(24, "header")
    n_states = counts[2]

    def read_phase(rd: _Reader) -> Phase:
        max_steps = rd.u(8, "maximum of steps")
        instances = rd.count(4, MAX_TABLE, "number of instances")
        rd.zeros(20, "phase")
        return Phase(max_steps, rd.many(instances, _read_instance), rd.many(n_states, _read_next))

    program = Program(
        constants=r.many(counts[0], _read_decl),
        inputs=r.many(counts[1], _read_decl),
        states=r.many(counts[2], _read_state),
        outputs=r.many(counts[3], _read_output),
        templates=r.many(counts[4], _read_template),
        phases=r.many(counts[5], read_phase),
        halt=None if halt == NONE32 else halt,
    )
    if r.at != len(data):
        raise r.fail(f"{len(data) - r.at} bytes follow the end of the program")
    return program
