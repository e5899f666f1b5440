"""Calls of the two referees: well-formed proofs of every kind, at every place of small jobs.

``truths`` are about honest claims (what a proof compares is equal, a shape is the program's), and
``lies`` about claims of which one leaf is wrong (the proof shows it).  The twin says the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from random import Random
from typing import Any, Final

from eth_abi import decode, encode

from protocol.spec import trees
from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.examples import all_examples
from protocol.spec.job import Task
from protocol.spec.proofs import AnyProof, Prover
from protocol.spec.referee import Context, Proof, geometry, judge
from protocol.spec.trace import Levels, Tree, phase_of
from protocol.spec.types import NextKind, Template
from tests.actors.case import Case, case_of, raw
from tests.contracts.market import task_tuple
from tests.game.examples import slices, starts
from tests.game.onchain import encoded
from tests.game.world import alphabet, kept, wide

TASK: Final = "(address,bytes32,bytes32,bytes32,bytes32,uint256,uint64,int64,uint32)"
CONTEXT: Final = f"({TASK},bytes32,bytes32,uint256,uint256,uint256,uint256,bytes32)"
JUDGE: Final = trees.keccak256(f"judge({CONTEXT},uint8,bytes)".encode())[:4]
GEOMETRY: Final = trees.keccak256(f"geometry({CONTEXT},uint8,bytes)".encode())[:4]

Verdict = bool | tuple[int, int]


@dataclass(frozen=True)
class Judged:
    """One call of a referee, and what it says: a decision, or a tree's shape."""

    name: str
    what: Proof | Tree
    context: Context
    proof: AnyProof
    verdict: Verdict

    @property
    def contract(self) -> str:
        """Who is asked."""
        return "TensorReferee" if self.what is Proof.ELEMENT else "TraceReferee"

    def calldata(self, proof: bytes | None = None) -> bytes:
        """The call, with the proof's own bytes or with others."""
        c = self.context
        words = (
            task_tuple(c.task), c.steps_root, c.operations_root, c.leaves, c.step, c.item, c.index,
            c.node,
        )  # fmt: skip
        data = encoded(self.proof) if proof is None else proof
        selector = JUDGE if isinstance(self.what, Proof) else GEOMETRY
        return selector + encode([CONTEXT, "uint8", "bytes"], [words, int(self.what), data])

    def result(self, data: bytes) -> Verdict:
        """What a call returned."""
        if isinstance(self.what, Proof):
            return bool(decode(["bool"], data)[0])
        count, last = decode(["uint256", "uint256"], data)
        return count, last

    def again(self) -> Verdict:
        """What the twin says.  Raises ProofError."""
        proof: Any = self.proof
        if isinstance(self.what, Proof):
            return judge(self.context, self.what, proof)
        return geometry(self.context, self.what, proof)


@cache
def cases() -> dict[str, Case]:
    """All examples as jobs."""
    more = (kept(), alphabet(), wide(), starts(), slices())
    return {e.name: case_of(e) for e in (*all_examples(), *more)}


def template_of(x: Judged) -> Template:
    """The template of the operation that an element's proof is about."""
    c = x.context
    steps = [c.task.steps >> (32 * k) & 0xFFFFFFFF for k in range(8)]
    phase = c.program.phases[phase_of(steps, c.step - 1)[0]]
    return c.program.templates[phase.instances[c.item].template]


class _Kept(dict[tuple[Tree, int, int], Levels]):
    """An honest claim: what is asked for again and again is built once."""

    def __init__(self, of: Case) -> None:
        self.of = of

    def __missing__(self, where: tuple[Tree, int, int]) -> Levels:
        self[where] = self.of.truth.levels(*where)
        return self[where]

    @cached_property
    def task(self) -> Task:
        return self.of.task(bytes(20), bytes(32))

    @cached_property
    def prover(self) -> Prover:
        e, truth = self.of.example, self.of.truth

        def data(tree: Tree, step: int, item: int) -> bytes:
            if tree is Tree.STATES:
                return truth.states[step][item]
            return (truth.operations[step - 1] or [])[item]

        return Prover(
            e.program, [raw(x) for x in e.constants], [raw(x) for x in e.inputs], self.of.steps,
            e.seed, lambda *where: self[where], data,
        )  # fmt: skip


