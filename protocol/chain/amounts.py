"""Money as people read it.  Pure.

Inside everything is in smallest units; lines for people name the unit and have a decimal point.
"""

from __future__ import annotations

from typing import Final

TOKEN: Final = "ADT"
"""Symbol of the token."""

NATIVE: Final = "ETH"

DECIMALS: Final = 18
"""Of the token and of native money: 10^18 smallest units are one."""

GWEI_DECIMALS: Final = 9


def amount(value: int, decimals: int = DECIMALS, symbol: str = "") -> str:
    """An amount with its decimal point, without needless zeros."""
    whole, part = divmod(abs(value), 10**decimals)
    text = f"{whole:,}" if part == 0 else f"{whole:,}.{part:0{decimals}d}".rstrip("0")
    return f"{'-' if value < 0 else ''}{text}{' ' + symbol if symbol else ''}"


def rounded(value: int, decimals: int = DECIMALS) -> str:
    """An amount with at most four decimals that are not leading zeros, rounded down."""
    part = abs(value) % 10**decimals
    digits = f"{part:0{decimals}d}"
    keep = min(decimals - len(str(part)) + 4 if abs(value) < 10**decimals else 4, decimals)
    cut = int(digits[:keep].ljust(decimals, "0")) if keep else 0
    whole = abs(value) - part + cut
    return amount(whole if value >= 0 else -whole, decimals)


def tokens(value: int) -> str:
    """Tokens, to the last unit: '1.5 ADT'."""
    return amount(value, symbol=TOKEN)


def native(value: int) -> str:
    """Native money, rounded down to what matters: '0.001234 ETH'."""
    return f"{rounded(value)} {NATIVE}"


def exactly(value: int) -> str:
    """Native money to the last wei."""
    return amount(value, symbol=NATIVE)


def gwei(value: int) -> str:
    """Wei a gas, rounded down to what matters: '1.5 gwei'."""
    return f"{rounded(value, GWEI_DECIMALS)} gwei"


def exact_gwei(value: int) -> str:
    """Wei a gas, to the last wei."""
    return amount(value, GWEI_DECIMALS, "gwei")
