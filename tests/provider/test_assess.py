"""What a provider remembers of the jobs that it took, and what it takes beside them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.chain.book import JobRecord
from protocol.spec import examples
from protocol.spec.job import JobStatus, JobTerms
from protocol.spec.microcode import Op
from protocol.spec.types import Program
from protocol.spec.workload import Rate, data_of
from protocol.storage.errors import ContentMissing
from provider.assess import Assessor, Unsuitable, declared, duty_of
from provider.policy import Duty, Rules
from tests.provider.test_decide import held, job
from tests.provider.test_policy import DEAL, ME, TASK, chain

SLOW = Rate(1e9, 2e8)
TERMS = JobTerms(TASK, replace(DEAL, work_ms=100_000, run_seconds=300))
MLP = examples.mlp().program
LONG = chain(Op.FSQRT, 200)
"""One operation of 42 s."""


def mine(name: int) -> JobRecord:
    return held(name, ME.address, JobStatus.COMMITTED, 5000, terms=TERMS)


def assessor(program: Program | None) -> Assessor:
    """With this program of every job that it took before."""

    def fetch(_: JobRecord) -> tuple[Program, tuple[int, ...]]:
        if program is None:
            raise ContentMissing("nobody has it")
        return program, (1,)

    made = Assessor(Rules(), 1, fetch)
    made.rate = SLOW
    return made


def test_assess__one_operation_longer_than_a_demand_waits__is_unsuitable() -> None:
    with pytest.raises(Unsuitable, match="demands for data of this and of 0 unsettled"):
        assessor(MLP).assess(job(1, terms=TERMS), LONG, (1,), [])
    assert assessor(MLP).assess(job(1, terms=TERMS), MLP, (1,), []) < 1


def test_assess__long_operation_of_an_unsettled_job__may_be_under_way() -> None:
    with pytest.raises(Unsuitable, match="of 1 unsettled results could take"):
        assessor(LONG).assess(job(1, terms=TERMS), MLP, (1,), [mine(2)])
    assert assessor(MLP).assess(job(1, terms=TERMS), MLP, (1,), [mine(2)]) < 1


def test_assess__slow_blocks__leave_less_time_for_all() -> None:
    quick = assessor(MLP)
    quick.rate = Rate(1e9, 3 * SLOW.instructions)
    assert quick.assess(job(1, terms=TERMS), LONG, (1,), []) > 10
    with pytest.raises(Unsuitable, match="their clocks leave 27 s"):
        quick.assess(job(1, terms=TERMS), LONG, (1,), [], 12)


def test_assess__program_of_an_unsettled_job_is_away__its_terms_stand_for_it() -> None:
    away = assessor(None)
    with pytest.raises(Unsuitable, match="of 1 unsettled results"):
        away.assess(job(1, terms=TERMS), MLP, (1,), [mine(2)])
    small = replace(mine(2), terms=replace(TERMS, deal=replace(DEAL, work_ms=1000)))
    assert away.assess(job(1, terms=TERMS), MLP, (1,), [small]) < 1
    assert declared(DEAL) == Duty(2.0, 10 + 24 * 60, 70, piece=2.0, data=2.0, move=60)


def test_duty_of__program__is_measured_at_this_machines_rate() -> None:
    duty = duty_of(TERMS.deal, SLOW, LONG, (1,))
    assert 40 < duty.piece <= duty.seconds < 50
    assert duty.data == SLOW.trace_seconds(data_of(LONG))
    assert duty.move == 60
