"""What one read of the contracts gives: plain frozen data.  Units as in ``protocol.spec.job``."""

from __future__ import annotations

from dataclasses import dataclass

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
    """What an account has: tokens, wei, allowance of the market, credits."""

    token: int
    native: int
    market_allowance: int
    market_credit: Credit
    registry_credit: Credit
