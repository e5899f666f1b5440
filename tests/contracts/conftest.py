"""One deployment a run, one snapshot a test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scripts import brownie_project
from scripts.deploy import Deployment
from scripts.evm import EvmNode
from tests.contracts.market import Market
from tests.contracts.world import deploy_world


@pytest.fixture(scope="module")
def connection(anvil_node: EvmNode) -> Iterator[Any]:
    """Brownie, connected to the run's Anvil."""
    with brownie_project.connected(anvil_node) as brownie:
        yield brownie


@pytest.fixture(scope="module")
def deployed(connection: Any) -> tuple[Market, Deployment]:
    """The contracts with a game that obeys everybody, and funded roles."""
    return deploy_world(connection)


@pytest.fixture
def world(deployed: tuple[Market, Deployment]) -> Iterator[Market]:
    """The deployment as it was made; what a test does to it is undone."""
    market, _ = deployed
    market.brownie.chain.snapshot()
    yield market
    market.brownie.chain.revert()
