"""Elements of random operations over adversarial values: the contract's library gives the bits of
the specification, for every kind, fold and dtype."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import pytest
from eth_abi import decode, encode

from protocol.spec import trees
from protocol.spec.encoding import encode_template
from protocol.spec.microcode import Op
from protocol.spec.operations import Scalars, element
from protocol.spec.types import Array, Fold, Instr, Kind, Slot, Template
from scripts import tools
from tests.differential.code_calls import Caller, built, caller
from tests.differential.element_vectors import (
    RUN,
    Runs,
    block_runs,
    random_dot,
    random_map,
    random_reduce,
    random_tensor,
)
from tests.differential.values import Random, random_integer

pytestmark = pytest.mark.chain

TYPES: Final = ["bytes", "bytes32[]", f"{RUN}[]", "(int64,int64,int64)", "uint256"]
ELEMENT: Final = trees.keccak256(f"element({','.join(TYPES)})".encode())[:4]
GAS: Final = 10**9
WIDTHS: Final = ("I16", "I8")
FOLDS: Final = [f for f in Fold if f is not Fold.NONE]


@pytest.fixture(scope="module")
def node() -> Iterator[Caller]:
    with caller() as node:
        yield node


@pytest.fixture(scope="module")
def harness(node: Caller) -> str:
    return node.lay(built(tools.ROOT, "tests/forge/ProgramHarness")["ProgramHarness"])


def extreme_tensor(rng: Random, slot: Slot) -> Array:
    """Any values; or the same extreme everywhere; or both extremes by turns."""
    dtype = slot.dtype
    if rng.random() < 0.6:
        return random_tensor(rng, dtype, slot.count)
    if dtype.is_float:
        ends = [0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0x80000000, 0x00000001, 0xFFC00001, 0xFF800000]
        bits = np.array(rng.choices(ends, k=2), np.uint32)
        return np.resize(bits, slot.count).view(np.float32)
    pair = rng.choice([(dtype.min,) * 2, (dtype.max,) * 2, (dtype.min, dtype.max), (-1, -1)])
    return np.resize(np.array(pair, dtype.numpy), slot.count)


def template(rng: Random, k: int) -> Template:
    """Kinds and folds in turn; half of the codes have computed loads."""
    computed = rng.choice([0, 3])
    if k % 3 == 0:
        return random_map(rng, computed)
    if k % 3 == 1:
        return random_dot(rng)
    t = random_reduce(rng, FOLDS[k // 3 % len(FOLDS)], computed)
    if t.fold is Fold.FSUM and t.dtype.is_float:
        # A sum of zeros alone shows their sign.
        return replace(t, pre=(Instr(Op.CONSTF, imm=0x80000000),), post=(Instr(Op.ACC),))
    return t


def calls(seed: int, count: int) -> Iterator[tuple[Template, int, int, bytes, int]]:
    """Template, live bound, element, call, and the bits that the specification gives; three
    elements of each operation."""
    rng = Random(seed)
    for k in range(count):
        t = template(rng, k)
        terms = math.prod(t.r) if t.r else 3
        live = rng.choice([-(1 << 63), -1, 0, 1, 2, terms - 1, terms, terms + 1, (1 << 63) - 1])
        operands = [extreme_tensor(rng, slot) for slot in t.slots[:-1]]
        operands.append(np.array([live], np.int64))
        raw = [np.ascontiguousarray(x).tobytes() for x in operands]
        roots = [trees.block_root(data) for data in raw]
        s = Scalars(rng.randrange(9), rng.randrange(9), random_integer(rng))
        for i in {0, t.count - 1, rng.randrange(t.count)}:
            runs: Runs = [
                run for slot, data in enumerate(raw) for run in block_runs(rng, slot, data)
            ]
            triple = (s.step, s.phase_step, s.seed)
            call = ELEMENT + encode(TYPES, [encode_template(t), roots, runs, triple, i])
            yield t, live, i, call, int.from_bytes(element(t, operands, s, i).tobytes(), "little")


def compare(node: Caller, harness: str, seed: int, count: int) -> Counter[str]:
    """Number of elements by what they are; all are equal."""
    seen: Counter[str] = Counter()
    for t, live, i, data, want in calls(seed, count):
        answer = node.call(harness, data, GAS)
        assert answer.ok, (t, live, i, answer)
        got, _ = decode(["uint256", "uint256"], answer.data)
        assert got == want, f"element {i} of {t}, live {live}: {got:x} is not {want:x}"
        seen[t.kind.name] += 1
        if t.kind is Kind.REDUCE:
            seen[t.fold.name] += 1
            seen[f"{t.fold.name} of nothing"] += t.live_r is not None and live <= 0
        if t.kind is Kind.DOT:
            lanes = [t.slots[v.slot].dtype.name for v in t.views]
            seen[f"DOT of {' and '.join(lanes)}, {len(t.r)} digits"] += 1
            seen["DOT with guards"] += any(v.guards for v in t.views)
            seen["DOT of nothing"] += t.live_r is not None and live <= 0
        seen["computed loads"] += any(ins.op == Op.LOADX for ins in (*t.pre, *t.post))
        seen["dead"] += t.live_out is not None
    return seen


def test_element__random_operations_on_extremes__gives_the_bits_of_the_spec(
    node: Caller, harness: str
) -> None:
    seen = compare(node, harness, 1, 600)
    dots = [f"DOT of {a} and {b}, {n} digits" for a in WIDTHS for b in WIDTHS for n in (1, 2, 3)]
    nothing = [f"{fold.name} of nothing" for fold in FOLDS]
    for what in (*dots, *nothing, "DOT of nothing", "DOT with guards", "computed loads", "dead"):
        assert seen[what] >= 3, (what, seen)


@pytest.mark.long
def test_element__many_random_operations_on_extremes__gives_the_bits_of_the_spec(
    node: Caller, harness: str
) -> None:
    assert compare(node, harness, 2, 12_000)["REDUCE"] > 5000
