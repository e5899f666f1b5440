"""What the demonstration says of the money."""

from __future__ import annotations

from protocol.chain.book import Finalized, Posted, Slashed
from protocol.chain.event import Place
from protocol.spec.job import DEAD, Fault, JobTerms, Payout
from scripts.demo import reasons
from tests.provider.test_policy import DEAL, TASK

CLIENT, KEEPER, LATE, HONEST, JOB = (bytes([n]) * 20 for n in (1, 2, 3, 4, 5))
HERE = Place(1, 0, bytes(32), bytes(32), 0)


def test_reasons__a_late_provider_and_an_honest_one__name_price_stake_and_compensation() -> None:
    terms = JobTerms(TASK, DEAL)
    price = DEAL.price_ceiling
    payouts = (Payout(CLIENT, 5, 0), Payout(KEEPER, 0, 9))
    found = reasons(
        [
            Posted(HERE, JOB, CLIENT, terms, b""),
            Slashed(HERE, LATE, Fault.LATE, 8, 9, 3, payouts),
            Finalized(HERE, JOB, HONEST, KEEPER, price),
        ],
        CLIENT,
    )
    assert found == {
        CLIENT: [("price", -price), ("compensation", 5)],
        LATE: [("stake lost", -8)],
        DEAD: [("part of the stake", 3)],
        HONEST: [("price", price)],
    }


def test_reasons__who_proved_a_result_wrong__is_rewarded() -> None:
    payouts = (Payout(KEEPER, 4, 9), Payout(CLIENT, 4, 0))
    found = reasons([Slashed(HERE, LATE, Fault.WRONG, 12, 9, 4, payouts)], CLIENT)
    assert found[KEEPER] == [("reward", 4)]
    assert found[CLIENT] == [("compensation", 4)]
