"""Claims over the examples, in the twin alone."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from protocol.spec.assembler import Code
from protocol.spec.builder import Builder, affine
from protocol.spec.dispute import Claim
from protocol.spec.examples import (
    Example,
    counter,
    elementwise,
    folds,
    mlp,
    phases,
    special_floats,
)
from protocol.spec.game import Game
from protocol.spec.job import Deal, JobTerms
from protocol.spec.limits import DEVNET, GWEI
from protocol.spec.trace import AnyTrace, Tree
from protocol.spec.types import Digit, DType, Init, InitKind, Kind, Slot, Template, View
from tests.actors import programs
from tests.actors.case import AnyCase, Case, case_of
from tests.actors.table import Table

PROVIDER: Final = b"P" * 20
ALICE: Final = b"A" * 20
BOB: Final = b"B" * 20
CLAIM: Final = b"c" * 32
START: Final = 1_000_000
PRICE: Final = 100 * 10**18

DEAL: Final = Deal(
    client=b"C" * 20, nonce=1, capability=bytes(32), price_floor=PRICE, price_ceiling=PRICE,
    ramp_seconds=0, stake_bps=20_000, attempts=2, work_ms=10_500, gas_price=GWEI, open_seconds=100,
    run_seconds=200, window_seconds=300, move_seconds=60,
)  # fmt: skip
LOCK: Final = 2 * PRICE


def kept() -> Example:
    """Three steps that do nothing: a state that is an input and is kept."""
    b = Builder()
    b.input(DType.F32, (200,))
    b.output(b.state(DType.F32, (200,), Init(InitKind.INPUT, 0)))
    b.phase(max_steps=3)
    program, constants = b.build()
    return Example("kept", program, constants, [special_floats(200)], steps=(3,))


def alphabet() -> Example:
    """A thousand steps of the least that a machine can do: the next letter."""
    b = Builder()
    letter = b.state(DType.I64, (1,), Init(InitKind.FILL, 0))
    c = Code()
    view = affine(0, (1,), (0,))
    code = c.finish(c.load_i(0) + 1)
    following = Template(Kind.MAP, DType.I64, (1,), (Slot(DType.I64, 1),), (view,), code)
    b.set_next(letter, b.op(following, [letter]))
    b.output(letter)
    b.phase(max_steps=1000)
    program, constants = b.build()
    return Example("alphabet", program, constants, [], steps=(1000,))


def wide() -> Example:
    """One operation over many blocks: negate 128 KiB."""
    b = Builder()
    x = b.input(DType.F32, (64, 512))
    c = Code()
    code = c.finish(c.load_f(0) * -1.0)
    b.output(b.op(elementwise(code, DType.F32, (64, 512), [(DType.F32, (512, 1))]), [x]))
    program, constants = b.build()
    return Example("wide", program, constants, [special_floats(64 * 512).reshape(64, 512)])


def long_product() -> Example:
    """Products of 4096 terms: rows of constants, the longest that large models have."""
    b = Builder()
    rng = np.random.default_rng(4096)
    terms, rows = 4096, 4
    bounds = (32639, 8127)
    operands = [
        b.constant(rng.integers(-m, m, (rows, terms), np.int16, endpoint=True), bound=m)
        for m in bounds
    ]
    c = Code()
    inner = (Digit(terms, 1),)
    views = (
        View(0, 0, (Digit(rows, terms), Digit(rows, 0)), inner),
        View(1, 0, (Digit(rows, 0), Digit(rows, terms)), inner),
    )
    slots = (Slot(DType.I16, rows * terms),) * 2
    dot = Template(
        Kind.DOT, DType.I64, (rows, rows), slots, views, c.finish(c.acc_i()), (), (terms,),
        bound_a=bounds[0], bound_b=bounds[1],
    )  # fmt: skip
    b.output(b.op(dot, operands))
    program, constants = b.build()
    return Example("long_product", program, constants, [])


@cache
def case(name: str) -> Case:
    """An example as a job."""
    makers = {
        "mlp": mlp, "counter": counter, "phases": phases, "folds": folds, "kept": kept,
        "alphabet": alphabet, "wide": wide, "long_product": long_product,
        "layered": programs.layered, "many outputs": programs.many_outputs,
        "extremes": programs.extremes,
    }  # fmt: skip
    return case_of(makers[name]())


def claim_of(of: AnyCase, claimed: AnyTrace) -> Claim:
    """The claim of a provider that holds ``claimed``."""
    return Claim(
        terms=JobTerms(of.task(b"G" * 20, bytes(32)), DEAL),
        program=of.example.program,
        provider=PROVIDER,
        result_root=claimed.root(Tree.OUTPUTS),
        window_until=START + DEAL.window_seconds,
    )


def table_of(of: AnyCase, claimed: AnyTrace) -> Table:
    """A table with one claim, committed just now."""
    game = Game(DEVNET.schedule)
    game.claims[CLAIM] = claim_of(of, claimed)
    return Table(game, CLAIM, START)
