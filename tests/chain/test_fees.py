"""Fees: enough, never beyond the cap, and enough more to replace."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.amounts import exact_gwei
from protocol.chain.errors import FeeTooHigh
from protocol.chain.fees import Fees, bumped, suggest

GWEI = 10**9
amounts = st.integers(0, 10**13)
caps = st.integers(1, 10**13)


def test_suggest__base_fee__leaves_room_to_double() -> None:
    fees = suggest(10 * GWEI, 2 * GWEI, 0, 500 * GWEI)
    assert (fees.most, fees.tip, fees.expected) == (22 * GWEI, 2 * GWEI, 12 * GWEI)
    assert fees.fields() == {
        "type": 2,
        "maxFeePerGas": 22 * GWEI,
        "maxPriorityFeePerGas": 2 * GWEI,
    }


def test_suggest__no_base_fee__is_a_legacy_price() -> None:
    fees = suggest(None, 0, 7, 10)
    assert (fees.expected, fees.fields()) == (7, {"gasPrice": 7})


@given(st.none() | amounts, amounts, amounts, caps)
def test_suggest__any__keeps_the_cap_and_covers_the_base(
    base: int | None, tip: int, price: int, cap: int
) -> None:
    wanted = price if base is None else base + 1
    if wanted > cap:
        with pytest.raises(FeeTooHigh, match=re.escape(exact_gwei(cap))):
            suggest(base, tip, price, cap)
        return
    fees = suggest(base, tip, price, cap)
    assert fees.most <= cap
    assert fees.expected <= fees.most
    if base is not None:
        assert fees.tip is not None
        assert fees.most > base or fees.tip == 0
        assert fees.tip <= fees.most


@given(st.integers(1, 10**12), st.integers(0, 10**12), st.integers(11, 100), caps)
def test_bumped__any__raises_both_by_a_tenth_or_refuses(
    most: int, tip: int, percent: int, cap: int
) -> None:
    old = Fees(max(most, tip), tip, 1)
    try:
        new = bumped(old, percent, Fees(1, 1, 1), cap)
    except FeeTooHigh:
        assert old.most * 111 // 100 >= cap or old.most + 1 > cap
        return
    assert new.most <= cap
    assert new.tip is not None
    assert new.most * 100 >= old.most * 110 or new.most > old.most >= 1 > old.most // 10
    assert new.tip * 100 >= min(tip * 110, new.most * 100)
    assert new.tip <= new.most


def test_bumped__chain_asks_for_more__follows_it() -> None:
    assert bumped(Fees(100, 10, 90), 25, Fees(1000, 50, 475), 10**6) == Fees(1000, 50, 475)


def test_bumped__beyond_the_cap__refuses() -> None:
    with pytest.raises(FeeTooHigh, match="raise the cap"):
        bumped(Fees(100), 25, Fees(100), 110)
