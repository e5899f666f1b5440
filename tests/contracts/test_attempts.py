"""JobMarket: accept, commit, finalize, slashLate, and what comes after a lost attempt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.spec.job import DEAD, Fault, JobStatus, late_split
from protocol.spec.limits import DEVNET
from tests.contracts.market import PRICE, RESULT, Market
from tests.contracts.world import DEPOSIT, STAKE

pytestmark = pytest.mark.chain

DEAD_ADDRESS = "0x" + DEAD.hex()


# --- accept --------------------------------------------------------------------------------------


def test_accept__open__locks_stake_and_names_the_provider(world: Market) -> None:
    terms = world.posted()
    receipt = world.accept(terms)
    event = receipt.events["Accepted"]
    run_until = receipt.timestamp + terms.deal.run_seconds
    assert event["jobHash"] == "0x" + world.key(terms).hex()
    assert (event["provider"], event["attempt"]) == (world.provider, 0)
    assert event["runUntil"] == run_until
    status, attempt, provider, clock, window, holds = world.market.jobOf(world.key(terms))
    assert (status, attempt, provider, clock) == (2, 0, world.provider, run_until)
    assert (window, holds) == (terms.deal.window_seconds, 0)
    token, native = world.lock(terms)
    assert (token, native) == (2 * PRICE, 30_250_000 * 10**9)
    assert world.free(world.provider) == (STAKE - token, DEPOSIT - native)
    assert world.registry.providerOf(world.provider)[3] == terms.deal.work_ms


def test_accept__small_price__locks_the_minimum(world: Market) -> None:
    terms = world.accepted(price_floor=1, price_ceiling=1)
    assert world.lock(terms)[0] == world.limits.min_lock
    assert world.free(world.provider)[0] == STAKE - world.limits.min_lock


def test_accept__at_the_clock__is_the_movers(world: Market) -> None:
    terms = world.posted()
    world.at(world.clock(terms))
    world.accept(terms)
    assert world.status(terms) is JobStatus.ACCEPTED


def test_accept__after_the_clock__reverts(world: Market) -> None:
    terms = world.posted()
    clock = world.clock(terms)
    world.after(terms)
    with world.reverts("TooLate", clock + 1, clock):
        world.accept(terms)


def test_accept__second_provider__reverts(world: Market) -> None:
    terms = world.accepted()
    with world.reverts("WrongStatus", world.key(terms), 2, 1):
        world.accept(terms, world.rival)


def test_accept__unknown_job__reverts(world: Market) -> None:
    terms = world.terms()
    with world.reverts("WrongStatus", world.key(terms), 0, 1):
        world.accept(terms)


def test_accept__deal_altered_in_the_providers_favour__reverts(world: Market) -> None:
    terms = world.posted()
    easy = replace(terms, deal=replace(terms.deal, stake_bps=10_000))
    with world.reverts("WrongStatus", world.key(easy), 0, 1):
        world.accept(easy)


def test_accept__stake_one_unit_short__reverts(world: Market) -> None:
    terms = world.posted()
    token, _ = world.lock(terms)
    world.registry.unbond(STAKE - token + 1, 0, {"from": world.provider})
    with world.reverts("StakeTooLow", world.provider, token - 1, token):
        world.accept(terms)


def test_accept__deposit_one_wei_short__reverts(world: Market) -> None:
    terms = world.posted()
    _, native = world.lock(terms)
    world.registry.unbond(0, DEPOSIT - native + 1, {"from": world.provider})
    with world.reverts("DepositTooLow", world.provider, native - 1, native):
        world.accept(terms)


def test_accept__stranger_without_stake__reverts(world: Market) -> None:
    terms = world.posted()
    with world.reverts("StakeTooLow", world.stranger, 0, world.lock(terms)[0]):
        world.accept(terms, world.stranger)


def test_accept__capability_claimed__is_taken(world: Market) -> None:
    terms = world.accepted(capability=b"\1".rjust(32, b"\0"))
    assert world.status(terms) is JobStatus.ACCEPTED


def test_accept__capability_missing__reverts(world: Market) -> None:
    terms = world.posted(capability=b"\3".rjust(32, b"\0"))
    has, wants = b"\1".rjust(32, b"\0"), b"\3".rjust(32, b"\0")
    with world.reverts("CapabilityMissing", has, wants):
        world.accept(terms)


def test_accept__backlog_at_its_cap__is_taken_and_one_more_reverts(world: Market) -> None:
    most = world.registry.MAX_BACKLOG_MS()
    world.accepted(work_ms=most - 1, nonce=1)
    world.accepted(work_ms=1, nonce=2)
    terms = world.posted(work_ms=1, nonce=3)
    with world.reverts("BacklogFull", world.provider, most + 1, most):
        world.accept(terms)


def test_accept__many_jobs__locks_add_up(world: Market) -> None:
    for nonce in range(3):
        terms = world.accepted(nonce=nonce)
    token, native = world.lock(terms)
    assert world.free(world.provider) == (STAKE - 3 * token, DEPOSIT - 3 * native)
    assert world.registry.providerOf(world.provider)[3] == 3 * terms.deal.work_ms


# --- commit --------------------------------------------------------------------------------------


def test_commit__accepted__opens_the_window(world: Market) -> None:
    terms = world.accepted()
    receipt = world.market.commit(world.key(terms), RESULT, b"here", {"from": world.provider})
    event = receipt.events["Committed"]
    window_until = receipt.timestamp + terms.deal.window_seconds
    assert event["jobHash"] == "0x" + world.key(terms).hex()
    assert event["claimId"] == "0x" + world.claim(terms, world.provider).hex()
    assert (event["provider"], event["windowUntil"]) == (world.provider, window_until)
    assert event["resultRoot"] == "0x" + RESULT.hex()
    assert event["locators"] == "0x" + b"here".hex()
    assert world.status(terms) is JobStatus.COMMITTED
    assert world.clock(terms) == window_until
    assert world.market.resultOf(world.key(terms)) == "0x" + RESULT.hex()
    assert world.market.claimOf(world.key(terms)) == event["claimId"]


def test_commit__at_the_clock__is_the_movers(world: Market) -> None:
    terms = world.accepted()
    world.at(world.clock(terms))
    world.commit(terms)
    assert world.status(terms) is JobStatus.COMMITTED


def test_commit__after_the_clock__reverts(world: Market) -> None:
    terms = world.accepted()
    clock = world.clock(terms)
    world.after(terms)
    with world.reverts("TooLate", clock + 1, clock):
        world.commit(terms)


def test_commit__by_another__reverts(world: Market) -> None:
    terms = world.accepted()
    with world.reverts("NotProvider", world.rival, world.provider):
        world.commit(terms, world.rival)


def test_commit__twice__reverts(world: Market) -> None:
    terms = world.committed()
    with world.reverts("WrongStatus", world.key(terms), 3, 2):
        world.commit(terms)


def test_commit__open_job__reverts(world: Market) -> None:
    terms = world.posted()
    with world.reverts("WrongStatus", world.key(terms), 1, 2):
        world.commit(terms)


def test_commit__zero_root__reverts(world: Market) -> None:
    terms = world.accepted()
    with world.reverts("ZeroResult"):
        world.commit(terms, root=bytes(32))


def test_commit__locators_over_the_limit__reverts(world: Market) -> None:
    terms = world.accepted()
    with world.reverts("LocatorsTooLong", 4097, 4096):
        world.market.commit(world.key(terms), RESULT, bytes(4097), {"from": world.provider})


def test_claim_of__before_the_commit__reverts(world: Market) -> None:
    terms = world.accepted()
    with world.reverts("WrongStatus", world.key(terms), 2, 3):
        world.market.claimOf(world.key(terms))


# --- finalize ------------------------------------------------------------------------------------


def test_finalize__after_the_window_by_a_keeper__pays_provider_and_keeper(world: Market) -> None:
    terms = world.committed()
    world.after(terms)
    receipt = world.market.finalize(*world.args(terms), {"from": world.keeper})
    event = receipt.events["Finalized"]
    assert event["jobHash"] == "0x" + world.key(terms).hex()
    assert (event["provider"], event["caller"]) == (world.provider, world.keeper)
    assert event["price"] == PRICE
    assert world.status(terms) is JobStatus.FINALIZED
    assert world.owed(world.provider) == (PRICE, 0)
    assert world.owed(world.keeper) == (0, world.bounty(terms))
    assert world.free(world.provider) == (STAKE, DEPOSIT)
    entry = world.registry.providerOf(world.provider)
    assert (entry[3], entry[5], entry[6], entry[7]) == (0, 1, 0, 0)
    assert world.market.resultOf(world.key(terms)) == "0x" + RESULT.hex()
    assert world.market.claimOf(world.key(terms)) == "0x" + world.claim(terms, world.provider).hex()


def test_finalize__by_the_provider__gets_price_and_bounty(world: Market) -> None:
    terms = world.committed()
    world.after(terms)
    world.market.finalize(*world.args(terms), {"from": world.provider})
    assert world.owed(world.provider) == (PRICE, world.bounty(terms))


def test_finalize__at_the_clock__reverts(world: Market) -> None:
    terms = world.committed()
    clock = world.clock(terms)
    world.at(clock)
    with world.reverts("TooEarly", clock, clock):
        world.market.finalize(*world.args(terms), {"from": world.keeper})


def test_finalize__held__reverts_until_released(world: Market) -> None:
    terms = world.committed()
    claim = world.claim(terms, world.provider)
    world.game.hold(world.key(terms), claim, {"from": world.stranger})
    world.after(terms)
    with world.reverts("Held", world.key(terms), 1):
        world.market.finalize(*world.args(terms), {"from": world.keeper})
    world.game.release(world.key(terms), claim, 1, {"from": world.stranger})
    world.market.finalize(*world.args(terms), {"from": world.keeper})
    assert world.status(terms) is JobStatus.FINALIZED


def test_finalize__not_committed__reverts(world: Market) -> None:
    terms = world.accepted()
    world.after(terms)
    with world.reverts("WrongStatus", world.key(terms), 2, 3):
        world.market.finalize(*world.args(terms), {"from": world.keeper})


def test_finalize__twice__reverts(world: Market) -> None:
    terms = world.committed()
    world.after(terms)
    world.market.finalize(*world.args(terms), {"from": world.keeper})
    with world.reverts("WrongStatus", world.key(terms), 4, 3):
        world.market.finalize(*world.args(terms), {"from": world.keeper})


# --- slashLate -----------------------------------------------------------------------------------


def test_slash_late__after_the_clock__splits_the_lock_and_reopens(world: Market) -> None:
    terms = world.accepted()
    world.after(terms)
    receipt = world.market.slashLate(*world.args(terms), {"from": world.keeper})
    token, _ = world.lock(terms)
    split = late_split(token, PRICE)
    bounty = world.limits.late_gas * terms.deal.gas_price
    assert 2 * (split.burned + split.client) < token
    assert 3 * split.burned >= split.burned + split.client
    lost = receipt.events["AttemptLost"]
    assert (lost["provider"], lost["attempt"], lost["fault"]) == (world.provider, 0, Fault.LATE)
    assert lost["openUntil"] == receipt.timestamp + terms.deal.open_seconds == world.clock(terms)
    slashed = receipt.events["Slashed"]
    assert (slashed["fault"], slashed["burned"]) == (Fault.LATE, split.burned)
    assert (slashed["token"], slashed["native"]) == (split.burned + split.client, bounty)
    assert world.owed(world.client, world.registry) == (split.client, 0)
    assert world.owed(world.keeper, world.registry) == (0, bounty)
    assert world.owed(DEAD_ADDRESS, world.registry) == (split.burned, 0)
    left = (STAKE - split.burned - split.client, DEPOSIT - bounty)
    assert world.free(world.provider) == left
    entry = world.registry.providerOf(world.provider)
    assert (entry[3], entry[5], entry[6], entry[7]) == (0, 0, 1, 0)
    status, attempt, provider, _, window, holds = world.market.jobOf(world.key(terms))
    assert (status, attempt, int(provider, 16), window, holds) == (1, 1, 0, 0, 0)
    assert world.market.hasLost(world.key(terms), world.provider)
    assert world.owed(world.client) == (0, 0)


def test_slash_late__price_far_below_the_lock__the_client_gains_no_more_than_it(
    world: Market,
) -> None:
    """A dust price with the smallest lock: lateness is no income for the client."""
    price = 10**15
    terms = world.accepted(price_floor=price, price_ceiling=price)
    token, _ = world.lock(terms)
    assert token == DEVNET.min_lock > 1000 * price
    world.after(terms)
    receipt = world.market.slashLate(*world.args(terms), {"from": world.keeper})
    split = late_split(token, price)
    slashed = receipt.events["Slashed"]
    assert (slashed["token"], slashed["burned"]) == (token * 2 // 5, split.burned)
    assert world.owed(world.client, world.registry) == (price, 0)
    assert split.burned == token * 2 // 5 - price


def test_slash_late__at_the_clock__reverts(world: Market) -> None:
    terms = world.accepted()
    clock = world.clock(terms)
    world.at(clock)
    with world.reverts("TooEarly", clock, clock):
        world.market.slashLate(*world.args(terms), {"from": world.keeper})


def test_slash_late__committed__reverts(world: Market) -> None:
    terms = world.committed()
    world.after(terms)
    with world.reverts("WrongStatus", world.key(terms), 3, 2):
        world.market.slashLate(*world.args(terms), {"from": world.keeper})


def test_slash_late__twice__reverts(world: Market) -> None:
    terms = world.accepted()
    world.after(terms)
    world.market.slashLate(*world.args(terms), {"from": world.keeper})
    with world.reverts("WrongStatus", world.key(terms), 1, 2):
        world.market.slashLate(*world.args(terms), {"from": world.keeper})


def test_slash_late__loser_accepts_again__reverts_and_another_may(world: Market) -> None:
    terms = world.accepted()
    world.after(terms)
    world.market.slashLate(*world.args(terms), {"from": world.keeper})
    with world.reverts("LostBefore", world.key(terms), world.provider):
        world.accept(terms)
    receipt = world.accept(terms, world.rival)
    assert receipt.events["Accepted"]["attempt"] == 1
    world.commit(terms, world.rival)
    world.after(terms)
    world.market.finalize(*world.args(terms), {"from": world.rival})
    assert world.owed(world.rival) == (PRICE, world.bounty(terms))


def test_slash_late__last_attempt__refunds_price_and_bounty(world: Market) -> None:
    terms = world.accepted(attempts=1)
    world.after(terms)
    receipt = world.market.slashLate(*world.args(terms), {"from": world.keeper})
    assert receipt.events["AttemptLost"]["openUntil"] == 0
    assert receipt.events["Refunded"]["price"] == PRICE
    assert world.status(terms) is JobStatus.REFUNDED
    assert world.owed(world.client) == (PRICE, world.bounty(terms))
    with world.reverts("WrongStatus", world.key(terms), 5, 1):
        world.accept(terms, world.rival)


def test_slash_late__reopened_and_nobody_comes__refunds(world: Market) -> None:
    terms = world.accepted()
    world.after(terms)
    world.market.slashLate(*world.args(terms), {"from": world.keeper})
    world.after(terms)
    world.market.refund(*world.args(terms), {"from": world.keeper})
    assert world.owed(world.client) == (PRICE, 0)
    assert world.owed(world.keeper) == (0, world.bounty(terms))


def test_slash_late__reopened__client_may_cancel(world: Market) -> None:
    terms = world.accepted()
    world.after(terms)
    world.market.slashLate(*world.args(terms), {"from": world.keeper})
    world.market.cancel(*world.args(terms), {"from": world.client})
    assert world.status(terms) is JobStatus.CANCELLED


def test_slash_late__claim_of_the_second_attempt__differs(world: Market) -> None:
    """The same root by the same client's job is another claim in another attempt."""
    terms = world.accepted(attempts=3)
    world.after(terms)
    world.market.slashLate(*world.args(terms), {"from": world.keeper})
    world.accept(terms, world.rival)
    world.commit(terms, world.rival)
    current = world.market.claimOf(world.key(terms))
    assert current == "0x" + world.claim(terms, world.rival, 1).hex()
    assert current != "0x" + world.claim(terms, world.rival, 0).hex()
