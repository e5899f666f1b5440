"""Several challengers of one lie: who is rewarded, who is made whole, who loses a bond."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.spec.dispute import MADE_WHOLE, MAX_MOVES, MOVE_GAS, Wait, native_bond
from protocol.spec.errors import MoveRefused
from protocol.spec.job import DEAD, Fault, JobStatus
from protocol.spec.limits import GWEI
from protocol.spec.strategy import Move, Prove
from protocol.spec.trace import Trace
from tests.actors.case import Case
from tests.actors.challenger import Challenger, play, play_all
from tests.actors.colluder import Colluder
from tests.actors.named import NAMED
from tests.actors.provider import Provider, Stubborn
from tests.actors.sybil import Sybil
from tests.contracts.market import Market, address
from tests.game.calldata import call_of
from tests.game.settlement import Bond, defeated, fallen
from tests.game.strict import ANSWERS, StrictTable
from tests.game.world import case

pytestmark = pytest.mark.chain

LIAR = NAMED["one flipped bit in one element of a middle layer"]


def lied(world: Market, **deal: Any) -> tuple[StrictTable, Case, Trace]:
    """A claim with one flipped bit."""
    of = case(LIAR.program)
    claimed = LIAR.lie(of)
    return StrictTable(world, of, claimed, **deal), of, claimed


def to_the_proof(
    table: StrictTable, number: int, challenger: Challenger, provider: Provider
) -> Prove:
    """Plays to where the challenger's next move is the proof, and gives it."""
    for _ in range(60):
        if table.challenge_of(number).wait is not Wait.CHALLENGER:
            assert provider.answer(table, number)
            continue
        move: Move = challenger.moves(table, number)[0]
        if isinstance(move, Prove):
            return move
        table.make(number, move, challenger.address)
    raise AssertionError("no proof after 60 moves")


def test_two_honest_challengers__the_later_proves__the_earlier_is_rewarded(world: Market) -> None:
    """Whoever sends the proof, and however far the other came: the second is made whole."""
    table, of, claimed = lied(world)
    one, two, liar = (address(a) for a in (world.keeper, world.rival, world.provider))
    first = table.move("challenge", who=one)
    second = table.move("challenge", who=two)
    # The second is always a move ahead.
    players = {second: Challenger(of, two), first: Challenger(of, one)}
    play_all(table, players, Stubborn(claimed, liar))
    assert table.claim.fault is Fault.WRONG
    assert [name for name, *_ in table.log if name == "prove"] == ["prove"]
    table.collect(first)
    table.collect(second)
    table.purses.check(fallen(table.deal, liar, Fault.WRONG, table.bonds(first, second), by=1))
    consolation, reward = table.claim.payouts
    assert reward.token > 30 * consolation.token > 0
    for line in (reward, consolation):
        assert table.spent[line.to] * table.deal.gas_price <= line.native, "made whole"


def test_colluder__challenges_first_and_abandons__the_honest_one_wins_all_the_same(
    world: Market,
) -> None:
    """Its bond is gone, a fifth of it burned; who relied on it could not challenge any more."""
    table, of, claimed = lied(world)
    colluder, honest, liar = (address(a) for a in (world.rival, world.keeper, world.provider))
    abandoned = Colluder(of, colluder).challenge(table)
    own = table.move("challenge", who=honest)
    provider, challenger = Stubborn(claimed, liar), Challenger(of, honest)
    assert provider.answer(table, own)
    # The window passes; the honest one goes on within its own clock.
    table.wait_until(table.claim.window_until)
    assert table.refused("challenge", who=address(world.client)) == "TooLate"
    challenger.move(table, own)
    assert provider.answer(table, own)
    table.silence(abandoned)
    closer = address(world.stranger)
    table.move("timeout_challengers", [abandoned], who=closer)
    with world.reverts("Held", world.key(table.terms), 1):
        world.market.finalize(*world.args(table.terms), {"from": world.provider})
    play(table, own, challenger, provider)
    assert table.claim.fault is Fault.WRONG
    assert table.refused_collect(abandoned) == "NotLive"
    table.collect(own)
    table.purses.check(
        defeated(table.deal, liar, closer, table.bonds(abandoned)),
        fallen(table.deal, liar, Fault.WRONG, table.bonds(own)),
    )