_kept: dict[str, _Kept] = {}


def _claim(of: Case) -> _Kept:
    return _kept.setdefault(of.example.name, _Kept(of))


def levels(of: Case, tree: Tree, step: int, item: int) -> Levels:
    """All levels of a tree of the honest claim."""
    return _claim(of)[tree, step, item]


def prover(of: Case) -> Prover:
    """Builds proofs about the honest claim."""
    return _claim(of).prover


def place(of: Case, step: int, item: int, index: int, node: bytes) -> Context:
    """Where a challenge of the honest claim is."""
    steps = levels(of, Tree.STEPS, 0, 0)
    operations = levels(of, Tree.OPERATIONS, step, 0)[-1][0] if step else bytes(32)
    return Context(
        _claim(of).task, of.example.program, steps[-1][0], operations, len(steps[0]), step,
        item, index, node,
    )  # fmt: skip


def _steps(of: Case, rng: Random) -> list[int]:
    """Leaves of the steps tree: all of a short job."""
    leaves = range(len(of.truth.states))
    return list(leaves) if len(leaves) < 11 else [0, 1, *sorted(rng.sample(leaves[2:], 3))]


# --- honest claims --------------------------------------------------------------------------------


def truths(seed: int = 1, elements: int = 1) -> Iterator[Judged]:
    """Every kind of call at every place, elements (that many an operation) chosen at random."""
    rng = Random(seed)
    for of in cases().values():
        yield from truths_of(of, rng, elements)


def truths_of(of: Case, rng: Random, elements: int, *, corners: bool = False) -> Iterator[Judged]:
    """Those of one job; with ``corners`` also of elements at the ends of tensors and blocks."""
    name = of.example.name
    for step in _steps(of, rng):
        yield from _at_step(name, of, step, rng, elements, corners)
    for k, node in enumerate(of.truth.outputs):
        context = place(of, 0, 0, k, node)
        proof = prover(of).output(k)
        yield Judged(f"{name}: output {k}", Proof.OUTPUT, context, proof, False)
    context = place(of, 0, 0, 0, bytes(32))
    shape = (len(of.example.program.outputs), 0)
    table = prover(of).entry(Tree.OUTPUTS, 0, 0)
    yield Judged(f"{name}: outputs", Tree.OUTPUTS, context, table, shape)


def _at_step(
    name: str, of: Case, step: int, rng: Random, elements: int, corners: bool
) -> Iterator[Judged]:
    truth, program, p = of.truth, of.example.program, prover(of)
    at = f"{name} {step}"
    states = place(of, step, 0, step, levels(of, Tree.STEPS, 0, 0)[0][step])
    shape = (len(program.states), 0)
    yield Judged(f"{at}: states", Tree.STATES, states, p.entry(Tree.STATES, step, 0), shape)
    if step:
        yield Judged(f"{at}: halt", Proof.HALT, states, p.halt(step), False)
        done = truth.operations[step - 1]
        entry = p.entry(Tree.OPERATIONS, step, 0)
        number, _ = phase_of(of.steps, step - 1)
        shape = (len(program.phases[number].instances), 0)
        yield Judged(f"{at}: operations", Tree.OPERATIONS, states, entry, shape)
        if done is None:
            return
        for k, data in enumerate(done):
            yield from _blocks(at, of, Tree.OPERATION_BLOCKS, step, k, data)
            size = program.templates[program.phases[number].instances[k].template].dtype.size
            count = len(data) // size
            chosen = rng.sample(range(count), min(elements, count))
            for element in dict.fromkeys([*chosen, *(_corners(count, size) if corners else [])]):
                yield _element(at, of, step, k, element, size)
    for k, data in enumerate(truth.states[step]):
        yield from _blocks(at, of, Tree.STATE_BLOCKS, step, k, data)
        yield from _state(at, of, step, k, rng, corners)


