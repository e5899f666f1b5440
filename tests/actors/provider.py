"""The provider's side: answers from the trace it holds, true or not."""

from __future__ import annotations

from protocol.spec.dispute import Challenge, Wait, fan_at
from protocol.spec.errors import MoveRefused
from protocol.spec.trace import Levels, Trace, Tree
from tests.actors.table import Table, where_of


def below(levels: Levels, level: int, index: int) -> list[bytes]:
    """Nodes that a reveal of node ``index`` at ``level`` shows."""
    fan = fan_at(level)
    return levels[level - fan][index << fan : (index + 1) << fan]


class Provider:
    """Answers every move from ``trace``."""

    def __init__(self, trace: Trace, address: bytes) -> None:
        self.trace = trace
        self.address = address

    def answer(self, table: Table, number: int) -> bool:
        """Makes the move that the challenge waits for; False for silence."""
        x = table.challenge_of(number)
        if x.wait is Wait.OPENING:
            levels = self.trace.levels(Tree.STEPS)
            table.open(number, below(levels, len(levels) - 1, 0), self.address)
        elif x.wait is Wait.STEP:
            levels = self.trace.levels(Tree.OPERATIONS, x.step)
            table.open_step(number, x.step, below(levels, len(levels) - 1, 0), self.address)
        else:
            return self.reveal(table, number, x)
        return True

    def reveal(self, table: Table, number: int, x: Challenge) -> bool:
        """What is below the node, if it is in the trace."""
        where = where_of(x)
        levels = self.trace.levels(*where)
        row = levels[x.level] if x.level < len(levels) else []
        if x.index >= len(row) or row[x.index] != x.node:
            return False
        if x.level:
            table.reveal(number, below(levels, x.level, x.index), self.address)
        else:
            table.reveal_block(number, self.trace.block(*where, x.index), self.address)
        return True


class Silent(Provider):
    """Answers ``answers`` times, then never again."""

    def __init__(self, trace: Trace, address: bytes, answers: int) -> None:
        super().__init__(trace, address)
        self.answers = answers

    def answer(self, table: Table, number: int) -> bool:
        self.answers -= 1
        return self.answers >= 0 and super().answer(table, number)


class Stubborn(Provider):
    """A liar whose move may be no legal one: then it is silent."""

    def answer(self, table: Table, number: int) -> bool:
        try:
            return super().answer(table, number)
        except MoveRefused:
            return False
