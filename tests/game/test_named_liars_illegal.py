"""Jobs that are illegal, and the two traps that they are: for whoever challenges, and for whoever
provides.  At each clause the victim proves the illegality and is made whole by the client.

Bond trap: client and provider are one, and commit anything; a challenger walks to where nothing can
be proven, because nothing there has a meaning.  Slash trap: client and challenger are one; the
provider, who should not have accepted, is asked for what no trace can show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

import numpy as np
import pytest

from protocol.spec import encoding, trees
from protocol.spec.demands import ILLEGAL_GAS
from protocol.spec.dispute import Wait, children_of
from protocol.spec.illegality import Illegality, pieces_of, prove_illegality, split
from protocol.spec.job import JobStatus, JobTerms, Task, pack_steps
from protocol.spec.legality_proofs import Case as Shown
from protocol.spec.microcode import Op
from protocol.spec.types import Array, DType, Instr, Program, TensorDecl
from tests.contracts.market import LOCATORS, Market, address, terms_tuple
from tests.differential.legality_vectors import encoded
from tests.game.settlement import Bond, Purses, first_bond, voided
from tests.spec.illegal_programs import CASES, EXAMPLES, template

pytestmark = pytest.mark.chain


@dataclass(frozen=True)
class Illegal:
    """A program, as such or as the bytes of its file, and what its job names beside it."""

    program: Program | bytes
    constants: Sequence[Array]
    inputs: Sequence[Array]
    steps: tuple[int, ...]
    kind: Illegality

    def task(self, game: bytes) -> Task:
        """What a client posts."""
        program = self.program
        pieces = split(program) if isinstance(program, bytes) else pieces_of(program)
        return Task(
            referee=game, program_root=pieces.root, constants_root=root_of(self.constants),
            inputs_root=root_of(self.inputs), locators_hash=trees.keccak256(LOCATORS),
            steps=pack_steps(self.steps),
        )  # fmt: skip

    def proof(self, task: Task) -> tuple[Illegality, Shown]:
        """Found by whoever holds program, constants and inputs."""
        found = prove_illegality(self.program, task, self.constants, self.inputs)
        assert found is not None, "nothing is illegal"
        return found


def root_of(tensors: Sequence[Array]) -> bytes:
    """Of tensors as they are, whatever the program says of them."""
    kinds = {d.numpy: d for d in DType}
    decls = [TensorDecl(kinds[x.dtype], x.shape) for x in tensors]
    return trees.tensors_root(decls, tensors)


def job_of(name: str, change: Callable[[Program], Program], kind: Illegality) -> Illegal:
    """An example with a changed program."""
    e = EXAMPLES[name]
    steps = e.steps or tuple(p.max_steps for p in e.program.phases)
    return Illegal(change(e.program), e.constants, e.inputs, steps, kind)


def clauses() -> dict[str, Illegal]:
    """The first case of each clause, and what a legal program alone does not show."""
    kinds = {"T": "TEMPLATE", "I": "INSTANCE", "N": "NEXT", "P": "PROGRAM"}
    out: dict[str, Illegal] = {}
    for clause, name, _, change in CASES:
        kind = kinds.get(clause[0], "STATE" if name == "counter" else "DECLARATION")
        label = f"{clause} {kind.lower()}"
        if label not in out and (clause, kind) != ("D2", "DECLARATION"):
            out[label] = job_of(name, change, Illegality[kind])
    mlp, counter = EXAMPLES["mlp"], EXAMPLES["counter"]
    legal = job_of("mlp", lambda p: p, Illegality.ELEMENT)
    corner = [mlp.constants[0].copy(), *mlp.constants[1:]]
    corner[0][3, 7] = -32768
    out["a constant of -32768 beyond its declared bound"] = replace(legal, constants=corner)
    other = [mlp.inputs[0].reshape(-1)]
    out["an input of another shape"] = replace(legal, inputs=other, kind=Illegality.TENSOR)
    wide = [mlp.constants[0].astype(np.int32), *mlp.constants[1:]]
    out["a constant of another dtype"] = replace(legal, constants=wide, kind=Illegality.TENSOR)
    out["more steps than a phase allows"] = replace(
        job_of("counter", lambda p: p, Illegality.STEPS),
        steps=(counter.program.phases[0].max_steps + 1,),
    )
    out["bytes that do not decode"] = replace(
        legal, program=undecodable(mlp.program), kind=Illegality.TEMPLATE
    )
    long = template(1, lambda t: replace(t, post=(Instr(Op.CONSTI, imm=1),) * 20_000))
    out["a descriptor too long to bring"] = job_of("mlp", long, Illegality.LENGTH)
    return out


def undecodable(program: Program) -> bytes:
    """Its file, with an operation of a kind that there is not."""
    data = encoding.encode(program)
    at = data.index(pieces_of(program).templates[1])
    return data[:at] + b"\x63" + data[at + 1 :]


CLAUSES: Final = clauses()


class Trap:
    """A job that somebody has committed to; what it means nobody needs to know."""

    def __init__(self, world: Market, illegal: Illegal, nonce: int) -> None:
        self.world, self.rng = world, Random(nonce)
        self.purses = Purses(world, world.brownie.accounts[1:6])
        task = illegal.task(address(world.game))
        self.terms = JobTerms(task, world.terms(nonce=nonce).deal)
        world.post(self.terms)
        world.accept(self.terms)
        root = self.rng.randbytes(32)
        world.commit(self.terms, root=root)
        self.claim = world.claim(self.terms, world.provider, root=root)
        self.leaves = 1 + sum(illegal.steps)
        self.shown = illegal.proof(task)

    def challenge(self, who: Any) -> None:
        terms = terms_tuple(self.terms)
        _, wei = self.world.game.bondOf(self.claim, terms[1])
        self.world.game.challenge(terms, self.claim, {"from": who, "value": wei})

    def open(self) -> list[bytes]:
        """With nodes that mean nothing."""
        depth = trees.depth_of(self.leaves)
        nodes = [self.rng.randbytes(32) for _ in range(children_of(0, depth, self.leaves))]
        self.world.game.open(self.claim, 1, nodes, {"from": self.world.provider})
        return nodes

    def point(self, nodes: list[bytes], who: Any) -> None:
        """At leaf 1."""
        levels = trees.levels_of(nodes)
        path = trees.siblings_of(levels, 1)
        at = (len(levels) - 1, 1, nodes[1], path)
        self.world.game.point(self.claim, 1, *at, {"from": who})

    def wait(self) -> Wait:
        return Wait(self.world.game.challengeOf(self.claim, 1)[2])

    def escape(self, who: Any) -> int:
        """The victim shows what is illegal; the gas of it."""
        kind, case = self.shown
        terms = terms_tuple(self.terms)
        receipt = self.world.court.proveIllegal(terms, int(kind), encoded(case), {"from": who})
        assert receipt.events["ProvenIllegal"]["kind"] == kind
        assert self.world.status(self.terms) is JobStatus.VOIDED
        game, accomplice = self.world.game, {"from": self.world.rival}
        with self.world.reverts("HasFallen"):
            game.timeoutProvider(self.claim, 1, terms, accomplice)
        with self.world.reverts("HasFallen"):
            game.timeoutChallengers(self.claim, [1], accomplice)
        self.world.game.collect(self.claim, 1, {"from": self.world.stranger})
        return int(receipt.gas_used)


@pytest.mark.parametrize("clause", CLAUSES)
def test_illegal_job__from_both_traps__the_victim_gets_out_and_is_made_whole(
    world: Market, clause: str
) -> None:
    illegal = CLAUSES[clause]
    provider, keeper, rival = (address(a) for a in (world.provider, world.keeper, world.rival))

    # The challenger's: it is its turn, at a leaf that leads nowhere, and its clock runs.
    trap = Trap(world, illegal, 1)
    assert trap.shown[0] is illegal.kind
    trap.challenge(world.keeper)
    nodes = trap.open()
    trap.point(nodes, world.keeper)
    junk = [trap.rng.randbytes(32)]
    world.game.openStep(trap.claim, 1, 1, junk, {"from": world.provider})
    assert trap.wait() is Wait.CHALLENGER
    gas = trap.escape(world.keeper)
    assert gas <= ILLEGAL_GAS
    deal, token = trap.terms.deal, first_bond(trap.terms.deal)
    trap.purses.check(voided(deal, provider, keeper, [Bond(keeper, token, 2, deal.gas_price)]))

    # The provider's: it is asked for the operations of a step that nobody can compute.
    trap = Trap(world, illegal, 2)
    trap.challenge(world.rival)
    nodes = trap.open()
    trap.point(nodes, world.rival)
    assert trap.wait() is Wait.STEP
    gas = trap.escape(world.provider)
    assert gas <= ILLEGAL_GAS
    deal = trap.terms.deal
    bonds = [Bond(rival, token, 1, deal.gas_price)]
    trap.purses.check(voided(deal, provider, provider, bonds))
