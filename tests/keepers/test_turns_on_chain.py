"""The timekeeper and the game: late challengers, silent providers, bonds; what the calls cost."""

from __future__ import annotations

from typing import Any

import pytest

from keepers.timekeeper import Policy, Timekeeper
from keepers.turns import DEFEAT_EACH, DEFEAT_GAS, EXPOSE_GAS, Defeat, Expose, Late
from protocol.chain.disputes import ClaimFell
from protocol.chain.transactions import Sender
from protocol.chain.wallet import Wallet
from protocol.spec.answers import Part
from protocol.spec.demands import fee_of
from protocol.spec.dispute import CLOSE_GAS, MADE_WHOLE, TIMEOUT_GAS, Outcome, Wait
from protocol.spec.job import Fault, JobStatus
from tests.actors import liars
from tests.chain.duel import Duel
from tests.chain.world import CLIENT, KEEPER, RIVAL, STRANGER, TOKEN, World
from tests.game.world import case

pytestmark = pytest.mark.chain


def keeper(world: World, role: int, **policy: Any) -> Timekeeper:
    return Timekeeper(
        world.chain, world.senders[role], Policy(**{"collect_wei": 10**30, **policy})
    )


def status(world: World, job: bytes) -> JobStatus:
    return world.chain.job_state(job, world.chain.snapshot()).status


def test_cycle__challengers_late__are_closed_in_one_call_and_the_job_goes_on(
    fresh_game: World,
) -> None:
    world, of = fresh_game, case("counter")
    duel = Duel(world, of, of.truth)
    numbers = [duel.challenge(role) for role in (KEEPER, STRANGER, KEEPER)]
    duel.turn(numbers[0])
    keeping = keeper(world, RIVAL)
    report = keeping.cycle()
    assert (report.due, report.deadline) == (0, world.clock(duel.job))
    rows = keeping.clocks()
    assert [(row.kind, row.number) for row in rows if row.number] == [
        (Late.CHALLENGER, number) for number in numbers
    ]
    assert next(row.held for row in rows if not row.number) == 3
    # The window is over long before: the claim is held.
    duel.silence(numbers[0])
    report = keeping.cycle()
    assert (report.due, report.done) == (1, 1)
    assert {x.outcome for x in duel.read().challenges} == {Outcome.DEFEATED}
    has = world.chain.balances(world.address(RIVAL), world.chain.snapshot())
    assert has.game_credit.native == 3 * CLOSE_GAS * duel.terms.deal.gas_price
    # Nothing holds the claim any more.
    assert keeping.cycle().done == 1
    assert status(world, duel.job) is JobStatus.FINALIZED
    rich = keeper(world, RIVAL, collect_wei=1)
    assert rich.cycle().done >= 1
    has = world.chain.balances(world.address(RIVAL), world.chain.snapshot())
    assert has.game_credit.native == 0


def test_cycle__provider_late__is_ended_for_the_bounty_below_the_figure(
    fresh_game: World,
) -> None:
    world, of = fresh_game, case("counter")
    duel = Duel(world, of, liars.one_bit_in(3, 3)(of))
    number = duel.challenge(KEEPER)
    for role in crowd(world, MADE_WHOLE + 1):
        duel.challenge(role)
    assert duel.challenge_of(number).wait is Wait.OPENING
    duel.silence(number)
    dear = keeper(world, RIVAL, min_profit=10**18)
    assert dear.cycle().due == 0
    assert status(world, duel.job) is JobStatus.COMMITTED
    call = world.chain.contracts.game.timeout_provider(duel.claim, number, duel.terms)
    assert EXPOSE_GAS // 2 < world.senders[RIVAL].quote(call).gas < EXPOSE_GAS
    at = world.chain.snapshot()
    before = world.chain.balances(world.address(RIVAL), at).credits["registry"].native
    report = keeper(world, RIVAL).cycle()
    assert (report.due, report.done) == (1, 1)
    at = world.chain.snapshot()
    after = world.chain.balances(world.address(RIVAL), at).credits["registry"].native
    assert after - before == TIMEOUT_GAS * duel.terms.deal.gas_price
    fall = duel.read().fall
    assert isinstance(fall, ClaimFell)
    assert (fall.fault, fall.caller) == (Fault.SILENT, world.address(RIVAL))
    # Its challenger's bond comes back at the next look, and never twice.
    mine = keeper(world, KEEPER)
    x = duel.challenge_of(number)
    assert mine.cycle().done == 1
    has = world.chain.balances(world.address(KEEPER), world.chain.snapshot())
    assert (has.game_credit.token, has.game_credit.native) == (x.token, x.native)
    assert mine.cycle().due == 0


def test_cycle__clients_keeper__topples_a_silent_provider(fresh_game: World) -> None:
    world, of = fresh_game, case("counter")
    duel = Duel(world, of, of.truth)
    duel.silence(duel.challenge(STRANGER))
    keeping = keeper(world, RIVAL, interests=frozenset({world.address(CLIENT)}))
    assert keeping.cycle().done == 1
    assert status(world, duel.job) is JobStatus.OPEN


