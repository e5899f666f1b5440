"""Money that leaves, tokens that do not keep their word, and calls from inside calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from protocol.spec.job import DEAD, JobStatus
from scripts.deploy import deploy
from tests.contracts.market import LOCATORS, PRICE, RESULT, Market, address, terms_tuple
from tests.contracts.world import DEPOSIT, STAKE

pytestmark = pytest.mark.chain

DEAD_ADDRESS = "0x" + DEAD.hex()
NOBODY = "0x" + "00" * 20
MOST = 2**256 - 1


# --- credits -------------------------------------------------------------------------------------


def test_withdraw__own_credit__is_sent_and_emitted(world: Market) -> None:
    world.market.deposit(10, {"from": world.client, "value": 20})
    receipt = world.market.withdraw(world.stranger, 4, {"from": world.client})
    event = receipt.events["Withdrawn"]
    assert (event["account"], event["to"], event["amount"]) == (world.client, world.stranger, 4)
    assert world.token.balanceOf(world.stranger) == 4
    before = world.stranger.balance()
    receipt = world.market.withdrawNative(world.stranger, 5, {"from": world.client})
    event = receipt.events["NativeWithdrawn"]
    assert (event["account"], event["to"], event["amount"]) == (world.client, world.stranger, 5)
    assert world.stranger.balance() == before + 5
    assert world.owed(world.client) == (6, 15)


def test_withdraw__more_than_owed__reverts(world: Market) -> None:
    world.market.deposit(10, {"from": world.client, "value": 20})
    with world.reverts("CreditTooLow", world.client, 10, 11):
        world.market.withdraw(world.client, 11, {"from": world.client})
    with world.reverts("CreditTooLow", world.client, 20, 21):
        world.market.withdrawNative(world.client, 21, {"from": world.client})
    with world.reverts("CreditTooLow", world.rival, 0, 1):
        world.market.withdraw(world.client, 1, {"from": world.rival})


def test_withdraw__to_nobody__reverts(world: Market) -> None:
    world.market.deposit(1, {"from": world.client, "value": 1})
    with world.reverts("ZeroAddress"):
        world.market.withdraw(NOBODY, 1, {"from": world.client})
    with world.reverts("ZeroAddress"):
        world.market.withdrawNative(NOBODY, 1, {"from": world.client})


def test_withdraw__everything_after_a_job__leaves_nothing_behind(world: Market) -> None:
    terms = world.committed()
    world.after(terms)
    world.market.finalize(*world.args(terms), {"from": world.keeper})
    world.market.withdraw(world.provider, PRICE, {"from": world.provider})
    world.market.withdrawNative(world.keeper, world.bounty(terms), {"from": world.keeper})
    assert world.token.balanceOf(world.market) == 0
    assert world.market.balance() == 0


def test_sweep_burned__by_anybody__sends_the_burn_to_the_dead(world: Market) -> None:
    terms = world.committed()
    world.reject(terms)
    burned = world.owed(DEAD_ADDRESS, world.registry)[0]
    assert burned > 0
    world.registry.sweepBurned({"from": world.stranger})
    assert world.owed(DEAD_ADDRESS, world.registry) == (0, 0)
    assert world.token.balanceOf(DEAD_ADDRESS) == burned


def test_withdraw_native__receiver_that_refuses__reverts_and_keeps_the_credit(
    world: Market,
) -> None:
    attacker = world.project.Attacker.deploy({"from": world.stranger})
    attacker.refuse({"from": world.stranger})
    world.market.deposit(0, {"from": world.client, "value": 5})
    with world.reverts("NativeRefused", attacker, 5):
        world.market.withdrawNative(attacker, 5, {"from": world.client})
    assert world.owed(world.client) == (0, 5)


def test_withdraw_native__reentered__pays_once(world: Market) -> None:
    attacker = world.project.Attacker.deploy({"from": world.stranger})
    again = world.market.withdrawNative.encode_input(attacker, 5)
    deposit = world.market.deposit.encode_input(0)
    world.market.deposit(0, {"from": world.client, "value": 100})
    attacker.act(world.market, deposit, {"from": world.stranger, "value": 5})
    attacker.arm(world.market, again, {"from": world.stranger})
    attacker.act(world.market, again, {"from": world.stranger})
    assert attacker.reentered() == 1
    assert not attacker.lastSucceeded()
    assert attacker.balance() == 5
    assert world.owed(world.client) == (0, 100)


def test_finalize__provider_that_refuses_money__is_settled_all_the_same(world: Market) -> None:
    """Settlement calls nobody: a contract that reverts on receipt delays only itself."""
    attacker = world.project.Attacker.deploy({"from": world.stranger})
    attacker.refuse({"from": world.stranger})
    world.token.mint(attacker, STAKE, {"from": world.stranger})
    attacker.approve(world.token, world.registry, MOST, {"from": world.stranger})
    act = {"from": world.stranger}
    attacker.act(world.registry, world.registry.register.encode_input(bytes(32), NOBODY, b""), act)
    attacker.act(
        world.registry, world.registry.stake.encode_input(STAKE), {**act, "value": DEPOSIT}
    )
    terms = world.posted()
    attacker.act(world.market, world.market.accept.encode_input(*world.args(terms)), act)
    commit = world.market.commit.encode_input(world.key(terms), RESULT, b"")
    attacker.act(world.market, commit, act)
    world.after(terms)
    world.market.finalize(*world.args(terms), {"from": world.keeper})
    assert world.owed(attacker) == (PRICE, 0)


# --- tokens --------------------------------------------------------------------------------------


def with_token(world: Market, name: str) -> Market:
    """A second deployment whose token is this one; client and provider hold and allow it."""
    project = world.project
    token = project[name].deploy({"from": world.deployer})
    deployment = deploy(
        project,
        world.deployer,
        token=token.address,
        deploy_game=lambda market, registry: project.MockDisputeGame.deploy(
            market, registry, {"from": world.deployer}
        ),
    )
    other = replace(
        world,
        token=token,
        registry=project.ProviderRegistry.at(deployment.registry),
        market=project.JobMarket.at(deployment.market),
        game=project.MockDisputeGame.at(deployment.game),
    )
    for account in (other.client, other.provider):
        token.mint(account, 10**6 * 10**18, {"from": other.deployer})
        token.approve(other.market, MOST, {"from": account})
        token.approve(other.registry, MOST, {"from": account})
        other.registry.register(bytes(32), NOBODY, b"", {"from": account})
    return other


Entry = Callable[[Market], Any]
ENTRIES: dict[str, Entry] = {
    "post": lambda w: w.post(w.terms()),
    "deposit": lambda w: w.market.deposit(PRICE, {"from": w.client}),
    "stake": lambda w: w.registry.stake(PRICE, {"from": w.provider}),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_entry__token_that_keeps_a_fee__reverts(world: Market, entry: str) -> None:
    other = with_token(world, "FeeToken")
    with other.reverts("TokenMoved", PRICE - PRICE // 100, PRICE):
        ENTRIES[entry](other)


@pytest.mark.parametrize("entry", ENTRIES)
def test_entry__token_that_lies__reverts(world: Market, entry: str) -> None:
    other = with_token(world, "LyingToken")
    with other.reverts("TokenMoved", 0, PRICE):
        ENTRIES[entry](other)


@pytest.mark.parametrize("entry", ENTRIES)
def test_entry__token_that_returns_false__reverts(world: Market, entry: str) -> None:
    other = with_token(world, "FalseToken")
    with other.reverts("SafeERC20FailedOperation", other.token):
        ENTRIES[entry](other)


def test_job__token_that_returns_nothing__is_served_and_withdrawn(world: Market) -> None:
    other = with_token(world, "SilentToken")
    other.registry.stake(STAKE, {"from": other.provider, "value": DEPOSIT})
    terms = other.committed()
    other.after(terms)
    other.market.finalize(*other.args(terms), {"from": other.keeper})
    other.market.withdraw(other.keeper, PRICE, {"from": other.provider})
    assert other.token.balanceOf(other.keeper) == PRICE


def hooked_client(world: Market) -> tuple[Market, Any]:
    """A deployment with a token that calls its holders, and a contract that holds some."""
    other = with_token(world, "HookToken")
    attacker = other.project.Attacker.deploy({"from": other.stranger})
    other.token.mint(attacker, 100 * PRICE, {"from": other.deployer})
    attacker.approve(other.token, other.market, MOST, {"from": other.stranger})
    attacker.approve(other.token, other.registry, MOST, {"from": other.stranger})
    other.token.hook(attacker, {"from": other.deployer})
    return other, attacker


def test_post__reentered_by_the_tokens_hook_with_another_post__reverts(world: Market) -> None:
    """Two posts, one inside the other's transfer: the exact difference refuses the outer."""
    other, attacker = hooked_client(world)
    outer = other.terms(client=address(attacker), nonce=1)
    inner = other.terms(client=address(attacker), nonce=2)
    bounty = other.bounty(outer)
    attacker.act(
        other.market,
        other.market.deposit.encode_input(0),
        {"from": other.stranger, "value": bounty},
    )
    deposit_again = other.market.deposit.encode_input(PRICE)
    attacker.arm(other.market, deposit_again, {"from": other.stranger})
    post = other.market.post.encode_input(terms_tuple(outer), LOCATORS)
    with other.reverts("TokenMoved", 2 * PRICE, PRICE):
        attacker.act(other.market, post, {"from": other.stranger, "value": bounty})
    assert other.status(outer) is JobStatus.NONE
    assert other.status(inner) is JobStatus.NONE
    assert other.token.balanceOf(other.market) == 0


