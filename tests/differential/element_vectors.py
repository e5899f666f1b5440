"""Vectors for instructions and for whole elements: random, adversarial, judged by the spec.

Instructions are rows of 40 bytes: instruction 8, registers 0, 1 and 2 (8 each: an i64, or the bits
of an f32), result 8.  Elements are ABI-encoded calls with the expected bits behind them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from eth_abi import encode as abi_encode

from protocol.spec import f32, trees
from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.encoding import encode_template
from protocol.spec.f32 import I
from protocol.spec.microcode import Op, Register, run, signature
from protocol.spec.operations import Scalars, element
from protocol.spec.types import (
    Array,
    Digit,
    DType,
    Fold,
    Guard,
    Instr,
    Kind,
    Slot,
    Template,
    View,
)
from tests.differential.program_vectors import run_siblings

Random = random.Random

FLOATS = [
    0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000, 0x80800000,
    0x3F000000, 0x3F7FFFFF, 0x3F800000, 0xBF800000, 0x3F800001, 0x3FC00000, 0xC0200000,
    0x4B000001, 0x4B7FFFFF, 0xCB800000, 0x5F000000, 0xDF000000, 0x5EFFFFFF, 0x7F7FFFFF,
    0xFF7FFFFF, 0x7D923456, 0xFE800000, 0x7F800000, 0xFF800000, 0x7FC00000,
]  # fmt: skip
"""One of every class: zeros, subnormals, halves, odd and even integers, limits, infinities, NaN."""

INTEGERS = [
    0, 1, -1, 2, 63, 64, -64, 300, -301, 0x7FFFFFFF, -0x80000000, 0xFFFFFFFF,
    (1 << 24) + 1, (1 << 53) + 1, (1 << 62), -(1 << 62) - 1, (1 << 63) - 1, -(1 << 63),
]  # fmt: skip
"""Small ones, shift amounts, halves of a word, ties of I2F, the limits."""


def random_float(rng: Random) -> int:
    """Bits of a canonical f32: any, or near one, or of few bits (so that ties occur)."""
    match rng.randrange(4):
        case 0:
            bits = rng.getrandbits(32)
        case 1:
            bits = rng.choice([0x3F800000, 0xBF800000]) + rng.getrandbits(20)
        case 2:
            bits = rng.getrandbits(9) << 23 | rng.getrandbits(3) << rng.randrange(20)
        case _:
            bits = rng.choice(FLOATS) ^ rng.getrandbits(2)
    return 0x7FC00000 if bits & 0x7FFFFFFF > 0x7F800000 else bits


def random_integer(rng: Random) -> int:
    bits = rng.choice([2, 7, 24, 25, 26, 33, 63, 64])
    value = rng.getrandbits(bits)
    return value - (1 << 64) if value >> 63 else rng.choice([1, -1]) * value


@dataclass(frozen=True)
class _Registers:
    """A context whose loads are the three given registers: view k is register k."""

    values: Sequence[Register]

    def load(self, view: int, extra: I | None) -> Register:
        return self.values[view]

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


def _register(kind: str, value: int) -> Register:
    if kind == "F":
        return f32.from_bits(np.array([value], np.int64))
    return np.array([value], np.int64)


def _raw(reg: Register) -> bytes:
    if reg.dtype == np.float32:
        return int(reg.view(np.uint32)[0]).to_bytes(8, "big")
    return int(reg[0]).to_bytes(8, "big", signed=True)


def _columns(rng: Random, op: Op, extra: int) -> list[tuple[int, int, int]]:
    """Operands of the rows of ``op``: all combinations of specials, then random ones."""
    kinds, _, _ = signature(op)
    special = {"F": FLOATS, "I": INTEGERS, "-": [0]}
    draw = {"F": random_float, "I": random_integer, "-": lambda _: 0}
    rows = [(a, b, 0) for a in special[kinds[0]] for b in special[kinds[1]]]
    if kinds[2] != "-":
        rows = [(a, b, rng.choice(special[kinds[2]])) for a, b, _ in rows]
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
        ins = Instr(op, *numbers, imm)
        regs = [_register(kind, v) for kind, v in zip(kinds, values, strict=True)]
        loads = tuple(Instr(Op.LOAD, k) for k in range(3))
        want = run((*loads, ins), _Registers(regs))
        head = bytes([op, *numbers]) + imm.to_bytes(4, "big")
        out.append(head + b"".join(map(_raw, regs)) + _raw(want.reshape(1)))
    return b"".join(out)


def instruction_vectors(extra: int = 150) -> dict[str, object]:
    """Rows of every opcode that needs only registers, by its name."""
    rng = Random(57)
    rows = {op.name: "0x" + instruction_rows(rng, op, extra).hex() for op in pure_opcodes()}
    return {"names": list(rows), "rows": rows}


# --- whole elements -------------------------------------------------------------------------------


def random_tensor(rng: Random, dtype: DType, count: int) -> Array:
    """Adversarial elements of a dtype; f32 with raw NaN payloads."""
    if dtype is DType.F32:
        bits = [
            rng.choice([random_float(rng), rng.choice(FLOATS), 0x7F800001, 0xFFFFFFFF])
            for _ in range(count)
        ]
        return np.array(bits, np.uint32).view(np.float32)
    limits = [dtype.min, dtype.max, 0, 1, -1]
    values = [rng.choice([*limits, rng.randrange(dtype.min, dtype.max + 1)]) for _ in range(count)]
    return np.array(values, dtype.numpy)


def factor(rng: Random, count: int, most: int) -> tuple[int, ...]:
    """Radices whose product is ``count``."""
    out: list[int] = []
    while count > 1 and len(out) < most - 1:
        divisors = [d for d in range(2, count + 1) if count % d == 0]
        out.append(rng.choice(divisors))
        count //= out[-1]
    return tuple(out) if count == 1 else (*out, count)


def random_digits(rng: Random, radices: Sequence[int], reach: int) -> tuple[Digit, ...]:
    return tuple(
        Digit(n, rng.randrange(-2, max(3, 2 * reach // n)), rng.choice([0, 1, 2]), rng.choice([0, 1]))
        for n in radices
    )


def random_view(
    rng: Random, slots: Sequence[Slot], slot: int, count: int, r: Sequence[int], live: int
) -> View:
    """A view that mostly stays inside its operand, sometimes in negative or distant places."""
    elements = slots[slot].count
    digits = random_digits(rng, factor(rng, count, 4), elements)
    guards = tuple(
        Guard(rng.randrange(-2, 2), rng.randrange(1, 30), rng.choice([None, live]))
        for _ in range(rng.choice([0, 0, 1, 2]))
    )
    pad = rng.choice(FLOATS) if slots[slot].dtype is DType.F32 else rng.choice([0, 1, -1])
    rdigits = random_digits(rng, r, elements)
    return View(slot, rng.randrange(-3, elements), digits, rdigits, guards, pad)


def random_code(
    rng: Random,
    views: Sequence[DType],
    dims: int,
    length: int,
    result: str,
    *,
    acc: str = "",
    rdims: int = 0,
) -> tuple[Instr, ...]:
    """Straight-line code of legal register types that ends in a register of type ``result``."""
    code: list[Instr] = []
    types: list[str] = []

    def emit(ins: Instr, yields: str) -> None:
        code.append(ins)
        types.append(yields)

    def pick(kind: str) -> int:
        found = [k for k, t in enumerate(types) if t == kind]
        return rng.choice(found[-6:])

    emit(Instr(Op.CONSTI, imm=rng.choice(INTEGERS) & 0xFFFFFFFF), "I")
    emit(Instr(Op.CONSTF, imm=rng.choice(FLOATS)), "F")
    for k, dtype in enumerate(views):
        emit(Instr(Op.LOAD, k), "F" if dtype.is_float else "I")
    if acc:
        emit(Instr(Op.ACC), acc)
    others = [op for op in Op if op not in (Op.RCOORD, Op.RINDEX, Op.ACC)]
    if rdims:
        others += [Op.RCOORD, Op.RINDEX]
    while len(code) < length:
        op = rng.choice(others)
        kinds, yields, uses_imm = signature(op)
        if op in (Op.LOAD, Op.LOADX):
            if not views:
                continue
            view = rng.randrange(len(views))
            at = pick("I") if op is Op.LOADX else 0
            emit(Instr(op, view, at), "F" if views[view].is_float else "I")
        elif op in (Op.COORD, Op.RCOORD):
            axes = dims if op is Op.COORD else rdims
            if axes:
                emit(Instr(op, rng.randrange(axes)), "I")
        else:
            regs = [0 if kind == "-" else pick(kind) for kind in kinds]
            limit = 0x7FFFFFFF if op is Op.CLAMP else 0xFFFFFFFF
            imm = rng.choice([1, 3, limit, rng.randrange(limit + 1)]) if uses_imm else 0
            emit(Instr(op, regs[0], regs[1], regs[2], imm), yields)
    if types[-1] != result:
        last = len(code) - 1
        emit(Instr(Op.I2F if result == "F" else Op.BITS, last), result)
    return tuple(code)


def random_map(rng: Random) -> Template:
    """A MAP template of random views and code."""
    shape = tuple(rng.randrange(1, 7) for _ in range(rng.randrange(4)))
    dtype = rng.choice(list(DType))
    slots = tuple(
        Slot(rng.choice(list(DType)), rng.choice([1, 5, 60, 300]))
        for _ in range(rng.randrange(1, 4))
    )
    slots = (*slots, Slot(DType.I64, 1))
    live = len(slots) - 1
    count = int(np.prod(shape, dtype=np.int64))
    views = tuple(
        random_view(rng, slots, rng.randrange(live), count, (), live)
        for _ in range(rng.randrange(4))
    )
    kinds = [slots[v.slot].dtype for v in views]
    result = "F" if dtype.is_float else "I"
    code = random_code(rng, kinds, len(shape), rng.randrange(6, 40), result)
    live_out = rng.choice([None, None, (live, rng.randrange(len(shape)))]) if shape else None
    dead = rng.choice(FLOATS) if dtype.is_float else rng.choice([0, 1, -1, 77])
    return Template(
        Kind.MAP, dtype, shape, slots, views, code, live_out=live_out, dead=dead if live_out else 0
    )


Runs = list[tuple[int, int, bytes, list[bytes]]]


def block_runs(rng: Random, slot: int, data: bytes) -> Runs:
    """All blocks of an operand: in one run, or cut into several."""
    levels = trees.levels_of(trees.block_leaves(data))
    blocks = len(levels[0])
    padded = data.ljust(blocks * BLOCK_BYTES, b"\0")
    cuts = sorted({0, blocks, *(rng.randrange(blocks + 1) for _ in range(rng.randrange(3)))})
    return [
        (slot, a, padded[a * BLOCK_BYTES : b * BLOCK_BYTES], run_siblings(levels, a, b - a))
        for a, b in zip(cuts, cuts[1:], strict=False)
    ]


RUN = "(uint8,uint64,bytes,bytes32[])"
CALL = f"(bytes,bytes32[],{RUN}[],(int64,int64,int64),uint256,uint256)"
"""Template, roots, runs, scalars, element, expected bits."""


def element_call(rng: Random, t: Template, operands: Sequence[Array], i: int) -> bytes:
    """ABI encoding of one element's recomputation, judged by the interpreter."""
    scalars = Scalars(rng.randrange(9), rng.randrange(9), random_integer(rng))
    want = element(t, operands, scalars, i)
    raw = [np.ascontiguousarray(x).tobytes() for x in operands]
    runs: Runs = []
    for k, data in enumerate(raw):
        runs += block_runs(rng, k, data)
    triple = (scalars.step, scalars.phase_step, scalars.seed)
    bits = int.from_bytes(want.tobytes(), "little")
    roots = [trees.block_root(data) for data in raw]
    return abi_encode([CALL], [(encode_template(t), roots, runs, triple, i, bits)])


