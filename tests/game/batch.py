"""Many moves in one transaction, as who knows all nodes plays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocol.spec import trees
from protocol.spec.dispute import fan_at
from protocol.spec.strategy import Move, below
from protocol.spec.trace import Levels
from tests.actors.table import Table
from tests.game.onchain import ChainTable


class BatchTable(ChainTable):
    """What is played between ``together`` and its end is one ``play`` at one time."""

    _calls: list[str] | None = None

    def move(self, name: str, *arguments: Any, who: bytes | None = None) -> Any:
        """The twin's move; the contract's too, unless it travels with others."""
        if self._calls is None:
            return super().move(name, *arguments, who=who)
        now = self.now
        result = Table.move(self, name, *arguments, who=who)
        self.now = now
        call, rest = self.call_of(name, *arguments)
        self._calls.append(call.encode_input(*rest))
        return result

    def together(self, number: int, moves: Sequence[Move], who: bytes) -> None:
        """All of ``moves`` in one transaction of one player."""
        if len(moves) == 1:
            self.make(number, moves[0], who)
            return
        self._calls, names = [], []
        for move in moves:
            self.make(number, move, who)
            names.append(type(move).__name__)
        calls, self._calls = self._calls, None
        self.now += 1
        self.world.at(self.now)
        receipt = self.world.game.play(calls, True, {"from": self.sender(who)})
        self.gas.append((", ".join(names), int(receipt.gas_used)))
        self.compare(receipt)

    def publish(self, levels: Levels) -> None:
        """Everybody knows the nodes of a tree, as reveals would show them."""
        level = len(levels) - 1
        while level:
            for index, node in enumerate(levels[level]):
                self.see(node, below(levels, level, index))
            level -= fan_at(level)

    def publish_block(self, data: bytes) -> None:
        """Everybody knows the bytes of a leaf."""
        self.blocks[trees.keccak256(data)] = data