def test_post__hook_withdraws_meanwhile__reverts(world: Market) -> None:
    other, attacker = hooked_client(world)
    act = {"from": other.stranger}
    attacker.act(other.market, other.market.deposit.encode_input(PRICE), act)
    attacker.arm(other.market, other.market.withdraw.encode_input(other.stranger, 1), act)
    terms = other.terms(client=address(attacker))
    post = other.market.post.encode_input(terms_tuple(terms), LOCATORS)
    with other.reverts("TokenMoved", PRICE - 1, PRICE):
        attacker.act(other.market, post, {**act, "value": other.bounty(terms)})


def test_post__hook_cancels_the_job_before_it_is_paid__nothing_is_gained(world: Market) -> None:
    """The state is written before the token is called: a cancel from inside credits a price that
    the rest of the same call brings in, or all of it reverts."""
    other, attacker = hooked_client(world)
    act = {"from": other.stranger}
    terms = other.terms(client=address(attacker))
    attacker.arm(other.market, other.market.cancel.encode_input(*other.args(terms)), act)
    post = other.market.post.encode_input(terms_tuple(terms), LOCATORS)
    attacker.act(other.market, post, {**act, "value": other.bounty(terms)})
    assert other.status(terms) is JobStatus.CANCELLED
    assert other.owed(attacker) == (PRICE, other.bounty(terms))
    assert other.token.balanceOf(other.market) == PRICE
    assert other.market.balance() == other.bounty(terms)


