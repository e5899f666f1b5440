"""A keeper's configuration: read once, all problems together."""

from __future__ import annotations

import pytest

from keepers.config import KeeperConfig
from protocol.chain.errors import ChainConfigError


def test_from_env__nothing_set__has_defaults() -> None:
    made = KeeperConfig.from_env({})
    assert made == KeeperConfig()
    assert made.min_profit == 0


def test_from_env__all_set__is_read() -> None:
    address = "0x" + "ab" * 20
    made = KeeperConfig.from_env(
        {
            "ASSAY_KEEPER_POLL_SECONDS": "2.5",
            "ASSAY_KEEPER_MIN_PROFIT_WEI": "any",
            "ASSAY_KEEPER_INTERESTS": f"{address}, 0x{'cd' * 20}",
            "ASSAY_RPC_URL": "http://node:1",
        }
    )
    assert made.poll_seconds == 2.5
    assert made.min_profit is None
    assert made.interests == {b"\xab" * 20, b"\xcd" * 20}
    assert made.chain.rpc_url == "http://node:1"


def test_from_env__several_problems__are_named_together() -> None:
    with pytest.raises(ChainConfigError) as caught:
        KeeperConfig.from_env(
            {
                "ASSAY_KEEPER_POLL_SECONDS": "soon",
                "ASSAY_KEEPER_INTERESTS": "me",
                "ASSAY_RPC_URL": "ftp://node",
            }
        )
    text = str(caught.value)
    assert all(part in text for part in ("POLL_SECONDS", "INTERESTS", "ftp://node"))


@pytest.mark.parametrize("variable", ["POLL_SECONDS", "COLLECT_WEI"])
def test_from_env__not_positive__is_refused(variable: str) -> None:
    with pytest.raises(ChainConfigError, match=f"{variable.lower()} is 0"):
        KeeperConfig.from_env({f"ASSAY_KEEPER_{variable}": "0"})
