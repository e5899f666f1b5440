"""Proofs about random legal programs: referees and twin find nothing wrong in what is true, and
what is changed in one place wrong."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from random import Random
from typing import Final

import numpy as np
import pytest

from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.examples import Example
from protocol.spec.proofs import ElementProof, SliceProof
from protocol.spec.referee import Proof
from protocol.spec.trace import Tree
from protocol.spec.types import DType, Fold, Kind
from scripts import tools
from tests.actors.case import case_of
from tests.builders import random_program
from tests.differential.code_calls import Caller, built, caller
from tests.game.judged import Judged, lie, template_of, truths_of

pytestmark = pytest.mark.chain

GAS: Final = 10_000_000
REFEREES: Final = ("TensorReferee", "TraceReferee")

Node = tuple[Caller, dict[str, str]]


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    codes = built(tools.ROOT, *REFEREES)
    with caller() as node:
        yield node, {name: node.lay(code) for name, code in codes.items()}


def calls(seed: int, most: int) -> Iterator[Judged]:
    """True proofs about one random program, elements at corners and at random, at most so many of
    each kind of proof; what is decided also as a lie."""
    drawn = random_program(np.random.default_rng(seed))
    name, steps = f"random {seed}", (1 + seed % 2,)
    of = case_of(
        Example(name, drawn.program, drawn.constants, drawn.inputs, seed=drawn.seed, steps=steps)
    )
    rng = Random(seed)
    found: dict[tuple[Proof | Tree, bool], list[Judged]] = {}
    for x in truths_of(of, rng, 2, corners=True):
        # Results of more than one block are rare: their elements are a kind of their own.
        beyond = x.what is Proof.ELEMENT and x.context.index > 0
        found.setdefault((x.what, beyond), []).append(x)
    for same in found.values():
        for x in rng.sample(same, min(most, len(same))):
            yield x
            if x.verdict is False:
                yield lie(x, rng)


def features(x: Judged) -> Iterator[str]:
    """What a proof is about."""
    yield f"{x.what.name} {x.verdict if isinstance(x.what, Proof) else ''}"
    if x.what is Proof.ELEMENT:
        assert isinstance(x.proof, ElementProof)
        t, e = template_of(x), x.proof.element
        yield f"{t.kind.name} {t.dtype.name}"
        yield t.fold.name
        yield f"{len(t.r)} digits of r"
        yield from (["last element"] if e == t.count - 1 else [])
        yield from (["another block"] if x.context.index else [])
        yield from (["live r"] if t.live_r is not None else [])
        yield from (["live out"] if t.live_out is not None else [])
        yield from (["guards"] if any(v.guards for v in t.views) else [])
    if x.what is Proof.SLICE:
        c = x.context
        tensor = c.program.states[c.item].tensor
        item = c.program.phases[0].nexts[c.item]
        assert isinstance(x.proof, SliceProof)
        e, position = x.proof.element, x.proof.index_block.blocks[:8]
        inner = math.prod(tensor.shape[item.axis + 1 :])
        written = int.from_bytes(position, "little", signed=True)
        yield f"slice of {tensor.dtype.name}"
        yield f"slice along {item.axis}"
        yield "slice written" if e // inner % tensor.shape[item.axis] == written else "slice kept"
        yield from (["slice outside"] if not 0 <= written < tensor.shape[item.axis] else [])
        yield from (["slice of blocks"] if tensor.nbytes > BLOCK_BYTES else [])


def compare(node: Node, seeds: Iterable[int], most: int) -> Counter[str]:
    """Asks for every call; how often what was asked."""
    chain, at = node
    seen: Counter[str] = Counter()
    for seed in seeds:
        for x in calls(seed, most):
            assert x.again() == x.verdict, x.name
            answer = chain.call(at[x.contract], x.calldata(), GAS)
            assert answer.ok, (x.name, answer)
            assert x.result(answer.data) == x.verdict, x.name
            seen.update(features(x))
    return seen


def check(seen: Counter[str], least: int) -> None:
    """Every kind of proof, with each verdict, of every kind of thing."""
    wanted = [f"{kind.name} {verdict}" for kind in Proof for verdict in (True, False)]
    wanted += [f"{kind.name} {dtype.name}" for kind in Kind for dtype in DType]
    wanted += [fold.name for fold in Fold] + [f"{n} digits of r" for n in range(4)]
    wanted += ["last element", "another block", "live r", "live out", "guards"]
    wanted += [f"slice of {dtype.name}" for dtype in DType]
    wanted += [f"slice along {axis}" for axis in range(3)]
    wanted += ["slice written", "slice kept", "slice outside", "slice of blocks"]
    few = {what: seen[what] for what in wanted if seen[what] < least}
    assert not few, (few, dict(seen))


def test_referees__random_legal_programs__true_is_true_and_changed_is_wrong(node: Node) -> None:
    check(compare(node, range(36), 8), 4)


@pytest.mark.long
def test_referees__many_random_legal_programs__true_is_true_and_changed_is_wrong(
    node: Node,
) -> None:
    check(compare(node, range(1000, 1200), 10**6), 100)
