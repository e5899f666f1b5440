"""The agent on a real chain and real storage, from an open job to collected money."""

from __future__ import annotations

import errno
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.jobs import Client, Submitted
from client.terms import Wishes
from protocol.chain.abi import interface
from protocol.chain.book import JobRecord
from protocol.chain.contracts import Call
from protocol.chain.errors import NodeRefused, TransactionFailed, WalletError
from protocol.spec import examples, interpreter
from protocol.spec.examples import Example
from protocol.spec.job import JobStatus, task_hash
from protocol.spec.types import Array
from protocol.spec.workload import Rate
from protocol.storage.cache import Cache
from protocol.storage.errors import IpfsRefused
from protocol.storage.jobs import JobData
from protocol.storage.store import Store
from provider import results
from provider.agent import Agent, AgentConfig
from provider.decide import Habits, Refusal, Settle
from provider.policy import Rules
from tests.provider.conftest import TOKEN, Market

pytestmark = pytest.mark.chain

EXAMPLES = {e.name: e for e in examples.all_examples()}
FAST = Rate(1e9, 1e9)


def post(client: Client, e: Example, **wishes: object) -> Submitted:
    made = Wishes(price=5 * TOKEN, seed=e.seed, steps=e.steps, window_seconds=10)
    return client.submit(
        e.program, e.constants, e.inputs, replace(made, **wishes)  # type: ignore[arg-type]
    )


def config(directory: Path, **rules: object) -> AgentConfig:
    habits = Habits(settle_after=0, collect_token=1, recheck_seconds=1000)
    return AgentConfig(directory, Rules(**rules), habits)  # type: ignore[arg-type]


def cycles(agent: Agent, most: int = 6) -> None:
    """Cycle until there is nothing to do."""
    agent.assessor.rate = FAST
    for _ in range(most):
        if not agent.cycle():
            return
    pytest.fail(f"still busy after {most} cycles")


def record(agent: Agent, job: bytes) -> JobRecord:
    return agent.history.sync(agent.chain.snapshot()).jobs[job]


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_cycle__open_job__is_run_committed_settled_and_collected(
    market: Market, tmp_path: Path, name: str
) -> None:
    e = EXAMPLES[name]
    account = 3
    with market.client() as client, market.agent(account, config(tmp_path)) as (agent, said):
        if not agent.chain.provider(agent.me, agent.chain.snapshot()).registered:
            market.register(account, 500)
        job = post(client, e).job
        cycles(agent)
        assert record(agent, job).status is JobStatus.COMMITTED
        wanted = interpreter.run(
            e.program, e.constants, e.inputs, seed=e.seed, steps=e.steps
        )
        got = client.fetch(job).outputs
        assert [g.tobytes() for g in got] == [w.tobytes() for w in wanted]
        assert client.verify(job).elements == sum(w.size for w in wanted)
        market.later(11)
        before = agent.chain.balances(agent.me, agent.chain.snapshot()).token
        cycles(agent)
        assert record(agent, job).status is JobStatus.FINALIZED
        after = agent.chain.balances(agent.me, agent.chain.snapshot())
        assert after.token == before + 5 * TOKEN
        assert after.market_credit.token == 0
        text = "\n".join(said)
        for word in ("fetching", "accepted", "running", "computed", "published", "committed"):
            assert word in text


def test_finish__result_on_disk__is_not_computed_again(market: Market, tmp_path: Path) -> None:
    """As after a kill between the last operation and the commit."""
    market.register(4, 500)
    with market.client() as client:
        job = post(client, EXAMPLES["mlp"]).job
        with market.agent(4, config(tmp_path)) as (agent, _):
            agent.assessor.rate = FAST
            agent.cycle()
            taken = record(agent, job)
            assert taken.status is JobStatus.ACCEPTED
            data = agent._fetcher.data(taken)
            agent._outputs(taken, data)
        with market.agent(4, config(tmp_path)) as (agent, said):
            cycles(agent)
            assert record(agent, job).status is JobStatus.COMMITTED
            assert any("was computed before" in line for line in said)
            assert not any(line.endswith("running") for line in said)
        client.verify(job)


def test_finish__commit_was_sent_before_the_kill__counts_as_done(
    market: Market, tmp_path: Path
) -> None:
    market.register(5, 500)
    with market.client() as client, market.agent(5, config(tmp_path)) as (agent, said):
        job = post(client, EXAMPLES["gather"]).job
        agent.assessor.rate = FAST
        agent.cycle()
        taken, at = record(agent, job), agent.chain.snapshot()
        agent._finish(taken, at)
        agent._finish(taken, at)
        assert said[-1].endswith("committed")
        assert record(agent, job).status is JobStatus.COMMITTED


