"""Interfaces of the contracts: encode calls, decode answers, logs and refusals.

The JSON files beside this one are written by ``python -m scripts.export_abi`` from the Solidity
sources; a test compares them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from eth_abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import collapse_if_tuple

from protocol.chain.errors import ChainError
from protocol.spec.trees import keccak256

ABI: Final = Path(__file__).resolve().parent
CONTRACTS: Final = (
    "JobMarket", "ProviderRegistry", "DisputeGame", "Court", "TensorReferee", "TraceReferee",
    "DataReferee", "LegalityReferee", "DevToken",
)  # fmt: skip
"""Contracts at the top of the sources; another one is one name more."""


class AbiError(ChainError):
    """Bytes from the chain do not fit the interface: another version of the contracts?"""


@dataclass(frozen=True)
class Entry:
    """A function, an event or an error: its name, types and the hash that selects it."""

    name: str
    inputs: tuple[str, ...]
    names: tuple[str, ...]
    outputs: tuple[str, ...]
    indexed: tuple[bool, ...]
    topic: bytes

    @property
    def selector(self) -> bytes:
        """The first 4 bytes: of calldata, or of a refusal."""
        return self.topic[:4]


def _entry(item: Mapping[str, Any]) -> Entry:
    inputs = tuple(collapse_if_tuple(part) for part in item["inputs"])
    return Entry(
        item["name"],
        inputs,
        tuple(part["name"] or f"value{k}" for k, part in enumerate(item["inputs"])),
        tuple(collapse_if_tuple(part) for part in item.get("outputs", [])),
        tuple(bool(part.get("indexed")) for part in item["inputs"]),
        keccak256(f"{item['name']}({','.join(inputs)})".encode()),
    )


def _decode(
    what: str, types: Sequence[str], data: bytes, strict: bool = True
) -> tuple[Any, ...]:
    try:
        return tuple(decode(list(types), data, strict))
    except (DecodingError, OverflowError) as error:
        raise AbiError(
            f"got {len(data)} bytes for {what}, which do not decode as ({', '.join(types)}): "
            f"{error}; check that the deployment is of this version"
        ) from error


class Interface:
    """One contract's functions, events and errors."""

    def __init__(self, name: str, items: Sequence[Mapping[str, Any]]) -> None:
        self.name = name
        kinds: dict[str, list[Entry]] = {"function": [], "event": [], "error": []}
        for item in items:
            if item["type"] in kinds:
                kinds[item["type"]].append(_entry(item))
        self.functions = {entry.name: entry for entry in kinds["function"]}
        self.events = {entry.topic: entry for entry in kinds["event"]}
        self.errors = {entry.selector: entry for entry in kinds["error"]}

    def encode(self, function: str, *values: Any) -> bytes:
        """Calldata; addresses are 20 bytes, structs tuples in the order of their fields."""
        entry = self.functions[function]
        return entry.selector + encode(list(entry.inputs), list(values))

    def decode(self, function: str, data: bytes) -> tuple[Any, ...]:
        """The values that a call returned; addresses as ``0x`` text.  Raises AbiError."""
        return _decode(f"the answer of {self.name}.{function}",
                       self.functions[function].outputs, data)  # fmt: skip

    def decode_input(self, data: bytes) -> tuple[str, tuple[Any, ...]]:
        """Name and arguments of calldata.  Raises AbiError for another contract's.

        Whatever pads bytes is let pass: contracts do not look at it.
        """
        for entry in self.functions.values():
            if entry.selector == data[:4]:
                what = f"a call of {entry.name}"
                return entry.name, _decode(what, entry.inputs, data[4:], strict=False)
        raise AbiError(f"got a call of 0x{data[:4].hex()}, which {self.name} does not have")

    def decode_log(
        self, topics: Sequence[bytes], data: bytes
    ) -> tuple[str, dict[str, Any]] | None:
        """(event, name -> value), or None for an event that this contract does not have."""
        entry = self.events.get(topics[0]) if topics else None
        if entry is None:
            return None
        what = f"the event {entry.name}"
        flags = list(zip(entry.names, entry.inputs, entry.indexed, strict=True))
        fixed = [kind for _, kind, flag in flags if flag]
        if len(fixed) != len(topics) - 1:
            raise AbiError(f"got {len(topics) - 1} indexed values of {what}, wanted {len(fixed)}")
        there = iter(_decode(what, fixed, b"".join(topics[1:])))
        plain = iter(_decode(what, [kind for _, kind, flag in flags if not flag], data))
        return entry.name, {name: next(there if flag else plain) for name, _, flag in flags}


@cache
def interface(name: str) -> Interface:
    """The interface of one of CONTRACTS."""
    return Interface(name, json.loads((ABI / f"{name}.json").read_text("utf-8")))


@cache
def errors() -> dict[bytes, Entry]:
    """Every custom error of every contract, by selector: refusals pass through callers."""
    return {
        selector: entry for name in CONTRACTS for selector, entry in interface(name).errors.items()
    }


def decode_error(data: bytes) -> tuple[str, dict[str, Any]] | None:
    """(error, name -> value) of a refusal's bytes; None for one that no contract here declares."""
    entry = errors().get(data[:4])
    if entry is None:
        return None
    values = _decode(f"the refusal {entry.name}", entry.inputs, data[4:])
    return entry.name, dict(zip(entry.names, values, strict=True))
