"""A market, two IPFS nodes, and a provider that does what a test says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from client.jobs import Client
from protocol.chain.transactions import Sender
from protocol.spec.interpreter import run
from protocol.spec.job import JobTerms
from protocol.spec.types import Array
from protocol.storage.cache import Cache
from protocol.storage.config import StorageConfig
from protocol.storage.jobs import fetch_job, publish_result
from protocol.storage.locators import JobLocators
from protocol.storage.process import NodeProcess, Ready
from protocol.storage.store import Store
from tests.chain.conftest import fresh_world, ganache_world, world
from tests.chain.world import PROVIDER, World

__all__ = ["fresh_world", "ganache_world", "world"]

GIB = 1 << 30


@dataclass(frozen=True)
class Nodes:
    """The IPFS nodes of the client and of the provider, which meet by the locators' peers."""

    client: Ready
    provider: Ready


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    folder = tmp_path_factory.mktemp("nodes")
    with NodeProcess(folder / "client") as client, NodeProcess(folder / "provider") as provider:
        yield Nodes(client, provider)


def quick(api: str, folder: Path) -> StorageConfig:
    """Short waits: everything is on this machine."""
    return StorageConfig(
        api=api, cache_dir=folder, connect_s=1.0, find_s=3.0, stall_s=5.0, attempts=2,
        backoff_s=0.05,
    )  # fmt: skip


@dataclass
class Desk:
    """A provider by hand: takes a job, computes it, commits what it is told to."""

    world: World
    store: Store
    cache: Cache
    peers: tuple[str, ...]

    def take(self, terms: JobTerms, role: int = PROVIDER) -> None:
        self.world.accept(terms, role)

    def compute(self, terms: JobTerms, locators: JobLocators) -> list[Array]:
        data = fetch_job(self.store, self.cache, terms.task, locators)
        return run(data.program, data.constants, data.inputs, seed=terms.task.seed,
                   steps=data.steps)  # fmt: skip

    def deliver(
        self,
        job: bytes,
        terms: JobTerms,
        locators: JobLocators,
        outputs: list[Array] | None = None,
        role: int = PROVIDER,
    ) -> bytes:
        """Publishes and commits ``outputs`` (default: the right ones): the result root."""
        data = fetch_job(self.store, self.cache, terms.task, locators)
        results = self.compute(terms, locators) if outputs is None else outputs
        root, where = publish_result(self.store, data.program, results, self.peers)
        self.world.commit(job, role, root, where.encode())
        return root


@pytest.fixture
def desk(fresh_world: World, nodes: Nodes, tmp_path: Path) -> Iterator[Desk]:
    with desk_of(fresh_world, nodes, tmp_path) as made:
        yield made


def desk_of(world: World, nodes: Nodes, tmp_path: Path) -> _DeskContext:
    return _DeskContext(world, nodes, tmp_path)


class _DeskContext:
    """Opens the provider's store."""

    def __init__(self, world: World, nodes: Nodes, tmp_path: Path) -> None:
        self._store = Store(quick(nodes.provider.api, tmp_path / "provider"))
        cache = Cache(tmp_path / "provider", GIB)
        self._desk = Desk(world, self._store, cache, nodes.provider.swarm)

    def __enter__(self) -> Desk:
        return self._desk

    def __exit__(self, *_: object) -> None:
        self._store.close()


@dataclass
class Office:
    """The client's side: a client with its own store and cache."""

    client: Client
    store: Store
    cache: Cache

    def other(self, sender: Sender) -> Client:
        """A client of the same store with another wallet."""
        return Client(self.client.chain, self.store, self.cache, sender)


@pytest.fixture
def office(fresh_world: World, nodes: Nodes, tmp_path: Path) -> Iterator[Office]:
    with office_of(fresh_world, nodes, tmp_path) as made:
        yield made


def office_of(world: World, nodes: Nodes, tmp_path: Path) -> _OfficeContext:
    return _OfficeContext(world, nodes, tmp_path)


class _OfficeContext:
    """Opens the client's store."""

    def __init__(self, world: World, nodes: Nodes, tmp_path: Path) -> None:
        from tests.chain.world import CLIENT

        self._store = Store(quick(nodes.client.api, tmp_path / "client"))
        cache = Cache(tmp_path / "client", GIB)
        client = Client(world.chain, self._store, cache, world.senders[CLIENT])
        self._office = Office(client, self._store, cache)

    def __enter__(self) -> Office:
        return self._office

    def __exit__(self, *_: object) -> None:
        self._store.close()
