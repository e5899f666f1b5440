"""The assembler: what it emits, shares, drops and refuses."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.spec import microcode
from protocol.spec.assembler import Code, Reg, RegF, RegI, bits_f32, f32_bits
from protocol.spec.constants import MAX_INSTRUCTIONS
from protocol.spec.errors import LimitExceeded
from protocol.spec.microcode import Op
from protocol.spec.types import DType, Instr
from tests.spec import model
from tests.spec.registers import Arrays, apply


def test_finish__equal_instructions__are_shared() -> None:
    code = Code()
    x = code.load_f(0)
    assert code.finish((x + 1.0) * (x + 1.0)) == (
        Instr(Op.LOAD, 0),
        Instr(Op.CONSTF, imm=0x3F800000),
        Instr(Op.FADD, 0, 1),
        Instr(Op.FMUL, 2, 2),
    )


def test_finish__zeros_of_both_signs__are_not_shared() -> None:
    code = Code()
    x = code.load_f(0)
    assert len(code.finish((x * 0.0) - (x * -0.0))) == 6


def test_finish__unused_registers__are_dropped_and_the_rest_renumbered() -> None:
    code = Code()
    x = code.load_f(0)
    _ = x.sqrt() + code.load_f(1)
    y = -x
    assert code.finish(y) == (Instr(Op.LOAD, 0), Instr(Op.FNEG, 0))


def test_finish__result_that_others_follow__comes_last() -> None:
    code = Code()
    x = code.load_f(0)
    y = x.abs()
    _ = y.sqrt()
    assert code.finish(y)[-1].op == Op.FABS
    assert code.finish(x) == (Instr(Op.LOAD, 0),)


def test_finish__more_instructions_than_fit__is_refused() -> None:
    code = Code()
    x: RegF = code.load_f(0)
    for _ in range(MAX_INSTRUCTIONS - 1):
        x = x.sqrt()
    assert len(code.finish(x)) == MAX_INSTRUCTIONS
    with pytest.raises(LimitExceeded, match="257 instructions"):
        code.finish(x.sqrt())


@pytest.mark.parametrize("value", [*model.I_VALUES, 0, 0x89ABCDEF, -0x123456789ABCDEF])
def test_integer__any_64_bit_value__is_loaded_exactly(value: int) -> None:
    code = Code()
    instructions = code.finish(code.integer(value))
    assert len(instructions) == (1 if -(1 << 31) <= value < 1 << 31 else 2)
    assert int(microcode.run(instructions, Arrays())) == value


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1])
def test_integer__beyond_64_bits__is_refused(value: int) -> None:
    with pytest.raises(LimitExceeded, match="does not fit 64 bits"):
        Code().integer(value)


def test_f32_bits__doubles_nan_and_overflow__round_once() -> None:
    assert f32_bits(0.1) == 0x3DCCCCCD
    assert f32_bits(1e39) == model.INF
    assert f32_bits(float("-nan")) == model.NAN
    assert f32_bits(-0.0) == model.MINUS_ZERO
    assert bits_f32(0x3DCCCCCD) == pytest.approx(0.1, abs=1e-8)


def test_operators__each__emits_its_instruction() -> None:
    code = Code()
    x, i = code.load_f(0), code.load_i(1)
    y, j = code.load_f(2), code.load_i(3)
    emitted: dict[Op, Reg] = {
        Op.ADD: i + j, Op.SUB: i - j, Op.MUL: i * j, Op.DIV: i // j, Op.MOD: i % j,
        Op.AND: i & j, Op.OR: i | j, Op.XOR: i ^ j, Op.SHL: i << j, Op.SHR: i >> j,
        Op.USHR: i.ushr(j), Op.NEG: -i, Op.NOT: ~i, Op.MIN: i.min(j), Op.MAX: i.max(j),
        Op.EQ: i.eq(j), Op.LT: i.lt(j), Op.LE: i.le(j), Op.CLAMP: i.clamp(3),
        Op.SELI: i.where_int(i, j), Op.SELF: i.where(x, y), Op.I2F: i.to_f32(),
        Op.FROMBITS: i.from_bits(), Op.FADD: x + y, Op.FSUB: x - y, Op.FMUL: x * y,
        Op.FDIV: x / y, Op.FNEG: -x, Op.FABS: x.abs(), Op.FSQRT: x.sqrt(), Op.FMIN: x.min(y),
        Op.FMAX: x.max(y), Op.FLOOR: x.floor(), Op.CEIL: x.ceil(), Op.TRUNC: x.trunc(),
        Op.RINT: x.rint(), Op.FEQ: x.eq(y), Op.FLT: x.lt(y), Op.FLE: x.le(y),
        Op.LDEXP: x.ldexp(i), Op.EXPONENT: x.exponent(), Op.F2I: x.to_int(), Op.BITS: x.bits(),
        Op.COORD: code.coord(1), Op.RCOORD: code.rcoord(1), Op.INDEX: code.index(),
        Op.RINDEX: code.rindex(), Op.STEP: code.step(), Op.PSTEP: code.phase_step(),
        Op.SEED: code.seed(), Op.ACC: code.acc_f(), Op.LOAD: code.load(0, DType.F32),
        Op.LOADX: code.loadx(0, i, DType.I8), Op.CONSTF: code.real(1.5),
        Op.CONSTI: code.integer(5), Op.CONSTHI: code.integer(1 << 40),
    }  # fmt: skip
    assert emitted.keys() == set(Op)
    for op, register in emitted.items():
        assert code.finish(register)[-1].op == op
    assert isinstance(emitted[Op.LOADX], RegI)


def test_reversed_operators__number_on_the_left__keeps_the_order() -> None:
    x = np.array([4.0], np.float32)
    assert apply(lambda r: 1.0 - r, x).tolist() == [-3.0]
    assert apply(lambda r: 1.0 / r, x).tolist() == [0.25]
    assert apply(lambda r: 1.0 + r, x).tolist() == [5.0]
    assert apply(lambda r: 3.0 * r, x).tolist() == [12.0]


def test_instruction__register_of_the_wrong_type_or_code__is_refused() -> None:
    code, other = Code(), Code()
    with pytest.raises(TypeError, match="FADD takes FF"):
        code.f(Op.FADD, code.load_f(0), code.load_i(1))
    with pytest.raises(TypeError, match="another code"):
        _ = code.load_f(0) + other.load_f(0)
