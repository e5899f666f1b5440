"""Programs that break one clause of ``legal`` each: an example and a change of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from protocol.spec import examples
from protocol.spec.microcode import Op
from protocol.spec.types import (
    Digit,
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
    StateDecl,
    Template,
    TensorDecl,
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


def folded(t: Template, n: int, stride: int) -> Template:
    """A fold of n elements that are ``stride`` apart."""
    v = replace(t.views[0], digits=(replace(t.views[0].digits[0], stride=0),))
    v = rdigit(v, radix=n, stride=stride)
    return replace(t, slots=(Slot(DType.F32, n * max(stride, 1)),), views=(v,), r=(n,))


def started(kind: InitKind, start: int, bound: int) -> Change:
    """State 0, bounded, starts as a new constant or input that is declared within ``start``."""

    def apply(p: Program) -> Program:
        decl = replace(p.states[0].tensor, bound=start)
        p = state(0, Init(kind, 0), bound)(p)
        if kind is InitKind.INPUT:
            return replace(p, inputs=(decl,))
        return replace(p, constants=(decl,))

    return apply


def operand_from(source: Source) -> Change:
    """The DOT of ``mlp`` reads an input or a state that fits but for its bound."""

    def apply(p: Program) -> Program:
        decl = TensorDecl(DType.I16, (3, 70))
        if source is Source.INPUT:
            ref, p = Ref(source, 1), replace(p, inputs=(*p.inputs, decl))
        else:
            kept = StateDecl(decl, Init(InitKind.FILL, 0))
            nexts = (*p.phases[0].nexts, Next(NextKind.KEEP))
            phases = (replace(p.phases[0], nexts=nexts),)
            ref, p = Ref(source, 1), replace(p, states=(*p.states, kept), phases=phases)
        return instance(2, lambda n: replace(n, operands=(ref, *n.operands[1:])))(p)

    return apply


def dead_beyond(p: Program) -> Program:
    """The first operand of the DOT of ``mlp`` is clamped, but for what is not computed."""

    def on(t: Template) -> Template:
        slots = (*t.slots, Slot(DType.I64, 1))
        return replace(t, slots=slots, live_out=(2, 0), dead=-32640)

    live = Ref(Source.INPUT, len(p.inputs))
    p = replace(p, inputs=(*p.inputs, TensorDecl(DType.I64, (1,))))
    p = template(1, on)(p)
    return instance(1, lambda n: replace(n, operands=(*n.operands, live)))(p)


def both(*changes: Change) -> Change:
    def apply(p: Program) -> Program:
        for change in changes:
            p = change(p)
        return p

    return apply


ONE = Instr(Op.CONSTI, imm=1)

WRAPPING = (Digit(1 << 39, 0),) * 7
"""Radices whose product is far beyond a word."""

# mlp: template 0 REDUCE absmax, 1 MAP quantise, 2 DOT; constants w, inv, bias
# folds: 4 float folds then 4 integer folds; gather: 1 MAP; counter: maps of scalars; live
CASES: list[tuple[str, str, str, Change]] = [
    ("T1", "mlp", "no dimension", template(0, lambda t: replace(t, shape=(0,)))),
    ("T1", "counter", "just too large",
     template(3, lambda t: replace(t, shape=(1 << 20, 1 << 20)))),
    ("T1", "mlp", "too large", template(1, lambda t: replace(t, shape=(1 << 20, 1 << 20)))),
    ("T2", "mlp", "map with r", template(1, lambda t: replace(t, r=(2,)))),
    ("T2", "mlp", "map with fold", template(1, lambda t: replace(t, fold=Fold.MAX))),
    ("T2", "mlp", "reduce without fold", template(0, lambda t: replace(t, fold=Fold.NONE))),
    ("T2", "mlp", "reduce without pre", template(0, lambda t: replace(t, pre=()))),
    ("T2", "mlp", "reduce with bound", template(0, lambda t: replace(t, bound_a=1))),
    ("T2", "mlp", "map with bound", template(1, lambda t: replace(t, bound_b=1))),
    ("T2", "mlp", "dot with fold", template(2, lambda t: replace(t, fold=Fold.ISUM))),
    ("T2", "mlp", "dot with pre", template(2, lambda t: replace(t, pre=(ONE,)))),
    ("T2", "mlp", "map with pre", template(1, lambda t: replace(t, pre=(ONE,)))),
    ("T2", "live", "map with live r", template(4, lambda t: replace(t, live_r=1))),
    ("T2", "folds", "too many terms",
     template(0, lambda t: replace(t, r=(1 << 20, 1 << 20), views=()))),
    ("T2", "mlp", "dot without r", template(2, lambda t: replace(t, r=()))),
    ("T2", "mlp", "r of zero", template(0, lambda t: replace(t, r=(0,)))),
    ("T3", "mlp", "empty slot", template(0, lambda t: replace(t, slots=(Slot(DType.F32, 0),)))),
    ("T3", "mlp", "huge slot",
     template(0, lambda t: replace(t, slots=(Slot(DType.F32, 1 << 40),)))),
    ("T4", "mlp", "no such slot", view(0, 0, lambda v: replace(v, slot=1))),
    ("T4", "mlp", "radices off", view(0, 0, lambda v: digit(v, 0, radix=2))),
    ("T4", "mlp", "r radix off", view(0, 0, lambda v: rdigit(v, radix=69))),
    ("T4", "mlp", "reach", view(0, 0, lambda v: replace(v, offset=1 << 61))),
    ("T4", "mlp", "reach below", view(0, 0, lambda v: replace(v, offset=-(1 << 61)))),
    ("T4", "mlp", "reach of strides", view(0, 0, lambda v: digit(v, 0, stride=-(1 << 60)))),
    ("T4", "mlp", "radix of zero", view(0, 0, lambda v: digit(v, 0, radix=0))),
    ("T4", "mlp", "huge radix", view(0, 0, lambda v: digit(v, 0, radix=1 << 40))),
    ("T4", "mlp", "radices beyond a word", view(1, 0, lambda v: replace(v, digits=WRAPPING))),
    ("T4", "live", "reach of guards", view(4, 0, lambda v: digit(v, 0, g0=1 << 61))),
    ("T4", "live", "offset of guard",
     view(4, 0, lambda v: replace(v, guards=(replace(v.guards[0], offset=1 << 61),)))),
    ("T4", "live", "second weight alone", view(4, 0, lambda v: digit(v, 0, g1=1))),
    ("T4", "mlp", "live of no slot", view(0, 0, lambda v: replace(v, guards=(Guard(0, 1, 9),)))),
    ("T4", "gather", "pad below zero", view(0, 0, lambda v: replace(v, pad=-1))),
    ("T4", "gather", "pad beyond 32 bits", view(0, 0, lambda v: replace(v, pad=1 << 32))),
    ("T4", "mlp", "stray weight", view(0, 0, lambda v: digit(v, 0, g0=1))),
    ("T4", "mlp", "live of f32", view(0, 0, lambda v: replace(v, guards=(Guard(0, 1, 0),)))),
    ("T4", "convolution", "pad too large", view(1, 0, lambda v: replace(v, pad=128))),
    ("T5", "mlp", "beyond the end", view(0, 0, lambda v: replace(v, offset=1))),
    ("T5", "mlp", "before the start", view(0, 0, lambda v: replace(v, offset=-1))),
    ("T5", "mlp", "dot beyond the end", view(2, 1, lambda v: replace(v, offset=1))),
    ("T5", "mlp", "backwards", view(0, 0, lambda v: rdigit(v, stride=-1))),
    ("T6", "mlp", "empty post", template(1, lambda t: replace(t, post=()))),
    ("T6", "mlp", "unknown opcode", template(1, code(Instr(0xEE)))),
    ("T6", "mlp", "register ahead", template(1, code(ONE, Instr(Op.ADD, 0, 1)))),
    ("T6", "mlp", "register type", template(1, code(ONE, Instr(Op.FNEG, 0)))),
    ("T6", "mlp", "second register type",
     template(1, code(Instr(Op.CONSTF), Instr(Op.I2F, 0)))),
    ("T6", "mlp", "third register type",
     template(1, code(ONE, Instr(Op.CONSTF), Instr(Op.SELF, 0, 1, 0)))),
    ("T6", "mlp", "index of float", template(1, code(Instr(Op.CONSTF), Instr(Op.LOADX, 0, 0)))),
    ("T6", "mlp", "own register", template(1, code(Instr(Op.NEG, 0)))),
    ("T6", "mlp", "result type", template(1, code(Instr(Op.CONSTF, imm=1)))),
    ("T6", "mlp", "no such view", template(1, code(Instr(Op.LOAD, 2)))),
    ("T6", "mlp", "no such axis", template(1, code(Instr(Op.COORD, 2)))),
    ("T6", "mlp", "r in post", template(0, code(Instr(Op.RINDEX), Instr(Op.I2F, 0)))),
    ("T6", "mlp", "digit in post", template(0, code(Instr(Op.RCOORD, 0), Instr(Op.I2F, 0)))),
    ("T6", "mlp", "no such digit",
     template(0, lambda t: replace(t, pre=(Instr(Op.RCOORD, 1), Instr(Op.I2F, 0))))),
    ("T6", "mlp", "computed view of r in post",
     template(0, code(ONE, Instr(Op.LOADX, 0, 0)))),
    ("T6", "folds", "acc of argmax is an integer",
     template(3, code(Instr(Op.ACC), Instr(Op.FNEG, 0), Instr(Op.BITS, 1)))),
    ("T6", "folds", "acc of float sum is a float",
     template(0, code(Instr(Op.ACC), Instr(Op.I2F, 0)))),
    ("T6", "mlp", "view of r in post", template(0, code(Instr(Op.LOAD, 0)))),
    ("T6", "mlp", "acc in map", template(1, code(Instr(Op.ACC)))),
    ("T6", "mlp", "acc in pre", template(0, lambda t: replace(t, pre=(Instr(Op.ACC),)))),
    ("T6", "mlp", "wide clamp", template(1, code(ONE, Instr(Op.CLAMP, 0, imm=1 << 31)))),
    ("T6", "mlp", "set unused field", template(1, code(Instr(Op.CONSTI, a=1)))),
    ("T6", "mlp", "257 instructions", template(1, code(*[ONE] * 257))),
    ("T6", "folds", "float sum of ints", template(4, lambda t: replace(t, fold=Fold.FSUM))),
    ("T6", "folds", "int sum of floats", template(0, lambda t: replace(t, fold=Fold.ISUM))),
    ("T7", "mlp", "strided", view(2, 1, lambda v: rdigit(v, stride=0))),
    ("T7", "mlp", "zero bound", template(2, lambda t: replace(t, bound_b=0))),
    ("T7", "mlp", "bound beyond dtype", template(2, lambda t: replace(t, bound_a=32769))),
    ("T7", "mlp", "other bound beyond dtype", template(2, lambda t: replace(t, bound_b=32769))),
    ("T7", "mlp", "one view",
     template(2, lambda t: replace(t, views=t.views[:1], post=(Instr(Op.ACC), Instr(Op.I2F))))),
    ("T7", "mlp", "wide operand",
     template(2, lambda t: replace(t, slots=(replace(t.slots[0], dtype=DType.I32), *t.slots[1:])))),
    ("T7", "mlp", "pad beyond bound", view(2, 1, lambda v: replace(v, pad=-8128))),
    ("T7", "convolution", "guarded inner, second", view(1, 0, lambda v: rdigit(v, g1=1))),
    ("T7", "convolution", "guarded inner", view(1, 0, lambda v: rdigit(v, g0=1))),
    ("T8", "live", "no such slot", template(0, lambda t: replace(t, live_r=2))),
    ("T8", "live", "not i64", template(0, lambda t: replace(t, live_r=0))),
    ("T8", "live", "no such axis", template(4, lambda t: replace(t, live_out=(1, 2)))),
    ("T8", "live", "output by f32", template(4, lambda t: replace(t, live_out=(0, 0)))),
    ("T8", "live", "dead too wide", template(4, lambda t: replace(t, dead=-1))),
    ("T9", "folds", "gas", template(0, lambda t: folded(t, 4096, stride=0))),
    ("T9", "folds", "bytes", template(0, lambda t: folded(t, 400, stride=1024))),
    ("T8", "mlp", "dead alone", template(1, lambda t: replace(t, dead=1))),
    ("D1", "mlp", "bound on floats", constant(1, bound=5)),
    ("D1", "mlp", "bound beyond dtype", constant(0, bound=32769)),
    ("D1", "mlp", "empty constant", constant(1, shape=(0,))),
    ("D1", "mlp", "bounded input",
     lambda p: replace(p, inputs=(TensorDecl(DType.I16, (3, 70), 5),))),
    ("D1", "counter", "state beyond dtype",
     state(1, Init(InitKind.FILL, 0), (1 << 31) + 1)),
    ("D2", "counter", "no such constant", state(0, Init(InitKind.CONST, 0))),
    ("D2", "counter", "fill too wide", state(1, Init(InitKind.FILL, 1 << 31))),
    ("D2", "counter", "fill beyond bound", state(0, Init(InitKind.FILL, 9), 8)),
    ("D2", "counter", "fill below bound", state(0, Init(InitKind.FILL, -9), 8)),
    ("D2", "phases", "no such input", state(0, Init(InitKind.INPUT, 1))),
    ("D2", "phases", "negative input", state(0, Init(InitKind.INPUT, -1))),
    ("D2", "mlp", "start of another shape", state(0, Init(InitKind.CONST, 1))),
    ("D2", "counter", "bounded by an input", started(InitKind.INPUT, 0, 8)),
    ("D2", "counter", "bounded by a free constant", started(InitKind.CONST, 0, 8)),
    ("D2", "counter", "bounded by a wider constant", started(InitKind.CONST, 9, 8)),
    ("I1", "mlp", "no such template", instance(0, lambda n: replace(n, template=3))),
    ("I1", "mlp", "operand missing", instance(0, lambda n: replace(n, operands=()))),
    ("I1", "mlp", "operand too many",
     instance(0, lambda n: replace(n, operands=(*n.operands, *n.operands)))),
    ("I1", "mlp", "no such constant",
     instance(0, lambda n: replace(n, operands=(Ref(Source.CONST, 3),)))),
    ("I1", "mlp", "no such input",
     instance(0, lambda n: replace(n, operands=(Ref(Source.INPUT, 1),)))),
    ("I1", "mlp", "no such state",
     instance(0, lambda n: replace(n, operands=(Ref(Source.STATE, 1),)))),
    ("I1", "folds", "wrong dtype",
     instance(0, lambda n: replace(n, operands=(Ref(Source.INPUT, 1),)))),
    ("I1", "counter", "state of wrong dtype",
     instance(0, lambda n: replace(n, operands=(Ref(Source.STATE, 1),)))),
    ("I1", "mlp", "operation of wrong size",
     instance(1, lambda n: replace(n, operands=(Ref(Source.OP, 0), Ref(Source.OP, 0))))),
    ("I1", "mlp", "reads itself",
     instance(0, lambda n: replace(n, operands=(Ref(Source.OP, 0),)))),
    ("I1", "mlp", "reads ahead",
     instance(0, lambda n: replace(n, operands=(Ref(Source.OP, 1),)))),
    ("I1", "counter", "reads itself, which fits",
     instance(0, lambda n: replace(n, operands=(Ref(Source.OP, 0),)))),
    ("I1", "counter", "reads ahead what fits",
     instance(0, lambda n: replace(n, operands=(Ref(Source.OP, 2),)))),
    ("I1", "mlp", "wrong size",
     instance(0, lambda n: replace(n, operands=(Ref(Source.CONST, 1),)))),
    ("I2", "mlp", "constant without bound", constant(0, bound=0)),
    ("I2", "mlp", "constant beyond bound", constant(0, bound=8128)),
    ("I2", "mlp", "producer beyond bound",
     template(1, lambda t: replace(t, post=(*t.post[:-1], replace(t.post[-1], imm=32640))))),
    ("I2", "mlp", "producer without clamp",
     template(1, lambda t: replace(t, post=t.post[:-1]))),
    ("I2", "mlp", "dead beyond bound", dead_beyond),
    ("I2", "mlp", "job input", operand_from(Source.INPUT)),
    ("I2", "mlp", "free state", operand_from(Source.STATE)),
    ("N1", "counter", "no such operation", following(0, Next(NextKind.VALUE, 9))),
    ("N1", "counter", "wrong dtype", following(0, Next(NextKind.VALUE, 1))),
    ("N1", "counter", "no such value", following(2, Next(NextKind.SLICE, 9, 1, 2))),
    ("N1", "counter", "no such index", following(2, Next(NextKind.SLICE, 3, 1, 9))),
    ("N1", "counter", "other dimensions", following(2, Next(NextKind.VALUE, 3))),
    ("N1", "counter", "wrong axis", following(2, Next(NextKind.SLICE, 3, 2, 2))),
    ("N1", "counter", "wrong slice", following(2, Next(NextKind.SLICE, 3, 0, 2))),
    ("N1", "counter", "index of i32", following(2, Next(NextKind.SLICE, 3, 1, 1))),
    ("N1", "counter", "index of two numbers", following(2, Next(NextKind.SLICE, 3, 1, 3))),
    ("N1", "counter", "bounded state, wider clamp", both(
        state(0, Init(InitKind.FILL, 0), 100),
        template(0, lambda t: replace(t, post=(*t.post, Instr(Op.CLAMP, 2, imm=101)))))),
    ("N1", "counter", "bounded state", state(0, Init(InitKind.FILL, 0), 100)),
    ("P1", "counter", "halt not i32", lambda p: replace(p, halt=0)),
    ("P1", "counter", "halt is no state", lambda p: replace(p, halt=3)),
    ("P1", "counter", "halt of two elements", lambda p: replace(
        p, states=(*p.states, replace(p.states[1], tensor=TensorDecl(DType.I32, (2,)))), halt=3,
        phases=(replace(p.phases[0], nexts=(*p.phases[0].nexts, Next(NextKind.KEEP))),))),
    ("P1", "counter", "too many steps",
     lambda p: replace(p, phases=(replace(p.phases[0], max_steps=1 << 32),))),
    ("P1", "counter", "no output", lambda p: replace(p, outputs=())),
    ("P1", "counter", "no such output", lambda p: replace(p, outputs=(3,))),
    ("P1", "counter", "no phase", lambda p: replace(p, phases=())),
    ("P1", "counter", "no steps",
     lambda p: replace(p, phases=(replace(p.phases[0], max_steps=0),))),
]  # fmt: skip
