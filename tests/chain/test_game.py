"""The game through the chain's only door: reads, calls, logs, restarts and reorgs, on Anvil."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.chain.abi import interface
from protocol.chain.book import HistoryBroken
from protocol.chain.chain import Chain, Read
from protocol.chain.contracts import Game, encoded, terms_values
from protocol.chain.disputes import (
    BlockRevealed,
    Challenged,
    ClaimFell,
    Collected,
    Defeated,
    Dispute,
    Entered,
    Opened,
    Pointed,
    Revealed,
    Side,
    StepOpened,
)
from protocol.chain.errors import WrongChain
from protocol.chain.flights import Flight
from protocol.chain.game_reverts import HasNotFallen, NotLive, WrongBond, WrongTurn
from protocol.chain.history import History
from protocol.chain.state import Credit
from protocol.spec.dispute import CLOSE_GAS, Outcome, Wait, native_bond
from protocol.spec.job import PRICE_FACTOR, TRACE_FACTOR, Fault, JobStatus
from protocol.spec.limits import GWEI
from protocol.spec.proofs import ProgramPart, TableProof
from protocol.spec.strategy import Enter, Move, OpenStep, Point, Reveal
from protocol.spec.trace import Tree
from tests.actors import liars
from tests.chain.duel import Duel
from tests.chain.world import CLIENT, KEEPER, PROVIDER, STRANGER, World
from tests.game.world import case

pytestmark = pytest.mark.chain


def agree(duel: Duel) -> Dispute:
    """The book says of every challenge what the contract says."""
    chain, record = duel.world.chain, duel.read()
    at = chain.snapshot()
    state = chain.claim_state(duel.claim, at)
    assert (state.job, state.provider) == (duel.job, record.provider)
    assert (state.leaves, state.open_by) == (record.leaves, record.open_by)
    assert (state.count, state.fallen) == (len(record.challenges), record.fall is not None)
    assert state.steps_root == record.known.steps_root
    assert state.opened_at == (record.opened.place.time if record.opened else 0)
    undefeated = record.undefeated
    ends = (undefeated[0].number, undefeated[-1].number) if undefeated else (0, 0)
    assert (state.head, state.tail) == ends
    for step, event in record.steps.items():
        found = chain.step_of(duel.claim, step, at)
        assert (found.root, found.opened_at) == (event.root, event.place.time)
    numbers = [x.number for x in record.challenges]
    told_by_chain = chain.challenges_of([(duel.claim, n) for n in numbers], at)
    for x, told in zip(told_by_chain, record.challenges, strict=True):
        assert (x.challenger, x.outcome) == (told.challenger, told.outcome)
        stop = told.stop
        place = (stop.tree, stop.level, stop.index, stop.node, stop.count, stop.step, stop.item)
        assert place == (x.tree, x.level, x.index, x.node, x.count, x.step, x.item)
        if x.outcome is Outcome.LIVE and not state.fallen:
            assert state.deadline(x) == chain.deadline_of(duel.claim, told.number, at)
    return record


def liar(world: World, **deal: int) -> Duel:
    """A provider with one flipped bit in step 4 of a counter."""
    of = case("counter")
    return Duel(world, of, liars.one_bit_in(3, 3)(of), **deal)


@pytest.mark.parametrize(
    "name, step, operation, reveals", [("counter", 3, 3, False), ("alphabet", 777, 0, True)]
)
def test_play__players_without_memory__end_at_the_proof(
    fresh_game: World, name: str, step: int, operation: int, reveals: bool
) -> None:
    world, of = fresh_game, case(name)
    duel = Duel(world, of, liars.one_bit_in(step, operation)(of))
    number = duel.challenge()
    calls = 0
    while agree(duel).fall is None:
        duel.turn(number)
        calls += 1
        assert calls < 20
    record = agree(duel)
    assert isinstance(record.fall, ClaimFell)
    assert (record.fall.fault, record.fall.caller) == (Fault.WRONG, world.address(KEEPER))
    x = record.challenge(number)
    kinds = [type(move.event) for move in x.moves]
    assert kinds[:2] == [Challenged, Opened]
    assert kinds[-1] is ClaimFell
    assert {Pointed, StepOpened, Entered, BlockRevealed} < set(kinds)
    assert (Revealed in kinds) is reveals
    assert x.moves[-1].stop.where == (Tree.OPERATION_BLOCKS, step + 1, operation)
    sides = {type(move.event): move.side for move in x.moves}
    assert (sides[Pointed], sides[BlockRevealed], sides[ClaimFell]) == (
        Side.CHALLENGER, Side.PROVIDER, Side.ANYBODY,
    )  # fmt: skip
    assert all(len(data) == 512 for data in record.blocks.values())
    at = world.chain.snapshot()
    assert world.chain.job_state(duel.job, at).status is JobStatus.OPEN
    world.send(KEEPER, world.chain.contracts.game.collect(duel.claim, number))
    record = agree(duel)
    assert record.challenge(number).outcome is Outcome.COLLECTED
    assert isinstance(record.challenge(number).moves[-1].event, Collected)


def test_bond__read__is_what_the_challenge_takes(fresh_game: World) -> None:
    world = fresh_game
    duel = liar(world)
    chain, deal = world.chain, duel.terms.deal
    at = chain.snapshot()
    bond = chain.bond_of(duel.claim, deal, at)
    assert bond == (TRACE_FACTOR * deal.price_ceiling, native_bond(deal.gas_price))
    before = chain.balances(world.address(KEEPER), at)
    with pytest.raises(WrongBond):
        world.send(KEEPER, chain.contracts.game.challenge(duel.terms, duel.claim, bond[1] - 1))
    number = duel.challenge()
    x = duel.challenge_of(number)
    assert (x.token, x.native, x.wait) == (*bond, Wait.OPENING)
    after = chain.balances(world.address(KEEPER), chain.snapshot())
    assert before.token - after.token == bond[0]
    assert before.game_allowance == after.game_allowance == 2**256 - 1
    assert after.game_credit == Credit(0, 0)
    assert chain.claim_state(duel.claim, at).count == 0
    assert chain.challenge_of(duel.claim, 1, at).outcome is Outcome.NONE


def test_challenge__both_sides_slow__has_their_clocks_and_the_price(fresh_game: World) -> None:
    """Of what the log does not tell: read in the contract's order."""
    world = fresh_game
    duel = liar(world, gas_price=20 * GWEI)
    spare = duel.terms.deal.move_seconds
    world.rpc("anvil_setNextBlockBaseFeePerGas", hex(3 * GWEI))
    number = duel.challenge()
    assert duel.challenge_of(number).price == PRICE_FACTOR * 3 * GWEI
    duel.turn(number)
    budget = duel.challenge_of(number).provider_budget
    world.pass_time(spare + 20)
    duel.turn(number)
    world.pass_time(spare + 5)
    duel.turn(number)
    x = duel.challenge_of(number)
    assert 5 <= budget - x.provider_budget < 20 <= budget - x.challenger_budget < 30
    agree(duel)


