"""The tests bite: each planted fault in the contracts is caught by the run that should catch it.

A mutant is one edit of one line in a copy of the contracts.  A few are run with every test run, all
of them by ``make test-long``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import tools
from tests.differential.code_calls import Caller, caller
from tests.invariants.data_mutants import REFEREES_OF_DATA
from tests.invariants.game_mutants import GAMES
from tests.invariants.killers import SOURCES, killer, prepare
from tests.invariants.market_mutants import MARKET
from tests.invariants.mutants import Mutant, plant
from tests.invariants.number_mutants import NUMBERS
from tests.invariants.price_mutants import PRICES
from tests.invariants.referee_mutants import REFEREE

pytestmark = pytest.mark.chain

ALL = (*MARKET, *GAMES, *PRICES, *NUMBERS, *REFEREE, *REFEREES_OF_DATA)
QUICK = tuple(
    m for m in ALL
    if m.name in {
        "late bounty paid twice", "a quotient forgets its remainder", "a skipped guard",
        "siblings left over above blocks", "any seed", "an operand bound to nothing",
        "a late challenger still moves",
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def node() -> Iterator[Caller]:
    with caller() as node:
        yield node


def assert_caught(mutant: Mutant, folder: Path, node: Caller) -> None:
    """Builds the mutant; its run, and nothing before it, fails."""
    prepare(mutant.killer, folder)
    plant(mutant, folder)
    assert killer(mutant.killer, node)(folder) is not None, f"{mutant.name} was not caught"


def slug(mutant: Mutant) -> str:
    return mutant.name.replace(" ", "_")


def test_mutants__table__is_of_edits_that_exist_once() -> None:
    assert len({m.name for m in ALL}) == len(ALL)
    for m in ALL:
        text = (tools.ROOT / "contracts" / m.file).read_text()
        assert text.count(m.old) == 1, m.name
        assert m.new != m.old, m.name
    assert len(NUMBERS) + len(REFEREE) >= 30
    assert len(GAMES) >= 30
    assert len(QUICK) == 7


@pytest.mark.parametrize("mutant", QUICK, ids=slug)
def test_tests__a_planted_fault__is_caught(mutant: Mutant, tmp_path: Path, node: Caller) -> None:
    assert_caught(mutant, tmp_path, node)


@pytest.mark.long
@pytest.mark.parametrize("mutant", [m for m in ALL if m not in QUICK], ids=slug)
def test_tests__every_planted_fault__is_caught(
    mutant: Mutant, tmp_path: Path, node: Caller
) -> None:
    assert_caught(mutant, tmp_path, node)


@pytest.mark.long
@pytest.mark.parametrize("name", SOURCES)
def test_tests__the_contracts_as_they_are__pass(name: str, tmp_path: Path, node: Caller) -> None:
    prepare(name, tmp_path)
    assert killer(name, node)(tmp_path) is None
