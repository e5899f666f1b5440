"""Providers that keep the data to themselves: what nobody can check nobody can challenge.

A demand on the chain is due by its clock; unanswered, the claim falls as for silence.  Whoever
answers is paid for it and loses nothing.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.spec import trees
from protocol.spec.answers import Part
from protocol.spec.demands import fee_of
from protocol.spec.job import Fault, JobStatus
from tests.actors.provider import Provider
from tests.contracts.market import Market, address
from tests.court.onchain import CourtTable, answerer_of
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
    claimed = of.truth if right else replace(of.truth, outputs=[trees.keccak256(b"garbage")])
    table = CourtTable(world, of, claimed)
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
    purses.check(withheld(deal, address(world.provider), rival, keeper), fee)


def test_withheld_constants__beside_a_challenge__the_challenger_is_rewarded(
    world: Market,
) -> None:
    """A watchtower that lacks the constants demands them and challenges: other bytes are no
    answer, and an opening does not save the claim."""
    of, purses = case("mlp"), purses_of(world)
    table = CourtTable(world, of, of.truth)
    keeper, rival, liar = (address(a) for a in (world.keeper, world.rival, world.provider))
    number = table.demand(Part.CONSTANT, 0, 0, who=rival)
    challenge = table.move("challenge", who=keeper)
    assert Provider(of.truth, liar).answer(table, challenge)
    constants = [x.copy() for x in of.example.constants]
    constants[0][0, 0] ^= 1
    lost = replace(of, example=replace(of.example, constants=constants))
    wrong = answerer_of(lost).answer(Part.CONSTANT, 0, 0)
    with world.reverts("WrongCommitment"):
        table._call("answer", Part.CONSTANT, 0, 0, wrong, who=liar)
    table.now = table._chain_time()
    table.late(number)
    table.timeout(number, who=rival)
    assert table.claim.fault is Fault.WITHHELD
    table.collect(challenge)
    table.collect_fees([number], who=rival)
    deal = table.terms.deal
    bonds, fee = [Bond(keeper, first_bond(deal), 1, deal.gas_price)], {rival: (0, fee_of(deal))}
    purses.check(withheld(deal, liar, rival, rival, bonds), fee)


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
