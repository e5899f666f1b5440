"""What every test shares: hypothesis without surprises, nodes on free ports, no process left."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
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


FIRST = (
    "tests/e2e/test_demo.py",
    "tests/invariants/test_mutants.py",
    "tests/client_jobs/test_jobs.py",
    "tests/game/test_named_liars_crowd.py",
    "tests/game/test_minilm_gas.py",
)
"""Files that take longest, the longest first: where files are shared out among processes, none of
these is left for one process at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves what takes longest to the front; skips what is marked ``gpu`` without a CUDA device."""
    ranks = {file: rank for rank, file in enumerate(FIRST)}
    items.sort(key=lambda item: ranks.get(item.nodeid.partition("::")[0], len(FIRST)))
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def _children() -> dict[int, str]:
    """Living descendants of this process: pid → command line."""
    found: dict[int, str] = {}
    for child in psutil.Process().children(recursive=True):
        try:
            line = " ".join(child.cmdline())
            if child.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in line:
                found[child.pid] = line
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.fixture(scope="session", autouse=True)
def no_process_left() -> Iterator[None]:
    """Set up before every other fixture, so that it looks when all others are torn down."""
    before = set(_children())
    yield
    left = {pid: line for pid, line in _children().items() if pid not in before}
    assert not left, f"the tests left these processes: {left}"


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
