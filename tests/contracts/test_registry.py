"""ProviderRegistry: registering, staking, unbonding, and who may lock and slash."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.spec.job import JobStatus
from scripts.deploy import UNBONDING_SECONDS
from tests.contracts.market import Market
from tests.contracts.test_post import holder, sign_permit
from tests.contracts.world import DEPOSIT, STAKE

pytestmark = pytest.mark.chain

NOBODY = "0x" + "00" * 20


def funded(world: Market) -> Any:
    """A registered provider without stake, with tokens and an allowance."""
    world.token.mint(world.keeper, 10**30, {"from": world.deployer})
    world.token.approve(world.registry, 2**256 - 1, {"from": world.keeper})
    world.registry.register(bytes(32), NOBODY, b"", {"from": world.keeper})
    return world.keeper


# --- register ------------------------------------------------------------------------------------


def test_register__new__is_known_and_emits(world: Market) -> None:
    capabilities = b"\xf0".rjust(32, b"\0")
    receipt = world.registry.register(capabilities, world.stranger, b"x", {"from": world.keeper})
    event = receipt.events["Registered"]
    assert (event["provider"], event["delegate"]) == (world.keeper, world.stranger)
    assert event["capabilities"] == "0x" + capabilities.hex()
    assert event["endpoint"] == "0x" + b"x".hex()
    entry = world.registry.providerOf(world.keeper)
    assert entry[0] is True
    assert (entry[8], entry[9]) == (world.stranger, "0x" + capabilities.hex())
    assert world.registry.mayMove(world.keeper, world.keeper)
    assert world.registry.mayMove(world.keeper, world.stranger)
    assert not world.registry.mayMove(world.keeper, world.client)


def test_register__again__replaces_the_entry_and_keeps_the_money(world: Market) -> None:
    world.registry.register(bytes(32), NOBODY, b"", {"from": world.provider})
    assert world.free(world.provider) == (STAKE, DEPOSIT)
    assert not world.registry.mayMove(world.provider, world.stranger)
    assert not world.registry.mayMove(world.provider, NOBODY)


def test_register__endpoint_over_the_limit__reverts(world: Market) -> None:
    world.registry.register(bytes(32), NOBODY, bytes(1024), {"from": world.keeper})
    with world.reverts("EndpointTooLong", 1025, 1024):
        world.registry.register(bytes(32), NOBODY, bytes(1025), {"from": world.keeper})


def test_provider_of__unknown__is_all_zero(world: Market) -> None:
    entry = world.registry.providerOf(world.stranger)
    assert not any(int(str(v), 16) if str(v).startswith("0x") else int(v) for v in entry)


# --- stake ---------------------------------------------------------------------------------------


def test_stake__both_currencies__adds_up_and_emits(world: Market) -> None:
    account = funded(world)
    receipt = world.registry.stake(5, {"from": account, "value": 6})
    event = receipt.events["Staked"]
    assert (event["provider"], event["token"], event["native"]) == (account, 5, 6)
    world.registry.stake(1, {"from": account})
    world.registry.stake(0, {"from": account, "value": 1})
    assert world.free(account) == (6, 7)


def test_stake__unregistered__reverts(world: Market) -> None:
    with world.reverts("NotRegistered", world.client):
        world.registry.stake(1, {"from": world.client})


def test_stake__nothing__reverts(world: Market) -> None:
    with world.reverts("NothingToMove"):
        world.registry.stake(0, {"from": world.provider})


def test_stake__over_96_bits__reverts(world: Market) -> None:
    account = funded(world)
    world.registry.stake(2**96 - 1, {"from": account})
    with world.reverts("AmountTooLarge", 2**96, 2**96 - 1):
        world.registry.stake(1, {"from": account})


def test_stake__without_allowance__reverts_with_the_tokens_error(world: Market) -> None:
    world.token.approve(world.registry, 1, {"from": world.provider})
    with world.reverts("ERC20InsufficientAllowance", world.registry, 1, 2):
        world.registry.stake(2, {"from": world.provider})


def test_stake_with_permit__no_allowance__stakes(world: Market) -> None:
    account = holder(world)
    world.registry.register(bytes(32), NOBODY, b"", {"from": account})
    permit = sign_permit(world, account, world.registry, 50, 2**40)
    world.registry.stakeWithPermit(50, *permit, {"from": account, "value": 3})
    assert world.free(account) == (50, 3)


def test_stake_with_permit__sent_ahead_by_another__stakes(world: Market) -> None:
    account = holder(world)
    world.registry.register(bytes(32), NOBODY, b"", {"from": account})
    permit = sign_permit(world, account, world.registry, 50, 2**40)
    world.token.permit(account, world.registry, 50, *permit, {"from": world.stranger})
    world.registry.stakeWithPermit(50, *permit, {"from": account})
    assert world.free(account) == (50, 0)


def test_stake_with_permit__bad_signature__reverts(world: Market) -> None:
    account = holder(world)
    world.registry.register(bytes(32), NOBODY, b"", {"from": account})
    permit = sign_permit(world, account, world.market, 50, 2**40)
    with world.reverts("ERC20InsufficientAllowance"):
        world.registry.stakeWithPermit(50, *permit, {"from": account})


# --- unbond --------------------------------------------------------------------------------------


def test_unbond__free_money__waits_then_becomes_credit(world: Market) -> None:
    receipt = world.registry.unbond(10, 20, {"from": world.provider})
    ready = receipt.timestamp + UNBONDING_SECONDS
    event = receipt.events["UnbondingStarted"]
    assert (event["token"], event["native"], event["readyAt"]) == (10, 20, ready)
    assert world.free(world.provider) == (STAKE - 10, DEPOSIT - 20)
    assert tuple(int(v) for v in world.registry.unbondingOf(world.provider)) == (10, 20, ready)
    world.at(ready)
    with world.reverts("StillUnbonding", ready, ready):
        world.registry.claimUnbonded({"from": world.provider})
    world.at(ready + 1)
    receipt = world.registry.claimUnbonded({"from": world.provider})
    event = receipt.events["Unbonded"]
    assert (event["provider"], event["token"], event["native"]) == (world.provider, 10, 20)
    assert world.owed(world.provider, world.registry) == (10, 20)
    assert tuple(int(v) for v in world.registry.unbondingOf(world.provider)) == (0, 0, 0)


def test_unbond__second_request__restarts_the_delay_for_all(world: Market) -> None:
    first = world.registry.unbond(10, 0, {"from": world.provider})
    world.at(first.timestamp + UNBONDING_SECONDS)
    second = world.registry.unbond(1, 2, {"from": world.provider})
    ready = second.timestamp + UNBONDING_SECONDS
    assert tuple(int(v) for v in world.registry.unbondingOf(world.provider)) == (11, 2, ready)
    with world.reverts("StillUnbonding"):
        world.registry.claimUnbonded({"from": world.provider})


def test_unbond__locked_money__reverts(world: Market) -> None:
    terms = world.accepted()
    token, native = world.lock(terms)
    with world.reverts("StakeTooLow", world.provider, STAKE - token, STAKE):
        world.registry.unbond(STAKE, 0, {"from": world.provider})
    with world.reverts("DepositTooLow", world.provider, DEPOSIT - native, DEPOSIT):
        world.registry.unbond(0, DEPOSIT, {"from": world.provider})
    world.registry.unbond(STAKE - token, DEPOSIT - native, {"from": world.provider})


def test_unbond__unbonding_stake__does_not_count_as_free(world: Market) -> None:
    terms = world.posted()
    world.registry.unbond(STAKE, 0, {"from": world.provider})
    with world.reverts("StakeTooLow", world.provider, 0, world.lock(terms)[0]):
        world.accept(terms)


def test_unbond__a_lock_that_ends__does_not_shorten_the_delay(world: Market) -> None:
    terms = world.committed()
    token, _ = world.lock(terms)
    world.after(terms)
    ready = world.clock(terms) + 1 + UNBONDING_SECONDS
    world.registry.unbond(STAKE - token, 0, {"from": world.provider})
    world.market.finalize(*world.args(terms), {"from": world.keeper})
    assert world.registry.unbondingOf(world.provider)[2] == ready


def test_unbond__nothing__reverts(world: Market) -> None:
    with world.reverts("NothingToMove"):
        world.registry.unbond(0, 0, {"from": world.provider})


def test_claim_unbonded__nothing_or_twice__reverts(world: Market) -> None:
    with world.reverts("NothingToMove"):
        world.registry.claimUnbonded({"from": world.provider})
    receipt = world.registry.unbond(1, 0, {"from": world.provider})
    world.at(receipt.timestamp + UNBONDING_SECONDS + 1)
    world.registry.claimUnbonded({"from": world.provider})
    with world.reverts("NothingToMove"):
        world.registry.claimUnbonded({"from": world.provider})


# --- who may -------------------------------------------------------------------------------------


def test_lock__by_another_than_the_market__reverts(world: Market) -> None:
    with world.reverts("NotMarket", world.client, world.market):
        world.registry.lock(world.provider, 1, 1, 1, bytes(32), {"from": world.client})


def test_unlock__by_another_than_the_market__reverts(world: Market) -> None:
    with world.reverts("NotMarket", world.provider, world.market):
        world.registry.unlock(world.provider, 10**20, 0, 0, True, {"from": world.provider})


def test_slash__by_another_than_the_market__reverts(world: Market) -> None:
    with world.reverts("NotMarket", world.client, world.market):
        world.registry.slash(world.provider, 1, 0, 0, 1, 1, [], {"from": world.client})


def test_void_lock__by_another_than_the_market__reverts(world: Market) -> None:
    with world.reverts("NotMarket", world.client, world.market):
        world.registry.voidLock(world.provider, 1, 0, 0, [], {"from": world.client})


def test_slash__one_of_two_locks__leaves_the_other(world: Market) -> None:
    lost = world.committed(nonce=1)
    kept = world.committed(nonce=2)
    token, native = world.lock(kept)
    world.reject(lost)
    assert world.free(world.provider) == (STAKE - 2 * token, DEPOSIT - native)
    world.after(kept)
    world.market.finalize(*world.args(kept), {"from": world.keeper})
    assert world.status(kept) is JobStatus.FINALIZED
    assert world.free(world.provider) == (STAKE - token, DEPOSIT)


def test_unlock__stake_that_no_longer_fits__becomes_credit(world: Market) -> None:
    """A provider that fills its balance while a lock is out cannot block its own settlement."""
    account = funded(world)
    terms = world.posted()
    token, native = world.lock(terms)
    world.registry.stake(token, {"from": account, "value": native})
    world.accept(terms, account)
    world.commit(terms, account)
    world.registry.stake(2**96 - 1, {"from": account})
    world.after(terms)
    world.market.finalize(*world.args(terms), {"from": world.keeper})
    assert world.free(account) == (2**96 - 1, native)
    assert world.owed(account, world.registry) == (token, 0)
