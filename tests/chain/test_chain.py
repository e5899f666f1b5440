"""Reads of a real deployment, and the refusal of any other chain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protocol.chain.chain import Chain
from protocol.chain.errors import NodeRefused, NodeUnavailable, Reorganised, WrongChain
from protocol.chain.reverts import WrongStatus
from protocol.chain.wallet import Wallet
from protocol.spec.job import JobStatus, bounty_of, claim_id, domain_separator, lock_of
from protocol.spec.limits import DEVNET
from tests.chain.world import CLIENT, LOCATORS, PROVIDER, STRANGER, TOKEN, World

pytestmark = pytest.mark.chain


@pytest.mark.parametrize("which", ["world", "ganache_world"])
def test_reads__each_node__are_what_was_done(which: str, request: pytest.FixtureRequest) -> None:
    world: World = request.getfixturevalue(which)
    chain = world.chain
    job, terms = world.post()
    at = chain.snapshot()
    assert chain.limits(at) == DEVNET
    assert chain.bounty_of(terms.deal, at) == bounty_of(terms.deal, DEVNET.schedule)
    assert chain.lock_of(terms.deal, at) == lock_of(terms.deal, DEVNET.schedule)
    state = chain.job_state(job, at)
    assert (state.status, state.attempt, state.provider) == (JobStatus.OPEN, 0, bytes(20))
    assert state.clock == at.timestamp + terms.deal.open_seconds
    before = chain.provider(world.address(PROVIDER), at)
    assert (before.registered, before.stake, before.deposit) == (True, 1_000 * TOKEN, 10**18)
    world.accept(terms)
    world.commit(job, root=b"\x09" * 32)
    later = chain.snapshot()
    state = chain.job_state(job, later)
    assert (state.status, state.provider) == (JobStatus.COMMITTED, world.address(PROVIDER))
    assert chain.result_of(job, later) == b"\x09" * 32
    d = world.deployment
    claim = claim_id(d.chain_id, d.market, job, 0, world.address(PROVIDER), b"\x09" * 32)
    assert chain.claim_of(job, later) == claim
    after = chain.provider(world.address(PROVIDER), later)
    assert before.stake - after.stake == lock_of(terms.deal, DEVNET.schedule)[0]
    assert after.backlog_ms == terms.deal.work_ms
    assert not chain.has_lost(job, world.address(PROVIDER), later)
    # The earlier block still says what it said.
    assert chain.job_state(job, at).status is JobStatus.OPEN
    assert chain.result_of(job, at) == bytes(32)
    chain.confirm(later)


def test_job_states__several__come_in_order(world: World) -> None:
    jobs = [world.post()[0], b"\0" * 32, world.post()[0]]
    states = world.chain.job_states(jobs, world.chain.snapshot())
    assert [s.status for s in states] == [JobStatus.OPEN, JobStatus.NONE, JobStatus.OPEN]


def test_claim_of__open_job__raises_the_contracts_refusal(world: World) -> None:
    job, _ = world.post()
    with pytest.raises(WrongStatus) as caught:
        world.chain.claim_of(job, world.chain.snapshot())
    assert caught.value.values["jobHash"] == job


def test_balances__account__has_all_of_its_money(world: World) -> None:
    who = world.address(STRANGER)
    token = world.chain.contracts.token
    world.send(STRANGER, token.mint(who, 7))
    world.send(STRANGER, token.approve(world.deployment.market, 3))
    has = world.chain.balances(who, world.chain.snapshot())
    assert (has.token, has.market_allowance) == (7, 3)
    assert has.native > 9_000 * 10**18
    assert (has.market_credit.token, has.registry_credit.native) == (0, 0)
    at = world.chain.snapshot()
    assert world.chain.allowance(who, world.deployment.market, at) == 3


def test_block_seconds__chain_of_steady_blocks__is_the_least_of_the_last(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protocol.chain.chain.BLOCKS_TIMED", 8)

    def step(seconds: int) -> int:
        at = fresh_world.chain.snapshot()
        fresh_world.rpc("evm_setNextBlockTimestamp", at.timestamp + seconds)
        fresh_world.rpc("evm_mine")
        return fresh_world.chain.block_seconds(fresh_world.chain.snapshot())

    assert step(0) == 0
    for _ in range(4):
        assert step(12) == 0
    assert [step(12) for _ in range(4)] == [0, 0, 0, 12]
    assert [step(60), step(5), step(60)] == [12, 5, 5]


def test_block_seconds__chain_of_one_block__is_0(world: World) -> None:
    first = replace(world.chain.snapshot(), number=0)
    assert world.chain.block_seconds(first) == 0


def test_snapshot__node_shows_no_pending_block__has_the_newest_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = world.chain.rpc._once

    def shy(requests: Any) -> list[Any]:
        if any(params[0] == "pending" for _, params in requests):
            raise NodeRefused("pending blocks are not shown")
        return list(real(requests))

    monkeypatch.setattr(world.chain.rpc, "_once", shy)
    at = world.chain.snapshot()
    assert at.next_timestamp == at.timestamp


def test_unbonding__started__is_ready_after_the_delay(world: World) -> None:
    who = world.address(PROVIDER)
    world.send(PROVIDER, world.chain.contracts.registry.unbond(5, 6))
    at = world.chain.snapshot()
    found = world.chain.unbonding(who, at)
    assert (found.token, found.native) == (5, 6)
    assert found.ready_at == at.timestamp + world.deployment.unbonding_seconds


def test_permit__signed__lets_a_post_go_without_an_allowance(world: World) -> None:
    chain, sender = world.chain, world.senders[STRANGER]
    market = chain.contracts.market
    world.send(STRANGER, chain.contracts.token.mint(sender.address, 100 * TOKEN))
    world.send(STRANGER, chain.contracts.token.approve(market.address, 0))
    terms = world.terms(client=sender.address)
    at = chain.snapshot()
    price, deadline = terms.deal.price_ceiling, at.timestamp + 1000
    signature = chain.permit(Wallet.dev(STRANGER), market.address, price, deadline, at)
    bounty = bounty_of(terms.deal, DEVNET.schedule)
    sender.send(market.post_with_permit(terms, LOCATORS, bounty, deadline, signature))
    later = chain.snapshot()
    assert chain.job_state(world.hash(terms), later).status is JobStatus.OPEN
    assert chain.allowance(sender.address, market.address, later) == 0


def test_confirm__block_replaced__raises(fresh_world: World) -> None:
    world = fresh_world
    world.post()
    at = world.chain.snapshot()
    world.chain.confirm(at)
    world.rpc("anvil_reorg", 1, [])
    with pytest.raises(Reorganised):
        world.chain.confirm(at)


def wrong(world: World, **changes: Any) -> Chain:
    return Chain.connect(world.config(), replace(world.deployment, **changes))


def test_check__other_chain_id__is_refused(world: World) -> None:
    with pytest.raises(WrongChain, match="is of chain 31337, the deployment of chain 5"):
        wrong(world, chain_id=5)


def test_check__configuration_wants_another_chain__is_refused(world: World) -> None:
    with pytest.raises(WrongChain, match="the configuration wants 5"):
        Chain.connect(world.config(chain_id=5), world.deployment)


@pytest.mark.parametrize("name", ["token", "registry", "market"])
def test_check__no_code__names_the_contract(world: World, name: str) -> None:
    with pytest.raises(WrongChain, match=f"where the {name} is wanted"):
        wrong(world, **{name: b"\x77" * 20})


def test_check__contracts_of_two_deployments__are_refused(world: World) -> None:
    d = world.deployment
    with pytest.raises(WrongChain, match=r"JobMarket\.GAME"):
        wrong(world, game=d.token)
    with pytest.raises(WrongChain, match=r"JobMarket\.COURT"):
        wrong(world, court=d.token)
    with pytest.raises(WrongChain, match=r"JobMarket\.TOKEN"):
        wrong(world, token=d.registry, registry=d.registry)


def test_check__node_down__is_unavailable(world: World) -> None:
    config = world.config(rpc_url="http://127.0.0.1:9", rpc_attempts=2)
    with pytest.raises(NodeUnavailable):
        Chain.connect(config, world.deployment)


def test_domain_separator__contract_and_twin__agree(world: World) -> None:
    at = world.chain.snapshot()
    d = world.deployment
    assert world.chain._market(at, "DOMAIN_SEPARATOR")[0] == domain_separator(d.chain_id, d.market)
    _, terms = world.post()
    assert world.chain.job_state(world.hash(terms), world.chain.snapshot()).clock > 0
    assert terms.deal.client == world.address(CLIENT)
