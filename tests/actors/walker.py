"""A challenger without a case that knows where it goes: down an honest claim to one place."""

from __future__ import annotations

from protocol.spec import trees
from protocol.spec.dispute import Challenge, Wait, fan_at, is_end
from protocol.spec.strategy import Enter, Move, Point, where_of
from protocol.spec.trace import Place, Tree
from tests.actors.case import Case
from tests.actors.challenger import prover_of
from tests.actors.provider import Provider
from tests.actors.table import Table


class Walker:
    """Leads its challenge to ``place`` in ``moves`` moves at most, and stalls.

    Its nodes are the truth's: an honest provider has to answer all the way.
    """

    def __init__(self, case: Case, address: bytes, place: Place, moves: int = 99) -> None:
        self.case = case
        self.address = address
        self.place = place
        self.moves = moves

    def move(self, table: Table, number: int) -> bool:
        """One move; False when it is where it wanted to go, or has made its moves."""
        move = self.next(table, number)
        if move is None or self.moves == 0:
            return False
        self.moves -= 1
        table.make(number, move, self.address)
        return True

    def next(self, table: Table, number: int) -> Move | None:
        """What it would do now."""
        x = table.challenge_of(number)
        if x.tree is Tree.STEPS and self.place.tree is Tree.OUTPUTS:
            return self._enter(table, x, Tree.OUTPUTS)
        if not is_end(x):
            return self._down(x)
        if x.tree in (self.place.tree, Tree.OUTPUTS):
            return None
        if x.tree is not Tree.STEPS:
            return self._enter(table, x, Tree(x.tree + 2))
        states = self.place.tree in (Tree.STATES, Tree.STATE_BLOCKS)
        return self._enter(table, x, Tree.STATES if states else Tree.OPERATIONS)

    def _down(self, x: Challenge) -> Move | None:
        if not x.known:
            return Point(0, x.index, x.node)
        if x.level == 0:
            return None
        levels = self.case.truth.levels(*where_of(x))
        fan = fan_at(x.level)
        at = x.level - fan
        leaf = self._leaf(x)
        index = leaf >> at
        siblings = trees.siblings_of(levels[at : x.level + 1], index)
        return Point(fan, index, levels[at][index], tuple(siblings))

    def _leaf(self, x: Challenge) -> int:
        """Of the tree that it is in."""
        if x.tree is Tree.STEPS:
            return self.place.step
        return self.place.index if x.tree is self.place.tree else self.place.item

    def _enter(self, table: Table, x: Challenge, into: Tree) -> Move:
        return Enter(into, prover_of(self.case, table).entry(into, x.step, x.item))


def lead(table: Table, walkers: dict[int, Walker], provider: Provider) -> None:
    """All go on, a move each in turn, until none has anything left but to stall."""
    going = set(walkers)
    for _ in range(100):
        for number in sorted(going):
            if table.challenge_of(number).wait is not Wait.CHALLENGER:
                assert provider.answer(table, number), "an honest provider has every answer"
            elif not walkers[number].move(table, number):
                going.remove(number)
        if not going:
            return
    raise AssertionError("no end after 100 rounds")
