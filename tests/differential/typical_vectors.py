"""Typical elements, with exactly the blocks they read: what gas is measured on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from eth_abi import encode as abi_encode

from protocol.spec import trees
from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.encoding import encode_template
from protocol.spec.microcode import Op
from protocol.spec.operations import Scalars, element
from protocol.spec.types import Array, Digit, DType, Fold, Instr, Kind, Slot, Template, View
from tests.differential.element_vectors import CALL, Runs, random_tensor
from tests.differential.values import Random


def typical_map(instructions: int = 30) -> Template:
    """Three f32 views of four digits over (4, 8, 16, 32) and a chain of multiply and add."""
    shape = (4, 8, 16, 32)
    strides = ((4096, 512, 32, 1), (0, 512, 32, 1), (0, 0, 0, 1))
    counts = (16384, 4096, 32)
    views = tuple(
        View(k, 0, tuple(Digit(n, s) for n, s in zip(shape, strides[k], strict=True)))
        for k in range(3)
    )
    code = [Instr(Op.LOAD, 0), Instr(Op.LOAD, 1), Instr(Op.LOAD, 2)]
    for k in range(3, instructions):
        code.append(Instr(Op.FMUL if k % 2 else Op.FADD, k - 1, k - 2))
    slots = tuple(Slot(DType.F32, n) for n in counts)
    return Template(Kind.MAP, DType.F32, shape, slots, views, tuple(code))


def typical_dot(terms: int, dtype: DType) -> Template:
    """One row against one column of 16- or 8-bit integers."""
    slots = (Slot(dtype, 8 * terms), Slot(dtype, 16 * terms))
    inner = (Digit(terms, 1),)
    views = (
        View(0, 0, (Digit(8, terms), Digit(16, 0)), inner),
        View(1, 0, (Digit(8, 0), Digit(16, terms)), inner),
    )
    return Template(
        Kind.DOT, DType.I64, (8, 16), slots, views, (Instr(Op.ACC),), (), (terms,), bound_a=127
    )


def typical_reduce(terms: int, fold: Fold) -> Template:
    """A row of squares, folded."""
    slots = (Slot(DType.F32, 8 * terms),)
    views = (View(0, 0, (Digit(8, terms),), (Digit(terms, 1),)),)
    pre = (Instr(Op.LOAD, 0), Instr(Op.FMUL, 0, 0))
    return Template(
        Kind.REDUCE, DType.F32, (8,), slots, views, (Instr(Op.ACC),), pre, (terms,), fold
    )


def row_call(rng: Random, t: Template, i: int) -> bytes:
    """Element i of a DOT or REDUCE of rows, with exactly the blocks it reads."""
    operands: list[Array] = [random_tensor(rng, s.dtype, s.count) for s in t.slots]
    if t.kind is Kind.REDUCE:
        count = t.slots[0].count
        operands = [np.array([rng.gauss(0, 1) for _ in range(count)], np.float32)]
    runs: Runs = []
    roots = []
    for slot, (view, x) in enumerate(zip(t.views, operands, strict=True)):
        start, rest = 0, i
        for digit in reversed(view.digits):
            rest, d = divmod(rest, digit.radix)
            start += digit.stride * d
        data = x.tobytes()
        levels = trees.levels_of(trees.block_leaves(data))
        first = start * x.itemsize // BLOCK_BYTES
        last = ((start + t.terms) * x.itemsize - 1) // BLOCK_BYTES
        blocks = data[first * BLOCK_BYTES : (last + 1) * BLOCK_BYTES]
        padded = blocks.ljust((last + 1 - first) * BLOCK_BYTES, b"\0")
        runs.append((slot, first, padded, trees.siblings_of(levels, first, last + 1 - first)))
        roots.append(levels[-1][0])
    bits = int.from_bytes(element(t, operands, Scalars(), i).tobytes(), "little")
    return abi_encode([CALL], [(encode_template(t), roots, runs, (0, 0, 0), i, bits)])


def gas_vectors() -> dict[str, object]:
    """Typical encodings and calls whose gas is measured."""
    rng = Random(3)
    out: dict[str, object] = {}
    for instructions in (3, 30, 230):
        t = typical_map(instructions)
        operands = [
            np.array([rng.uniform(-2, 2) for _ in range(s.count)], np.float32) for s in t.slots
        ]
        call = typical_call(t, operands, 9999)
        out[f"map{instructions}"] = "0x" + call.hex()
        out[f"template{instructions}"] = "0x" + encode_template(t).hex()
    for terms in (384, 4096):
        out[f"dot{terms}"] = "0x" + row_call(rng, typical_dot(terms, DType.I16), 77).hex()
    out["dot8x4096"] = "0x" + row_call(rng, typical_dot(4096, DType.I8), 77).hex()
    for fold in (Fold.FSUM, Fold.MAX):
        out[f"{fold.name}384"] = "0x" + row_call(rng, typical_reduce(384, fold), 5).hex()
    return out


def typical_call(t: Template, operands: Sequence[Array], i: int) -> bytes:
    """Like ``element_call``, with only the one block of each operand that element i reads."""
    want = element(t, operands, Scalars(), i)
    runs, roots = [], []
    for view, x in zip(t.views, operands, strict=True):
        address, rest = view.offset, i
        for digit in reversed(view.digits):
            rest, d = divmod(rest, digit.radix)
            address += digit.stride * d
        data = np.ascontiguousarray(x).tobytes()
        levels = trees.levels_of(trees.block_leaves(data))
        first = address * x.itemsize // BLOCK_BYTES
        block = data[first * BLOCK_BYTES : (first + 1) * BLOCK_BYTES].ljust(BLOCK_BYTES, b"\0")
        runs.append((view.slot, first, block, trees.siblings_of(levels, first, 1)))
        roots.append(levels[-1][0])
    bits = int.from_bytes(want.tobytes(), "little")
    return abi_encode([CALL], [(encode_template(t), roots, runs, (0, 0, 0), i, bits)])
