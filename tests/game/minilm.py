"""Gas of whole disputes over MiniLM with 64 sentences, both sides, on an Anvil of its own.

``python -m tests.game.minilm`` plays the demonstration's lie, one lie in an operation of every
template, and the path with published nodes, prints the figures and writes them to
tests/snapshots/minilm.json.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.dispute import Wait
from protocol.spec.job import Fault
from protocol.spec.strategy import answer
from protocol.spec.trace import Tree
from protocol.spec.types import Array, DType
from provider.engine.engine import Tamper
from provider.engine.trace import EngineTrace
from scripts import brownie_project, evm
from scripts.cheat import middle_of_layer
from tests.actors.challenger import Challenger
from tests.actors.compiled import Change, CompiledCase, at, minilm_case, one_bit
from tests.contracts.market import Market, address
from tests.game.batch import BatchTable
from tests.game.elements import Elements, dearest
from tests.game.onchain import deploy_game_world

SNAPSHOT: Final = Path(__file__).parents[1] / "snapshots" / "minilm.json"
SENTENCES: Final = 64
DEMO: Final = "a bit in the middle of layer 3"
FAST: Final = "the same, with published nodes"
MOST: Final = {DEMO: (2_000_000, 22), FAST: (2_000_000, 4)}
"""Most gas and transactions of a dispute; of any other lie ANY."""
ANY: Final = (3_000_000, 24)
ELEMENT: Final = 1_500_000
"""Most gas of proving any element, the fall of the claim included."""
TOP: Final = 30
"""The highest bit of an exponent: quantisation hides no such change."""

Figures = dict[str, int]


def demo(case: CompiledCase) -> tuple[int, int]:
    """Operation and element of the demonstration's lie."""
    return middle_of_layer(case.example.program, 3)


def both(first: Tamper, second: Tamper) -> Tamper:
    """Two lies."""

    def tamper(step: int, operation: int, result: Array) -> None:
        first(step, operation, result)
        second(step, operation, result)

    return tamper


def lie_in(case: CompiledCase, operation: int, element: int) -> EngineTrace:
    """One wrong bit there, and one in the result, so that a lie which later operations hide is one
    about the result too."""
    program = case.example.program
    body = program.phases[0].instances
    dtype = program.templates[body[operation].template].dtype
    change: Change = one_bit(element, TOP if dtype is DType.F32 else 0)
    last = at(len(body) - 1, one_bit(0, TOP))
    return case.lie(both(at(operation, change), last) if operation < len(body) - 1 else last)


def dispute(
    world: Market, case: CompiledCase, claimed: EngineTrace, published: int | None = None
) -> Figures:
    """Both sides do at once what they can, as a watchtower and an agent do; of operation
    ``published`` the challenger knows all claimed nodes.  Gas by transaction, in order; the total
    and their number."""
    table = BatchTable(world, case, claimed)
    provider, me = address(world.provider), address(world.keeper)
    if published is not None:
        publish(table, claimed, published)
    number = table.move("challenge", who=me)
    challenger = Challenger(case, me)
    while not table.claim.fallen:
        x = table.challenge_of(number)
        if x.wait is Wait.CHALLENGER:
            table.together(number, challenger.moves(table, number), me)
        else:
            table.together(number, answer(x, claimed), provider)
    assert table.claim.fault is Fault.WRONG
    moves = {f"{k + 1:02} {move}": used for k, (move, used) in enumerate(table.gas)}
    return {**moves, "total": sum(moves.values()), "transactions": len(moves)}


def publish(table: BatchTable, claimed: EngineTrace, operation: int) -> None:
    """The nodes of the step's operations, and of one of them with its blocks."""
    where = (Tree.OPERATION_BLOCKS, 1, operation)
    table.publish(claimed.levels(Tree.OPERATIONS, 1))
    table.publish(claimed.levels(*where))
    data = claimed.data(Tree.OPERATIONS, 1, operation)
    for index in range(-(-len(data) // BLOCK_BYTES)):
        table.publish_block(claimed.block(*where, index))


@contextmanager
def chain() -> Iterator[Market]:
    """All contracts on an Anvil of its own."""
    with evm.anvil() as node, brownie_project.connected(node) as brownie:
        yield deploy_game_world(brownie)


def demo_figures(world: Market, case: CompiledCase) -> Iterator[tuple[str, Figures]]:
    """The demonstration's lie, both ways, each on the chain as it was."""
    operation, element = demo(case)
    claimed = case.lie(at(operation, one_bit(element, TOP)))
    chain = world.brownie.chain
    chain.snapshot()
    yield DEMO, dispute(world, case, claimed)
    chain.revert()
    chain.snapshot()
    yield FAST, dispute(world, case, claimed, operation)
    chain.revert()


def other_figures(
    world: Market, case: CompiledCase, templates: Collection[int]
) -> Iterator[tuple[str, Figures]]:
    """A lie in the first operation of each of these templates, where its proof is dearest."""
    tensor, _ = world.game.referees()
    of = Elements(case, world.brownie.web3, world.project.TensorReferee.at(tensor))
    seen: set[int] = set()
    for operation in range(len(of)):
        number = of.number(operation)
        if number in templates and number not in seen:
            seen.add(number)
            element = dearest(of, operation).element
            world.brownie.chain.snapshot()
            claimed = lie_in(case, operation, element)
            name = f"template {number:02}: operation {operation}, element {element}"
            yield name, dispute(world, case, claimed)
            world.brownie.chain.revert()


def worst(figures: Mapping[str, Figures]) -> tuple[str, int]:
    """The dearest lie of all, and its template."""
    names = [name for name in figures if name not in MOST]
    name = max(names, key=lambda name: figures[name]["total"])
    return name, int(name.split()[1].rstrip(":"))


def check(name: str, got: Figures) -> None:
    """Fails beyond the project's figures."""
    gas, transactions = MOST.get(name, ANY)
    assert got["total"] <= gas, (name, got["total"])
    assert got["transactions"] <= transactions, (name, got["transactions"])
    prove = list(got.values())[-3]
    assert name == FAST or prove <= ELEMENT, (name, prove)


def main() -> int:
    """Prints and writes the figures."""
    case = minilm_case(SENTENCES)
    figures: dict[str, Figures] = {}
    with chain() as world:
        templates = range(len(case.example.program.templates))
        others = other_figures(world, case, templates)
        for name, got in itertools.chain(demo_figures(world, case), others):
            figures[name] = got
            last = list(got.values())[-3]
            print(f"{got['total']:9} gas {got['transactions']:3} transactions, "
                  f"the last {last:9}  {name}", flush=True)  # fmt: skip
    SNAPSHOT.write_text(json.dumps(figures, indent=2) + "\n")
    for name, got in figures.items():
        check(name, got)
    print(f"the dearest lie: {worst(figures)[0]}; wrote {SNAPSHOT}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
