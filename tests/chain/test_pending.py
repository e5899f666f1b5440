"""What is only pending: a refusal by it counts once it is mined."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from protocol.chain.deployment import checksum
from protocol.chain.errors import NodeRefused
from protocol.chain.flights import Outcome, Result
from protocol.chain.reverts import TooLate, WrongStatus
from protocol.spec.job import task_hash
from tests.chain.sending import SECONDS, in_thread, pool, sender
from tests.chain.world import PROVIDER, RIVAL, World

pytestmark = pytest.mark.chain


def rivals(world: World, monkeypatch: pytest.MonkeyPatch, *, counts: bool) -> tuple[str, Any]:
    """PROVIDER's acceptance waits in the pool, and RIVAL sends its own, whose node refuses it."""
    _, terms = world.post()
    accept = world.chain.contracts.market.accept(task_hash(terms.task), terms.deal)
    world.rpc("evm_setAutomine", False)
    fields = {
        "from": checksum(world.address(PROVIDER)), "to": checksum(accept.to),
        "data": "0x" + accept.data.hex(), "gas": hex(500_000),
    }  # fmt: skip
    waiting = world.rpc("eth_sendTransaction", fields)
    pool(world, 1)
    rival = sender(world, RIVAL)
    waits, real = rival._rpc.pause, rival._rpc.call
    seen: list[float] = []

    def call(method: str, *params: Any) -> Any:
        if method == "eth_getBlockTransactionCountByNumber" and not counts:
            raise NodeRefused("not here", None)
        return real(method, *params)

    def pause(seconds: float) -> None:
        seen.append(seconds)
        waits(seconds)

    monkeypatch.setattr(rival._rpc, "call", call)
    monkeypatch.setattr(rival._rpc, "pause", pause)
    run = in_thread(partial(rival.send, accept))
    for _ in range(400):
        if seen:
            return waiting, run
        run[0].join(0.02)
    pytest.fail("it did not wait for a block")


@pytest.mark.parametrize("counts", [True, False])
def test_send__what_refuses_it_is_taken_back__is_sent_after_a_block(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch, counts: bool
) -> None:
    world = fresh_world
    waiting, (thread, results) = rivals(world, monkeypatch, counts=counts)
    world.rpc("anvil_dropTransaction", waiting)
    world.rpc("evm_mine")
    pool(world, 1)
    world.rpc("evm_mine")
    thread.join(SECONDS)
    (outcome,) = results
    assert isinstance(outcome, Outcome)
    assert outcome.result is Result.MINED


def test_send__what_refuses_it_is_mined__nothing_is_spent(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_world
    before = world.rpc("eth_getTransactionCount", checksum(world.address(RIVAL)), "latest")
    _, (thread, results) = rivals(world, monkeypatch, counts=True)
    world.rpc("evm_mine")
    thread.join(SECONDS)
    (refusal,) = results
    assert isinstance(refusal, WrongStatus)
    after = world.rpc("eth_getTransactionCount", checksum(world.address(RIVAL)), "pending")
    assert after == before


def test_send__refused_by_the_time_of_the_next_block__is_refused_at_once(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is pending that could be taken back."""
    world = fresh_world
    _, terms = world.post()
    accept = world.chain.contracts.market.accept(task_hash(terms.task), terms.deal)
    world.rpc("evm_increaseTime", 10 * 86_400)
    rival = sender(world, RIVAL)
    rival.simulate(accept, "latest")
    monkeypatch.setattr(rival._rpc, "pause", lambda seconds: pytest.fail("it waits"))
    with pytest.raises(TooLate):
        rival.send(accept)
