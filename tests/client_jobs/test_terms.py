"""Terms from wishes, within what a market allows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.terms import Wishes, estimate_work_ms, quote, terms_for
from protocol.spec import examples
from protocol.spec.errors import LimitExceeded
from protocol.spec.job import bounty_of, lock_of, unpack_steps
from protocol.spec.limits import DEVNET, GWEI, Limits, check_deal, check_terms

CLIENT, GAME = b"\1" * 20, b"\2" * 20
PROGRAM = examples.mlp().program
TIGHT = replace(
    DEVNET, min_open_seconds=5, max_open_seconds=9, min_run_seconds=6, max_run_seconds=10,
    min_window_seconds=7, max_window_seconds=11, min_move_seconds=8, max_move_seconds=12,
    max_attempts=2, min_stake_bps=20_000, max_work_ms=100, min_gas_price=7 * GWEI,
)  # fmt: skip


def made(wishes: Wishes, limits: Limits = DEVNET, gas_price: int = GWEI) -> object:
    return quote(PROGRAM, wishes, limits, CLIENT, 99, gas_price)


def test_quote__plain_wishes__have_ordinary_defaults() -> None:
    found = quote(PROGRAM, Wishes(price=10**19), DEVNET, CLIENT, 99, GWEI)
    deal = found.deal
    assert (deal.client, deal.nonce, found.price) == (CLIENT, 99, 10**19)
    assert (deal.price_floor, deal.ramp_seconds, deal.attempts) == (10**19, 0, 3)
    assert (deal.open_seconds, deal.window_seconds, deal.move_seconds) == (600, 600, 60)
    assert deal.gas_price == 2 * GWEI
    assert deal.run_seconds * 1000 >= 4 * deal.work_ms
    assert found.bounty == bounty_of(deal, DEVNET.schedule)
    assert (found.lock_token, found.lock_native) == lock_of(deal, DEVNET.schedule)


def test_quote__tight_market__moves_defaults_into_its_limits() -> None:
    deal = quote(PROGRAM, Wishes(price=10**19), TIGHT, CLIENT, 99, GWEI).deal
    assert (deal.open_seconds, deal.run_seconds, deal.window_seconds) == (9, 10, 11)
    assert (deal.move_seconds, deal.attempts, deal.stake_bps) == (12, 2, 20_000)
    assert (deal.work_ms, deal.gas_price) == (100, 7 * GWEI)


@pytest.mark.parametrize(
    "wishes, term",
    [
        (Wishes(price=0), "priceFloor = 0"),
        (Wishes(price=-1), "priceFloor = -1"),
        (Wishes(price=1, window_seconds=1), "windowSeconds = 1"),
        (Wishes(price=1, open_seconds=10**9), "openSeconds"),
        (Wishes(price=1, attempts=11), "attempts = 11"),
        (Wishes(price=1, work_ms=0), "workMs = 0"),
        (Wishes(price=1, stake_bps=1), "stakeBps = 1"),
        (Wishes(price=1, gas_price=1), "gasPrice = 1"),
        (Wishes(price=10**60), "priceFloor"),
        (Wishes(price=1, steps=(9, 9, 9)), "phases"),
    ],
)
def test_quote__chosen_outside_the_limits__names_the_term(wishes: Wishes, term: str) -> None:
    with pytest.raises(LimitExceeded, match=term):
        made(wishes)


@given(
    st.integers(1, 10**24),
    st.none() | st.integers(1, 10),
    st.none() | st.integers(2, 10**6),
    st.integers(1, 10**12),
    st.sampled_from([DEVNET, TIGHT]),
)
def test_quote__any_price_and_gas__is_allowed_by_the_market(
    price: int, attempts: int | None, window: int | None, gas_price: int, limits: Limits
) -> None:
    wishes = Wishes(price=price, attempts=attempts, window_seconds=window)
    try:
        deal = quote(PROGRAM, wishes, limits, CLIENT, 1, gas_price).deal
    except LimitExceeded:
        lock = price * limits.min_stake_bps // 10_000 > limits.max_lock
        assert lock or limits is TIGHT
        return
    check_deal(deal, limits)


def test_estimate_work_ms__more_steps__take_longer() -> None:
    program = examples.phases().program
    least = tuple(0 for _ in program.phases)
    assert estimate_work_ms(program, least) <= estimate_work_ms(program)
    assert estimate_work_ms(program) >= 1


def test_terms_for__steps_and_roots__are_where_they_belong() -> None:
    program = examples.phases().program
    steps = tuple(max(p.max_steps - 1, 0) for p in program.phases)
    wishes = Wishes(price=5, seed=-3, steps=steps)
    deal = quote(program, wishes, DEVNET, CLIENT, 1, GWEI).deal
    roots = (b"\3" * 32, b"\4" * 32, b"\5" * 32)
    terms = terms_for(program, wishes, deal, GAME, roots, b"\6" * 32)
    task = terms.task
    assert (task.program_root, task.constants_root, task.inputs_root) == roots
    assert (task.referee, task.locators_hash, task.seed) == (GAME, b"\6" * 32, -3)
    assert unpack_steps(task.steps, len(program.phases)) == steps
    check_terms(terms, DEVNET, GAME)
