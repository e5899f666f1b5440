"""Elements of a compiled model, each claimed as the engine has it and judged by specification and
contract.

``python -m tests.game.elements [SENTENCES]`` prints what each operation's dearest proof costs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import Any, Final

from protocol.spec import trees
from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.proofs import ElementProof, Prover
from protocol.spec.referee import Context, Proof, judge
from protocol.spec.trace import Tree
from protocol.spec.types import Array, Template
from provider.engine import Engine
from provider.engine.trace import tensor_data
from scripts import brownie_project, evm
from tests.actors.compiled import CompiledCase, minilm_case
from tests.contracts.market import task_tuple
from tests.game.onchain import encoded

STEP: Final = 1
LEAVES: Final = 2
SENTENCES: Final = 64


@dataclass(frozen=True)
class Elements:
    """The operations of a model's only step; a contract is asked through ``web3``."""

    case: CompiledCase
    web3: Any
    referee: Any

    @cached_property
    def results(self) -> list[Array]:
        """All of them, from one run."""
        out: list[Array] = []
        e = self.case.example
        engine = Engine(e.program, e.constants)
        engine.run(e.inputs, observe=lambda *seen: out.append(seen[3]))
        return out

    @cached_property
    def prover(self) -> Prover:
        """Its operands lie ready."""
        levels = self.case.truth.levels(Tree.OPERATIONS, STEP)
        prover = self.case.prover(lambda tree, step, item: levels)
        return replace(prover, data=lambda tree, step, item: tensor_data(self.results[item]))

    @cached_property
    def context(self) -> Context:
        """Of an operation yet to be named."""
        truth = self.case.truth
        return Context(
            task=self.case.task(bytes(20), bytes(32)), program=self.case.example.program,
            steps_root=truth.root(Tree.STEPS), operations_root=truth.root(Tree.OPERATIONS, STEP),
            leaves=LEAVES, step=STEP, item=0, index=0, node=bytes(32),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.case.example.program.phases[0].instances)

    def number(self, item: int) -> int:
        """Number of the template of operation ``item``."""
        return self.case.example.program.phases[0].instances[item].template

    def template(self, item: int) -> Template:
        """What operation ``item`` does."""
        return self.case.example.program.templates[self.number(item)]

    def places(self, item: int, rng: Random) -> list[int]:
        """Elements that are worth a look: both ends, the edge of the first block, and any."""
        t = self.template(item)
        edge = BLOCK_BYTES // t.dtype.size
        found = {0, edge - 1, edge, t.count - 1, rng.randrange(t.count)}
        return sorted(n for n in found if n < t.count)

    def proof(self, item: int, element: int) -> tuple[Context, ElementProof]:
        """Of an element as the engine has it."""
        size = self.template(item).dtype.size
        index = element * size // BLOCK_BYTES
        data = bytes(tensor_data(self.results[item])[index * BLOCK_BYTES :][:BLOCK_BYTES])
        block = data.ljust(BLOCK_BYTES, b"\0")
        context = replace(self.context, item=item, index=index, node=trees.keccak256(block))
        return context, self.prover.element(STEP, item, element, block)

    def flipped(self, c: Context, p: ElementProof, bit: int) -> tuple[Context, ElementProof]:
        """The same of a block in which one bit of the element is another."""
        size = self.template(c.item).dtype.size
        at = p.element * size % BLOCK_BYTES + bit // 8
        data = p.data[:at] + bytes([p.data[at] ^ 1 << bit % 8]) + p.data[at + 1 :]
        return replace(c, node=trees.keccak256(data)), p._replace(data=data)

    def call(self, c: Context, p: ElementProof) -> dict[str, str]:
        """The transaction that asks the contract."""
        words = (
            task_tuple(c.task), c.steps_root, c.operations_root, c.leaves, c.step, c.item, c.index,
            c.node,
        )  # fmt: skip
        data = self.referee.judge.encode_input(words, int(Proof.ELEMENT), encoded(p))
        return {"to": self.referee.address, "data": data}

    def contract_says(self, c: Context, p: ElementProof) -> bool:
        """The contract's judgement."""
        return bool(int.from_bytes(self.web3.eth.call(self.call(c, p))))

    def spec_says(self, c: Context, p: ElementProof) -> bool:
        """The specification's."""
        return judge(c, Proof.ELEMENT, p)

    def gas(self, c: Context, p: ElementProof) -> int:
        """Of a transaction that asks the contract, calldata included."""
        return int(self.web3.eth.estimate_gas(self.call(c, p)))


@contextmanager
def elements(sentences: int) -> Iterator[Elements]:
    """Of MiniLM, with a referee on a chain of its own."""
    case = minilm_case(sentences)
    with evm.anvil() as node, brownie_project.connected(node) as brownie:
        project = brownie_project.load_project()
        referee = project.TensorReferee.deploy({"from": brownie.accounts[0]})
        yield Elements(case, brownie.web3, referee)


@dataclass(frozen=True, order=True)
class Dearest:
    """An operation's dearest proof among those tried."""

    gas: int
    item: int
    element: int
    bytes: int


def dearest(of: Elements, item: int) -> Dearest:
    """Of the places worth a look."""
    tried = []
    for element in of.places(item, Random(item)):
        c, p = of.proof(item, element)
        size = len(of.call(c, p)["data"]) // 2 - 1
        tried.append(Dearest(of.gas(c, p), item, element, size))
    return max(tried)


def main(argv: Sequence[str]) -> int:
    """Prints a line an operation, the dearest last."""
    with elements(int(argv[0]) if argv else SENTENCES) as of:
        for d in sorted(dearest(of, item) for item in range(len(of))):
            t = of.template(d.item)
            terms = f" over {'x'.join(map(str, t.r))}" if t.r else ""
            what = f"{t.kind.name} {t.fold.name if t.fold else ''} {t.dtype.name}{terms}"
            print(f"{d.gas:9} gas {d.bytes:6} bytes  operation {d.item:3} element {d.element:7}  "
                  f"template {of.number(d.item):2}: {what}", flush=True)  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
