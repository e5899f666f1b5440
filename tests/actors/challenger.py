"""Challengers: one that knows the truth and wins by it, and others that lose their bonds."""

from __future__ import annotations

from protocol.spec import trees
from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.dispute import Challenge, Wait, fan_at, is_end
from protocol.spec.proofs import Prover
from protocol.spec.referee import Proof
from protocol.spec.trace import Tree, phase_of
from protocol.spec.types import NextKind
from tests.actors.case import AnyCase
from tests.actors.provider import Provider
from tests.actors.table import Table, where_of


def prover_of(case: AnyCase, table: Table) -> Prover:
    """Builds proofs from the truth and from what was revealed; one for all of a table's moves."""
    if table.prover is None:
        table.prover = case.prover(
            lambda tree, step, item: table.view(case.truth, (tree, step, item))
        )
    return table.prover


class Challenger:
    """Knows the truth, sees what is revealed, walks to the leftmost difference and proves it."""

    def __init__(self, case: AnyCase, address: bytes) -> None:
        self.case = case
        self.address = address

    def move(self, table: Table, number: int) -> None:
        """The next move of its turn."""
        x = table.challenge_of(number)
        if is_end(x) and x.tree is Tree.STEPS and not self.differs(table, x):
            self.enter(table, number, x, Tree.OUTPUTS)
        elif is_end(x):
            self.at_leaf(table, number, x)
        elif x.level == 0 and x.known:
            self.prove_element(table, number, x)
        elif not x.known:
            table.move("point", number, 0, x.index, x.node, [], who=self.address)
        else:
            self.go_down(table, number, x)

    def differs(self, table: Table, x: Challenge) -> bool:
        return x.node != self.case.truth.levels(*where_of(x))[x.level][x.index]

    def go_down(self, table: Table, number: int, x: Challenge) -> None:
        """To the first node below that is not the true one, or on to the outputs."""
        fan = fan_at(x.level)
        claimed = table.view(self.case.truth, where_of(x))
        true = self.case.truth.levels(*where_of(x))
        at = x.level - fan
        row = range(x.index << fan, min((x.index + 1) << fan, len(claimed[at])))
        found = [k for k in row if claimed[at][k] != true[at][k]]
        if not found:
            self.enter(table, number, x, Tree.OUTPUTS)
            return
        part = claimed[at : x.level + 1]
        siblings = trees.siblings_of(part, found[0])
        child = claimed[at][found[0]]
        table.move("point", number, fan, found[0], child, siblings, who=self.address)

    def enter(self, table: Table, number: int, x: Challenge, into: Tree) -> None:
        proof = prover_of(self.case, table).entry(into, x.step, x.item)
        table.move("enter", number, into, proof, who=self.address)

    def at_leaf(self, table: Table, number: int, x: Challenge) -> None:
        """A leaf that is no block: into the tree below it, or the proof."""
        prover = prover_of(self.case, table)
        if x.tree is Tree.OUTPUTS:
            table.prove(number, Proof.OUTPUT, prover.output(x.index))
        elif x.tree is Tree.OPERATIONS:
            self.enter(table, number, x, Tree.OPERATION_BLOCKS)
        elif x.tree is Tree.STATES:
            self.at_state(table, number, x, prover)
        elif x.step == 0:
            self.enter(table, number, x, Tree.STATES)
        else:
            self.at_step(table, number, x, prover)

    def at_step(self, table: Table, number: int, x: Challenge, prover: Prover) -> None:
        claimed, _ = table.claim.steps[x.step]
        true = self.case.truth.root(Tree.OPERATIONS, x.step)
        if trees.HALTED in (claimed, true):
            table.prove(number, Proof.HALT, prover.halt(x.step))
        else:
            self.enter(table, number, x, Tree.STATES if claimed == true else Tree.OPERATIONS)

    def at_state(self, table: Table, number: int, x: Challenge, prover: Prover) -> None:
        if x.step == 0:
            table.prove(number, Proof.INITIAL, prover.initial(x.item))
            return
        phase, _ = phase_of(self.case.steps, x.step - 1)
        kind = self.case.example.program.phases[phase].nexts[x.item].kind
        if kind is NextKind.SLICE:
            self.enter(table, number, x, Tree.STATE_BLOCKS)
        else:
            table.prove(number, Proof.NEXT, prover.next(x.step, x.item))

    def prove_element(self, table: Table, number: int, x: Challenge) -> None:
        """The block is known: the first element of it that is not the true one."""
        data = table.blocks[where_of(x), x.index]
        true = self.case.truth.block(x.tree, x.step, x.item, x.index)
        prover = prover_of(self.case, table)
        program = self.case.example.program
        if x.tree is Tree.STATE_BLOCKS:
            size = program.states[x.item].tensor.dtype.size
        else:
            phase, _ = phase_of(self.case.steps, x.step - 1)
            instance = program.phases[phase].instances[x.item]
            size = program.templates[instance.template].dtype.size
        byte = next(k for k in range(BLOCK_BYTES) if data[k] != true[k])
        element = (x.index * BLOCK_BYTES + byte) // size
        if x.tree is Tree.STATE_BLOCKS:
            table.prove(number, Proof.SLICE, prover.slice(x.step, x.item, element, data))
        else:
            table.prove(number, Proof.ELEMENT, prover.element(x.step, x.item, element, data))


def play(table: Table, number: int, challenger: Challenger, provider: Provider) -> None:
    """To the end: the claim falls, by proof or by the provider's clock."""
    for _ in range(200):
        if table.claim.fallen:
            return
        if table.challenge_of(number).wait is Wait.CHALLENGER:
            challenger.move(table, number)
        elif not provider.answer(table, number):
            table.silence(number)
            table.move("timeout_provider", number)
    raise AssertionError(f"no end after 200 moves: {table.challenge_of(number)}")
