"""Every named liar against one honest challenger: it falls, by its fault, where it should."""

from __future__ import annotations

import pytest

from protocol.spec.trace import Place
from tests.actors.challenger import Challenger, play
from tests.actors.named import NAMED
from tests.actors.provider import Stubborn
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
    assert [line.to for line in table.claim.payouts] == [ALICE]
    assert table.claim.payouts[0].token == LOCK // 3
