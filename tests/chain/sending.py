"""Senders beside the test, and what waits in the pool."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from protocol.chain.chain import Chain
from protocol.chain.errors import ChainError
from protocol.chain.transactions import Sender
from protocol.chain.wallet import Wallet
from tests.chain.world import KEEPER, World

SECONDS = 20.0


def sender(world: World, role: int = KEEPER, **changes: Any) -> Sender:
    """A sender of its own configuration; it shares the world's connections."""
    chain = Chain(world.config(**changes), world.deployment, world.chain.stop)
    chain.rpc.close()
    chain.rpc = world.chain.rpc
    made = Sender(chain, Wallet.dev(role))
    return made


def in_thread(action: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Runs an action beside the test; what it gave or raised is in the list."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(action())
        except (AssertionError, ChainError) as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def nonce(world: World, role: int) -> int:
    """Mined transactions of an account."""
    who = "0x" + world.address(role).hex()
    return int(world.rpc("eth_getTransactionCount", who, "latest"), 16)


def pool(world: World, wanted: int) -> None:
    """Waits until the pool has a number of transactions ready."""
    for _ in range(400):
        if int(world.rpc("txpool_status")["pending"], 16) == wanted:
            return
        threading.Event().wait(0.02)
    pytest.fail(f"the pool never had {wanted} transactions")
