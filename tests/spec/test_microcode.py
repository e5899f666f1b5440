"""Every instruction against the independent model, and whole random codes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.spec import microcode
from protocol.spec.f32 import I
from protocol.spec.microcode import Op, Register, signature
from protocol.spec.types import Instr
from tests.spec import model
from tests.spec.registers import Arrays, bits, floats

SOURCES = {
    *(Op.LOAD, Op.LOADX, Op.CONSTI, Op.CONSTHI, Op.CONSTF, Op.COORD, Op.RCOORD),
    *(Op.INDEX, Op.RINDEX, Op.STEP, Op.PSTEP, Op.SEED, Op.ACC),
}
RANDOM = 4000
TERNARY = 4000  # triples of special values, drawn from all of them


def array(kind: str, values: Sequence[int]) -> Register:
    """Model values as a register: raw bits for F, as they come from memory."""
    return floats(values) if kind == "F" else np.array(values, np.int64)


def plain(register: Register, count: int) -> list[int]:
    """A register as model values, one an element."""
    if register.dtype == np.float32:
        values = bits(register)
    else:
        values = register.astype(np.int64).ravel().tolist()
    return values * count if register.ndim == 0 else values


def draw(kind: str, rng: random.Random) -> int:
    if kind == "F":
        return rng.choice(model.F_VALUES) if rng.random() < 0.2 else rng.getrandbits(32)
    if rng.random() < 0.2:
        return rng.choice(model.I_VALUES)
    return model.wrap(rng.getrandbits(64)) >> rng.randrange(64)


def cases(kinds: str, seed: int) -> list[tuple[int, ...]]:
    """All (of three operands: many) combinations of special values, then random ones."""
    rng = random.Random(seed)
    special = [model.F_VALUES if k == "F" else model.I_VALUES for k in kinds]
    if len(kinds) < 3:
        corners = list(itertools.product(*special))
    else:
        corners = [tuple(rng.choice(s) for s in special) for _ in range(TERNARY)]
        corners += [(0, *c[1:]) for c in corners[:100]]
    return corners + [tuple(draw(k, rng) for k in kinds) for _ in range(RANDOM)]


def meaning(op: Op, kinds: str, operands: Sequence[int]) -> int:
    """The model's result; its F operands are canonical as every register is."""
    values = [model.canonical(v) if k == "F" else v for k, v in zip(kinds, operands, strict=True)]
    return model.MEANING[op](*values)


def test_model__covers_every_instruction() -> None:
    assert {*model.MEANING, *SOURCES, Op.CLAMP} == set(Op)


@pytest.mark.parametrize("op", model.MEANING, ids=lambda op: op.name)
def test_run__one_instruction_on_adversarial_values__equals_the_model(op: Op) -> None:
    kinds = signature(op)[0].replace("-", "")
    rows = cases(kinds, seed=int(op))
    columns = list(zip(*rows, strict=True))
    views = [array(k, c) for k, c in zip(kinds, columns, strict=True)]
    loads = [Instr(Op.LOAD, k) for k in range(len(kinds))]
    code = (*loads, Instr(op, *range(len(kinds))))
    got = plain(microcode.run(code, Arrays(views)), len(rows))
    wrong = [
        (row, hex(g), hex(w))
        for row, g in zip(rows, got, strict=True)
        if g != (w := meaning(op, kinds, row))
    ]
    assert not wrong, wrong[:5]


@pytest.mark.parametrize("bound", [0, 1, 127, 8127, 32639, (1 << 31) - 1])
def test_clamp__extremes__stays_within_the_literal(bound: int) -> None:
    code = (Instr(Op.LOAD, 0), Instr(Op.CLAMP, 0, imm=bound))
    got = microcode.run(code, Arrays([np.array(model.I_VALUES, np.int64)])).tolist()
    assert got == [model.clamp(v, bound) for v in model.I_VALUES]


@pytest.mark.parametrize("pattern", [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x12345678])
def test_literals__every_sign__extend_join_and_are_canonical(pattern: int) -> None:
    low = (Instr(Op.CONSTI, imm=pattern),)
    assert plain(microcode.run(low, Arrays()), 1) == [model.to_bits(pattern)]
    high = (*low, Instr(Op.CONSTHI, 0, imm=0x89ABCDEF))
    want = model.wrap((0x89ABCDEF << 32) | pattern)
    assert plain(microcode.run(high, Arrays()), 1) == [want]
    real = (Instr(Op.CONSTF, imm=pattern),)
    assert plain(microcode.run(real, Arrays()), 1) == [model.canonical(pattern)]


def test_loadx__index_far_outside__is_clamped_before_the_view_sees_it() -> None:
    indices = np.array([-(1 << 63), -1, 0, 2, 3, (1 << 63) - 1], np.int64)
    seen: list[list[int]] = []

    class Spy(Arrays):
        def load(self, view: int, extra: I | None) -> Register:
            if extra is not None:
                seen.append(extra.tolist())
            return super().load(view, extra)

    code = (Instr(Op.LOAD, 0), Instr(Op.LOADX, 1, 0))
    got = microcode.run(code, Spy([indices, np.array([5, 6, 7], np.int64)]))
    assert got.tolist() == [0, 0, 5, 7, 0, 0]
    assert seen == [[-(1 << 62), -1, 0, 2, 3, 1 << 62]]


