"""Somebody whose claim it is not, and who opens it."""

from __future__ import annotations

from protocol.spec.dispute import Wait
from protocol.spec.strategy import below
from protocol.spec.trace import Tree
from tests.actors.case import Case
from tests.actors.forgers import garbage_root
from tests.game.onchain import ChainTable


class Stranger:
    """Opens another's claim, or a step of it, with garbage.

    The lie: that these are the nodes of the claim.  What is opened under it the provider has to
    defend, and of garbage it has no preimage; so only the provider and its delegate may open:
    ``NotProvider``.
    """

    def __init__(self, case: Case, address: bytes) -> None:
        self.address = address
        self.nodes = list(below(garbage_root(case).levels(Tree.STEPS), 1, 0))

    def open(self, table: ChainTable, number: int) -> str:
        """What the challenge waits for; the name of the error."""
        if table.challenge_of(number).wait is Wait.STEP:
            return table.refused("open_step", number, 1, self.nodes, who=self.address)
        return table.refused("open", number, self.nodes, who=self.address)
