"""Configuration: read once, all problems in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.storage.config import NodeConfig, StorageConfig
from protocol.storage.errors import StorageConfigError


def test_from_env__values__override_defaults() -> None:
    config = StorageConfig.from_env(
        {
            "ASSAY_IPFS_API": "/ip4/127.0.0.1/tcp/6001",
            "ASSAY_CACHE": "/somewhere",
            "ASSAY_CACHE_BYTES": "1000",
        }
    )
    assert config.api == "/ip4/127.0.0.1/tcp/6001"
    assert config.cache_dir == Path("/somewhere")
    assert config.cache_max_bytes == 1000


def test_from_env__nothing_set__gives_defaults() -> None:
    assert StorageConfig.from_env({}) == StorageConfig()
    with pytest.raises(StorageConfigError, match="number of bytes"):
        StorageConfig.from_env({"ASSAY_CACHE_BYTES": "20 GB"})


def test_storage_config__several_problems__are_reported_together() -> None:
    with pytest.raises(StorageConfigError, match="attempts is 0.*api is 'localhost'"):
        StorageConfig(api="localhost", attempts=0)


def test_node_config__several_problems__are_reported_together() -> None:
    with pytest.raises(StorageConfigError, match=r"api_port is 70000.*api_host.*3 bytes"):
        NodeConfig(Path("x"), api_port=70000, api_host="0.0.0.0", swarm_key=b"key")
