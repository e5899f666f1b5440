"""One deployment a run, one snapshot a test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from protocol.spec.limits import DEVNET
from scripts import brownie_project
from scripts.deploy import Deployment, deploy
from scripts.evm import EvmNode
from tests.contracts.market import Market

STAKE = 10_000 * 10**18
DEPOSIT = 10**18


@pytest.fixture(scope="module")
def connection(anvil_node: EvmNode) -> Iterator[Any]:
    """Brownie, connected to the run's Anvil."""
    with brownie_project.connected(anvil_node) as brownie:
        yield brownie


@pytest.fixture(scope="module")
def deployed(connection: Any) -> tuple[Market, Deployment]:
    """The contracts with a game that obeys everybody, and funded roles."""
    project = brownie_project.load_project()
    deployer, client, provider, rival, keeper, stranger = connection.accounts[:6]
    game = project.MockDisputeGame
    deployment = deploy(
        project,
        deployer,
        deploy_game=lambda market, registry: game.deploy(market, registry, {"from": deployer}),
    )
    token = project.DevToken.at(deployment.token)
    world = Market(
        brownie=connection,
        project=project,
        token=token,
        registry=project.ProviderRegistry.at(deployment.registry),
        market=project.JobMarket.at(deployment.market),
        game=game.at(deployment.game),
        deployer=deployer,
        client=client,
        provider=provider,
        rival=rival,
        keeper=keeper,
        stranger=stranger,
        chain_id=deployment.chain_id,
        limits=DEVNET,
    )
    most = 2**256 - 1
    for account in (client, provider, rival):
        token.mint(account, 10**6 * 10**18, {"from": deployer})
        token.approve(world.market, most, {"from": account})
        token.approve(world.registry, most, {"from": account})
    for account in (provider, rival):
        world.registry.register(b"\x01".rjust(32, b"\0"), stranger, b"here", {"from": account})
        world.registry.stake(STAKE, {"from": account, "value": DEPOSIT})
    return world, deployment


@pytest.fixture
def world(deployed: tuple[Market, Deployment]) -> Iterator[Market]:
    """The deployment as it was made; what a test does to it is undone."""
    market, _ = deployed
    market.brownie.chain.snapshot()
    yield market
    market.brownie.chain.revert()