def test_cycle__colluder_abandons_an_earlier_challenge__is_not_rewarded(fresh_game: World) -> None:
    world, of = fresh_game, case("counter")
    duel = Duel(world, of, liars.one_bit_in(3, 3)(of))
    colluder = duel.challenge(STRANGER)
    mine = duel.challenge(KEEPER)
    duel.turn(colluder)
    # The provider answers my moves to the end of its patience, the colluder makes none.
    duel.turn(mine)
    assert duel.challenge_of(mine).wait is not Wait.CHALLENGER
    world.past(max(duel.deadline(mine), duel.deadline(colluder)))
    report = keeper(world, KEEPER).cycle()
    assert (report.due, report.done) == (2, 2)
    record = duel.read()
    assert record.challenge(colluder).outcome is Outcome.DEFEATED
    assert isinstance(record.fall, ClaimFell)
    at = world.chain.snapshot()
    reward = world.chain.balances(world.address(KEEPER), at).registry_credit.token
    assert reward > 0
    assert world.chain.balances(world.address(STRANGER), at).registry_credit.token == 0


@pytest.mark.parametrize("count", [1, 12])
def test_cycle__gas_of_closing_with_new_accounts__is_below_the_figures(
    fresh_game: World, count: int
) -> None:
    world, of = fresh_game, case("counter")
    duel = Duel(world, of, of.truth)
    numbers = [duel.challenge((KEEPER, STRANGER)[k % 2]) for k in range(count)]
    duel.turn(numbers[0])
    duel.silence(numbers[0])
    keeping = keeper(world, RIVAL)
    (move,) = keeping.decide(keeping.view()[0])
    assert isinstance(move, Defeat)
    call = world.chain.contracts.game.timeout_challengers(duel.claim, move.numbers)
    gas = world.send(RIVAL, call).gas
    assert DEFEAT_EACH * count < gas < DEFEAT_GAS + DEFEAT_EACH * count
    assert {x.outcome for x in duel.read().challenges} == {Outcome.DEFEATED}


def crowd(world: World, count: int) -> list[int]:
    """Accounts beside the roles that can challenge."""
    contracts = world.chain.contracts
    roles = list(range(100, 100 + count))
    for role in roles:
        world.senders[role] = sender = Sender(world.chain, Wallet.dev(role))
        world.rpc("anvil_setBalance", "0x" + sender.address.hex(), hex(10**20))
        world.send(role, contracts.token.mint(sender.address, 10_000 * TOKEN))
        world.send(role, contracts.token.approve(contracts.game.address, 2**256 - 1))
    return roles


def test_cycle__data_withheld__ends_the_claim_below_the_figure(fresh_game: World) -> None:
    world, of = fresh_game, case("counter")
    duel = Duel(world, of, of.truth)
    for role in crowd(world, MADE_WHOLE + 1):
        duel.challenge(role)
    asked = duel.demand(Part.OUTPUT, role=STRANGER)
    duel.demand(Part.HEADER, role=RIVAL)
    keeping = keeper(world, RIVAL)
    assert keeping.cycle().due == 0
    deadline = duel.docket().demand(asked).deadline
    assert keeping.view()[0].board.asks[0].deadline == deadline
    world.past(deadline)
    (move, *_) = keeping.decide(keeping.view()[0])
    assert isinstance(move, Expose)
    call = world.chain.contracts.court.timeout(duel.terms, duel.claim, move.number)
    assert EXPOSE_GAS // 2 < world.senders[RIVAL].quote(call).gas < EXPOSE_GAS
    assert keeping.cycle().done >= 1
    withheld = duel.docket().withheld
    assert withheld is not None
    assert withheld.caller == world.address(RIVAL)
    assert status(world, duel.job) is JobStatus.OPEN
    # Its own fee comes back, and only that.
    assert keeping.cycle().done == 1
    assert duel.docket().open_of(world.address(RIVAL)) == ()
    assert duel.docket().open_of(world.address(STRANGER)) == (asked,)
    assert keeping.cycle().due == 0
    at = world.chain.snapshot()
    has = world.chain.balances(world.address(RIVAL), at)
    assert has.court_credit.native == fee_of(duel.terms.deal)
    assert has.registry_credit.native == move.bounty


def test_cycle__somebody_was_faster__counts_it_as_done(fresh_game: World) -> None:
    world, of = fresh_game, case("counter")
    duel = Duel(world, of, of.truth)
    numbers = [duel.challenge(STRANGER), duel.challenge(KEEPER)]
    duel.turn(numbers[0])
    duel.silence(numbers[0])
    slow = keeper(world, RIVAL)
    moves = slow.decide(slow.view()[0])
    assert keeper(world, CLIENT).cycle().done == 1
    (line,) = [slow.act(move) for move in moves]
    assert "somebody else did" in line


def test_cycle__reorg_of_the_challenges__is_followed(fresh_game: World) -> None:
    world, of = fresh_game, case("counter")
    keeping = keeper(world, RIVAL)
    back = world.rpc("evm_snapshot")
    duel = Duel(world, of, of.truth)
    number = duel.challenge(STRANGER)
    assert [row.number for row in keeping.clocks()] == [number, 0]
    world.rpc("evm_revert", back)
    assert keeping.clocks() == []
