"""What every test shares: hypothesis without surprises, and nodes on free ports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from scripts import evm

# The same examples on every machine and run; slow machines are no failure.
settings.register_profile(
    "assay",
    database=None,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("assay")


@pytest.fixture(scope="session")
def anvil_node() -> Iterator[evm.EvmNode]:
    """One Anvil for the whole run; a test that needs a clean chain starts its own."""
    with evm.anvil() as node:
        yield node


@pytest.fixture(scope="session")
def ganache_node() -> Iterator[evm.EvmNode]:
    """One Ganache for the whole run."""
    with evm.ganache() as node:
        yield node
