"""The conformance vectors in git are those that the specification writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.spec import vectors
from protocol.spec.microcode import Op

DIRECTORY = Path(__file__).parent.parent / "vectors"
FILES = vectors.all_files()


@pytest.mark.parametrize("name", sorted(FILES))
def test_vectors__written_again__equal_the_files_in_git(name: str) -> None:
    got = (DIRECTORY / name).read_text()
    assert got == FILES[name], f"{name} differs: run `make vectors` and look at the change"


def test_vectors__microcode__covers_every_instruction_that_computes() -> None:
    covered = {row["op"] for row in vectors.microcode()}
    sources = {"LOAD", "LOADX", "CONSTI", "CONSTF", "COORD", "RCOORD", "INDEX", "RINDEX", "STEP"}
    sources |= {"PSTEP", "SEED", "ACC"}
    assert covered == {op.name for op in Op} - sources
