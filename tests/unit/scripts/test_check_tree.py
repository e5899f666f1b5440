"""The tree check finds what it must, and only that."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts import check_tree


def _found(path: str, text: str) -> list[str]:
    return [finding.message for finding in check_tree.check_text(path, text)]


# Put together here, so that this file does not break the rules it tests.
@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("cd /", "root/x"), "machine"),
        (("see /", "work/main"), "machine"),
        (("(/", "home/somebody/x)"), "machine"),
        (("https://registry.", "npmjs.org/solc"), "registry"),
        (("https://files.", "pythonhosted.org/x"), "registry"),
        (("pip install --", "index-url x"), "registry"),
        (('  "', 'resolved": "https://x"'), "registry"),
        (("read ..", "/shared/x"), "outside"),
        (("as DESIGN.", "md says"), "in the tree"),
        (("rule of THREATS ", "F2"), "in the tree"),
        (("DESIGN ", "§3"), "in the tree"),
        (("<" * 7, " HEAD"), "conflict"),
    ],
)
def test_check_text__forbidden_words__are_found(words: tuple[str, str], what: str) -> None:
    for path in ("a.py", "notes.md", "scripts/toolchain/package-lock.json", "x.unknown"):
        (message,) = _found(path, "".join(words) + "\n")
        assert what in message


@pytest.mark.parametrize(
    "text",
    [
        "the work" "/rest of it, or ./work" "/x\n",
        "the design of threats and numerics\n",
        "build/home\n",
        "https://example.org/root" "/x\n",
    ],
)
def test_check_text__harmless_words__are_not_found(text: str) -> None:
    assert _found("a.txt", text) == []


def test_check_text__too_many_lines__is_found() -> None:
    assert _found("a.py", "x\n" * 500) == []
    (message,) = _found("a.py", "x\n" * 501)
    assert message.startswith("501 lines; at most 500")
    assert _found("README.md", "x\n" * 121) != []
    assert _found("tests/vectors/a.py", "x\n" * 501) == []
    assert _found("a.json", "x\n" * 501) == []


def test_check_text__too_wide_a_line__is_found() -> None:
    assert _found("a.sol", "x" * 100 + "\n") == []
    (message,) = _found("a.sol", "y\n" + "x" * 101 + "\n")
    assert message == "101 columns; at most 100 are wanted"
    assert _found("Makefile", "x" * 101 + "\n") != []
    assert _found("a.md", "see https://example.org/" + "x" * 101 + "\n") == []


def test_check_text__no_last_newline__is_found() -> None:
    assert _found("a.py", "x") == ["the last line has no end"]
    assert _found("a.py", "") == []


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("test_add__two_numbers__gives_their_sum", True),
        ("test_add__two_numbers", True),
        ("test_add_two_numbers", False),
        ("test_add__", False),
        ("helper", True),
    ],
)
def test_check_text__names_of_tests__are_sentences(name: str, good: bool) -> None:
    source = f"def {name}() -> None:\n    assert True\n"
    assert (_found("tests/unit/test_x.py", source) == []) is good
    assert _found("tests/unit/builders.py", source) == []


def test_files__untracked_and_ignored__are_told_apart(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("gone.py\n")
    (tmp_path / "gone.py").write_text("x" * 200)
    (tmp_path / "new.py").write_text("x" * 200 + "\n")
    (tmp_path / "odd.py").write_bytes(b"\xff\n")
    found = check_tree.check(tmp_path)
    assert [(finding.path, finding.line) for finding in found] == [("new.py", 1), ("odd.py", 0)]
