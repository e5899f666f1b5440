"""A small market for the agent: Anvil, the contracts, an IPFS node for each side."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from client.jobs import Client
from protocol.chain.chain import Chain
from protocol.chain.config import ChainConfig
from protocol.chain.transactions import Sender, require_wallet
from protocol.chain.wallet import KeyKind, KeySource
from protocol.storage.config import StorageConfig
from protocol.storage.process import NodeProcess
from protocol.storage.store import Store
from provider.agent import Agent, AgentConfig
from scripts import evm, tools

TOKEN = 10**18
HONEST, DEMANDER = 4, 5


@dataclass
class Market:
    """Where things are, and a way to be somebody."""

    url: str
    deployment: Path
    directory: Path
    api: dict[str, str]

    def chain_config(self, account: int) -> ChainConfig:
        key = KeySource(KeyKind.DEV, str(account), None)
        return ChainConfig(
            rpc_url=self.url, deployment=self.deployment, key=key, poll_seconds=0.05
        )

    def storage_config(self, name: str) -> StorageConfig:
        cache = self.directory / f"cache-{name}"
        return replace(StorageConfig(), api=self.api[name], cache_dir=cache, find_s=5.0)

    @contextmanager
    def client(self, account: int = 1) -> Iterator[Client]:
        with (
            Chain.connect(self.chain_config(account)) as chain,
            Store(self.storage_config("client")) as store,
        ):
            yield Client(chain, store)

    @contextmanager
    def agent(
        self, account: int, config: AgentConfig, api: str = "provider"
    ) -> Iterator[tuple[Agent, list[str]]]:
        """An agent of a registered, staked provider, not running; and what it says."""
        lines: list[str] = []
        stop = threading.Event()
        with (
            Chain.connect(self.chain_config(account), stop=stop) as chain,
            Store(self.storage_config(api)) as store,
        ):
            sender = Sender(chain, require_wallet(chain))
            yield Agent(chain, sender, store, config, lines.append), lines

    def fund(self, account: int, tokens: int) -> None:
        with Chain.connect(self.chain_config(account)) as chain:
            sender = Sender(chain, require_wallet(chain))
            sender.send(chain.contracts.token.mint(sender.address, tokens * TOKEN))

    def register(self, account: int, tokens: int) -> None:
        """Register with a stake and one ether of deposit."""
        self.fund(account, tokens)
        with Chain.connect(self.chain_config(account)) as chain:
            sender, contracts = Sender(chain, require_wallet(chain)), chain.contracts
            sender.send(contracts.registry.register(bytes(32), bytes(20), b"test"))
            sender.send(contracts.token.approve(contracts.registry.address, tokens * TOKEN))
            sender.send(contracts.registry.stake(tokens * TOKEN, 10**18))

    def later(self, seconds: int) -> None:
        """Let the chain's time pass."""
        with Chain.connect(self.chain_config(0)) as chain:
            chain.rpc.call("evm_increaseTime", seconds)
            chain.rpc.call("evm_mine")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """One market a module; tests post their own jobs."""
    directory = tmp_path_factory.mktemp("market")
    deployment = directory / "deployment.json"
    with (
        evm.anvil() as node,
        NodeProcess(directory / "ipfs-client") as client,
        NodeProcess(directory / "ipfs-provider") as provider,
    ):
        command = [sys.executable, "-m", "scripts.deploy", "--url", node.url]
        subprocess.run([*command, "--out", str(deployment)], check=True, cwd=tools.ROOT)
        api = {"client": client.api, "provider": provider.api}
        made = Market(node.url, deployment, directory, api)
        made.fund(1, 1000)
        yield made


@pytest.fixture(scope="module")
def staffed(market: Market) -> Market:
    """A provider with a stake, a demander with tokens for bonds."""
    market.register(HONEST, 400)
    market.fund(DEMANDER, 10_000)
    return market
