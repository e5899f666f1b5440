"""``legal``: one total, local predicate over programs, with worst-case cost and size.

Every clause looks at a template alone, or at an instance (a next, a declaration) together with the
descriptors it names, so that a contract can check any one of them from proofs.  What needs the
whole program to see (unused parts) is a compiler's lint, not a matter of legality.

==== ==============================================================================================
T1   shape: at most 8 dimensions, each 1 to 2^32 - 1, fewer than 2^40 elements
T2   kind: MAP has no r, no fold, no pre; REDUCE has r, a fold and pre; DOT has r, no fold, no pre
T3   slots: element counts 1 to 2^40 - 1
T4   views: slot exists; radices at least 1, of i multiply to the output's count, of r equal the
     template's; offset, strides and guards reach less than 2^61; guard weights only with a guard;
     a guard's live slot is i64; pad fits the slot's dtype
T5   an unguarded view that is loaded without a computed index stays inside its slot
T6   code: opcodes known, registers earlier and of the right type, views, axes and digits exist,
     r only in pre, ACC only in post, result of the right type, CLAMP below 2^31, at most 256
     instructions together
T7   DOT: operands i16 or i8, innermost digit contiguous and unguarded in both, at most 65,536
     terms, bounds within the dtypes, pads within the bounds
T8   live: slots exist and are i64, axis exists, dead fits the dtype
T9   cost: worst-case gas of one element within MAX_COST, bytes of its proof within MAX_BYTES
D1   declaration: T1; a bound only on integer constants and states, within the dtype
D2   state: init of the same dtype and shape, within the state's bound; never an input if bounded
I1   instance: template exists, one operand per slot, each exists (OP: earlier), dtype and count
     those of the slot
I2   a DOT's operands are constants or states whose bound, or operations whose final CLAMP, is
     within the template's bound; never inputs
N1   next: operations exist, dtype and shape fit, the value of a bounded state ends in a CLAMP
     within the bound
P1   program: at least one phase and one output; outputs and halt exist, halt is i32[1]; steps 1 to
     2^32 - 1
==== ==============================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from protocol.spec.constants import (
    MAX_DIGITS,
    MAX_DIMS,
    MAX_DOT_TERMS,
    MAX_ELEMENTS,
    MAX_GUARDS,
    MAX_INSTRUCTIONS,
    MAX_RDIGITS,
    MAX_REACH,
    MAX_SLOTS,
    MAX_STEPS,
    MAX_VIEWS,
)
from protocol.spec.costs import MAX_BYTES, MAX_COST, cost
from protocol.spec.errors import IllegalProgram
from protocol.spec.microcode import Op, signature
from protocol.spec.types import (
    Digit,
    DType,
    Fold,
    Init,
    InitKind,
    Instance,
    Instr,
    Kind,
    Next,
    NextKind,
    Program,
    Ref,
    Source,
    Template,
    TensorDecl,
    View,
)


def _need(clause: str, ok: bool, message: str) -> None:
    if not ok:
        raise IllegalProgram(clause, message)


def fits(dtype: DType, value: int) -> bool:
    """A literal of ``dtype``: raw bits for f32, otherwise a value in range."""
    if dtype.is_float:
        return 0 <= value < 1 << 32
    return dtype.min <= value <= dtype.max


# --- templates ----------------------------------------------------------------------------------


def check_shape(clause: str, shape: Sequence[int]) -> None:
    _need(clause, len(shape) <= MAX_DIMS, f"{len(shape)} dimensions, at most {MAX_DIMS}")
    bad = [d for d in shape if not 1 <= d < 1 << 32]
    _need(clause, not bad, f"dimension {bad[:1]} is not between 1 and 2^32 - 1")
    count = math.prod(shape)
    _need(clause, count < MAX_ELEMENTS, f"{count} elements, below 2^40 wanted")


def _check_kind(t: Template) -> None:
    n_r, fold, n_pre = len(t.r), t.fold is not Fold.NONE, len(t.pre)
    if t.kind is Kind.MAP:
        ok = n_r == 0 and not fold and n_pre == 0 and t.live_r is None
    elif t.kind is Kind.REDUCE:
        ok = n_r >= 1 and fold and n_pre >= 1
    else:
        ok = n_r >= 1 and not fold and n_pre == 0
    _need("T2", ok, f"{t.kind.name} with {n_r} reduction digits, fold {t.fold.name}, {n_pre} pre")
    bounds_ok = t.kind is Kind.DOT or (t.bound_a == 0 and t.bound_b == 0)
    _need("T2", bounds_ok, f"{t.kind.name} may not declare operand bounds")
    _need("T2", n_r <= MAX_RDIGITS, f"{n_r} reduction digits, at most {MAX_RDIGITS}")
    _need("T2", all(1 <= d < 1 << 32 for d in t.r), f"reduction radices {t.r} must be positive")
    _need("T2", t.terms < MAX_ELEMENTS, f"{t.terms} terms, below 2^40 wanted")


def _reach(offset: int, digits: Sequence[Digit], weights: Sequence[int]) -> tuple[int, int, int]:
    """Lowest and highest value of offset + sum(weight*digit), and the sum of magnitudes."""
    spans = [w * (d.radix - 1) for d, w in zip(digits, weights, strict=True)]
    low = offset + sum(min(s, 0) for s in spans)
    high = offset + sum(max(s, 0) for s in spans)
    return low, high, abs(offset) + sum(map(abs, spans))


def _is_live_slot(t: Template, slot: int) -> bool:
    return slot < len(t.slots) and t.slots[slot].dtype is DType.I64


def _check_view(t: Template, k: int, v: View) -> None:
    at = f"view {k}"
    _need("T4", v.slot < len(t.slots), f"{at} reads slot {v.slot} of {len(t.slots)}")
    _need("T4", len(v.digits) <= MAX_DIGITS, f"{at} has {len(v.digits)} digits, at most 8")
    _need("T4", len(v.guards) <= MAX_GUARDS, f"{at} has {len(v.guards)} guards, at most 2")
    radices = [d.radix for d in v.digits]
    ok = all(1 <= n < MAX_ELEMENTS for n in radices) and math.prod(radices) == t.count
    _need("T4", ok, f"{at} has radices {radices}, they must multiply to {t.count}")
    r = tuple(d.radix for d in v.rdigits)
    _need("T4", r == t.r, f"{at} has reduction radices {r}, want {t.r}")
    every = v.digits + v.rdigits
    lines = [(v.offset, [d.stride for d in every])]
    guard_weights = [[d.g0 for d in every], [d.g1 for d in every]]
    lines += [(g.offset, w) for g, w in zip(v.guards, guard_weights, strict=False)]
    for offset, weights in lines:
        _need("T4", _reach(offset, every, weights)[2] < MAX_REACH, f"{at} reaches 2^61 or more")
    stray = any(any(w) for w in guard_weights[len(v.guards) :])
    _need("T4", not stray, f"{at} has guard weights without a guard")
    for g in v.guards:
        ok = g.live is None or _is_live_slot(t, g.live)
        _need("T4", ok, f"{at} is bounded by slot {g.live}, which is no i64 slot")
    dtype = t.slots[v.slot].dtype
    _need("T4", fits(dtype, v.pad), f"{at} has pad {v.pad}, which does not fit {dtype.name}")


def _check_plain(t: Template, k: int) -> None:
    v = t.views[k]
    every = v.digits + v.rdigits
    low, high, _ = _reach(v.offset, every, [d.stride for d in every])
    ok = bool(v.guards) or (low >= 0 and high < t.slots[v.slot].count)
    _need("T5", ok, f"view {k} addresses {low} to {high} of {t.slots[v.slot].count} elements")


def _reads_r(v: View) -> bool:
    return any(d.stride or d.g0 or d.g1 for d in v.rdigits)


def _fold_type(t: Template, pre: Sequence[str]) -> str:
    if t.kind is Kind.DOT or t.fold in (Fold.ARGMAX, Fold.ISUM):
        return "I"
    return pre[-1]


def code_types(t: Template, *, pre: bool) -> list[str]:
    """Register types (I or F) of ``pre`` or ``post``; IllegalProgram (T6) if the code is wrong."""
    code = t.pre if pre else t.post
    acc = None if pre or t.kind is Kind.MAP else _fold_type(t, code_types(t, pre=True) or ["I"])
    where = "pre" if pre else "post"
    types: list[str] = []
    for n, ins in enumerate(code):
        types.append(_check_instr(t, types, ins, f"{where} instruction {n}", acc, pre))
    return types


def _check_instr(
    t: Template, types: list[str], ins: Instr, at: str, acc: str | None, pre: bool
) -> str:
    try:
        op = Op(ins.op)
    except ValueError:
        raise IllegalProgram("T6", f"{at} has unknown opcode {ins.op}") from None
    kinds, result, uses_imm = signature(op)
    for kind, n in zip(kinds, (ins.a, ins.b, ins.c), strict=True):
        if kind in "IF":
            _need("T6", n < len(types), f"{at} ({op.name}) reads register {n} too early")
            got = types[n]
            _need("T6", got == kind, f"{at} ({op.name}) wants {kind}, register {n} is {got}")
        elif kind == "-":
            _need("T6", n == 0, f"{at} ({op.name}) has a set unused field")
    _need("T6", uses_imm or ins.imm == 0, f"{at} ({op.name}) takes no literal")
    _need("T6", 0 <= ins.imm < 1 << 32, f"{at} has literal {ins.imm}, which does not fit 32 bits")
    if op in (Op.LOAD, Op.LOADX):
        _need("T6", ins.a < len(t.views), f"{at} loads view {ins.a} of {len(t.views)}")
        _need("T6", pre or not _reads_r(t.views[ins.a]), f"{at} loads a view of r in post")
        if op is Op.LOAD:
            _check_plain(t, ins.a)
        return "F" if t.slots[t.views[ins.a].slot].dtype.is_float else "I"
    if op is Op.COORD:
        _need("T6", ins.a < len(t.shape), f"{at} reads axis {ins.a} of {len(t.shape)}")
    elif op in (Op.RCOORD, Op.RINDEX):
        _need("T6", pre, f"{at} ({op.name}) reads r outside pre")
        _need("T6", ins.a < max(len(t.r), 1), f"{at} reads digit {ins.a} of {len(t.r)}")
    elif op is Op.CLAMP:
        _need("T6", ins.imm < 1 << 31, f"{at} clamps to {ins.imm}, below 2^31 wanted")
    elif op is Op.ACC:
        if acc is None:
            raise IllegalProgram("T6", f"{at} reads ACC, which only post of REDUCE and DOT has")
        return acc
    return result


def _check_code(t: Template) -> None:
    total = len(t.pre) + len(t.post)
    _need("T6", len(t.post) >= 1, "post is empty")
    _need("T6", total <= MAX_INSTRUCTIONS, f"{total} instructions, at most {MAX_INSTRUCTIONS}")
    if t.kind is Kind.REDUCE:
        last = code_types(t, pre=True)[-1]
        want = {Fold.FSUM: "F", Fold.ISUM: "I"}.get(t.fold, last)
        _need("T6", last == want, f"{t.fold.name} folds {want}, pre yields {last}")
    want = "F" if t.dtype.is_float else "I"
    last = code_types(t, pre=False)[-1]
    _need("T6", last == want, f"{t.dtype.name} output wants {want}, post yields {last}")


def _check_dot(t: Template) -> None:
    _need("T7", len(t.views) >= 2, "a DOT needs views 0 and 1")
    _need("T7", t.terms <= MAX_DOT_TERMS, f"{t.terms} terms, at most {MAX_DOT_TERMS}")
    for k, bound in enumerate((t.bound_a, t.bound_b)):
        v = t.views[k]
        dtype = t.slots[v.slot].dtype
        _need("T7", dtype in (DType.I16, DType.I8), f"operand {k} is {dtype.name}, want i16 or i8")
        inner = v.rdigits[-1]
        ok = inner.stride == 1 and inner.g0 == 0 and inner.g1 == 0
        _need("T7", ok, f"innermost digit of operand {k} must have stride 1 and no guard")
        _need("T7", 1 <= bound <= -dtype.min, f"bound {bound} of operand {k}, 1 to {-dtype.min}")
        _need("T7", abs(v.pad) <= bound, f"pad {v.pad} of operand {k} exceeds its bound {bound}")
        _check_plain(t, k)


def _check_live(t: Template) -> None:
    ok = t.live_r is None or _is_live_slot(t, t.live_r)
    _need("T8", ok, f"live_r names slot {t.live_r}, which is no i64 slot")
    if t.live_out is None:
        _need("T8", t.dead == 0, "dead must be 0 without live_out")
        return
    slot, axis = t.live_out
    _need("T8", _is_live_slot(t, slot), f"live_out names slot {slot}, which is no i64 slot")
    _need("T8", axis < len(t.shape), f"live_out names axis {axis} of {len(t.shape)}")
    _need("T8", fits(t.dtype, t.dead), f"dead {t.dead} does not fit {t.dtype.name}")


def check_template(t: Template) -> None:
    """IllegalProgram with the first clause of T1 to T9 that ``t`` breaks."""
    check_shape("T1", t.shape)
    _check_kind(t)
    _need("T3", len(t.slots) <= MAX_SLOTS, f"{len(t.slots)} slots, at most {MAX_SLOTS}")
    for k, s in enumerate(t.slots):
        _need("T3", 1 <= s.count < MAX_ELEMENTS, f"slot {k} has {s.count} elements")
    _need("T4", len(t.views) <= MAX_VIEWS, f"{len(t.views)} views, at most {MAX_VIEWS}")
    for k, v in enumerate(t.views):
        _check_view(t, k, v)
    _check_code(t)
    if t.kind is Kind.DOT:
        _check_dot(t)
    _check_live(t)
    worst = cost(t)
    for what, got, most in (("gas", worst.gas, MAX_COST), ("bytes", worst.bytes, MAX_BYTES)):
        _need("T9", got <= most, f"proving one element may take {got} {what}, at most {most}")


# --- declarations, instances, nexts -------------------------------------------------------------


def check_decl(decl: TensorDecl, what: str, *, may_bound: bool) -> None:
    """Clause D1 (and T1)."""
    check_shape("D1", decl.shape)
    if decl.bound:
        ok = may_bound and not decl.dtype.is_float and 0 < decl.bound <= -decl.dtype.min
        _need("D1", ok, f"{what} may not declare bound {decl.bound}")


def _check_init(program: Program, k: int, tensor: TensorDecl, init: Init) -> None:
    if init.kind is InitKind.FILL:
        _need("D2", fits(tensor.dtype, init.value), f"state {k} is filled with {init.value}")
        ok = not tensor.bound or abs(init.value) <= tensor.bound
        _need("D2", ok, f"state {k} is filled beyond its bound {tensor.bound}")
        return
    is_const = init.kind is InitKind.CONST
    table = program.constants if is_const else program.inputs
    name = init.kind.name.lower()
    _need("D2", 0 <= init.value < len(table), f"state {k} starts as {name} {init.value}")
    start = table[init.value]
    ok = (start.dtype, start.shape) == (tensor.dtype, tensor.shape)
    _need("D2", ok, f"state {k} and {name} {init.value} differ in dtype or shape")
    ok = not tensor.bound or (is_const and 0 < start.bound <= tensor.bound)
    _need("D2", ok, f"state {k} is bounded by {tensor.bound}, its start is not")


def final_clamp(t: Template) -> int | None:
    """Bound that every element of the template's output respects, or None."""
    if t.post[-1].op != Op.CLAMP:
        return None
    return max(t.post[-1].imm, abs(t.dead) if t.live_out is not None else 0)