def test_withdraw__reentered_by_the_tokens_hook__pays_once(world: Market) -> None:
    other, attacker = hooked_client(world)
    act = {"from": other.stranger}
    other.market.deposit(50 * PRICE, {"from": other.client})
    attacker.act(other.market, other.market.deposit.encode_input(PRICE), act)
    again = other.market.withdraw.encode_input(attacker, PRICE)
    attacker.arm(other.market, again, act)
    attacker.act(other.market, again, act)
    assert attacker.reentered() == 1
    assert not attacker.lastSucceeded()
    assert other.token.balanceOf(other.market) == 50 * PRICE


def test_stake__reentered_by_the_tokens_hook__reverts(world: Market) -> None:
    other, attacker = hooked_client(world)
    act = {"from": other.stranger}
    register = other.registry.register.encode_input(bytes(32), NOBODY, b"")
    attacker.act(other.registry, register, act)
    again = other.registry.stake.encode_input(7)
    attacker.arm(other.registry, again, act)
    with other.reverts("TokenMoved", 12, 5):
        attacker.act(other.registry, other.registry.stake.encode_input(5), act)


def test_settlement__payee_that_the_token_blocks__stops_nobody(world: Market) -> None:
    other = with_token(world, "HookToken")
    other.registry.stake(STAKE, {"from": other.provider, "value": DEPOSIT})
    terms = other.committed()
    other.token.block_(other.provider, {"from": other.deployer})
    other.after(terms)
    other.market.finalize(*other.args(terms), {"from": other.keeper})
    with other.reverts("Blocked", other.provider):
        other.market.withdraw(other.provider, PRICE, {"from": other.provider})
    other.market.withdraw(other.stranger, PRICE, {"from": other.provider})
    assert other.token.balanceOf(other.stranger) == PRICE


def test_slash_late__market_and_client_blocked_by_the_token__still_settles(world: Market) -> None:
    other = with_token(world, "HookToken")
    other.registry.stake(STAKE, {"from": other.provider, "value": DEPOSIT})
    terms = other.accepted()
    for account in (other.market, other.registry, other.client, other.provider):
        other.token.block_(account, {"from": other.deployer})
    other.after(terms)
    other.market.slashLate(*other.args(terms), {"from": other.keeper})
    assert other.status(terms) is JobStatus.OPEN


# --- reorganisations -----------------------------------------------------------------------------


def test_accept__chain_reorganised_to_another_job__does_not_take_it(world: Market) -> None:
    """Accepting names the terms: after a reorganisation it takes that job or none."""
    world.brownie.chain.snapshot()
    good = world.posted(nonce=1)
    world.brownie.chain.revert()
    world.posted(nonce=1, run_seconds=2)
    with world.reverts("WrongStatus", world.key(good), 0, 1):
        world.accept(good)


def test_native__sent_without_a_call__reverts(world: Market) -> None:
    for contract in (world.market, world.registry):
        with pytest.raises(world.brownie.exceptions.VirtualMachineError):
            world.client.transfer(contract, 1)
