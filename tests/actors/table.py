"""Where a dispute is played: the twin, and what everybody has seen of the claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocol.spec.dispute import Challenge, Claim
from protocol.spec.game import Game
from protocol.spec.proofs import Prover
from protocol.spec.strategy import (
    Enter,
    Known,
    Move,
    Open,
    OpenStep,
    Point,
    Prove,
    Reveal,
    RevealBlock,
    rows_to,
)

CALLED = frozenset(
    {"challenge", "point", "enter", "open", "open_step", "timeout_provider", "timeout_challengers"}
)
"""Moves of the twin for which it matters who makes them."""

NOBODY = b"\x77" * 20
"""Whoever makes a move that anybody may make."""


class Table:
    """Passes moves to the twin and remembers what was revealed.  One second passes a move."""

    def __init__(self, game: Game, claim_id: bytes, now: int) -> None:
        self.game = game
        self.claim_id = claim_id
        self.now = now
        self.moves = 0
        self.anybody = NOBODY
        self.prover: Prover | None = None
        self.preimages: dict[bytes, tuple[bytes, ...]] = {}
        self.blocks: dict[bytes, bytes] = {}

    @property
    def claim(self) -> Claim:
        return self.game.claims[self.claim_id]

    def challenge_of(self, number: int) -> Challenge:
        return self.game.challenge_of(self.claim_id, number)

    def move(self, name: str, *arguments: Any, who: bytes | None = None) -> Any:
        """One move of the twin; the number of the challenge comes first, if the move has one."""
        self.now += 1
        extra = {"who": self.anybody if who is None else who} if name in CALLED else {}
        result = getattr(self.game, name)(self.claim_id, *arguments, **extra, now=self.now)
        self.moves += 1
        return result

    def wait_until(self, time: int) -> None:
        """The next move comes after ``time``."""
        self.now = max(self.now, time)

    def silence(self, number: int) -> None:
        """Whose turn it is lets it pass."""
        self.wait_until(self.game.deadline_of(self.claim_id, number))

    # --- moves of the strategies -----------------------------------------------------------------

    def make(self, number: int, move: Move, who: bytes) -> None:
        """One move of a player; everybody sees what it shows."""
        x = self.challenge_of(number)
        match move:
            case Point(levels, index, child, siblings):
                self.move("point", number, levels, index, child, list(siblings), who=who)
            case Enter(into, proof):
                self.move("enter", number, into, proof, who=who)
            case Open(nodes):
                self.move("open", number, list(nodes), who=who)
                self.see(self.claim.steps_root, nodes)
            case OpenStep(step, nodes):
                self.move("open_step", number, step, list(nodes), who=who)
                self.see(self.claim.steps[step][0], nodes)
            case Reveal(nodes):
                self.move("reveal", number, list(nodes), who=who)
                self.see(x.node, nodes)
            case RevealBlock(data):
                self.move("reveal_block", number, data, who=who)
                self.blocks[x.node] = data
            case Prove(kind, proof):
                self.move("prove", number, kind, proof)

    def see(self, node: bytes, nodes: Sequence[bytes]) -> None:
        """What is below ``node`` is known from now on.  A liar may put one node at two heights: the
        showing that goes deeper says more, and stays."""
        if len(rows_to(node, self.preimages.get(node, ()))) < len(rows_to(node, tuple(nodes))):
            self.preimages[node] = tuple(nodes)

    @property
    def known(self) -> Known:
        """What everybody has seen of the claim."""
        operations = {step: root for step, (root, _) in self.claim.steps.items()}
        return Known(
            self.claim.result_root, self.claim.steps_root, operations, self.preimages, self.blocks
        )