def map_vectors(count: int = 40) -> dict[str, object]:
    """Random MAP elements: an array of encoded calls."""
    rng = Random(1)
    calls = []
    for _ in range(count):
        t = random_map(rng)
        operands = [random_tensor(rng, s.dtype, s.count) for s in t.slots[:-1]]
        operands.append(np.array([rng.randrange(-1, 9)], np.int64))
        calls.append(element_call(rng, t, operands, rng.randrange(t.count)))
    return {"calls": ["0x" + call.hex() for call in calls]}


def random_reduce(rng: Random, fold: Fold) -> Template:
    """A REDUCE over one to three digits, sometimes cut by ``live``, of random code."""
    shape = tuple(rng.randrange(1, 4) for _ in range(rng.randrange(3)))
    r = tuple(rng.randrange(1, 6) for _ in range(rng.randrange(1, 4)))
    slots = (
        Slot(rng.choice(list(DType)), rng.choice([5, 60, 300])),
        Slot(DType.F32, 200),
        Slot(DType.I64, 1),
    )
    views = tuple(
        random_view(rng, slots, k, math.prod(shape), r, 2) for k in (0, 1, rng.randrange(2))
    )
    kinds = [slots[v.slot].dtype for v in views]
    takes = {Fold.FSUM: "F", Fold.ISUM: "I"}.get(fold) or rng.choice("FI")
    gives = "I" if fold in (Fold.ISUM, Fold.ARGMAX) else takes
    pre = random_code(rng, kinds, len(shape), rng.randrange(7, 14), takes, rdims=len(r))
    dtype = rng.choice(list(DType))
    result = "F" if dtype.is_float else "I"
    return Template(
        Kind.REDUCE,
        dtype,
        shape,
        slots,
        views,
        random_code(rng, (), len(shape), 5, result, acc=gives),
        pre,
        r,
        fold,
        live_r=rng.choice([None, 2]),
    )


