"""Planted faults in game and court: the properties of tests/PROPERTIES.md find each."""

from __future__ import annotations

from tests.invariants.mutants import Mutant

RUN = "GameInvariants"
GAME = "DisputeGame.sol"
CHALLENGES = "Challenges.sol"
COURT = "Court.sol"

RULES = (
    Mutant(
        "a late challenger still moves",
        GAME,
        "if (block.timestamp > deadline) revert TooLate(block.timestamp, deadline);",
        "",
        "GameRules",
    ),
    Mutant(
        "a clock that still runs ends a turn",
        GAME,
        "if (block.timestamp <= deadline) revert TooEarly(block.timestamp, deadline);",
        "",
        "GameRules",
    ),
    Mutant(
        "any turn is the mover's",
        GAME,
        "if (x.wait != wanted) revert WrongTurn(x.wait, wanted);",
        "",
        "GameRules",
    ),
    Mutant(
        "the other side is late",
        GAME,
        "if ((x.wait == Wait.CHALLENGER) != challenger) revert WrongTurn(x.wait, Wait.CHALLENGER);",
        "",
        "GameRules",
    ),
    Mutant(
        "anybody points",
        GAME,
        "if (msg.sender != x.challenger) revert NotChallenger(msg.sender, x.challenger);",
        "",
        "GameRules",
    ),
    Mutant(
        "anybody opens",
        GAME,
        "if (!_registry.mayMove(c.provider, msg.sender)) revert",
        "if (false) revert",
        "GameRules",
    ),
    Mutant(
        "a point to another node",
        GAME,
        "        // INVARIANT: the claim itself contains the node.\n"
        "        if (node != x.node) revert WrongNode(node, x.node);",
        "",
        "GameRules",
    ),
    Mutant(
        "a point outside the node",
        GAME,
        "if (index >> levels != x.index) revert OutsideNode(index, x.index);",
        "",
        "GameRules",
    ),
    Mutant(
        "a reveal of other nodes",
        GAME,
        "        // INVARIANT: only a preimage answers.\n"
        "        if (node != x.node) revert WrongNode(node, x.node);",
        "",
        "GameRules",
    ),
    Mutant(
        "a reveal of another block",
        GAME,
        "if (keccak256(data) != x.node) revert WrongNode(keccak256(data), x.node);",
        "",
        "GameRules",
    ),
    Mutant(
        "a tail that nobody looks at",
        GAME,
        "if (x.index == x.count - 1) _checkTail(data, x.lastBytes);",
        "",
        "GameRules",
    ),
    Mutant(
        "terms of another job",
        CHALLENGES,
        "if (_jobHash(terms) != _claims[claimId].jobHash) revert WrongTerms(claimId);",
        "",
        "GameRules",
    ),
    Mutant(
        "a proof at another place",
        GAME,
        "kind != Proof.OUTPUT) here = false;\n        if (!here) revert NotHere(x.tree, x.level);",
        "kind != Proof.OUTPUT) here = false;",
        "GameRules",
    ),
    Mutant(
        "a tree entered from anywhere",
        GAME,
        "bool here = x.tree == from && (x.level == 0 || into == Tree.OUTPUTS);",
        "bool here = true;",
        "GameRules",
    ),
    Mutant(
        "fewer levels than were revealed",
        GAME,
        "if (levels < least || levels > x.level) revert",
        "if (levels > x.level) revert",
        "GameRules",
    ),
    Mutant(
        "asked for twice",
        GAME,
        "if (x.known) revert NothingToReveal();",
        "",
        "GameRules",
    ),
    Mutant(
        "a step opened twice",
        GAME,
        "if (c.openedAt == 0 || opening.at != 0) revert WrongTurn(x.wait, Wait.STEP);",
        "if (c.openedAt == 0) revert WrongTurn(x.wait, Wait.STEP);",
        "GameRules",
    ),
    Mutant(
        "anybody ends a claim",
        CHALLENGES,
        "if (msg.sender != COURT) revert NotCourt(msg.sender, COURT);",
        "",
        "GameRules",
    ),
)

