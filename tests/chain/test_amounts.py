"""Money as people read it."""

from __future__ import annotations

import pytest

from protocol.chain import amounts

ETHER, GWEI = 10**18, 10**9


@pytest.mark.parametrize(
    "made, words",
    [
        (amounts.tokens(3 * ETHER // 2), "1.5 ADT"),
        (amounts.tokens(1_000 * ETHER + 1), "1,000.000000000000000001 ADT"),
        (amounts.tokens(-ETHER), "-1 ADT"),
        (amounts.native(ETHER + 123_456_789 * GWEI), "1.1234 ETH"),
        (amounts.native(245_383 * GWEI), "0.0002453 ETH"),
        (amounts.native(0), "0 ETH"),
        (amounts.exactly(ETHER // 4 + 1), "0.250000000000000001 ETH"),
        (amounts.gwei(1_234_567_891), "1.2345 gwei"),
        (amounts.exact_gwei(1_234_567_891), "1.234567891 gwei"),
        (amounts.gwei(7), "0.000000007 gwei"),
    ],
)
def test_an_amount__for_people__has_its_unit_and_a_decimal_point(made: str, words: str) -> None:
    assert made == words