def test_colluder__alone__is_why_a_watchtower_opens_its_own(world: Market) -> None:
    """A lie that only its friend challenged stands, at the price of the friend's bond."""
    table, of, claimed = lied(world)
    colluder, liar, closer = (address(a) for a in (world.rival, world.provider, world.stranger))
    number = Colluder(of, colluder).challenge(table)
    assert Stubborn(claimed, liar).answer(table, number)
    table.silence(number)
    table.move("timeout_challengers", [number], who=closer)
    assert table.game.credits[DEAD][0] >= table.tokens[number] // 5 > 0
    assert table.refused("challenge", who=address(world.keeper)) == "TooLate"


def test_colluder__challenges_first_and_stays__saves_the_liar_a_third_at_most(
    world: Market,
) -> None:
    """The earliest is rewarded, and may be the liar itself: it wins back less than a third of its
    lock, a third burns, and the honest one, second, is made whole all the same."""
    table, of, claimed = lied(world)
    colluder, honest, liar = (address(a) for a in (world.rival, world.keeper, world.provider))
    first = Colluder(of, colluder).challenge(table)
    own = table.move("challenge", who=honest)
    play(table, own, Challenger(of, honest), Stubborn(claimed, liar))
    assert table.claim.fault is Fault.WRONG
    table.collect(first)
    table.collect(own)
    table.purses.check(fallen(table.deal, liar, Fault.WRONG, table.bonds(first, own), by=1))
    gained, lock = table.purses.gained(), world.lock(table.terms)[0]
    together = gained[liar][0] + gained[colluder][0] - table.tokens[first]
    assert together <= -(lock * 2 // 3)
    assert gained[DEAD][0] * 3 >= lock
    line = table.claim.payouts[0]
    assert line.to == honest
    assert table.spent[honest] * table.deal.gas_price <= line.native


# --- the Sybil -----------------------------------------------------------------------------------


def test_sybil__copies_the_proof_as_a_stranger__earns_nothing(world: Market) -> None:
    """The same calldata, in the same block, for a higher tip: it lands first and changes nothing
    but who pays for it."""
    table, of, claimed = lied(world)
    me, liar = address(world.keeper), address(world.provider)
    number = table.move("challenge", who=me)
    proof = to_the_proof(table, number, Challenger(of, me), Stubborn(claimed, liar))
    data = call_of(table, number, proof)
    table.now += 1
    world.at(table.now)
    mine, copy = Sybil(world, world.client).overtake(world.keeper, data)
    assert (mine["status"], copy["status"]) == ("0x0", "0x1")
    assert int(copy["transactionIndex"], 16) == 0
    table.game.prove(table.claim_id, number, proof.kind, proof.proof, now=table.now)
    assert world.status(table.terms) is JobStatus.OPEN
    table.collect(number)
    table.purses.check(fallen(table.deal, liar, Fault.WRONG, table.bonds(number)))


def test_sybil__copies_the_whole_play__cannot_lead_anothers_challenge(world: Market) -> None:
    """The moves that lead to the proof are the challenger's alone."""
    table, of, claimed = lied(world)
    me, liar = address(world.keeper), address(world.provider)
    number = table.move("challenge", who=me)
    challenger, provider = Challenger(of, me), Stubborn(claimed, liar)
    # Another's dispute has shown every node: the rest of the way is one call.
    other = table.move("challenge", who=address(world.rival))
    to_the_proof(table, other, Challenger(of, address(world.rival)), provider)
    moves = [call_of(table, number, move) for move in challenger.moves(table, number)]
    assert len(moves) >= 5
    for thief in (world.rival, world.client, world.provider):
        with world.reverts("NotChallenger", thief, world.keeper):
            Sybil(world, thief).play(moves)
    receipt = world.game.play(moves, True, {"from": world.keeper})
    assert receipt.events["ClaimFell"]["number"] == number
    reward = world.owed(world.keeper, world.registry)
    lock, _ = world.lock(table.terms)
    assert reward[0] == lock // 3 - lock // 3 // 32


def test_sybil__with_a_challenge_of_its_own__proves_and_is_second_all_the_same(
    world: Market,
) -> None:
    """It copies every move on its own number, one ahead, and its own proof ends the claim: the
    reward is the earliest challenger's."""
    table, of, claimed = lied(world)
    me, sybil, liar = (address(a) for a in (world.keeper, world.rival, world.provider))
    provider = Stubborn(claimed, liar)
    first = table.move("challenge", who=me)
    copy = table.move("challenge", who=sybil)
    honest = Challenger(of, me)
    to_the_proof(table, first, honest, provider)
    to_the_proof(table, copy, Challenger(of, sybil), provider)
    Challenger(of, sybil).move(table, copy)
    assert table.claim.fault is Fault.WRONG
    with pytest.raises(MoveRefused, match="HasFallen"):
        honest.move(table, first)
    table.collect(first)
    table.collect(copy)
    table.purses.check(fallen(table.deal, liar, Fault.WRONG, table.bonds(first, copy), by=1))


# --- nine Sybils before the honest one -----------------------------------------------------------

RULING = 4 * GWEI
"""What gas costs: twice the base fee."""


def besieged(world: Market) -> tuple[StrictTable, Case, Trace, list[int], int]:
    """The liar is client too: its terms have five times the gas price that rules, and in the block
    of its commit its Sybils take all places of those that are made whole.  Their numbers, and the
    honest one's."""
    table, of, claimed = lied(world, gas_price=20 * GWEI)
    table.base_fee = RULING // 2
    sybils = Colluder(of, address(world.rival)).take_all_places(table)
    return table, of, claimed, sybils, table.move("challenge", who=address(world.keeper))


def test_tenth_challenger__whose_challenge_proves__is_made_whole_before_nine_sybils(
    world: Market,
) -> None:
    table, of, claimed, sybils, own = besieged(world)
    honest, liar = address(world.keeper), address(world.provider)
    play(table, own, Challenger(of, honest), Stubborn(claimed, liar))
    assert table.claim.fault is Fault.WRONG
    for number in (*sybils, own):
        table.collect(number)
    bonds = table.bonds(*sybils, own)
    assert bonds[-1].charged == table.answered[own] * MOVE_GAS * RULING
    table.purses.check(fallen(table.deal, liar, Fault.WRONG, bonds, by=len(sybils)))
    line = table.claim.payouts[0]
    assert (line.to, len(table.claim.payouts)) == (honest, MADE_WHOLE + 1)
    assert line.native >= bonds[-1].charged + table.spent[honest] * RULING


def test_tenth_challenger__a_sybil_ends_the_claim_first__has_paid_what_answers_cost(
    world: Market,
) -> None:
    """A Sybil's overdue reveal is at hand to take the proof's place: the honest one is none of
    nine, and has paid its answers, which the terms' gas price makes no dearer."""
    table, of, claimed, sybils, own = besieged(world)
    honest, liar, accomplice = (address(a) for a in (world.keeper, world.provider, world.rival))
    provider = Stubborn(claimed, liar)
    # The Sybil asks, nobody answers: its clock runs out when the honest one is at its proof.
    Colluder(of, accomplice).ask(table, sybils[0], provider)
    table.wait_until(table.now + table.claim.budget // 2)
    proof = to_the_proof(table, own, Challenger(of, honest), provider)
    table.silence(sybils[0])
    table.move("timeout_provider", sybils[0], who=accomplice)
    with pytest.raises(MoveRefused, match="HasFallen"):
        table.make(own, proof, honest)
    for number in (*sybils, own):
        table.collect(number)
    bonds = table.bonds(*sybils, own)
    table.purses.check(fallen(table.deal, liar, Fault.SILENT, bonds, caller=accomplice))
    lost = table.purses.gained()[honest]
    bond = native_bond(table.deal.gas_price)
    assert lost == (table.tokens[own], bond - bonds[-1].charged)
    assert bonds[-1].charged <= MAX_MOVES * MOVE_GAS * RULING


# --- a provider that waits for a dear block ------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "answered", "price"),
    [(2, 500, 4), (0, 500, 1), (500, 2, 4), (700, 0, 1), (700, 500, 1_000)],
)
def test_liar__answers_when_gas_is_dear_or_cheap__is_paid_the_lower_price(
    world: Market, asked: int, answered: int, price: int
) -> None:
    """In gwei; the market's smallest gas price is 1, the terms' is 1,000."""
    world.registry.stake(1, {"from": world.provider, "value": 50 * 10**18})
    table, of, claimed = lied(world, gas_price=1_000 * GWEI)
    honest, liar = address(world.keeper), address(world.provider)
    challenger, provider = Challenger(of, honest), Stubborn(claimed, liar)
    table.base_fee = asked * GWEI
    number = table.move("challenge", who=honest)
    while not table.claim.fallen:
        if table.challenge_of(number).wait is Wait.CHALLENGER:
            table.base_fee = asked * GWEI
            challenger.move(table, number)
        else:
            table.base_fee = answered * GWEI
            assert provider.answer(table, number)
    assert table.claim.fault is Fault.WRONG
    table.collect(number)
    assert set(ANSWERS) - {"reveal"} <= {name for name, _, _ in table.log}
    bond = Bond(honest, table.tokens[number], table.answered[number], price * GWEI)
    assert bond.charged == table.game.credits[liar][1] > 0
    table.purses.check(fallen(table.deal, liar, Fault.WRONG, [bond]))
