"""Where a dispute is played: the twin, and what everybody has seen of the claim."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from protocol.spec import trees
from protocol.spec.dispute import Challenge, Claim, fan_at
from protocol.spec.game import Game
from protocol.spec.referee import Proof
from protocol.spec.trace import Levels, Trace, Tree

Where = tuple[Tree, int, int]


class Table:
    """Passes moves to the twin and remembers what was revealed.  One second passes a move."""

    def __init__(self, game: Game, claim_id: bytes, now: int) -> None:
        self.game = game
        self.claim_id = claim_id
        self.now = now
        self.moves = 0
        self.seen: defaultdict[Where, dict[tuple[int, int], bytes]] = defaultdict(dict)
        self.blocks: dict[tuple[Where, int], bytes] = {}

    @property
    def claim(self) -> Claim:
        return self.game.claims[self.claim_id]

    def challenge_of(self, number: int) -> Challenge:
        return self.game.challenge_of(self.claim_id, number)

    def move(self, name: str, *arguments: Any, who: bytes | None = None) -> Any:
        """One move of the twin; the number of the challenge comes first, if the move has one."""
        self.now += 1
        extra = {} if who is None else {"who": who}
        result = getattr(self.game, name)(self.claim_id, *arguments, **extra, now=self.now)
        self.moves += 1
        return result

    def wait_until(self, time: int) -> None:
        """The next move comes after ``time``."""
        self.now = max(self.now, time)

    def silence(self, number: int) -> None:
        """Whose turn it is lets it pass."""
        self.wait_until(self.game.deadline_of(self.claim_id, number))

    # --- moves that show something ---------------------------------------------------------------

    def open(self, number: int, nodes: Sequence[bytes], who: bytes) -> None:
        self.move("open", number, nodes, who=who)
        self._see((Tree.STEPS, 0, 0), trees.depth_of(self.claim.leaves), 0, nodes)

    def open_step(self, number: int, step: int, nodes: Sequence[bytes], who: bytes) -> None:
        self.move("open_step", number, step, nodes, who=who)

    def reveal(self, number: int, nodes: Sequence[bytes], who: bytes) -> None:
        x = self.challenge_of(number)
        where, level, index = where_of(x), x.level, x.index
        self.move("reveal", number, nodes, who=who)
        self._see(where, level, index, nodes)

    def reveal_block(self, number: int, data: bytes, who: bytes) -> None:
        self.move("reveal_block", number, data, who=who)
        x = self.challenge_of(number)
        self.blocks[where_of(x), x.index] = data

    def prove(self, number: int, kind: Proof, proof: Any) -> None:
        self.move("prove", number, kind, proof)

    def _see(self, where: Where, level: int, index: int, nodes: Sequence[bytes]) -> None:
        at = level - fan_at(level)
        index <<= level - at
        row = list(nodes)
        while True:
            for k, node in enumerate(row):
                self.seen[where][at, index + k] = node
            if at == level:
                return
            if len(row) % 2:
                row.append(bytes(32))
            row = [trees.keccak256(row[k] + row[k + 1]) for k in range(0, len(row), 2)]
            at, index = at + 1, index >> 1

    def view(self, truth: Trace, where: Where) -> Levels:
        """A claimed tree: what was revealed, and the truth where nothing was."""
        levels = [list(row) for row in truth.levels(*where)]
        for (level, index), node in self.seen[where].items():
            if level < len(levels) and index < len(levels[level]):
                levels[level][index] = node
        return levels


def where_of(x: Challenge) -> Where:
    """The tree that a challenge is in, as a trace names it."""
    if x.tree in (Tree.STEPS, Tree.OUTPUTS):
        return x.tree, 0, 0
    return x.tree, x.step, x.item if x.tree >= Tree.STATE_BLOCKS else 0