def test_take__job_that_does_not_suit__is_refused_with_the_reason(
    market: Market, tmp_path: Path
) -> None:
    market.register(6, 500)
    with market.client() as client:
        job = post(client, EXAMPLES["mlp"], open_seconds=30).job
        for rules, reason in (
            ({"min_price": 6 * TOKEN}, "below the minimum"),
            ({"max_memory": 2_000}, "bytes, 2000 are available"),
            ({"max_work_seconds": 0.001}, "of work, at most 0.001 s"),
        ):
            with market.agent(6, config(tmp_path, **rules)) as (agent, said):
                agent.assessor.rate = FAST
                agent.cycle()
                agent.cycle()
                assert [line for line in said if reason in line], said
                assert record(agent, job).status is JobStatus.OPEN
        market.later(31)
        terms = client.record(job)[0].terms
        refund = client.chain.contracts.market.refund(task_hash(terms.task), terms.deal)
        client.sender.send(refund)


def test_take__weights_that_are_not_those_committed__are_refused(
    market: Market, tmp_path: Path
) -> None:
    """The client posts other roots than those of the data that its locators name."""
    e = EXAMPLES["mlp"]
    market.register(7, 500)
    with market.client() as client, market.agent(7, config(tmp_path)) as (agent, said):
        honest = post(client, e, open_seconds=40)
        task = replace(honest.terms.task, constants_root=b"\5" * 32)
        deal = replace(honest.terms.deal, nonce=honest.terms.deal.nonce + 1)
        terms = replace(honest.terms, task=task, deal=deal)
        contracts = client.chain.contracts
        client.sender.send(contracts.token.approve(contracts.market.address, deal.price_ceiling))
        locators = honest.locators.encode()
        client.sender.send(contracts.market.post(terms, locators, honest.quote.bounty))
        cycles(agent, 8)
        assert record(agent, honest.job).status is JobStatus.COMMITTED
        assert [line for line in said if "not taken" in line and "root" in line], said
        market.later(41)
        client.sender.send(contracts.market.refund(task_hash(task), deal))


def test_cycle__refused_job_that_a_reorg_took_away__is_forgotten(
    market: Market, tmp_path: Path
) -> None:
    with market.agent(9, config(tmp_path)) as (agent, _):
        agent.refused[b"\7" * 32] = Refusal("no", until=1 << 62)
        agent.cycle()
        assert agent.refused == {}


