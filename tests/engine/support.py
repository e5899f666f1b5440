"""Runs a program with the engine and with the interpreter and compares every operation's tensor."""

from __future__ import annotations

from collections.abc import Sequence

from protocol.spec import interpreter
from protocol.spec.types import Array, Program
from provider.engine import Engine

Seen = list[tuple[int, int, int, Array]]


def same(a: Array, b: Array) -> bool:
    """Equal dtype, shape and bytes."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def compare(
    program: Program,
    constants: Sequence[Array],
    inputs: Sequence[Array],
    *,
    seed: int = 0,
    steps: Sequence[int] | None = None,
    threads: int = 1,
    engine: Engine | None = None,
) -> Engine:
    """Run both; AssertionError names the first operation whose bytes differ."""
    wanted: Seen = []
    outputs = interpreter.run(
        program, constants, inputs, seed=seed, steps=steps,
        observe=lambda *seen: wanted.append(seen),
    )  # fmt: skip
    got: Seen = []
    engine = engine or Engine(program, constants, threads=threads)
    mine = engine.run(inputs, seed=seed, steps=steps, observe=lambda *seen: got.append(seen))
    assert [x[:3] for x in got] == [x[:3] for x in wanted]
    for (phase, step, op, want), (*_, have) in zip(wanted, got, strict=True):
        if not same(want, have):
            number = program.phases[phase].instances[op].template
            template = program.templates[number]
            raise AssertionError(
                f"operation {op} (step {step}, phase {phase}) differs: {template}"
            )
    assert len(mine) == len(outputs)
    assert all(same(a, b) for a, b in zip(mine, outputs, strict=True))
    engine.release()
    return engine
