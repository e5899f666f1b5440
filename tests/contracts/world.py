"""A deployment with a game that obeys everybody, and roles with money."""

from __future__ import annotations

from typing import Any, Final

from protocol.spec.limits import DEVNET
from scripts import brownie_project
from scripts.deploy import Deployment, deploy
from tests.contracts.market import Market

STAKE: Final = 10_000 * 10**18
DEPOSIT: Final = 10**18


def deploy_world(brownie: Any) -> tuple[Market, Deployment]:
    """Deploys to the chain that Brownie is connected to; two providers have stake."""
    project = brownie_project.load_project()
    deployer, client, provider, rival, keeper, stranger = brownie.accounts[:6]
    game = project.MockDisputeGame
    deployment = deploy(
        project,
        deployer,
        deploy_game=lambda market, registry: game.deploy(market, registry, {"from": deployer}),
    )
    token = project.DevToken.at(deployment.token)
    world = Market(
        brownie=brownie,
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
