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

``decoding`` accepts exactly these bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.spec.constants import (
    MACHINE_VERSION,
    MAGIC,
    MAX_SLOTS,
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
from protocol.spec.decoding import decode as decode
from protocol.spec.trees import keccak256, list_root, shape_word, tagged, tensor_meta, word
from protocol.spec.types import (
    Instance,
    Instr,
    Next,
    Phase,
    Program,
    StateDecl,
    Template,
    TensorDecl,
    View,
)

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
