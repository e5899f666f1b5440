"""Rules that hold for every text file of the tree: length, width, words that do not belong.

Run as ``python -m scripts.check_tree``: prints one line a finding and exits 1 if there are any.
The files are those that git knows or would add. Generated ones (lock files, vectors, snapshots)
are free of length and width, not of the words.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent

MAX_LINES = 500
MAX_COLUMNS = 100
README_LINES = 120

SHAPED = frozenset({".py", ".sol", ".md", ".toml", ".yaml", ".yml", ".sh", ".js", ".mjs", ".cfg"})
"""Suffixes with limits on length and width, with SHAPED_NAMES."""

SHAPED_NAMES = frozenset({"Makefile", "run", ".gitignore"})

GENERATED = ("LICENSE", "scripts/toolchain/package-lock.json", "tests/snapshots", "tests/vectors")
"""Files and folders without limits on length and width."""

BINARY = frozenset({".bin", ".npy", ".npz", ".pt2", ".png", ".gz", ".safetensors"})
"""Suffixes that are not text."""

FORBIDDEN: tuple[tuple[str, str], ...] = (
    (r"(?<![\w.])/(?:[r]oot|[w]ork|[h]ome/\w+|[o]pt/(?:wheels|pypi[\w-]*))/", "a machine's path"),
    (r"registry\.[n]pmjs\.org|files\.[p]ythonhosted\.org|[p]ypi\.org/simple", "a registry's host"),
    (r"--(?:extra-)?[i]ndex-url|\"[r]esolved\":", "a registry's address"),
    (r"\.\./[s]hared", "a file outside of the tree"),
    (
        r"\b(?:DESIGN|THREATS|NUMERICS|OPERATORS|LESSONS|ROADMAP)[.](?:[m]d)"
        r"|\b(?:DESIGN|THREATS|NUMERICS|OPERATORS|LESSONS|ROADMAP) (?:§|[A-F]\d)",
        "a document that is not in the tree: say what is needed in its own words",
    ),
    (r"^(?:<{7} |>{7} |={7}$)", "a merge conflict"),
)
"""(pattern, what it is): found nowhere in the tree. The patterns do not match themselves."""

_TEST_NAME = re.compile(r"test_[a-zA-Z0-9_]*?[a-zA-Z0-9]__[a-zA-Z0-9_]*[a-zA-Z0-9]$")


@dataclass(frozen=True, order=True)
class Finding:
    """One broken rule at one line (0: the whole file) of one file."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def files(root: Path) -> Iterator[str]:
    """Paths of what git tracks or would add below ``root``, relative, forward slashes, sorted."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
        text=True,
    )
    for path in sorted(set(listed.stdout.split("\0"))):
        if path and (root / path).is_file():
            yield path


def generated(path: str) -> bool:
    """Whether a file is free of the limits on length and width."""
    return any(path == name or path.startswith(name + "/") for name in GENERATED)


def shaped(path: str) -> bool:
    """Whether the limits on length and width hold for a file."""
    name = PurePosixPath(path)
    return not generated(path) and (name.suffix in SHAPED or name.name in SHAPED_NAMES)


def _shape(path: str, lines: list[str]) -> Iterator[Finding]:
    most = README_LINES if path == "README.md" else MAX_LINES
    if len(lines) > most:
        yield Finding(path, 0, f"{len(lines)} lines; at most {most} are wanted: split it")
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_COLUMNS and "://" not in line:
            yield Finding(path, number, f"{len(line)} columns; at most {MAX_COLUMNS} are wanted")


def _words(path: str, lines: list[str]) -> Iterator[Finding]:
    for pattern, what in FORBIDDEN:
        compiled = re.compile(pattern)
        for number, line in enumerate(lines, 1):
            if found := compiled.search(line):
                yield Finding(path, number, f"{found[0]!r} is {what}")


def _test_names(path: str, text: str) -> Iterator[Finding]:
    for node in ast.walk(ast.parse(text, path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("test_") and not _TEST_NAME.fullmatch(node.name):
                message = f"got {node.name}; test_<function>__<case>__<expected> is wanted"
                yield Finding(path, node.lineno, message)


def check_text(path: str, text: str) -> list[Finding]:
    """All findings of one file's text; ``path`` is relative to the root."""
    lines = text.splitlines()
    found = list(_words(path, lines))
    if shaped(path):
        found += _shape(path, lines)
        if text and not text.endswith("\n"):
            found.append(Finding(path, len(lines), "the last line has no end"))
    if path.startswith("tests/") and PurePosixPath(path).match("test_*.py"):
        found += _test_names(path, text)
    return sorted(found)


def check(root: Path) -> list[Finding]:
    """The findings of every text file below ``root``."""
    found: list[Finding] = []
    for path in files(root):
        if PurePosixPath(path).suffix in BINARY:
            continue
        try:
            text = (root / path).read_text("utf-8")
        except UnicodeDecodeError as error:
            found.append(Finding(path, 0, f"not UTF-8 ({error}); add its suffix to BINARY"))
            continue
        found += check_text(path, text)
    return found


def main() -> int:
    """Checks the whole tree; 0 when it is clean."""
    findings = check(ROOT)
    for finding in findings:
        print(finding)
    print(f"tree: {len(list(files(ROOT)))} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
