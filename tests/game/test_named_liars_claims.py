"""Whose claim it is: strangers who open it, and what is left of an attempt that was lost."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.spec.dispute import Wait
from protocol.spec.job import Fault, JobStatus
from protocol.spec.trace import Place, Tree
from tests.actors.challenger import Challenger, play
from tests.actors.named import MIDDLE, NAMED
from tests.actors.provider import Provider, Stubborn
from tests.actors.replayer import Replayer
from tests.actors.stranger import Stranger
from tests.actors.walker import Walker, lead
from tests.contracts.market import Market, address, terms_tuple
from tests.game.settlement import defeated, fallen, finalized
from tests.game.strict import NextAttempt, StrictTable
from tests.game.world import case

pytestmark = pytest.mark.chain

PLACE = Place(Tree.OPERATION_BLOCKS, 1, MIDDLE, 1)


def stand(table: StrictTable, number: int, provider: Any) -> None:
    """The challenger stalls and is defeated; the provider finalizes."""
    world = table.world
    table.silence(number)
    table.move("timeout_challengers", [number], who=address(world.stranger))
    world.after(table.terms)
    world.market.finalize(*world.args(table.terms), {"from": provider})
    assert world.status(table.terms) is JobStatus.FINALIZED


def test_open__by_strangers_with_junk__changes_nothing(world: Market) -> None:
    """Whoever may open another's claim opens garbage under it, and the provider has lost."""
    of = case("layered")
    table = StrictTable(world, of, of.truth)
    me, provider = address(world.keeper), address(world.provider)
    number = table.move("challenge", who=me)
    strangers = [Stranger(of, address(a)) for a in (world.keeper, world.rival, world.client)]
    assert [each.open(table, number) for each in strangers] == ["NotProvider"] * 3
    honest = Provider(of.truth, provider)
    assert honest.answer(table, number)
    assert table.claim.steps_root == of.truth.root(Tree.STEPS)
    walker = Walker(of, me, PLACE)
    assert walker.move(table, number)
    assert table.challenge_of(number).wait is Wait.STEP
    assert [each.open(table, number) for each in strangers] == ["NotProvider"] * 3
    lead(table, {number: walker}, honest)
    stand(table, number, world.provider)
    closer = address(world.stranger)
    table.purses.check(
        defeated(table.deal, provider, closer, table.bonds(number)),
        finalized(table.deal, provider),
    )


def test_old_attempt__every_move_of_it__cannot_touch_the_new_claim(world: Market) -> None:
    of = case("layered")
    claimed = NAMED["one flipped bit in one element of a middle layer"].lie(of)
    first = StrictTable(world, of, claimed)
    me, liar, honest = (address(a) for a in (world.keeper, world.provider, world.rival))
    old = first.move("challenge", who=me)
    play(first, old, Challenger(of, me), Stubborn(claimed, liar))
    assert first.claim.fault is Fault.WRONG
    with world.reverts("LostBefore", world.key(first.terms), world.provider):
        world.accept(first.terms)
    second = NextAttempt(first, of, of.truth)
    terms, replayer = terms_tuple(second.terms), Replayer(first)
    sender = {"from": world.keeper}

    # The old claim: nothing works any more but to take the bond back, once.
    for move, call in replayer.calls(first.claim_id).items():
        with world.reverts("HasFallen"):
            call(sender)
        assert not second.claim.fallen, move
    _, native = world.game.bondOf(first.claim_id, terms[1])
    with world.reverts("WrongClaim"):
        world.game.challenge(terms, first.claim_id, {**sender, "value": native})
    first.collect(old)
    for call in replayer.calls(first.claim_id).values():
        with world.reverts("NotLive"):
            call(sender)
    assert first.refused_collect(old) == "NotLive"

    # The new claim has no challenge of that number.
    for move, call in replayer.calls(second.claim_id).items():
        with world.reverts("WrongTerms" if move == "timeoutProvider" else "NotLive"):
            call(sender)
    with world.reverts("HasNotFallen"):
        world.game.collect(second.claim_id, 1, sender)

    # It gets one; whatever was true of the old claim, at each turn, is not of the new one.
    second.now = int(world.brownie.chain[-1].timestamp)
    number = second.move("challenge", who=me)
    assert number == old
    answers, walker = Provider(of.truth, honest), Walker(of, me, PLACE)
    refusals, turns = set(), set()
    for _ in range(40):
        x = second.challenge_of(number)
        if (x.tree, x.wait) not in turns:
            refusals |= replayer.moves_on(second)
        turns.add((x.tree, x.wait))
        if second.challenge_of(number).wait is not Wait.CHALLENGER:
            assert answers.answer(second, number)
        elif not walker.move(second, number):
            break
    assert refusals >= {"NotProvider", "WrongTurn", "WrongNode"}
    x = second.challenge_of(number)
    assert Place(x.tree, x.step, x.item, x.index) == PLACE
    with world.reverts("WrongCommitment"):
        replayer.calls(second.claim_id)["prove"](sender)
    stand(second, number, world.rival)
    lost = fallen(first.deal, liar, Fault.WRONG, first.bonds(old))
    closed = defeated(second.deal, honest, address(world.stranger), second.bonds(number))
    second.purses.check(lost, closed, finalized(second.deal, honest))
