"""One deployment a module, one snapshot a test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scripts import brownie_project
from scripts.evm import EvmNode
from tests.contracts.market import Market
from tests.game.onchain import deploy_game_world


@pytest.fixture(scope="module")
def connection(anvil_node: EvmNode) -> Iterator[Any]:
    """Brownie, connected to the run's Anvil."""
    with brownie_project.connected(anvil_node) as brownie:
        yield brownie


@pytest.fixture(scope="module")
def deployed(connection: Any) -> Market:
    """The contracts, a referee of legality that believes what it is told, and funded roles."""
    return deploy_game_world(connection, believer=True)


@pytest.fixture
def world(deployed: Market) -> Iterator[Market]:
    """The deployment as it was made; what a test does to it is undone."""
    deployed.brownie.chain.snapshot()
    yield deployed
    deployed.brownie.chain.revert()
