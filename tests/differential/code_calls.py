"""Calls of code that no chain holds: a contract is built by forge and laid over an address.

So a test can call the real contracts, or a broken copy of them, without deploying anything.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests

from protocol.spec.errors import AssayError
from protocol.spec.trees import keccak256
from scripts import config, evm, tools

SECONDS: Final = 300


class BuildFailed(AssayError):
    """forge did not build the contracts."""


class NodeAnswer(AssayError):
    """The node answered with something that is neither a result nor a revert."""


def built(root: Path, *contracts: str) -> dict[str, str]:
    """Runtime code of contracts by name; each is the file of its name, under ``contracts/`` unless
    its path begins with ``tests/``."""
    folder = root / "build" / "calls"
    command: list[str | Path] = [tools.forge(), "build", "--root", root]
    command += ["--out", folder / "out", "--cache-path", folder / "cache"]
    places = [path if path.startswith("tests/") else f"contracts/{path}" for path in contracts]
    command += [root / f"{path}.sol" for path in places]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, timeout=SECONDS, check=False,
        env=config.child_environment({"HOME": str(folder)}),
    )  # fmt: skip
    if done.returncode:
        raise BuildFailed(f"got {(done.stdout + done.stderr)[-3000:]}; a build is wanted")
    codes = {}
    for name in (Path(path).name for path in contracts):
        artifact = json.loads((folder / "out" / f"{name}.sol" / f"{name}.json").read_text())
        codes[name] = artifact["deployedBytecode"]["object"]
    return codes


def named_errors(root: Path, *contracts: str) -> set[str]:
    """Selectors of all errors that contracts name; they were built."""
    out = set()
    for name in contracts:
        path = root / "build" / "calls" / "out" / f"{name}.sol" / f"{name}.json"
        for item in json.loads(path.read_text())["abi"]:
            if item["type"] == "error":
                types = ",".join(x["type"] for x in item["inputs"])
                out.add(keccak256(f"{item['name']}({types})".encode())[:4].hex())
    return out


@dataclass(frozen=True)
class Answer:
    """What a call gave: its result; or, if it reverted, the data of the error, and whether all gas
    was used up."""

    ok: bool
    data: bytes
    out_of_gas: bool = False

    @property
    def selector(self) -> str:
        """Of the error; '' for a revert without data."""
        return self.data[:4].hex()

    def is_refusal(self, named: Collection[str]) -> bool:
        """REFUSE-1 of tests/PROPERTIES.md: a revert by one of these names, or without data before
        the gas is used up.  A panic is neither."""
        return not self.ok and not self.out_of_gas and (not self.data or self.selector in named)


class Caller:
    """Sends calls to one node."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._laid = 0

    def _ask(self, method: str, *params: Any) -> dict[str, Any]:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer: dict[str, Any] = self._session.post(self._url, json=request, timeout=SECONDS).json()
        return answer

    def lay(self, code: str) -> str:
        """Gives a new address this code."""
        self._laid += 1
        at = f"0xc0de{self._laid:036x}"
        answer = self._ask("anvil_setCode", at, code)
        if "error" in answer:
            raise NodeAnswer(f"got {answer['error']}; code at {at} is wanted")
        return at

    def call(self, at: str, data: bytes, gas: int) -> Answer:
        """One call with at most ``gas``."""
        message = {"to": at, "data": "0x" + data.hex(), "gas": hex(gas)}
        answer = self._ask("eth_call", message, "latest")
        if "result" in answer:
            return Answer(True, bytes.fromhex(answer["result"][2:]))
        error = answer["error"]
        text = str(error.get("message")).lower()
        if "outofgas" in text.replace(" ", "") or "memoryoog" in text:
            return Answer(False, b"", out_of_gas=True)
        if "revert" not in text:
            raise NodeAnswer(f"got {error}; a result or a revert is wanted")
        return Answer(False, bytes.fromhex(str(error.get("data") or "0x")[2:]))


@contextmanager
def caller() -> Iterator[Caller]:
    """An Anvil that takes calls of any size and any gas."""
    with evm.anvil("--gas-limit", str(10**13), "--no-request-size-limit") as node:
        yield Caller(node.url)
