"""Moves of the game as calldata, for calls that carry several or come from elsewhere."""

from __future__ import annotations

from typing import Any

from protocol.spec.strategy import (
    Enter,
    Move,
    Open,
    OpenStep,
    Point,
    Prove,
    Reveal,
    RevealBlock,
)
from tests.contracts.market import terms_tuple
from tests.game.onchain import ChainTable, encoded


def call_of(table: ChainTable, number: int, move: Move) -> str:
    """One move of challenge ``number`` of the table's claim."""
    game, at = table.world.game, (table.claim_id, number)
    terms = terms_tuple(table.terms)
    data: Any
    match move:
        case Point(levels, index, child, siblings):
            data = game.point.encode_input(*at, levels, index, child, list(siblings))
        case Enter(into, proof):
            data = game.enter.encode_input(*at, terms, int(into), encoded(proof))
        case Open(nodes):
            data = game.open.encode_input(*at, list(nodes))
        case OpenStep(step, nodes):
            data = game.openStep.encode_input(*at, step, list(nodes))
        case Reveal(nodes):
            data = game.reveal.encode_input(*at, list(nodes))
        case RevealBlock(block):
            data = game.revealBlock.encode_input(*at, block)
        case Prove(kind, judged):
            data = game.prove.encode_input(*at, terms, int(kind), encoded(judged))
    return str(data)
