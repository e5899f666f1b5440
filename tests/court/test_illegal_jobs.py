"""Illegal jobs on a chain with the real referee of legality: one of each kind, void in one call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from protocol.spec import trees
from protocol.spec.demands import ILLEGAL_GAS
from protocol.spec.illegality import (
    CaseBuilder,
    Illegality,
    pieces_of,
    program_cases,
    prove_illegality,
)
from protocol.spec.job import JobStatus, JobTerms, Task
from protocol.spec.legality_proofs import Case
from tests.contracts.market import LOCATORS, Market, address, terms_tuple
from tests.court.onchain import payouts_of
from tests.differential.legality_vectors import broken_jobs, encoded, task_of
from tests.game.onchain import deploy_game_world
from tests.spec.illegal_programs import CASES, EXAMPLES

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module")
def deployed(connection: Any) -> Market:
    """The contracts as they are deployed."""
    return deploy_game_world(connection)


def one_of_each() -> Iterator[tuple[Task, Illegality, Case]]:
    """An illegal job of every kind that a program or its tensors can be."""
    seen = set()
    for _, name, _, change in CASES:
        program = change(EXAMPLES[name].program)
        task = task_of(program)
        found = prove_illegality(program, task)
        assert found is not None
        if found[0] not in seen:
            seen.add(found[0])
            yield (task, *found)
    for task, kind, case in broken_jobs():
        if kind not in seen:
            seen.add(kind)
            yield task, kind, case


JOBS = {kind: (task, case) for task, kind, case in one_of_each()}


def terms_of(world: Market, task: Task) -> JobTerms:
    """The job with this task."""
    task = replace(
        task, referee=address(world.game), locators_hash=trees.keccak256(LOCATORS), seed=0
    )
    return replace(world.terms(), task=task)


@pytest.mark.parametrize("kind", JOBS, ids=lambda kind: kind.name)
def test_prove_illegal__each_kind__voids_the_job_within_its_gas(
    world: Market, kind: Illegality
) -> None:
    task, case = JOBS[kind]
    terms = terms_of(world, task)
    world.post(terms)
    world.accept(terms)
    world.commit(terms)
    claim = world.claim(terms, world.provider)
    _, native = world.game.bondOf(claim, terms_tuple(terms)[1])
    sender = {"from": world.stranger, "value": native}
    world.game.challenge(terms_tuple(terms), claim, sender)
    proof = encoded(case)
    receipt = world.court.proveIllegal(terms_tuple(terms), int(kind), proof, {"from": world.keeper})
    assert int(receipt.gas_used) <= ILLEGAL_GAS
    assert world.status(terms) is JobStatus.VOIDED
    lines = payouts_of(receipt)
    assert [who for who, _, _ in lines] == [address(world.keeper), address(world.stranger)]
    world.game.collect(claim, 1, {"from": world.keeper})
    assert world.owed(world.stranger, world.game)[1] == native
    assert world.owed(world.provider) == (terms.deal.price_ceiling, 0)


LATE_GAS = 20_000
"""What a proof that comes too late may cost beside its bytes."""


def most_of_a_late_one(data: str) -> int:
    """Gas of the bytes (at least at their floor price), and LATE_GAS."""
    sent = bytes.fromhex(data[2:])
    tokens = sent.count(0) + 4 * (len(sent) - sent.count(0))
    return 21_000 + max(10 * tokens, 4 * tokens + LATE_GAS)


@pytest.mark.parametrize("kind", JOBS, ids=lambda kind: kind.name)
def test_prove_illegal__outrun__does_not_pay_for_the_referee(
    world: Market, kind: Illegality
) -> None:
    task, case = JOBS[kind]
    terms = terms_of(world, task)
    world.post(terms)
    arguments = (terms_tuple(terms), int(kind), encoded(case))
    world.court.proveIllegal(*arguments, {"from": world.keeper})
    with world.reverts("WrongStatus"):
        world.court.proveIllegal(*arguments, {"from": world.stranger})
    late = world.brownie.history[-1]
    assert late.sender == world.stranger
    assert late.gas_used <= most_of_a_late_one(late.input)


def test_prove_illegal__a_legal_job__proves_nothing(world: Market) -> None:
    program = EXAMPLES["mlp"].program
    terms = terms_of(world, task_of(program))
    world.post(terms)
    tried = set()
    for kind, case in program_cases(CaseBuilder(pieces_of(program))):
        if kind in tried:
            continue
        tried.add(kind)
        with world.reverts("ProvesNothing"):
            arguments = (terms_tuple(terms), int(kind), encoded(case))
            world.court.proveIllegal(*arguments, {"from": world.keeper})
    assert len(tried) >= 6
    assert world.status(terms) is JobStatus.OPEN


def test_prove_illegal__of_another_job__is_refused(world: Market) -> None:
    terms = terms_of(world, task_of(EXAMPLES["mlp"].program))
    world.post(terms)
    for kind, (_, case) in JOBS.items():
        if kind in (Illegality.STEPS, Illegality.TENSOR, Illegality.ELEMENT):
            continue
        with world.reverts("WrongCommitment"):
            arguments = (terms_tuple(terms), int(kind), encoded(case))
            world.court.proveIllegal(*arguments, {"from": world.keeper})
