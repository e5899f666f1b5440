"""Vectors for whole elements: random adversarial operations, judged by the interpreter.

An element is an ABI-encoded call with the expected bits behind it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from eth_abi import encode as abi_encode

from protocol.spec import trees
from protocol.spec.assembler import Code, RegI
from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.encoding import encode_template
from protocol.spec.microcode import Op, signature
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
from tests.differential.values import FLOATS, INTEGERS, Random, random_float, random_integer


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
        Digit(
            n,
            stride=rng.randrange(-2, max(3, 2 * reach // n)),
            g0=rng.choice([0, 1, 2]),
            g1=rng.choice([0, 1]),
        )
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
    computed: int = 0,
) -> tuple[Instr, ...]:
    """Straight-line code of legal register types that ends in a register of type ``result``;
    ``computed`` loads are at an index that depends on coordinates."""
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
    for _ in range(computed if views else 0):
        place = Op.RINDEX if rdims and rng.random() < 0.7 else Op.INDEX
        emit(Instr(place), "I")
        view = rng.randrange(len(views))
        emit(Instr(Op.LOADX, view, len(code) - 1), "F" if views[view].is_float else "I")
    if acc:
        emit(Instr(Op.ACC), acc)
    others: list[Op] = [op for op in Op if op not in (Op.RCOORD, Op.RINDEX, Op.ACC)]
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


def random_map(rng: Random, computed: int = 0) -> Template:
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
    length = rng.randrange(6, 40)
    code = random_code(rng, kinds, len(shape), length, result, computed=computed)
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
        (slot, a, padded[a * BLOCK_BYTES : b * BLOCK_BYTES], trees.siblings_of(levels, a, b - a))
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


VIEW_CALL = f"(bytes,bytes32[],{RUN}[],uint256[])"
"""Template, roots, runs, the expected bits of every element."""


def ascending(dtype: DType, count: int) -> Array:
    """Different elements; of f32, every third from the second on is a NaN with a payload."""
    n = np.arange(count)
    if not dtype.is_float:
        return (1000 + n).astype(dtype.numpy)
    return np.where(n % 3 == 1, 0x7F800000 + n, 0x3F800000 + n).astype(np.uint32).view(np.float32)


def view_vectors(count: int = 24) -> dict[str, object]:
    """A load through a guarded view at every element of the output: values tell every position of
    the operand apart, and guards and ends of the operand are met exactly."""
    rng = Random(5)
    calls = []
    for k in range(count):
        dtype = (DType.I16, DType.F32)[k % 2]
        shape = tuple(rng.randrange(2, 5) for _ in range(3))
        radices = factor(rng, math.prod(shape), 4)
        elements = rng.choice([20, 64])
        digits = tuple(
            Digit(n, rng.choice([-3, -1, 1, 2, 7]), rng.choice([1, -1, 0]), rng.choice([1, 2, 0]))
            for n in radices
        )
        guards = tuple(
            Guard(rng.randrange(-1, 2), rng.randrange(1, 6), rng.choice([None, 1]))
            for _ in range(rng.randrange(3))
        )
        pad = 0x40E00000 if dtype.is_float else -7
        view = View(0, rng.randrange(-4, elements), digits, (), guards, pad)
        slots = (Slot(dtype, elements), Slot(DType.I64, 1))
        t = Template(Kind.MAP, dtype, shape, slots, (view,), (Instr(Op.LOAD, 0),))
        operands = [ascending(dtype, elements), np.array([rng.randrange(0, 5)], np.int64)]
        raw = [x.tobytes() for x in operands]
        runs = [run for slot, data in enumerate(raw) for run in block_runs(rng, slot, data)]
        wants = [
            int.from_bytes(element(t, operands, Scalars(), i).tobytes(), "little")
            for i in range(t.count)
        ]
        roots = [trees.block_root(data) for data in raw]
        calls.append(abi_encode([VIEW_CALL], [(encode_template(t), roots, runs, wants)]))
    return {"calls": ["0x" + call.hex() for call in calls]}


def map_vectors(count: int = 40) -> dict[str, object]:
    """Random MAP elements: an array of encoded calls."""
    rng = Random(1)
    calls = []
    for _ in range(count):
        t = random_map(rng)
        operands = [random_tensor(rng, s.dtype, s.count) for s in t.slots[:-1]]
        operands.append(np.array([rng.randrange(-1, 9)], np.int64))
        calls.append(element_call(rng, t, operands, rng.randrange(t.count)))
    t = computed_map()
    calls += [element_call(rng, t, [ascending(DType.I16, 100)], i) for i in range(t.count)]
    return {"calls": ["0x" + call.hex() for call in calls]}


def random_post(rng: Random, dims: int, dtype: DType, acc: str) -> tuple[Instr, ...]:
    """Mostly the fold's result as it is, converted if need be; else random code on it."""
    result = "F" if dtype.is_float else "I"
    if rng.random() < 0.2:
        return random_code(rng, (), dims, 5, result, acc=acc)
    if acc == result:
        return (Instr(Op.ACC),)
    return (Instr(Op.ACC), Instr(Op.I2F if result == "F" else Op.BITS, 0))


