"""Worlds: one a module on Anvil, one on Ganache, and fresh ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts import evm
from tests.chain.world import World, open_world


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A market on an Anvil of this module's own."""
    with evm.anvil() as node, open_world(node) as made:
        yield made


@pytest.fixture
def fresh_world() -> Iterator[World]:
    """A market on an Anvil of this test's own: for reorgs, stopped mining and lost nodes."""
    with evm.anvil() as node, open_world(node) as made:
        yield made


@pytest.fixture(scope="module")
def ganache_world() -> Iterator[World]:
    """A market on a Ganache of this module's own."""
    with evm.ganache() as node, open_world(node) as made:
        yield made
