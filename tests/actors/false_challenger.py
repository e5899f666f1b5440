"""Challengers without a case: they ask for everything, prove nothing, and stall."""

from __future__ import annotations

from random import Random

from protocol.spec import trees
from protocol.spec.dispute import Challenge, fan_at
from protocol.spec.errors import MoveRefused, ProofError
from protocol.spec.proofs import Prover
from protocol.spec.referee import AnyJudged, Proof
from protocol.spec.strategy import where_of
from protocol.spec.trace import Tree, phase_of
from protocol.spec.types import NextKind
from tests.actors.case import Case
from tests.actors.challenger import prover_of
from tests.actors.table import Table


class FalseChallenger:
    """Walks down an honest trace at random, as deep as it goes, and tries every proof on its way.

    ``refusals`` are the names of the errors that its proofs met; with ``edge`` it keeps to the last
    node of a level, beside the padding.
    """

    def __init__(self, case: Case, address: bytes, seed: int) -> None:
        self.case = case
        self.address = address
        self.rng = Random(seed)
        self.refusals: list[str] = []
        self.edge = False

    def move(self, table: Table, number: int) -> bool:
        """One move; False when there is nothing left to do but stall."""
        x = table.challenge_of(number)
        self.try_proofs(table, number, x)
        if not x.known:
            table.move("point", number, 0, x.index, x.node, [], who=self.address)
        elif x.level and (x.tree is not Tree.STEPS or self.rng.random() < 0.9):
            self.go_down(table, number, x)
        else:
            return self.enter(table, number, x)
        return True

    def go_down(self, table: Table, number: int, x: Challenge) -> None:
        levels = self.case.truth.levels(*where_of(x))
        fan = fan_at(x.level)
        at = x.level - fan
        row = range(x.index << fan, min((x.index + 1) << fan, len(levels[at])))
        index = row[-1] if self.edge else self.rng.choice(row)
        siblings = trees.siblings_of(levels[at : x.level + 1], index)
        table.move("point", number, fan, index, levels[at][index], siblings, who=self.address)

    def enter(self, table: Table, number: int, x: Challenge) -> bool:
        into = {
            Tree.STEPS: self.rng.choice([Tree.STATES, Tree.OPERATIONS, Tree.OUTPUTS]),
            Tree.STATES: Tree.STATE_BLOCKS,
            Tree.OPERATIONS: Tree.OPERATION_BLOCKS,
        }.get(x.tree)
        if into is None:
            return False
        if x.tree is Tree.STEPS and x.level:
            into = Tree.OUTPUTS
        if into is Tree.OPERATIONS and x.step == 0:
            into = Tree.STATES
        proof = prover_of(self.case, table).entry(into, x.step, x.item)
        try:
            table.move("enter", number, into, proof, who=self.address)
        except MoveRefused as refused:
            self.refusals.append(refused.name)
            return False
        return True

    def try_proofs(self, table: Table, number: int, x: Challenge) -> None:
        """Every proof that can be built here."""
        prover = prover_of(self.case, table)
        for kind in Proof:
            proof = self.built(prover, kind, x)
            if proof is None:
                continue
            try:
                table.game.prove(table.claim_id, number, kind, proof, table.now)
            except MoveRefused as refused:
                self.refusals.append(refused.name)
            except ProofError:
                self.refusals.append("ProofError")

    def built(self, prover: Prover, kind: Proof, x: Challenge) -> AnyJudged | None:
        in_states = x.tree in (Tree.STATES, Tree.STATE_BLOCKS)
        if kind is Proof.HALT and x.step:
            return prover.halt(x.step)
        if kind is Proof.OUTPUT and x.tree is Tree.OUTPUTS:
            return prover.output(x.index)
        if kind is Proof.INITIAL and in_states:
            return prover.initial(x.item)
        if not x.step or self.case.truth.operations[x.step - 1] is None:
            return None
        if kind is Proof.NEXT and in_states:
            return prover.next(x.step, x.item)
        if x.tree >= Tree.STATE_BLOCKS and x.level == 0:
            data = self.case.truth.block(*where_of(x), x.index)
            if kind is Proof.SLICE and x.tree is Tree.STATE_BLOCKS and self.is_sliced(x):
                return prover.slice(x.step, x.item, x.index * 64, data)
            if kind is Proof.ELEMENT and x.tree is Tree.OPERATION_BLOCKS:
                return prover.element(x.step, x.item, 0, data)
        return None

    def is_sliced(self, x: Challenge) -> bool:
        phase, _ = phase_of(self.case.steps, x.step - 1)
        nexts = self.case.example.program.phases[phase].nexts
        return nexts[x.item].kind is NextKind.SLICE