def random_reduce(rng: Random, fold: Fold, computed: int = 0) -> Template:
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
    length = rng.randrange(7, 14)
    pre = random_code(rng, kinds, len(shape), length, takes, rdims=len(r), computed=computed)
    dtype = rng.choice(list(DType))
    return Template(
        Kind.REDUCE,
        dtype,
        shape,
        slots,
        views,
        random_post(rng, len(shape), dtype, gives),
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
    post = random_post(rng, len(shape), dtype, "I")
    return Template(
        Kind.DOT, dtype, shape, slots, tuple(views), post, (), r, live_r=rng.choice([None, None, 2])
    )


def computed_map() -> Template:
    """Every element from another computed place."""
    code = Code()
    got = code.loadx(0, code.index() * 7, DType.I16)
    view = View(0, 1, (Digit(12, 1),))
    return Template(Kind.MAP, DType.I64, (12,), (Slot(DType.I16, 100),), (view,), code.finish(got))


def computed_reduce() -> Template:
    """A sum in which only the positions tell the terms apart: of elements at computed places, each
    times its digit and one more."""
    pre = Code()
    got = pre.loadx(0, pre.rindex(), DType.I16)
    assert isinstance(got, RegI)
    weight = pre.rcoord(0) + 1
    still = Digit(4, 0), Digit(5, 0)
    view = View(0, 0, (Digit(3, 30),), still)
    return Template(
        Kind.REDUCE, DType.I64, (3,), (Slot(DType.I16, 100),), (view,), (Instr(Op.ACC),),
        pre.finish(got * weight), (4, 5), Fold.ISUM,
    )  # fmt: skip


def best_of_floats(fold: Fold) -> Template:
    """The least or the greatest of some of nine floats, a few of them NaN."""
    view = View(0, 0, (Digit(3, 9),), (Digit(9, 1),))
    return Template(
        Kind.REDUCE, DType.F32, (3,), (Slot(DType.F32, 27), Slot(DType.I64, 1)), (view,),
        (Instr(Op.ACC),), (Instr(Op.LOAD, 0),), (9,), fold, live_r=1,
    )  # fmt: skip


def fold_vectors(count: int = 60) -> dict[str, object]:
    """Random elements of REDUCE, each fold in turn, and of DOT."""
    rng = Random(7)
    folds = [f for f in Fold if f is not Fold.NONE]
    calls = []
    for k in range(count):
        t = random_dot(rng) if k % 2 else random_reduce(rng, folds[k // 2 % len(folds)])
        operands = [random_tensor(rng, s.dtype, s.count) for s in t.slots[:-1]]
        operands.append(np.array([rng.randrange(-1, math.prod(t.r) + 3)], np.int64))
        calls.append(element_call(rng, t, operands, rng.randrange(t.count)))
    t = computed_reduce()
    calls += [element_call(rng, t, [ascending(DType.I16, 100)], i) for i in range(t.count)]
    for t in (best_of_floats(Fold.MIN), best_of_floats(Fold.MAX)):
        for live in (9, 1, 0):
            operands = [ascending(DType.F32, 27), np.array([live], np.int64)]
            calls += [element_call(rng, t, operands, i) for i in range(t.count)]
    return {"calls": ["0x" + call.hex() for call in calls]}
