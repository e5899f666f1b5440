"""Kinds of words on the command line: amounts, durations, addresses."""

from __future__ import annotations

import re
from typing import Final

import click

from assay.output import parse_amount

UNITS: Final = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


class Amount(click.ParamType[int]):
    """A decimal amount of tokens or native money; its value is in the smallest units."""

    name = "amount"

    def __init__(self, *, zero: bool = True) -> None:
        self.zero = zero

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        try:
            found = parse_amount(str(value))
        except click.BadParameter as error:
            self.fail(error.message, param, ctx)
        if found == 0 and not self.zero:
            self.fail("got 0, want more than 0", param, ctx)
        return found


class Duration(click.ParamType[int]):
    """Seconds, or a number with s, m, h or d behind it; its value is whole seconds."""

    name = "duration"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "30s|10m|2h|…"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([0-9]{1,9})\s*([a-z]*)", str(value).strip())
        if found is None or found[2] not in UNITS:
            self.fail(f"got {value!r}, want seconds or such as 90s, 10m, 2h, 1d", param, ctx)
        return int(found[1]) * UNITS[found[2]]


class Address(click.ParamType[bytes]):
    """An account: 0x and 40 hexadecimal digits; its value is 20 bytes."""

    name = "address"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        if isinstance(value, bytes):
            return value
        found = re.fullmatch(r"0x([0-9a-fA-F]{40})", str(value))
        if found is None:
            self.fail(f"got {value!r}, want 0x and 40 hexadecimal digits", param, ctx)
        return bytes.fromhex(found[1])


AMOUNT: Final = Amount()
SOME: Final = Amount(zero=False)
DURATION: Final = Duration()
ADDRESS: Final = Address()
