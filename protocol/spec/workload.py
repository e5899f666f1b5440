"""How much work a program is, and how long this machine takes for it.

Work is counted in multiply-adds of DOTs, in instructions of everything else (weighed: an addition
of floats is 1), in operations (each costs something however small it is) and in bytes; measured
rates turn it into seconds.  It steers acceptance and fills a job's ``workMs``.  Whoever accepts
answers for being in time, and programs are chosen by strangers: so every step of a program costs
something here, and what an engine is slow at (computed addresses, misfitting views, square roots)
weighs what it costs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final

from protocol.spec.constants import BOUND_A_I16, BOUND_B_I16
from protocol.spec.interpreter import check_steps
from protocol.spec.microcode import Op, signature
from protocol.spec.operations import common_grid, suffix_products
from protocol.spec.types import (
    DType,
    Instance,
    Instr,
    Kind,
    NextKind,
    Phase,
    Program,
    Source,
    Template,
    View,
)

WEIGHT: Final[dict[Op, int]] = {
    **dict.fromkeys(Op, 2),
    **dict.fromkeys((Op.CONSTI, Op.CONSTF, Op.STEP, Op.PSTEP, Op.SEED), 0),
    **dict.fromkeys((Op.FADD, Op.FSUB, Op.FMUL, Op.FDIV, Op.FNEG, Op.FABS), 1),
    **dict.fromkeys((Op.FLOOR, Op.CEIL, Op.RINT, Op.ACC, Op.RCOORD), 1),
    **dict.fromkeys((Op.COORD, Op.INDEX, Op.RINDEX, Op.CONSTHI, Op.CLAMP), 4),
    **dict.fromkeys((Op.ADD, Op.SUB, Op.MUL, Op.SHL, Op.SHR, Op.FROMBITS), 4),
    **dict.fromkeys((Op.FMIN, Op.FMAX, Op.SELI, Op.SELF, Op.TRUNC), 6),
    Op.LDEXP: 10,
    Op.USHR: 15,
    Op.F2I: 24,
    **dict.fromkeys((Op.DIV, Op.MOD, Op.EXPONENT, Op.FSQRT), 40),
}
"""Time of an opcode on long arrays of worst-case operands, in additions of floats."""

GATHER: Final = 60
"""A load that is no strided view: its address, its guards, the look-up."""

SPLIT: Final = 80
"""A digit that has to be divided out of the flattened index."""

FOLD: Final = 4
"""One position of a fold."""

PACK: Final = 4
"""An element of an operand of a matrix product: split into limbs, or widened."""

WINDOW: Final = 20
"""The same where the matrix is larger than the operand that it is gathered from."""

EXACT: Final = 8
"""A multiply-add whose bounds are too wide for int8 limbs, in multiply-adds of those that fit."""

MATRIX: Final = 500
"""One small matrix product of a batch, in additions of floats."""

TENSORS: Final = 2
"""Tensors that are hashed and kept in the time of a call, beside their bytes."""

TRACE_COPIES: Final = 3
"""Copies of all states that building a trace, or computing again from kept states, holds."""

DESCRIPTOR: Final = 6
"""Tensors that are hashed in the time in which a template is decoded, judged and hashed."""

STEP_BYTES: Final = 96
"""Bytes that a trace takes for a step: its leaf, while the tree over it is built."""

TILE: Final = 1 << 15
"""Elements that an engine computes at once."""

WIDE_TILE: Final = 1 << 16
"""Rows times columns of a matrix product that an engine computes at once, of up to
``WIDE_COLUMNS`` columns."""

WIDE_COLUMNS: Final = 4096

_WORD: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Work:
    """Work of a run.

    ``products`` multiply-adds; ``instructions`` microcode, in additions of floats; ``memory``
    bytes of tensors alive at the worst moment, prepared weights among them; ``operations`` calls,
    each with its overhead; ``scratch`` bytes that each thread needs besides; ``outputs`` bytes of
    the result, every mention of a state counted; ``traced`` bytes of constants and inputs, and of
    all results and states of all steps, which are ``tensors``.
    """

    products: int
    instructions: int
    memory: int
    operations: int = 0
    scratch: int = 0
    outputs: int = 0
    traced: int = 0
    tensors: int = 0


@dataclass(frozen=True, slots=True)
class Rate:
    """What a machine does in a second; ``outputs`` in bytes hashed, stored and published,
    ``traced`` in bytes hashed and kept."""

    products: float
    instructions: float
    operations: float = 4e3
    outputs: float = 5e7
    traced: float = 2e8

    def seconds(self, work: Work) -> float:
        """Estimated time of ``work``."""
        return (
            work.products / self.products
            + work.instructions / self.instructions
            + work.operations / self.operations
            + work.outputs / self.outputs
        )

    def trace_seconds(self, work: Work) -> float:
        """Estimated time of ``work`` when the trace of the run is built, or parts of it again."""
        return (
            self.seconds(work)
            + work.traced / self.traced
            + work.tensors / (TENSORS * self.operations)
        )


# --- one operation ------------------------------------------------------------------------------


def _grid(t: Template) -> tuple[int, ...] | None:
    """Radices on which every view that is read is a line; None if there are none."""
    code = (*t.pre, *t.post)
    read = {ins.a for ins in code if ins.op in (Op.LOAD, Op.LOADX)}
    read |= {0, 1} if t.kind is Kind.DOT else set()
    lists = [[t.count], *([d.radix for d in t.views[k].digits] for k in sorted(read))]
    if t.live_out is not None or any(ins.op == Op.COORD for ins in code):
        lists.append(list(t.shape))
    return common_grid(lists)


def _is_line(t: Template, v: View) -> bool:
    """Whether a view is a strided tensor: no guard, no way out of the operand, no way back."""
    digits = (*v.digits, *v.rdigits)
    high = v.offset + sum(d.stride * (d.radix - 1) for d in digits)
    ok = not v.guards and v.offset >= 0 and high < t.slots[v.slot].count
    return ok and all(d.stride >= 0 for d in digits)


def _load(t: Template, v: View, *, fits: bool) -> int:
    """Cost of one element read through a view."""
    cost = 1 if fits and _is_line(t, v) else GATHER
    return cost if fits else cost + SPLIT * len(v.digits) * (1 + len(v.guards))


def _code(t: Template, code: Sequence[Instr], *, fits: bool) -> int:
    """Cost of one run of the code."""
    cost, cheap = 0, _cheap(code)
    for n, ins in enumerate(code):
        op = Op(ins.op)
        if op is Op.LOAD:
            cost += _load(t, t.views[ins.a], fits=fits)
        elif op is Op.LOADX:
            cost += GATHER + _load(t, t.views[ins.a], fits=fits)
        else:
            cost += 2 if n in cheap else WEIGHT[op]
            cost += 0 if fits or op is not Op.COORD else SPLIT
    return cost


def _cheap(code: Sequence[Instr]) -> set[int]:
    """Conversions that only feed CLAMPs, and the lesser or greater of a value and a literal."""
    unclamped = {k for ins in code for k in _reads(ins) if ins.op != Op.CLAMP or ins.imm > 1 << 30}
    cheap = {n for n, ins in enumerate(code) if ins.op == Op.F2I and n not in unclamped}
    literals = {n for n, ins in enumerate(code) if ins.op == Op.CONSTF and ins.imm << 1 & _WORD}
    limits = (Op.FMIN, Op.FMAX)
    return cheap | {n for n, i in enumerate(code) if i.op in limits and {i.a, i.b} & literals}


def _reads(ins: Instr) -> set[int]:
    """Registers that an instruction reads."""
    fields = zip(signature(Op(ins.op))[0], (ins.a, ins.b, ins.c), strict=True)
    return {n for kind, n in fields if kind in "IF"}


@dataclass(frozen=True, slots=True)
class _Matrices:
    """A DOT as ``batch`` products of [rows, K] by [columns, K]."""

    batch: int
    rows: int
    columns: int


def _matrices(t: Template, grid: Sequence[int]) -> _Matrices:
    """Which axes of the grid each operand depends on."""
    weights = suffix_products(grid)[1:]
    sizes = [1, 1, 1]
    for radix, weight in zip(grid, weights, strict=True):
        a, b = (_moves(t.views[k], weight) for k in (0, 1))
        sizes[0 if a and b else 2 if b else 1] *= radix
    return _Matrices(*sizes)


def _moves(v: View, weight: int) -> bool:
    """Whether a view depends on the grid axis of this weight."""
    cuts = suffix_products([d.radix for d in v.digits])
    pairs = zip(v.digits, cuts, cuts[1:], strict=False)
    return any(d.stride or d.g0 or d.g1 for d, high, low in pairs if low <= weight < high)


def _copies(t: Template, k: int, elements: int) -> int:
    """Cost of an element of operand k laid out as a matrix; more where windows overlap in it and
    the matrix is larger than the operand."""
    return PACK if elements <= t.slots[t.views[k].slot].count else WINDOW


def _wide(t: Template) -> bool:
    """Whether the bounds of a DOT are beyond those of int8 limbs."""
    small = t.slots[t.views[1].slot].dtype is DType.I8
    return t.bound_a > BOUND_A_I16 or (not small and t.bound_b > BOUND_B_I16)


def _dot(t: Template, grid: tuple[int, ...] | None) -> tuple[int, int, int, int]:
    """Multiply-adds, instructions, bytes kept, bytes of a thread of a DOT without its post."""
    products = t.count * t.terms
    if grid is None:
        loads = sum(_load(t, t.views[k], fits=False) for k in (0, 1))
        return products, products * loads, 0, 64 * TILE * t.terms
    m = _matrices(t, grid)
    costs = [_load(t, t.views[k], fits=True) for k in (0, 1)]
    strips = -(-m.columns // WIDE_COLUMNS)
    firsts, seconds = m.batch * m.rows * t.terms, m.batch * m.columns * t.terms
    moved = [n * _copies(t, k, n) * costs[k] for k, n in enumerate((firsts, seconds))]
    instructions = strips * moved[0] + moved[1] + m.batch * MATRIX
    height = min(m.batch * m.rows, max(1, WIDE_TILE // min(m.columns, WIDE_COLUMNS)))
    sizes = [12 if cost == 1 else 40 for cost in costs]
    factor = EXACT if _wide(t) else 1
    return products * factor, instructions, seconds * sizes[1], height * t.terms * sizes[0]


def _registers(code: Sequence[Instr]) -> int:
    """Most registers alive at once."""
    last = {k: n for n, ins in enumerate(code) for k in _reads(ins)}
    ends = Counter(max(n, last.get(n, n)) for n in range(len(code)))
    alive = most = 0
    for n in range(len(code)):
        alive += 1
        most = max(most, alive)
        alive -= ends[n]
    return most


@dataclass(frozen=True, slots=True)
class _Operation:
    """Work of one instance of a template, what it keeps, and what its tiles take."""

    products: int
    instructions: int
    calls: int
    kept: int
    scratch: int


def _operation(t: Template) -> _Operation:
    """Work of one instance."""
    grid = _grid(t)
    fits = grid is not None
    products = kept = scratch = 0
    instructions = t.count * _code(t, t.post, fits=fits)
    if t.kind is Kind.REDUCE:
        instructions += t.count * t.terms * (_code(t, t.pre, fits=fits) + FOLD)
    elif t.kind is Kind.DOT:
        products, more, kept, scratch = _dot(t, grid)
        instructions += more
    elements = min(TILE, t.count * (t.terms if t.kind is Kind.REDUCE else 1))
    scratch += 8 * elements * (_registers(t.pre) + _registers(t.post) + 4)
    calls = 1 + (len(t.pre) + len(t.post)) // 16
    return _Operation(products, instructions, calls, kept, scratch)


def template_work(t: Template) -> tuple[int, int]:
    """Multiply-adds and weighed instructions of one instance."""
    work = _operation(t)
    return work.products, work.instructions


# --- a program ----------------------------------------------------------------------------------


def peak_memory(program: Program, phase: Phase) -> int:
    """Bytes of tensors alive at once in a step when each is dropped after its last reader."""
    last: dict[int, int] = {}
    for number, instance in enumerate(phase.instances):
        for ref in _operations(instance):
            last[ref] = number
    for item in phase.nexts:
        last[item.value] = last[item.index] = len(phase.instances)
    sizes = [_bytes(program.templates[n.template]) for n in phase.instances]
    alive = peak = 0
    for number, instance in enumerate(phase.instances):
        alive += sizes[number]
        peak = max(peak, alive)
        ended = {ref for ref in _operations(instance) if last[ref] == number}
        alive -= sum(sizes[ref] for ref in ended)
    return peak


def _operations(instance: Instance) -> list[int]:
    return [ref.index for ref in instance.operands if ref.source is Source.OP]


def _bytes(t: Template) -> int:
    return t.count * t.dtype.size


def _phase_memory(program: Program, phase: Phase, works: Sequence[_Operation]) -> int:
    """Bytes of a step: tensors, and second operands as a matrix product wants them. Those of
    constants stay; of the others one at a time is there."""
    kept: dict[tuple[int, int], int] = {}
    moving = 0
    for instance in phase.instances:
        t, work = program.templates[instance.template], works[instance.template]
        if not work.kept:
            continue
        ref = instance.operands[t.views[1].slot]
        if ref.source is Source.CONST:
            kept[instance.template, ref.index] = work.kept
        else:
            moving = max(moving, work.kept)
    return peak_memory(program, phase) + sum(kept.values()) + moving


def _step_bytes(program: Program, phase: Phase) -> int:
    """Bytes of states that a step may copy: a slice write, where it cannot be in place."""
    pairs = zip(phase.nexts, program.states, strict=True)
    return sum(s.tensor.nbytes for item, s in pairs if item.kind is NextKind.SLICE)


def _traced(nbytes: int, tensors: int) -> Work:
    """Hashing, and keeping or laying out, tensors of so many bytes."""
    return Work(0, 0, 0, traced=nbytes, tensors=tensors)


def data_of(program: Program) -> Work:
    """Work of hashing what may be demanded of a result: constants and inputs, and outputs twice, as
    they are loaded and for their trees."""
    outputs = [program.states[n].tensor for n in program.outputs]
    decls = [*program.constants, *program.inputs, *outputs, *outputs]
    return _traced(sum(d.nbytes for d in decls), len(decls))


def pieces_of(program: Program, steps: Sequence[int] | None = None) -> list[Work]:
    """What is done in one go, where a run and its trace tell their progress after each operation:
    the loading of what is given; an operation, its result and the states before it; all steps of
    phases without operations; the publishing of the outputs."""
    works = [_operation(t) for t in program.templates]
    given = [d.nbytes for d in (*program.constants, *program.inputs)]
    outputs = sum(program.states[n].tensor.nbytes for n in program.outputs)
    pieces = [_traced(sum(given), len(given)), Work(0, 0, 0, outputs=outputs)]
    count, states = len(program.states), sum(s.tensor.nbytes for s in program.states)
    calls, idle = 1 + count // 32, 0
    for phase, run in zip(program.phases, check_steps(program, steps), strict=True):
        copied = _step_bytes(program, phase)
        for n in {x.template for x in phase.instances} if run else ():
            w, traced = works[n], states + _bytes(program.templates[n])
            pieces.append(
                Work(
                    w.products, w.instructions + copied, 0, calls + 5 * w.calls,
                    traced=traced, tensors=count + 1,
                )
            )  # fmt: skip
        idle += 0 if phase.instances else run
    pieces.append(Work(0, 0, 0, idle * calls, traced=idle * states, tensors=idle * count))
    return pieces


def shelf_bytes(program: Program, steps: Sequence[int] | None = None) -> int:
    """Bytes on disk of a trace: its kept states, and all tensors of two of its longest steps with
    their trees, which are an eighth of them."""
    counts = check_steps(program, steps)
    states, total = sum(s.tensor.nbytes for s in program.states), sum(counts)
    results = (
        sum(_bytes(program.templates[n.template]) for n in phase.instances)
        for phase, count in zip(program.phases, counts, strict=True)
        if count
    )
    longest = states + max(results, default=0)
    kept = total // max(1, isqrt(total)) + 2
    return kept * states + 2 * (longest + longest // 8)


def work_of(program: Program, steps: Sequence[int] | None = None) -> Work:
    """Work of a run of a legal program with the given steps a phase (default: the maxima)."""
    works = [_operation(t) for t in program.templates]
    outputs = sum(program.states[n].tensor.nbytes for n in program.outputs)
    products = instructions = peak = 0
    states = sum(s.tensor.nbytes for s in program.states)
    given = sum(d.nbytes for d in (*program.constants, *program.inputs))
    traced, tensors = given + states, len(program.states)
    used: set[int] = set()
    calls = len(program.outputs)
    for phase, count in zip(program.phases, check_steps(program, steps), strict=True):
        each = [works[n.template] for n in phase.instances]
        products += count * sum(w.products for w in each)
        instructions += count * (sum(w.instructions for w in each) + _step_bytes(program, phase))
        calls += count * (1 + len(phase.nexts) // 32 + sum(w.calls for w in each))
        results = sum(_bytes(program.templates[n.template]) for n in phase.instances)
        traced += count * (states + results)
        tensors += count * (len(program.states) + len(phase.instances))
        peak = max(peak, _phase_memory(program, phase, works))
        used |= {n.template for n in phase.instances}
    calls += sum(4 * works[n].calls for n in used)
    held = [*program.constants, *program.inputs, *(s.tensor for s in program.states)]
    memory = peak + sum(d.nbytes for d in held) + outputs
    memory += STEP_BYTES * sum(check_steps(program, steps)) + TRACE_COPIES * states
    tensors += DESCRIPTOR * len(program.templates)
    scratch = sum(works[n].scratch for n in used)
    return Work(products, instructions, memory, calls, scratch, outputs, traced, tensors)
