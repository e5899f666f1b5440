"""Each clause of ``legal`` refuses what it is there for, and accepts its neighbour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from protocol.spec import costs, examples, legality
from protocol.spec.errors import IllegalProgram
from protocol.spec.examples import Example
from protocol.spec.microcode import Op
from protocol.spec.types import (
    DType,
    Fold,
    Guard,
    Init,
    InitKind,
    Instance,
    Instr,
    Next,
    NextKind,
    Program,
    Ref,
    Slot,
    Source,
    Template,
    View,
)

EXAMPLES = {e.name: e for e in examples.all_examples()}
Change = Callable[[Program], Program]


def template(number: int, change: Callable[[Template], Template]) -> Change:
    def apply(p: Program) -> Program:
        made = [change(t) if k == number else t for k, t in enumerate(p.templates)]
        return replace(p, templates=tuple(made))

    return apply


def view(number: int, k: int, change: Callable[[View], View]) -> Change:
    def on(t: Template) -> Template:
        return replace(t, views=tuple(change(v) if n == k else v for n, v in enumerate(t.views)))

    return template(number, on)


def instance(number: int, change: Callable[[Instance], Instance]) -> Change:
    def apply(p: Program) -> Program:
        body = list(p.phases[0].instances)
        body[number] = change(body[number])
        return replace(p, phases=(replace(p.phases[0], instances=tuple(body)), *p.phases[1:]))

    return apply


def following(k: int, item: Next) -> Change:
    def apply(p: Program) -> Program:
        nexts = list(p.phases[0].nexts)
        nexts[k] = item
        return replace(p, phases=(replace(p.phases[0], nexts=tuple(nexts)), *p.phases[1:]))

    return apply


def constant(k: int, **fields: object) -> Change:
    def apply(p: Program) -> Program:
        made = list(p.constants)
        made[k] = replace(made[k], **fields)  # type: ignore[arg-type]
        return replace(p, constants=tuple(made))

    return apply


def state(k: int, change: Callable[[Program], Init] | Init, bound: int = 0) -> Change:
    def apply(p: Program) -> Program:
        made = list(p.states)
        init = change if isinstance(change, Init) else change(p)
        made[k] = replace(made[k], init=init, tensor=replace(made[k].tensor, bound=bound))
        return replace(p, states=tuple(made))

    return apply


def digit(v: View, k: int, **fields: int) -> View:
    digits = list(v.digits)
    digits[k] = replace(digits[k], **fields)
    return replace(v, digits=tuple(digits))


def rdigit(v: View, **fields: int) -> View:
    return replace(v, rdigits=(*v.rdigits[:-1], replace(v.rdigits[-1], **fields)))


def code(*instrs: Instr) -> Callable[[Template], Template]:
    return lambda t: replace(t, post=instrs)


ONE = Instr(Op.CONSTI, imm=1)

# mlp: template 0 REDUCE absmax, 1 MAP quantise, 2 DOT; constants w, inv, bias
# folds: 4 float folds then 4 integer folds; gather: 1 MAP; counter: maps of scalars; live
CASES: list[tuple[str, str, str, Change]] = [
    ("T1", "mlp", "no dimension", template(0, lambda t: replace(t, shape=(0,)))),
    ("T1", "mlp", "too large", template(1, lambda t: replace(t, shape=(1 << 20, 1 << 20)))),
    ("T2", "mlp", "map with r", template(1, lambda t: replace(t, r=(2,)))),
    ("T2", "mlp", "map with fold", template(1, lambda t: replace(t, fold=Fold.MAX))),
    ("T2", "mlp", "reduce without fold", template(0, lambda t: replace(t, fold=Fold.NONE))),
    ("T2", "mlp", "reduce without pre", template(0, lambda t: replace(t, pre=()))),
    ("T2", "mlp", "reduce with bound", template(0, lambda t: replace(t, bound_a=1))),
    ("T2", "mlp", "dot without r", template(2, lambda t: replace(t, r=()))),
    ("T2", "mlp", "r of zero", template(0, lambda t: replace(t, r=(0,)))),
    ("T3", "mlp", "empty slot", template(0, lambda t: replace(t, slots=(Slot(DType.F32, 0),)))),
    ("T4", "mlp", "no such slot", view(0, 0, lambda v: replace(v, slot=1))),
    ("T4", "mlp", "radices off", view(0, 0, lambda v: digit(v, 0, radix=2))),
    ("T4", "mlp", "r radix off", view(0, 0, lambda v: rdigit(v, radix=69))),
    ("T4", "mlp", "reach", view(0, 0, lambda v: replace(v, offset=1 << 61))),
    ("T4", "mlp", "stray weight", view(0, 0, lambda v: digit(v, 0, g0=1))),
    ("T4", "mlp", "live of f32", view(0, 0, lambda v: replace(v, guards=(Guard(0, 1, 0),)))),
    ("T4", "convolution", "pad too large", view(1, 0, lambda v: replace(v, pad=128))),
    ("T5", "mlp", "beyond the end", view(0, 0, lambda v: replace(v, offset=1))),
    ("T5", "mlp", "before the start", view(0, 0, lambda v: replace(v, offset=-1))),
    ("T5", "mlp", "dot beyond the end", view(2, 1, lambda v: replace(v, offset=1))),
    ("T6", "mlp", "empty post", template(1, lambda t: replace(t, post=()))),
    ("T6", "mlp", "unknown opcode", template(1, code(Instr(0xEE)))),
    ("T6", "mlp", "register ahead", template(1, code(ONE, Instr(Op.ADD, 0, 1)))),
    ("T6", "mlp", "register type", template(1, code(ONE, Instr(Op.FNEG, 0)))),
    ("T6", "mlp", "result type", template(1, code(Instr(Op.CONSTF, imm=1)))),
    ("T6", "mlp", "no such view", template(1, code(Instr(Op.LOAD, 2)))),
    ("T6", "mlp", "no such axis", template(1, code(Instr(Op.COORD, 2)))),
    ("T6", "mlp", "r in post", template(0, code(Instr(Op.RINDEX), Instr(Op.I2F, 0)))),
    ("T6", "mlp", "view of r in post", template(0, code(Instr(Op.LOAD, 0)))),
    ("T6", "mlp", "acc in map", template(1, code(Instr(Op.ACC)))),
    ("T6", "mlp", "acc in pre", template(0, lambda t: replace(t, pre=(Instr(Op.ACC),)))),
    ("T6", "mlp", "wide clamp", template(1, code(ONE, Instr(Op.CLAMP, 0, imm=1 << 31)))),
    ("T6", "mlp", "set unused field", template(1, code(Instr(Op.CONSTI, a=1)))),
    ("T6", "mlp", "257 instructions", template(1, code(*[ONE] * 257))),
    ("T6", "folds", "float sum of ints", template(4, lambda t: replace(t, fold=Fold.FSUM))),
    ("T7", "mlp", "strided", view(2, 1, lambda v: rdigit(v, stride=0))),
    ("T7", "mlp", "zero bound", template(2, lambda t: replace(t, bound_b=0))),
    ("T7", "mlp", "bound beyond dtype", template(2, lambda t: replace(t, bound_a=32769))),
    ("T7", "convolution", "guarded inner", view(1, 0, lambda v: rdigit(v, g0=1))),
    ("T8", "live", "no such slot", template(0, lambda t: replace(t, live_r=2))),
    ("T8", "live", "not i64", template(0, lambda t: replace(t, live_r=0))),
    ("T8", "live", "no such axis", template(4, lambda t: replace(t, live_out=(1, 2)))),
    ("T8", "mlp", "dead alone", template(1, lambda t: replace(t, dead=1))),
    ("D1", "mlp", "bound on floats", constant(1, bound=5)),
    ("D1", "mlp", "bound beyond dtype", constant(0, bound=32769)),
    ("D2", "counter", "no such constant", state(0, Init(InitKind.CONST, 0))),
    ("D2", "counter", "fill too wide", state(1, Init(InitKind.FILL, 1 << 31))),
    ("D2", "counter", "fill beyond bound", state(0, Init(InitKind.FILL, 9), 8)),
    ("I1", "mlp", "no such template", instance(0, lambda n: replace(n, template=3))),
    ("I1", "mlp", "operand missing", instance(0, lambda n: replace(n, operands=()))),
    ("I1", "mlp", "reads itself",
     instance(0, lambda n: replace(n, operands=(Ref(Source.OP, 0),)))),
    ("I1", "mlp", "reads ahead",
     instance(0, lambda n: replace(n, operands=(Ref(Source.OP, 1),)))),
    ("I1", "mlp", "wrong size",
     instance(0, lambda n: replace(n, operands=(Ref(Source.CONST, 1),)))),
    ("I2", "mlp", "constant without bound", constant(0, bound=0)),
    ("I2", "mlp", "constant beyond bound", constant(0, bound=8128)),
    ("I2", "mlp", "producer beyond bound",
     template(1, lambda t: replace(t, post=(*t.post[:-1], replace(t.post[-1], imm=32640))))),
    ("N1", "counter", "no such operation", following(0, Next(NextKind.VALUE, 9))),
    ("N1", "counter", "wrong dtype", following(0, Next(NextKind.VALUE, 1))),
    ("N1", "counter", "wrong axis", following(2, Next(NextKind.SLICE, 3, 2, 2))),
    ("N1", "counter", "wrong slice", following(2, Next(NextKind.SLICE, 3, 0, 2))),
    ("N1", "counter", "index of i32", following(2, Next(NextKind.SLICE, 3, 1, 1))),
    ("N1", "counter", "bounded state", state(0, Init(InitKind.FILL, 0), 100)),
    ("P1", "counter", "halt not i32", lambda p: replace(p, halt=0)),
    ("P1", "counter", "no output", lambda p: replace(p, outputs=())),
    ("P1", "counter", "no such output", lambda p: replace(p, outputs=(3,))),
    ("P1", "counter", "no phase", lambda p: replace(p, phases=())),
    ("P1", "counter", "no steps",
     lambda p: replace(p, phases=(replace(p.phases[0], max_steps=0),))),
]  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_check__examples__are_legal(example: Example) -> None:
    legality.check(example.program)


@pytest.mark.parametrize(
    ("clause", "name", "change"),
    [(c, n, ch) for c, n, _, ch in CASES],
    ids=[f"{c}-{what.replace(' ', '-')}" for c, _, what, _ in CASES],
)
def test_check__one_clause_broken__names_it(clause: str, name: str, change: Change) -> None:
    program = change(EXAMPLES[name].program)
    with pytest.raises(IllegalProgram, match=f"clause {clause}:") as caught:
        legality.check(program)
    assert caught.value.clause == clause
    assert not legality.legal(program)


def test_check__dot_of_a_job_input__is_illegal() -> None:
    p = EXAMPLES["mlp"].program
    inputs = (replace(p.inputs[0], dtype=DType.I16),)
    t = p.templates[2]
    slots = (replace(t.slots[0]), *t.slots[1:])
    body = list(p.phases[0].instances)
    dot = replace(body[2], operands=(Ref(Source.INPUT, 0), *body[2].operands[1:]))
    only = replace(p.phases[0], instances=(replace(dot, template=0),), nexts=p.phases[0].nexts)
    operands = (Ref(Source.INPUT, 0), Ref(Source.CONST, 0), Ref(Source.CONST, 1))
    dot = replace(dot, template=0, operands=(*operands, *dot.operands[3:]))
    t = replace(t, slots=(*slots[:2], Slot(DType.F32, 5), *slots[3:]))
    views = (*t.views[:2], replace(t.views[2], digits=tuple(
        replace(d, stride=0) for d in t.views[2].digits)), *t.views[3:])  # fmt: skip
    only = replace(only, instances=(dot,), nexts=(Next(NextKind.VALUE, 0),))
    program = replace(p, inputs=inputs, templates=(replace(t, views=views),), phases=(only,))
    with pytest.raises(IllegalProgram) as caught:
        legality.check(program)
    assert caught.value.clause == "I2"


def test_cost__more_terms__costs_more_and_is_refused_at_the_limit() -> None:
    t = EXAMPLES["folds"].program.templates[0]

    def wide(n: int) -> Template:
        v = replace(t.views[0], digits=(replace(t.views[0].digits[0], stride=n),))
        v = rdigit(v, radix=n)
        return replace(t, slots=(Slot(DType.F32, 4 * n),), views=(v,), r=(n,))

    found = [costs.cost(wide(n)) for n in (8, 64, 512)]
    assert [c.gas for c in found] == sorted({c.gas for c in found})
    legality.check_template(wide(512))
    with pytest.raises(IllegalProgram, match="clause T9"):
        legality.check_template(wide(1 << 20))


def test_cost__scattered_loads__count_a_proof_each() -> None:
    """A reduction down a column meets a new block at every row."""
    t = EXAMPLES["folds"].program.templates[0]
    v = t.views[0]
    column = replace(v, digits=(replace(v.digits[0], radix=1024, stride=1),))
    column = rdigit(column, radix=64, stride=1024)
    down = replace(t, shape=(1024,), slots=(Slot(DType.F32, 1 << 16),), views=(column,), r=(64,))
    across = replace(v, digits=(replace(v.digits[0], radix=1024, stride=64),))
    across = rdigit(across, radix=64, stride=1)
    along = replace(down, views=(across,))
    assert costs.cost(down).bytes > costs.cost(along).bytes + 60 * 512




def test_cost__dot_in_many_short_runs__pays_for_each() -> None:
    """Contracting along a digit of one element costs a gather a term, and is refused when long."""
    t = EXAMPLES["mlp"].program.templates[2]

    def split(v: View, outer: int) -> View:
        first = replace(v.rdigits[-1], radix=outer, stride=v.rdigits[-1].stride)
        return replace(v, rdigits=(first, replace(v.rdigits[-1], radix=1)))

    dotted = replace(t, r=(70, 1), views=tuple(split(v, 70) for v in t.views))
    legality.check_template(dotted)
    assert costs.cost(dotted).gas > costs.cost(t).gas + 60 * costs.GAS_DOT_RUN