def test_silence__of_the_provider__is_a_fall_that_the_book_tells(fresh_game: World) -> None:
    world = fresh_game
    duel = liar(world)
    first, second = duel.challenge(KEEPER), duel.challenge(STRANGER)
    game = world.chain.contracts.game
    with pytest.raises(HasNotFallen):
        world.send(KEEPER, game.collect(duel.claim, first))
    duel.silence(first)
    world.send(STRANGER, game.timeout_provider(duel.claim, second, duel.terms))
    record = agree(duel)
    assert isinstance(record.fall, ClaimFell)
    assert (record.fall.number, record.fall.fault) == (second, Fault.SILENT)
    assert [x.number for x in record.undefeated] == [first, second]
    assert record.of(world.address(STRANGER)) == (record.challenge(second),)
    bond = record.challenge(second).token
    world.send(CLIENT, game.collect(duel.claim, second))
    credit = world.chain.balances(world.address(STRANGER), world.chain.snapshot()).game_credit
    assert credit == Credit(bond, record.challenge(second).native)
    assert agree(duel).challenge(second).outcome is Outcome.COLLECTED


def test_silence__of_challengers__defeats_several_in_one_call(fresh_game: World) -> None:
    world = fresh_game
    of = case("counter")
    duel = Duel(world, of, of.truth)
    numbers = [duel.challenge(role) for role in (KEEPER, STRANGER, KEEPER)]
    duel.turn(numbers[0])
    agree(duel)
    game = world.chain.contracts.game
    duel.silence(numbers[0])
    world.send(STRANGER, game.timeout_challengers(duel.claim, numbers))
    record = agree(duel)
    assert record.undefeated == ()
    last = record.challenge(2).moves[-1].event
    assert isinstance(last, Defeated)
    assert last.caller == world.address(STRANGER)
    at = world.chain.snapshot()
    credit = world.chain.balances(world.address(STRANGER), at).game_credit
    assert credit.native == 3 * CLOSE_GAS * duel.terms.deal.gas_price
    assert world.chain.job_state(duel.job, at).holds == 0
    with pytest.raises(NotLive, match="got DEFEATED"):
        world.send(STRANGER, game.timeout_challengers(duel.claim, numbers[:1]))