def test_sources__coordinates_scalars_and_accumulator__come_from_the_context() -> None:
    axes = [np.array([0, 0, 1], np.int64), np.array([4, 5, 4], np.int64)]
    context = Arrays(
        axes=axes,
        rdigits=[np.array([7, 8, 9], np.int64)],
        scalars={Op.STEP: 11, Op.PSTEP: 12, Op.SEED: -13},
        total=np.array([1, 2, 3], np.int64),
    )
    want: dict[tuple[Op, int], list[int] | int] = {
        (Op.COORD, 0): [0, 0, 1],
        (Op.COORD, 1): [4, 5, 4],
        (Op.RCOORD, 0): [7, 8, 9],
        (Op.INDEX, 0): [0, 1, 2],
        (Op.RINDEX, 0): [0, 1, 2],
        (Op.STEP, 0): 11,
        (Op.PSTEP, 0): 12,
        (Op.SEED, 0): -13,
        (Op.ACC, 0): [1, 2, 3],
    }
    for (op, a), values in want.items():
        assert microcode.run((Instr(op, a),), context).tolist() == values, op.name


def test_arithmetic__nan_payloads__never_reach_a_register() -> None:
    nans = floats([0x7F800001, 0x7FFFFFFF, 0xFF800001, 0xFFC00000, 0xFFFFFFFF])
    for op in model.MEANING:
        kinds, result, _ = signature(op)
        if result != "F" or "F" not in kinds:
            continue
        count = len(kinds.replace("-", ""))
        views = [nans if k == "F" else np.arange(1, 6) for k in kinds[:count]]
        code = (*(Instr(Op.LOAD, k) for k in range(count)), Instr(op, *range(count)))
        assert set(bits(microcode.run(code, Arrays(views)))) == {model.NAN}, op.name


def test_arithmetic__invalid_operations__give_the_canonical_nan() -> None:
    inf, ninf, zero = model.INF, model.MINUS_INF, 0
    invalid = {
        Op.FADD: [(inf, ninf), (ninf, inf)],
        Op.FSUB: [(inf, inf), (ninf, ninf)],
        Op.FMUL: [(zero, inf), (ninf, zero), (inf, model.MINUS_ZERO)],
        Op.FDIV: [(zero, zero), (inf, ninf), (model.MINUS_ZERO, zero)],
    }
    for op, pairs in invalid.items():
        views = [floats([p[k] for p in pairs]) for k in (0, 1)]
        code = (Instr(Op.LOAD, 0), Instr(Op.LOAD, 1), Instr(op, 0, 1))
        assert set(bits(microcode.run(code, Arrays(views)))) == {model.NAN}, op.name


# --- whole codes ----------------------------------------------------------------------------

INPUTS = "FFII"


@st.composite
def codes(draw: st.DrawFn) -> tuple[Instr, ...]:
    """A random straight-line code over two F and two I loads."""
    code = [Instr(Op.LOAD, k) for k in range(len(INPUTS))]
    types = list(INPUTS)
    for _ in range(draw(st.integers(1, 25))):
        op = draw(st.sampled_from([*model.MEANING, Op.CLAMP, Op.CONSTF, Op.CONSTI]))
        kinds, result, literal = signature(op)
        wanted = kinds.replace("-", "")
        registers = [
            draw(st.sampled_from([n for n, t in enumerate(types) if t == k])) for k in wanted
        ]
        limit = (1 << 31) - 1 if op is Op.CLAMP else (1 << 32) - 1
        imm = draw(st.integers(0, limit)) if literal else 0
        a, b, c = (registers + [0, 0, 0])[:3]
        code.append(Instr(op, a, b, c, imm))
        types.append(result)
    return tuple(code)


def model_run(code: tuple[Instr, ...], operands: Sequence[int]) -> int:
    registers: list[int] = []
    for ins in code:
        op = Op(ins.op)
        fields = zip(signature(op)[0], (ins.a, ins.b, ins.c), strict=True)
        values = [registers[n] for kind, n in fields if kind in "IF"]
        match op:
            case Op.LOAD:
                v = operands[ins.a]
                registers.append(model.canonical(v) if INPUTS[ins.a] == "F" else v)
            case Op.CONSTF:
                registers.append(model.canonical(ins.imm))
            case Op.CONSTI:
                registers.append(model.to_bits(ins.imm))
            case Op.CLAMP:
                registers.append(model.clamp(values[0], ins.imm))
            case _:
                registers.append(model.MEANING[op](*values))
    return registers[-1]


@given(codes(), st.integers(0, 1 << 32))
@settings(max_examples=400)
def test_run__random_codes_on_adversarial_values__equal_the_model(
    code: tuple[Instr, ...], seed: int
) -> None:
    rng = random.Random(seed)
    rows = [tuple(draw(k, rng) for k in INPUTS) for _ in range(12)]
    views = [array(k, c) for k, c in zip(INPUTS, zip(*rows, strict=True), strict=True)]
    got = plain(microcode.run(code, Arrays(views)), len(rows))
    assert got == [model_run(code, row) for row in rows]
