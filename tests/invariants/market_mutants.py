"""Planted faults in market and registry: the properties of tests/PROPERTIES.md find each."""

from __future__ import annotations

from tests.invariants.mutants import Mutant

PROPERTIES = "MarketInvariants"

MARKET = (
    Mutant(
        "late bounty paid twice",
        "JobMarket.sol",
        "payouts[1] = Payout(msg.sender, 0, uint128(_lateBounty(deal)));",
        "payouts[1] = Payout(msg.sender, 0, uint128(_lateBounty(deal)));\n"
        "        _credit(msg.sender, 0, _lateBounty(deal));",
        PROPERTIES,
    ),
    Mutant(
        "refund forgets the price",
        "JobMarket.sol",
        "_end(jobHash, JobStatus.Refunded);\n        _credit(deal.client, deal.priceCeiling, 0);",
        "_end(jobHash, JobStatus.Refunded);",
        PROPERTIES,
    ),
    Mutant(
        "cancelled job stays open",
        "JobMarket.sol",
        "_end(jobHash, JobStatus.Cancelled);",
        "",
        PROPERTIES,
    ),
    Mutant(
        "loser may come again",
        "JobMarket.sol",
        "_lost[jobHash][s.provider] = true;",
        "",
        PROPERTIES,
    ),
    Mutant(
        "last attempt reopens",
        "JobMarket.sol",
        "bool last = s.attempt + 1 == deal.attempts;",
        "bool last = s.attempt == deal.attempts;",
        PROPERTIES,
    ),
    Mutant(
        "holds survive a rejection",
        "JobMarket.sol",
        "next.clock = last ? 0",
        "next.holds = s.holds;\n        next.clock = last ? 0",
        PROPERTIES,
    ),
    Mutant(
        "result survives a rejection",
        "JobMarket.sol",
        "        delete _results[jobHash];\n        bool last",
        "        bool last",
        PROPERTIES,
    ),
    Mutant(
        "void pays the client its price again",
        "JobMarket.sol",
        "_credit(deal.client, split.toClient, split.bountyLeft);",
        "_credit(deal.client, deal.priceCeiling, split.bountyLeft);",
        PROPERTIES,
    ),
    Mutant(
        "void keeps the lock",
        "JobMarket.sol",
        "if (taken) _registry.voidLock(s.provider, token, native, deal.workMs, split.lacking);",
        "",
        PROPERTIES,
    ),
    Mutant(
        "finalize leaves the lock",
        "JobMarket.sol",
        "_registry.unlock(s.provider, token, native, deal.workMs, true);",
        "_registry.unlock(s.provider, token, 0, deal.workMs, true);",
        PROPERTIES,
    ),
    Mutant(
        "deposits count double",
        "JobMarket.sol",
        "_credit(msg.sender, amount, msg.value);",
        "_credit(msg.sender, amount, 2 * msg.value);",
        PROPERTIES,
    ),
    Mutant(
        "credit spent but kept",
        "Credits.sol",
        "_write(account, oldToken - token, oldNative - native);",
        "_write(account, oldToken, oldNative - native);",
        PROPERTIES,
    ),
    Mutant(
        "halves of a credit spill",
        "Credits.sol",
        "_credits[account] = token | (native << 128);",
        "_credits[account] = token | (native << 64);",
        PROPERTIES,
    ),
    Mutant(
        "slash forgets to burn",
        "ProviderRegistry.sol",
        "_credit(DEAD, burned, 0);",
        "",
        PROPERTIES,
    ),
    Mutant(
        "slash returns what it spent",
        "ProviderRegistry.sol",
        "_free(provider, token - spentToken, native - spentNative, workMs, false);\n"
        "        if (fault",
        "_free(provider, token, native - spentNative, workMs, false);\n        if (fault",
        PROPERTIES,
    ),
    Mutant(
        "lock taken from nowhere",
        "ProviderRegistry.sol",
        "a.stake -= uint96(token);\n        a.deposit -= uint80(native);\n        a.backlogMs",
        "a.deposit -= uint80(native);\n        a.backlogMs",
        PROPERTIES,
    ),
    Mutant(
        "backlog never shrinks",
        "ProviderRegistry.sol",
        "a.backlogMs -= uint56(workMs);",
        "",
        PROPERTIES,
    ),
    Mutant(
        "unbonded money leaves twice",
        "ProviderRegistry.sol",
        "delete _unbonding[msg.sender];",
        "",
        PROPERTIES,
    ),
    Mutant(
        "late burn rounds down to nothing",
        "libraries/Splits.sol",
        "toClient = taken - (taken + BURN_PARTS - 1) / BURN_PARTS;",
        "toClient = taken - taken / (BURN_PARTS * BURN_PARTS);",
        PROPERTIES,
    ),
    Mutant(
        "late provider's client gains more than the price",
        "libraries/Splits.sol",
        "if (toClient > price) toClient = price;",
        "",
        PROPERTIES,
    ),
    Mutant(
        "rejected provider keeps a unit",
        "libraries/Splits.sol",
        "burned = (token + BURN_PARTS - 1) / BURN_PARTS;",
        "burned = token / (BURN_PARTS + 1);",
        PROPERTIES,
    ),
    Mutant(
        "finalized attempts are not counted",
        "ProviderRegistry.sol",
        "if (finalized && a.done < type(uint24).max) a.done++;",
        "",
        PROPERTIES,
    ),
)