def test_together__late_challenger_and_silent_provider__go_in_one_call(fresh_game: World) -> None:
    world = fresh_game
    duel = liar(world)
    first, mine = duel.challenge(STRANGER), duel.challenge(KEEPER)
    duel.turn(first)
    duel.turn(mine)
    world.past(max(duel.deadline(first), duel.deadline(mine)))
    game = world.chain.contracts.game
    calls = [
        game.timeout_challengers(duel.claim, [first]),
        game.timeout_provider(duel.claim, mine, duel.terms),
    ]
    world.send(KEEPER, game.together(calls))
    record = agree(duel)
    assert record.challenge(first).outcome is Outcome.DEFEATED
    assert [x.number for x in record.undefeated] == [mine]
    assert record.over


@pytest.mark.parametrize("every", [True, False])
def test_together__one_is_copied_just_before__the_others_are_made_unless_every_one_is_wanted(
    fresh_game: World, monkeypatch: pytest.MonkeyPatch, every: bool
) -> None:
    world = fresh_game
    duel = liar(world)
    roles = dict(enumerate((KEEPER, STRANGER, KEEPER), start=1))
    assert [duel.challenge(role) for role in roles.values()] == list(roles)
    for number, role in roles.items():
        while duel.challenge_of(number).wait is not Wait.REVEAL:
            duel.turn(number, role)
    game, provider = world.chain.contracts.game, world.senders[PROVIDER]
    moves = [game.move(duel.claim, n, duel.terms, m) for n in roles for m in duel.moves(n)[1]]
    assert len(moves) == 3
    real = provider._broadcast

    def behind(flight: Flight) -> None:
        world.send(STRANGER, moves[1])
        real(flight)

    monkeypatch.setattr(provider, "_broadcast", behind)
    call = game.together(moves, every=every)
    waits = {n: Wait.CHALLENGER for n in roles}
    if every:
        with pytest.raises(WrongTurn, match="got CHALLENGER, wanted REVEAL"):
            provider.send(call)
        waits = {1: Wait.REVEAL, 2: Wait.CHALLENGER, 3: Wait.REVEAL}
    else:
        assert len(provider.send(call).logs) == 2
    assert {n: duel.challenge_of(n).wait for n in roles} == waits
    agree(duel)


def test_together__not_every_one__is_tried_as_if_every_one_were_wanted(fresh_game: World) -> None:
    """Gas with which all moves of a call fail is enough for the call."""
    world = fresh_game
    duel = liar(world)
    number = duel.challenge()
    game, provider = world.chain.contracts.game, world.senders[PROVIDER]
    opening, step = duel.moves(number)[1][0], OpenStep(4, (bytes(32),))
    first, second = (game.move(duel.claim, number, duel.terms, m) for m in (opening, step))
    with pytest.raises(WrongTurn, match="got OPENING, wanted STEP"):
        provider.send(game.together([second, first], every=False))
    outcome = provider.send(game.together([first, second], every=False))
    assert len(outcome.logs) == 2
    agree(duel)


def test_answer__given_before__is_refused_as_anothers_turn(fresh_game: World) -> None:
    world = fresh_game
    duel = liar(world)
    number = duel.challenge()
    _, moves = duel.moves(number)
    call = world.chain.contracts.game.play(duel.claim, duel.terms, [(number, m) for m in moves])
    world.send(PROVIDER, call)
    with pytest.raises(WrongTurn, match="got CHALLENGER, wanted OPENING"):
        world.send(PROVIDER, call)


def test_sync__dispute_undone__players_go_on_from_what_is_left(fresh_game: World) -> None:
    world = fresh_game
    duel = liar(world)
    number = duel.challenge()
    history = History(world.chain)
    for _ in range(3):
        duel.turn(number)
    before = history.sync(world.chain.snapshot()).disputes[duel.claim]
    back = world.rpc("evm_snapshot")
    for _ in range(2):
        duel.turn(number)
    later = history.sync(world.chain.snapshot()).disputes[duel.claim]
    assert len(later.challenge(number).moves) > len(before.challenge(number).moves)
    world.rpc("evm_revert", back)
    assert history.sync(world.chain.snapshot()).disputes[duel.claim] == before
    agree(duel)
    while (record := history.sync(world.chain.snapshot()).disputes[duel.claim]).fall is None:
        duel.turn(number)
        assert len(record.challenge(number).moves) < 60
    assert isinstance(record.fall, ClaimFell)
    assert record.fall.fault is Fault.WRONG
    assert record == agree(duel)


