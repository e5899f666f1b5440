"""Planted faults in what answers are paid, and in how a challenge is stored with its price."""

from __future__ import annotations

from tests.invariants.mutants import Mutant

RUN = "GameInvariants"
GAME = "DisputeGame.sol"
CHALLENGES = "Challenges.sol"
COURT = "Court.sol"
TYPES = "types/Dispute.sol"

PRICES = (
    Mutant(
        "an answer at the price of its own block",
        CHALLENGES,
        "AnswerPrice.current(_minGasPrice, x.price)",
        "AnswerPrice.current(_minGasPrice, c.gasPrice)",
        RUN,
    ),
    Mutant(
        "an answer at the price of the asking alone",
        CHALLENGES,
        "fee = MOVE_GAS * AnswerPrice.current(_minGasPrice, x.price);",
        "fee = MOVE_GAS * x.price;",
        RUN,
    ),
    Mutant(
        "what was demanded at the price of its own block",
        COURT,
        "AnswerPrice.current(_minGasPrice, most)",
        "AnswerPrice.current(_minGasPrice, c.gasPrice)",
        RUN,
    ),
    Mutant(
        "what was demanded at the price of the demand alone",
        COURT,
        "_paid(bytes_, AnswerPrice.current(_minGasPrice, most))",
        "_paid(bytes_, most)",
        RUN,
    ),
    Mutant(
        "all answers at the price of the first",
        GAME,
        "        if (next != Wait.CHALLENGER) _ask(c, x);\n",
        "",
        RUN,
    ),
    Mutant(
        "a price that an answer sets",
        GAME,
        "if (next != Wait.CHALLENGER) _ask(c, x);",
        "_ask(c, x);",
        "GameRules",
    ),
    Mutant(
        "an opening that nobody priced",
        GAME,
        "uint72(native));\n        _ask(c, x);",
        "uint72(native));",
        RUN,
    ),
    Mutant(
        "a price beyond the terms",
        CHALLENGES,
        "x.price = uint48(AnswerPrice.current(_minGasPrice, c.gasPrice));",
        "x.price = uint48(AnswerPrice.current(_minGasPrice, type(uint48).max));",
        RUN,
    ),
    Mutant(
        "a price over the field beside it",
        TYPES,
        "(uint256(x.price) << 168)",
        "(uint256(x.price) << 160)",
        "DisputeTypes",
    ),
    Mutant(
        "a field that is not written",
        TYPES,
        " | (uint256(x.next) << 232)",
        "",
        "DisputeTypes",
    ),
)
