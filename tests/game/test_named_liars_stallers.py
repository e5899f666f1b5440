"""False challengers at each depth of each tree: an honest provider answers them all and gains, a
fifth of what they leave burns, and no clock of theirs makes anybody else late."""

from __future__ import annotations

from typing import Any, Final

import pytest

from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.dispute import CLOSE_GAS, MAX_MOVES, Wait
from protocol.spec.errors import MoveRefused
from protocol.spec.job import DEAD, JobStatus
from protocol.spec.referee import AnyJudged, Proof
from protocol.spec.strategy import where_of
from protocol.spec.trace import Place, Tree, phase_of
from tests.actors.case import Case
from tests.actors.challenger import prover_of
from tests.actors.named import MIDDLE
from tests.actors.provider import Provider
from tests.actors.table import Table
from tests.actors.walker import Walker, lead
from tests.contracts.market import Market, address
from tests.game.settlement import defeated, finalized
from tests.game.strict import StrictTable
from tests.game.world import ALICE, BOB, PROVIDER, case, table_of

WAYS: dict[str, tuple[str, Place]] = {
    "a start": ("phases", Place(Tree.STATES, 0, 0, 0)),
    "a block of a start": ("counter", Place(Tree.STATE_BLOCKS, 0, 2, 0)),
    "a next-state": ("counter", Place(Tree.STATES, 3, 1, 1)),
    "a block of a slice write": ("counter", Place(Tree.STATE_BLOCKS, 5, 2, 0)),
    "an operation's block": ("layered", Place(Tree.OPERATION_BLOCKS, 1, MIDDLE, 2)),
    "the last step of a thousand": ("alphabet", Place(Tree.OPERATION_BLOCKS, 1000, 0, 0)),
    "one block of many": ("wide", Place(Tree.OPERATION_BLOCKS, 1, 0, 200)),
    "a halted step": ("counter", Place(Tree.STATE_BLOCKS, 9, 2, 0)),
    "an output": ("layered", Place(Tree.OUTPUTS, 0, 2, 2)),
}
"""Where false challengers go: every tree, shallow and deep, beside the padding and not."""

ON_CHAIN: Final = [name for name in WAYS if name not in ("a block of a start", "a halted step")]
"""Those that differ in what the contract does."""


