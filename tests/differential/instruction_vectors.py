"""Vectors for single instructions: all pairs of special values and random ones.

A row has 40 bytes: instruction 8, registers 0, 1 and 2 (8 each: an i64, or the bits of an f32),
result 8.
"""

from __future__ import annotations

import numpy as np

from protocol.spec import f32
from protocol.spec.microcode import Op, Register, run, signature
from protocol.spec.types import Instr
from protocol.spec.vectors import Columns
from tests.differential.values import FLOATS, INTEGERS, Random, random_float, random_integer


def _register(kind: str, value: int) -> Register:
    if kind == "F":
        return f32.from_bits(np.array([value], np.int64))
    return np.array([value], np.int64)


def _raw(reg: Register) -> bytes:
    if reg.dtype == np.float32:
        return int(reg.view(np.uint32)[0]).to_bytes(8, "big")
    return int(reg[0]).to_bytes(8, "big", signed=True)


def nothing(rng: Random) -> int:
    """Contents of a register that no field names."""
    return 0


NEAR_TIES: dict[Op, list[tuple[int, int, int]]] = {
    Op.FDIV: [(a, 20 << 23 | b - (1 << 23), 0) for a, b in ((1, 13535467), (1, 13786405))],
    Op.FSQRT: [(m, 0, 0) for m in range(1, 600)],
}
"""Operands of few bits, whose exact result lies barely above the middle between two floats."""


def _columns(rng: Random, op: Op, extra: int) -> list[tuple[int, int, int]]:
    """Operands of the rows of ``op``: all combinations of specials, then random ones."""
    kinds, _, _ = signature(op)
    special = {"F": FLOATS, "I": INTEGERS, "-": [0]}
    draw = {"F": random_float, "I": random_integer, "-": nothing}
    rows = [(a, b, 0) for a in special[kinds[0]] for b in special[kinds[1]]]
    if kinds[2] != "-":
        rows = [(a, b, rng.choice(special[kinds[2]])) for a, b, _ in rows]
    rows += NEAR_TIES.get(op, [])
    rows += [
        (draw[kinds[0]](rng), draw[kinds[1]](rng), draw[kinds[2]](rng)) for _ in range(extra)
    ]
    return rows


def pure_opcodes() -> list[Op]:
    """Opcodes whose result depends on registers and the immediate alone."""
    return [op for op in Op if op >= Op.ADD or op in (Op.CONSTI, Op.CONSTHI, Op.CONSTF)]


def instruction_rows(rng: Random, op: Op, extra: int) -> bytes:
    """Rows of one opcode."""
    kinds, _, uses_imm = signature(op)
    out = []
    for values in _columns(rng, op, extra):
        limit = 0x7FFFFFFF if op is Op.CLAMP else 0xFFFFFFFF
        imm = rng.choice([0, 1, 127, limit, rng.randrange(limit + 1)]) if uses_imm else 0
        numbers = [k if kind != "-" else 0 for k, kind in enumerate(kinds)]
        ins = Instr(op, numbers[0], numbers[1], numbers[2], imm)
        regs = [_register(kind, v) for kind, v in zip(kinds, values, strict=True)]
        loads = tuple(Instr(Op.LOAD, k) for k in range(3))
        want = run((*loads, ins), Columns(regs))
        head = bytes([op, *numbers]) + imm.to_bytes(4, "big")
        out.append(head + b"".join(map(_raw, regs)) + _raw(want.reshape(1)))
    return b"".join(out)


def instruction_vectors(op: Op) -> dict[str, object]:
    """Rows of one opcode."""
    rows = instruction_rows(Random(57 + op), op, 150)
    return {"rows": "0x" + rows.hex()}
