"""Answers on their way: how many together, and what happens in the meantime."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from protocol.chain.book import JobRecord
from protocol.chain.errors import (
    ChainError,
    FeeTooHigh,
    NodeRefused,
    NodeUnavailable,
    TransactionPending,
)
from protocol.chain.flights import Batch
from provider.dispatch import MOST_CALLS, MOST_MOVES
from provider.policy import MOST_HELD, MOST_SUPPLIES
from provider.progress import GLANCE_SECONDS, Glance
from tests.provider.desk import HERE, JOB, THERE, Desk


def test_cycle__answers_that_take_long__go_out_before_all_are_put_together() -> None:
    desk = Desk(block=1.0)
    for number in range(1, 101):
        desk.ask(number, HERE)
    desk.thinking = 0.5
    assert desk.cycle()
    assert desk.sent == [[1, 2, 3, 4]]
    desk.stand()
    assert [n for numbers in desk.sent for n in numbers] == list(range(1, 101))


def test_cycle__mined_in_the_middle_of_a_computation__is_not_answered_again() -> None:
    desk = Desk(block=12.0)
    desk.ask(999, HERE)
    desk.stand()
    for number in range(1, 64):
        desk.ask(number, HERE)
    desk.computing(30, lambda: None)
    desk.ask(100, HERE, step=1)
    desk.stand()
    assert desk.sent[1:] == [list(range(1, 64)), [100]]


@pytest.mark.parametrize("answering", [0.0, 0.4, 1.0])
def test_cycle__hundreds_of_demands__a_challenge_is_answered_within_two_blocks_and_a_look(
    answering: float,
) -> None:
    for waited in range(30, 120):
        desk = Desk(block=12.0)
        desk.ask(1, HERE)
        desk.demand(2, HERE)
        desk.stand()
        desk.answering = answering
        for number in range(100, 400):
            desk.demand(number, HERE)
        asked = desk.now + waited / 2
        desk.later = [(asked, partial(desk.ask, 3, HERE))]
        while desk.later or 3 in desk.seats:
            assert desk.cycle()
        assert desk.now - asked <= 2 * (12 + GLANCE_SECONDS + answering)


def test_cycle__a_thousand_challenges_at_each_look__demands_are_answered() -> None:
    desk = Desk(block=12.0)
    desk.demand(1, THERE)
    numbers = iter(range(1000, 10**6))
    for _ in range(3):
        for _ in range(1030):
            desk.ask(next(numbers), HERE)
        desk.cycle()
    assert not desk.asks


def test_glance__challengers_move_at_once__each_look_answers() -> None:
    """A look sees what was mined before it; what was mined since is not answered from it."""
    desk = Desk(block=2.0)
    desk.ask(1, HERE)
    desk.stand()
    for looks in range(1, 13):
        desk.ask(1, HERE)
        desk.glance()
        assert len(desk.sent) == 1 + looks
        desk.now += 30.0
        desk.tick()


def test_cycle__market_waits__what_is_at_hand_is_mined_before_it_ends() -> None:
    desk = Desk(block=12.0)
    for number in range(1, MOST_CALLS * MOST_MOVES + 2):
        desk.ask(number, HERE)
    desk.holding = 0.5
    desk.demand(9999, THERE)
    assert desk.cycle()
    assert not desk.seats
    assert not desk.asks


class Broken:
    """Data that cannot be read."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def answer(self, *place: Any) -> bytes:
        self.desk.now += 0.001
        raise OSError("no room")


def test_cycle__what_cannot_be_shown_comes_first__the_rest_is_shown() -> None:
    desk = Desk(block=12.0)
    hold = desk.hold
    lost = [bytes([n]) * 32 for n in range(100, 100 + MOST_SUPPLIES)]

    def holding(job: JobRecord) -> Any:
        if job.job in lost:
            desk.now += 0.01
            raise OSError("no room")
        return Broken(desk) if job.job == HERE else hold(job)

    desk.defence._hold = holding
    for number in range(1, 1 + MOST_SUPPLIES):
        desk.demand(number, HERE)
    for number, claim in enumerate(lost, 20):
        desk.demand(number, claim)
    desk.demand(50, THERE)
    for _ in range(3):
        desk.now += 0.2
        desk.cycle()
    assert 50 not in desk.asks


def test_cycle__demands_that_are_not_due_yet__let_replies_pass() -> None:
    desk = Desk(block=12.0)
    desk.ask(1, HERE)
    desk.demand(2, THERE)
    desk.stand()
    desk.now = desk.mined = 0.0
    for number in range(10, 10 + MOST_CALLS * MOST_MOVES):
        desk.ask(number, HERE)
    for number in range(2000, 2200):
        desk.demand(number, THERE)
    desk.glance()
    desk.now = 12.0
    desk.glance()
    assert not desk.seats
    assert len(desk.asks) == 200


