"""Friends of a liar, who challenge it so that nobody else's challenge should count."""

from __future__ import annotations

from protocol.spec.dispute import MADE_WHOLE, Wait
from tests.actors.challenger import Challenger
from tests.actors.provider import Provider
from tests.actors.table import Table


class Colluder(Challenger):
    """Challenges first, to abandon its challenge or to be the one who is rewarded.

    The lie: that somebody disputes the claim already.  Every challenge ends by its own moves and
    clocks, so that of an honest one nothing is lost; whoever abandons is defeated, a fifth of its
    bond burns, and a liar that is its own earliest challenger wins back a third of its lock at
    most.  The challenge that proves is made whole, however many were before it.
    """

    def challenge(self, table: Table) -> int:
        """Before anybody honest does; its number."""
        return table.move("challenge", who=self.address)  # type: ignore[no-any-return]

    def take_all_places(self, table: Table) -> list[int]:
        """Sybils, as many as are rewarded and made whole; their numbers."""
        return [self.challenge(table) for _ in range(MADE_WHOLE + 1)]

    def ask(self, table: Table, number: int, friend: Provider) -> None:
        """To a reveal that its friend leaves unanswered: an end of the claim, kept at hand to take
        the place of a proof."""
        while (wait := table.challenge_of(number).wait) is not Wait.REVEAL:
            if wait is Wait.CHALLENGER:
                self.move(table, number)
            else:
                assert friend.answer(table, number)
