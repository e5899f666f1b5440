"""How many false challengers one provider can answer in time, by the clocks of the game.

A provider computes one thing after another; the clocks of challenges run side by side.  What counts
is the steps of the program that the real trace runs for its answers: each is charged its share of
the time that the terms declare for a run, the twin's clocks decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any
from unittest.mock import Mock

import pytest

from protocol.spec.assembler import Code
from protocol.spec.builder import Builder
from protocol.spec.dispute import Claim, Wait
from protocol.spec.examples import Example, elementwise, special_floats
from protocol.spec.game import Game
from protocol.spec.job import JobTerms
from protocol.spec.limits import DEVNET
from protocol.spec.strategy import OpenStep
from protocol.spec.trace import Place, Tree
from protocol.spec.types import Array, DType, Init, InitKind, Ref
from provider.engine.claims import Truth, Truths
from provider.engine.engine import Engine, Start
from tests.actors.case import Case, case_of
from tests.actors.table import Table
from tests.actors.walker import Walker
from tests.game.world import CLAIM, DEAL, PROVIDER, START

SHAPE = (64, 512)
OPERATIONS, STEPS = 26, 1000


def negated(b: Builder, x: Ref, shape: tuple[int, int]) -> Ref:
    """One operation."""
    c = Code()
    code = c.finish(c.load_f(0) * -1.0)
    return b.op(elementwise(code, DType.F32, shape, [(DType.F32, (shape[1], 1))]), [x])


@cache
def chain() -> Case:
    """26 operations, each of the one before it: 128 KiB, three reveals each."""
    b = Builder()
    x = b.input(DType.F32, SHAPE)
    for _ in range(26):
        c = Code()
        code = c.finish(c.load_f(0) * -1.0)
        x = b.op(elementwise(code, DType.F32, SHAPE, [(DType.F32, (512, 1))]), [x])
    b.output(x)
    program, constants = b.build()
    inputs = [special_floats(64 * 512).reshape(SHAPE)]
    return case_of(Example("chain", program, constants, inputs))


@cache
def march() -> Case:
    """1000 steps of three operations."""
    b, shape = Builder(), (4, 64)
    state = x = b.state(DType.F32, shape, Init(InitKind.FILL, 0x3F800000))
    for _ in range(3):
        x = negated(b, x, shape)
    b.set_next(state, x)
    b.output(state)
    b.phase(max_steps=STEPS)
    program, constants = b.build()
    return case_of(Example("march", program, constants, [], steps=(STEPS,)))


def siege(of: Case, count: int, work: int, move: int) -> Table:
    """A right claim whose challengers all ask, at once."""
    deal = replace(DEAL, work_ms=1000 * work, move_seconds=move)
    game = Game(DEVNET.schedule)
    game.claims[CLAIM] = Claim(
        terms=JobTerms(of.task(b"G" * 20, bytes(32)), deal),
        program=of.example.program,
        provider=PROVIDER,
        result_root=of.truth.root(Tree.OUTPUTS),
        window_until=START + deal.window_seconds,
        leaves=sum(of.steps) + 1,
    )
    table = Table(game, CLAIM, START)
    for number in range(1, count + 1):
        table.move("challenge", who=address(number))
    return table


def address(number: int) -> bytes:
    return number.to_bytes(20, "big")


def place(of: Case, number: int) -> Place:
    """Where a challenger goes: all elsewhere, one after another far apart."""
    steps, operations = sum(of.steps), len(of.example.program.phases[0].instances)
    step, item = 1 + 389 * number % steps, 7 * number % operations
    if number % 5 == 0 and steps > 1:
        return Place(Tree.STATE_BLOCKS, step, 0, 1)
    return Place(Tree.OPERATION_BLOCKS, step, item, 1)


@pytest.mark.parametrize(
    ("case", "count", "work", "move"),
    [
        (chain, 1, 3600, 60), (chain, 2, 3600, 60), (chain, 8, 60, 10), (chain, 40, 3600, 60),
        (march, 2, 3600, 60), (march, 20, 60, 10), (march, 110, 3600, 60),
        pytest.param(chain, 110, 3600, 60, marks=pytest.mark.long),
    ],
)  # fmt: skip
def test_answers__of_long_work_to_many_challengers__are_in_time(
    case: Callable[[], Case], count: int, work: int, move: int
) -> None:
    of = case()
    e, table = of.example, siege(of, count, work, move)
    engine = Engine(e.program, e.constants, "auto", "cpu", threads=1)
    ran = 0

    def counted(*arguments: Any, start: Start | None = None, **more: Any) -> Iterator[list[Array]]:
        nonlocal ran
        for number, states in enumerate(states_of(*arguments, start=start, **more)):
            ran += number > 0
            yield states

    states_of, steps = engine.states, sum(of.steps)
    engine.states = counted  # type: ignore[method-assign]
    truth = Truth(engine, e.constants, e.inputs, seed=e.seed, steps=of.steps)
    walkers = {n: Walker(of, address(n), place(of, n)) for n in range(1, count + 1)}
    table.wait_until(table.now + work)
    for one in truth.answer(table.challenge_of(1)):
        table.make(1, one, PROVIDER)
    asking = [w for n, w in walkers.items() if n % 2]
    for _ in range(60):
        waiting = {n: table.challenge_of(n) for n in walkers if not asks(table, n)}
        # While these are computed the others ask: they wait for two computations.
        before = table.moves
        for number, walker in walkers.items():
            while number not in waiting and walker in asking and asks(table, number):
                if not walker.move(table, number):
                    break
        if table.moves == before and not waiting:
            break
        asking, ran = list(walkers.values()), 0
        truth.prepare(list(waiting.values()))
        assert ran <= steps
        computed, found = ran, [truth.answer(x) for x in waiting.values()]
        assert ran == computed
        table.wait_until(table.now + work * ran // steps)
        for number, moves in zip(waiting, found, strict=True):
            for one in moves:
                if not (isinstance(one, OpenStep) and one.step in table.claim.steps):
                    table.make(number, one, PROVIDER)
    assert not table.claim.fallen
    for number, walker in walkers.items():
        x = table.challenge_of(number)
        assert (x.tree, x.level, x.wait) == (walker.place.tree, 0, Wait.CHALLENGER)
        assert x.known
        assert truth.ready(x)


def asks(table: Table, number: int) -> bool:
    """Whether it is the challenger's turn."""
    return table.challenge_of(number).wait is Wait.CHALLENGER


def test_truths__of_many_disputed_claims__all_stay() -> None:
    build = Mock()
    truths, claims = Truths(), [bytes([k]) * 32 for k in range(200)]
    for _ in range(2):
        for claim in claims:
            truths.of(claim, build)
    assert build.call_count == 200
    truths.keep_only(claims[:3])
    assert [truths.has(claim) for claim in claims[:5]] == [True] * 3 + [False] * 2