def _bound_of(program: Program, phase: int, ref: Ref) -> int | None:
    if ref.source is Source.CONST:
        return program.constants[ref.index].bound or None
    if ref.source is Source.STATE:
        return program.states[ref.index].tensor.bound or None
    if ref.source is Source.OP:
        instance = program.phases[phase].instances[ref.index]
        return final_clamp(program.templates[instance.template])
    return None


def _exists(program: Program, number: int, ref: Ref) -> bool:
    limit = {
        Source.CONST: len(program.constants),
        Source.INPUT: len(program.inputs),
        Source.STATE: len(program.states),
        Source.OP: number,
    }[ref.source]
    return 0 <= ref.index < limit


def check_instance(program: Program, phase: int, number: int, instance: Instance) -> None:
    """Clauses I1 and I2, given that templates and declarations are legal."""
    at = f"operation {number} of phase {phase}"
    ok = 0 <= instance.template < len(program.templates)
    _need("I1", ok, f"{at} has template {instance.template} of {len(program.templates)}")
    t = program.templates[instance.template]
    ok = len(instance.operands) == len(t.slots)
    _need("I1", ok, f"{at} has {len(instance.operands)} operands, want {len(t.slots)}")
    for k, (ref, slot) in enumerate(zip(instance.operands, t.slots, strict=True)):
        name = f"{ref.source.name} {ref.index}"
        ok = _exists(program, number, ref)
        _need("I1", ok, f"{at} reads {name}, which does not exist or is not earlier")
        got = program.decl(ref, phase)
        want = (slot.dtype, slot.count)
        _need("I1", got == want, f"operand {k} of {at} is {got}, the template wants {want}")
    if t.kind is Kind.DOT:
        for k, bound in enumerate((t.bound_a, t.bound_b)):
            ref = instance.operands[t.views[k].slot]
            has = _bound_of(program, phase, ref)
            ok = has is not None and has <= bound
            _need("I2", ok, f"operand {k} of {at} is bounded by {has}, at most {bound} wanted")


