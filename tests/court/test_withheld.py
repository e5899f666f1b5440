"""Claims that fall for data, and everything else that ends a claim while demands are open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.spec import trees
from protocol.spec.answers import Part
from protocol.spec.demands import DEMAND_GAS, ILLEGAL_GAS, fee_of
from protocol.spec.dispute import TIMEOUT_GAS, native_bond
from protocol.spec.job import Fault, JobStatus
from tests.actors import liars
from tests.actors.challenger import Challenger, play
from tests.actors.provider import Stubborn
from tests.contracts.market import Market, address, terms_tuple
from tests.court.onchain import VERDICT, CourtTable, answerer_of, payouts_of
from tests.game.world import case

pytestmark = pytest.mark.chain

GWEI = 10**9

LIVE = (JobStatus.OPEN, JobStatus.ACCEPTED, JobStatus.COMMITTED)


def garbage(world: Market) -> CourtTable:
    """A provider that committed a result nobody has the data of."""
    of = case("mlp")
    return CourtTable(world, of, replace(of.truth, outputs=[trees.keccak256(b"garbage")]))


def drained(world: Market, table: CourtTable) -> None:
    """Every unit leaves game, court and market by calls that somebody may make."""
    if world.status(table.terms) is JobStatus.OPEN:
        world.after(table.terms)
        world.market.refund(*world.args(table.terms), {"from": world.stranger})
    for contract in (world.court, world.game, world.market, world.registry):
        for account in world.brownie.accounts[:6]:
            token, native = world.owed(account, contract)
            if token:
                contract.withdraw(account, token, {"from": account})
            if native:
                contract.withdrawNative(account, native, {"from": account})
        contract.sweepBurned({"from": world.stranger})
    for contract in (world.court, world.game, world.market):
        assert int(contract.balance()) == 0
        assert int(world.token.balanceOf(contract)) == 0
    free = [world.free(p) for p in (world.provider, world.rival)]
    assert int(world.registry.balance()) == sum(native for _, native in free)
    assert int(world.token.balanceOf(world.registry)) == sum(token for token, _ in free)


# --- unanswered ----------------------------------------------------------------------------------


def test_timeout__garbage_result__is_withheld_slashed_and_reopened(world: Market) -> None:
    table = garbage(world)
    keeper, rival = address(world.keeper), address(world.rival)
    number = table.demand(Part.OUTPUT, who=keeper)
    assert table.refused_call("timeout", number, who=rival) == "TooEarly"
    table.late(number)
    receipt = table.timeout(number, who=rival)
    event = receipt.events["Withheld"]
    assert (event["number"], event["caller"], event["rewarded"]) == (number, world.rival, number)
    assert (world.status(table.terms), table.claim.fault) == (JobStatus.OPEN, Fault.WITHHELD)
    lock, _ = world.lock(table.terms)
    assert world.owed(world.keeper, world.registry) == (lock // 3, DEMAND_GAS * GWEI)
    assert world.owed(world.rival, world.registry) == (0, TIMEOUT_GAS * GWEI)
    assert int(receipt.gas_used) <= TIMEOUT_GAS
    assert world.registry.providerOf(world.provider)[7] == 1
    assert table.refused_call("timeout", number, who=rival) == "WrongStatus"
    table.collect_fees([number], who=rival)
    assert world.owed(world.keeper, world.court) == (0, fee_of(table.terms.deal))
    assert table.refused_call("collect", [number], who=keeper) == "NotOpen"
    drained(world, table)


def test_timeout__constants_that_its_provider_lacks__is_withheld(world: Market) -> None:
    """Other bytes are no answer: whoever accepts asserts to hold the constants."""
    of = case("mlp")
    lost = replace(of, example=replace(of.example, constants=of.example.constants[::-1]))
    table = CourtTable(world, of, of.truth)
    keeper = address(world.keeper)
    number = table.demand(Part.CONSTANT, 0, 0, who=keeper)
    wrong = answerer_of(lost).answer(Part.CONSTANT, 0, 0)
    with pytest.raises(world.brownie.exceptions.VirtualMachineError):
        table._call("answer", Part.CONSTANT, 0, 0, wrong, who=address(world.provider))
    table.now = table._chain_time()
    table.late(number)
    table.timeout(number, who=keeper)
    assert table.claim.fault is Fault.WITHHELD


def test_timeout__several_open__the_earliest_demander_is_rewarded(world: Market) -> None:
    table = garbage(world)
    who = [address(a) for a in (world.keeper, world.rival, world.stranger)]
    first, second, third = (
        table.demand(Part.OUTPUT, 0, index, who=w) for index, w in enumerate(who)
    )
    header = table.demand(Part.HEADER, who=who[2])
    table.answer(Part.HEADER, who=who[1])
    table.late(header)
    table.timeout(third, who=who[2])
    lock, _ = world.lock(table.terms)
    assert world.owed(world.keeper, world.registry)[0] == lock // 3
    assert world.owed(world.stranger, world.registry) == (0, TIMEOUT_GAS * GWEI)
    table.collect_fees([second], who=who[0])
    table.collect_fees([third, first], who=who[0])
    assert table.court.queues[table.claim.provider].open == 0
    drained(world, table)


def test_timeout__with_challenges_open__the_earliest_challenger_is_rewarded(world: Market) -> None:
    table = garbage(world)
    keeper, rival, stranger = (address(a) for a in (world.keeper, world.rival, world.stranger))
    number = table.demand(Part.OUTPUT, who=stranger)
    one = table.move("challenge", who=keeper)
    two = table.move("challenge", who=rival)
    table.late(number)
    table.timeout(number, who=stranger)
    lock, _ = world.lock(table.terms)
    premium = lock // 3 // 32
    assert [(p.to, p.token) for p in table.claim.payouts] == [
        (keeper, lock // 3 - 2 * premium), (rival, premium), (stranger, 0), (stranger, premium),
    ]  # fmt: skip
    assert table.refused("timeout_provider", one) == "HasFallen"
    assert table.refused("timeout_challengers", [one], who=rival) == "HasFallen"
    assert table.refused("challenge", who=rival) == "WrongStatus"
    assert table.refused("open", one, [], who=address(world.provider)) == "HasFallen"
    for challenge in (two, one):
        table.collect(challenge)
    bond = native_bond(GWEI)
    assert world.owed(world.keeper, world.game) == (5 * table.terms.deal.price_ceiling, bond)
    table.collect_fees([number], who=keeper)
    drained(world, table)


def test_timeout__an_answered_or_unknown_demand__is_refused(world: Market) -> None:
    table = garbage(world)
    keeper = address(world.keeper)
    number = table.demand(Part.HEADER, who=keeper)
    table.answer(Part.HEADER, who=keeper)
    for wrong in (number, number + 1, 0):
        assert table.refused_call("timeout", wrong, who=keeper) == "NotOpen"
    assert table.refused_call("collect", [number], who=keeper) == "HasNotFallen"


# --- other ends ----------------------------------------------------------------------------------


def test_prove__while_demands_are_open__fees_return(world: Market) -> None:
    of = case("mlp")
    claimed = liars.wrong_output(0)(of)
    table = CourtTable(world, of, claimed)
    keeper, rival = address(world.keeper), address(world.rival)
    open_ = [table.demand(Part.OUTPUT, 0, k, who=rival) for k in range(3)]
    challenge = table.move("challenge", who=keeper)
    assert table.refused_call("collect", open_, who=rival) == "HasNotFallen"
    play(table, challenge, Challenger(of, keeper), Stubborn(claimed, address(world.provider)))
    assert table.claim.fault is Fault.WRONG
    good = answerer_of(of).answer(Part.OUTPUT, 0, 1)
    with pytest.raises(world.brownie.exceptions.VirtualMachineError):
        table._call("answer", Part.OUTPUT, 0, 1, good, who=rival)
    table.now = table._chain_time()
    table.late(open_[2])
    assert table.refused_call("timeout", open_[0], who=rival) == "WrongStatus"
    assert table.refused_call("demand", Part.HEADER, 0, 0, who=rival) == "WrongStatus"
    table.collect_fees(open_, who=keeper)
    assert world.owed(world.rival, world.court) == (0, 3 * fee_of(table.terms.deal))
    table.collect(challenge)
    drained(world, table)


def test_fall__an_old_attempts_demand__does_not_act_on_the_next(world: Market) -> None:
    table = garbage(world)
    keeper = address(world.keeper)
    number = table.demand(Part.OUTPUT, who=keeper)
    other = table.demand(Part.OUTPUT, 0, 1, who=keeper)
    table.late(other)
    table.timeout(number, who=keeper)
    world.accept(table.terms, world.rival)
    root = trees.list_root(table.of.truth.outputs)
    world.commit(table.terms, world.rival, root)
    terms, options = terms_tuple(table.terms), {"from": world.keeper}
    with world.reverts("WrongClaim"):
        world.court.timeout(terms, table.claim_id, other, options)
    new = world.claim(table.terms, world.rival, 1, root)
    with world.reverts("NotOpen", new, other):
        world.court.timeout(terms, new, other, options)
    with world.reverts("HasNotFallen", new):
        world.court.collect(new, [other], options)
    world.court.collect(table.claim_id, [other, number], options)
    fee = fee_of(table.terms.deal)
    data = {"from": world.keeper, "value": fee}
    receipt = world.court.demand(terms, new, int(Part.OUTPUT), 0, 0, data)
    assert receipt.events["Demanded"]["number"] == 1
    assert world.market.jobOf(world.key(table.terms))[5] == 1


# --- illegal jobs --------------------------------------------------------------------------------


def test_prove_illegal__while_challenges_and_demands_are_open__the_client_pays(
    world: Market,
) -> None:
    table = garbage(world)
    keeper, rival, stranger = (address(a) for a in (world.keeper, world.rival, world.stranger))
    number = table.demand(Part.OUTPUT, who=rival)
    one, two = (table.move("challenge", who=w) for w in (keeper, rival))
    assert table.refused_call("proveIllegal", False, who=stranger) == "ProvesNothing"
    before = world.free(world.provider)
    lines = table.prove_illegal(who=stranger)
    assert [line.to for line in lines] == [stranger, keeper, rival]
    assert [line.native for line in lines] == [ILLEGAL_GAS * GWEI, 300_000 * GWEI, 300_000 * GWEI]
    assert world.status(table.terms) is JobStatus.VOIDED
    # The bounty goes first, the rest comes from who asserted that the job is legal.
    token, native = world.lock(table.terms)
    short = (ILLEGAL_GAS + 600_000) * GWEI - world.bounty(table.terms)
    assert world.free(world.provider) == (before[0] + token, before[1] + native - short)
    assert world.owed(world.provider) == (table.terms.deal.price_ceiling, 0)
    assert table.refused("timeout_provider", one) == "HasFallen"
    assert table.refused_call("proveIllegal", True, who=stranger) == "WrongStatus"
    for challenge in (one, two):
        table.collect(challenge)
    table.collect_fees([number], who=keeper)
    drained(world, table)


@pytest.mark.parametrize("accepted", [False, True])
def test_prove_illegal__open_or_accepted__is_void_as_far_as_the_money_goes(
    world: Market, accepted: bool
) -> None:
    terms = world.terms(nonce=7)
    world.post(terms)
    if accepted:
        world.accept(terms)
    before = world.free(world.provider)
    arguments = (terms_tuple(terms), 3, VERDICT[True], {"from": world.keeper})
    receipt = world.court.proveIllegal(*arguments)
    event = receipt.events["ProvenIllegal"]
    assert (event["caller"], event["kind"]) == (world.keeper, 3)
    assert bytes.fromhex(str(event["claimId"])[2:]) == bytes(32)
    bounty = world.bounty(terms)
    paid = ILLEGAL_GAS * GWEI if accepted else bounty
    assert payouts_of(receipt) == [(address(world.keeper), 0, paid)]
    assert world.owed(world.keeper)[1] == bounty
    assert world.owed(world.keeper, world.registry)[1] == paid - bounty
    fee = terms.deal.price_ceiling // 10 if accepted else 0
    assert world.owed(world.client) == (terms.deal.price_ceiling - fee, 0)
    assert world.status(terms) is JobStatus.VOIDED
    if accepted:
        token, native = world.lock(terms)
        back = (before[0] + token, before[1] + native - paid + bounty)
        assert world.free(world.provider) == back
    with world.reverts("WrongStatus"):
        world.court.proveIllegal(*arguments)


@pytest.mark.parametrize(
    "status", [s for s in JobStatus if s not in LIVE], ids=lambda status: status.name
)
def test_prove_illegal__not_live__is_refused(world: Market, status: JobStatus) -> None:
    """Before the referee is asked: whatever the proof shows."""
    terms = world.terms(nonce=8)
    by_keeper = {"from": world.keeper}
    if status is not JobStatus.NONE:
        world.post(terms)
    if status is JobStatus.CANCELLED:
        world.market.cancel(*world.args(terms), {"from": world.client})
    if status is JobStatus.REFUNDED:
        world.after(terms)
        world.market.refund(*world.args(terms), by_keeper)
    if status is JobStatus.FINALIZED:
        world.accept(terms)
        world.commit(terms)
        world.after(terms)
        world.market.finalize(*world.args(terms), by_keeper)
    if status is JobStatus.VOIDED:
        world.court.proveIllegal(terms_tuple(terms), 0, VERDICT[True], by_keeper)
    assert world.status(terms) is status
    wanted = (world.key(terms), int(status), int(JobStatus.OPEN))
    for verdict in VERDICT.values():
        with world.reverts("WrongStatus", *wanted):
            world.court.proveIllegal(terms_tuple(terms), 0, verdict, by_keeper)


def test_prove_illegal__dozens_of_challengers__lines_are_bounded_and_gas_too(world: Market) -> None:
    table = garbage(world)
    keeper = address(world.keeper)
    numbers = [table.move("challenge", who=keeper) for _ in range(12)]
    table.now += 1
    lines = table.court.prove_illegal(table.claim_id, True, keeper)
    receipt = table._call("proveIllegal", True, who=keeper)
    assert len(lines) == 10
    assert len(payouts_of(receipt)) == 10
    assert int(receipt.gas_used) <= 600_000
    assert len(numbers) == 12
    for number in numbers:
        table.collect(number)
    assert world.game.balance() == world.owed(world.keeper, world.game)[1]


# --- who may -------------------------------------------------------------------------------------


def test_end__by_anybody_but_the_court__is_refused(world: Market) -> None:
    table = garbage(world)
    deal = terms_tuple(table.terms)[1]
    with world.reverts("NotCourt", world.keeper, world.court):
        world.game.end(table.claim_id, deal, {"from": world.keeper})
    assert world.game.COURT() == world.court == world.market.COURT()
    assert (world.court.MARKET(), world.court.REGISTRY()) == (world.market, world.registry)
    assert world.court.GAME() == world.game


def test_judges_calls__by_anybody_else__are_refused(world: Market) -> None:
    table = garbage(world)
    task, deal = world.args(table.terms)
    key, claim = world.key(table.terms), table.claim_id
    sender = {"from": world.keeper}
    calls: dict[str, tuple[object, ...]] = {
        "hold": (key, claim),
        "release": (key, claim, 0),
        "reject": (task, deal, claim, int(Fault.WITHHELD), []),
        "voidJob": (task, deal, []),
    }
    for name, arguments in calls.items():
        with world.reverts("NotGame", world.keeper, world.game):
            getattr(world.market, name)(*arguments, sender)
    with world.reverts("NotGame", world.court, world.game):
        world.registry.queueOpening.call(world.provider, 1, {"from": world.court})


@pytest.mark.parametrize("missing", [1, 2])
def test_constructor__no_referee__is_refused(world: Market, missing: int) -> None:
    given = [world.market.address, *world.court.referees()]
    given[missing] = "0x" + "00" * 20
    with world.reverts("ZeroAddress"):
        world.project.Court.deploy(*given, {"from": world.deployer})


# --- reentrancy ----------------------------------------------------------------------------------


def test_withdraw_native__calling_back__takes_nothing_twice(world: Market) -> None:
    """Money leaves the court by withdrawals alone, after it was taken off the books."""
    table = garbage(world)
    attacker = world.project.Attacker.deploy({"from": world.deployer})
    terms = terms_tuple(table.terms)
    fee = fee_of(table.terms.deal)
    place = (int(Part.HEADER), 0, 0)
    data = world.court.demand.encode_input(terms, table.claim_id, *place)
    attacker.act(world.court, data, {"from": world.keeper, "value": fee})
    proof = answerer_of(table.of).answer(Part.HEADER, 0, 0)
    world.court.demand(terms, table.claim_id, 8, 0, 0, {"from": world.keeper, "value": fee})
    table.now = table._chain_time()
    table._call("answer", Part.HEADER, 0, 0, proof, who=address(world.provider))
    owed = world.owed(attacker, world.court)[1]
    assert owed == fee - (250_000 + 50 * 256) * GWEI
    again = world.court.withdrawNative.encode_input(attacker, owed)
    attacker.arm(world.court, again)
    attacker.act(world.court, again, {"from": world.keeper})
    assert (attacker.reentered(), attacker.lastSucceeded()) == (1, False)
    assert attacker.balance() == owed
    assert world.court.balance() == fee + world.owed(world.provider, world.court)[1]
