"""The properties bite: each planted fault in market or registry is caught by the forge run.

A mutant is one edit of one line. Its copy of the contracts is built and the properties of
tests/PROPERTIES.md are run against it; they must fail. A few mutants are run with every test
run, all of them by ``make test-long``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts import config, tools

PROPERTIES = Path("tests/forge/MarketInvariants.t.sol")
IMPORT = re.compile(r'from\s+"(\.[^"]+)"')
SECONDS = 600


@dataclass(frozen=True)
class Mutant:
    """One edit: in ``file``, the only occurrence of ``old`` becomes ``new``."""

    name: str
    file: str
    old: str
    new: str


QUICK = (
    Mutant(
        "late bounty paid twice",
        "JobMarket.sol",
        "payouts[1] = Payout(msg.sender, 0, uint128(_lateBounty(deal)));",
        "payouts[1] = Payout(msg.sender, 0, uint128(_lateBounty(deal)));\n"
        "        _credit(msg.sender, 0, _lateBounty(deal));",
    ),
)

LONG = (
    Mutant(
        "refund forgets the price",
        "JobMarket.sol",
        "_end(jobHash, JobStatus.Refunded);\n        _credit(deal.client, deal.priceCeiling, 0);",
        "_end(jobHash, JobStatus.Refunded);",
    ),
    Mutant(
        "cancelled job stays open",
        "JobMarket.sol",
        "_end(jobHash, JobStatus.Cancelled);",
        "",
    ),
    Mutant(
        "loser may come again",
        "JobMarket.sol",
        "_lost[jobHash][s.provider] = true;",
        "",
    ),
    Mutant(
        "last attempt reopens",
        "JobMarket.sol",
        "bool last = s.attempt + 1 == deal.attempts;",
        "bool last = s.attempt == deal.attempts;",
    ),
    Mutant(
        "holds survive a rejection",
        "JobMarket.sol",
        "next.clock = last ? 0",
        "next.holds = s.holds;\n        next.clock = last ? 0",
    ),
    Mutant(
        "result survives a rejection",
        "JobMarket.sol",
        "        delete _results[jobHash];\n        bool last",
        "        bool last",
    ),
    Mutant(
        "void pays the client its price again",
        "JobMarket.sol",
        "_credit(deal.client, split.toClient, split.bountyLeft);",
        "_credit(deal.client, deal.priceCeiling, split.bountyLeft);",
    ),
    Mutant(
        "void keeps the lock",
        "JobMarket.sol",
        "if (taken) _registry.voidLock(s.provider, token, native, deal.workMs, split.lacking);",
        "",
    ),
    Mutant(
        "finalize leaves the lock",
        "JobMarket.sol",
        "_registry.unlock(s.provider, token, native, deal.workMs, true);",
        "_registry.unlock(s.provider, token, 0, deal.workMs, true);",
    ),
    Mutant(
        "deposits count double",
        "JobMarket.sol",
        "_credit(msg.sender, amount, msg.value);",
        "_credit(msg.sender, amount, 2 * msg.value);",
    ),
    Mutant(
        "credit spent but kept",
        "Credits.sol",
        "_write(account, oldToken - token, oldNative - native);",
        "_write(account, oldToken, oldNative - native);",
    ),
    Mutant(
        "halves of a credit spill",
        "Credits.sol",
        "_credits[account] = token | (native << 128);",
        "_credits[account] = token | (native << 64);",
    ),
    Mutant(
        "slash forgets to burn",
        "ProviderRegistry.sol",
        "_credit(DEAD, burned, 0);",
        "",
    ),
    Mutant(
        "slash returns what it spent",
        "ProviderRegistry.sol",
        "_free(provider, token - spentToken, native - spentNative, workMs, false);\n"
        "        if (fault",
        "_free(provider, token, native - spentNative, workMs, false);\n        if (fault",
    ),
    Mutant(
        "lock taken from nowhere",
        "ProviderRegistry.sol",
        "a.stake -= uint96(token);\n        a.deposit -= uint80(native);\n        a.backlogMs",
        "a.deposit -= uint80(native);\n        a.backlogMs",
    ),
    Mutant(
        "backlog never shrinks",
        "ProviderRegistry.sol",
        "a.backlogMs -= uint56(workMs);",
        "",
    ),
    Mutant(
        "unbonded money leaves twice",
        "ProviderRegistry.sol",
        "delete _unbonding[msg.sender];",
        "",
    ),
    Mutant(
        "late burn rounds down to nothing",
        "libraries/Splits.sol",
        "toClient = taken - (taken + BURN_PARTS - 1) / BURN_PARTS;",
        "toClient = taken - taken / (BURN_PARTS * BURN_PARTS);",
    ),
    Mutant(
        "late provider's client gains more than the price",
        "libraries/Splits.sol",
        "if (toClient > price) toClient = price;",
        "",
    ),
    Mutant(
        "rejected provider keeps a unit",
        "libraries/Splits.sol",
        "burned = (token + BURN_PARTS - 1) / BURN_PARTS;",
        "burned = token / (BURN_PARTS + 1);",
    ),
    Mutant(
        "finalized attempts are not counted",
        "ProviderRegistry.sol",
        "if (finalized && a.done < type(uint24).max) a.done++;",
        "",
    ),
)


def needed(path: Path, found: set[Path]) -> set[Path]:
    """``path`` and all that it imports, relative to the root, outside of packages."""
    if path not in found:
        found.add(path)
        for name in IMPORT.findall((tools.ROOT / path).read_text()):
            target = (tools.ROOT / path.parent / name).resolve().relative_to(tools.ROOT)
            needed(target, found)
    return found


def copy_of_the_tree(folder: Path) -> None:
    """The properties and the contracts that they import, with the tools of the real tree."""
    for path in needed(PROPERTIES, set()):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tools.ROOT / path, folder / path)
    settings = (tools.ROOT / "foundry.toml").read_text()
    settings = settings.replace("scripts/toolchain", str(tools.TOOLCHAIN))
    # Unoptimised code builds four times as fast, and is as wrong. A mutation may leave a variable
    # unused.
    settings = settings.replace("optimizer = true", "optimizer = false")
    settings = settings.replace("deny = 'warnings'", "deny = 'never'")
    (folder / "foundry.toml").write_text(settings)


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """The properties' run in a folder."""
    return subprocess.run(
        [
            tools.forge(),
            "test",
            "--root",
            folder,
            "--match-contract",
            "MarketInvariants",
            "--fail-fast",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        # A fault shows within a few sequences; the real contracts are held to many more.
        env=config.child_environment({"FOUNDRY_INVARIANT_RUNS": "16"}),
    )


def assert_caught(mutant: Mutant, folder: Path) -> None:
    """Builds the mutant and demands that a property, and nothing else, fails."""
    copy_of_the_tree(folder)
    path = folder / "contracts" / mutant.file
    text = path.read_text()
    assert text.count(mutant.old) == 1, f"{mutant.name}: the line to break is not there once"
    path.write_text(text.replace(mutant.old, mutant.new))
    answer = run(folder)
    assert answer.returncode == 1, f"{mutant.name} was not caught:\n{answer.stdout[-2000:]}"
    assert re.search(r"\[FAIL[:.]", answer.stdout), answer.stdout[-2000:] + answer.stderr[-2000:]


@pytest.mark.parametrize("mutant", QUICK, ids=lambda m: m.name.replace(" ", "_"))
def test_properties__a_planted_fault__is_caught(mutant: Mutant, tmp_path: Path) -> None:
    assert_caught(mutant, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("mutant", LONG, ids=lambda m: m.name.replace(" ", "_"))
def test_properties__every_planted_fault__is_caught(mutant: Mutant, tmp_path: Path) -> None:
    assert_caught(mutant, tmp_path)


@pytest.mark.long
def test_properties__the_contracts_as_they_are__hold(tmp_path: Path) -> None:
    copy_of_the_tree(tmp_path)
    answer = run(tmp_path)
    assert answer.returncode == 0, answer.stdout[-2000:] + answer.stderr[-2000:]
