"""What a market lets its clients choose: the twin of contracts/JobLimits.sol.

Units as in ``protocol.spec.job``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from protocol.spec.errors import LimitExceeded
from protocol.spec.job import Deal, GasSchedule, JobTerms, lock_of


@dataclass(frozen=True)
class Limits:
    """Smallest and largest terms and the gas schedule, in the order of the Solidity struct."""

    min_open_seconds: int
    max_open_seconds: int
    min_run_seconds: int
    max_run_seconds: int
    min_window_seconds: int
    max_window_seconds: int
    min_move_seconds: int
    max_move_seconds: int
    min_work_ms: int
    max_work_ms: int
    min_lock: int
    max_lock: int
    min_stake_bps: int
    max_stake_bps: int
    min_gas_price: int
    max_gas_price: int
    max_attempts: int
    dispute_gas: int
    close_gas: int
    late_gas: int

    @property
    def schedule(self) -> GasSchedule:
        """The part that prices locks and bounties."""
        return GasSchedule(
            self.min_lock, self.min_gas_price, self.dispute_gas, self.close_gas, self.late_gas
        )

    def values(self) -> tuple[int, ...]:
        """All values in the order of the Solidity struct."""
        return tuple(getattr(self, field.name) for field in fields(self))


DAY: Final = 86_400
"""Seconds."""

GWEI: Final = 10**9
"""Wei."""

DEVNET: Final = Limits(
    min_open_seconds=2,
    max_open_seconds=30 * DAY,
    min_run_seconds=2,
    max_run_seconds=30 * DAY,
    min_window_seconds=2,
    max_window_seconds=30 * DAY,
    min_move_seconds=1,
    max_move_seconds=DAY,
    min_work_ms=1,
    max_work_ms=DAY * 1000,
    min_lock=10 * 10**18,
    max_lock=10**6 * 10**18,
    min_stake_bps=10_000,
    max_stake_bps=1_000_000,
    min_gas_price=GWEI,
    max_gas_price=1_000 * GWEI,
    max_attempts=10,
    dispute_gas=15_000_000,
    close_gas=120_000,
    late_gas=250_000,
)
"""A local chain: clocks may be as short as a block, stakes are play money.

``dispute_gas`` is an element at the machine's bound of 10M gas and 24 moves; ``close_gas`` and
``late_gas`` are what `finalize` and `slashLate` cost with new accounts, rounded up.
"""


def _range(name: str, got: int, least: int, most: int) -> None:
    if not least <= got <= most:
        raise LimitExceeded(f"got {name} = {got}; this market takes {least} to {most}")


def check_terms(terms: JobTerms, limits: Limits, game: bytes) -> None:
    """Raises LimitExceeded, naming the term, where the market's ``post`` would revert.

    ``game`` is the market's dispute game, 20 bytes.
    """
    task, deal = terms.task, terms.deal
    if task.referee != game:
        raise LimitExceeded(f"got referee 0x{task.referee.hex()}; this market's is 0x{game.hex()}")
    _range("firstStep", task.first_step, 0, 0)
    _range("taskCount", task.task_count, 1, 1)
    check_deal(deal, limits)


def check_deal(deal: Deal, limits: Limits) -> None:
    """The part of ``check_terms`` that is about money and clocks."""
    _range("priceFloor", deal.price_floor, 1, (1 << 96) - 1)
    _range("priceCeiling", deal.price_ceiling, deal.price_floor, deal.price_floor)
    _range("rampSeconds", deal.ramp_seconds, 0, 0)
    _range("stakeBps", deal.stake_bps, limits.min_stake_bps, limits.max_stake_bps)
    _range("attempts", deal.attempts, 1, limits.max_attempts)
    _range("workMs", deal.work_ms, limits.min_work_ms, limits.max_work_ms)
    _range("gasPrice", deal.gas_price, limits.min_gas_price, limits.max_gas_price)
    _range("openSeconds", deal.open_seconds, limits.min_open_seconds, limits.max_open_seconds)
    _range("runSeconds", deal.run_seconds, limits.min_run_seconds, limits.max_run_seconds)
    _range(
        "windowSeconds", deal.window_seconds, limits.min_window_seconds, limits.max_window_seconds
    )
    _range("moveSeconds", deal.move_seconds, limits.min_move_seconds, limits.max_move_seconds)
    _range("lock", lock_of(deal, limits.schedule)[0], limits.min_lock, limits.max_lock)
