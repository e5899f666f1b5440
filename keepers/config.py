"""Configuration of a keeper; the only reader of the environment in this package."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from protocol.chain.config import ChainConfig
from protocol.chain.deployment import address_of
from protocol.chain.errors import ChainConfigError

ANY: Final = "any"
"""Value of ASSAY_KEEPER_MIN_PROFIT_WEI that has every due call made, whatever it costs."""


@dataclass(frozen=True)
class KeeperConfig:
    """How a keeper works.

    ``poll_seconds`` is how often it looks for a new block.  A call is made when its bounty is at
    least its gas and ``min_profit`` wei more; None makes every due call, and so does a job of one
    of ``interests`` (clients or providers, 20 bytes each).  Native credits from
    ``collect_wei`` on are withdrawn.  Below ``low_balance_wei`` it warns.
    """

    chain: ChainConfig = field(default_factory=ChainConfig)
    poll_seconds: float = 1.0
    min_profit: int | None = 0
    interests: frozenset[bytes] = frozenset()
    collect_wei: int = 10**16
    low_balance_wei: int = 10**16
    dry_run: bool = False

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)}, wanted more than 0"
            for name in ("poll_seconds", "collect_wei")
            if not getattr(self, name) > 0
        ]
        if self.low_balance_wei < 0:
            problems.append(f"low_balance_wei is {self.low_balance_wei}, wanted 0 or more")
        if problems:
            raise ChainConfigError("keeper configuration: " + "; ".join(problems))

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        chain: ChainConfig | None = None,
        **given: Any,
    ) -> KeeperConfig:
        """From ``ASSAY_KEEPER_*`` and, unless ``chain`` is given, the chain's own variables.

        Raises ChainConfigError with every problem in one message.
        """
        env = os.environ if environ is None else environ
        problems: list[str] = []
        values: dict[str, Any] = {}
        for variable, name, kind in (
            ("ASSAY_KEEPER_POLL_SECONDS", "poll_seconds", float),
            ("ASSAY_KEEPER_MIN_PROFIT_WEI", "min_profit", _profit),
            ("ASSAY_KEEPER_INTERESTS", "interests", _addresses),
            ("ASSAY_KEEPER_COLLECT_WEI", "collect_wei", int),
            ("ASSAY_KEEPER_LOW_BALANCE_WEI", "low_balance_wei", int),
        ):
            text = env.get(variable, "")
            if text and name not in given:
                try:
                    values[name] = kind(text)
                except (ValueError, ChainConfigError) as error:
                    problems.append(f"{variable} is {text!r}: {error}")
        try:
            values["chain"] = ChainConfig.from_env(env) if chain is None else chain
        except ChainConfigError as error:
            problems.append(str(error))
        if problems:
            raise ChainConfigError("; ".join(problems))
        return cls(**{**values, **given})


def _profit(text: str) -> int | None:
    return None if text == ANY else int(text)


def _addresses(text: str) -> frozenset[bytes]:
    return frozenset(address_of(part.strip()) for part in text.split(","))