def random_dot(rng: Random) -> Template:
    """A DOT whose operands leave their tensors at either end now and then."""
    shape = tuple(rng.randrange(1, 4) for _ in range(rng.randrange(1, 3)))
    r = (*(rng.randrange(1, 4) for _ in range(rng.randrange(3))), rng.choice([1, 3, 16, 33, 300]))
    narrow = (DType.I16, DType.I8)
    slots = (
        Slot(rng.choice(narrow), rng.choice([40, 400, 900])),
        Slot(rng.choice(narrow), rng.choice([40, 400, 900])),
        Slot(DType.I64, 1),
    )
    views = []
    for k in (0, 1):
        v = random_view(rng, slots, k, math.prod(shape), r, 2)
        inner = Digit(r[-1], 1)
        views.append(replace(v, rdigits=(*v.rdigits[:-1], inner), pad=rng.choice([0, 0, 1, -77])))
    dtype = rng.choice([DType.F32, DType.I64])
    result = "F" if dtype.is_float else "I"
    post = random_code(rng, (), len(shape), 5, result, acc="I")
    if rng.random() < 0.7:
        post = (Instr(Op.ACC),) if result == "I" else (Instr(Op.ACC), Instr(Op.I2F, 0))
    return Template(
        Kind.DOT, dtype, shape, slots, tuple(views), post, (), r, live_r=rng.choice([None, None, 2])
    )


