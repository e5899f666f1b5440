"""A dispute at the size of a real model: MiniLM, both sides' traces computed by the engine."""

from __future__ import annotations

import time

import pytest

from protocol.spec.dispute import Wait
from protocol.spec.job import Fault
from protocol.spec.trace import Tree
from scripts.cheat import middle_of_layer
from tests.actors.challenger import Challenger
from tests.actors.compiled import CompiledCase, at, minilm_case, one_bit
from tests.actors.provider import Provider
from tests.game.world import ALICE, PROVIDER, table_of

SENTENCES = 8
TOP = 30
"""The highest bit of an exponent: quantisation hides no such change."""


@pytest.fixture(scope="module")
def of() -> CompiledCase:
    return minilm_case(SENTENCES)


def test_play__one_bit_in_the_middle_of_layer_3__is_proven_and_no_move_takes_long(
    of: CompiledCase,
) -> None:
    operation, element = middle_of_layer(of.example.program, 3)
    claimed = of.lie(at(operation, one_bit(element, TOP)))
    assert claimed.root(Tree.OUTPUTS) != of.truth.root(Tree.OUTPUTS)
    table = table_of(of, claimed)
    number = table.move("challenge", who=ALICE)
    challenger, provider = Challenger(of, ALICE), Provider(claimed, PROVIDER)
    slowest = 0.0
    while not table.claim.fallen:
        began = time.perf_counter()
        if table.challenge_of(number).wait is Wait.CHALLENGER:
            challenger.move(table, number)
        else:
            assert provider.answer(table, number)
        slowest = max(slowest, time.perf_counter() - began)
    assert table.claim.fault is Fault.WRONG
    assert table.moves <= 22
    assert slowest <= 5.0


def test_lie__lost_in_quantisation__is_none_about_the_result(of: CompiledCase) -> None:
    operation, element = middle_of_layer(of.example.program, 3)
    claimed = of.lie(at(operation, one_bit(element, 0)))
    assert claimed.root(Tree.OPERATIONS, 1) != of.truth.root(Tree.OPERATIONS, 1)
    assert claimed.root(Tree.STEPS) == of.truth.root(Tree.STEPS)
