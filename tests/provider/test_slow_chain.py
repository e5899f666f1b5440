"""What a provider takes on a chain whose blocks take twelve seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.terms import Wishes
from protocol.chain.chain import BLOCKS_TIMED
from protocol.spec.job import JobStatus
from tests.provider.conftest import TOKEN, Market
from tests.provider.siege import EXAMPLES, committed, provider, rested, slow_blocks

pytestmark = pytest.mark.chain


def test_cycle__clocks_that_four_blocks_outlast__are_refused_and_longer_ones_met(
    staffed: Market, tmp_path: Path
) -> None:
    e = EXAMPLES["mlp"]
    with provider(staffed, tmp_path) as (agent, said), slow_blocks(agent.chain):
        for _ in range(BLOCKS_TIMED + 1):
            agent.chain.rpc.call("evm_mine")
        with staffed.client() as client:
            hasty, hurried = (
                client.submit(e.program, e.constants, e.inputs, wishes).job
                for wishes in (
                    Wishes(price=5 * TOKEN, move_seconds=47),
                    Wishes(price=5 * TOKEN, run_seconds=47),
                )
            )
        record = committed(staffed, agent, move_seconds=48, run_seconds=50)
        rested(agent)
        book = agent.history.sync(agent.chain.snapshot())
    assert [book.jobs[job].status for job in (hasty, hurried)] == [JobStatus.OPEN] * 2
    assert "leaves 47 s for an answer, 4 blocks of this chain take 48 s" in "\n".join(said)
    assert "and 48 s for its commit, the job allows 47 s" in "\n".join(said)
    (attempt,) = book.jobs[record.job].attempts
    assert attempt.committed is not None
    assert attempt.committed.time <= attempt.run_until