def check_next(program: Program, phase: int, k: int, item: Next) -> None:
    """Clause N1."""
    if item.kind is NextKind.KEEP:
        return
    at = f"next of state {k} in phase {phase}"
    tensor = program.states[k].tensor
    instances = program.phases[phase].instances
    _need("N1", item.value < len(instances), f"{at} is operation {item.value} of {len(instances)}")
    value = program.templates[instances[item.value].template]
    shape = tensor.shape
    if item.kind is NextKind.SLICE:
        _need("N1", item.axis < len(shape), f"{at} writes axis {item.axis} of {len(shape)}")
        shape = (*shape[: item.axis], 1, *shape[item.axis + 1 :])
        _need("N1", item.index < len(instances), f"{at} reads operation {item.index}")
        index = program.templates[instances[item.index].template]
        ok = (index.dtype, index.count) == (DType.I64, 1)
        _need("N1", ok, f"{at} wants one i64 as index, got {index.count} {index.dtype.name}")
    ok = (value.dtype, value.shape) == (tensor.dtype, shape)
    got = f"{value.dtype.name} {value.shape}"
    _need("N1", ok, f"{at} is {got}, want {tensor.dtype.name} {shape}")
    if tensor.bound:
        has = final_clamp(value)
        ok = has is not None and has <= tensor.bound
        _need("N1", ok, f"{at} is bounded by {has}, at most {tensor.bound} wanted")


