"""A fault planted in a copy of the contracts, and the runs that should find it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts import config, tools

IMPORT = re.compile(r'from\s+"(\.[^"]+)"')
FAILED = re.compile(r"\[FAIL[:.]")
SECONDS = 900


@dataclass(frozen=True)
class Mutant:
    """One edit: in ``file``, the only occurrence of ``old`` becomes ``new``.  ``killer`` is the run
    that must fail (tests/invariants/killers.py)."""

    name: str
    file: str
    old: str
    new: str
    killer: str


Killer = Callable[[Path], str | None]
"""Runs tests in a copy of the tree; what failed, or None."""


def needed(path: Path, found: set[Path]) -> set[Path]:
    """``path`` and all that it imports, relative to the root, outside of packages."""
    if path not in found:
        found.add(path)
        for name in IMPORT.findall((tools.ROOT / path).read_text()):
            target = (tools.ROOT / path.parent / name).resolve().relative_to(tools.ROOT)
            needed(target, found)
    return found


def copy_of_the_tree(folder: Path, *sources: str) -> None:
    """What ``sources`` import, with the tools and the vectors of the real tree."""
    for source in sources:
        for path in needed(Path(source), set()):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tools.ROOT / path, folder / path)
    settings = (tools.ROOT / "foundry.toml").read_text()
    settings = settings.replace("scripts/toolchain", str(tools.TOOLCHAIN))
    # Unoptimised code builds four times as fast, and is as wrong. A mutation may leave a variable
    # unused.
    settings = settings.replace("optimizer = true", "optimizer = false")
    settings = settings.replace("deny = 'warnings'", "deny = 'never'")
    settings = settings.replace("gas_snapshot_check = true", "gas_snapshot_check = false")
    (folder / "foundry.toml").write_text(settings)
    (folder / "tests").mkdir(exist_ok=True)
    if not (folder / "tests" / "vectors").exists():
        (folder / "tests" / "vectors").symlink_to(tools.ROOT / "tests" / "vectors")


def plant(mutant: Mutant, folder: Path) -> None:
    """Makes the edit."""
    path = folder / "contracts" / mutant.file
    text = path.read_text()
    assert text.count(mutant.old) == 1, f"{mutant.name}: the line to break is not there once"
    path.write_text(text.replace(mutant.old, mutant.new))


def forge_run(
    folder: Path, path: str, *, quick_invariants: bool = True
) -> subprocess.CompletedProcess[str]:
    """The tests of one file."""
    command: list[str | Path] = [tools.forge(), "test", "--root", folder]
    command += ["--match-path", path, "--fail-fast"]
    # A fault shows within a few sequences; the real contracts are held to many more.
    runs = {"FOUNDRY_INVARIANT_RUNS": "16"} if quick_invariants else {}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False,
        env=config.child_environment(runs),
    )  # fmt: skip


def failed(answer: subprocess.CompletedProcess[str]) -> str | None:
    """The first test that failed.  A build that fails is no failure of a test."""
    if answer.returncode == 0:
        return None
    found = [line for line in answer.stdout.splitlines() if FAILED.search(line)]
    assert found, answer.stdout[-2000:] + answer.stderr[-2000:]
    return found[0].strip()
