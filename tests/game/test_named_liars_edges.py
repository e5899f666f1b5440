"""Disputes at the edges of what the rules grant: of time, size and values, of who can be paid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protocol.spec.dispute import BUDGET_MOVES, Wait
from protocol.spec.job import Fault, JobStatus, trace_seconds
from protocol.spec.referee import Proof
from protocol.spec.strategy import answer
from protocol.spec.trace import Place, Tree
from provider.engine.engine import Engine
from provider.engine.trace import EngineTrace
from scripts.deploy import deploy, dispute_game
from tests.actors import forgers, liars
from tests.actors.challenger import Challenger, play
from tests.actors.named import NAMED
from tests.actors.provider import Provider, Stubborn
from tests.actors.table import Table
from tests.actors.walker import Walker, lead
from tests.contracts.market import Market, address, terms_tuple
from tests.contracts.world import DEPOSIT, STAKE
from tests.game.calldata import call_of
from tests.game.onchain import TOKENS
from tests.game.settlement import defeated, fallen, finalized, first_bond
from tests.game.strict import StrictTable
from tests.game.world import case

pytestmark = pytest.mark.chain

# --- time ----------------------------------------------------------------------------------------


def test_liar__opens_at_once_before_a_thousand_steps__the_challengers_clock_suffices(
    world: Market,
) -> None:
    """The liar holds its tree; the challenger checked with one pass and has none.  It builds its
    trace within its first turn, computes a 32nd of the work again before each later move, and
    every transaction takes as long as a move may take to be included."""
    of = case("alphabet")
    claimed = liars.one_bit_in(777, 0)(of)
    table = StrictTable(world, of, claimed)
    me, liar = address(world.keeper), address(world.provider)
    number = table.move("challenge", who=me)
    provider, challenger, turns = Stubborn(claimed, liar), Challenger(of, me), 0
    inclusion, deal = table.deal.move_seconds, table.deal
    while not table.claim.fallen:
        x = table.challenge_of(number)
        if x.wait is not Wait.CHALLENGER:
            assert provider.answer(table, number)
            continue
        work = -(-deal.work_ms // 31_000) if turns else trace_seconds(deal.work_ms)
        table.wait_until(x.since + inclusion + work - 1)
        while not table.claim.fallen and table.challenge_of(number).wait is Wait.CHALLENGER:
            challenger.move(table, number)
        turns += 1
    assert turns >= 3
    assert table.claim.fault is Fault.WRONG
    # The trace's time was in the budget, and the moves' seconds have not been touched.
    assert table.challenge_of(number).challenger_budget > (BUDGET_MOVES - 1) * inclusion
    table.collect(number)
    table.purses.check(fallen(deal, liar, Fault.WRONG, table.bonds(number)))


# --- who sends it --------------------------------------------------------------------------------


class Relayed(Table):
    """Knows what events say: no input of any transaction is read."""

    def __init__(self, table: StrictTable) -> None:
        super().__init__(table.game, table.claim_id, table.now)

    def heard(self, receipt: Any) -> None:
        """The events of one transaction."""
        for event in receipt.events:
            if event.name == "BlockRevealed":
                self.blocks[unhex(event["node"])] = unhex(event["data"])
            elif event.name in ("Opened", "StepOpened", "Revealed"):
                node = event["node" if event.name == "Revealed" else "root"]
                self.see(unhex(node), [unhex(each) for each in event["nodes"]])


def unhex(value: Any) -> bytes:
    """Bytes of an event, as Brownie gives them."""
    return bytes.fromhex(str(value).removeprefix("0x"))


def test_answers__through_a_proxy__are_seen_in_events_and_lead_to_the_proof(
    world: Market,
) -> None:
    """The liar's delegate is a contract: openings and reveals are inner calls, for the
    provider's account."""
    liar = NAMED["one flipped bit in one element of a middle layer"]
    of = case(liar.program)
    claimed = liar.lie(of)
    table = StrictTable(world, of, claimed)
    relay = world.project.Relay.deploy({"from": world.rival})
    world.registry.register(bytes(32), relay, b"here", {"from": world.provider})
    me = address(world.keeper)
    table.purses.watch(relay)
    number = table.move("challenge", who=me)
    seen, challenger = Relayed(table), Challenger(of, me)
    while not table.claim.fallen:
        x = table.challenge_of(number)
        if x.wait is Wait.CHALLENGER:
            table.make(number, challenger.moves(seen, number)[0], me)
            continue
        move = answer(x, claimed)[0]
        world.at(table.now + 1)
        calls = [call_of(table, number, move)]
        receipt = relay.forward(world.game, calls, {"from": world.rival})
        assert receipt.receiver == relay.address
        # In the twin, which has no delegates, the provider makes the move for the relay.
        twin = Table(table.game, table.claim_id, table.now)
        twin.make(number, move, address(world.provider))
        table.now = twin.now
        assert int(receipt.timestamp) == table.now
        table.answered[number] += 1
        seen.heard(receipt)
    assert table.claim.fault is Fault.WRONG
    assert table.answered[number] >= 5
    table.collect(number)
    bonds, liar_at = table.bonds(number), address(world.provider)
    table.purses.check(fallen(table.deal, liar_at, Fault.WRONG, bonds))
    assert world.owed(relay, world.game) == (0, 0)


