"""Demands while an honest provider computes, on a chain whose blocks take twelve seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.chain.book import JobRecord
from protocol.spec.job import JobStatus
from provider.agent import Agent
from provider.engine.claims import Truth
from provider.progress import Glance
from tests.provider.conftest import Market
from tests.provider.siege import (
    BLOCK_SECONDS,
    challenge,
    committed,
    demands,
    flood,
    in_time,
    provider,
    rested,
    slow_blocks,
    stranger,
)

pytestmark = pytest.mark.chain


def timed(agent: Agent) -> Callable[[], float]:
    """The chain's time is everybody's."""
    return lambda: float(agent.chain.snapshot().timestamp)


def work(agent: Agent, seconds: int) -> None:
    """A computation that tells its progress each block."""
    glance = Glance(agent.chain.stop, agent._defend, timed(agent))
    for _ in range(seconds // BLOCK_SECONDS):
        agent.chain.rpc.call("evm_mine")
        glance(0, None)


def test_cycle__56_demands_in_the_middle_of_a_run__are_answered_in_time(
    staffed: Market, tmp_path: Path
) -> None:
    with provider(staffed, tmp_path) as (agent, lines), stranger(staffed) as other:
        record = committed(staffed, agent)
        flood(other, record, 56)
        with slow_blocks(agent.chain):
            work(agent, 20 * 60)
        assert in_time(demands(agent, record)), lines


@pytest.mark.parametrize(("seconds", "count"), [(300, 12), (120, 6)])
def test_cycle__demands_in_the_middle_of_a_trace__are_answered_in_time(
    staffed: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, count: int
) -> None:
    with provider(staffed, tmp_path) as (agent, lines), stranger(staffed) as other:
        record = committed(staffed, agent, work_ms=600_000)
        real = agent.defence._build

        def build(job: JobRecord) -> Truth:
            work(agent, seconds)
            return real(job)

        monkeypatch.setattr(agent.defence, "_build", build)
        monkeypatch.setattr(agent.defence, "_clock", timed(agent))
        challenge(other, record)
        flood(other, record, count)
        with slow_blocks(agent.chain):
            rested(agent)
        assert in_time(demands(agent, record)), lines
        at = agent.chain.snapshot()
        assert agent.history.sync(at).jobs[record.job].status is JobStatus.COMMITTED
