"""Where the contracts are: the JSON file that the deploy script writes."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from eth_utils import to_checksum_address

from protocol.chain.errors import ChainConfigError, DeploymentMissing
from protocol.spec.limits import Limits

VERSION: Final = 1


def checksum(address: bytes) -> str:
    """20 bytes as people write them: ``0x`` and mixed-case hex."""
    return str(to_checksum_address(address))


def address_of(text: str) -> bytes:
    """20 bytes of ``0x`` and 40 hex digits in one case or with a right checksum.

    Raises ChainConfigError.
    """
    digits = text.removeprefix("0x")
    try:
        raw = bytes.fromhex(digits) if text.startswith("0x") else b""
    except ValueError:
        raw = b""
    if len(raw) != 20:
        raise ChainConfigError(f"got {text!r} for an address; 0x and 40 hex digits are wanted")
    if digits not in (digits.lower(), digits.upper()) and text != checksum(raw):
        raise ChainConfigError(f"got {text}, whose checksum is wrong: check for a typing error")
    return raw


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


@dataclass(frozen=True)
class Deployment:
    """One deployment; addresses are 20 bytes.

    ``block`` is the first block that can hold an event of it.
    """

    chain_id: int
    block: int
    token: bytes
    registry: bytes
    market: bytes
    game: bytes
    court: bytes
    unbonding_seconds: int
    max_backlog_ms: int
    limits: Limits

    @classmethod
    def load(cls, path: Path) -> Deployment:
        """Reads a deployment file.  Raises ChainConfigError, naming every problem."""
        if not path.exists():
            raise DeploymentMissing(
                f"there is no deployment file {path}: name one by ASSAY_DEPLOYMENT (for a market "
                f"on this machine: assay devnet, then source .assay/devnet/env)"
            )
        try:
            entry = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ChainConfigError(
                f"cannot read the deployment {path} ({type(error).__name__}): name the file that "
                f"the deploy script wrote"
            ) from error
        if not isinstance(entry, dict) or entry.get("version") != VERSION:
            raise ChainConfigError(
                f"{path} is no deployment of version {VERSION}: deploy with this version's script"
            )
        return cls.from_dict(entry, str(path))

    @classmethod
    def from_dict(cls, entry: dict[str, Any], source: str = "deployment") -> Deployment:
        """From the members of the JSON object.  Raises ChainConfigError, naming every problem."""
        problems: list[str] = []

        def number(where: dict[str, Any], name: str) -> int:
            value = where.get(_camel(name))
            if type(value) is not int or value < 0:
                problems.append(f"{_camel(name)} is {value!r}, wanted an integer >= 0")
                return 0
            return value

        def address(name: str) -> bytes:
            value = entry.get(name)
            try:
                return address_of(value if isinstance(value, str) else repr(value))
            except ChainConfigError as error:
                problems.append(f"{name}: {error}")
                return b""

        limits = entry.get("limits")
        if not isinstance(limits, dict):
            problems.append(f"limits is {limits!r}, wanted an object")
            limits = {}
        made = cls(
            chain_id=number(entry, "chain_id"),
            block=number(entry, "block"),
            token=address("token"),
            registry=address("registry"),
            market=address("market"),
            game=address("game"),
            court=address("court"),
            unbonding_seconds=number(entry, "unbonding_seconds"),
            max_backlog_ms=number(entry, "max_backlog_ms"),
            limits=Limits(*(number(limits, f.name) for f in fields(Limits))),
        )
        if problems:
            raise ChainConfigError(f"{source}: " + "; ".join(problems))
        return made

    @property
    def contracts(self) -> dict[bytes, str]:
        """What is at each address, by name of its interface; game and court may be
        missing."""
        return {
            self.token: "DevToken",
            self.registry: "ProviderRegistry",
            self.market: "JobMarket",
            self.game: "DisputeGame",
            self.court: "Court",
        }