# --- size ----------------------------------------------------------------------------------------


def test_open__three_hundred_outputs__is_one_small_transaction(world: Market) -> None:
    """Opening shows the steps alone; what one output is wrong in, one path shows."""
    of = case("many outputs")
    claimed = liars.wrong_output(217)(of)
    table = StrictTable(world, of, claimed)
    me, liar = address(world.keeper), address(world.provider)
    number = table.move("challenge", who=me)
    provider = Stubborn(claimed, liar)
    assert provider.answer(table, number)
    opening = world.brownie.chain.get_transaction(world.brownie.chain[-1].transactions[0])
    assert len(bytes.fromhex(opening.input[2:])) <= 300
    assert opening.gas_used <= 150_000
    play(table, number, Challenger(of, me), provider)
    x = table.challenge_of(number)
    assert table.claim.fault is Fault.WRONG
    assert (x.tree, x.index, x.count) == (Tree.OUTPUTS, 217, 300)
    assert max(used for _, used in table.gas) <= 1_000_000
    table.collect(number)
    table.purses.check(fallen(table.deal, liar, Fault.WRONG, table.bonds(number)))


# --- values --------------------------------------------------------------------------------------


def test_weights_of_the_dtypes_corners__honest_engine__has_the_referees_bits(
    world: Market,
) -> None:
    """The client's constants are 32767 and -32768, which no two int8 limbs hold: an engine that
    did not look would be wrong and slashed.  It defends its own trace at every element of a
    block, and wins."""
    of = case("extremes")
    e = of.example
    engine = Engine(e.program, e.constants, threads=1)
    trace = EngineTrace(engine, e.inputs)
    assert [bytes(root) for root in trace.outputs] == of.truth.outputs
    table = StrictTable(world, of, of.truth)
    me, provider, closer = (address(a) for a in (world.keeper, world.provider, world.stranger))
    number = table.move("challenge", who=me)
    place = Place(Tree.OPERATION_BLOCKS, 1, 2, 0)
    walker, honest = Walker(of, me, place), Provider(trace, provider)
    lead(table, {number: walker}, honest)
    prover = of.prover(of.truth.levels)
    data = of.truth.block(Tree.OPERATION_BLOCKS, 1, 2, 0)
    for element in (0, 1, 63, 64, 127):
        proof = prover.element(1, 2, element, data)
        assert table.refused("prove", number, Proof.ELEMENT, proof) == "ProvesNothing"
    table.silence(number)
    table.move("timeout_challengers", [number], who=closer)
    world.after(table.terms)
    world.market.finalize(*world.args(table.terms), {"from": world.provider})
    assert world.status(table.terms) is JobStatus.FINALIZED
    table.purses.check(
        defeated(table.deal, provider, closer, table.bonds(number)),
        finalized(table.deal, provider),
    )


def test_weights_of_the_dtypes_corners__engine_that_clips_them__is_slashed(
    world: Market,
) -> None:
    of = case("extremes")
    claimed = forgers.clipped_weights(of)
    table = StrictTable(world, of, claimed)
    me, liar = address(world.keeper), address(world.provider)
    number = table.move("challenge", who=me)
    play(table, number, Challenger(of, me), Stubborn(claimed, liar))
    assert table.claim.fault is Fault.WRONG
    table.collect(number)
    table.purses.check(fallen(table.deal, liar, Fault.WRONG, table.bonds(number)))


# --- who can be paid -----------------------------------------------------------------------------


def hooked(world: Market) -> Market:
    """A second deployment, whose token refuses whom its maker blocked."""
    project, deployer = world.project, world.deployer
    token = project.HookToken.deploy({"from": deployer})
    game = dispute_game(project, deployer)
    deployment = deploy(project, deployer, token=token.address, deploy_game=game)
    other = replace(
        world,
        token=token,
        registry=project.ProviderRegistry.at(deployment.registry),
        market=project.JobMarket.at(deployment.market),
        game=project.DisputeGame.at(deployment.game),
        court=project.Court.at(deployment.court),
    )
    for account in (other.client, other.provider, other.rival, other.keeper):
        token.mint(account, TOKENS, {"from": deployer})
        for contract in (other.market, other.registry, other.game):
            token.approve(contract, 2**256 - 1, {"from": account})
    other.registry.register(bytes(32), other.stranger, b"here", {"from": other.provider})
    other.registry.stake(STAKE, {"from": other.provider, "value": DEPOSIT})
    return other


