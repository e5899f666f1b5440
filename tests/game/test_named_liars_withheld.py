"""Providers that keep the data to themselves fall as for silence; whoever answers is paid for it
and loses nothing."""

from __future__ import annotations

import pytest

from protocol.spec.answers import Part
from protocol.spec.demands import fee_of
from protocol.spec.job import Fault, JobStatus
from tests.actors.withholder import Withholder
from tests.contracts.market import Market, address
from tests.court.onchain import CourtTable
from tests.game.settlement import Bond, Purses, answered, finalized, first_bond, withheld
from tests.game.world import case

pytestmark = pytest.mark.chain


def purses_of(world: Market) -> Purses:
    """Of everybody, before anything happens."""
    return Purses(world, world.brownie.accounts[1:6])


@pytest.mark.parametrize("right", [True, False])
def test_withheld_output__right_or_garbage__falls_by_the_demands_clock(
    world: Market, right: bool
) -> None:
    """Whether what nobody sees is right does not matter."""
    of, purses = case("mlp"), purses_of(world)
    liar = Withholder(of, address(world.provider), right=right)
    table = CourtTable(world, of, liar.claimed)
    keeper, rival = address(world.keeper), address(world.rival)
    number = table.demand(Part.OUTPUT, 0, 0, who=keeper)
    with world.reverts("Held", world.key(table.terms), 1):
        world.after(table.terms)
        world.market.finalize(*world.args(table.terms), {"from": world.provider})
    table.now = table._chain_time()
    table.late(number)
    table.timeout(number, who=rival)
    assert table.claim.fault is Fault.WITHHELD
    assert world.status(table.terms) is JobStatus.OPEN
    table.collect_fees([number], who=rival)
    deal = table.terms.deal
    fee = {keeper: (0, fee_of(deal))}
    purses.check(withheld(deal, liar.address, rival, keeper), fee)


def test_withheld_constants__beside_a_challenge__the_challenger_is_rewarded(
    world: Market,
) -> None:
    """A watchtower that lacks the constants demands them and challenges: other bytes are no
    answer, and an opening does not save the claim."""
    of, purses = case("mlp"), purses_of(world)
    liar = Withholder(of, address(world.provider))
    table = CourtTable(world, of, liar.claimed)
    keeper, rival = address(world.keeper), address(world.rival)
    number = table.demand(Part.CONSTANT, 0, 0, who=rival)
    challenge = table.move("challenge", who=keeper)
    assert liar.answer(table, challenge)
    with world.reverts("WrongCommitment"):
        table._call("answer", Part.CONSTANT, 0, 0, liar.other_constant(), who=liar.address)
    table.now = table._chain_time()
    table.late(number)
    table.timeout(number, who=rival)
    assert table.claim.fault is Fault.WITHHELD
    table.collect(challenge)
    table.collect_fees([number], who=rival)
    deal = table.terms.deal
    bonds, fee = [Bond(keeper, first_bond(deal), 1, deal.gas_price)], {rival: (0, fee_of(deal))}
    purses.check(withheld(deal, liar.address, rival, rival, bonds), fee)


def test_demands__all_answered_by_an_honest_provider__cost_whoever_asks(world: Market) -> None:
    of, purses = case("mlp"), purses_of(world)
    table = CourtTable(world, of, of.truth)
    keeper, provider = address(world.keeper), address(world.provider)
    parts = [(Part.OUTPUT, 0), (Part.CONSTANT, 0), (Part.INPUT, 0), (Part.TEMPLATE, 1)]
    parts.append((Part.OUTPUT, 9))
    for part, item in parts:
        table.demand(part, item, 0, who=keeper)
    shown = [table.answer(part, item, 0, who=provider) for part, item in parts]
    assert shown[-1] == 0, "what does not exist is shown not to"
    assert min(shown[:-1]) > 0
    world.after(table.terms)
    world.market.finalize(*world.args(table.terms), {"from": world.provider})
    deal = table.terms.deal
    purses.check(answered(deal, keeper, provider, shown), finalized(deal, provider))
