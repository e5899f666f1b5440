"""Writes the conformance vectors: what engines and contracts are checked with.

    python -m protocol.spec.vectors DIRECTORY

``microcode.json``: for every instruction that computes from registers, columns of hexadecimal
arguments and results (8 digits for f32, 16 for i64) over all combinations of special values.
``programs.json``: the example programs with roots, tensors, and the block root of every
operation's result.  ``trees.json``: block roots and tensor roots of byte strings.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from protocol.spec import encoding, examples, interpreter, trees
from protocol.spec.f32 import I
from protocol.spec.microcode import Op, Register, as_f, as_i, run, signature
from protocol.spec.types import Array, DType, Instr, TensorDecl

INTEGERS = (
    0, 1, -1, 2, -2, 3, 63, 64, 65, 127, -128, 255, 32767, -32768, 1 << 24, (1 << 24) + 1,
    (1 << 31) - 1, -(1 << 31), 1 << 32, (1 << 53) + 1, 1 << 62, (1 << 63) - 1, -(1 << 63),
    0x0123456789ABCDEF,
)  # fmt: skip
"""Integers at which implementations differ: shift amounts, limits of dtypes, rounding of f32."""

LITERALS = (0, 1, 127, 32639, 0x7FFFFFFF)
"""Immediates for CLAMP and CONSTHI."""


class Columns:
    """A context whose views are columns of registers."""

    def __init__(self, columns: Sequence[Register]) -> None:
        self.columns = columns

    def load(self, view: int, extra: I | None) -> Register:
        return self.columns[view]

    def coord(self, axis: int) -> I:
        raise NotImplementedError

    def rcoord(self, digit: int) -> I:
        raise NotImplementedError

    def index(self) -> I:
        raise NotImplementedError

    def rindex(self) -> I:
        raise NotImplementedError

    def scalar(self, op: Op) -> I:
        raise NotImplementedError

    def acc(self) -> Register:
        raise NotImplementedError


def _hex(column: Register) -> list[str]:
    if column.dtype == np.float32:
        return [f"{b:08x}" for b in as_f(column).view(np.uint32).tolist()]
    return [f"{b:016x}" for b in as_i(column).view(np.uint64).tolist()]


def _pool(kind: str) -> Register:
    if kind == "F":
        bits = np.array(examples.SPECIALS, np.uint32)
        return np.unique(np.where(np.isnan(bits.view(np.float32)), 0x7FC00000, bits)).astype(
            np.uint32
        ).view(np.float32)
    return np.array(INTEGERS, np.int64)


def _rows(op: Op) -> list[dict[str, Any]]:
    kinds, _, uses_imm = signature(op)
    wanted = [k for k in kinds if k in "IF"]
    if not wanted or op is Op.LOADX:
        return []
    pools = [_pool(k) for k in wanted]
    if len(wanted) == 3:
        pools = [p[:6] for p in pools]
    picks = np.array(list(product(*(range(len(p)) for p in pools)))).T
    columns = [p[k] for p, k in zip(pools, picks, strict=True)]
    loads = [Instr(Op.LOAD, k) for k in range(len(columns))]
    a, b, c = [*range(len(columns)), 0, 0][:3]
    out = []
    for imm in LITERALS if uses_imm else (0,):
        code = (*loads, Instr(op, a, b, c, imm))
        result = run(code, Columns(columns))
        row = {"op": op.name, "imm": imm, "args": [_hex(c) for c in columns]}
        out.append(row | {"result": _hex(result)})
    return out


def microcode() -> list[dict[str, Any]]:
    """One row an instruction (and literal): its arguments in columns, and the results."""
    return [row for op in Op for row in _rows(op)]


def _tensors(decls: tuple[TensorDecl, ...], tensors: list[Array]) -> list[dict[str, Any]]:
    return [
        {"dtype": d.dtype.name, "shape": list(d.shape), "data": trees.tensor_bytes(d, t).hex()}
        for d, t in zip(decls, tensors, strict=True)
    ]


def program_vector(e: examples.Example) -> dict[str, Any]:
    """One program with everything that a run of it commits to."""
    p = e.program
    seen: list[str] = []

    def observe(phase: int, step: int, op: int, tensor: Array) -> None:
        seen.append(trees.block_root(np.ascontiguousarray(tensor).tobytes()).hex())

    outputs = interpreter.run(
        p, e.constants, e.inputs, seed=e.seed, steps=e.steps, observe=observe
    )
    decls = tuple(p.states[n].tensor for n in p.outputs)
    return {
        "name": e.name,
        "program": encoding.encode(p).hex(),
        "program_root": encoding.program_root(p).hex(),
        "seed": e.seed,
        "steps": list(interpreter.check_steps(p, e.steps)),
        "constants": _tensors(p.constants, e.constants),
        "constants_root": trees.tensors_root(p.constants, e.constants).hex(),
        "inputs": _tensors(p.inputs, e.inputs),
        "inputs_root": trees.tensors_root(p.inputs, e.inputs).hex(),
        "outputs": _tensors(decls, outputs),
        "outputs_root": trees.tensors_root(decls, outputs).hex(),
        "operation_block_roots": seen,
    }


def tree_vectors() -> list[dict[str, Any]]:
    """Block roots of i8 tensors of lengths around block and power-of-two boundaries."""
    out = []
    for length in (1, 511, 512, 513, 1024, 1025, 2560, 4096 + 7):
        data = (np.arange(length) * 37 % 251 - 125).astype(np.int8)
        decl = TensorDecl(DType.I8, (length,))
        row = {"data": data.tobytes().hex(), "block_root": trees.block_root(data.tobytes()).hex()}
        out.append(row | {"tensor_root": trees.tensor_root(decl, data).hex()})
    return out


def all_files() -> dict[str, str]:
    """File name to contents; the same text every time."""
    parts = {
        "microcode.json": microcode(),
        "programs.json": [program_vector(e) for e in examples.all_examples()],
        "trees.json": tree_vectors(),
    }
    return {name: json.dumps(rows, indent=0) + "\n" for name, rows in parts.items()}


def main(directory: str) -> None:
    """Write all vectors below ``directory``."""
    target = Path(directory)
    target.mkdir(parents=True, exist_ok=True)
    for name, text in all_files().items():
        (target / name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1])
