"""A provider beset: demands and false challenges, on a chain whose blocks take their time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from client.terms import Wishes
from protocol.chain.book import JobRecord
from protocol.chain.chain import Chain, quantity
from protocol.chain.demands import DemandRecord
from protocol.chain.rpc import Rpc
from protocol.chain.transactions import Sender, require_wallet
from protocol.spec import examples
from protocol.spec.answers import Part
from protocol.spec.demands import fee_of
from protocol.spec.job import JobStatus
from protocol.spec.workload import Rate
from provider.agent import Agent, AgentConfig
from provider.decide import Habits
from provider.policy import Rules
from tests.provider.conftest import DEMANDER, HONEST, TOKEN, Market

EXAMPLES = {e.name: e for e in examples.all_examples()}
BLOCK_SECONDS = 12
QUIET_SECONDS = 0.15
FLOOD = 40


@contextmanager
def provider(market: Market, directory: Path) -> Iterator[tuple[Agent, list[str]]]:
    config = AgentConfig(directory, Rules(), Habits(settle_after=10**6))
    with market.agent(HONEST, config) as (agent, lines):
        agent.assessor.rate = Rate(1e9, 1e9)
        yield agent, lines


def committed(market: Market, agent: Agent, name: str = "mlp", **wished: Any) -> JobRecord:
    """A new job, run and committed."""
    e = EXAMPLES[name]
    wishes = Wishes(
        **{"price": 5 * TOKEN, "seed": e.seed, "steps": e.steps, "window_seconds": 1000, **wished}
    )
    with market.client() as client:
        job = client.submit(e.program, e.constants, e.inputs, wishes).job
    for _ in range(4):
        agent.cycle()
        record = agent.history.sync(agent.chain.snapshot()).jobs[job]
        if record.status is JobStatus.COMMITTED:
            return record
    pytest.fail("not committed")


def claim_of(record: JobRecord) -> bytes:
    assert record.current is not None
    assert record.current.claim is not None
    return record.current.claim


@contextmanager
def stranger(market: Market) -> Iterator[Sender]:
    with Chain.connect(market.chain_config(DEMANDER)) as chain:
        yield Sender(chain, require_wallet(chain))


def flood(sender: Sender, record: JobRecord, count: int = FLOOD) -> None:
    """So many demands: most for constants that do not exist."""
    court, fee = sender.chain.contracts.court, fee_of(record.terms.deal)
    for item in range(count):
        sender.send(court.demand(record.terms, claim_of(record), Part.CONSTANT, item, 0, fee))


def challenge(sender: Sender, record: JobRecord) -> None:
    chain = sender.chain
    token, native = chain.bond_of(claim_of(record), record.terms.deal, chain.snapshot())
    game = chain.contracts.game
    sender.send(chain.contracts.token.approve(game.address, token))
    sender.send(game.challenge(record.terms, claim_of(record), native))


@contextmanager
def slow_blocks(chain: Chain) -> Iterator[None]:
    """Each block takes the time that it takes on a big network, and all that waits has room in it:
    the next is mined when nothing more comes for a moment."""
    rpc, over = Rpc(chain.rpc.url), threading.Event()

    def waiting() -> int:
        return quantity(rpc.call("txpool_status")["pending"])

    def mine() -> None:
        seen = 0
        while not over.wait(QUIET_SECONDS):
            now = waiting()
            if now and now == seen:
                rpc.call("evm_mine")
                now = waiting()
            seen = now

    miner = threading.Thread(target=mine, daemon=True)
    rpc.call("evm_setAutomine", False)
    rpc.call("anvil_setBlockTimestampInterval", BLOCK_SECONDS)
    miner.start()
    try:
        yield
    finally:
        over.set()
        miner.join()
        rpc.call("anvil_removeBlockTimestampInterval")
        rpc.call("evm_setAutomine", True)
        rpc.close()


def demands(agent: Agent, record: JobRecord) -> tuple[DemandRecord, ...]:
    book = agent.history.sync(agent.chain.snapshot())
    return book.dockets[claim_of(record)].demands


def rested(agent: Agent) -> None:
    """All that is due is done."""
    for _ in range(FLOOD):
        if not agent.cycle():
            return
    pytest.fail("it does not come to rest")


def in_time(found: tuple[DemandRecord, ...]) -> bool:
    return all(d.answer is not None and d.answer.place.time <= d.deadline for d in found)
