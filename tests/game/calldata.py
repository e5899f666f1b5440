"""Moves of the game as calldata, for calls that carry several or come from elsewhere."""

from __future__ import annotations

from protocol.chain.contracts import Game
from protocol.spec.strategy import Move
from tests.contracts.market import address
from tests.game.onchain import ChainTable


def call_of(table: ChainTable, number: int, move: Move) -> str:
    """One move of challenge ``number`` of the table's claim."""
    game = Game(address(table.world.game))
    return "0x" + game.move(table.claim_id, number, table.terms, move).data.hex()
