"""JobMarket and ProviderRegistry: what the dispute game, and it alone, may do."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.spec.job import (
    DEAD,
    TRACE_FACTOR,
    Fault,
    JobStatus,
    JobTerms,
    reject_split,
    trace_seconds,
    void_fee,
)
from tests.contracts.market import PRICE, RESULT, Market
from tests.contracts.world import DEPOSIT, STAKE

pytestmark = pytest.mark.chain

DEAD_ADDRESS = "0x" + DEAD.hex()
GAS = 10**15


# --- hold and release ----------------------------------------------------------------------------


def test_hold__in_the_window__counts_and_emits(world: Market) -> None:
    terms = world.committed()
    key, claim = world.key(terms), world.claim(terms, world.provider)
    for count in (1, 2):
        event = world.game.hold(key, claim, {"from": world.stranger}).events["HoldsChanged"]
        assert (event["jobHash"], event["claimId"]) == ("0x" + key.hex(), "0x" + claim.hex())
        assert event["holds"] == count
    assert world.market.jobOf(key)[5] == 2


def test_hold__at_the_clock__is_the_challengers(world: Market) -> None:
    terms = world.committed()
    world.at(world.clock(terms))
    world.game.hold(world.key(terms), world.claim(terms, world.provider), {"from": world.stranger})
    assert world.market.jobOf(world.key(terms))[5] == 1


def test_hold__after_the_clock__reverts(world: Market) -> None:
    terms = world.committed()
    clock = world.clock(terms)
    world.after(terms)
    with world.reverts("TooLate", clock + 1, clock):
        world.game.hold(
            world.key(terms), world.claim(terms, world.provider), {"from": world.stranger}
        )


def test_hold__another_claim__reverts(world: Market) -> None:
    terms = world.committed()
    other = world.claim(terms, world.rival)
    with world.reverts("WrongClaim", other, world.claim(terms, world.provider)):
        world.game.hold(world.key(terms), other, {"from": world.stranger})


def test_hold__not_committed__reverts(world: Market) -> None:
    terms = world.accepted()
    with world.reverts("WrongStatus", world.key(terms), 2, 3):
        world.game.hold(
            world.key(terms), world.claim(terms, world.provider), {"from": world.stranger}
        )


def test_release__more_than_held__reverts(world: Market) -> None:
    terms = world.committed()
    key, claim = world.key(terms), world.claim(terms, world.provider)
    world.game.hold(key, claim, {"from": world.stranger})
    with world.reverts("HoldsOutOfRange", key, 1):
        world.game.release(key, claim, 2, {"from": world.stranger})


def test_release__several_at_once_after_the_window__counts_down(world: Market) -> None:
    terms = world.committed()
    key, claim = world.key(terms), world.claim(terms, world.provider)
    for _ in range(3):
        world.game.hold(key, claim, {"from": world.stranger})
    world.after(terms)
    event = world.game.release(key, claim, 3, {"from": world.stranger}).events["HoldsChanged"]
    assert event["holds"] == 0


def test_release__claim_of_an_earlier_attempt__reverts(world: Market) -> None:
    terms = world.committed(attempts=3)
    old = world.claim(terms, world.provider)
    world.game.hold(world.key(terms), old, {"from": world.stranger})
    world.reject(terms)
    world.accept(terms, world.rival)
    world.commit(terms, world.rival)
    new = world.claim(terms, world.rival, 1)
    assert world.market.jobOf(world.key(terms))[5] == 0
    with world.reverts("WrongClaim", old, new):
        world.game.release(world.key(terms), old, 1, {"from": world.stranger})
    with world.reverts("WrongClaim", old, new):
        world.game.hold(world.key(terms), old, {"from": world.stranger})


# --- who may ------------------------------------------------------------------------------------


def test_hold__by_another_than_the_game__reverts(world: Market) -> None:
    terms = world.committed()
    claim = world.claim(terms, world.provider)
    with world.reverts("NotGame", world.client, world.game):
        world.market.hold(world.key(terms), claim, {"from": world.client})


def test_release__by_another_than_the_game__reverts(world: Market) -> None:
    terms = world.committed()
    claim = world.claim(terms, world.provider)
    with world.reverts("NotGame", world.provider, world.game):
        world.market.release(world.key(terms), claim, 0, {"from": world.provider})


def test_reject__by_another_than_the_game__reverts(world: Market) -> None:
    terms = world.committed()
    claim = world.claim(terms, world.provider)
    with world.reverts("NotGame", world.client, world.game):
        world.market.reject(*world.args(terms), claim, 1, [], {"from": world.client})


def test_void_job__by_another_than_the_game__reverts(world: Market) -> None:
    terms = world.committed()
    with world.reverts("NotGame", world.client, world.game):
        world.market.voidJob(*world.args(terms), [], {"from": world.client})


def test_queue_opening__by_another_than_the_game__reverts(world: Market) -> None:
    with world.reverts("NotGame", world.client, world.game):
        world.registry.queueOpening(world.provider, 1, {"from": world.client})


# --- reject --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.WRONG, Fault.SILENT, Fault.WITHHELD])
def test_reject__a_fault__splits_the_whole_lock_and_reopens(world: Market, fault: Fault) -> None:
    terms = world.committed()
    world.game.hold(world.key(terms), world.claim(terms, world.provider), {"from": world.stranger})
    token, native = world.lock(terms)
    first, second = token // 4, token // 3 - token // 4
    payouts = [(world.stranger, first, 3 * GAS), (world.keeper, second, GAS)]
    receipt = world.reject(terms, fault=fault, payouts=payouts)
    split = reject_split(token, first + second)
    assert split.burned + split.client + split.others == token
    assert 3 * split.burned >= token
    assert 3 * split.client >= token - 2
    registry = world.registry
    assert world.owed(DEAD_ADDRESS, registry) == (split.burned, 0)
    assert world.owed(world.client, registry) == (split.client, 0)
    assert world.owed(world.stranger, registry) == (first, 3 * GAS)
    assert world.owed(world.keeper, registry) == (second, GAS)
    assert world.free(world.provider) == (STAKE - token, DEPOSIT - 4 * GAS)
    entry = registry.providerOf(world.provider)
    assert (entry[3], entry[5], entry[6], entry[7]) == (0, 0, 0, 1)
    lost = receipt.events["AttemptLost"]
    assert (lost["provider"], lost["attempt"], lost["fault"]) == (world.provider, 0, fault)
    slashed = receipt.events["Slashed"]
    assert (slashed["token"], slashed["native"]) == (token, 4 * GAS)
    assert (slashed["burned"], len(slashed["payouts"])) == (split.burned, 3)
    status, attempt, _, clock, _, holds = world.market.jobOf(world.key(terms))
    assert (status, attempt, holds) == (JobStatus.OPEN, 1, 0)
    assert clock == receipt.timestamp + terms.deal.open_seconds == lost["openUntil"]
    assert int(str(world.market.resultOf(world.key(terms))), 16) == 0
    assert native > 4 * GAS


def test_reject__without_rewards__client_gets_what_does_not_burn(world: Market) -> None:
    terms = world.committed()
    token, _ = world.lock(terms)
    world.reject(terms)
    assert world.owed(world.client, world.registry) == (reject_split(token, 0).client, 0)


def test_reject__long_after_the_window__still_counts(world: Market) -> None:
    terms = world.committed()
    world.game.hold(world.key(terms), world.claim(terms, world.provider), {"from": world.stranger})
    world.at(world.clock(terms) + 10**6)
    world.reject(terms)
    assert world.status(terms) is JobStatus.OPEN


def test_reject__last_attempt__refunds_price_and_bounty(world: Market) -> None:
    terms = world.committed(attempts=1)
    receipt = world.reject(terms)
    assert receipt.events["Refunded"]["price"] == PRICE
    assert world.status(terms) is JobStatus.REFUNDED
    assert world.owed(world.client) == (PRICE, world.bounty(terms))


def test_reject__loser_accepts_again__reverts(world: Market) -> None:
    terms = world.committed()
    world.reject(terms)
    with world.reverts("LostBefore", world.key(terms), world.provider):
        world.accept(terms)


def test_reject__rewards_over_a_third__reverts(world: Market) -> None:
    terms = world.committed()
    most = world.lock(terms)[0] // 3
    with world.reverts("PayoutsTooLarge", most + 1, most):
        world.reject(terms, payouts=[(world.stranger, most, 0), (world.keeper, 1, 0)])


def test_reject__more_gas_than_the_deposit__reverts(world: Market) -> None:
    terms = world.committed()
    most = world.lock(terms)[1]
    with world.reverts("PayoutsTooLarge", most + 1, most):
        world.reject(terms, payouts=[(world.stranger, 0, most), (world.keeper, 0, 1)])


def test_reject__all_gas_of_the_deposit__is_paid(world: Market) -> None:
    terms = world.committed()
    token, native = world.lock(terms)
    world.reject(terms, payouts=[(world.stranger, token // 3, native)])
    assert world.owed(world.stranger, world.registry) == (token // 3, native)
    assert world.free(world.provider) == (STAKE - token, DEPOSIT - native)


def test_reject__lateness_as_fault__reverts(world: Market) -> None:
    terms = world.committed()
    with world.reverts("WrongFault", int(Fault.LATE)):
        world.reject(terms, fault=Fault.LATE)


def test_reject__seventeen_lines__reverts_and_sixteen_pass(world: Market) -> None:
    terms = world.committed()
    line = (world.stranger, 1, 1)
    with world.reverts("TooManyPayouts", 17, 16):
        world.reject(terms, payouts=[line] * 17)
    world.reject(terms, payouts=[line] * 16)
    assert world.owed(world.stranger, world.registry) == (16, 16)


def test_reject__credit_to_nobody__reverts(world: Market) -> None:
    terms = world.committed()
    with world.reverts("ZeroAddress"):
        world.reject(terms, payouts=[("0x" + "00" * 20, 1, 0)])


def test_reject__wrong_claim__reverts(world: Market) -> None:
    terms = world.committed()
    wanted = world.claim(terms, world.provider)
    with world.reverts("WrongClaim", world.claim(terms, world.rival), wanted):
        world.reject(terms, provider=world.rival)


def test_reject__twice__reverts(world: Market) -> None:
    terms = world.committed()
    world.reject(terms)
    with world.reverts("WrongStatus", world.key(terms), 1, 3):
        world.reject(terms)


def test_reject__finalized__reverts(world: Market) -> None:
    terms = world.committed()
    world.after(terms)
    world.market.finalize(*world.args(terms), {"from": world.keeper})
    with world.reverts("WrongStatus", world.key(terms), 4, 3):
        world.reject(terms)


# --- void ----------------------------------------------------------------------------------------


def void(world: Market, terms: JobTerms, payouts: list[tuple[Any, int, int]]) -> Any:
    """The game voids a job."""
    return world.game.voidJob(*world.args(terms), payouts, {"from": world.stranger})


def test_void_job__open__payouts_first_then_the_client(world: Market) -> None:
    terms = world.posted()
    bounty = world.bounty(terms)
    receipt = void(world, terms, [(world.stranger, 5, bounty - 1)])
    assert world.status(terms) is JobStatus.VOIDED
    assert world.owed(world.stranger) == (5, bounty - 1)
    assert world.owed(world.client) == (PRICE - 5, 1)
    event = receipt.events["Voided"]
    assert (event["jobHash"], event["toProvider"]) == ("0x" + world.key(terms).hex(), 0)


def test_void_job__open_and_payouts_over_the_escrow__reverts(world: Market) -> None:
    terms = world.posted()
    with world.reverts("PayoutsTooLarge", 1, 0):
        void(world, terms, [(world.stranger, PRICE + 1, 0)])
    with world.reverts("PayoutsTooLarge", 1, 0):
        void(world, terms, [(world.stranger, 0, world.bounty(terms) + 1)])


def test_void_job__accepted__provider_gets_the_fee_and_its_lock(world: Market) -> None:
    terms = world.accepted()
    void(world, terms, [(world.stranger, 7, 0)])
    fee = void_fee(PRICE, committed=False)
    assert fee == PRICE // 10
    assert world.owed(world.provider) == (fee, 0)
    assert world.owed(world.client) == (PRICE - 7 - fee, world.bounty(terms))
    assert world.free(world.provider) == (STAKE, DEPOSIT)
    entry = world.registry.providerOf(world.provider)
    assert (entry[3], entry[5], entry[6], entry[7]) == (0, 0, 0, 0)
    assert not world.market.hasLost(world.key(terms), world.provider)


def test_void_job__committed__provider_gets_what_the_payouts_leave(world: Market) -> None:
    terms = world.committed()
    world.game.hold(world.key(terms), world.claim(terms, world.provider), {"from": world.stranger})
    void(world, terms, [(world.stranger, 7, 0), (world.keeper, 3, 9)])
    assert world.owed(world.provider) == (PRICE - 10, 0)
    assert world.owed(world.client) == (0, world.bounty(terms) - 9)
    assert world.owed(world.stranger) == (7, 0)
    assert world.owed(world.keeper) == (3, 9)
    assert int(str(world.market.resultOf(world.key(terms))), 16) == 0
    assert world.market.jobOf(world.key(terms))[5] == 0


def test_void_job__dust_escrow__shortfall_comes_from_the_lock(world: Market) -> None:
    terms = world.committed(price_floor=100, price_ceiling=100)
    bounty = world.bounty(terms)
    payouts = [(world.stranger, 60, bounty), (world.keeper, 60, GAS), (world.rival, 1, 1)]
    void(world, terms, payouts)
    assert world.owed(world.stranger) == (60, bounty)
    assert world.owed(world.keeper) == (40, 0)
    assert world.owed(world.keeper, world.registry) == (20, GAS)
    assert world.owed(world.rival) == (0, 0)
    assert world.owed(world.rival, world.registry) == (1, 1)
    assert world.owed(world.provider) == (0, 0)
    assert world.owed(world.client) == (0, 0)
    assert world.free(world.provider) == (STAKE - 21, DEPOSIT - GAS - 1)


def test_void_job__payouts_over_escrow_and_lock__reverts(world: Market) -> None:
    terms = world.committed()
    token, native = world.lock(terms)
    with world.reverts("PayoutsTooLarge", token + 1, token):
        void(world, terms, [(world.stranger, PRICE + token + 1, 0)])
    most = native + world.bounty(terms)
    with world.reverts("PayoutsTooLarge", 1, 0):
        void(world, terms, [(world.stranger, 0, most), (world.keeper, 0, 1)])


def test_void_job__seventeen_lines_or_nobody__reverts(world: Market) -> None:
    terms = world.committed()
    with world.reverts("TooManyPayouts", 17, 16):
        void(world, terms, [(world.stranger, 0, 0)] * 17)
    with world.reverts("ZeroAddress"):
        void(world, terms, [("0x" + "00" * 20, 0, 1)])


@pytest.mark.parametrize("end", ["none", "finalized", "refunded", "cancelled", "voided"])
def test_void_job__not_live__reverts(world: Market, end: str) -> None:
    terms = world.terms()
    status = 0
    if end == "finalized":
        world.committed()
        world.after(terms)
        world.market.finalize(*world.args(terms), {"from": world.keeper})
        status = 4
    elif end == "refunded":
        world.posted()
        world.after(terms)
        world.market.refund(*world.args(terms), {"from": world.keeper})
        status = 5
    elif end == "cancelled":
        world.posted()
        world.market.cancel(*world.args(terms), {"from": world.client})
        status = 6
    elif end == "voided":
        world.posted()
        void(world, terms, [])
        status = 7
    with world.reverts("WrongStatus", world.key(terms), status, 1):
        void(world, terms, [])


# --- the opening queue ---------------------------------------------------------------------------


def queued(world: Market, work: int) -> tuple[int, int]:
    """The game queues an opening; when, and the end of the queue."""
    receipt = world.game.queueOpening(world.provider, work, {"from": world.stranger})
    event = receipt.events["OpeningQueued"]
    assert (event["provider"], event["traceSeconds"]) == (world.provider, trace_seconds(work))
    assert world.registry.providerOf(world.provider)[4] == event["queueEnd"]
    return int(receipt.timestamp), int(event["queueEnd"])


def test_queue_opening__idle_then_busy__deadlines_follow_each_other(world: Market) -> None:
    work = 10_001
    seconds = trace_seconds(work)
    assert seconds == -(-TRACE_FACTOR * work // 1000) == 51
    for nonce in (1, 2, 3):
        world.accepted(nonce=nonce, work_ms=work)
    now, first = queued(world, work)
    assert first == now + seconds
    _, second = queued(world, work)
    assert second == first + seconds
    late = now + 1000
    world.at(late)
    assert queued(world, work) == (late, late + seconds)


def test_queue_opening__many_claims_at_once__last_deadline_is_their_sum(world: Market) -> None:
    """A mass challenge: the queue's length is that of the backlog, whatever the order."""
    work = 100
    for nonce in range(20):
        world.accepted(nonce=nonce, work_ms=work)
    ends = [queued(world, work) for _ in range(20)]
    start = ends[-1][1] - 20 * trace_seconds(work)
    assert 0 <= ends[-1][0] - start <= 60
    assert world.registry.providerOf(world.rival)[4] == 0


