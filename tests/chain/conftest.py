"""Worlds: one a module on Anvil, the same as good as new for a test, one on Ganache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scripts import evm
from tests.chain.world import World, open_world, view_of


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A market on an Anvil of this module's own."""
    with evm.anvil() as node, open_world(node) as made:
        yield made


@pytest.fixture
def fresh_world(world: World) -> Iterator[World]:
    """The module's market as it was at the start, for reorgs, stopped mining and the like."""
    with _as_good_as_new(world) as made:
        yield made


@pytest.fixture(scope="module")
def game_world() -> Iterator[World]:
    """A market with a dispute game, on an Anvil of this module's own."""
    with evm.anvil() as node, open_world(node, game=True) as made:
        yield made


@pytest.fixture
def fresh_game(game_world: World) -> Iterator[World]:
    """The module's market with a game as it was at the start."""
    with _as_good_as_new(game_world) as made:
        yield made


@contextmanager
def _as_good_as_new(world: World) -> Iterator[World]:
    """Connections and senders are the test's own; the chain goes back afterwards."""
    fee = world.chain.snapshot().base_fee
    back = world.rpc("evm_snapshot")
    with view_of(world) as made:
        yield made
    world.rpc("anvil_dropAllTransactions")
    world.rpc("evm_setAutomine", True)
    assert world.rpc("evm_revert", back) is True
    # Going back leaves the node's next base fee where the test had put it.
    world.rpc("anvil_setNextBlockBaseFeePerGas", hex(fee or 0))


@pytest.fixture(scope="module")
def ganache_world() -> Iterator[World]:
    """A market on a Ganache of this module's own."""
    with evm.ganache() as node, open_world(node) as made:
        yield made
