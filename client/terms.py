"""Terms of a job from what a client wishes and what a market allows.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.spec.interpreter import check_steps
from protocol.spec.job import Deal, JobTerms, Task, bounty_of, lock_of, pack_steps
from protocol.spec.limits import Limits, check_deal
from protocol.spec.types import Program
from protocol.spec.workload import Rate, work_of

SLOW = Rate(products=2e9, instructions=2e8)
"""A slow provider: a few CPU cores, microcode element by element."""

LEAST_WORK_MS = 2_000
"""Fetching, loading and hashing take their time however small the program."""

RUN_FACTOR = 4
"""How many times its declared work a provider has from acceptance to commit, and RUN_EXTRA."""

RUN_EXTRA = 60
"""Seconds for fetching the data and for a chain that is slow to take the result."""

GAS_HEADROOM = 2
"""Bounties are prepaid at this many times the present price of gas."""


@dataclass(frozen=True)
class Wishes:
    """What a client may choose.  ``None`` takes a default within the market's limits.

    Price in the token's smallest unit, ``gas_price`` in wei per gas, times as their names say;
    ``capability`` are 32 bytes of bits; ``steps`` those of each phase (default: the maxima);
    ``nonce`` makes two equal jobs distinct.
    """

    price: int
    attempts: int | None = None
    stake_bps: int | None = None
    work_ms: int | None = None
    gas_price: int | None = None
    open_seconds: int | None = None
    run_seconds: int | None = None
    window_seconds: int | None = None
    move_seconds: int | None = None
    capability: bytes = bytes(32)
    seed: int = 0
    steps: tuple[int, ...] | None = None
    nonce: int | None = None


@dataclass(frozen=True)
class Quote:
    """A deal and what it costs: the client ``price`` tokens and ``bounty`` wei (beside gas), the
    provider a lock of ``lock_token`` and ``lock_native`` while it works.
    """

    deal: Deal
    bounty: int
    lock_token: int
    lock_native: int

    @property
    def price(self) -> int:
        """Tokens that are escrowed."""
        return self.deal.price_ceiling


def estimate_work_ms(program: Program, steps: Sequence[int] | None = None) -> int:
    """Milliseconds that a slow provider takes for an honest run and its trace, rounded up
    generously.

    Raises LimitExceeded for steps beyond the program's.
    """
    return LEAST_WORK_MS + int(1000 * SLOW.trace_seconds(work_of(program, steps)))


def _within(value: int, least: int, most: int) -> int:
    return min(max(value, least), most)


def quote(
    program: Program, wishes: Wishes, limits: Limits, client: bytes, nonce: int, gas_price: int
) -> Quote:
    """The deal that the wishes make.

    ``gas_price`` is what gas costs now, in wei; ``nonce`` serves when the wishes name none.
    Defaults are moved into the market's limits; what the client chose itself is not: outside of
    them it raises LimitExceeded, which names the term.
    """
    d = wishes
    work = d.work_ms
    if work is None:
        estimate = estimate_work_ms(program, d.steps)
        work = _within(estimate, limits.min_work_ms, limits.max_work_ms)
    run = -(-work * RUN_FACTOR // 1000) + RUN_EXTRA

    def pick(chosen: int | None, default: int, least: int, most: int) -> int:
        return _within(default, least, most) if chosen is None else chosen

    deal = Deal(
        client=client,
        nonce=nonce if d.nonce is None else d.nonce,
        capability=d.capability,
        price_floor=d.price,
        price_ceiling=d.price,
        ramp_seconds=0,
        stake_bps=pick(d.stake_bps, limits.min_stake_bps, 0, limits.max_stake_bps),
        attempts=pick(d.attempts, 3, 1, limits.max_attempts),
        work_ms=work,
        gas_price=pick(
            d.gas_price, GAS_HEADROOM * gas_price, limits.min_gas_price, limits.max_gas_price
        ),
        open_seconds=pick(
            d.open_seconds, 600, limits.min_open_seconds, limits.max_open_seconds
        ),
        run_seconds=pick(d.run_seconds, run, limits.min_run_seconds, limits.max_run_seconds),
        window_seconds=pick(
            d.window_seconds, 600, limits.min_window_seconds, limits.max_window_seconds
        ),
        move_seconds=pick(d.move_seconds, 60, limits.min_move_seconds, limits.max_move_seconds),
    )
    check_deal(deal, limits)
    token, native = lock_of(deal, limits.schedule)
    return Quote(deal, bounty_of(deal, limits.schedule), token, native)


def terms_for(
    program: Program,
    wishes: Wishes,
    deal: Deal,
    referee: bytes,
    roots: tuple[bytes, bytes, bytes],
    locators_hash: bytes,
) -> JobTerms:
    """All terms.  ``roots`` are of the program, its constants and the inputs."""
    steps = check_steps(program, wishes.steps)
    task = Task(referee, *roots, locators_hash, pack_steps(steps), wishes.seed)
    return JobTerms(task, deal)
