"""The one path that sends, on Anvil and Ganache, and through everything that goes wrong."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from protocol.chain.chain import Chain
from protocol.chain.errors import (
    FeeTooHigh,
    GasTooHigh,
    InsufficientFunds,
    Interrupted,
    NodeUnavailable,
    TransactionPending,
    Unprofitable,
    WalletError,
)
from protocol.chain.fees import Fees
from protocol.chain.flights import Quote, Result
from protocol.chain.reverts import (
    AlreadyPosted,
    ERC20InsufficientBalance,
    NotRegistered,
    WrongStatus,
)
from protocol.chain.transactions import Sender, require_wallet
from protocol.chain.wallet import Wallet
from protocol.spec.job import JobStatus, bounty_of, task_hash
from tests.chain.sending import SECONDS, in_thread, nonce, pool, sender
from tests.chain.world import CLIENT, KEEPER, LOCATORS, PROVIDER, RIVAL, STRANGER, World

pytestmark = pytest.mark.chain
DEAR = 50 * 10**9


def dear_block(world: World) -> None:
    """Mines a block whose base fee is DEAR."""
    world.rpc("anvil_setNextBlockBaseFeePerGas", hex(DEAR))
    world.rpc("evm_mine")


def minted(world: World, wanted: int) -> None:
    """Waits until the keeper has a number of tokens."""
    for _ in range(400):
        if world.chain.balances(world.address(KEEPER), world.chain.snapshot()).token == wanted:
            return
        threading.Event().wait(0.02)
    pytest.fail(f"the keeper never had {wanted} tokens")


@pytest.mark.parametrize("which", ["world", "ganache_world"])
def test_send__each_node__mines_and_pays_what_it_says(
    which: str, request: pytest.FixtureRequest
) -> None:
    world: World = request.getfixturevalue(which)
    who = world.address(STRANGER)
    before = world.chain.balances(who, world.chain.snapshot())
    outcome = world.send(STRANGER, world.chain.contracts.token.mint(who, 11))
    after = world.chain.balances(who, world.chain.snapshot())
    assert outcome.result is Result.MINED
    assert after.token - before.token == 11
    assert before.native - after.native == outcome.paid > 0
    assert outcome.block == world.chain.snapshot().number
    assert 21_000 < outcome.gas < 100_000
    assert len(outcome.logs) == 1


@pytest.mark.parametrize("which", ["world", "ganache_world"])
def test_send__refused__raises_before_anything_is_spent(
    which: str, request: pytest.FixtureRequest
) -> None:
    world: World = request.getfixturevalue(which)
    before = nonce(world, STRANGER)
    with pytest.raises(NotRegistered) as caught:
        world.send(STRANGER, world.chain.contracts.registry.stake(0, 1))
    assert caught.value.values["provider"] == "0x" + world.address(STRANGER).hex()
    with pytest.raises(ERC20InsufficientBalance):
        world.send(KEEPER, world.chain.contracts.token.transfer(b"\1" * 20, 1))
    assert nonce(world, STRANGER) == before


@pytest.mark.parametrize("which", ["world", "ganache_world"])
def test_send__value_beyond_the_balance__says_how_much_is_missing(
    which: str, request: pytest.FixtureRequest
) -> None:
    world: World = request.getfixturevalue(which)
    with pytest.raises(InsufficientFunds, match="ETH; stake .* takes up to 100,000.*: send it"):
        world.send(PROVIDER, world.chain.contracts.registry.stake(0, 10**23))


@pytest.mark.parametrize("which", ["world", "ganache_world"])
def test_send__wallet_without_gas_money__says_so(
    which: str, request: pytest.FixtureRequest
) -> None:
    world: World = request.getfixturevalue(which)
    poor = Sender(world.chain, Wallet.from_hex("11" * 32))
    with pytest.raises(InsufficientFunds, match="has 0 ETH; approve 0.000000000000000001 ADT"):
        poor.send(world.chain.contracts.token.approve(b"\1" * 20, 1))


def test_send__already_done__is_success_when_the_caller_says_so(world: World) -> None:
    market = world.chain.contracts.market
    job, terms = world.post()
    again = market.post(terms, LOCATORS, bounty_of(terms.deal, world.deployment.limits.schedule))
    with pytest.raises(AlreadyPosted):
        world.send(CLIENT, again)
    outcome = world.senders[CLIENT].send(again, already=lambda r: isinstance(r, AlreadyPosted))
    assert outcome.result is Result.ALREADY_DONE
    world.accept(terms)
    with pytest.raises(WrongStatus):
        world.senders[RIVAL].send(
            market.accept(task_hash(terms.task), terms.deal),
            already=lambda r: isinstance(r, AlreadyPosted),
        )
    assert world.chain.job_state(job, world.chain.snapshot()).status is JobStatus.ACCEPTED


def test_send__without_a_wallet__simulates_only(world: World) -> None:
    height = world.chain.snapshot().number
    dry = Sender(world.chain, None, dry_run_as=world.address(KEEPER))
    outcome = dry.send(world.chain.contracts.token.mint(b"\1" * 20, 1))
    assert outcome.result is Result.DRY_RUN
    with pytest.raises(ERC20InsufficientBalance):
        dry.send(world.chain.contracts.token.transfer(b"\1" * 20, 1))
    assert world.chain.snapshot().number == height


def test_require_wallet__no_key__says_how_to_give_one(world: World) -> None:
    with pytest.raises(WalletError, match="ASSAY_KEY_FILE"):
        require_wallet(world.chain)


def test_send__worth_less_than_it_costs__is_not_sent(world: World) -> None:
    before = nonce(world, KEEPER)
    call = world.chain.contracts.token.mint(b"\1" * 20, 1)
    with pytest.raises(Unprofitable, match="it is worth 0.000000000000001 ETH"):
        world.senders[KEEPER].send(call, max_cost=1000)
    assert nonce(world, KEEPER) == before
    assert world.senders[KEEPER].send(call, max_cost=10**18).result is Result.MINED


def test_send__caps__are_kept(world: World) -> None:
    call = world.chain.contracts.token.mint(b"\1" * 20, 1)
    with pytest.raises(FeeTooHigh, match="raise the cap"):
        sender(world, max_fee=1).send(call)
    with pytest.raises(GasTooHigh, match="configured cap is 21000"):
        sender(world, max_gas=21_000).send(call)


def test_fees__chain_with_base_fee__offer_a_tip_and_room(world: World) -> None:
    fees = world.senders[KEEPER].fees()
    assert fees.tip is not None
    assert fees.most >= 2 * fees.base


def test_send__not_mined_in_time__is_replaced_at_a_higher_fee(fresh_world: World) -> None:
    world = fresh_world
    world.rpc("evm_setAutomine", False)
    # The chain gets dearer than the first offer while it waits.
    slow = sender(world, bump_seconds=0.2)
    before = nonce(world, KEEPER)
    thread, results = in_thread(
        lambda: slow.send(world.chain.contracts.token.mint(world.address(KEEPER), 5))
    )
    for _ in range(400):
        dear_block(world)
        if results:
            break
        threading.Event().wait(0.05)
    thread.join(SECONDS)
    (outcome,) = results
    assert outcome.result is Result.MINED  # type: ignore[attr-defined]
    assert nonce(world, KEEPER) == before + 1
    has = world.chain.balances(world.address(KEEPER), world.chain.snapshot())
    assert has.token == 5


def test_send__never_mined__gives_up_without_losing_anything(fresh_world: World) -> None:
    world = fresh_world
    world.rpc("evm_setAutomine", False)
    hasty = sender(world, give_up_seconds=0.3)
    call = world.chain.contracts.token.mint(world.address(KEEPER), 5)
    with pytest.raises(TransactionPending, match="may still be"):
        hasty.send(call)
    world.rpc("evm_mine")
    assert world.chain.balances(world.address(KEEPER), world.chain.snapshot()).token == 5


def test_send__stop_while_it_waits__is_interrupted(fresh_world: World) -> None:
    world = fresh_world
    world.rpc("evm_setAutomine", False)
    stop = threading.Event()
    with Chain(world.config(), world.deployment, stop) as chain:
        stopped = Sender(chain, Wallet.dev(KEEPER))
        thread, results = in_thread(
            lambda: stopped.send(chain.contracts.token.mint(world.address(KEEPER), 5))
        )
        pool(world, 1)
        stop.set()
        thread.join(SECONDS)
    assert isinstance(results[0], Interrupted)


def test_send__after_a_kill__waits_for_what_was_sent_before(fresh_world: World) -> None:
    world = fresh_world
    world.rpc("evm_setAutomine", False)
    token = world.chain.contracts.token
    first = nonce(world, KEEPER)
    with pytest.raises(TransactionPending):
        sender(world, give_up_seconds=0.2).send(token.mint(world.address(KEEPER), 1))
    # A new life: nothing is known but the chain.
    thread, results = in_thread(lambda: sender(world).send(token.mint(world.address(KEEPER), 2)))
    threading.Event().wait(0.3)
    pool(world, 1)
    assert not results
    world.rpc("evm_mine")
    pool(world, 1)
    world.rpc("evm_mine")
    thread.join(SECONDS)
    assert results[0].result is Result.MINED  # type: ignore[attr-defined]
    assert nonce(world, KEEPER) == first + 2
    assert world.chain.balances(world.address(KEEPER), world.chain.snapshot()).token == 3


def test_send__after_a_kill_and_done_meanwhile__is_not_sent_again(fresh_world: World) -> None:
    world = fresh_world
    world.rpc("evm_setAutomine", False)
    token, who = world.chain.contracts.token, world.address(KEEPER)
    first = nonce(world, KEEPER)
    with pytest.raises(TransactionPending):
        sender(world, give_up_seconds=0.2).send(token.mint(who, 1))

    def done() -> bool:
        return world.chain.balances(who, world.chain.snapshot()).token > 0

    thread, results = in_thread(lambda: sender(world).send(token.mint(who, 1), done=done))
    threading.Event().wait(0.3)
    assert not results
    world.rpc("evm_mine")
    thread.join(SECONDS)
    assert results[0].result is Result.ALREADY_DONE  # type: ignore[attr-defined]
    assert nonce(world, KEEPER) == first + 1
    pool(world, 0)


def test_send__after_a_kill_and_stuck__takes_its_place(fresh_world: World) -> None:
    world = fresh_world
    world.rpc("evm_setAutomine", False)
    token = world.chain.contracts.token
    first = nonce(world, KEEPER)
    stuck = sender(world, give_up_seconds=0.2)
    with pytest.raises(TransactionPending):
        stuck.send(token.mint(world.address(KEEPER), 1))
    patient = sender(world, bump_seconds=0.3)
    thread, results = in_thread(lambda: patient.send(token.mint(world.address(KEEPER), 2)))
    for _ in range(400):
        dear_block(world)
        if results:
            break
        threading.Event().wait(0.05)
    thread.join(SECONDS)
    assert results[0].result is Result.MINED  # type: ignore[attr-defined]
    assert nonce(world, KEEPER) == first + 1
    assert world.chain.balances(world.address(KEEPER), world.chain.snapshot()).token == 2


def test_send__nonce_taken_by_another_process__starts_anew(fresh_world: World) -> None:
    world = fresh_world
    world.rpc("evm_setAutomine", False)
    token = world.chain.contracts.token
    first = nonce(world, KEEPER)
    thread, results = in_thread(lambda: sender(world).send(token.mint(world.address(KEEPER), 1)))
    pool(world, 1)
    # The same key elsewhere replaces it at a much higher fee.
    other = Sender(world.chain, Wallet.dev(KEEPER))
    fees = Fees(10**11, 10**11, 0)
    other.fees = lambda: fees  # type: ignore[method-assign]
    other._free_nonce = lambda deadline: first  # type: ignore[method-assign]
    other_thread, other_results = in_thread(
        lambda: other.send(token.mint(world.address(KEEPER), 10))
    )
    for _ in range(400):
        if str(fees.most) in str(world.rpc("txpool_inspect")):
            break
        threading.Event().wait(0.05)
    for _ in range(400):
        if len(results) and len(other_results):
            break
        world.rpc("evm_mine")
        threading.Event().wait(0.05)
    thread.join(SECONDS)
    other_thread.join(SECONDS)
    outcomes = [*results, *other_results]
    assert [getattr(r, "result", r) for r in outcomes] == [Result.MINED] * 2
    assert nonce(world, KEEPER) == first + 2
    assert world.chain.balances(world.address(KEEPER), world.chain.snapshot()).token == 11


def test_send__forgotten_by_the_node__is_sent_again(fresh_world: World) -> None:
    world = fresh_world
    world.rpc("evm_setAutomine", False)
    token = world.chain.contracts.token
    thread, results = in_thread(lambda: sender(world).send(token.mint(world.address(KEEPER), 1)))
    pool(world, 1)
    world.rpc("anvil_dropAllTransactions")
    pool(world, 1)
    world.rpc("evm_mine")
    thread.join(SECONDS)
    assert results[0].result is Result.MINED  # type: ignore[attr-defined]


def test_send__confirmations__are_waited_for(fresh_world: World) -> None:
    world = fresh_world
    token = world.chain.contracts.token
    careful = sender(world, confirmations=3)
    thread, results = in_thread(lambda: careful.send(token.mint(world.address(KEEPER), 1)))
    minted(world, 1)
    threading.Event().wait(0.3)
    assert not results
    world.rpc("evm_mine")
    threading.Event().wait(0.3)
    assert not results
    world.rpc("evm_mine")
    thread.join(SECONDS)
    assert results[0].result is Result.MINED  # type: ignore[attr-defined]


def test_send__reorganised_before_confirmed__is_mined_again(fresh_world: World) -> None:
    world = fresh_world
    token = world.chain.contracts.token
    careful = sender(world, confirmations=2)
    thread, results = in_thread(lambda: careful.send(token.mint(world.address(KEEPER), 1)))
    minted(world, 1)
    world.rpc("anvil_reorg", 1, [])
    assert not results
    for _ in range(400):
        if results:
            break
        world.rpc("evm_mine")
        threading.Event().wait(0.05)
    thread.join(SECONDS)
    assert results[0].result is Result.MINED  # type: ignore[attr-defined]
    assert world.chain.balances(world.address(KEEPER), world.chain.snapshot()).token == 1


def test_send__fails_in_its_block__raises_the_contracts_reason(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_world
    job, terms = world.post()
    accept = world.chain.contracts.market.accept(task_hash(terms.task), terms.deal)
    rival = world.senders[RIVAL]
    real = rival.simulate

    def hopeful(call: Any, block: str = "pending") -> bytes:
        return b"" if block == "pending" else real(call, block)

    world.accept(terms)
    monkeypatch.setattr(rival, "simulate", hopeful)
    monkeypatch.setattr(rival, "quote", lambda call, block: Quote(200_000, rival.fees()))
    before = nonce(world, RIVAL)
    with pytest.raises(WrongStatus, match="got ACCEPTED, wanted OPEN"):
        rival.send(accept)
    assert nonce(world, RIVAL) == before + 1
    assert job


def test_send__answer_to_the_send_gets_lost__is_found_in_its_block(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_world
    real = world.chain.rpc._once
    lost: list[str] = []

    def unreliable(requests: Any) -> list[Any]:
        answers = real(requests)
        if requests[0][0] == "eth_sendRawTransaction" and not lost:
            lost.append("answer")
            raise NodeUnavailable("the connection broke after the node took it")
        return answers

    monkeypatch.setattr(world.chain.rpc, "_once", unreliable)
    outcome = world.send(KEEPER, world.chain.contracts.token.mint(world.address(KEEPER), 1))
    assert lost
    assert outcome.result is Result.MINED
    assert world.chain.balances(world.address(KEEPER), world.chain.snapshot()).token == 1


def test_send__two_threads__take_turns(fresh_world: World) -> None:
    world = fresh_world
    token = world.chain.contracts.token
    shared = sender(world)
    calls = [token.mint(world.address(KEEPER), 10**k) for k in range(4)]
    runs = [in_thread(partial(shared.send, call)) for call in calls]
    for thread, _ in runs:
        thread.join(SECONDS)
    assert world.chain.balances(world.address(KEEPER), world.chain.snapshot()).token == 1111
