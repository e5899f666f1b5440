"""Things that many tests need, made at random: legal templates and programs, adversarial values.

``random_program(rng)`` draws small legal programs that use the whole machine: all kinds and folds,
mixed-radix views with zero and negative strides, guards, pads, computed loads, live bounds, one to
three digits of r, every dtype, arbitrary well-typed microcode, states of every kind of next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from protocol.spec import legality
from protocol.spec.builder import Builder
from protocol.spec.errors import IllegalProgram
from protocol.spec.examples import SPECIALS
from protocol.spec.microcode import Op, signature
from protocol.spec.types import (
    Array,
    Digit,
    DType,
    Fold,
    Guard,
    Init,
    InitKind,
    Instr,
    Kind,
    Program,
    Ref,
    Slot,
    Source,
    Template,
    TensorDecl,
    View,
)

Rng = np.random.Generator
Entry = tuple[DType, int, int]
"""Dtype, number of elements and bound (0: none) of what an operation may read."""

INTEGERS = (0, 1, -1, 2, 63, 64, 127, -128, 255, 32767, -32768, 1 << 24, (1 << 31) - 1, -(1 << 31),
            (1 << 53) + 1, (1 << 62) + 1, (1 << 63) - 1, -(1 << 63))  # fmt: skip
"""Integers at which implementations differ."""


@dataclass(frozen=True, slots=True)
class Case:
    """A legal program and the arguments of one run."""

    program: Program
    constants: list[Array]
    inputs: list[Array]
    seed: int


def adversarial(rng: Rng, dtype: DType, shape: Sequence[int], bound: int = 0) -> Array:
    """An array of special, extreme and ordinary values of ``dtype`` (within +-bound if given)."""
    n = math.prod(shape)
    style = rng.integers(0, 3, n)
    if dtype.is_float:
        special = rng.choice(np.array(SPECIALS, np.uint32), n)
        bits = rng.integers(0, 1 << 32, n, dtype=np.uint32)
        plain = rng.normal(0, 10.0 ** rng.integers(-3, 4), n).astype(np.float32).view(np.uint32)
        if rng.random() < 0.3:
            style = np.full(n, 2)  # an ordinary tensor: fast paths that specials would leave
        chosen = np.choose(style, [special, bits, plain]).astype(np.uint32)
        return chosen.view(np.float32).reshape(shape)
    low, high = (-bound, bound) if bound else (dtype.min, dtype.max)
    if bound and low < dtype.min:
        low, high = dtype.min, dtype.max
    wide = rng.integers(low, high, n, dtype=np.int64, endpoint=True)
    ends = np.array([low, high, *(v for v in INTEGERS if low <= v <= high)], np.int64)
    small = np.clip(rng.integers(-9, 10, n), low, high)
    values = np.choose(style, [rng.choice(ends, n), wide, small])
    return values.astype(dtype.numpy).reshape(shape)


def factors(rng: Rng, count: int, most: int) -> tuple[int, ...]:
    """``count`` as a product of 1 to ``most`` radices, ones included."""
    out: list[int] = []
    rest = count
    for _ in range(int(rng.integers(0, most))):
        divisors = [d for d in range(1, rest + 1) if rest % d == 0]
        out.append(int(rng.choice(divisors)))
        rest //= out[-1]
    return (*out, rest)


def _code(rng: Rng, t: Template, *, pre: bool, want: str, clamp: int = 0) -> tuple[Instr, ...]:
    """Random microcode whose last register has type ``want`` (ends in CLAMP if given)."""
    code: list[Instr] = []
    types: list[str] = []
    post_of_fold = not pre and t.kind is not Kind.MAP

    def emit(op: Op, a: int = 0, b: int = 0, c: int = 0, imm: int = 0, kind: str = "") -> None:
        code.append(Instr(op, a, b, c, imm))
        types.append(kind or signature(op)[1])

    def pick(kind: str) -> int:
        """A register of a type, newer ones more likely; a literal is made if there is none."""
        found = [k for k, x in enumerate(types) if x == kind]
        if not found:
            if kind == "F":
                emit(Op.CONSTF, imm=int(rng.choice(SPECIALS)))
            else:
                emit(Op.CONSTI, imm=int(rng.integers(0, 1 << 32)))
            return len(types) - 1
        at = len(found) - 1 - min(int(rng.exponential(2.0)), len(found) - 1)
        return found[at]

    for k, v in enumerate(t.views):
        reads_r = any(d.stride or d.g0 or d.g1 for d in v.rdigits)
        if (not reads_r or pre) and not (t.kind is Kind.DOT and k < 2 and reads_r):
            emit(Op.LOAD, k, kind="F" if t.slots[v.slot].dtype.is_float else "I")
    if post_of_fold:
        folded = "I" if t.kind is Kind.DOT else legality._fold_type(t, _types(t, t.pre))
        emit(Op.ACC, kind=folded)
    ops = [op for op in Op if op not in (Op.LOAD, Op.ACC)]
    for _ in range(int(rng.integers(1, 14))):
        op = Op(int(rng.choice(ops)))
        kinds, result, uses_imm = signature(op)
        imm = int(rng.choice(SPECIALS)) if uses_imm else 0
        if op is Op.CLAMP:
            imm = int(rng.choice([0, 7, 127, 8127, 32639, 1 << 24, (1 << 30) + 5, (1 << 31) - 1]))
        elif op in (Op.CONSTI, Op.CONSTHI):
            imm = int(rng.choice([0, 1, 5, 31, 63, 64, 300, 1 << 31, (1 << 32) - 1]))
        if op is Op.LOADX:
            choices = [
                k for k, v in enumerate(t.views)
                if pre or not any(d.stride or d.g0 or d.g1 for d in v.rdigits)
            ]  # fmt: skip
            if not choices or "I" not in types:
                continue
            view = int(rng.choice(choices))
            kind = "F" if t.slots[t.views[view].slot].dtype.is_float else "I"
            emit(op, view, pick("I"), kind=kind)
        elif op is Op.COORD:
            if t.shape:
                emit(op, int(rng.integers(len(t.shape))))
        elif op in (Op.RCOORD, Op.RINDEX):
            if pre:
                emit(op, int(rng.integers(len(t.r))) if op is Op.RCOORD else 0)
        else:
            regs = [pick(k) if k in "IF" else 0 for k in kinds]
            emit(op, regs[0], regs[1], regs[2], imm, result)
    if types[-1] != want:
        emit(Op.I2F if want == "F" else Op.F2I, len(types) - 1)
    if clamp:
        emit(Op.CLAMP, len(types) - 1, imm=clamp)
    return tuple(code)


def _types(t: Template, pre: tuple[Instr, ...]) -> list[str]:
    out: list[str] = []
    for ins in pre:
        kind = signature(Op(ins.op))[1]
        if ins.op in (Op.LOAD, Op.LOADX):
            kind = "F" if t.slots[t.views[ins.a].slot].dtype.is_float else "I"
        out.append(kind)
    return out


def _view(
    rng: Rng, slots: Sequence[Slot], slot: int, shape: Sequence[int], r: Sequence[int],
    *, dot: bool = False, uses_r: bool = True, bound: int = 0,
) -> View:  # fmt: skip
    """A random view into a slot; unguarded ones stay inside it."""
    count = math.prod(shape)
    style = rng.integers(0, 4)
    if style == 0:
        radices: tuple[int, ...] = tuple(shape) or (1,)
    elif style == 1:
        radices = (count,)
    else:
        radices = factors(rng, count, 4)
    room = slots[slot].count
    n, m = len(radices), len(r)
    every = (*radices, *r)
    natural = [math.prod(every[k + 1 :]) for k in range(n + m)]
    strides = [int(rng.choice([0, 1, s, -s, 2, -1])) for s in natural]
    if rng.random() < 0.4:
        strides = natural
    if not uses_r:
        strides[n:] = [0] * m
    if dot:
        strides[-1] = 1
    guarded = rng.random() < 0.35
    if not guarded:
        for k in range(n + m):
            if dot and k == n + m - 1:
                continue
            reach = sum(abs(s) * (d - 1) for s, d in zip(strides, every, strict=True))
            if reach >= room:
                strides[k] = 0
        reach = sum(abs(s) * (d - 1) for s, d in zip(strides, every, strict=True))
        low = sum(min(s, 0) * (d - 1) for s, d in zip(strides, every, strict=True))
        offset = -low + int(rng.integers(0, max(1, room - reach)))
    else:
        offset = int(rng.integers(-3, room + 3))
    guards: tuple[Guard, ...] = ()
    weights = [[0] * (n + m), [0] * (n + m)]
    if guarded:
        live_slots = [k for k, s in enumerate(slots) if s.dtype is DType.I64]
        many = []
        for g in range(int(rng.integers(1, 3))):
            live = int(rng.choice(live_slots)) if live_slots and rng.random() < 0.4 else None
            many.append(Guard(int(rng.integers(-2, 3)), int(rng.integers(0, 12)), live))
            weights[g] = [int(w) for w in rng.integers(-1, 3, n + m)]
            if not uses_r:
                weights[g][n:] = [0] * m
            if dot:
                weights[g][-1] = 0
        guards = tuple(many)
    dtype = slots[slot].dtype
    pad = int(rng.choice(SPECIALS)) if dtype.is_float else int(adversarial(rng, dtype, (1,))[0])
    if bound:
        pad = int(rng.integers(-bound, bound + 1))
        pad = max(dtype.min, min(dtype.max, pad))
    digits = [
        Digit(d, s, weights[0][k], weights[1][k])
        for k, (d, s) in enumerate(zip(every, strides, strict=True))
    ]
    return View(slot, offset, tuple(digits[:n]), tuple(digits[n:]), guards, pad)


def random_template(
    rng: Rng, pool: Sequence[Entry], *, clamp: int = 0, result: TensorDecl | None = None
) -> tuple[Template, list[int]] | None:
    """A legal template and the entries of ``pool`` that feed its slots.

    None if the draw was illegal.  ``clamp`` asks for an integer result within that bound, i16 or i8
    unless ``result`` says what dtype and shape it has.
    """
    kind = Kind(int(rng.integers(0, 3)))
    bounded = [k for k, (d, _, b) in enumerate(pool) if b and d in (DType.I16, DType.I8)]
    if kind is Kind.DOT and not bounded:
        kind = Kind.REDUCE
    shape = tuple(int(n) for n in rng.integers(1, 6, int(rng.integers(0, 4))))
    if result is not None:
        shape = result.shape
    r: tuple[int, ...] = ()
    if kind is not Kind.MAP:
        r = tuple(int(n) for n in rng.integers(1, 6, int(rng.integers(1, 4))))
    chosen = [int(k) for k in rng.integers(0, len(pool), int(rng.integers(1, 5)))]
    if kind is Kind.DOT:
        chosen[:0] = [int(k) for k in rng.choice(bounded, 2)]
    slots = [Slot(*pool[k][:2]) for k in chosen]
    views = []
    for k in range(len(slots)):
        dot = kind is Kind.DOT and k < 2
        uses_r = kind is Kind.REDUCE and rng.random() < 0.7
        bound = pool[chosen[k]][2] if dot else 0
        views.append(_view(rng, slots, k, shape, r, dot=dot, uses_r=dot or uses_r, bound=bound))
    live_slots = [k for k, s in enumerate(slots) if s.dtype is DType.I64]
    live_r = int(rng.choice(live_slots)) if live_slots and r and rng.random() < 0.3 else None
    live_out = None
    if live_slots and shape and rng.random() < 0.3:
        live_out = (int(rng.choice(live_slots)), int(rng.integers(len(shape))))
    fold = Fold(int(rng.integers(1, 6))) if kind is Kind.REDUCE else Fold.NONE
    dtype = DType(int(rng.integers(0, 5)))
    if clamp:
        dtype = DType.I8 if clamp <= 127 else DType.I16
    if result is not None:
        dtype = result.dtype
    dead = 0
    if live_out is not None:
        dead = int(rng.choice(SPECIALS)) if dtype.is_float else int(rng.integers(-5, 6))
    bounds = [pool[k][2] for k in chosen[:2]] if kind is Kind.DOT else [0, 0]
    draft = Template(
        kind, dtype, shape, tuple(slots), tuple(views), (), (), r, fold, bounds[0], bounds[1],
        live_r, live_out, dead,
    )  # fmt: skip
    pre: tuple[Instr, ...] = ()
    if kind is Kind.REDUCE:
        want = {Fold.FSUM: "F", Fold.ISUM: "I"}.get(fold, str(rng.choice(["F", "I"])))
        pre = _code(rng, draft, pre=True, want=want)
    draft = _with(draft, pre, ())
    post = _code(rng, draft, pre=False, want="F" if dtype.is_float else "I", clamp=clamp)
    final = _with(draft, pre, post)
    try:
        legality.check_template(final)
    except IllegalProgram:
        return None
    return final, chosen


def _with(t: Template, pre: tuple[Instr, ...], post: tuple[Instr, ...]) -> Template:
    return Template(
        t.kind, t.dtype, t.shape, t.slots, t.views, post, pre, t.r, t.fold, t.bound_a, t.bound_b,
        t.live_r, t.live_out, t.dead,
    )  # fmt: skip


def random_states(rng: Rng, b: Builder, inputs: list[Array]) -> list[tuple[Ref, int]]:
    """States of any dtype and shape, some of many blocks, with any kind of start; and an axis."""
    states = []
    for _ in range(int(rng.integers(1, 4))):
        dtype = DType(int(rng.integers(0, 5)))
        shape = [int(n) for n in rng.integers(1, 5, int(rng.integers(1, 4)))]
        axis = int(rng.integers(len(shape)))
        if rng.random() < 0.3:
            shape[int(rng.integers(len(shape)))] = int(rng.integers(30, 90))
        values = adversarial(rng, dtype, shape)
        kind = InitKind(int(rng.integers(0, 3)))
        if kind is InitKind.INPUT:
            start = b.input(dtype, shape).index
            inputs.append(values)
        elif kind is InitKind.CONST:
            start = b.constant(values).index
        else:
            first = values.reshape(-1)[:1]
            start = int(first.view(np.uint32)[0] if dtype.is_float else first[0])
        states.append((b.state(dtype, shape, Init(kind, start)), axis))
    return states


def random_program(rng: Rng, operations: int = 8) -> Case:
    """A legal program of about that many operations, each a random template, all of them outputs;
    and of states that slices are written into, some at positions outside, or that are kept, one of
    which may halt it after the first of two steps."""
    b = Builder()
    pool: list[Entry] = []
    refs: list[Ref] = []
    inputs: list[Array] = []

    def add(ref: Ref, dtype: DType, count: int, bound: int = 0) -> None:
        refs.append(ref)
        pool.append((dtype, count, bound))

    def operation(clamp: int, result: TensorDecl | None = None, tries: int = 1) -> Ref | None:
        """None if all draws were illegal."""
        for _ in range(tries):
            drawn = random_template(rng, pool, clamp=clamp, result=result)
            if drawn is not None:
                template, chosen = drawn
                return b.op(template, [refs[k] for k in chosen])
        return None

    for dtype in DType:
        n = int(rng.integers(1, 40))
        inputs.append(adversarial(rng, dtype, (n,)))
        add(b.input(dtype, (n,)), dtype, n)
    inputs.append(rng.integers(-2, 9, (1,)))
    add(b.input(DType.I64, (1,)), DType.I64, 1)
    for dtype, bound in ((DType.I16, 32639), (DType.I16, 8127), (DType.I8, 127), (DType.F32, 0),
                         (DType.I16, 32768), (DType.I8, 128)):  # fmt: skip
        n = int(rng.integers(20, 200))
        add(b.constant(adversarial(rng, dtype, (n,), bound), bound), dtype, n, bound)
    states = random_states(rng, b, inputs)
    for state, _ in states:
        add(state, b.decl(state).dtype, b.decl(state).count)
    for _ in range(operations):
        clamp = int(rng.choice([0, 0, 127, 8127, 32639]))
        ref = operation(clamp)
        if ref is None:
            continue
        template = b.template_of(ref)
        dead = abs(template.dead) if template.live_out is not None else 0
        add(ref, template.dtype, template.count, max(clamp, dead) if clamp else 0)
    for ref in refs:
        if ref.source is Source.OP:
            b.output(ref)
    for state, axis in states:
        decl = b.decl(state)
        shape = (*decl.shape[:axis], 1, *decl.shape[axis + 1 :])
        # Positions from -width to width: outside as often as inside.
        at = operation(decl.shape[axis], TensorDecl(DType.I64, (1,)), tries=9)
        value = operation(0, TensorDecl(decl.dtype, shape), tries=9)
        if at is not None and value is not None and rng.random() < 0.85:
            b.write_slice(state, axis, at, value)
        b.output(state)
    if rng.random() < 0.5:
        halt = b.state(DType.I32, (1,), Init(InitKind.FILL, 0))
        ref = operation(1, TensorDecl(DType.I32, (1,)), tries=9)
        if ref is not None:
            b.set_next(halt, ref)
        b.halt(halt)
    b.phase(max_steps=2)
    program, values = b.build()
    legality.check(program)
    return Case(program, values, inputs, int(rng.integers(-(1 << 63), (1 << 63) - 1)))
