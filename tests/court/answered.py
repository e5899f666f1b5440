"""Calls of the data referee: answers at every place of small jobs, and at places without any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Final

from eth_abi import decode, encode

from protocol.spec import trees
from protocol.spec.answers import RUN_BLOCKS, Answer, Part, Place, TensorAnswer, shown
from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.errors import ProofError
from protocol.spec.trace import Tree
from tests.contracts.market import task_tuple
from tests.court.onchain import answerer_of
from tests.game import malformed
from tests.game.judged import CONTEXT
from tests.game.onchain import encoded
from tests.game.world import case

SHOWN: Final = trees.keccak256(f"shown({CONTEXT},uint8,bytes)".encode())[:4]


@dataclass(frozen=True)
class Answered:
    """One call, with the answer of a provider or another."""

    job: str
    name: str
    where: Place
    answer: Answer

    def calldata(self, data: bytes | None = None) -> bytes:
        """The call, with the answer's own bytes or with others."""
        w, zero = self.where, bytes(32)
        context = (task_tuple(w.task), zero, zero, 0, 0, w.item, w.index, w.result_root)
        given = encoded(self.answer) if data is None else data
        return SHOWN + encode([CONTEXT, "uint8", "bytes"], [context, int(w.part), given])

    def result(self, data: bytes) -> int:
        """What a call returned."""
        return int(decode(["uint256"], data)[0])

    def wanted(self) -> int | None:
        """What the twin says; None where it refuses."""
        try:
            return shown(self.where, self.answer)
        except ProofError:
            return None


@cache
def answers() -> list[Answered]:
    """Of every part: the first place, the last, one of the middle, and one beyond the last."""
    return [x for name in ("mlp", "counter", "phases", "wide") for x in _answers(name)]


def _answers(name: str) -> Iterator[Answered]:
    of = case(name)
    program, task = of.example.program, of.task(bytes(20), bytes(32))
    root, answerer, phase = of.truth.root(Tree.OUTPUTS), answerer_of(of), program.phases[0]
    counts = {
        Part.CONSTANT: len(program.constants), Part.INPUT: len(program.inputs),
        Part.OUTPUT: len(program.outputs), Part.HEADER: 1,
        Part.CONSTANT_DECL: len(program.constants), Part.INPUT_DECL: len(program.inputs),
        Part.STATE_DECL: len(program.states), Part.OUTPUT_DECL: len(program.outputs),
        Part.TEMPLATE: len(program.templates), Part.PHASE: len(program.phases),
    }  # fmt: skip
    places = [
        (part, item, 0)
        for part, count in counts.items()
        for item in sorted({0, count // 2, max(count - 1, 0), count})
        if part is not Part.HEADER or item == 0
    ]
    for part, count in ((Part.INSTANCE, len(phase.instances)), (Part.NEXT, len(phase.nexts))):
        places += [(part, 0, index) for index in sorted({0, count // 2, count - 1, count})]
        places.append((part, len(program.phases), 0))
    places += [(part, 0, 1) for part in (Part.CONSTANT, Part.INPUT, Part.OUTPUT)]
    for part, item, index in places:
        where = Place(task, program, root, part, item, index)
        at = f"{name}: {part.name} {item} {index}"
        yield Answered(name, at, where, answerer.answer(part, item, index))


def some(rng: Random, each: int) -> list[Answered]:
    """Some of every part."""
    parts = [[x for x in answers() if x.where.part is part] for part in Part]
    return [x for same in parts for x in rng.sample(same, min(each, len(same)))]


def changed(calls: list[Answered], rng: Random) -> Iterator[Answered]:
    """With one part of the answer changed, or a part of another's in its place, or whole at
    another place."""
    for x in calls:
        for at, answer in malformed.changed(x.answer, rng):
            yield replace(x, name=f"{x.name}: {at}", answer=answer)
        y = rng.choice(calls)
        for at, answer in malformed.grafted(x.answer, y.answer, rng):
            yield replace(x, name=f"{x.name}: {at} from {y.name}", answer=answer)
        if type(y.answer) is type(x.answer):
            yield replace(x, name=f"{y.name} at {x.name}", answer=y.answer)


def halves() -> Iterator[Answered]:
    """The first half of each run of more than one block, with the path that proves it."""
    for x in answers():
        blocks = getattr(x.answer, "blocks", b"")
        if len(blocks) > BLOCK_BYTES:
            assert isinstance(x.answer, TensorAnswer)
            w, many = x.where, len(blocks) // BLOCK_BYTES // 2
            data = answerer_of(case(x.job)).tensor(w.part, w.item)
            levels = trees.levels_of(trees.block_leaves(data))
            path = trees.siblings_of(levels, w.index * RUN_BLOCKS, many)
            half = x.answer._replace(blocks=blocks[: many * BLOCK_BYTES], siblings=path)
            yield replace(x, name=f"{x.name}, half", answer=half)
