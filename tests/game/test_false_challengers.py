"""Nobody wins against an honest provider that answers, and its answers are paid."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.spec.dispute import CLOSE_GAS, MAX_MOVES, MOVE_GAS, PROOF_GAS, Wait, native_bond
from protocol.spec.errors import MoveRefused
from protocol.spec.game import Game
from protocol.spec.job import DEAD, Fault, trace_seconds
from protocol.spec.limits import DEVNET, GWEI
from tests.actors import liars
from tests.actors.challenger import Challenger, play
from tests.actors.false_challenger import FalseChallenger
from tests.actors.provider import Provider, Stubborn
from tests.actors.table import Table
from tests.game.world import (
    ALICE,
    BOB,
    CLAIM,
    DEAL,
    LOCK,
    PRICE,
    PROVIDER,
    START,
    case,
    claim_of,
    table_of,
)


def stall_out(table: Table, number: int, challenger: FalseChallenger, provider: Provider) -> int:
    """Plays until the challenger has nothing left; it is defeated. Returns the answers given."""
    answers = 0
    for _ in range(200):
        if table.challenge_of(number).wait is not Wait.CHALLENGER:
            assert provider.answer(table, number), "an honest provider has every answer"
            answers += 1
        elif not challenger.move(table, number):
            break
    table.silence(number)
    table.move("timeout_challengers", [number], who=BOB)
    return answers


@pytest.mark.parametrize("program", ["mlp", "counter", "phases", "folds", "kept"])
def test_false_challenger__at_any_depth__loses_its_bond(program: str) -> None:
    of = case(program)
    refusals: set[str] = set()
    depths: set[int] = set()
    for seed in range(60):
        table = table_of(of, of.truth)
        number = table.move("challenge", who=ALICE)
        challenger = FalseChallenger(of, ALICE, seed)
        answers = stall_out(table, number, challenger, Provider(of.truth, PROVIDER))
        refusals |= set(challenger.refusals)
        depths.add(answers)
        assert not table.claim.fallen
        assert table.claim.holds == 0
        assert answers <= MAX_MOVES
        left = native_bond(GWEI) - answers * MOVE_GAS * GWEI
        burned = -(-left // 5)
        credits = table.game.credits
        assert credits[DEAD] == (PRICE, burned)
        assert credits[BOB] == (0, CLOSE_GAS * GWEI)
        rest = left - burned - CLOSE_GAS * GWEI
        assert credits[PROVIDER] == (4 * PRICE, answers * MOVE_GAS * GWEI + rest)
        assert credits[ALICE] == (0, 0)
    assert {"ProvesNothing", "NotHere"} <= refusals
    assert len(depths) >= 2


@pytest.mark.parametrize("program", ["alphabet", "wide"])
def test_provider__tree_of_several_reveals__answers_at_every_edge(program: str) -> None:
    of = case(program)
    depths = []
    for seed in range(12):
        table = table_of(of, of.truth)
        number = table.move("challenge", who=ALICE)
        challenger = FalseChallenger(of, ALICE, seed)
        challenger.edge = True
        depths.append(stall_out(table, number, challenger, Provider(of.truth, PROVIDER)))
        assert not table.claim.fallen
    assert 4 <= max(depths) <= MAX_MOVES


def test_two_honest_challengers__the_earlier_is_rewarded_the_other_made_whole() -> None:
    of = case("mlp")
    claimed = liars.one_bit_in(0, 2, 58)(of)
    table = table_of(of, claimed)
    first = table.move("challenge", who=ALICE)
    second = table.move("challenge", who=BOB)
    play(table, second, Challenger(of, BOB), Stubborn(claimed, PROVIDER))
    two, one = table.claim.payouts
    reward = LOCK // 3
    assert (one.to, one.token) == (ALICE, reward - reward // 32)
    assert (two.to, two.token) == (BOB, reward // 32)
    table.game.collect(CLAIM, first)
    table.game.collect(CLAIM, second)
    assert table.game.credits[ALICE] == (5 * PRICE, native_bond(GWEI))
    spent = native_bond(GWEI) - table.game.credits[BOB][1]
    assert two.native >= 2 * spent + PROOF_GAS * GWEI > one.native


def test_colluder__challenges_first_and_abandons__honest_one_still_wins() -> None:
    of = case("mlp")
    claimed = liars.one_bit_in(0, 2, 58)(of)
    table = table_of(of, claimed)
    colluder = table.move("challenge", who=BOB)
    honest = table.move("challenge", who=ALICE)
    provider, challenger = Stubborn(claimed, PROVIDER), Challenger(of, ALICE)
    assert provider.answer(table, honest)
    table.wait_until(table.now + table.claim.budget)
    challenger.move(table, honest)
    assert provider.answer(table, honest)
    table.silence(colluder)
    table.move("timeout_challengers", [colluder], who=PROVIDER)
    assert table.claim.numbers == [honest]
    play(table, honest, challenger, provider)
    assert table.claim.fault is Fault.WRONG
    assert [line.to for line in table.claim.payouts] == [ALICE]
    with pytest.raises(MoveRefused, match="NotLive"):
        table.game.collect(CLAIM, colluder)


def test_many_challengers__nine_lines_at_most_and_the_rest_get_bonds_back() -> None:
    of = case("mlp")
    claimed = liars.wrong_output(0)(of)
    table = table_of(of, claimed)
    numbers = [table.move("challenge", who=bytes([k]) * 20) for k in range(1, 21)]
    play(table, numbers[-1], Challenger(of, bytes([20]) * 20), Stubborn(claimed, PROVIDER))
    paid = [20, *range(1, 9)]
    assert [line.to for line in table.claim.payouts] == [bytes([k]) * 20 for k in paid]
    assert sum(line.token for line in table.claim.payouts) == LOCK // 3
    for number in numbers:
        table.game.collect(CLAIM, number)
    assert all(table.game.credits[bytes([k]) * 20][0] == 5 * PRICE for k in range(1, 21))


def test_five_hundred_at_once__an_honest_serial_provider_is_never_late() -> None:
    of = case("mlp")
    game = Game(DEVNET.schedule)
    for k in range(500):
        game.claims[CLAIM + bytes([k // 256, k % 256])] = claim_of(of, of.truth)
    for claim_id in game.claims:
        game.challenge(claim_id, ALICE, START)
    for k, claim_id in enumerate(game.claims, 1):
        # It takes all the time that the rule grants it, to the millisecond.
        now = START + trace_seconds(k * DEAL.work_ms)
        table = Table(game, claim_id, now - 1)
        assert Provider(of.truth, PROVIDER).answer(table, 1)
        assert now <= game.claims[claim_id].open_by - DEAL.move_seconds
    assert now == game.queue[PROVIDER] == START + 500 * 52 + 250


def test_queue__second_challenge_of_a_claim__does_not_lengthen_it() -> None:
    of = case("mlp")
    table = table_of(of, of.truth)
    table.move("challenge", who=ALICE)
    before = (table.claim.open_by, table.game.queue[PROVIDER])
    table.move("challenge", who=BOB)
    assert (table.claim.open_by, table.game.queue[PROVIDER]) == before


def test_claims__an_old_attempt__cannot_touch_a_new_one() -> None:
    of = case("mlp")
    claimed = liars.wrong_output(0)(of)
    table = table_of(of, claimed)
    other = CLAIM[::-1] + b"2"
    table.game.claims[other] = replace(claim_of(of, of.truth))
    number = table.move("challenge", who=ALICE)
    table.game.challenge(other, ALICE, table.now)
    play(table, number, Challenger(of, ALICE), Stubborn(claimed, PROVIDER))
    assert table.claim.fallen
    assert not table.game.claims[other].fallen
    assert table.game.claims[other].steps_root == bytes(32)
