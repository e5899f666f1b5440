"""How many false challengers one provider can answer in time, by the clocks of the game.

A provider computes one thing after another; the clocks of challenges run side by side. What counts
is the runs of the program that the real trace makes for its answers: each is charged the whole
time that the terms declare, the twin's clocks decide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from protocol.spec.assembler import Code
from protocol.spec.builder import Builder
from protocol.spec.dispute import Claim, Wait
from protocol.spec.examples import Example, elementwise, special_floats
from protocol.spec.game import Game
from protocol.spec.job import JobTerms
from protocol.spec.limits import DEVNET
from protocol.spec.trace import Place, Tree
from protocol.spec.types import Array, DType
from provider.defence import MOST_MOVES
from provider.engine.claims import Truth
from provider.engine.engine import Engine
from provider.engine.trace import EngineTrace
from tests.actors.case import Case, case_of
from tests.actors.table import Table
from tests.actors.walker import Walker
from tests.game.world import CLAIM, DEAL, PROVIDER, START

SHAPE = (64, 512)


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


def siege(count: int, work: int, move: int) -> Table:
    """A right claim whose challengers all ask, at once, for an operation each."""
    of = chain()
    deal = replace(DEAL, work_ms=1000 * work, move_seconds=move)
    game = Game(DEVNET.schedule)
    game.claims[CLAIM] = Claim(
        terms=JobTerms(of.task(b"G" * 20, bytes(32)), deal),
        program=of.example.program,
        provider=PROVIDER,
        result_root=of.truth.root(Tree.OUTPUTS),
        window_until=START + deal.window_seconds,
    )
    table = Table(game, CLAIM, START)
    for k in range(count):
        table.move("challenge", who=bytes([k + 1]) * 20)
    return table


@pytest.mark.parametrize(
    ("count", "work", "move"),
    [
        (1, 3600, 60),
        pytest.param(
            2, 3600, 60,
            marks=pytest.mark.xfail(
                strict=True,
                reason="a trace keeps one operation: challengers that alternate cost a run each",
            ),
        ),
    ],
)  # fmt: skip
def test_answers__of_long_work_to_several_challengers__are_in_time(
    monkeypatch: pytest.MonkeyPatch, count: int, work: int, move: int
) -> None:
    of, table = chain(), siege(count, work, move)
    e = of.example
    engine = Engine(e.program, e.constants, "auto", "cpu", threads=1)
    truth = Truth(engine, e.constants, e.inputs, seed=e.seed, steps=of.steps)
    runs = []
    replay = EngineTrace._replay

    def counted(self: EngineTrace, step: int, see: Callable[[int, Array], None]) -> None:
        runs.append(step)
        replay(self, step, see)

    monkeypatch.setattr(EngineTrace, "_replay", counted)
    walkers = {
        k + 1: Walker(of, bytes([k + 1]) * 20, Place(Tree.OPERATION_BLOCKS, 1, 3 * k + 1, 200))
        for k in range(count)
    }
    for _ in range(60):
        for number, walker in walkers.items():
            while table.challenge_of(number).wait is Wait.CHALLENGER:
                if not walker.move(table, number):
                    break
        seats = [n for n in walkers if table.challenge_of(n).wait is not Wait.CHALLENGER]
        if not seats:
            break
        opening, before = table.challenge_of(seats[0]).wait is Wait.OPENING, len(runs)
        seats = seats[:1] if opening else seats[:MOST_MOVES]
        moves = [(n, m) for n in seats for m in truth.answer(table.challenge_of(n))]
        table.wait_until(table.now + work * (int(opening) + len(runs) - before))
        for number, one in moves:
            table.make(number, one, PROVIDER)
    assert not [n for n in walkers if table.challenge_of(n).wait is not Wait.CHALLENGER]
    assert not table.claim.fallen
