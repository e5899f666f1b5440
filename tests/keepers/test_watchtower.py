"""What the watchtower decides, without a chain; and what it remembers."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from keepers.attacks import (
    TOGETHER,
    Act,
    Kind,
    Policy,
    View,
    Withdraw,
    deadline,
    decide,
    no_room,
    slack,
)
from keepers.judge import Judge, JudgeConfig, Verdict
from protocol.chain.book import JobRecord
from protocol.chain.seats import Seat
from protocol.spec.dispute import Challenge, Wait
from protocol.spec.job import Deal, JobStatus
from protocol.storage.config import StorageConfig
from protocol.storage.store import Store
from tests.keepers.test_decide import CLIENT, record

ME = b"\x0a" * 20
NOW = 100


def claim_of(number: int) -> bytes:
    return number.to_bytes(32, "little")


def committed(number: int, price: int = 5, until: int = 200) -> JobRecord:
    """A committed job whose window lasts to ``until``."""
    made = record(JobStatus.COMMITTED, until, number=number)
    deal = replace(made.terms.deal, price_floor=price, price_ceiling=price)
    attempt = replace(made.attempts[0], claim=claim_of(number), result_root=bytes(32))
    return replace(made, terms=replace(made.terms, deal=deal), attempts=(attempt,))


def seat(number: int, wait: Wait, until: int, challenge: int = 1, budget: int = 0) -> Seat:
    x = Challenge(ME, 7, bytes(32), 0, 1, 0, budget, 0, 0, wait=wait)
    return Seat(committed(number), claim_of(number), challenge, x, until)


def view(*claims: JobRecord, verdicts: dict[int, Verdict] | None = None, **rest: Any) -> View:
    known = {claim_of(n): v for n, v in (verdicts or {}).items()}
    return View(NOW, claims, known, **rest)


def kinds(seen: View, policy: Policy | None = None) -> list[tuple[Kind, int]]:
    """What is to be done, about which claim."""
    moves = decide(seen, policy or Policy())
    return [
        (m.kind, int.from_bytes(m.claim, "little")) for m in moves if isinstance(m, Act)
    ]


def test_decide__unknown_claims__are_computed_dearest_first() -> None:
    seen = view(committed(1, price=5), committed(2, price=50), committed(3, price=7))
    assert kinds(seen) == [(Kind.CHECK, 2), (Kind.CHECK, 3), (Kind.CHECK, 1)]


def test_decide__wrong_claims__are_challenged_dearest_first() -> None:
    seen = view(committed(1, price=5, until=150), committed(2, price=50), committed(3, price=50),
                verdicts=dict.fromkeys((1, 2, 3), Verdict.WRONG))  # fmt: skip
    assert kinds(seen) == [(Kind.CHALLENGE, 2), (Kind.CHALLENGE, 3), (Kind.CHALLENGE, 1)]


def test_decide__wrong_claim__is_challenged_before_anything_is_computed() -> None:
    seen = view(committed(1, price=90), committed(2), verdicts={2: Verdict.WRONG})
    assert kinds(seen) == [(Kind.CHALLENGE, 2), (Kind.CHECK, 1)]


def test_decide__right_claim__is_left_alone() -> None:
    assert kinds(view(committed(1), verdicts={1: Verdict.RIGHT})) == []


def test_decide__illegal_job__is_voided() -> None:
    assert kinds(view(committed(1), verdicts={1: Verdict.ILLEGAL})) == [(Kind.VOID, 1)]


def test_decide__window_over__nothing_is_begun() -> None:
    seen = view(committed(1, until=NOW - 1), committed(2, until=NOW - 1),
                verdicts={2: Verdict.WRONG})  # fmt: skip
    assert kinds(seen) == []
    assert kinds(view(committed(1, until=NOW))) == [(Kind.CHECK, 1)], "t <= clock is ours"


def test_decide__window_over__an_illegal_job_that_disputes_hold_is_voided() -> None:
    late = committed(1, until=NOW - 1)
    illegal = {1: Verdict.ILLEGAL}
    assert kinds(view(late, verdicts=illegal)) == []
    assert kinds(view(replace(late, holds=1), verdicts=illegal)) == [(Kind.VOID, 1)]


def test_decide__others_challenge_too__it_opens_its_own_once() -> None:
    wrong = {1: Verdict.WRONG}
    held = replace(committed(1), holds=3)
    assert kinds(view(held, verdicts=wrong)) == [(Kind.CHALLENGE, 1)]
    mine = view(held, verdicts=wrong, seats=(seat(1, Wait.REVEAL, 150),))
    assert kinds(mine) == []


def test_decide__own_challenge_lost_by_the_clock__another_is_opened() -> None:
    wrong = {1: Verdict.WRONG}
    late = seat(1, Wait.CHALLENGER, NOW - 1)
    assert kinds(view(committed(1), verdicts=wrong, seats=(late,))) == [(Kind.CHALLENGE, 1)]
    in_time = seat(1, Wait.CHALLENGER, NOW)
    assert kinds(view(committed(1), verdicts=wrong, seats=(in_time,))) == [(Kind.PLAY, 1)]


def test_decide__moves_too_short_to_play__the_claim_is_left_alone() -> None:
    seen = view(committed(1), verdicts={1: Verdict.WRONG})
    assert kinds(seen, Policy(min_move_seconds=61)) == []
    assert kinds(seen, Policy(min_move_seconds=60)) == [(Kind.CHALLENGE, 1)]


def test_decide__turns__mine_in_time_theirs_when_late() -> None:
    seats = (
        seat(1, Wait.CHALLENGER, 150), seat(2, Wait.CHALLENGER, 120), seat(3, Wait.CHALLENGER, 99),
        seat(4, Wait.REVEAL, 99), seat(5, Wait.STEP, NOW), seat(6, Wait.OPENING, 42),
    )  # fmt: skip
    assert kinds(view(seats=seats)) == [
        (Kind.TIMEOUT, 6), (Kind.TIMEOUT, 4), (Kind.PLAY, 2), (Kind.PLAY, 1),
    ]  # fmt: skip


def test_decide__the_provider_is_late_elsewhere__the_claim_ends_before_my_move() -> None:
    """A friend of the liar would keep that turn at hand, and end the claim when my proof comes."""
    mine, another = seat(1, Wait.CHALLENGER, 150), replace(seat(1, Wait.REVEAL, 99), number=7)
    seen = view(seats=(mine,), others=(another,))
    (move,) = decide(seen, Policy())
    assert isinstance(move, Act)
    assert (move.kind, move.number) == (Kind.TIMEOUT, 7)
    in_time = replace(another, deadline=NOW)
    assert kinds(view(seats=(mine,), others=(in_time,))) == [(Kind.PLAY, 1)]
    assert deadline(view(seats=(mine,), others=(in_time,))) == NOW
    # Mine, where it is late too: whose challenge ends a claim is made whole first.
    mine = seat(1, Wait.STEP, 99)
    (move,) = decide(view(seats=(mine,), others=(another,)), Policy())
    assert isinstance(move, Act)
    assert move.number == mine.number


def test_decide__fallen_claims__bonds_are_collected_and_money_withdrawn() -> None:
    seen = view(fallen=((claim_of(9), 2),), credits=(("game", 10**18, 0), ("registry", 1, 1)))
    assert decide(seen, Policy()) == [
        Act(Kind.COLLECT, claim_of(9), b"", 2), Withdraw("game", 10**18, native=False),
    ]  # fmt: skip


def test_decide__policy__names_clients_and_a_least_price() -> None:
    seen = view(committed(1, price=5), committed(2, price=50))
    assert kinds(seen, Policy(min_price=6)) == [(Kind.CHECK, 2)]
    assert kinds(seen, Policy(clients=frozenset({b"\x77" * 20}))) == []
    assert len(kinds(seen, Policy(clients=frozenset({CLIENT})))) == 2


@given(st.lists(st.tuples(st.sampled_from(list(Wait)), st.integers(0, 200)), max_size=6))
def test_decide__any_turns__every_move_is_ours_to_make(turns: list[tuple[Wait, int]]) -> None:
    seats = tuple(seat(k + 1, wait, until) for k, (wait, until) in enumerate(turns))
    for kind, number in kinds(view(seats=seats)):
        x = seats[number - 1]
        assert (x.challenge.wait is Wait.CHALLENGER) == (kind is Kind.PLAY)
        assert (x.deadline >= NOW) == (kind is Kind.PLAY)


def test_deadline__of_the_turns__is_the_nearest_that_still_runs() -> None:
    seats = (seat(1, Wait.REVEAL, 99), seat(2, Wait.REVEAL, 130), seat(3, Wait.STEP, 120))
    assert deadline(view(seats=seats)) == 120
    assert deadline(view()) is None


def test_slack__of_disputes__is_of_the_one_that_needs_me_first() -> None:
    move = committed(1).terms.deal.move_seconds
    mine, theirs = seat(1, Wait.CHALLENGER, 150), seat(2, Wait.REVEAL, 120, budget=30)
    assert slack(view()) == math.inf
    assert slack(view(seats=(mine,))) == 150 - NOW
    assert slack(view(seats=(mine, theirs))) == min(50, 30 + move)
    lost = seat(3, Wait.CHALLENGER, NOW - 1)
    assert slack(view(seats=(mine, lost))) == 50, "one that is lost needs nobody"


def deal(move: int, price: int = 5) -> Deal:
    made = committed(1, price=price).terms.deal
    return replace(made, move_seconds=move, work_ms=1000)


def played(count: int, move: int = 10, price: int = 5, budget: int = 240) -> tuple[Seat, ...]:
    """So many live disputes."""
    made = seat(1, Wait.REVEAL, 150, budget=budget)
    job = replace(made.job, terms=replace(made.job.terms, deal=deal(move, price)))
    return (replace(made, job=job),) * count


def fits(of: Deal, mined: float = 12, **live: int) -> list[int]:
    """Beside how many disputes one more is opened."""
    counts = range(3 * TOGETHER)
    return [n for n in counts if no_room(played(n, **live), of, mined) is None]


def test_no_room__moves_shorter_than_a_block__as_many_as_one_block_takes() -> None:
    assert fits(deal(10)) == list(range(TOGETHER))
    assert "with moves mined in 12 s" in str(no_room(played(TOGETHER), deal(10), 12))
    assert fits(deal(60), move=60) == list(range(3 * TOGETHER)), "a minute holds some rounds"
    assert fits(deal(10), mined=0.1) == list(range(3 * TOGETHER)), "a chain that mines on demand"
    assert no_room((), deal(10), 60) is not None, "not even alone"


def test_no_room__long_moves__have_room_beside_short_ones() -> None:
    assert fits(deal(60), move=10) == list(range(3 * TOGETHER))
    assert fits(deal(10), move=60, budget=1440) == list(range(3 * TOGETHER))


def test_no_room__another_round__does_not_cost_the_others_their_clocks() -> None:
    mined, long = 60, replace(deal(60), work_ms=10**7)
    assert no_room(played(TOGETHER, 60, budget=10**6), long, mined) is None
    assert no_room(played(TOGETHER, 60, budget=2000), long, mined) is not None
    assert no_room(played(TOGETHER - 1, 60, budget=2000), long, mined) is None, "no round more"
    later = replace(long, move_seconds=61)
    assert no_room(played(TOGETHER, 60, budget=2000), later, mined) is None, "its turn is later"


def test_no_room__cheap_claims__leave_half_of_the_places_to_dear_ones() -> None:
    cheap, dear = deal(10, price=1), deal(10, price=50)
    assert fits(cheap, price=1) == list(range(TOGETHER))
    assert fits(dear, price=1) == list(range(TOGETHER))
    one_dear = (*played(TOGETHER // 2 - 1, price=1), *played(1, price=50))
    assert no_room(one_dear[1:], cheap, 12) is None
    assert no_room(one_dear, cheap, 12) is not None
    assert no_room(one_dear, dear, 12) is None


def test_judge__restart__remembers_whole_verdicts_alone(tmp_path: Path) -> None:
    config = JudgeConfig(tmp_path / "verdicts")
    store = cast(Store, type("NoStore", (), {"config": replace(
        StorageConfig(), cache_dir=tmp_path / "cache")})())  # fmt: skip
    judge = Judge(store, config)
    judge.overrule(claim_of(1))
    judge.overrule(claim_of(2))
    (config.directory / f"{claim_of(3).hex()}.partial").write_text("ri")
    (config.directory / claim_of(4).hex()).write_text("maybe 0.0")
    (config.directory / claim_of(5).hex()).write_text("wrong")
    (config.directory / claim_of(6).hex()).write_text("wrong soon")
    again = Judge(store, config)
    assert dict(again.verdicts) == {claim_of(1): Verdict.RIGHT, claim_of(2): Verdict.RIGHT}
    again.keep_only([claim_of(2)])
    assert dict(Judge(store, config).verdicts) == {claim_of(2): Verdict.RIGHT}