def test_sync__challenge_itself_undone__there_is_no_dispute(fresh_game: World) -> None:
    world = fresh_game
    duel = liar(world)
    history = History(world.chain)
    back = world.rpc("evm_snapshot")
    duel.challenge()
    assert duel.claim in history.sync(world.chain.snapshot()).disputes
    world.rpc("evm_revert", back)
    book = history.sync(world.chain.snapshot())
    assert duel.claim not in book.disputes
    assert book.claims[duel.claim] == duel.job


def test_sync__node_leaves_a_move_out__reads_again_and_then_says_so(
    fresh_game: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_game
    duel = liar(world)
    number = duel.challenge()
    duel.turn(number)
    real = world.chain.rpc._once
    events = interface("DisputeGame").events
    topic = next("0x" + t.hex() for t, entry in events.items() if entry.name == "Challenged")

    def lying(requests: Any) -> list[Any]:
        answers = real(requests)
        if requests[0][0] == "eth_getLogs":
            answers = [[log for log in answers[0] if log["topics"][0] != topic]]
        return list(answers)

    with monkeypatch.context() as broken:
        broken.setattr(world.chain.rpc, "_once", lying)
        with pytest.raises(HistoryBroken, match="nobody challenged"):
            History(world.chain).sync(world.chain.snapshot())
    agree(duel)


def test_has_game__with_and_without__is_told_apart(game_world: World, world: World) -> None:
    assert game_world.chain.has_game
    assert not world.chain.has_game
    there = world.chain.balances(world.address(KEEPER), world.chain.snapshot())
    assert there.game_credit == Credit(0, 0)


@pytest.mark.parametrize("member", ["MARKET", "REGISTRY"])
def test_check__game_of_another_market__is_refused(
    fresh_game: World, monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    world = fresh_game
    real = Chain._read_many

    def other(self: Chain, at: str, reads: list[Read]) -> list[tuple[Any, ...]]:
        answers = real(self, at, reads)
        named = [(abi, name) for _, abi, name, _ in reads]
        return [
            ("0x" + "77" * 20,) if which == ("DisputeGame", member) else answer
            for which, answer in zip(named, answers, strict=True)
        ]

    monkeypatch.setattr(Chain, "_read_many", other)
    with pytest.raises(WrongChain, match=rf"DisputeGame\.{member} is 0x7777"):
        Chain.connect(world.config(), world.deployment)


def test_check__contract_that_is_no_game__says_so(
    fresh_game: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_game
    world.rpc("anvil_setCode", "0x" + world.deployment.game.hex(), "0x00")
    with pytest.raises(WrongChain, match="no DisputeGame of this version"):
        Chain.connect(world.config(), world.deployment)


# --- calls as data --------------------------------------------------------------------------------

GAME = Game(b"\x08" * 20)
CLAIM = b"\xcc" * 32


def test_play__one_move__is_its_own_call(world: World) -> None:
    terms = world.terms()
    move = Point(5, 3, b"\1" * 32, (b"\2" * 32,))
    call = GAME.play(CLAIM, terms, [(7, move)])
    assert call == GAME.move(CLAIM, 7, terms, move)
    name, values = GAME.abi.decode_input(call.data)
    assert (name, values) == ("point", (CLAIM, 7, 5, 3, b"\1" * 32, (b"\2" * 32,)))
    assert call.what == "point in challenge 7 of 0xcccccccc…"


def test_play__several_moves__carry_their_calls_in_order(world: World) -> None:
    terms = world.terms()
    proof = TableProof(ProgramPart(b"header", [b"\3" * 32]))
    moves: list[tuple[int, Move]]
    moves = [(2, Reveal((b"\1" * 32,))), (2, Enter(Tree.OUTPUTS, proof)), (1, Point(0, 0, CLAIM))]
    call = GAME.play(CLAIM, terms, moves)
    name, (inner, every) = GAME.abi.decode_input(call.data)
    assert (name, every) == ("play", True)
    decoded = [GAME.abi.decode_input(data) for data in inner]
    assert [part[0] for part in decoded] == ["reveal", "enter", "point"]
    assert [part[1][1] for part in decoded] == [2, 2, 1]
    assert decoded[1][1][3:] == (Tree.OUTPUTS, encoded(proof))
    words = "challenge 2 of 0xcccccccc…, challenge 1 of 0xcccccccc…"
    assert call.what == f"reveal, enter, point in {words}"
    assert call.value == 0


def test_challenge__call__sends_the_bond(world: World) -> None:
    terms = world.terms()
    call = GAME.challenge(terms, CLAIM, 77)
    assert call.value == 77
    name, values = GAME.abi.decode_input(call.data)
    assert (name, values[1]) == ("challenge", CLAIM)
    assert len(terms_values(terms)) == 2
