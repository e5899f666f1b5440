"""kill -9 of the provider in every phase of a job loses neither work nor money."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from client.jobs import Client
from client.terms import Wishes
from protocol.chain.chain import Chain
from protocol.chain.config import ChainConfig
from protocol.chain.wallet import KeyKind, KeySource, Wallet
from protocol.spec.assembler import Code
from protocol.spec.builder import Builder, affine
from protocol.spec.job import JobStatus
from protocol.spec.types import Array, DType, Kind, Program, Ref, Slot, Template
from protocol.storage.config import StorageConfig
from protocol.storage.store import Store
from scripts.devnet import CLIENT, FIRST_PROVIDER, TOKENS, Devnet, Process

pytestmark = pytest.mark.chain

PHASES = ("fetching", "accepted", "running", "computed", "published", "committed")
PRICE = 5 * TOKENS
SIZE = 1 << 20
LAYERS = 20


def long_program() -> tuple[Program, list[Array]]:
    """Many elementwise operations: long enough to be killed in the middle."""
    b = Builder()
    x = b.constant(np.linspace(-1, 1, SIZE, dtype=np.float32))
    state: Ref = x
    for k in range(LAYERS):
        c = Code()
        loaded = y = c.load_f(0)
        for n in range(20):
            y = y * loaded + (0.5 + (k * 20 + n) / 1000)
        view = affine(0, (SIZE,), (1,))
        slots = (Slot(DType.F32, SIZE),)
        t = Template(Kind.MAP, DType.F32, (SIZE,), slots, (view,), c.finish(y))
        state = b.op(t, [state])
    c = Code()
    view = affine(0, (64,), (SIZE // 64,))
    small = Template(Kind.MAP, DType.F32, (64,), (Slot(DType.F32, SIZE),), (view,),
                     c.finish(c.load_f(0)))  # fmt: skip
    b.output(b.op(small, [state]))
    return b.build()


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    with Devnet(tmp_path_factory.mktemp("devnet"), providers=1) as made:
        made.start_keeper()
        yield made


@pytest.fixture
def client(market: Devnet, tmp_path: Path) -> Iterator[Client]:
    assert market.client.ipfs is not None
    config = ChainConfig(
        rpc_url=market.url, deployment=market.deployment, poll_seconds=0.1,
        key=KeySource(KeyKind.DEV, str(CLIENT), None),
    )  # fmt: skip
    storage = StorageConfig(api=market.client.ipfs.api, cache_dir=tmp_path / "cache")
    with Chain.connect(config) as chain, Store(storage) as store:
        yield Client(chain, store)


def running(market: Devnet) -> Process:
    """The provider: the one that was started again in the phase before, if there was one."""
    process = market.processes.get(market.providers[0].name)
    return process if process and process.running else market.start_provider(0)


@pytest.mark.parametrize("phase", PHASES)
def test_provider__killed_in_a_phase__finishes_after_a_restart(
    market: Devnet, client: Client, phase: str
) -> None:
    provider = Wallet.dev(FIRST_PROVIDER).address
    chain = client.chain

    def wealth() -> int:
        at = chain.snapshot()
        has = chain.balances(provider, at)
        return has.token + chain.provider(provider, at).stake + has.market_credit.token

    before = wealth()
    process = running(market)
    program, constants = long_program()
    wishes = Wishes(PRICE, window_seconds=3, run_seconds=60, work_ms=30_000)
    job = client.submit(program, constants, [], wishes).job
    mark = "0x" + job.hex()[:8]
    process.wait_for(lambda line: mark in line and line.endswith(phase) or
                     (mark in line and f" {phase}" in line), f"phase {phase}", 90)  # fmt: skip
    process.kill()
    process = market.start_provider(0)
    for view in client.follow(job):
        assert view.status in (
            JobStatus.OPEN, JobStatus.ACCEPTED, JobStatus.COMMITTED, JobStatus.FINALIZED
        )  # fmt: skip
    record, at = client.record(job)
    assert record.status is JobStatus.FINALIZED
    assert [a.fault for a in record.attempts] == [None], "no attempt was lost"
    entry = chain.provider(provider, at)
    assert entry.late == entry.lost == 0
    assert wealth() == before + PRICE
    client.verify(job)