def test_queue_opening__settled_claims__delay_nobody(world: Market) -> None:
    """A liar's own big jobs, challenged and over, are no reason for its next one to wait."""
    big = [world.committed(nonce=nonce, work_ms=1_000_000) for nonce in (1, 2)]
    small = world.committed(nonce=3, work_ms=1_001)
    for _ in big:
        queued(world, 1_000_000)
    for terms in big:
        world.after(terms)
        world.market.finalize(*world.args(terms), {"from": world.keeper})
    now, end = queued(world, 1_001)
    assert end == now + trace_seconds(1_001) == now + 6
    assert world.registry.providerOf(world.provider)[3] == small.deal.work_ms


def test_queue_opening__works_of_odd_milliseconds__leave_time_for_all(world: Market) -> None:
    """Rounding up the sum gives whoever traces in order of challenge what it needs."""
    works = [1, 199, 201, 333, 1_001]
    for nonce, work in enumerate(works):
        world.accepted(nonce=nonce, work_ms=work)
    done = 0.0
    for work in works:
        now, end = queued(world, work)
        done = max(done, now) + TRACE_FACTOR * work / 1000
        assert done <= end <= now + trace_seconds(sum(works))


def test_reject__second_attempts_claim__ends_that_one_only(world: Market) -> None:
    terms = world.committed(attempts=3)
    world.reject(terms)
    world.accept(terms, world.rival)
    world.commit(terms, world.rival, RESULT)
    with world.reverts("WrongClaim"):
        world.reject(terms, attempt=0)
    world.reject(terms, provider=world.rival, attempt=1)
    status, attempt = world.market.jobOf(world.key(terms))[:2]
    assert (int(status), int(attempt)) == (JobStatus.OPEN, 2)
    assert world.free(world.rival) == (STAKE - world.lock(terms)[0], DEPOSIT)
