"""Illegal jobs as traps, for whoever challenges and for whoever provides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from protocol.spec import trees
from protocol.spec.dispute import Wait, children_of
from protocol.spec.illegality import Illegality, pieces_of, prove_illegality, split
from protocol.spec.job import JobTerms, Task, pack_steps
from protocol.spec.legality_proofs import Case as Shown
from protocol.spec.types import Array, DType, Program, TensorDecl
from tests.contracts.market import LOCATORS, Market, address, terms_tuple


@dataclass(frozen=True)
class Illegal:
    """A program, as such or as the bytes of its file, and what its job names beside it."""

    program: Program | bytes
    constants: Sequence[Array]
    inputs: Sequence[Array]
    steps: tuple[int, ...]
    kind: Illegality

    def task(self, game: bytes) -> Task:
        """What a client posts."""
        program = self.program
        pieces = split(program) if isinstance(program, bytes) else pieces_of(program)
        return Task(
            referee=game, program_root=pieces.root, constants_root=root_of(self.constants),
            inputs_root=root_of(self.inputs), locators_hash=trees.keccak256(LOCATORS),
            steps=pack_steps(self.steps),
        )  # fmt: skip

    def proof(self, task: Task) -> tuple[Illegality, Shown]:
        """Found by whoever holds program, constants and inputs."""
        found = prove_illegality(self.program, task, self.constants, self.inputs)
        assert found is not None, "nothing is illegal"
        return found


def root_of(tensors: Sequence[Array]) -> bytes:
    """Of tensors as they are, whatever the program says of them."""
    kinds = {d.numpy: d for d in DType}
    decls = [TensorDecl(kinds[x.dtype], x.shape) for x in tensors]
    return trees.tensors_root(decls, tensors)


class Trap:
    """A job that somebody has committed to; what it means nobody needs to know.

    The lie: that an illegal program has a result.  Bond trap: client and provider are one, and
    commit anything; a challenger walks to where nothing can be proven, because nothing there has a
    meaning.  Slash trap: client and challenger are one; the provider, who should not have accepted,
    is asked for what no trace can show.  Whoever shows at any time what is illegal voids the job
    and is made whole by the client: ``shown`` is the proof.
    """

    def __init__(self, world: Market, illegal: Illegal, nonce: int) -> None:
        self.world, self.rng = world, Random(nonce)
        task = illegal.task(address(world.game))
        self.terms = JobTerms(task, world.terms(nonce=nonce).deal)
        world.post(self.terms)
        world.accept(self.terms)
        root = self.rng.randbytes(32)
        world.commit(self.terms, root=root)
        self.claim = world.claim(self.terms, world.provider, root=root)
        self.leaves = 1 + sum(illegal.steps)
        self.shown = illegal.proof(task)

    def challenge(self, who: Any) -> None:
        terms = terms_tuple(self.terms)
        _, wei = self.world.game.bondOf(self.claim, terms[1])
        self.world.game.challenge(terms, self.claim, {"from": who, "value": wei})

    def open(self) -> list[bytes]:
        """With nodes that mean nothing."""
        depth = trees.depth_of(self.leaves)
        nodes = [self.rng.randbytes(32) for _ in range(children_of(0, depth, self.leaves))]
        self.world.game.open(self.claim, 1, nodes, {"from": self.world.provider})
        return nodes

    def point(self, nodes: list[bytes], who: Any) -> None:
        """At leaf 1."""
        levels = trees.levels_of(nodes)
        path = trees.siblings_of(levels, 1)
        at = (len(levels) - 1, 1, nodes[1], path)
        self.world.game.point(self.claim, 1, *at, {"from": who})

    def open_step(self) -> None:
        """With junk for the operations of step 1."""
        junk = [self.rng.randbytes(32)]
        self.world.game.openStep(self.claim, 1, 1, junk, {"from": self.world.provider})

    def wait(self) -> Wait:
        return Wait(self.world.game.challengeOf(self.claim, 1)[2])
