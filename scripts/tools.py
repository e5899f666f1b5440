"""Where the pinned tools are: Anvil, Ganache, forge, the Solidity compiler, OpenZeppelin.

``npm ci`` in ``scripts/toolchain`` (part of ``make setup``) installs all of them from its lock
file. Foundry's tools are native programs of one package a platform; the lock file pins those
for Linux on x86-64, and on another machine the package of that platform is installed beside
them by hand (the error says how).
"""

from __future__ import annotations

import json
import platform
from pathlib import Path

from protocol.spec.errors import AssayError

ROOT = Path(__file__).resolve().parent.parent
"""The root of the checkout."""

TOOLCHAIN = ROOT / "scripts" / "toolchain"
MODULES = TOOLCHAIN / "node_modules"
FOUNDRY = "1.7.1"
"""The version of the packages @foundry-rs/anvil-* and @foundry-rs/forge-*."""


class ToolMissing(AssayError):
    """A tool of the toolchain is not installed."""


def _installed(path: Path, remedy: str) -> Path:
    if not path.is_file():
        raise ToolMissing(f"got no file at {path}; the tool is wanted there: {remedy}")
    return path


def _foundry(name: str) -> Path:
    system = {"Linux": "linux", "Darwin": "darwin"}.get(platform.system(), "win32")
    machine = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}.get(
        platform.machine(), platform.machine()
    )
    package = f"@foundry-rs/{name}-{system}-{machine}"
    return _installed(
        MODULES / package / "bin" / (f"{name}.exe" if system == "win32" else name),
        f"run `make setup`, or, on a machine other than linux-amd64, "
        f"`npm install --no-save {package}@{FOUNDRY}` in {TOOLCHAIN}",
    )


def anvil() -> Path:
    """The Anvil program itself (no Node process around it: a signal reaches it)."""
    return _foundry("anvil")


def forge() -> Path:
    """The forge program itself."""
    return _foundry("forge")


def ganache() -> Path:
    """Ganache's command line, run by Node."""
    return _installed(MODULES / "ganache" / "dist" / "node" / "cli.js", "run `make setup`")


def solc_version() -> str:
    """The version of the Solidity compiler that package.json pins, such as ``0.8.34``."""
    manifest = json.loads((TOOLCHAIN / "package.json").read_text())
    version = manifest["dependencies"]["solc"]
    if not isinstance(version, str):
        raise ToolMissing(f"got {version!r} for solc in package.json; a version is wanted")
    return version


def solc_folder() -> Path:
    """The folder for ``SOLCX_BINARY_PATH``: py-solc-x finds ``solc-v<version>`` in it."""
    return TOOLCHAIN / "bin"


def solc() -> Path:
    """The compiler's command line (Node over the wasm build)."""
    _installed(MODULES / "solc" / "package.json", "run `make setup`")
    return _installed(
        solc_folder() / f"solc-v{solc_version()}",
        "rename the script in that folder to the version that package.json pins",
    )


def openzeppelin() -> Path:
    """The folder of OpenZeppelin's contracts."""
    return _installed(
        MODULES / "@openzeppelin" / "contracts" / "package.json", "run `make setup`"
    ).parent
