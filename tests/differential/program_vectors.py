"""Vectors that the Solidity reader of programs and trees is tested with, written by the spec.

``solidity_vectors`` writes them to files.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from protocol.spec import encoding, trees
from protocol.spec.constants import BLOCK_BYTES, MAGIC, TAG_INSTANCE, TAG_TEMPLATE, WORD
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

Random = random.Random

# --- random parts of programs: anything the encoder can write, legal or not -----------------------


def any_i64(rng: Random) -> int:
    """A signed 64-bit integer, small or extreme more often than not."""
    return rng.choice([0, 1, -1, 7, -(1 << 63), (1 << 63) - 1, rng.randrange(-(1 << 63), 1 << 63)])


def any_u(rng: Random, bits: int) -> int:
    return rng.choice([0, 1, 2, (1 << bits) - 1, rng.randrange(1 << bits)])


def any_shape(rng: Random, most: int) -> tuple[int, ...]:
    return tuple(rng.randrange(1, 64) for _ in range(rng.randrange(most + 1)))


def any_decl(rng: Random) -> TensorDecl:
    return TensorDecl(rng.choice(list(DType)), any_shape(rng, 8), any_u(rng, 32))


def any_state(rng: Random) -> StateDecl:
    return StateDecl(any_decl(rng), Init(rng.choice(list(InitKind)), any_i64(rng)))


def any_digit(rng: Random) -> Digit:
    return Digit(any_u(rng, 64), any_i64(rng), any_i64(rng), any_i64(rng))


def any_view(rng: Random, rdigits: int) -> View:
    live = [None, 0, 11, 254]
    return View(
        slot=any_u(rng, 8),
        offset=any_i64(rng),
        pad=any_i64(rng),
        guards=tuple(
            Guard(any_i64(rng), any_i64(rng), rng.choice(live)) for _ in range(rng.randrange(3))
        ),
        digits=tuple(any_digit(rng) for _ in range(rng.randrange(9))),
        rdigits=tuple(any_digit(rng) for _ in range(rdigits)),
    )


def any_instr(rng: Random, op: Op | None = None) -> Instr:
    op = rng.choice(list(Op)) if op is None else op
    kinds, _, uses_imm = signature(op)
    a, b, c = (0 if kind == "-" else rng.randrange(256) for kind in kinds)
    return Instr(op, a, b, c, any_u(rng, 32) if uses_imm else 0)


def any_template(rng: Random) -> Template:
    r = any_shape(rng, 3)
    return Template(
        kind=rng.choice(list(Kind)),
        dtype=rng.choice(list(DType)),
        shape=any_shape(rng, 8),
        slots=tuple(
            Slot(rng.choice(list(DType)), any_u(rng, 64)) for _ in range(rng.choice([0, 1, 2, 12]))
        ),
        views=tuple(any_view(rng, len(r)) for _ in range(rng.choice([0, 1, 2, 3]))),
        pre=tuple(any_instr(rng) for _ in range(rng.randrange(9))),
        post=tuple(any_instr(rng) for _ in range(rng.randrange(9))),
        r=r,
        fold=rng.choice(list(Fold)),
        bound_a=any_u(rng, 32),
        bound_b=any_u(rng, 32),
        live_r=rng.choice([None, 0, 3]),
        live_out=rng.choice([None, (0, 0), (3, 7)]),
        dead=any_i64(rng),
    )


def any_instance(rng: Random) -> Instance:
    refs = (Ref(rng.choice(list(Source)), rng.randrange(1 << 24)) for _ in range(rng.randrange(13)))
    return Instance(any_u(rng, 32), tuple(refs))


def any_next(rng: Random) -> Next:
    kind = rng.choice(list(NextKind))
    value, axis, index = any_u(rng, 32), any_u(rng, 8), any_u(rng, 32)
    if kind is NextKind.KEEP:
        return Next(kind)
    return Next(kind, value) if kind is NextKind.VALUE else Next(kind, value, axis, index)


def widest_template() -> Template:
    """A template at every limit at once."""
    rng = Random(12)
    digits = tuple(any_digit(rng) for _ in range(8))
    view = View(1, 2, digits, digits[:3], (Guard(0, 1), Guard(2, 3, 4)), 5)
    code = tuple(any_instr(rng, op) for op in Op)
    return Template(
        Kind.REDUCE,
        DType.I8,
        (2,) * 8,
        (Slot(DType.I16, 9),) * 12,
        (view,) * 16,
        (code * 5)[:256],
        (code * 5)[:256],
        (1, 2, 3),
        Fold.ISUM,
        live_r=1,
        live_out=(2, 3),
    )


# --- mutations ------------------------------------------------------------------------------------


def mutants(rng: Random, data: bytes, count: int) -> Iterator[bytes]:
    """Damaged copies of ``data``: a bit, a byte or a word changed, or the length."""
    for _ in range(count):
        raw = bytearray(data)
        at = rng.randrange(len(raw))
        match rng.randrange(6):
            case 0 | 1:
                raw[at] ^= 1 << rng.randrange(8)
            case 2:
                raw[at] = rng.choice([0, 1, 2, 3, 4, 5, 8, 12, 0x54, 0x55, 0x80, 0xFF])
            case 3:
                raw = raw[: rng.randrange(len(raw))]
            case 4:
                raw += bytes(rng.choice([1, WORD, 8]))
            case _:
                word = at // WORD * WORD
                raw[word : word + WORD] = rng.choice([bytes(WORD), b"\xff" * WORD])
        yield bytes(raw)


def _header(tables: Sequence[int]) -> bytes:
    counts = b"".join(n.to_bytes(4, "big") for n in tables)
    return (MAGIC + bytes([0, 1, 0, 0]) + b"\xff" * 4 + counts).ljust(2 * WORD, b"\0")


def _phase_head(instances: int) -> bytes:
    return (bytes(8) + instances.to_bytes(4, "big")).ljust(WORD, b"\0")


_STATE = encoding.encode_state(StateDecl(TensorDecl(DType.F32, ()), Init(InitKind.FILL, 0)))
_KEEP = encoding.encode_next(Next(NextKind.KEEP))

# What a part must be surrounded with to be a whole program.
_AROUND: dict[str, Callable[[bytes], bytes]] = {
    "decl": lambda part: _header((1, 0, 0, 0, 0, 0)) + part,
    "state": lambda part: _header((0, 0, 1, 0, 0, 0)) + part,
    "template": lambda part: _header((0, 0, 0, 0, 1, 0)) + part,
    "instance": lambda part: _header((0, 0, 0, 0, 0, 1)) + _phase_head(1) + part,
    "next": lambda part: _header((0, 0, 1, 0, 0, 1)) + _STATE + _phase_head(0) + part,
    "phase": lambda part: _header((0, 0, 0, 0, 0, 1)) + part,
    "header": lambda part: part,
}


def accepted(part: str, data: bytes) -> bool:
    """Does the spec's decoder take ``data`` as this part of a program?"""
    if part in ("header", "phase"):
        return _accepted_counted(part, data)
    try:
        encoding.decode(_AROUND[part](data))
    except DecodeError:
        return False
    return True