def test_glance__answers_wait_for_their_block__the_computation_goes_on() -> None:
    """Each question is answered once, though it stands until the answer is mined."""
    desk = Desk(block=12.0)
    desk.ask(1, HERE)
    desk.stand()
    numbers = iter(range(1000, 9999))
    desk.computing(60, lambda: desk.ask(next(numbers), HERE))
    desk.ask(2, HERE, step=1)
    began = desk.now
    desk.stand()
    assert desk.log[-1][0] == "answers done"
    assert desk.now - began <= 60 + 3 * 12, "the last question has its block, and it the next"
    answered = [n for numbers in desk.sent for n in numbers]
    assert len(answered) == 122
    assert len(set(answered)) == 122
    assert not desk.seats


def test_glance__more_than_fits_on_its_way__follows_when_that_is_mined() -> None:
    desk = Desk(block=12.0)
    for number in range(1, MOST_CALLS * MOST_MOVES + 101):
        desk.ask(number, HERE)
    desk.defence.truths.of(HERE, lambda: desk.build(replace(JOB, job=HERE)))
    desk.glance()
    desk.glance()
    assert desk.calls == [MOST_MOVES] * MOST_CALLS
    desk.now += 12.0
    desk.glance()
    assert desk.calls == [MOST_MOVES] * (MOST_CALLS + 1) + [36]
    assert len(desk.seats) == 100
    desk.now += 12.0
    desk.glance()
    assert not desk.seats


def test_glance__demands_for_what_is_at_hand_without_end__another_claims_data_is_had() -> None:
    desk = Desk(block=12.0)
    desk.demand(1, HERE)
    desk.stand()
    desk.demand(2, THERE)
    for number in range(100, 120):
        desk.demand(number, HERE)
        desk.glance()
        desk.now += 4.0
    assert 2 in [n for numbers in desk.sent for n in numbers]


def test_glance__more_claims_than_are_held__none_is_had_at_hand_in_vain() -> None:
    desk = Desk(block=60.0)
    for number in range(1, 2 * MOST_HELD + 1):
        desk.demand(number, bytes([number]) * 32)
    desk.holding = 0.1
    for _ in range(200):
        desk.glance()
        desk.now += 4.0
    assert not desk.asks
    assert desk.held == 2 * MOST_HELD


def test_cycle__answers_are_not_mined_in_time__are_made_again() -> None:
    desk = Desk()
    desk.ask(1, HERE)
    desk.sender.look_after.side_effect = TransactionPending("not mined after 300 s")
    with pytest.raises(TransactionPending):
        desk.cycle()
    desk.away = []
    desk.sender.look_after.side_effect = desk.look_after
    desk.stand()
    assert desk.sent == [[1], [1]]


def test_cycle__node_is_away_while_answers_are__they_are_not_made_twice() -> None:
    desk = Desk()
    desk.ask(1, HERE)
    desk.sender.look_after.side_effect = NodeUnavailable("gone")
    for _ in range(2):
        with pytest.raises(NodeUnavailable):
            desk.cycle()
    desk.sender.look_after.side_effect = desk.look_after
    desk.stand()
    assert desk.sent == [[1]]


def test_cycle__some_calls_were_not_sent__they_are_with_the_next() -> None:
    desk = Desk()
    for number in range(1, MOST_MOVES + 2):
        desk.ask(number, HERE)

    def launch(calls: Sequence[Any]) -> Batch:
        sent = desk.launch(calls[:1])
        desk.sender.launch.side_effect = desk.launch
        return replace(sent, ends=[*sent.ends, NodeUnavailable("gone")])

    desk.sender.launch.side_effect = launch
    desk.stand()
    assert [len(numbers) for numbers in desk.sent] == [MOST_MOVES, 1]


@pytest.mark.parametrize("error", [NodeRefused("no nonce"), FeeTooHigh("no nonce")])
def test_cycle__nothing_can_be_sent__says_so_and_tries_again(error: ChainError) -> None:
    desk = Desk()
    desk.ask(1, HERE)
    desk.sender.launch.side_effect = error
    desk.cycle()
    assert not desk.cycle(), "and looks again in a while"
    assert "not defended: no nonce" in desk.said[-1]
    desk.sender.launch.side_effect = desk.launch
    desk.stand()
    assert desk.sent == [[1]]


def test_glance__cheap_questions_without_end__a_computation_takes_at_most_twice_as_long() -> None:
    desk = Desk(block=2.0)
    desk.ask(1, HERE)
    desk.stand()
    glance = Glance(threading.Event(), desk.stand, lambda: desk.now)
    numbers = iter(range(1000, 9999))

    def computing() -> None:
        for _ in range(120):
            desk.now += 0.5
            desk.ask(next(numbers), HERE)
            glance(0, None)

    desk.meanwhile = [computing]
    desk.ask(2, HERE, step=1)
    began = desk.now
    desk.stand()
    assert 60 < desk.now - began <= 2 * 60 + 10