def _check_program(p: Program) -> None:
    _need("P1", len(p.phases) >= 1, "a program needs a phase")
    _need("P1", len(p.outputs) >= 1, "a program needs an output")
    bad = [n for n in p.outputs if n >= len(p.states)]
    _need("P1", not bad, f"outputs {bad} are no states ({len(p.states)} declared)")
    if p.halt is not None:
        _need("P1", p.halt < len(p.states), f"halt is state {p.halt} of {len(p.states)}")
        tensor = p.states[p.halt].tensor
        ok = (tensor.dtype, tensor.count) == (DType.I32, 1)
        _need("P1", ok, f"halt must be one i32, got {tensor.count} {tensor.dtype.name}")
    for k, phase in enumerate(p.phases):
        ok = 1 <= phase.max_steps < MAX_STEPS
        _need("P1", ok, f"phase {k} allows {phase.max_steps} steps, want 1 to 2^32 - 1")
        ok = len(phase.nexts) == len(p.states)
        _need("P1", ok, f"phase {k} has {len(phase.nexts)} nexts for {len(p.states)} states")


def check(program: Program) -> None:
    """IllegalProgram with the first clause that ``program`` breaks."""
    for k, d in enumerate(program.constants):
        check_decl(d, f"constant {k}", may_bound=True)
    for k, d in enumerate(program.inputs):
        check_decl(d, f"input {k}", may_bound=False)
    for k, s in enumerate(program.states):
        check_decl(s.tensor, f"state {k}", may_bound=True)
        _check_init(program, k, s.tensor, s.init)
    _check_program(program)
    for t in program.templates:
        check_template(t)
    for k, phase in enumerate(program.phases):
        for n, instance in enumerate(phase.instances):
            check_instance(program, k, n, instance)
        for n, item in enumerate(phase.nexts):
            check_next(program, k, n, item)


def legal(program: Program) -> bool:
    """Whether ``check`` accepts ``program``."""
    try:
        check(program)
    except IllegalProgram:
        return False
    return True
