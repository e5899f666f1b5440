"""One honest challenger against every liar: it wins, and by the proof that it should need."""

from __future__ import annotations

import pytest

from protocol.spec.job import Fault
from protocol.spec.trace import Place, Tree, first_difference
from tests.actors import liars
from tests.actors.challenger import Challenger, play
from tests.actors.liars import Lie
from tests.actors.provider import Provider, Silent, Stubborn
from tests.actors.table import NOBODY
from tests.game.world import ALICE, CLAIM, LOCK, PROVIDER, case, table_of

LIES: dict[str, tuple[str, Lie, Fault]] = {
    "a bit of the maximum": ("mlp", liars.one_bit_in(0, 0), Fault.WRONG),
    "a bit of the quantised rows": ("mlp", liars.one_bit_in(0, 1, 300), Fault.WRONG),
    "a bit of the product": ("mlp", liars.one_bit_in(0, 2, 58), Fault.WRONG),
    "a bit of a fold of integers": ("folds", liars.one_bit_in(0, 5, 9), Fault.WRONG),
    "a bit of a later step": ("counter", liars.one_bit_in(3, 3), Fault.WRONG),
    "a bit of the index of a slice": ("counter", liars.one_bit_in(2, 2), Fault.WRONG),
    "a bit in the second phase": ("phases", liars.one_bit_in(4, 0, 5), Fault.WRONG),
    "a slice at the written column": ("counter", liars.wrong_state(2, 2, 8), Fault.WRONG),
    "a slice at another column": ("counter", liars.wrong_state(2, 2, 3), Fault.WRONG),
    "a state that is no result": ("counter", liars.wrong_state(3, 0), Fault.WRONG),
    "a filled start": ("counter", liars.wrong_state(0, 2, 77), Fault.WRONG),
    "a start that is an input": ("phases", liars.wrong_state(0, 0, 2), Fault.WRONG),
    "a state that is kept": ("kept", liars.wrong_state(2, 0, 600), Fault.WRONG),
    "a start of two blocks": ("kept", liars.wrong_state(0, 0, 600), Fault.WRONG),
    "an operation where there is none": ("kept", liars.one_operation_more(1), Fault.SILENT),
    "one of many blocks": ("wide", liars.one_bit_in(0, 0, 70_000), Fault.WRONG),
    "a letter": ("alphabet", liars.one_bit_in(777, 0), Fault.WRONG),
    "an early halt": ("counter", liars.halts_early(2), Fault.WRONG),
    "a step after the halt": ("counter", liars.runs_on(6), Fault.WRONG),
    "a change in a halted step": ("counter", liars.changes_in_the_halt(7), Fault.WRONG),
    "a wrong output": ("counter", liars.wrong_output(1), Fault.WRONG),
    "the only output": ("mlp", liars.wrong_output(0), Fault.WRONG),
}


@pytest.mark.parametrize("name", LIES)
def test_play__liar__loses_to_one_honest_challenger(name: str) -> None:
    program, lie, fault = LIES[name]
    of = case(program)
    claimed = lie(of)
    table = table_of(of, claimed)
    number = table.move("challenge", who=ALICE)
    play(table, number, Challenger(of, ALICE), Stubborn(claimed, PROVIDER))
    assert table.claim.fault is fault
    assert table.moves <= 24
    callers = [NOBODY] if fault is Fault.SILENT else []
    assert [line.to for line in table.claim.payouts] == [ALICE, *callers]
    assert table.claim.payouts[0].token == LOCK // 3


@pytest.mark.parametrize("answers", range(3))
def test_play__silence_at_each_move__loses_by_the_clock(answers: int) -> None:
    of = case("counter")
    claimed = liars.one_bit_in(3, 3)(of)
    table = table_of(of, claimed)
    number = table.move("challenge", who=ALICE)
    play(table, number, Challenger(of, ALICE), Silent(claimed, PROVIDER, answers))
    assert table.claim.fault is Fault.SILENT
    token, native = table.game.bond_of(CLAIM, table.claim.terms.deal)
    assert token == 0 or answers == 0
    table.game.collect(CLAIM, number)
    got = table.game.credits[ALICE]
    assert got == (500 * 10**18, native - answers * 120_000 * 10**9)


def test_first_difference__every_liar__is_where_the_walk_ends() -> None:
    of = case("counter")
    assert first_difference(of.truth, of.truth) is None
    got = first_difference(of.truth, liars.wrong_output(1)(of))
    assert got == Place(Tree.OUTPUTS, 0, 0, 1)
    got = first_difference(of.truth, liars.one_bit_in(3, 3)(of))
    assert got == Place(Tree.OPERATION_BLOCKS, 4, 3, 0)
    got = first_difference(of.truth, liars.wrong_state(0, 2)(of))
    assert got == Place(Tree.STATE_BLOCKS, 0, 2, 0)
    got = first_difference(of.truth, liars.halts_early(2)(of))
    assert got == Place(Tree.STEPS, 3, 0, 3)


def test_provider__honest__knows_every_node() -> None:
    of = case("mlp")
    table = table_of(of, of.truth)
    number = table.move("challenge", who=ALICE)
    assert Provider(of.truth, PROVIDER).answer(table, number)
    assert table.claim.steps_root == of.truth.root(Tree.STEPS)
