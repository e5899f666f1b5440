"""Which due calls a timekeeper makes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """Which due calls are worth making: as in ``KeeperConfig``."""

    min_profit: int | None = 0
    interests: frozenset[bytes] = frozenset()
    collect_wei: int = 10**16

    def most(
        self, bounty: int, gas: int, fee: int, parties: Collection[bytes | None]
    ) -> tuple[bool, int | None]:
        """Whether a call of ``gas`` pays at ``fee`` wei a gas, and its most cost in wei (None:
        whatever it costs): for its bounty, or as one of the ``parties`` is an interest."""
        if self.min_profit is None or self.interests.intersection(parties):
            return True, None
        most = bounty - self.min_profit
        return gas * fee <= most, most
