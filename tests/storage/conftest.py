"""Two nodes that know of each other, and stores that give up quickly."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from protocol.storage.config import StorageConfig
from protocol.storage.process import NodeProcess, Ready
from protocol.storage.store import Store

MakeStore = Callable[[str], Store]


@dataclass(frozen=True)
class Pair:
    """Two running nodes, not connected by themselves."""

    client: Ready
    provider: Ready


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A client's and a provider's node."""
    folder = tmp_path_factory.mktemp("nodes")
    with NodeProcess(folder / "client") as client, NodeProcess(folder / "provider") as provider:
        yield Pair(client, provider)


@pytest.fixture
def make_store(tmp_path: Path) -> Iterator[MakeStore]:
    """Makes stores with short waits; closes them."""
    stores: list[Store] = []

    def make(api: str) -> Store:
        config = StorageConfig(
            api=api,
            cache_dir=tmp_path / "cache",
            connect_s=1.0,
            find_s=2.0,
            stall_s=5.0,
            attempts=2,
            backoff_s=0.05,
        )
        stores.append(Store(config))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def fresh() -> Callable[[int], bytes]:
    """Random bytes that no node has seen."""
    return os.urandom
