"""The cost table bounds what proofs take: counted on random views, and on what travels beside."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from protocol.spec import costs, trees
from protocol.spec.constants import BLOCK_BYTES, WORD
from protocol.spec.encoding import encode_template
from protocol.spec.operations import Scalars
from protocol.spec.proofs import (
    ABI,
    BlockRun,
    ElementProof,
    Inner,
    Leaf,
    OperandPart,
    PhasePart,
    ProgramPart,
    ScalarsPart,
)
from protocol.spec.reads import element_reads, runs_of
from protocol.spec.types import (
    Array,
    Digit,
    DType,
    Fold,
    Guard,
    Instr,
    Kind,
    Slot,
    Template,
    View,
)
from tests.differential.cost_vectors import any_costly
from tests.differential.legality_vectors import widest_template

SUM = Instr(1, 0)  # LOAD of view 0


def folded(rng: Random) -> tuple[Template, int]:
    """A sum over one to three digits of a view that may be guarded, in an operand of some hundred
    blocks; and a value of ``live``."""
    r = tuple(rng.choice([1, 2, 3, 5, 8, 20]) for _ in range(rng.randrange(1, 4)))
    natural, digits = 1, []
    guards = rng.choice([0, 0, 1, 2])
    for n in reversed(r):
        stride = rng.choice([0, 1, natural, natural, -natural, natural + 1, 60, 128, 129, -257])
        weights = [rng.choice([0, 1, 1, -1, 2]) if g < guards else 0 for g in range(2)]
        digits.append(Digit(n, stride, *weights))
        natural *= n
    if rng.random() < 0.4:
        strides = [d.stride for d in digits]
        rng.shuffle(strides)
        digits = [replace(d, stride=s) for d, s in zip(digits, strides, strict=True)]
    rdigits = tuple(reversed(digits))
    low = sum(min(0, d.stride * (d.radix - 1)) for d in rdigits)
    high = sum(max(0, d.stride * (d.radix - 1)) for d in rdigits)
    shift = rng.randrange(300)
    view = View(
        0, shift - low, (Digit(4, rng.choice([0, 1, 77, 128])),), rdigits,
        tuple(
            Guard(rng.randrange(-5, 5), rng.choice([3, 6, 12, 100]), rng.choice([None, 1]))
            for _ in range(guards)
        ),
    )  # fmt: skip
    count = high - low + shift + 3 * 128 + 1 + rng.randrange(200)
    live_r = rng.choice([None, 1])
    t = Template(
        Kind.REDUCE, DType.I64, (4,), (Slot(DType.I32, count), Slot(DType.I64, 1)), (view,),
        (Instr(0x0D),), (SUM,), r, Fold.ISUM, live_r=live_r,
    )  # fmt: skip
    return t, rng.randrange(math.prod(r) + 2)


def proof_of(t: Template, live: int, i: int) -> tuple[int, int, int]:
    """Blocks, runs and siblings that prove what element i reads of operand 0."""
    operands: list[Array] = [
        np.zeros(t.slots[0].count, np.int32), np.array([live], np.int64)
    ]  # fmt: skip
    _, reads = element_reads(t, operands, Scalars(0, 0, 0), i)
    levels = trees.levels_of(trees.block_leaves(operands[0].tobytes()))
    runs = runs_of(reads[0])
    siblings = sum(len(trees.siblings_of(levels, first, n)) for first, n in runs)
    return len(reads[0]), len(runs), siblings


def test_cost__random_views__bounds_every_element_s_blocks_runs_and_siblings() -> None:
    rng = Random(23)
    tight = cut = 0
    for _ in range(1500):
        t, live = folded(rng)
        bound = costs._plain(t, 0, folding=True)
        depth = trees.depth_of(-(-t.slots[0].count * 4 // BLOCK_BYTES))
        # A load that yields its pad notes block 0 beside (see ``reads``).
        pads = bool(t.views[0].guards)
        for i in range(4):
            blocks, runs, siblings = proof_of(t, live, i)
            assert blocks <= bound.blocks + pads, (t, i)
            assert runs <= bound.runs + pads, (t, i)
            assert siblings <= bound.siblings + pads * depth, (t, i)
            tight += blocks == bound.blocks and runs == bound.runs > 1
        cut += bool(t.views[0].guards or t.live_r)
    assert tight >= 150
    assert cut >= 700


def still(rng: Random) -> tuple[View, int]:
    """A view of many windows: guards look at digits that move nothing; and its elements (i16)."""
    r = [rng.choice([1, 2, 3, 4, 6, 10, 24, 40]) for _ in range(rng.randrange(2, 4))]
    digits, natural = [], 1
    for n in reversed(r):
        stride = rng.choice([0, 0, 1, natural, -natural, 128, 256, 257, 512, -256, 256 * n])
        weights = (rng.choice([0, 1, 1, -1, 2, -2, n, -n, 3, -7]) for _ in range(2))
        digits.append(Digit(n, stride, *weights))
        natural *= n
    low = sum(min(0, d.stride * (d.radix - 1)) for d in digits)
    high = sum(max(0, d.stride * (d.radix - 1)) for d in digits)
    guards = (Guard(rng.randrange(-8, 9), rng.choice([1, 2, 3, 6, 12, 40])) for _ in range(2))
    offset = rng.randrange(1536) - low
    view = View(0, offset, (Digit(1, 0),), tuple(reversed(digits)), tuple(guards))
    return view, offset + high + rng.randrange(1, 5120)


def reads_of(v: View) -> list[int]:
    """Blocks that hold an element (i16) at which both guards hold, ascending."""
    at = np.indices([d.radix for d in v.rdigits]).reshape(len(v.rdigits), -1)
    strides, first, second = zip(*((d.stride, d.g0, d.g1) for d in v.rdigits), strict=True)
    inside = np.ones(at.shape[1], bool)
    for guard, weights in zip(v.guards, (first, second), strict=True):
        line = guard.offset + np.array(weights) @ at
        inside &= (line >= 0) & (line < guard.bound)
    return sorted({int(k) for k in (v.offset + np.array(strides) @ at)[inside] // 256})


def assert_windows_bounded(seed: int, count: int) -> None:
    """``count`` views of two or three digits, and that enough of them are cut in pieces."""
    rng, cut = Random(seed), 0
    for _ in range(count):
        v, elements = still(rng)
        t = Template(
            Kind.REDUCE, DType.I64, (1,), (Slot(DType.I16, elements),), (v,), (Instr(0x0D),),
            (SUM,), tuple(d.radix for d in v.rdigits), Fold.ISUM,
        )  # fmt: skip
        bound, reads = costs._plain(t, 0, folding=True), reads_of(v)
        runs = runs_of(reads)
        levels = trees.levels_of([bytes(WORD)] * -(-elements // 256))
        siblings = sum(len(trees.siblings_of(levels, first, n)) for first, n in runs)
        assert len(reads) <= bound.blocks, v
        assert len(runs) <= bound.runs, v
        assert siblings <= bound.siblings, v
        cut += len(runs) > 1
    assert cut >= count // 20


def test_cost__windows_through_digits_of_stride_0__bounds_every_run() -> None:
    assert_windows_bounded(31, 4000)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_cost__many_windows_through_digits_of_stride_0__bounds_every_run(seed: int) -> None:
    assert_windows_bounded(seed, 50_000)


def test_cost__loads_of_one_view_at_many_computed_indexes__count_each() -> None:
    """A hundred computed loads may hit a hundred blocks, though they name one view."""
    t = Template(
        Kind.MAP, DType.I32, (4,), (Slot(DType.I32, 1 << 30),), (View(0, 0, (Digit(4, 1),)),),
        (Instr(3), *(Instr(2, 0, 0) for _ in range(100))),
    )  # fmt: skip
    depth = 23
    assert costs.cost(t).bytes > 100 * (BLOCK_BYTES + depth * WORD)


def test_template_bytes__any_template__is_the_length_of_its_encoding() -> None:
    rng = Random(29)
    for t in [*(any_costly(rng) for _ in range(50)), widest_template(1, 2)]:
        assert costs.template_bytes(t) == len(encode_template(t))


def test_cost__what_travels_beside_the_blocks__is_within_its_share() -> None:
    """Every path at the depth of the largest program, 2^35 steps, the market's call around it."""
    from eth_abi import encode

    zero = bytes(WORD)

    def path(n: int) -> list[bytes]:
        return [zero] * n

    def size(operands: int, runs: int) -> int:
        leaf = Leaf(bytes(2 * WORD), path(20))
        proof = ElementProof(
            ProgramPart(bytes(2 * WORD), path(6)), PhasePart(bytes(WORD), zero, zero, path(20)),
            leaf, Leaf(b"", path(20)), Inner(zero, path(36)), path(operands),
            [OperandPart(bytes(2 * WORD), path(22))] * operands, [BlockRun(0, 0, b"", [])] * runs,
            ScalarsPart(0, 0, 0), 0, bytes(BLOCK_BYTES),
        )  # fmt: skip
        call = 4 + WORD * (2 + 9 + 14 + 4)  # selector, claim, number, terms, kind, offsets, length
        return call + len(encode([ABI[ElementProof]], [proof]))

    bare = size(0, 0)
    assert bare <= costs.TRANSACTION_BYTES
    assert size(1, 0) - bare <= costs.OPERAND_BYTES
    assert size(0, 1) - bare <= costs.RUN_BYTES
