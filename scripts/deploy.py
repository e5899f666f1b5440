"""Deploys Assay's contracts to a chain, and writes down where they are.

The registry, the market, the dispute game and the court know each other by immutables: the
addresses of the contracts that one account creates follow from its nonce, so they are computed
before the first is sent.

``python -m scripts.deploy --url http://127.0.0.1:8545 --out deployment.json`` deploys to a local
node with unlocked accounts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from protocol.spec.errors import AssayError
from protocol.spec.limits import DAY, DEVNET, Limits

VERSION: Final = 1
"""Of the deployment file."""

UNBONDING_SECONDS: Final = 60
"""On a local chain; a public one takes longer than its longest dispute."""

MAX_BACKLOG_MS: Final = DAY * 1000
"""Most unsettled work of one provider."""


class DeploymentFailed(AssayError):
    """The contracts are not where they were to be."""


@dataclass(frozen=True)
class Deployment:
    """Where the contracts are and what they were given; addresses in checksum form.

    ``block`` is the first block that can hold an event of them.
    """

    chain_id: int
    block: int
    token: str
    registry: str
    market: str
    game: str
    court: str
    unbonding_seconds: int
    max_backlog_ms: int
    limits: Limits

    def to_json(self) -> str:
        """The deployment file: one JSON object, keys in camel case."""
        entry = {_camel(f.name): getattr(self, f.name) for f in fields(self)}
        entry["limits"] = {_camel(k): v for k, v in asdict(self.limits).items()}
        return json.dumps({"version": VERSION, **entry}, indent=2) + "\n"


@dataclass(frozen=True)
class Remote:
    """A node that somebody else started."""

    name: str
    url: str


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _expect(what: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise DeploymentFailed(f"got {what} {got}, wanted {wanted}: deploy anew")


def deploy(
    project: Any,
    sender: Any,
    *,
    limits: Limits = DEVNET,
    token: str | None = None,
    deploy_game: Callable[[str, str], Any] | None = None,
    unbonding_seconds: int = UNBONDING_SECONDS,
    max_backlog_ms: int = MAX_BACKLOG_MS,
) -> Deployment:
    """Deploys registry, market and, unless ``token`` names one, the play-money token.

    ``project`` is Brownie's project (``brownie_project.load_project()``), ``sender`` a Brownie
    account that nothing else uses meanwhile. ``deploy_game(market, registry)`` must create the
    dispute game with the next transaction of ``sender`` and give it back, and may create the court
    with the one after; without it their addresses stay reserved for that account's next two
    transactions, and no claim can be disputed until then.

    Raises DeploymentFailed when a contract is not where it was predicted.
    """
    from brownie import chain

    block = len(chain)
    if token is None:
        token = str(project.DevToken.deploy({"from": sender}).address)
    nonce = int(sender.nonce)
    registry_at, market_at, game_at, court_at = (
        str(sender.get_deployment_address(nonce + step)) for step in range(4)
    )
    registry = project.ProviderRegistry.deploy(
        token, market_at, game_at, unbonding_seconds, max_backlog_ms, {"from": sender}
    )
    market = project.JobMarket.deploy(
        token, registry_at, game_at, court_at, limits.values(), {"from": sender}
    )
    _expect("the registry at", registry.address, registry_at)
    _expect("the market at", market.address, market_at)
    if deploy_game is not None:
        _expect("the game at", deploy_game(market_at, registry_at).address, game_at)
    _expect("the registry's market", registry.MARKET(), market_at)
    _expect("the market's registry", market.REGISTRY(), registry_at)
    _expect("the market's game", market.GAME(), registry.GAME())
    _expect("the market's court", market.COURT(), court_at)
    return Deployment(
        chain_id=int(chain.id),
        block=block,
        token=token,
        registry=registry_at,
        market=market_at,
        game=game_at,
        court=court_at,
        unbonding_seconds=unbonding_seconds,
        max_backlog_ms=max_backlog_ms,
        limits=limits,
    )


def dispute_game(
    project: Any, sender: Any, *, legality: Any | None = None
) -> Callable[[str, str], Any]:
    """Deploys the referees; what it returns is the ``deploy_game`` of ``deploy``: it creates the
    dispute game, then the court.  ``legality`` stands in for the referee of legality.

    Call it before ``deploy``: each referee takes one of ``sender``'s transactions.
    """
    tensor = project.TensorReferee.deploy({"from": sender})
    trace = project.TraceReferee.deploy({"from": sender})
    data = project.DataReferee.deploy({"from": sender})
    if legality is None:
        legality = project.LegalityReferee.deploy({"from": sender})

    def create(market: str, _registry: str) -> Any:
        game = project.DisputeGame.deploy(market, tensor, trace, {"from": sender})
        court = project.Court.deploy(market, data, legality, {"from": sender})
        _expect("the court at", court.address, game.COURT())
        _expect("the court's game", court.GAME(), game.address)
        return game

    return create


def main() -> int:
    """Deploys to a local node and writes the deployment file."""
    from scripts import brownie_project

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--url", default="http://127.0.0.1:8545", help="RPC of the local node")
    parser.add_argument("--out", type=Path, required=True, help="where to write the deployment")
    arguments = parser.parse_args()
    with brownie_project.connected(Remote("anvil", arguments.url)) as brownie:
        project = brownie_project.load_project()
        sender = brownie.accounts[0]
        game = dispute_game(project, sender)
        deployment = deploy(project, sender, deploy_game=game)
    arguments.out.write_text(deployment.to_json())
    print(f"deployed the market at {deployment.market}, written to {arguments.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
