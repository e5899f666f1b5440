"""Challengers: one that knows the truth and wins by it, and others that lose their bonds."""

from __future__ import annotations

from protocol.spec.dispute import Wait
from protocol.spec.proofs import Prover
from protocol.spec.strategy import Attack, Move, claimed_levels
from tests.actors.case import AnyCase
from tests.actors.provider import Provider
from tests.actors.table import Table


def prover_of(case: AnyCase, table: Table) -> Prover:
    """Builds proofs from the truth and from what was revealed; one for all of a table's moves."""
    if table.prover is None:
        table.prover = case.prover(
            lambda tree, step, item: claimed_levels(table.known, case.truth, tree, step, item)
        )
    return table.prover


class Challenger:
    """Knows the truth, sees what is revealed, walks to the leftmost difference and proves it."""

    def __init__(self, case: AnyCase, address: bytes) -> None:
        self.case = case
        self.address = address

    def moves(self, table: Table, number: int) -> list[Move]:
        """All that it can do now, in one call."""
        case = self.case
        prover = prover_of(case, table)
        attack = Attack(case.example.program, case.steps, case.truth, table.known, prover)
        return attack.moves(table.challenge_of(number))

    def move(self, table: Table, number: int) -> None:
        """The next move of its turn."""
        table.make(number, self.moves(table, number)[0], self.address)


def play(table: Table, number: int, challenger: Challenger, provider: Provider) -> None:
    """To the end: the claim falls, by proof or by the provider's clock."""
    play_all(table, {number: challenger}, provider)


def play_all(table: Table, players: dict[int, Challenger], provider: Provider) -> None:
    """Everybody in turn, a move each, until the claim falls."""
    for _ in range(200):
        for number, challenger in players.items():
            if table.claim.fallen:
                return
            if table.challenge_of(number).wait is Wait.CHALLENGER:
                challenger.move(table, number)
            elif not provider.answer(table, number):
                table.silence(number)
                table.move("timeout_provider", number)
    raise AssertionError(f"no end after 200 rounds: {[*map(table.challenge_of, players)]}")
