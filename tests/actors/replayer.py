"""Somebody who won against one attempt, and brings its moves and its proof against the next."""

from __future__ import annotations

from typing import Any

from protocol.spec.referee import Proof
from protocol.spec.trace import Tree
from tests.contracts.market import terms_tuple
from tests.game.onchain import encoded
from tests.game.strict import StrictTable


class Replayer:
    """Makes the moves of an old dispute once more, on whichever claim.

    The lie: that what was true of the old attempt is true of the new.  A move names the claim that
    it is made on: of the one that fell there is nothing left to move (``HasFallen``, ``NotLive``),
    and in the new one old nodes and proofs belong to no commitment (``WrongNode``,
    ``WrongCommitment``).
    """

    def __init__(self, first: StrictTable) -> None:
        self.game = first.world.game
        self.terms = terms_tuple(first.terms)
        self.log = first.log
        self.proof = encoded(next(args[2] for name, args, _ in first.log if name == "prove"))

    def calls(self, claim: bytes) -> dict[str, Any]:
        """Every move of the game on challenge 1 of a claim, as calls that take the options."""
        game = self.game
        return {
            "point": lambda o: game.point(claim, 1, 1, 1, bytes(32), [], o),
            "enter": lambda o: game.enter(claim, 1, self.terms, int(Tree.OUTPUTS), b"", o),
            "open": lambda o: game.open(claim, 1, [bytes(32)] * 2, o),
            "openStep": lambda o: game.openStep(claim, 1, 1, [bytes(32)], o),
            "reveal": lambda o: game.reveal(claim, 1, [bytes(32)], o),
            "revealBlock": lambda o: game.revealBlock(claim, 1, bytes(512), o),
            "prove": lambda o: game.prove(claim, 1, self.terms, int(Proof.ELEMENT), self.proof, o),
            "timeoutProvider": lambda o: game.timeoutProvider(claim, 1, self.terms, o),
            "timeoutChallengers": lambda o: game.timeoutChallengers(claim, [1], o),
        }

    def moves_on(self, table: StrictTable) -> set[str]:
        """Errors of the moves of the old dispute, made on a claim as it stands now; all but the
        challenge, the proof and the ways into trees, which are those of the program."""
        return {
            table.refused(name, *arguments, who=who)
            for name, arguments, who in self.log
            if name not in ("challenge", "enter", "prove")
        }