def _accepted_counted(part: str, data: bytes) -> bool:
    """A header or phase head alone: the tables it counts are missing, so that a decoder gets past
    the head exactly if its complaint is about what comes after it."""
    whole = _AROUND[part](data)
    end = 2 * WORD if part == "header" else 3 * WORD
    if len(whole) != end:
        return False
    try:
        encoding.decode(whole)
    except DecodeError as error:
        return str(error).startswith(f"byte {end}: file ends inside")
    return True


# --- files ----------------------------------------------------------------------------------------


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def decoder_vectors() -> dict[str, object]:
    """For each part of a program: encodings and damaged encodings, sorted by the spec's verdict."""
    rng = Random(2026)
    makers: dict[str, Callable[[], bytes]] = {
        "header": lambda: _header([rng.randrange(1 << 20) for _ in range(6)]),
        "decl": lambda: encoding.encode_decl(any_decl(rng)),
        "state": lambda: encoding.encode_state(any_state(rng)),
        "template": lambda: encoding.encode_template(any_template(rng)),
        "phase": lambda: _phase_head(rng.randrange(1 << 20)),
        "instance": lambda: encoding.encode_instance(any_instance(rng)),
        "next": lambda: encoding.encode_next(any_next(rng)),
    }
    out: dict[str, object] = {}
    for part, make in makers.items():
        files: dict[bool, list[str]] = {True: [], False: []}
        for _ in range(24):
            data = make()
            for item in (data, *mutants(rng, data, 8 if part == "template" else 20)):
                files[accepted(part, item)].append(_hex(item))
        out[part] = {"accept": files[True], "reject": files[False]}
    out["widest"] = _hex(encoding.encode_template(widest_template()))
    return out


