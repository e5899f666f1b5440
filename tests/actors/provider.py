"""The provider's side: answers from the trace it holds, true or not."""

from __future__ import annotations

from protocol.spec.errors import MoveRefused
from protocol.spec.strategy import answer
from tests.actors.case import AnyTrace
from tests.actors.table import Table


class Provider:
    """Answers every move from ``trace``."""

    def __init__(self, trace: AnyTrace, address: bytes) -> None:
        self.trace = trace
        self.address = address

    def answer(self, table: Table, number: int) -> bool:
        """Makes the move that the challenge waits for; False for silence."""
        moves = answer(table.challenge_of(number), self.trace)
        for move in moves[:1]:
            table.make(number, move, self.address)
        return bool(moves)


class Silent(Provider):
    """Answers ``answers`` times, then never again."""

    def __init__(self, trace: AnyTrace, address: bytes, answers: int) -> None:
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
