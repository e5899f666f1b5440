"""Configuration of storage; the only reader of the environment in this package."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from protocol.storage.errors import StorageConfigError

DEFAULT_API: Final = "/ip4/127.0.0.1/tcp/5001"
GIB: Final = 1 << 30
MIB: Final = 1 << 20


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/assay``, by default ``~/.cache/assay``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "assay"


def force_private_network() -> None:
    """Makes libp2p, in this process, refuse to run without a swarm key."""
    os.environ["LIBP2P_FORCE_PNET"] = "1"


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """How a store reaches IPFS and how long it tries.

    Times are seconds, sizes bytes.  ``find_s`` is how long the node may search for content,
    ``stall_s`` bounds the silence between two pieces of an
    answer, ``min_rate`` (bytes a second, after ``grace_s``) what a trickle may cost;
    ``attempts`` counts tries of one object, with pauses of ``backoff_s``, doubled up to
    ``backoff_max_s``.
    """

    api: str = DEFAULT_API
    cache_dir: Path = field(default_factory=default_cache)
    cache_max_bytes: int = 20 * GIB
    connect_s: float = 5.0
    find_s: float = 10.0
    stall_s: float = 30.0
    grace_s: float = 30.0
    min_rate: int = 64 << 10
    attempts: int = 4
    backoff_s: float = 0.25
    backoff_max_s: float = 4.0
    piece_bytes: int = MIB

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)!r}, wanted more than 0"
            for name in (
                "cache_max_bytes", "connect_s", "find_s", "stall_s", "grace_s", "min_rate",
                "attempts", "backoff_s", "backoff_max_s", "piece_bytes",
            )
            if not getattr(self, name) > 0
        ]  # fmt: skip
        if not self.api.startswith("/"):
            problems.append(f"api is {self.api!r}, wanted a multiaddr like {DEFAULT_API}")
        if problems:
            raise StorageConfigError("storage configuration: " + "; ".join(problems))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> StorageConfig:
        """Defaults, overridden by ``ASSAY_IPFS_API``, ``ASSAY_CACHE``, ``ASSAY_CACHE_BYTES``."""
        env = os.environ if environ is None else environ
        size = env.get("ASSAY_CACHE_BYTES", str(20 * GIB))
        if not size.isdecimal():
            raise StorageConfigError(f"ASSAY_CACHE_BYTES is {size!r}, wanted a number of bytes")
        cache = env.get("ASSAY_CACHE", "")
        return cls(
            api=env.get("ASSAY_IPFS_API", DEFAULT_API),
            cache_dir=Path(cache) if cache else default_cache(),
            cache_max_bytes=int(size),
        )


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """How an embedded node listens and stores.

    A port of 0 means the one used last time in this repository, or a free one.  ``swarm_key`` is
    the 32-byte key of the private network; nodes with another key cannot connect.
    """

    repo: Path
    api_host: str = "127.0.0.1"
    api_port: int = 0
    swarm_host: str = "127.0.0.1"
    swarm_port: int = 0
    swarm_key: bytes = b""
    fetch_threads: int = 48
    block_s: float = 60.0
    max_add_bytes: int = 64 * GIB
    log_bytes: int = 4 * MIB

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)}, wanted 0 to 65535"
            for name in ("api_port", "swarm_port")
            if not 0 <= getattr(self, name) <= 65535
        ]
        if not self.api_host.startswith("127."):
            problems.append(f"api_host is {self.api_host}, wanted a loopback address (127.…)")
        if len(self.swarm_key) not in (0, 32):
            problems.append(f"swarm_key has {len(self.swarm_key)} bytes, wanted 32 or none")
        if self.fetch_threads < 1:
            problems.append(f"fetch_threads is {self.fetch_threads}, wanted 1 or more")
        if problems:
            raise StorageConfigError("node configuration: " + "; ".join(problems))
