"""Liars that answer with what was not asked for: nothing counts but the preimage, and the clock
runs on."""

from __future__ import annotations

import pytest

from protocol.spec.dispute import Wait
from protocol.spec.job import Fault
from tests.actors.challenger import Challenger, play
from tests.actors.evasive import Evasive
from tests.actors.named import NAMED
from tests.actors.provider import Provider
from tests.contracts.market import Market, address
from tests.game.settlement import fallen
from tests.game.strict import StrictTable
from tests.game.world import case

pytestmark = pytest.mark.chain

LIAR = NAMED["one flipped bit in one element of a middle layer"]


@pytest.mark.parametrize("honestly", [2, 3, 4])
def test_evasive__anything_but_the_preimage__is_refused_and_the_clock_decides(
    world: Market, honestly: int
) -> None:
    """It answers honestly so many times, then evades: at inner nodes, and at the block."""
    of = case(LIAR.program)
    claimed = LIAR.lie(of)
    table = StrictTable(world, of, claimed)
    me, liar = address(world.keeper), address(world.provider)
    number = table.move("challenge", who=me)
    challenger = Challenger(of, me)
    good, evasive = Provider(claimed, liar), Evasive(claimed, liar)
    given = 0
    while given < honestly:
        if table.challenge_of(number).wait is Wait.CHALLENGER:
            challenger.move(table, number)
        else:
            assert good.answer(table, number)
            given += 1
    play(table, number, challenger, evasive)
    assert table.claim.fault is Fault.SILENT
    assert {"WrongTurn", "WrongNode"} <= set(evasive.tried)
    assert set(evasive.tried) & {"WrongChildren", "NotOneBlock"}
    assert table.answered[number] == honestly
    table.collect(number)
    bonds, caller = table.bonds(number), table.anybody
    table.purses.check(fallen(table.deal, liar, Fault.SILENT, bonds, caller=caller))