def test_take__work_that_does_not_fit__is_refused_before_its_weights_are_fetched(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.register(9, 500)
    fetched: list[str] = []
    obtain = Cache.obtain

    def noting(cache: Cache, kind: str, *args: Any) -> Path:
        fetched.append(kind)
        return obtain(cache, kind, *args)

    monkeypatch.setattr(Cache, "obtain", noting)
    with market.client() as client:
        job = post(client, EXAMPLES["mlp"], open_seconds=30).job
        with market.agent(9, config(tmp_path, max_memory=2_000)) as (agent, said):
            agent.assessor.rate = FAST
            agent.cycle()
            assert [line for line in said if "2000 are available" in line], said
            assert fetched == ["program"]
            first = agent.refused[job].until
            taken = record(agent, job)
            agent._take(taken, agent.chain.snapshot())
            assert agent.refused[job].until > first + 900
        market.later(31)
        terms = client.record(job)[0].terms
        refund = client.chain.contracts.market.refund(task_hash(terms.task), terms.deal)
        client.sender.send(refund)


def test_finish__machine_out_of_memory__gives_the_job_up_and_takes_others(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.register(2, 500)
    with market.client() as client, market.agent(2, config(tmp_path)) as (agent, said):
        agent.assessor.rate = FAST
        broken = post(client, EXAMPLES["mlp"], attempts=1, run_seconds=30).job
        agent.cycle()
        assert record(agent, broken).status is JobStatus.ACCEPTED

        def full(job: JobRecord, data: JobData) -> list[Array]:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

        with monkeypatch.context() as patch:
            patch.setattr(agent, "_outputs", full)
            agent.cycle()
        assert [line for line in said if "given up" in line and "allocate" in line], said
        job = post(client, EXAMPLES["counter"]).job
        cycles(agent)
        assert record(agent, job).status is JobStatus.COMMITTED
        assert record(agent, broken).status is JobStatus.ACCEPTED
        market.later(31)
        terms = client.record(broken)[0].terms
        late = client.chain.contracts.market.slash_late(task_hash(terms.task), terms.deal)
        client.sender.send(late)


def test_cycle__time_of_an_accepted_job_is_over__is_said_once(
    market: Market, tmp_path: Path
) -> None:
    with market.client() as client, market.agent(2, config(tmp_path)) as (agent, said):
        if not agent.chain.provider(agent.me, agent.chain.snapshot()).registered:
            market.register(2, 500)
        cycles(agent)
        job = post(client, EXAMPLES["counter"], attempts=1, run_seconds=30).job
        agent.cycle()
        late = record(agent, job)
        assert late.status is JobStatus.ACCEPTED
        market.later(31)
        cycles(agent)
        cycles(agent)
        assert [line for line in said if "cannot be committed any more" in line] == said[-1:]
        terms = late.terms
        client.sender.send(
            client.chain.contracts.market.slash_late(task_hash(terms.task), terms.deal)
        )


@pytest.mark.parametrize("where", ["cache", "results", "ipfs"])
def test_cycle__disk_is_full__is_said_and_the_job_done_once_there_is_room(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """While data comes, after the last operation, and while outputs are published."""

    def full(*_: object) -> None:
        if where == "ipfs":
            raise IpfsRefused("IPFS RPC: add: no space left on device")
        raise OSError(errno.ENOSPC, "No space left on device")

    with market.client() as client, market.agent(2, config(tmp_path)) as (agent, said):
        if not agent.chain.provider(agent.me, agent.chain.snapshot()).registered:
            market.register(2, 500)
        cycles(agent)
        e = EXAMPLES["mlp"]
        job = post(client, replace(e, inputs=[np.flip(x) for x in e.inputs])).job
        owner, name = {
            "cache": (Cache, "_record"),
            "results": (results, "_write"),
            "ipfs": (Store, "put_bytes"),
        }[where]
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, full)
            for _ in range(3):
                agent.cycle()
        assert any("o space left on device" in line for line in said), said
        agent.refused.clear()
        cycles(agent)
        assert record(agent, job).status is JobStatus.COMMITTED
        client.verify(job)


def test_take__acceptance_that_fails_on_chain__is_refused_for_a_while(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the job changed hands twice in one block."""

    def fails(call: Call, **_: object) -> None:
        raise TransactionFailed(f"{call.what} was mined and failed: it would succeed now")

    with market.client() as client, market.agent(2, config(tmp_path)) as (agent, said):
        if not agent.chain.provider(agent.me, agent.chain.snapshot()).registered:
            market.register(2, 500)
        cycles(agent)
        job = post(client, EXAMPLES["counter"]).job
        monkeypatch.setattr(agent, "_send", fails)
        agent.cycle()
        assert "was mined and failed" in said[-1]
        assert job in agent.refused
        client.cancel(job)


def test_settle__a_keeper_was_faster__is_no_error(market: Market, tmp_path: Path) -> None:
    """The job is final by the time that the agent's own call runs."""
    with market.client() as client, market.agent(2, config(tmp_path)) as (agent, said):
        job = post(client, EXAMPLES["counter"]).job
        cycles(agent)
        committed = record(agent, job)
        assert committed.status is JobStatus.COMMITTED
        agent.act(Settle(committed), agent.chain.snapshot())
        assert "not settled" in said[-1]
        market.later(11)
        for _ in range(2):
            agent.act(Settle(committed), agent.chain.snapshot())
        assert record(agent, job).status is JobStatus.FINALIZED


def test_prepare__not_registered__says_what_to_do(market: Market, tmp_path: Path) -> None:
    with market.agent(8, config(tmp_path)) as (agent, _):
        with pytest.raises(WalletError, match="assay provider register"):
            agent.prepare()


def test_prepare__registered__measures_this_machine(market: Market, tmp_path: Path) -> None:
    with market.agent(3, config(tmp_path)) as (agent, said):
        agent.prepare()
        assert agent.assessor.rate.products > 1e7
        assert agent.assessor.rate.instructions > 1e6
        assert any("IPFS peer" in line for line in said)
    assert np.isfinite(agent.assessor.rate.products)


def test_run__node_refuses_and_leaves_logs_out__goes_on_at_the_next_look(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.register(9, 500)
    posted = next(e for e in interface("JobMarket").events.values() if e.name == "Posted")
    with market.client() as client, market.agent(9, config(tmp_path)) as (first, _):
        post(client, EXAMPLES["counter"])
        cycles(first)
        market.later(11)
    with market.agent(9, config(tmp_path)) as (agent, said):
        real, looks = agent.chain.rpc._once, iter(["refuse", "omit", "omit"])

        def lying(requests: Any) -> list[Any]:
            fault = next(looks, "") if requests[0][0] == "eth_getLogs" else ""
            if fault == "refuse":
                raise NodeRefused("missing trie node")
            answers = list(real(requests))
            if fault == "omit":
                topic = "0x" + posted.topic.hex()
                answers = [[x for x in answers[0] if x["topics"][0] != topic]]
            return answers

        monkeypatch.setattr(agent.chain.rpc, "_once", lying)
        thread = threading.Thread(target=agent.run)
        thread.start()
        try:
            for _ in range(600):
                if not thread.is_alive() or any("collected" in line for line in said):
                    break
                threading.Event().wait(0.05)
        finally:
            agent.chain.stop.set()
            thread.join(20)
        trouble = [line for line in said if line.startswith("chain: ")]
        assert ["trie node" in line for line in trouble] == [True, False], trouble
        assert "never posted" in trouble[1]
        assert any("collected" in line for line in said), said
