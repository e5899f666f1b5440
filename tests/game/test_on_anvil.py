"""Whole disputes on Anvil, the twin beside the contract, equal after every move."""

from __future__ import annotations

import pytest

from protocol.spec.dispute import Outcome, Wait
from protocol.spec.job import Fault, JobStatus
from tests.actors.challenger import Challenger, play
from tests.actors.false_challenger import FalseChallenger
from tests.actors.provider import Provider, Silent, Stubborn
from tests.contracts.market import Market, address
from tests.game.onchain import ChainTable
from tests.game.test_liars import LIES
from tests.game.world import case

pytestmark = pytest.mark.chain


@pytest.mark.parametrize("name", LIES)
def test_dispute__liar__is_slashed_and_the_money_is_where_it_belongs(
    world: Market, name: str
) -> None:
    program, lie, fault = LIES[name]
    of = case(program)
    claimed = lie(of)
    table = ChainTable(world, of, claimed)
    me = address(world.keeper)
    number = table.move("challenge", who=me)
    play(table, number, Challenger(of, me), Stubborn(claimed, address(world.provider)))
    assert table.claim.fault is fault
    assert world.status(table.terms) is JobStatus.OPEN
    lock, _ = world.lock(table.terms)
    line, *callers = table.claim.payouts
    assert [c.to for c in callers] == ([table.anybody] if fault is Fault.SILENT else [])
    assert world.owed(world.keeper, world.registry) == (lock // 3, line.native)
    table.collect(number)
    assert table.challenge_of(number).outcome is Outcome.COLLECTED
    assert table.refused_collect(number) == "NotLive"


@pytest.mark.parametrize("answers", range(3))
def test_dispute__silence_at_each_move__is_slashed(world: Market, answers: int) -> None:
    of = case("mlp")
    claimed = LIES["a bit of the quantised rows"][1](of)
    table = ChainTable(world, of, claimed)
    me = address(world.keeper)
    number = table.move("challenge", who=me)
    play(table, number, Challenger(of, me), Silent(claimed, address(world.provider), answers))
    assert table.claim.fault is Fault.SILENT


@pytest.mark.parametrize("program", ["alphabet", "counter"])
def test_dispute__false_challenger_at_the_edge__is_defeated(world: Market, program: str) -> None:
    of = case(program)
    table = ChainTable(world, of, of.truth)
    me = address(world.keeper)
    number = table.move("challenge", who=me)
    challenger, provider = FalseChallenger(of, me, 3), Provider(of.truth, address(world.provider))
    challenger.edge = True
    answers = 0
    for _ in range(40):
        if table.challenge_of(number).wait is not Wait.CHALLENGER:
            assert provider.answer(table, number), "an honest provider has every answer"
            answers += 1
        elif not challenger.move(table, number):
            break
    assert answers >= 3
    table.silence(number)
    table.move("timeout_challengers", [number], who=address(world.rival))
    assert world.status(table.terms) is JobStatus.COMMITTED
    world.after(table.terms)
    world.market.finalize(*world.args(table.terms), {"from": world.provider})
    assert world.status(table.terms) is JobStatus.FINALIZED
