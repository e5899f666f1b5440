"""What one read of the contracts gives: plain frozen data.  Units as in ``protocol.spec.job``."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.spec.demands import DemandState
from protocol.spec.dispute import Challenge, Wait
from protocol.spec.job import JobStatus


@dataclass(frozen=True)
class Snapshot:
    """One block, at which everything else is read.

    ``timestamp`` is its own time; ``next_timestamp`` the time that the node gives the block it is
    building (the same where it builds none), which is when a transaction sent now would run.
    ``base_fee`` is wei per gas, None on a chain without base fees.
    """

    number: int
    hash: bytes
    timestamp: int
    next_timestamp: int
    base_fee: int | None


@dataclass(frozen=True)
class JobState:
    """The market's word of state of one job."""

    status: JobStatus
    attempt: int
    provider: bytes
    clock: int
    window_seconds: int
    holds: int


@dataclass(frozen=True)
class ProviderState:
    """The registry's entry of one provider; all zero if it never registered."""

    registered: bool
    stake: int
    deposit: int
    backlog_ms: int
    queue_end: int
    done: int
    late: int
    lost: int
    delegate: bytes
    capabilities: bytes


@dataclass(frozen=True)
class Unbonding:
    """Money of a provider on its way out: ready when the chain's time is past ``ready_at``."""

    token: int
    native: int
    ready_at: int


@dataclass(frozen=True)
class Credit:
    """What an account may withdraw from one contract."""

    token: int
    native: int


@dataclass(frozen=True)
class Balances:
    """What an account has: tokens, wei, allowances of market and game, credits."""

    token: int
    native: int
    market_allowance: int
    market_credit: Credit
    registry_credit: Credit
    game_allowance: int = 0
    game_credit: Credit = Credit(0, 0)
    court_credit: Credit = Credit(0, 0)

    @property
    def credits(self) -> dict[str, Credit]:
        """By contract."""
        return {
            "market": self.market_credit,
            "registry": self.registry_credit,
            "game": self.game_credit,
            "court": self.court_credit,
        }


@dataclass(frozen=True)
class ClaimState:
    """The game's entry of one claim; all zero before its first challenge.

    ``head`` and ``tail`` are the first and the last undefeated challenge (0: none).
    """

    job: bytes
    steps_root: bytes
    provider: bytes
    open_by: int
    opened_at: int
    fallen: bool
    leaves: int
    move_seconds: int
    budget: int
    gas_price: int
    head: int
    tail: int
    count: int

    def deadline(self, x: Challenge) -> int:
        """Until when the present turn of a challenge of this claim lasts, as the contract says."""
        if x.wait is Wait.OPENING:
            return self.open_by
        mine = x.wait is Wait.CHALLENGER
        return x.since + (x.challenger_budget if mine else x.provider_budget) + self.move_seconds


@dataclass(frozen=True)
class StepState:
    """The operations root of one step, and when it was opened (0: not)."""

    root: bytes
    opened_at: int


@dataclass(frozen=True)
class DemandEntry:
    """The court's entry of one demand."""

    demander: bytes
    deadline: int
    state: DemandState
