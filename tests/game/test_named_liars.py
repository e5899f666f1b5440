"""Every named liar against one honest challenger: it falls, by its fault, where it should."""

from __future__ import annotations

import pytest

from protocol.spec.job import Fault, JobStatus
from protocol.spec.trace import Place
from tests.actors.challenger import Challenger, play
from tests.actors.named import NAMED
from tests.actors.provider import Stubborn
from tests.actors.table import NOBODY
from tests.contracts.market import Market, address
from tests.game.settlement import fallen
from tests.game.strict import StrictTable
from tests.game.world import ALICE, LOCK, PROVIDER, case, table_of


@pytest.mark.parametrize("name", NAMED)
def test_named_liar__in_the_twin__falls_where_it_should(name: str) -> None:
    liar = NAMED[name]
    of = case(liar.program)
    claimed = liar.lie(of)
    table = table_of(of, claimed)
    number = table.move("challenge", who=ALICE)
    play(table, number, Challenger(of, ALICE), Stubborn(claimed, PROVIDER))
    x = table.challenge_of(number)
    assert table.claim.fault is liar.fault
    assert Place(x.tree, x.step, x.item, x.index) == liar.ends
    assert table.moves <= 24
    callers = [NOBODY] if liar.fault is Fault.SILENT else []
    assert [line.to for line in table.claim.payouts] == [ALICE, *callers]
    assert table.claim.payouts[0].token == LOCK // 3


@pytest.mark.chain
@pytest.mark.parametrize("name", NAMED)
def test_named_liar__on_the_chain__loses_its_stake_to_whom_the_rules_say(
    world: Market, name: str
) -> None:
    liar = NAMED[name]
    of = case(liar.program)
    claimed = liar.lie(of)
    table = StrictTable(world, of, claimed)
    me, provider = address(world.keeper), address(world.provider)
    number = table.move("challenge", who=me)
    play(table, number, Challenger(of, me), Stubborn(claimed, provider))
    assert table.claim.fault is liar.fault
    assert table.refusals == ([liar.refused] if liar.refused else [])
    assert world.status(table.terms) is JobStatus.OPEN
    assert world.market.hasLost(world.key(table.terms), world.provider)
    table.collect(number)
    caller = table.anybody if liar.fault is Fault.SILENT else None
    bonds = table.bonds(number)
    table.purses.check(fallen(table.deal, provider, liar.fault, bonds, caller=caller))
    # The honest side is out of nothing: gas is repaid at the job's price.
    repaid = table.claim.payouts[0].native
    assert table.spent[me] * table.deal.gas_price <= repaid