def _corners(count: int, size: int) -> list[int]:
    """Both ends, and both sides of the edge of the first block."""
    edge = BLOCK_BYTES // size
    return [e for e in (0, edge - 1, edge, count - 1) if e < count]


def _blocks(at: str, of: Case, into: Tree, step: int, k: int, data: bytes) -> Iterator[Judged]:
    context = place(of, step, k, k, trees.block_root(data))
    count = -(-len(data) // BLOCK_BYTES)
    shape = (count, len(data) - (count - 1) * BLOCK_BYTES)
    yield Judged(f"{at}.{k}: blocks", into, context, prover(of).entry(into, step, k), shape)


def _element(at: str, of: Case, step: int, k: int, element: int, size: int) -> Judged:
    index = element * size // BLOCK_BYTES
    block = of.truth.block(Tree.OPERATION_BLOCKS, step, k, index)
    context = place(of, step, k, index, trees.keccak256(block))
    proof = prover(of).element(step, k, element, block)
    return Judged(f"{at}.{k}[{element}]: element", Proof.ELEMENT, context, proof, False)


def _state(
    at: str, of: Case, step: int, k: int, rng: Random, corners: bool
) -> Iterator[Judged]:
    p = prover(of)
    context = place(of, step, k, k, trees.block_root(of.truth.states[step][k]))
    if step == 0:
        yield Judged(f"{at}.{k}: initial", Proof.INITIAL, context, p.initial(k), False)
        return
    number, _ = phase_of(of.steps, step - 1)
    item = of.example.program.phases[number].nexts[k]
    if item.kind is not NextKind.SLICE:
        yield Judged(f"{at}.{k}: next", Proof.NEXT, context, p.next(step, k), False)
        return
    tensor = of.example.program.states[k].tensor
    position = (of.truth.operations[step - 1] or [])[item.index]
    inner, width = math.prod(tensor.shape[item.axis + 1 :]), tensor.shape[item.axis]
    written = int.from_bytes(position[:8], "little", signed=True)
    places = range(tensor.count)
    inside = [e for e in places if e // inner % width == written]
    outside = [e for e in places if e // inner % width != written]
    chosen = [rng.choice(part) for part in (inside, outside) if part]
    ends = _corners(tensor.count, tensor.dtype.size) if corners else []
    for element in dict.fromkeys([*chosen, *ends]):
        index = element * tensor.dtype.size // BLOCK_BYTES
        block = of.truth.block(Tree.STATE_BLOCKS, step, k, index)
        context = place(of, step, k, index, trees.keccak256(block))
        proof = p.slice(step, k, element, block)
        yield Judged(f"{at}.{k}[{element}]: slice", Proof.SLICE, context, proof, False)


# --- claims with one wrong leaf -------------------------------------------------------------------


def lies(seed: int = 2) -> Iterator[Judged]:
    """The same proofs where the claimed leaf is another."""
    rng = Random(seed)
    for true in truths(seed):
        if true.verdict is False:
            yield lie(true, rng)


def lie(true: Judged, rng: Random) -> Judged:
    """A proof of what is equal, made of what is not."""
    return replace(_lie(true, rng), name=f"{true.name}, a lie", verdict=True)


def _lie(true: Judged, rng: Random) -> Judged:
    c, p = true.context, true.proof
    if true.what in (Proof.ELEMENT, Proof.SLICE):
        width = _width(true)
        data: bytearray = bytearray(p.data)  # type: ignore[attr-defined]
        at = p.element * width % BLOCK_BYTES  # type: ignore[attr-defined]
        data[at + rng.randrange(width)] ^= 1 << rng.randrange(8)
        wrong = p._replace(data=bytes(data))
        return replace(true, context=replace(c, node=trees.keccak256(bytes(data))), proof=wrong)
    if true.what is Proof.HALT and c.operations_root != trees.HALTED:
        return replace(true, context=replace(c, operations_root=trees.HALTED))
    return replace(true, context=replace(c, node=trees.keccak256(c.node)))


def _width(true: Judged) -> int:
    if true.what is Proof.SLICE:
        return true.context.program.states[true.context.item].tensor.dtype.size
    return template_of(true).dtype.size
