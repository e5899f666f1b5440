"""What a refusal by a contract is: the classes above those of ``protocol.chain.reverts``."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, ClassVar

from protocol.chain.errors import ChainError


class Reverted(ChainError):
    """A contract refused a call.  ``values`` are what the refusal carries, by name."""

    KINDS: ClassVar[Mapping[str, type[IntEnum]]] = {}
    """Values that are numbers of an enumeration, by name."""

    def __init__(self, call: str, values: Mapping[str, Any]) -> None:
        self.call = call
        self.values = dict(values)
        parts = ", ".join(f"{name} {self.words(name, v)}" for name, v in values.items())
        kind = type(self).__name__
        advice = f": {type(self).__doc__}" if type(self).__doc__ else ""
        super().__init__(f"{call} was refused, {kind}({parts}){advice}")

    @classmethod
    def words(cls, name: str, value: Any) -> str:
        """One value for people."""
        if isinstance(value, bytes):
            text = value.rstrip(b"\0")
            if name == "term" and text.isascii():
                return text.decode("ascii")
            return "0x" + value.hex()
        if name in cls.KINDS and value in set(cls.KINDS[name]):
            return cls.KINDS[name](value).name
        return str(value)


class UnknownRefusal(Reverted):
    """The bytes are of no error known here: check that the deployment is of this version."""


class RefusedWithReason(Reverted):
    """The contract gave its reason in words."""


class Panicked(Reverted):
    """A bug in a contract, or an impossible argument: please report it."""
