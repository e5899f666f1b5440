"""A provider that keeps its data to itself: what nobody can check nobody can challenge."""

from __future__ import annotations

from dataclasses import replace

from protocol.spec.answers import Answer, Part
from protocol.spec.trace import Trace
from tests.actors.case import Case
from tests.actors.liars import wrong_output
from tests.actors.provider import Provider
from tests.court.onchain import answerer_of


class Withholder(Provider):
    """Commits to the right outputs or to garbage, opens, and answers no demand.

    The lie: that the result is there to be had.  A demand on the chain is due by its clock: left
    unanswered, the claim falls as ``WITHHELD``, right or not, and other bytes are no answer:
    ``WrongCommitment``.
    """

    def __init__(self, case: Case, address: bytes, *, right: bool = True) -> None:
        self.case = case
        self.claimed: Trace = case.truth if right else wrong_output(0)(case)
        super().__init__(self.claimed, address)

    def other_constant(self) -> Answer:
        """Constant 0 with one flipped bit."""
        constants = [x.copy() for x in self.case.example.constants]
        constants[0][0, 0] ^= 1
        example = replace(self.case.example, constants=constants)
        return answerer_of(replace(self.case, example=example)).answer(Part.CONSTANT, 0, 0)
