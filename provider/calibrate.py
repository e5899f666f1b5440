"""Measures how fast this machine runs programs, with a small program of known work."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from protocol.hashing import block_root
from protocol.spec.assembler import Code
from protocol.spec.builder import Builder, affine
from protocol.spec.types import Array, DType, Kind, Program, Slot, Template
from protocol.spec.workload import Rate, work_of
from provider.engine import Engine
from provider.engine.engine import choose_threads

ROWS, WIDTH, OUT = 256, 512, 512
REPEATS = 3
CHAIN = 24
"""Instructions of the elementwise program: a chain as long as an activation function."""
CALLS = 200
"""Operations of one element each: what a call costs beside its work."""
HASHED = 32 << 20
"""Bytes that are hashed."""


def _product() -> tuple[Program, list[Array]]:
    b = Builder()
    rng = np.random.default_rng(0)
    x = b.constant(rng.integers(-32639, 32640, (ROWS, WIDTH)).astype(np.int16), 32639)
    w = b.constant(rng.integers(-8127, 8128, (OUT, WIDTH)).astype(np.int16), 8127)
    c = Code()
    shape = (ROWS, OUT)
    dot = Template(
        kind=Kind.DOT,
        dtype=DType.F32,
        shape=shape,
        slots=(Slot(DType.I16, ROWS * WIDTH), Slot(DType.I16, OUT * WIDTH)),
        views=(
            affine(0, shape, (WIDTH, 0), r=(WIDTH,), r_strides=(1,)),
            affine(1, shape, (0, WIDTH), r=(WIDTH,), r_strides=(1,)),
        ),
        post=c.finish(c.acc_i().to_f32() * 1e-9),
        r=(WIDTH,),
        bound_a=32639,
        bound_b=8127,
    )
    b.output(b.op(dot, [x, w]))
    return b.build()


def _elementwise() -> tuple[Program, list[Array]]:
    b = Builder()
    n = ROWS * WIDTH
    x = b.constant(np.random.default_rng(1).normal(size=(ROWS, WIDTH)).astype(np.float32))
    c = Code()
    loaded = y = c.load_f(0)
    for k in range(CHAIN // 2):
        y = y * loaded + (1.0 + k / CHAIN)
    view = affine(0, (n,), (1,))
    slots = (Slot(DType.F32, n),)
    template = Template(Kind.MAP, DType.F32, (ROWS, WIDTH), slots, (view,), c.finish(y))
    b.output(b.op(template, [x]))
    return b.build()


def _calls() -> tuple[Program, list[Array]]:
    b = Builder()
    last = b.constant(np.ones(1, np.float32))
    c = Code()
    view = affine(0, (1,), (1,))
    slots = (Slot(DType.F32, 1),)
    template = Template(Kind.MAP, DType.F32, (1,), slots, (view,), c.finish(c.load_f(0) * 0.5))
    for _ in range(CALLS):
        last = b.op(template, [last])
    b.output(last)
    return b.build()


def _seconds(program: Program, constants: Sequence[Array], threads: int | None) -> float:
    """The shortest of a few runs, after one that warms up."""
    engine = Engine(program, constants, threads=threads)
    engine.run([])
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        engine.run([])
        best = min(best, time.perf_counter() - start)
    engine.release()
    return best


def _hashing(threads: int) -> float:
    """Bytes a second that are hashed."""
    data = np.random.default_rng(2).integers(0, 256, HASHED, np.uint8)
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        block_root(data, threads)
        best = min(best, time.perf_counter() - start)
    return HASHED / best


def measure(threads: int | None = None) -> Rate:
    """Multiply-adds, instructions, calls and hashed bytes a second of this machine's engine."""
    dot, weights = _product()
    chain, values = _elementwise()
    calls, one = _calls()
    return Rate(
        products=work_of(dot).products / _seconds(dot, weights, threads),
        instructions=work_of(chain).instructions / _seconds(chain, values, threads),
        operations=work_of(calls).operations / _seconds(calls, one, threads),
        traced=_hashing(choose_threads(threads)),
    )
