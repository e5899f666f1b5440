"""A node's directory: its lock, its private configuration, and the blocks in it.

Blocks lie as Kubo's flatfs writes them: ``blocks/XY/KEY.data``, where KEY is the multihash in
upper-case base32 without padding and XY its last characters but one.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from protocol.storage.cid import SHA2_256, Cid
from protocol.storage.config import NodeConfig
from protocol.storage.errors import NodeError

SHARDING: Final = "/repo/flatfs/shard/v1/next-to-last/2"
PUBLIC_KEY_OF_THE_LOCAL_SWARM: Final = hashlib.sha256(b"assay local swarm").digest()
"""Default swarm key.  No secret: it only keeps these nodes off the public network."""


class Repo:
    """The directory of one node, locked while this object lives."""

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.path = config.repo.resolve()
        self.blocks = self.path / "blocks"
        self.temporary = self.path / "tmp"
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = (self.path / "assay.lock").open("ab")
        except OSError as error:
            raise NodeError(f"repository {self.path}: {error.strerror}; choose another") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise NodeError(
                f"another node runs on repository {self.path}: use its RPC, or choose another"
            ) from error

    def release(self) -> None:
        """Gives the directory back."""
        (self.path / "api").unlink(missing_ok=True)
        self._lock.close()

    def prepare(self) -> None:
        """Empties the temporary folder and writes configuration and swarm key.

        Call after the library made the repository and before it runs the node.
        """
        self.temporary.mkdir(exist_ok=True)
        for leftover in self.temporary.iterdir():
            leftover.unlink()
        config_path = self.path / "config"
        try:
            settings = json.loads(config_path.read_text())
        except (OSError, ValueError) as error:
            raise NodeError(f"{config_path} cannot be read: {error}; choose another") from error
        self._check_layout()
        port = self.config.swarm_port or self._old_port(settings, "Swarm")
        if port == 0 or not (self.config.swarm_port or can_bind(self.config.swarm_host, port)):
            port = free_port(self.config.swarm_host)
        settings["Addresses"] = {
            "Swarm": [f"/ip4/{self.config.swarm_host}/tcp/{port}"],
            "Announce": [], "AppendAnnounce": [], "NoAnnounce": [], "Gateway": [],
            "API": settings.get("Addresses", {}).get("API", []),
        }  # fmt: skip
        settings.update(PRIVATE)
        settings.setdefault("Experimental", {})["StrategicProviding"] = True
        self.write(config_path, json.dumps(settings, indent=2).encode())
        key = self.config.swarm_key or PUBLIC_KEY_OF_THE_LOCAL_SWARM
        text = f"/key/swarm/psk/1.0.0/\n/base16/\n{key.hex()}\n"
        self.write(self.path / "swarm.key", text.encode())

    def old_api_port(self) -> int:
        """The RPC port of the last run, 0 if none is known."""
        settings = json.loads((self.path / "config").read_text())
        return self._old_port(settings, "API")

    def record_api(self, port: int) -> None:
        """Remembers the RPC address; the file ``api`` is where Kubo's own tools look for it."""
        config_path = self.path / "config"
        settings = json.loads(config_path.read_text())
        address = f"/ip4/{self.config.api_host}/tcp/{port}"
        settings["Addresses"]["API"] = address
        self.write(config_path, json.dumps(settings, indent=2).encode())
        self.write(self.path / "api", address.encode())

    @staticmethod
    def _old_port(settings: dict[str, Any], name: str) -> int:
        value = settings.get("Addresses", {}).get(name, [])
        address = value if isinstance(value, str) else "".join(value[:1])
        port = address.rpartition("/tcp/")[2]
        # The ports of a fresh Kubo are many nodes' defaults: take a free one instead.
        return int(port) if port.isdecimal() and port not in ("4001", "5001") else 0

    def _check_layout(self) -> None:
        sharding = self.blocks / "SHARDING"
        if sharding.exists() and sharding.read_text().strip() != SHARDING:
            raise NodeError(f"{sharding} is not {SHARDING}: choose an empty directory")

    def write(self, target: Path, data: bytes) -> None:
        """Writes a file whole or not at all."""
        handle, name = tempfile.mkstemp(dir=self.temporary)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)

    def block_path(self, cid: Cid) -> Path:
        """Where a block lies."""
        key = base64.b32encode(cid.multihash).decode("ascii").rstrip("=")
        return self.blocks / key[-3:-1] / f"{key}.data"

    def read_block(self, cid: Cid) -> bytes | None:
        """A block that lies here, whole and right; None if it does not.

        A block whose bytes have changed on disk is removed, so that it can be fetched again.
        """
        path = self.block_path(cid)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(data).digest() != cid.digest:
            path.unlink(missing_ok=True)
            return None
        return data

    def has_block(self, cid: Cid) -> bool:
        """Whether a file for this block is here."""
        return self.block_path(cid).is_file()

    def write_block(self, cid: Cid, data: bytes) -> None:
        """Writes a block where the node will find it."""
        path = self.block_path(cid)
        path.parent.mkdir(exist_ok=True)
        self.write(path, data)

    def block_cids(self) -> Iterator[tuple[Cid, Path]]:
        """Every block in the repository, named as raw bytes."""
        for path in self.blocks.glob("*/*.data"):
            key = path.name.removesuffix(".data")
            multihash = base64.b32decode(key + "=" * (-len(key) % 8))
            if multihash[:2] == SHA2_256 and len(multihash) == 34:
                yield Cid.from_bytes(bytes([1, 0x55]) + multihash), path


PRIVATE: Final[dict[str, Any]] = {
    "Bootstrap": [],
    "Discovery": {"MDNS": {"Enabled": False}},
    "AutoNAT": {"ServiceMode": "disabled"},
    "Reprovider": {"Interval": "0"},
    "Swarm": {
        "AddrFilters": None,
        "DisableBandwidthMetrics": True,
        "DisableNatPortMap": True,
        "EnableHolePunching": False,
        "RelayClient": {"Enabled": False},
        "RelayService": {"Enabled": False},
        # Only TCP has the pre-shared key of a private network.
        "Transports": {
            "Network": {"QUIC": False, "Relay": False, "Websocket": False, "WebTransport": False},
            "Security": {},
            "Multiplexers": {},
        },
        "ConnMgr": {},
        "ResourceMgr": {},
    },
}
"""Settings that keep a node to itself: it finds nobody, asks nobody and announces nothing."""


def can_bind(host: str, port: int) -> bool:
    """Whether a listener could be opened there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port(host: str) -> int:
    """A TCP port that is free now; NodeError if ``host`` is not an address of this machine."""
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            raise NodeError(f"cannot listen on {host}: {error.strerror}") from error
        return int(probe.getsockname()[1])
