"""Calls that are sent together, and how long they are on their way."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from protocol.chain.contracts import Call
from protocol.chain.errors import (
    BlockUnavailable,
    ChainError,
    FeeTooHigh,
    InsufficientFunds,
    NodeRefused,
    NodeUnavailable,
    TransactionFailed,
    TransactionPending,
)
from protocol.chain.flights import Batch, Flight, Quote, Result
from protocol.chain.reverts import ERC20InsufficientBalance, TooEarly, WrongStatus
from protocol.chain.transactions import Sender
from protocol.spec.job import task_hash
from tests.chain.sending import SECONDS, in_thread, nonce, pool, sender
from tests.chain.world import KEEPER, RIVAL, World

pytestmark = pytest.mark.chain


def test_send_all__calls_that_need_not_wait__share_a_block(fresh_world: World) -> None:
    world = fresh_world
    world.rpc("evm_setAutomine", False)
    token = world.chain.contracts.token
    before = nonce(world, KEEPER)
    calls = [token.mint(world.address(KEEPER), 10**k) for k in range(4)]
    thread, results = in_thread(partial(sender(world).send_all, calls))
    pool(world, 4)
    world.rpc("evm_mine")
    thread.join(SECONDS)
    (outcomes,) = results
    assert [one.call for one in outcomes] == calls  # type: ignore[attr-defined]
    assert {one.result for one in outcomes} == {Result.MINED}  # type: ignore[attr-defined]
    assert len({one.block for one in outcomes}) == 1  # type: ignore[attr-defined]
    assert nonce(world, KEEPER) == before + 4
    assert world.chain.balances(world.address(KEEPER), world.chain.snapshot()).token == 1111


def test_send_all__one_is_refused__the_others_are_mined_and_leave_no_gap(
    fresh_world: World,
) -> None:
    world = fresh_world
    token = world.chain.contracts.token
    before = nonce(world, KEEPER)
    calls = [
        token.mint(world.address(KEEPER), 1),
        token.transfer(b"\1" * 20, 10**30),
        token.mint(world.address(KEEPER), 10),
    ]
    first, refusal, last = sender(world).send_all(calls)
    assert isinstance(refusal, ERC20InsufficientBalance)
    for one in (first, last):
        assert not isinstance(one, ChainError)
        assert one.result is Result.MINED
    assert nonce(world, KEEPER) == before + 2


def test_send_all__one_fails_in_its_block__says_why(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_world
    _, terms = world.post()
    contracts = world.chain.contracts
    accept = contracts.market.accept(task_hash(terms.task), terms.deal)
    world.accept(terms)
    rival = sender(world, RIVAL)
    monkeypatch.setattr(rival, "quote", lambda call, block: Quote(200_000, rival.fees()))
    refusal, minted = rival.send_all([accept, contracts.token.mint(world.address(RIVAL), 7)])
    assert isinstance(refusal, WrongStatus)
    assert not isinstance(minted, ChainError)
    assert minted.result is Result.MINED


def test_send_all__node_refuses_one__the_others_are_sent(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_world
    token = world.chain.contracts.token
    calls = [token.mint(world.address(KEEPER), 10**k) for k in range(3)]
    made = sender(world)
    real = made.quote

    def quote(call: Call, block: str = "pending") -> Quote:
        if call is calls[1]:
            raise NodeRefused("gas required exceeds allowance", None)
        return real(call, block)

    monkeypatch.setattr(made, "quote", quote)
    first, refusal, last = made.send_all(calls)
    assert isinstance(refusal, NodeRefused)
    assert [getattr(one, "result", None) for one in (first, last)] == [Result.MINED] * 2


def test_send_all__what_is_allowed_in_the_next_block_at_first__is_sent(fresh_world: World) -> None:
    """On a chain that mines on demand there is no block until somebody sends."""
    world = fresh_world
    job, terms = world.post()
    world.accept(terms)
    world.commit(job)
    at = world.chain.snapshot()
    clock = world.chain.job_state(job, at).clock
    world.rpc("evm_increaseTime", hex(clock + 2 - at.timestamp))
    call = world.chain.contracts.market.finalize(task_hash(terms.task), terms.deal)
    with pytest.raises(TooEarly):
        sender(world).simulate(call, "latest")
    (outcome,) = sender(world).send_all([call])
    assert getattr(outcome, "result", None) is Result.MINED


# --- launched, and looked after later ------------------------------------------------------------


def launched(made: Sender, world: World) -> tuple[Batch, Flight]:
    """One call on its way."""
    batch = made.launch([world.chain.contracts.token.mint(world.address(KEEPER), 1)])
    (flight,) = batch.ends
    assert isinstance(flight, Flight)
    return batch, flight


def forgotten(world: World, flight: Flight) -> None:
    """The node has lost the call, and a dearer one is due."""
    world.rpc("anvil_dropTransaction", "0x" + flight.sent[0][0].hex())
    threading.Event().wait(0.02)


def mined(made: Sender, batch: Batch, world: World) -> None:
    """The node has the call again, and mines it."""
    pool(world, 1)
    world.rpc("evm_mine")
    assert made.look_after(batch)
    assert [getattr(one, "result", None) for one in batch.outcomes()] == [Result.MINED]


def test_launch__calls_are_on_their_way__does_not_wait_and_what_is_sent_next_does(
    fresh_world: World,
) -> None:
    world = fresh_world
    world.rpc("evm_setAutomine", False)
    token, made = world.chain.contracts.token, sender(world)
    before = nonce(world, KEEPER)
    batch = made.launch([token.mint(world.address(KEEPER), 10**k) for k in range(2)])
    assert not made.look_after(batch)
    with pytest.raises(ValueError, match="2 of 2 calls are still on their way"):
        batch.outcomes()
    thread, results = in_thread(partial(made.send, token.mint(world.address(KEEPER), 100)))
    pool(world, 2)
    thread.join(0.5)
    assert thread.is_alive(), "it takes nobody's place"
    world.rpc("evm_mine")
    pool(world, 1)
    world.rpc("evm_mine")
    thread.join(SECONDS)
    assert getattr(results[0], "result", None) is Result.MINED
    assert batch.over, "and knows how they ended"
    assert [getattr(one, "result", None) for one in batch.outcomes()] == [Result.MINED] * 2
    assert made.look_after(batch)
    assert nonce(world, KEEPER) == before + 3


def test_look_after__not_mined_for_long__takes_its_place_at_higher_fees(
    fresh_world: World,
) -> None:
    world = fresh_world
    world.rpc("evm_setAutomine", False)
    made = sender(world, bump_seconds=0.01)
    batch, flight = launched(made, world)
    first = flight.fees.most
    threading.Event().wait(0.02)
    assert not made.look_after(batch)
    assert len(flight.sent) == 2
    assert flight.fees.most > first
    world.rpc("evm_mine")
    assert made.look_after(batch, waits=True)
    (outcome,) = batch.outcomes()
    assert not isinstance(outcome, ChainError)
    assert outcome.tx == flight.sent[-1][0]


def test_look_after__never_mined__ends_and_what_is_sent_next_takes_its_place(
    fresh_world: World,
) -> None:
    world = fresh_world
    world.rpc("evm_setAutomine", False)
    token = world.chain.contracts.token
    made = sender(world, bump_seconds=0.05, give_up_seconds=0.1)
    batch = made.launch([token.mint(world.address(KEEPER), 1)])
    with pytest.raises(TransactionPending):
        made.look_after(batch, waits=True)
    (flight,) = batch.ends
    assert isinstance(flight, Flight)
    made._config = replace(made._config, give_up_seconds=SECONDS)
    thread, results = in_thread(partial(made.send, token.mint(world.address(KEEPER), 2)))
    while world.rpc("eth_getTransactionByHash", "0x" + flight.sent[-1][0].hex()) is not None:
        assert thread.is_alive()
        threading.Event().wait(0.02)
    world.rpc("evm_mine")
    thread.join(SECONDS)
    assert getattr(results[0], "result", None) is Result.MINED
    assert nonce(world, KEEPER) == 1
    assert world.chain.balances(world.address(KEEPER), world.chain.snapshot()).token == 2


def test_look_after__given_up__replaces_nothing(fresh_world: World) -> None:
    """Its nonce may be that of a later call by now."""
    world = fresh_world
    world.rpc("evm_setAutomine", False)
    made = sender(world, bump_seconds=0.01, give_up_seconds=0.01)
    batch, flight = launched(made, world)
    threading.Event().wait(0.02)
    with pytest.raises(TransactionPending):
        made.look_after(batch)
    assert len(flight.sent) == 1


@pytest.mark.parametrize(
    "error", [FeeTooHigh("beyond the cap"), InsufficientFunds("poor"), NodeRefused("no")]
)
def test_look_after__cannot_pay_more_and_the_node_forgot_it__is_sent_again(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch, error: ChainError
) -> None:
    world = fresh_world
    world.rpc("evm_setAutomine", False)
    made = sender(world, bump_seconds=0.01)
    batch, flight = launched(made, world)

    def refuse(flight: Flight) -> None:
        raise error

    monkeypatch.setattr(made, "_raise_fees", refuse)
    forgotten(world, flight)
    assert not made.look_after(batch)
    assert len(flight.sent) == 1
    mined(made, batch, world)


def test_look_after__node_does_not_tell__it_is_still_on_its_way(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_world
    made = sender(world)
    batch = made.launch([world.chain.contracts.token.mint(world.address(KEEPER), 1)])
    real, answers = made._rpc.call, [NodeRefused("not now"), {"blockNumber": "0x1"}]

    def call(method: str, *given: Any) -> Any:
        if method == "eth_getTransactionReceipt" and answers:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        return real(method, *given)

    monkeypatch.setattr(made._rpc, "call", call)
    for _ in range(2):
        assert not made.look_after(batch)
    assert made.look_after(batch)
    assert [getattr(one, "result", None) for one in batch.outcomes()] == [Result.MINED]


def test_launch__node_breaks_off_in_the_middle__what_was_sent_is_looked_after(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_world
    token, made = world.chain.contracts.token, sender(world)
    calls = [token.mint(world.address(KEEPER), 10**k) for k in range(3)]
    real, left = made._launch, [1]

    def launch(call: Call, nonce: int) -> Flight:
        if not left:
            raise NodeUnavailable("gone")
        left.pop()
        return real(call, nonce)

    monkeypatch.setattr(made, "_launch", launch)
    batch = made.launch(calls)
    assert made.look_after(batch, waits=True)
    first, *rest = batch.outcomes()
    assert getattr(first, "result", None) is Result.MINED
    assert [type(one) for one in rest] == [NodeUnavailable] * 2
    with pytest.raises(NodeUnavailable):
        made.launch(calls)


def test_look_after__failed_in_a_block_that_the_node_has_no_state_of__has_failed(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_world
    _, terms = world.post()
    accept = world.chain.contracts.market.accept(task_hash(terms.task), terms.deal)
    world.accept(terms)
    rival = sender(world, RIVAL)
    monkeypatch.setattr(rival, "quote", lambda call, block: Quote(200_000, rival.fees()))

    def pruned(call: Call, block: str = "pending") -> bytes:
        raise BlockUnavailable("header not found")

    batch = rival.launch([accept])
    monkeypatch.setattr(rival, "simulate", pruned)
    assert rival.look_after(batch, waits=True)
    (failure,) = batch.outcomes()
    assert isinstance(failure, TransactionFailed)
    assert "the node does not tell why (header not found)" in str(failure)


def test_look_after__dearer_one_is_refused_and_the_node_forgot_the_first__which_is_sent_again(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_world
    world.rpc("evm_setAutomine", False)
    made = sender(world, bump_seconds=0.01)
    batch, flight = launched(made, world)
    first = "0x" + flight.sent[0][1].hex()
    real = made._rpc.call

    def call(method: str, *given: Any) -> Any:
        if method == "eth_sendRawTransaction" and given[0] != first:
            raise NodeRefused("the fee exceeds the node's own cap")
        return real(method, *given)

    monkeypatch.setattr(made._rpc, "call", call)
    forgotten(world, flight)
    assert not made.look_after(batch)
    assert len(flight.sent) == 2
    mined(made, batch, world)


def test_launch__answer_of_the_node_is_lost__the_call_is_on_its_way(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_world
    made = sender(world)
    real, lost = made._rpc.call, [True]

    def call(method: str, *given: Any) -> Any:
        answer = real(method, *given)
        if method == "eth_sendRawTransaction" and lost:
            lost.pop()
            raise NodeUnavailable("broken off")
        return answer

    monkeypatch.setattr(made._rpc, "call", call)
    calls = [world.chain.contracts.token.mint(world.address(KEEPER), 10**k) for k in range(2)]
    outcomes = made.send_all(calls)
    assert [getattr(one, "result", None) for one in outcomes] == [Result.MINED] * 2
    assert world.chain.balances(world.address(KEEPER), world.chain.snapshot()).token == 11


def test_mined_within__chain_that_mines_on_demand__is_what_my_calls_took(
    fresh_world: World,
) -> None:
    world = fresh_world
    made = sender(world)
    for _ in range(33):
        world.rpc("evm_increaseTime", hex(100))
        world.rpc("evm_mine")
    at = world.chain.snapshot()
    assert world.chain.block_seconds(at) >= 100
    assert made.mined_within(at) is None, "nothing was sent yet"
    made.send(world.chain.contracts.token.mint(world.address(KEEPER), 1))
    within = made.mined_within(at)
    assert within is not None
    assert within < 10
