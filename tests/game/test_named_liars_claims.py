"""Whose claim it is: strangers who open it, and what is left of an attempt that was lost."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.spec.dispute import Wait
from protocol.spec.job import Fault, JobStatus
from protocol.spec.referee import Proof
from protocol.spec.strategy import below
from protocol.spec.trace import Place, Tree
from tests.actors.challenger import Challenger, play
from tests.actors.forgers import garbage_root
from tests.actors.named import MIDDLE, NAMED
from tests.actors.provider import Provider, Stubborn
from tests.actors.walker import Walker
from tests.contracts.market import Market, address, terms_tuple
from tests.game.onchain import encoded
from tests.game.settlement import defeated, fallen, finalized
from tests.game.strict import NextAttempt, StrictTable
from tests.game.world import case

pytestmark = pytest.mark.chain

PLACE = Place(Tree.OPERATION_BLOCKS, 1, MIDDLE, 1)


def lead(table: StrictTable, number: int, walker: Walker, provider: Provider) -> None:
    """To where the walker goes, the provider answering all the way."""
    for _ in range(100):
        if table.challenge_of(number).wait is not Wait.CHALLENGER:
            assert provider.answer(table, number), "an honest provider has every answer"
        elif not walker.move(table, number):
            return
    raise AssertionError("the walk has no end")


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
    junk = garbage_root(of)
    nodes = list(below(junk.levels(Tree.STEPS), 1, 0))
    strangers = [address(a) for a in (world.keeper, world.rival, world.client)]
    for who in strangers:
        assert table.refused("open", number, nodes, who=who) == "NotProvider"
    honest = Provider(of.truth, provider)
    assert honest.answer(table, number)
    assert table.claim.steps_root == of.truth.root(Tree.STEPS)
    walker = Walker(of, me, PLACE)
    assert walker.move(table, number)
    assert table.challenge_of(number).wait is Wait.STEP
    for who in strangers:
        assert table.refused("open_step", number, 1, nodes, who=who) == "NotProvider"
    lead(table, number, walker, honest)
    stand(table, number, world.provider)
    closer = address(world.stranger)
    table.purses.check(
        defeated(table.deal, provider, closer, table.bonds(number)),
        finalized(table.deal, provider),
    )


def calls_of(world: Market, claim_id: bytes, terms: Any, proof: bytes) -> dict[str, Any]:
    """Every move of the game on challenge 1 of a claim, as calls."""
    game, key = world.game, claim_id
    return {
        "point": lambda o: game.point(key, 1, 1, 1, bytes(32), [], o),
        "enter": lambda o: game.enter(key, 1, terms, int(Tree.OUTPUTS), b"", o),
        "open": lambda o: game.open(key, 1, [bytes(32)] * 2, o),
        "openStep": lambda o: game.openStep(key, 1, 1, [bytes(32)], o),
        "reveal": lambda o: game.reveal(key, 1, [bytes(32)], o),
        "revealBlock": lambda o: game.revealBlock(key, 1, bytes(512), o),
        "prove": lambda o: game.prove(key, 1, terms, int(Proof.ELEMENT), proof, o),
        "timeoutProvider": lambda o: game.timeoutProvider(key, 1, terms, o),
        "timeoutChallengers": lambda o: game.timeoutChallengers(key, [1], o),
    }


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
    terms = terms_tuple(second.terms)
    proof = next(arguments[2] for name, arguments, _ in first.log if name == "prove")
    sender = {"from": world.keeper}

    # The old claim: nothing works any more but to take the bond back, once.
    for move, call in calls_of(world, first.claim_id, terms, encoded(proof)).items():
        with world.reverts("HasFallen"):
            call(sender)
        assert not second.claim.fallen, move
    _, native = world.game.bondOf(first.claim_id, terms[1])
    with world.reverts("WrongClaim"):
        world.game.challenge(terms, first.claim_id, {**sender, "value": native})
    first.collect(old)
    for call in calls_of(world, first.claim_id, terms, encoded(proof)).values():
        with world.reverts("NotLive"):
            call(sender)
    assert first.refused_collect(old) == "NotLive"

    # The new claim has no challenge of that number.
    for move, call in calls_of(world, second.claim_id, terms, encoded(proof)).items():
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
            refusals |= replayed(first, second)
        turns.add((x.tree, x.wait))
        if second.challenge_of(number).wait is not Wait.CHALLENGER:
            assert answers.answer(second, number)
        elif not walker.move(second, number):
            break
    assert refusals >= {"NotProvider", "WrongTurn", "WrongNode"}
    x = second.challenge_of(number)
    assert Place(x.tree, x.step, x.item, x.index) == PLACE
    key = second.claim_id
    with world.reverts("WrongCommitment"):
        world.game.prove(key, number, terms, int(Proof.ELEMENT), encoded(proof), sender)
    stand(second, number, world.rival)
    lost = fallen(first.deal, liar, Fault.WRONG, first.bonds(old))
    closed = defeated(second.deal, honest, address(world.stranger), second.bonds(number))
    second.purses.check(lost, closed, finalized(second.deal, honest))


def replayed(first: StrictTable, second: StrictTable) -> set[str]:
    """Errors of the moves of the old dispute, made on the new claim as it stands now; all but the
    challenge, the proof and the ways into trees, which are those of the program."""
    refused = set()
    for name, arguments, who in first.log:
        if name not in ("challenge", "enter", "prove"):
            refused.add(second.refused(name, *arguments, who=who))
    return refused
