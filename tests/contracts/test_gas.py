"""Gas and code size against the figures in git: a surprise fails."""

from __future__ import annotations

import json

import pytest

from protocol.spec.limits import DEVNET
from tests.contracts.gas import JOB, SNAPSHOT, figures

pytestmark = pytest.mark.chain

MOST = 300_000
"""Gas of one job over all its transactions."""

CODE = 24_576
"""Bytes of code that a chain allows a contract."""


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, int]]:
    """The figures of a chain of its own: addresses, and so calldata, are always the same."""
    return figures()


def test_gas__every_transition__is_the_snapshots(measured: dict[str, dict[str, int]]) -> None:
    """After a wanted change: ``python -m tests.contracts.gas``."""
    assert measured == json.loads(SNAPSHOT.read_text())


def test_gas__one_job__is_within_its_limit(measured: dict[str, dict[str, int]]) -> None:
    gas = measured["gas"]
    assert gas["job"] == sum(gas[name] for name in JOB)
    assert gas["job"] <= MOST


def test_gas__bounties__cover_the_calls_they_pay(measured: dict[str, dict[str, int]]) -> None:
    gas = measured["gas"]
    assert max(gas["finalizeByKeeper"], gas["refund"]) <= DEVNET.close_gas
    assert gas["slashLate"] <= DEVNET.late_gas


def test_size__every_contract__fits_a_chain(measured: dict[str, dict[str, int]]) -> None:
    assert all(0 < size <= CODE for size in measured["bytes"].values())
