"""scripts/deploy.py: addresses computed before they exist, limits that make sense, the file."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from protocol.spec.limits import DEVNET, Limits
from scripts import config, tools
from scripts.deploy import Deployment, DeploymentFailed, deploy
from scripts.evm import EvmNode
from tests.contracts.market import Market

pytestmark = pytest.mark.chain


def test_deploy__contracts__know_each_other(deployed: tuple[Market, Deployment]) -> None:
    world, deployment = deployed
    assert world.market.REGISTRY() == world.registry
    assert world.market.GAME() == world.game == world.registry.GAME()
    assert world.market.COURT() == deployment.court
    assert world.registry.MARKET() == world.market
    assert world.market.TOKEN() == world.registry.TOKEN() == world.token
    assert world.registry.UNBONDING_SECONDS() == deployment.unbonding_seconds
    assert world.registry.MAX_BACKLOG_MS() == deployment.max_backlog_ms
    assert (world.game.MARKET(), world.game.REGISTRY()) == (world.market, world.registry)


def test_to_json__deployment__holds_everything(
    deployed: tuple[Market, Deployment], tmp_path: Path
) -> None:
    _, deployment = deployed
    path = tmp_path / "deployment.json"
    path.write_text(deployment.to_json())
    entry = json.loads(path.read_text())
    assert entry["version"] == 1
    assert entry["chainId"] == 31337
    places = (deployment.market, deployment.game, deployment.court)
    assert (entry["market"], entry["game"], entry["court"]) == places
    assert entry["limits"]["maxAttempts"] == DEVNET.max_attempts
    assert len(entry["limits"]) == len(fields(Limits))


def test_deploy__without_a_game__reserves_the_next_address(world: Market) -> None:
    deployment = deploy(world.project, world.deployer)
    game = world.project.MockDisputeGame.deploy(
        deployment.market, deployment.registry, {"from": world.deployer}
    )
    assert game.address == deployment.game


def test_deploy__game_that_is_not_the_next_contract__fails(world: Market) -> None:
    def late(market: str, registry: str) -> Any:
        world.token.mint(world.stranger, 1, {"from": world.deployer})
        return world.project.MockDisputeGame.deploy(market, registry, {"from": world.deployer})

    with pytest.raises(DeploymentFailed, match="the game at"):
        deploy(world.project, world.deployer, deploy_game=late)


@pytest.mark.parametrize(
    ("term", "change"),
    [
        ("openSeconds", {"min_open_seconds": 0}),
        ("runSeconds", {"max_run_seconds": 1}),
        ("windowSeconds", {"min_window_seconds": 0}),
        ("moveSeconds", {"max_move_seconds": 0}),
        ("workMs", {"max_work_ms": 2**48}),
        ("clock", {"max_work_ms": 2**40}),
        ("clock", {"max_move_seconds": 2**28}),
        ("lock", {"min_lock": 0}),
        ("stakeBps", {"min_stake_bps": 0}),
        ("gasPrice", {"min_gas_price": 0}),
        ("gasPrice", {"max_gas_price": 2**48}),
        ("attempts", {"max_attempts": 16}),
        ("closeGas", {"close_gas": 0}),
        ("lateGas", {"late_gas": 0}),
        ("disputeGas", {"dispute_gas": 0}),
        ("disputeGas", {"dispute_gas": 2**32 - 1, "max_gas_price": 2**48 - 1}),
    ],
)
def test_constructor__limits_that_contradict_each_other__reverts(
    world: Market, term: str, change: dict[str, int]
) -> None:
    limits = replace(DEVNET, **change)
    with world.reverts("BadLimits", term.encode().ljust(32, b"\0")):
        world.project.JobMarket.deploy(
            world.token, world.registry, world.game, world.game, limits.values(),
            {"from": world.deployer},
        )  # fmt: skip


def test_constructor__the_largest_gas_price_that_a_game_can_keep__is_taken(world: Market) -> None:
    limits = replace(DEVNET, max_gas_price=2**48 - 1)
    market = world.project.JobMarket.deploy(
        world.token, world.registry, world.game, world.game, limits.values(),
        {"from": world.deployer},
    )  # fmt: skip
    assert Limits(*market.limits()) == limits


@pytest.mark.parametrize("missing", [0, 1, 2, 3])
def test_constructor__zero_address__reverts(world: Market, missing: int) -> None:
    nobody = "0x" + "00" * 20
    given_ = [world.token.address, world.market.address, world.game.address, world.game.address]
    given_[missing] = nobody
    sender = {"from": world.deployer}
    with world.reverts("ZeroAddress"):
        world.project.JobMarket.deploy(*given_, DEVNET.values(), sender)
    if missing < 3:
        with world.reverts("ZeroAddress"):
            world.project.ProviderRegistry.deploy(*given_[:3], 1, 1, sender)


def test_main__a_running_node__deploys_and_writes_the_file(
    anvil_node: EvmNode, tmp_path: Path
) -> None:
    path = tmp_path / "deployment.json"
    answer = subprocess.run(
        [sys.executable, "-m", "scripts.deploy", "--url", anvil_node.url, "--out", path],
        cwd=tools.ROOT,
        env=config.child_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    entry = json.loads(path.read_text())
    assert answer.stdout.splitlines()[-1] == (
        f"deployed the market at {entry['market']}, written to {path}"
    )
    assert entry["limits"]["minLock"] == DEVNET.min_lock