ENDS = (
    Mutant(
        "a proof of what is equal wins",
        GAME,
        "if (!referee.judge(context, kind, proof)) revert ProvesNothing();",
        "referee.judge(context, kind, proof);",
        RUN,
    ),
    Mutant(
        "the clock never runs down",
        GAME,
        "if (x.wait == Wait.CHALLENGER) x.challengerBudget -= over;\n"
        "            else x.providerBudget -= over;",
        "",
        "GameRules",
    ),
    Mutant(
        "a fallen claim goes on",
        GAME,
        "if (c.fallen) revert HasFallen(claimId);",
        "",
        RUN,
    ),
    Mutant(
        "a challenge ends twice",
        GAME,
        "if (x.outcome != Outcome.LIVE) revert NotLive(claimId, number, x.outcome);",
        "",
        "GameRules",
    ),
    Mutant(
        "holds of the defeated stay",
        GAME,
        "_market.release(_claims[claimId].jobHash, claimId, numbers.length);",
        "",
        RUN,
    ),
    Mutant(
        "a claim falls but stands",
        CHALLENGES,
        "        _claims[claimId].fallen = true;\n        emit ClaimFell",
        "        emit ClaimFell",
        RUN,
    ),
    Mutant(
        "an answer is not paid",
        CHALLENGES,
        "_credit(msg.sender, 0, fee);",
        "",
        RUN,
    ),
    Mutant(
        "an answer is not charged",
        CHALLENGES,
        "x.native -= uint88(fee);",
        "",
        RUN,
    ),
    Mutant(
        "the provider is late by the wrong budget",
        GAME,
        "uint256 budget = x.wait == Wait.CHALLENGER ? x.challengerBudget : x.providerBudget;",
        "uint256 budget = 0;",
        "GameRules",
    ),
    Mutant(
        "an opening answers one challenge only",
        GAME,
        "if (x.wait == Wait.OPENING && c.openedAt != 0) {",
        "if (false) {",
        RUN,
    ),
)

MONEY = (
    Mutant(
        "a bond without tokens",
        CHALLENGES,
        "token = _claims[claimId].openedAt == 0 ? TRACE_FACTOR * deal.priceCeiling : 0;",
        "token = 0;",
        RUN,
    ),
    Mutant(
        "a bond of any size",
        GAME,
        "if (msg.value != native) revert WrongBond(msg.value, native);",
        "",
        "GameRules",
    ),
    Mutant(
        "tokens promised but not taken",
        GAME,
        "if (token != 0) _pull(msg.sender, token);",
        "",
        RUN,
    ),
    Mutant(
        "the burned share forgotten",
        CHALLENGES,
        "_credit(DEAD, burnedToken, burnedNative);",
        "_credit(DEAD, 0, burnedNative);",
        RUN,
    ),
    Mutant(
        "the bounty paid out of nothing",
        CHALLENGES,
        "x.native - burnedNative - bounty);",
        "x.native - burnedNative);",
        RUN,
    ),
    Mutant(
        "a bond collected twice",
        CHALLENGES,
        "x.outcome = Outcome.COLLECTED;",
        "",
        RUN,
    ),
    Mutant(
        "a bond doubled",
        CHALLENGES,
        "_credit(x.challenger, x.token, x.native);",
        "_credit(x.challenger, x.token, 2 * uint256(x.native));",
        RUN,
    ),
    Mutant(
        "bonds of a standing claim",
        CHALLENGES,
        "if (!_claims[claimId].fallen) revert HasNotFallen(claimId);",
        "",
        "GameRules",
    ),
    Mutant(
        "the reward to the last",
        CHALLENGES,
        "uint256 at = _claims[claimId].head; at != 0",
        "uint256 at = _claims[claimId].tail; at != 0",
        RUN,
    ),
    Mutant(
        "premiums on top of the reward",
        CHALLENGES,
        "if (lines != 0) reward -= premium;",
        "",
        RUN,
    ),
    Mutant(
        "a list whose head stays",
        CHALLENGES,
        "if (x.prev == 0) c.head = x.next;\n        else",
        "if (x.prev != 0)",
        RUN,
    ),
    Mutant(
        "a list that skips back",
        CHALLENGES,
        "if (x.next == 0) c.tail = x.prev;\n"
        "        else _challenges[claimId][x.next].prev = x.prev;",
        "if (x.next == 0) c.tail = x.prev;",
        RUN,
    ),
    Mutant(
        "a list that loses its end",
        CHALLENGES,
        "else _challenges[claimId][c.tail].next = uint24(number);",
        "",
        RUN,
    ),
    Mutant(
        "a defeated challenge is still alive",
        CHALLENGES,
        "_challenges[claimId][number].outcome = Outcome.DEFEATED;",
        "",
        RUN,
    ),
    Mutant(
        "a demand is no hold",
        COURT,
        "_market.hold(jobHash, claimId);",
        "",
        RUN,
    ),
    Mutant(
        "an answered demand holds on",
        COURT,
        "_market.release(jobHash, claimId, 1);",
        "",
        RUN,
    ),
    Mutant(
        "a demand's fee stays",
        COURT,
        "_credit(d.demander, 0, fee - paid);",
        "",
        RUN,
    ),
    Mutant(
        "a fee collected twice",
        COURT,
        "_end(claimId, numbers[k], d, DemandState.COLLECTED);",
        "",
        RUN,
    ),
    Mutant(
        "an answered demand may be answered again",
        COURT,
        "_demands[claimId][number].state = state;",
        "",
        RUN,
    ),
    Mutant(
        "data withheld, and the game goes on",
        COURT,
        "Payout[] memory due = _game.end(claimId, deal);",
        "Payout[] memory due;",
        RUN,
    ),
)

GAMES = (*RULES, *ENDS, *MONEY)
