"""``illegal`` on a chain against its twin: random legal programs, and one damaged in one field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import numpy as np
import pytest

from protocol.spec import legality
from protocol.spec.illegality import (
    CaseBuilder,
    Illegality,
    pieces_of,
    program_cases,
    prove_illegality,
)
from protocol.spec.job import Task
from protocol.spec.legality_proofs import Case
from protocol.spec.types import Program
from scripts import brownie_project
from scripts.evm import EvmNode
from tests.builders import random_program
from tests.contracts.market import task_tuple
from tests.differential.legality_calls import damages, spec
from tests.differential.legality_vectors import encoded, task_of
from tests.spec.illegal_programs import EXAMPLES

pytestmark = pytest.mark.chain

Judge = Callable[[Task, Illegality, Case], bool | None]


@pytest.fixture(scope="module")
def judge(anvil_node: EvmNode) -> Iterator[Judge]:
    """The contract's verdict; None where it reverts."""
    with brownie_project.connected(anvil_node) as brownie:
        project = brownie_project.load_project()
        referee: Any = project.LegalityReferee.deploy({"from": brownie.accounts[0]})
        request = brownie.web3.provider.make_request

        def call(task: Task, kind: Illegality, case: Case) -> bool | None:
            data = referee.illegal.encode_input(task_tuple(task), int(kind), encoded(case))
            message = {"to": referee.address, "data": data, "gas": hex(10**7)}
            answer = request("eth_call", [message, "latest"])
            if "error" in answer:
                assert len(str(answer["error"].get("data"))) >= 10, f"no name: {answer}"
                return None
            return int(answer["result"], 16) == 1

        yield call


def test_illegal__random_legal_programs__never(judge: Judge) -> None:
    rng = np.random.default_rng(77)
    seen: Counter[Illegality] = Counter()
    for _ in range(12):
        program = random_program(rng).program
        task = task_of(program)
        for kind, case in program_cases(CaseBuilder(pieces_of(program))):
            assert spec(task, kind, case) is False
            assert judge(task, kind, case) is False
            seen[kind] += 1
    assert seen[Illegality.TEMPLATE] >= 30
    assert seen[Illegality.INSTANCE] >= 60


# --- damage ---------------------------------------------------------------------------------------


def compare(judge: Judge, programs: list[Program], rounds: int) -> Counter[tuple[str, bool | None]]:
    """Verdicts by kind, all of them those of the twin."""
    rng = Random(9)
    seen: Counter[tuple[str, bool | None]] = Counter()
    for _ in range(rounds):
        pieces = pieces_of(rng.choice(programs))
        for broken, kind, case in damages(rng, pieces):
            task = Task(bytes(20), broken.root, bytes(32), bytes(32), bytes(32), 1)
            wanted = spec(task, kind, case)
            assert judge(task, kind, case) is wanted, (kind, case)
            seen[kind.name, wanted] += 1
    return seen


def test_illegal__one_field_damaged__gives_the_verdict_of_the_spec(judge: Judge) -> None:
    rng = np.random.default_rng(78)
    programs = [e.program for e in EXAMPLES.values()]
    programs += [random_program(rng).program for _ in range(8)]
    seen = compare(judge, programs, 150)
    for kind in ("TEMPLATE", "INSTANCE", "NEXT", "STATE", "DECLARATION"):
        assert seen[kind, True] >= 20, seen
        assert seen[kind, False] >= 5, seen


@pytest.mark.long
def test_illegal__one_field_damaged_many_times__gives_the_verdict_of_the_spec(
    judge: Judge,
) -> None:
    rng = np.random.default_rng(79)
    programs = [e.program for e in EXAMPLES.values()]
    programs += [random_program(rng).program for _ in range(40)]
    seen = compare(judge, programs, 4000)
    assert sum(seen.values()) >= 30_000


# --- a real model ---------------------------------------------------------------------------------


def test_illegal__every_template_of_minilm__never(judge: Judge) -> None:
    import torch

    import client
    from client.models.minilm import load

    example = (torch.ones(2, 16, dtype=torch.int64),) * 2
    program = client.compile(load(), example).program
    legality.check(program)
    task = task_of(program)
    assert prove_illegality(program, task) is None
    builder = CaseBuilder(pieces_of(program))
    rng = Random(3)
    cases: list[tuple[Illegality, Case]] = []
    cases += [(Illegality.TEMPLATE, builder.template(k)) for k in range(len(program.templates))]
    assert len(cases) >= 30
    for n in rng.sample(range(len(program.phases[0].instances)), 40):
        many = len(program.phases[0].instances[n].operands)
        cases += [(Illegality.INSTANCE, builder.instance(0, n, k)) for k in range(max(many, 1))]
    cases += [(Illegality.NEXT, builder.next(0, k)) for k in range(len(program.states))]
    cases += [
        (Illegality.DECLARATION, builder.declaration(False, k))
        for k in rng.sample(range(len(program.constants)), 20)
    ]
    for kind, case in cases:
        assert spec(task, kind, case) is False
        assert judge(task, kind, case) is False
