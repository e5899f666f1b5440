"""Templates with what they cost at most, for the contract: written by ``solidity_vectors``."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from eth_abi import encode as abi_encode

from protocol.spec.costs import cost
from protocol.spec.encoding import encode_template
from protocol.spec.microcode import Op
from protocol.spec.types import Digit, DType, Fold, Guard, Instr, Kind, Slot, Template, View
from tests.differential.legality_vectors import widest_template
from tests.differential.program_vectors import any_instr

CALL = "(bytes,uint256,uint256)"
"""Template, gas, bytes."""


def any_extent(rng: Random, r: tuple[int, ...], inner: bool) -> tuple[Digit, ...]:
    """Digits of r: dense, strided, transposed, backwards, overlapping, still; guarded or not."""
    natural = 1
    out = []
    for n in reversed(r):
        stride = rng.choice([0, 1, natural, -natural, natural + 1, 127, 128, 129, 1024, 1 << 20])
        out.append(Digit(n, stride, rng.choice([0, 0, 1, -2]), rng.choice([0, 0, 1])))
        natural *= n
    if inner:
        out[0] = replace(out[0], stride=1)
    if rng.random() < 0.3:
        rng.shuffle(out)
        out = [replace(d, radix=n) for n, d in zip(reversed(r), out, strict=True)]
    return tuple(reversed(out))


def any_costly(rng: Random) -> Template:
    """A template of which only the cost means anything."""
    kind = rng.choice(list(Kind))
    r = tuple(rng.choice([1, 2, 3, 16, 64, 384, 4096]) for _ in range(rng.randrange(1, 4)))
    r = () if kind is Kind.MAP else r
    slots = tuple(
        Slot(rng.choice(list(DType)), rng.choice([1, 100, 1000, 1 << 20, (1 << 40) - 1]))
        for _ in range(rng.randrange(1, 13))
    )
    views = tuple(
        View(
            rng.randrange(len(slots)), 0, (Digit(8, 1),) * rng.randrange(9),
            any_extent(rng, r, kind is Kind.DOT) if r else (),
            tuple(
                Guard(0, 5, rng.choice([None, rng.randrange(len(slots))]))
                for _ in range(rng.choice([0, 0, 1, 2]))
            ),
        )
        for _ in range(rng.randrange(2, 17))
    )  # fmt: skip

    def code(count: int) -> tuple[Instr, ...]:
        out = [any_instr(rng) for _ in range(count)]
        for _ in range(rng.randrange(9)):
            out.append(Instr(rng.choice([Op.LOAD, Op.LOADX]), rng.randrange(len(views)), 0))
        rng.shuffle(out)
        loads = (Op.LOAD, Op.LOADX)
        return tuple(n for n in out if n.op not in loads or n.a < len(views))

    return Template(
        kind, rng.choice(list(DType)), (8,), slots, views, code(rng.randrange(1, 20)),
        code(rng.randrange(1, 20)) if kind is Kind.REDUCE else (), r,
        Fold.ISUM if kind is Kind.REDUCE else Fold.NONE,
        live_r=rng.choice([None, 0]), live_out=rng.choice([None, (0, 0)]),
    )  # fmt: skip


def cost_vectors(count: int = 100) -> dict[str, object]:
    """An array of encoded calls."""
    rng = Random(17)
    made = [any_costly(rng) for _ in range(count)] + [widest_template(1, 2)]
    calls = []
    for t in made:
        worst = cost(t)
        calls.append(abi_encode([CALL], [(encode_template(t), worst.gas, worst.bytes)]))
    return {"calls": ["0x" + call.hex() for call in calls]}
