"""Cases of ``illegal`` with the verdict of the spec; ``solidity_vectors`` writes them to a file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Final

import numpy as np
from eth_abi import encode as abi_encode

from protocol.spec import encoding, trees
from protocol.spec.constants import (
    TAG_INSTANCE,
    TAG_NEXT,
    TAG_PHASE,
    TAG_PROGRAM,
    TAG_STATE,
    TAG_TEMPLATE,
    WORD,
)
from protocol.spec.costs import MAX_BYTES, cost
from protocol.spec.examples import Example
from protocol.spec.illegality import (
    CaseBuilder,
    illegal,
    pieces_of,
    program_cases,
    prove_illegality,
)
from protocol.spec.job import Task, pack_steps
from protocol.spec.legality_proofs import (
    ABI,
    Case,
    Illegality,
    InstanceCase,
    Listing,
    Named,
    NextCase,
    TemplateCase,
)
from protocol.spec.microcode import Op
from protocol.spec.proofs import Leaf, PhasePart, ProgramPart
from protocol.spec.types import (
    Array,
    Digit,
    DType,
    Fold,
    Guard,
    Init,
    InitKind,
    Instance,
    Instr,
    Kind,
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
from tests.differential.bounds import computed_loads, largest
from tests.spec.illegal_programs import CASES, EXAMPLES, operand_from, started

CALL = "(bytes32,bytes32,bytes32,uint256,uint8,bytes,bool)"
"""Roots of program, constants and inputs, steps, kind, proof, verdict."""

Judged = tuple[Task, Illegality, Case]


def encoded(case: Case) -> bytes:
    """As ``illegal`` takes it."""
    return abi_encode([ABI[type(case)]], [case])


def task_of(
    program: Program,
    constants: list[Array] | None = None,
    inputs: list[Array] | None = None,
    steps: tuple[int, ...] = (1,),
) -> Task:
    """A task with these roots; tensors that are not given have no root."""
    roots = [bytes(32), bytes(32)]
    for k, tensors in enumerate((constants, inputs)):
        if tensors is not None:
            decls = [TensorDecl(_dtype(x), tuple(x.shape)) for x in tensors]
            roots[k] = trees.tensors_root(decls, tensors)
    root = encoding.program_root(program)
    return Task(bytes(20), root, roots[0], roots[1], bytes(32), pack_steps(steps))


def _dtype(tensor: Array) -> DType:
    return next(d for d in DType if d.numpy == tensor.dtype)


def legal_cases(example: Example) -> Iterator[Judged]:
    """Every case of a legal program and its job."""
    task = task_of(example.program, example.constants, example.inputs)
    builder = CaseBuilder(pieces_of(example.program))
    for kind, case in program_cases(builder):
        yield task, kind, case
    for listing in Listing:
        pieces = (builder.pieces.constants, builder.pieces.inputs)
        if listing > Listing.INPUTS or pieces[listing]:
            yield task, Illegality.LENGTH, builder.length(listing, 0)
    for is_input, tensors in enumerate((example.constants, example.inputs)):
        for k in range(len(tensors)):
            yield task, Illegality.TENSOR, builder.tensor(bool(is_input), k, tensors)
    for k, tensor in enumerate(example.constants):
        yield task, Illegality.ELEMENT, builder.element(k, tensor.size - 1, example.constants)
    yield task, Illegality.STEPS, builder.steps(0)


def broken_programs() -> Iterator[Judged]:
    """The proof that the prover finds for each clause."""
    for _, name, _, change in CASES:
        program = change(EXAMPLES[name].program)
        task = task_of(program)
        found = prove_illegality(program, task)
        assert found is not None
        yield task, *found


def broken_jobs() -> Iterator[Judged]:
    """Legal programs whose job is not: steps, wrappers, elements, lengths."""
    counter, mlp = EXAMPLES["counter"], EXAMPLES["mlp"]
    for steps in ((17,), (1, 1), (0, 0, 0, 0, 0, 0, 0, 1), (16, 0, 1)):
        task = task_of(counter.program, steps=steps)
        found = prove_illegality(counter.program, task)
        assert found is not None
        yield task, *found
    phases = (counter.program.phases * 9)[:9]
    many = replace(counter.program, phases=phases)
    task = task_of(many)
    yield task, Illegality.STEPS, CaseBuilder(pieces_of(many)).steps(0)

    weight = np.asarray(mlp.constants[0])
    beyond, below = weight.copy(), weight.copy()
    beyond[4, 69], below[0, 0] = 8128, -32768
    others: list[list[Array]] = [
        [weight.astype(np.int8), *mlp.constants[1:]],
        [weight.reshape(70, 5), *mlp.constants[1:]],
        [weight, mlp.constants[1].reshape(5, 1), mlp.constants[2]],
        [beyond, *mlp.constants[1:]],
        [below, *mlp.constants[1:]],
    ]
    for constants in others:
        task = task_of(mlp.program, constants, mlp.inputs)
        found = prove_illegality(mlp.program, task, constants, mlp.inputs)
        assert found is not None
        yield task, *found
    inputs: list[Array] = [mlp.inputs[0].astype(np.int32)]
    task = task_of(mlp.program, mlp.constants, inputs)
    found = prove_illegality(mlp.program, task, mlp.constants, inputs)
    assert found is not None
    yield task, *found


def edges() -> Iterator[Judged]:
    """A proof of exactly as many bytes as are allowed, and of one word more; a DOT and a state of
    an input whose bound, which it may not declare, would fit."""
    mlp = operand_from(Source.INPUT)(EXAMPLES["mlp"].program)
    bounded = replace(mlp, inputs=(mlp.inputs[0], replace(mlp.inputs[1], bound=5)))
    yield task_of(bounded), Illegality.INSTANCE, CaseBuilder(pieces_of(bounded)).instance(0, 2, 0)
    counter = started(InitKind.INPUT, 5, 8)(EXAMPLES["counter"].program)
    yield task_of(counter), Illegality.STATE, CaseBuilder(pieces_of(counter)).state(0)
    base = pieces_of(EXAMPLES["phases"].program)
    t = largest(computed_loads, 120)
    room = MAX_BYTES - cost(t).bytes
    for extra in (0, 1):
        filled = (Instr(Op.CONSTI),) * (4 * (room // WORD + extra))
        longer = replace(t, post=t.post + filled)
        assert cost(longer).bytes == MAX_BYTES + extra * WORD
        pieces = replace(base, templates=[encoding.encode_template(longer), base.templates[1]])
        task = Task(bytes(20), pieces.root, bytes(WORD), bytes(WORD), bytes(WORD), 1)
        yield task, Illegality.TEMPLATE, CaseBuilder(pieces).template(0)


def vectors() -> list[Judged]:
    """Every broken program and job, all cases of three legal examples, templates of the others."""
    out = [*broken_programs(), *broken_jobs(), *edges()]
    for name, example in EXAMPLES.items():
        whole = name in ("mlp", "counter", "phases")
        out += [c for c in legal_cases(example) if whole or c[1] is Illegality.TEMPLATE]
    return out


# --- the largest proofs ---------------------------------------------------------------------------


def widest_template(last: int, radix: int) -> Template:
    """A legal template at every limit at once, what takes longest to judge: its output has seven
    axes of ``radix`` and one of ``last``."""
    shape = (*(radix,) * 7, last)
    slots = (Slot(DType.I64, math.prod(shape)),) * 12
    guards = (Guard(0, 9, 10), Guard(0, 9, 11))
    digits = tuple(Digit(n, -(1 << 50), 1, 1) for n in shape)
    folded = tuple(Digit(2, 1 << 50, 1, 1) for _ in range(3))
    still = tuple(Digit(2, 0) for _ in range(3))
    views = tuple(View(k % 12, 0, digits, (folded, still)[k % 2], guards) for k in range(16))
    pre = [Instr(Op.LOAD, k) for k in range(16)]
    post = [Instr(Op.ACC), *(Instr(Op.LOAD, k) for k in range(1, 16, 2))]
    pre += [Instr(Op.SELI, n - 1, n - 2, n - 3) for n in range(16, 128)]
    post += [Instr(Op.SELI, n - 1, n - 2, n - 3) for n in range(9, 127)]
    code = (*post, Instr(Op.CLAMP, 126, imm=8127))
    return Template(
        Kind.REDUCE, DType.I64, shape, slots, views, code, tuple(pre), (2, 2, 2), Fold.ISUM,
        live_r=10, live_out=(11, 7), dead=-8127,
    )  # fmt: skip


class Sparse:
    """A tree of 2^20 leaves of which a few are known."""

    DEPTH: Final = 20

    def __init__(self, rng: Random, leaves: dict[int, bytes]) -> None:
        self.levels = [leaves]
        for _ in range(self.DEPTH):
            below = self.levels[-1]
            for k in list(below):
                below.setdefault(k ^ 1, rng.randbytes(WORD))
            self.levels.append({k // 2: trees.parent(below[k & -2], below[k | 1]) for k in below})
        self.root = self.levels[-1][0]

    def path(self, index: int) -> list[bytes]:
        return [level[index >> k ^ 1] for k, level in enumerate(self.levels[:-1])]


def longest() -> dict[str, Judged]:
    """Proofs of what is legal, in a program at every limit: none takes longer or is longer."""
    rng, n, zero = Random(8), (1 << Sparse.DEPTH) - 1, bytes(WORD)
    made = [encoding.encode_template(widest_template(*w)) for w in ((1, 2), (1, 1))]
    # The last two templates and operations; the state is written along its last axis.
    shape = (*(2,) * 7, (1 << 32) - 1)
    held = StateDecl(TensorDecl(DType.I64, shape, 8127), Init(InitKind.FILL, -8127))
    bodies = {n - 1: Instance(n - 1, (Ref(Source.OP, n - 2),) * 12)}
    bodies[n - 2] = bodies[n - 1]
    bodies[n] = Instance(n, (Ref(Source.OP, n - 2),) * 12)
    written = encoding.encode_next(Next(NextKind.SLICE, n - 1, 7, n))
    instances = {k: encoding.encode_instance(i) for k, i in bodies.items()}
    data = encoding.encode_state(held)

    templates = Sparse(rng, {n - 1 + k: trees.tagged(TAG_TEMPLATE, t) for k, t in enumerate(made)})
    states = Sparse(rng, {n: trees.tagged(TAG_STATE, data)})
    operations = Sparse(rng, {k: trees.tagged(TAG_INSTANCE, i) for k, i in instances.items()})
    nexts = Sparse(rng, {n: trees.tagged(TAG_NEXT, written)})
    count = (1 << Sparse.DEPTH).to_bytes(4, "big")
    head = (((1 << 32) - 1).to_bytes(8, "big") + count).ljust(WORD, b"\0")
    phases = Sparse(rng, {n: trees.keccak256(TAG_PHASE + head + operations.root + nexts.root)})
    header = encoding.encode_header(EXAMPLES["counter"].program)[:16] + count * 6
    tables = [zero, zero, states.root, zero, templates.root, phases.root]
    part = ProgramPart(header.ljust(2 * WORD, b"\0"), tables)
    root = trees.keccak256(TAG_PROGRAM + part.header + b"".join(tables))
    task = Task(bytes(20), root, zero, zero, bytes(32), 1)

    def template(k: int) -> Leaf:
        return Leaf(made[k - n + 1], templates.path(k))

    def operation(k: int) -> Named:
        return Named(Leaf(instances[k], operations.path(k)), template(bodies[k].template))

    phase = PhasePart(head, operations.root, nexts.root, phases.path(n))
    state, item = Leaf(data, states.path(n)), Leaf(written, nexts.path(n))
    one = operation(n - 1)
    cases: dict[str, tuple[Illegality, Case]] = {
        "template": (Illegality.TEMPLATE, TemplateCase(part, n - 1, template(n - 1))),
        "instance": (
            Illegality.INSTANCE,
            InstanceCase(part, n, phase, n - 1, *one, 11, operation(n - 2)),
        ),
        "next": (Illegality.NEXT, NextCase(part, n, phase, n, item, state, one, operation(n))),
    }
    return {name: (task, *case) for name, case in cases.items()}


def call(task: Task, kind: Illegality, case: Case) -> bytes:
    """One vector."""
    roots = (task.program_root, task.constants_root, task.inputs_root)
    verdict = illegal(task, kind, case)
    return abi_encode([CALL], [(*roots, task.steps, int(kind), encoded(case), verdict)])


def legality_vectors() -> dict[str, object]:
    """An array of encoded calls, and the largest."""
    return {
        "calls": ["0x" + call(*judged).hex() for judged in vectors()],
        **{name: "0x" + call(*judged).hex() for name, judged in longest().items()},
    }
