"""Jobs that are illegal, and the two traps that they are: for whoever challenges, and for whoever
provides.  At each clause the victim proves the illegality and is made whole by the client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest

from protocol.spec import encoding
from protocol.spec.demands import ILLEGAL_GAS
from protocol.spec.dispute import Wait
from protocol.spec.illegality import Illegality, pieces_of
from protocol.spec.job import JobStatus
from protocol.spec.microcode import Op
from protocol.spec.types import Instr, Program
from tests.actors.trap import Illegal, Trap
from tests.contracts.market import Market, address, terms_tuple
from tests.differential.legality_vectors import encoded
from tests.game.settlement import Bond, Purses, first_bond, voided
from tests.spec.illegal_programs import CASES, EXAMPLES, template

pytestmark = pytest.mark.chain


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


def escape(trap: Trap, who: Any) -> int:
    """The victim shows what is illegal; the gas of it."""
    world, (kind, case) = trap.world, trap.shown
    terms = terms_tuple(trap.terms)
    receipt = world.court.proveIllegal(terms, int(kind), encoded(case), {"from": who})
    assert receipt.events["ProvenIllegal"]["kind"] == kind
    assert world.status(trap.terms) is JobStatus.VOIDED
    accomplice = {"from": world.rival}
    with world.reverts("HasFallen"):
        world.game.timeoutProvider(trap.claim, 1, terms, accomplice)
    with world.reverts("HasFallen"):
        world.game.timeoutChallengers(trap.claim, [1], accomplice)
    world.game.collect(trap.claim, 1, {"from": world.stranger})
    return int(receipt.gas_used)


@pytest.mark.parametrize("clause", CLAUSES)
def test_illegal_job__from_both_traps__the_victim_gets_out_and_is_made_whole(
    world: Market, clause: str
) -> None:
    illegal = CLAUSES[clause]
    provider, keeper, rival = (address(a) for a in (world.provider, world.keeper, world.rival))

    # The challenger's: it is its turn, at a leaf that leads nowhere, and its clock runs.
    purses = Purses(world, world.brownie.accounts[1:6])
    trap = Trap(world, illegal, 1)
    assert trap.shown[0] is illegal.kind
    trap.challenge(world.keeper)
    nodes = trap.open()
    trap.point(nodes, world.keeper)
    trap.open_step()
    assert trap.wait() is Wait.CHALLENGER
    gas = escape(trap, world.keeper)
    assert gas <= ILLEGAL_GAS
    deal, token = trap.terms.deal, first_bond(trap.terms.deal)
    purses.check(voided(deal, provider, keeper, [Bond(keeper, token, 2, deal.gas_price)]))

    # The provider's: it is asked for the operations of a step that nobody can compute.
    purses = Purses(world, world.brownie.accounts[1:6])
    trap = Trap(world, illegal, 2)
    trap.challenge(world.rival)
    nodes = trap.open()
    trap.point(nodes, world.rival)
    assert trap.wait() is Wait.STEP
    gas = escape(trap, world.provider)
    assert gas <= ILLEGAL_GAS
    deal = trap.terms.deal
    bonds = [Bond(rival, token, 1, deal.gas_price)]
    purses.check(voided(deal, provider, provider, bonds))