def tree_vectors() -> dict[str, object]:
    """Runs of blocks with their proofs, the wrapper, and the parts of a program root."""
    rng = Random(512)
    runs = []
    for blocks in (1, 2, 3, 4, 5, 6, 7, 9, 13):
        size = blocks * BLOCK_BYTES - rng.choice([0, 1, 31, 32, 33, 511])
        data = rng.randbytes(size)
        leaves = trees.block_leaves(data)
        # levels_of keeps the ZERO tail off, so that len(level) is the number of real nodes
        levels = trees.levels_of(leaves)
        padded = data.ljust(blocks * BLOCK_BYTES, b"\0")
        for _ in range(6):
            first = rng.randrange(blocks)
            count = rng.randrange(1, blocks - first + 1)
            part = padded[first * BLOCK_BYTES : (first + count) * BLOCK_BYTES]
            runs.append(
                {
                    "root": _hex(levels[-1][0]),
                    "size": size,
                    "first": first,
                    "blocks": _hex(part),
                    "siblings": _hex(b"".join(trees.siblings_of(levels, first, count))),
                }
            )
    return {"runs": runs, "count": len(runs), "program": _program_vector(rng)}


def _program_vector(rng: Random) -> dict[str, object]:
    templates = tuple(any_template(rng) for _ in range(5))
    phase = Phase(
        3,
        tuple(any_instance(rng) for _ in range(7)),
        tuple(any_next(rng) for _ in range(2)),
    )
    p = Program(
        constants=tuple(any_decl(rng) for _ in range(3)),
        inputs=(any_decl(rng),),
        states=tuple(any_state(rng) for _ in range(2)),
        outputs=(1, 0),
        templates=templates,
        phases=(phase, Phase(1, (), phase.nexts)),
    )
    s = encoding.sections(p)
    phases = [encoding.phase_hash(ph, *s.phases[k]) for k, ph in enumerate(p.phases)]
    tables = (s.constants, s.inputs, s.states, s.outputs, s.templates, phases)
    decl = p.constants[0]
    block_root = rng.randbytes(WORD)
    instances, nexts = s.phases[0]
    return {
        "root": _hex(encoding.program_root(p)),
        "header": _hex(encoding.encode(p)[: 2 * WORD]),
        "tables": _hex(b"".join(trees.list_root(t) for t in tables)),
        "template": _hex(encoding.encode_template(templates[4])),
        "templateIndex": 4,
        "templateSiblings": _hex(b"".join(trees.siblings_of(trees.levels_of(s.templates), 4, 1))),
        "phaseIndex": 0,
        "phaseSiblings": _hex(b"".join(trees.siblings_of(trees.levels_of(phases), 0, 1))),
        "phaseHead": _hex(encoding.encode(Program((), (), (), (), (), (phase,)))[64:96]),
        "instancesRoot": _hex(trees.list_root(instances)),
        "nextsRoot": _hex(trees.list_root(nexts)),
        "instance": _hex(encoding.encode_instance(phase.instances[6])),
        "instanceIndex": 6,
        "instanceSiblings": _hex(b"".join(trees.siblings_of(trees.levels_of(instances), 6, 1))),
        "decl": _hex(encoding.encode_decl(decl)),
        "blockRoot": _hex(block_root),
        "wrapped": _hex(trees.wrap(decl.dtype, decl.shape, block_root)),
        "templateHash": _hex(trees.tagged(TAG_TEMPLATE, encoding.encode_template(templates[4]))),
        "instanceHash": _hex(
            trees.tagged(TAG_INSTANCE, encoding.encode_instance(phase.instances[6]))
        ),
    }
