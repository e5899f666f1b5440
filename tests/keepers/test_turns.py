"""What the timekeeper decides about disputes, without a chain."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from keepers import timekeeper
from keepers.policy import Policy
from keepers.turns import (
    DEFEAT_EACH,
    DEFEAT_GAS,
    EXPOSE_GAS,
    Ask,
    Board,
    Defeat,
    Expose,
    Late,
    Move,
    Reclaim,
    Refund,
    Topple,
    Turn,
    decide,
    pays,
)
from protocol.chain.seats import MOST_CLOSED
from protocol.spec.dispute import CLOSE_GAS, TIMEOUT_GAS, Challenge, Wait
from protocol.spec.job import JobStatus
from tests.keepers.test_decide import CLIENT, GWEI, PROVIDER, record, view

ME, HER = b"\x0a" * 20, b"\x0b" * 20
CLAIM = b"\x0c" * 32
JOB = record(JobStatus.COMMITTED, holds=1)
FREE = Policy(min_profit=None)


def turn(
    number: int = 1, wait: Wait = Wait.CHALLENGER, deadline: int = 100, who: bytes = HER,
    claim: bytes = CLAIM, gas_price: int = 2 * GWEI,
) -> Turn:  # fmt: skip
    x = Challenge(who, 0, bytes(32), 0, 1, 0, 0, 0, 0, wait=wait)
    job = record(JobStatus.COMMITTED, holds=1, gas_price=gas_price)
    return Turn(job, claim, number, x, deadline)


def ask(
    number: int = 1, deadline: int = 100, who: bytes = HER, claim: bytes = CLAIM,
    gas_price: int = 2 * GWEI,
) -> Ask:  # fmt: skip
    job = record(JobStatus.COMMITTED, holds=1, gas_price=gas_price)
    return Ask(job, claim, number, who, deadline)


def due(
    *clocks: Turn | Ask, policy: Policy | None = None, fee: int = GWEI, me: bytes = ME
) -> list[Move]:
    turns = tuple(clock for clock in clocks if isinstance(clock, Turn))
    asks = tuple(clock for clock in clocks if isinstance(clock, Ask))
    return decide(Board(turns, asks), 101, fee, me, policy or Policy())


def test_decide__challenger_late__is_closed_for_the_bounty() -> None:
    (move,) = due(turn())
    bounty = CLOSE_GAS * 2 * GWEI
    assert move == Defeat(JOB.job, CLAIM, (1,), bounty, bounty)


def test_decide__at_the_deadline_itself__belongs_to_the_mover() -> None:
    assert due(turn(deadline=101)) == []
    assert due(turn(1, Wait.REVEAL, 101), policy=FREE) == []


def test_decide__several_of_one_claim__go_in_one_call() -> None:
    other = b"\x0d" * 32
    found = due(turn(2, deadline=50), turn(1), turn(7, claim=other), turn(3, deadline=101))
    assert [(move.claim, move.numbers) for move in found if isinstance(move, Defeat)] == [
        (CLAIM, (2, 1)), (other, (7,)),
    ]  # fmt: skip
    many = due(*(turn(k) for k in range(1, MOST_CLOSED + 3)))
    assert [len(move.numbers) for move in many if isinstance(move, Defeat)] == [MOST_CLOSED, 2]


def test_decide__bounty_below_gas__leaves_it_unless_interested() -> None:
    cheap = turn(gas_price=GWEI)
    fee = CLOSE_GAS * GWEI // (DEFEAT_GAS + DEFEAT_EACH) + 1
    assert due(cheap, fee=fee) == []
    for who in (CLIENT, PROVIDER, HER):
        (move,) = due(cheap, fee=fee, policy=Policy(interests=frozenset({who})))
        assert isinstance(move, Defeat)
        assert move.most is None
    # Two share the call: each alone would not pay, both together do.
    assert len(due(cheap, replace(cheap, number=2), fee=fee)) == 1


def test_decide__own_challenge_late__is_left_to_others() -> None:
    assert due(turn(who=ME), policy=FREE) == []


def test_decide__provider_late__is_toppled_for_the_bounty_or_those_it_concerns() -> None:
    late = turn(4, Wait.OPENING)
    bounty = TIMEOUT_GAS * 2 * GWEI
    assert due(late) == [Topple(late.job, CLAIM, 4, bounty, bounty)]
    dear = bounty // EXPOSE_GAS + 1
    assert due(late, fee=dear) == []
    mine = replace(late, number=5, challenge=replace(late.challenge, challenger=ME))
    for found in (
        due(late, fee=dear, policy=FREE),
        due(late, fee=dear, policy=Policy(interests=frozenset({CLIENT}))),
        due(late, fee=dear, policy=Policy(interests=frozenset({HER}))),
        due(late, mine, fee=dear),
    ):
        assert found == [Topple(late.job, CLAIM, 4, bounty, None)]


def test_decide__provider_late_and_mine_not__late_ones_before_me_go_first() -> None:
    stranger, mine = turn(1), turn(2, Wait.STEP, who=ME)
    first, second = due(stranger, mine, fee=10**6 * GWEI)
    assert isinstance(first, Defeat)
    assert (first.numbers, first.most) == ((1,), None)
    assert second == Topple(mine.job, CLAIM, 2, TIMEOUT_GAS * 2 * GWEI, None)


def test_decide__bonds_and_fees__come_back_after_all_else() -> None:
    bond, fee = Reclaim(CLAIM, 9), Refund(CLAIM, (1, 4))
    board = Board((turn(),), (ask(),), (bond,), (fee,))
    assert decide(board, 101, GWEI, ME, Policy())[-2:] == [bond, fee]


def test_decide__data_withheld__ends_the_claim_for_the_bounty() -> None:
    late = ask(3, 90)
    bounty = TIMEOUT_GAS * 2 * GWEI
    wanted = [Expose(late.job, CLAIM, 3, bounty, bounty)]
    assert due(ask(1, 100), late, ask(2, 101)) == wanted
    assert due(ask(deadline=101)) == []
    dear = TIMEOUT_GAS * 2 * GWEI // EXPOSE_GAS + 1
    assert due(late, fee=dear) == []
    for found in (due(late, fee=dear, me=HER), due(late, fee=dear, policy=FREE)):
        assert found == [Expose(late.job, CLAIM, 3, bounty, None)]


def test_decide__silent_and_withholding__falls_once() -> None:
    silent, withheld = turn(1, Wait.REVEAL), ask()
    (move,) = due(silent, withheld, policy=FREE)
    assert isinstance(move, Expose)
    first, second = due(turn(2), withheld)
    assert isinstance(first, Defeat)
    assert isinstance(second, Expose)


def test_timekeeper__turns_in_its_view__have_rows_deadlines_and_moves() -> None:
    seen = replace(
        view(JOB, fee=GWEI, credits={"game": 10**17, "court": 1}),
        board=Board((turn(1, deadline=60), turn(2, Wait.REVEAL, 300)), (ask(4, 400),)), me=ME,
    )  # fmt: skip
    rows = timekeeper.clocks(seen, Policy())
    assert [(row.kind, row.number, row.left, row.pays) for row in rows] == [
        (Late.CHALLENGER, 1, -41, True),
        (timekeeper.Kind.FINALIZE, 0, -1, True),
        (Late.PROVIDER, 2, 199, True),
        (Late.WITHHELD, 4, 299, True),
    ]
    assert timekeeper.deadline(seen) == 300
    first, last = timekeeper.decide(seen, Policy())
    assert isinstance(first, Defeat)
    assert last == timekeeper.Collect("game", 10**17)


turns_ = st.builds(
    turn,
    st.integers(1, 200),
    st.sampled_from(list(Wait)),
    st.integers(0, 200),
    st.sampled_from([ME, HER]),
    st.sampled_from([CLAIM, b"\x0d" * 32]),
    st.sampled_from([GWEI // 10, GWEI, 100 * GWEI]),
)
policies = st.builds(
    Policy,
    st.sampled_from([None, 0, 10**14]),
    st.sampled_from([frozenset(), frozenset({CLIENT}), frozenset({HER})]),
)


@given(
    st.lists(turns_, max_size=8, unique_by=lambda t: (t.claim, t.number)),
    policies,
    st.sampled_from([1, GWEI, 50 * GWEI]),
)
def test_decide__any_turns__ends_only_what_is_over_and_paid(
    seen: list[Turn], policy: Policy, fee: int
) -> None:
    over = {(t.claim, t.number): t for t in seen if t.deadline < 101}
    touched = []
    board = Board(tuple(seen))
    for move in decide(board, 101, fee, ME, policy):
        if isinstance(move, Topple):
            of = over[move.claim, move.number]
            assert of.late is Late.PROVIDER
            assert pays(of, board, fee, ME, policy)
            continue
        assert isinstance(move, Defeat)
        of_claim = [over[move.claim, number] for number in move.numbers]
        touched += [(move.claim, number) for number in move.numbers]
        assert all(t.late is Late.CHALLENGER for t in of_claim)
        assert all(t.challenge.challenger != ME for t in of_claim)
        assert move.bounty == sum(t.bounty for t in of_claim)
        if move.most is not None:
            gas = DEFEAT_GAS + DEFEAT_EACH * len(of_claim)
            assert gas * fee <= move.most <= move.bounty
    assert len(touched) == len(set(touched))
    if policy.min_profit is None:
        late = {k for k, t in over.items() if t.late is Late.CHALLENGER}
        assert {k for k in late if over[k].challenge.challenger != ME} == set(touched)
    backwards = decide(Board(tuple(reversed(seen))), 101, fee, ME, policy)
    assert backwards == decide(board, 101, fee, ME, policy)
