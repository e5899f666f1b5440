"""Providers that answer something else than what was asked."""

from __future__ import annotations

from collections.abc import Iterator

from protocol.spec.constants import BLOCK_BYTES
from protocol.spec.dispute import Wait
from protocol.spec.errors import MoveRefused
from protocol.spec.strategy import Move, OpenStep, Reveal, RevealBlock, below, where_of
from protocol.spec.trace import Trace
from tests.actors.provider import Provider
from tests.actors.table import Table


class Evasive(Provider):
    """Opens what it must, and for a reveal tries everything but what is below the node.

    ``tried`` are the errors that its attempts met.
    """

    def __init__(self, trace: Trace, address: bytes) -> None:
        super().__init__(trace, address)
        self.tried: list[str] = []

    def answer(self, table: Table, number: int) -> bool:
        if table.challenge_of(number).wait is not Wait.REVEAL:
            return super().answer(table, number)
        for move in self.attempts(table, number):
            try:
                table.make(number, move, self.address)
            except MoveRefused as refused:
                self.tried.append(refused.name)
            else:
                raise AssertionError(f"{move} was taken for an answer")
        return False

    def attempts(self, table: Table, number: int) -> Iterator[Move]:
        """Nothing, other nodes, nodes in another order, too many, a block for nodes and nodes for
        a block, the block beside it, half of it, one with a changed bit; a step for a reveal."""
        x = table.challenge_of(number)
        where = where_of(x)
        yield OpenStep(x.step, (x.node,))
        yield Reveal(())
        yield Reveal((bytes(32),) * 2)
        if x.level:
            row = below(self.trace.levels(*where), x.level, x.index)
            yield Reveal(row[::-1])
            yield Reveal((*row, bytes(32)))
            yield Reveal((*row[:-1], x.node))
            yield RevealBlock(bytes(BLOCK_BYTES))
            return
        data = self.trace.block(*where, x.index)
        yield RevealBlock(self.trace.block(*where, x.index ^ 1))
        yield RevealBlock(data[: BLOCK_BYTES // 2])
        yield RevealBlock(data[:-1] + bytes([data[-1] ^ 1]))
        yield RevealBlock(data + bytes(BLOCK_BYTES))
