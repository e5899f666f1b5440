"""Silence at each move of a whole dispute: the provider's clock ends it, a second after which no
answer counts, and the challenger has the reward that a proof would have brought."""

from __future__ import annotations

from functools import cache

import pytest

from protocol.spec.dispute import Wait
from protocol.spec.errors import MoveRefused
from protocol.spec.job import Fault, JobStatus
from tests.actors.challenger import Challenger
from tests.actors.named import NAMED
from tests.actors.provider import Provider, Silent
from tests.actors.table import Table
from tests.contracts.market import Market, address
from tests.game.settlement import fallen
from tests.game.strict import StrictTable
from tests.game.world import ALICE, PROVIDER, case, table_of

LIARS = {
    "one flipped bit in one element of a middle layer": 5,
    "a number in a state that no slice write made": 4,
    "a right trace with a wrong output": 2,
    "a state without preimage where it is the only one": 3,
}
"""Liars who could answer everything, and how many answers a whole dispute asks of them:
through steps, operations and blocks; through states; through outputs; through many steps."""

EACH_MOVE = [(name, answers) for name, most in LIARS.items() for answers in range(most)]


def to_silence(table: Table, number: int, challenger: Challenger, provider: Silent) -> None:
    """Until the provider's side says nothing any more."""
    for _ in range(100):
        if table.challenge_of(number).wait is Wait.CHALLENGER:
            challenger.move(table, number)
        elif not provider.answer(table, number):
            return
    raise AssertionError("the provider never fell silent")


@cache
def answers_of(name: str) -> int:
    """How many answers the liar gives until the challenger's proof."""
    liar = NAMED[name]
    of = case(liar.program)
    claimed = liar.lie(of)
    table = table_of(of, claimed)
    number = table.move("challenge", who=ALICE)
    challenger, provider, given = Challenger(of, ALICE), Provider(claimed, PROVIDER), 0
    while not table.claim.fallen:
        if table.challenge_of(number).wait is Wait.CHALLENGER:
            challenger.move(table, number)
        else:
            assert provider.answer(table, number)
            given += 1
    return given


@pytest.mark.parametrize("name", LIARS)
def test_answers__of_a_whole_dispute__are_as_many_as_are_withheld_below(name: str) -> None:
    assert answers_of(name) == LIARS[name]


@pytest.mark.chain
@pytest.mark.parametrize("name, answers", EACH_MOVE)
def test_silence__at_this_move__is_slashed_by_the_clock(
    world: Market, name: str, answers: int
) -> None:
    liar = NAMED[name]
    of = case(liar.program)
    claimed = liar.lie(of)
    table = StrictTable(world, of, claimed)
    me, provider = address(world.keeper), address(world.provider)
    number = table.move("challenge", who=me)
    to_silence(table, number, Challenger(of, me), Silent(claimed, provider, answers))
    # Up to its clock nobody else ends the turn; after it the answer comes too late.
    deadline = table.game.deadline_of(table.claim_id, number)
    table.wait_until(deadline - 2)
    assert table.refused("timeout_provider", number) == "TooEarly"
    table.silence(number)
    with pytest.raises(MoveRefused, match="TooLate"):
        Provider(claimed, provider).answer(table, number)
    table.move("timeout_provider", number)
    assert table.claim.fault is Fault.SILENT
    assert world.status(table.terms) is JobStatus.OPEN
    table.collect(number)
    assert table.answered[number] == answers
    bonds, caller = table.bonds(number), table.anybody
    table.purses.check(fallen(table.deal, provider, Fault.SILENT, bonds, caller=caller))