def test_fall__everybody_is_blocked_by_the_token__settles_and_the_unblocked_withdraw(
    world: Market,
) -> None:
    """Settlement moves credits alone: who cannot be paid in tokens delays nobody, and names
    another account for its own."""
    other = hooked(world)
    of = case("layered")
    claimed = liars.wrong_output(1)(of)
    table = StrictTable(other, of, claimed)
    one, two, liar = (address(a) for a in (other.keeper, other.rival, other.provider))
    first = table.move("challenge", who=one)
    second = table.move("challenge", who=two)
    for account in (other.client, other.provider, other.keeper, other.game, other.registry):
        other.token.block_(account, {"from": other.deployer})
    play(table, second, Challenger(of, two), Stubborn(claimed, liar))
    assert table.claim.fault is Fault.WRONG
    table.collect(first)
    table.collect(second)
    table.purses.check(fallen(table.deal, liar, Fault.WRONG, table.bonds(first, second), by=1))
    for contract in (other.game, other.registry):
        other.token.unblock(contract, {"from": other.deployer})
        owed, _ = other.owed(other.rival, contract)
        contract.withdraw(other.rival, owed, {"from": other.rival})
        owed, _ = other.owed(other.keeper, contract)
        with other.reverts("Blocked", other.keeper):
            contract.withdraw(other.keeper, owed, {"from": other.keeper})
        contract.withdraw(other.stranger, owed, {"from": other.keeper})
    assert int(other.token.balanceOf(other.game)) == 0


def test_defeat__provider_and_closer_are_blocked__the_honest_claim_finalizes(
    world: Market,
) -> None:
    other = hooked(world)
    of = case("layered")
    table = StrictTable(other, of, of.truth)
    me, provider, closer = (address(a) for a in (other.keeper, other.provider, other.stranger))
    number = table.move("challenge", who=me)
    assert Provider(of.truth, provider).answer(table, number)
    for account in (other.provider, other.stranger, other.keeper, other.client):
        other.token.block_(account, {"from": other.deployer})
    table.silence(number)
    table.move("timeout_challengers", [number], who=closer)
    other.after(table.terms)
    other.market.finalize(*other.args(table.terms), {"from": other.provider})
    table.purses.check(
        defeated(table.deal, provider, closer, table.bonds(number)),
        finalized(table.deal, provider),
    )


def test_challenger__contract_that_refuses_wei__blocks_nobody_and_names_another(
    world: Market,
) -> None:
    of = case("layered")
    claimed = liars.wrong_output(1)(of)
    table = StrictTable(world, of, claimed)
    act = {"from": world.rival}
    attacker = world.project.Attacker.deploy(act)
    attacker.refuse(act)
    world.token.mint(attacker, TOKENS, {"from": world.deployer})
    attacker.approve(world.token, world.game, 2**256 - 1, act)
    me, liar = address(world.keeper), address(world.provider)
    # The contract's challenge is the first: it is the one to be rewarded.
    world.at(table.now + 1)
    _, wei = world.game.bondOf(table.claim_id, terms_tuple(table.terms)[1])
    enter = world.game.challenge.encode_input(terms_tuple(table.terms), table.claim_id)
    attacker.act(world.game, enter, {**act, "value": wei})
    first = Table.move(table, "challenge", who=address(attacker))
    table.tokens[first] = first_bond(table.deal)
    second = table.move("challenge", who=me)
    table.purses.watch(attacker)
    play(table, second, Challenger(of, me), Stubborn(claimed, liar))
    table.collect(first)
    table.collect(second)
    table.purses.check(fallen(table.deal, liar, Fault.WRONG, table.bonds(first, second), by=1))
    for contract in (world.game, world.registry):
        _, owed = world.owed(attacker, contract)
        assert owed > 0
        to_itself = contract.withdrawNative.encode_input(attacker, owed)
        with world.reverts("NativeRefused", attacker, owed):
            attacker.act(contract, to_itself, act)
        before = world.client.balance()
        attacker.act(contract, contract.withdrawNative.encode_input(world.client, owed), act)
        assert world.client.balance() == before + owed
        for account in (world.keeper, world.provider):
            token, native = world.owed(account, contract)
            contract.withdraw(account, token, {"from": account})
            contract.withdrawNative(account, native, {"from": account})