def fold_vectors(count: int = 30) -> dict[str, object]:
    """Random elements of REDUCE, each fold in turn, and of DOT."""
    rng = Random(7)
    folds = [f for f in Fold if f is not Fold.NONE]
    calls = []
    for k in range(count):
        t = random_dot(rng) if k % 2 else random_reduce(rng, folds[k // 2 % len(folds)])
        operands = [random_tensor(rng, s.dtype, s.count) for s in t.slots[:-1]]
        operands.append(np.array([rng.randrange(-1, math.prod(t.r) + 3)], np.int64))
        calls.append(element_call(rng, t, operands, rng.randrange(t.count)))
    return {"calls": ["0x" + call.hex() for call in calls]}


# --- gas ------------------------------------------------------------------------------------------


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
    operands = [random_tensor(rng, s.dtype, s.count) for s in t.slots]
    if t.kind is Kind.REDUCE:
        operands = [np.array([rng.gauss(0, 1) for _ in range(s.count)], np.float32) for s in t.slots]
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
        runs.append((slot, first, padded, run_siblings(levels, first, last + 1 - first)))
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
        runs.append((view.slot, first, block, run_siblings(levels, first, 1)))
        roots.append(levels[-1][0])
    bits = int.from_bytes(want.tobytes(), "little")
    return abi_encode([CALL], [(encode_template(t), roots, runs, (0, 0, 0), i, bits)])