def tried(of: Case, table: Table, number: int) -> tuple[Proof, AnyJudged] | None:
    """The proof that belongs to the leaf where the challenge is: of what is equal."""
    x = table.challenge_of(number)
    prover = prover_of(of, table)
    match x.tree:
        case Tree.OUTPUTS:
            return Proof.OUTPUT, prover.output(x.index)
        case Tree.STATES:
            if x.step == 0:
                return Proof.INITIAL, prover.initial(x.item)
            return Proof.NEXT, prover.next(x.step, x.item)
        case Tree.STATE_BLOCKS if x.step and of.truth.operations[x.step - 1] is not None:
            size = of.example.program.states[x.item].tensor.dtype.size
            data = of.truth.block(*where_of(x), x.index)
            return Proof.SLICE, prover.slice(x.step, x.item, x.index * BLOCK_BYTES // size, data)
        case Tree.OPERATION_BLOCKS:
            phase, _ = phase_of(of.steps, x.step - 1)
            instance = of.example.program.phases[phase].instances[x.item]
            size = of.example.program.templates[instance.template].dtype.size
            data = of.truth.block(*where_of(x), x.index)
            element = x.index * BLOCK_BYTES // size
            return Proof.ELEMENT, prover.element(x.step, x.item, element, data)
    return None


def moves_of(name: str) -> int:
    """Moves of the challenger on its whole way."""
    program, place = WAYS[name]
    of = case(program)
    table = table_of(of, of.truth)
    number = table.move("challenge", who=ALICE)
    walker, provider = Walker(of, ALICE, place), Provider(of.truth, PROVIDER)
    lead(table, {number: walker}, provider)
    return 99 - walker.moves


class ManyTable(StrictTable):
    """Compares the money after every move, and everything when the dispute is over."""

    def compare(self, receipt: Any) -> None:
        if "Defeated" in receipt.events:
            super().compare(receipt)
        self.compare_money()


@pytest.mark.chain
@pytest.mark.parametrize("name", ON_CHAIN)
def test_false_challengers__one_a_depth__all_lose_their_bonds(world: Market, name: str) -> None:
    """As many challengers as the way has moves: the k-th stalls after k."""
    program, place = WAYS[name]
    of = case(program)
    table = ManyTable(world, of, of.truth)
    me, provider, closer = (address(a) for a in (world.keeper, world.provider, world.stranger))
    walkers = {}
    for moves in range(moves_of(name) + 1):
        walkers[table.move("challenge", who=me)] = Walker(of, me, place, moves)
    lead(table, walkers, Provider(of.truth, provider))
    deepest = max(walkers)
    x = table.challenge_of(deepest)
    assert Place(x.tree, x.step, x.item, x.index) == place
    proof = tried(of, table, deepest)
    if proof is not None:
        assert table.refused("prove", deepest, *proof) == "ProvesNothing"
    for number in walkers:
        table.silence(number)
    table.move("timeout_challengers", list(walkers), who=closer)
    assert table.claim.holds == 0
    world.after(table.terms)
    world.market.finalize(*world.args(table.terms), {"from": world.provider})
    assert world.status(table.terms) is JobStatus.FINALIZED
    bonds = table.bonds(*walkers)
    assert all(bond.token == 5 * table.deal.price_ceiling for bond in bonds)
    assert max(bond.answers for bond in bonds) <= MAX_MOVES
    table.purses.check(
        defeated(table.deal, provider, closer, bonds), finalized(table.deal, provider)
    )
    # What was prepaid covers the gas of the answers and of the closing.
    gained = table.purses.gained()[provider][1] - finalized(table.deal, provider)[provider][1]
    assert table.spent[provider] * table.deal.gas_price <= gained
    assert table.spent[closer] <= len(bonds) * CLOSE_GAS
    burned = table.game.credits[DEAD]
    assert burned[0] * 5 >= sum(bond.token for bond in bonds)
    assert burned[1] * 5 >= sum(bond.wei(table.deal) for bond in bonds)


def slowly(table: Table, number: int, walker: Walker, provider: Provider) -> int:
    """Every turn takes its whole clock, the provider's too, to where the walker goes and then to
    the last second in which it is not defeated.  Seconds that rules allow for it all."""
    table.wait_until(table.claim.open_by - 1)
    assert provider.answer(table, number)
    start, turns, waits = table.now, 0, Wait.CHALLENGER
    while True:
        # A turn may have several moves.
        table.wait_until(table.game.deadline_of(table.claim_id, number) - 4)
        wait = table.challenge_of(number).wait
        turns += wait is not waits
        waits = wait
        if wait is not Wait.CHALLENGER:
            assert provider.answer(table, number)
        elif not walker.move(table, number):
            break
    with pytest.raises(MoveRefused, match="TooEarly"):
        table.game.timeout_challengers(table.claim_id, [number], BOB, table.now)
    table.silence(number)
    return start + 2 * table.claim.budget + (turns + 1) * table.claim.terms.deal.move_seconds


@pytest.mark.parametrize("name", WAYS)
def test_false_challenger__as_slow_as_it_may__ends_by_its_clocks(name: str) -> None:
    """The game is over when both clocks are, and nobody was late."""
    program, place = WAYS[name]
    of = case(program)
    table = table_of(of, of.truth)
    number = table.move("challenge", who=ALICE)
    end = slowly(table, number, Walker(of, ALICE, place), Provider(of.truth, PROVIDER))
    table.move("timeout_challengers", [number], who=BOB)
    assert table.now <= end + 1
    assert not table.claim.fallen
    assert table.claim.holds == 0


@pytest.mark.chain
@pytest.mark.parametrize("name", ["an operation's block", "the last step of a thousand"])
def test_false_challenger__as_slow_on_the_chain__delays_and_pays_for_it(
    world: Market, name: str
) -> None:
    program, place = WAYS[name]
    of = case(program)
    table = StrictTable(world, of, of.truth)
    me, provider, closer = (address(a) for a in (world.keeper, world.provider, world.stranger))
    number = table.move("challenge", who=me)
    end = slowly(table, number, Walker(of, me, place), Provider(of.truth, provider))
    with world.reverts("Held", world.key(table.terms), 1):
        world.at(table.now)
        world.market.finalize(*world.args(table.terms), {"from": world.provider})
    table.move("timeout_challengers", [number], who=closer)
    assert table.now <= end + 1
    world.market.finalize(*world.args(table.terms), {"from": world.provider})
    table.purses.check(
        defeated(table.deal, provider, closer, table.bonds(number)),
        finalized(table.deal, provider),
    )
