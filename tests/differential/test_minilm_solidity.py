"""Every operation of the compiled MiniLM: engine, specification and contract see the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from tests.game.elements import Elements, dearest, elements

pytestmark = pytest.mark.chain

ANY_ELEMENT = 1_500_000
"""Most gas of proving any element, in a transaction of its own; the game's own share is measured
with whole disputes (tests/game/minilm.py)."""


@pytest.fixture(scope="module")
def small() -> Iterator[Elements]:
    with elements(8) as of:
        yield of


def check(of: Elements, item: int, element: int, bit: int) -> None:
    """What the engine has proves nothing; with another bit it is proven wrong."""
    where = f"operation {item}, element {element}, bit {bit}"
    context, proof = of.proof(item, element)
    assert not of.spec_says(context, proof), where
    assert not of.contract_says(context, proof), where
    lie = of.flipped(context, proof, bit)
    assert of.spec_says(*lie), where
    assert of.contract_says(*lie), where


def test_judge__two_elements_of_every_operation__contract_and_spec_agree_with_the_engine(
    small: Elements,
) -> None:
    rng = Random(7)
    assert len(small) == 224
    for item in range(len(small)):
        for element in rng.sample(small.places(item, rng), 2):
            check(small, item, element, rng.randrange(8 * small.template(item).dtype.size))


@pytest.mark.long
def test_judge__ends_edges_and_any_element_of_64_sentences__agree_and_are_cheap() -> None:
    rng = Random(11)
    with elements(64) as of:
        for item in range(len(of)):
            for element in of.places(item, rng):
                check(of, item, element, rng.randrange(8 * of.template(item).dtype.size))
            assert dearest(of, item).gas <= ANY_ELEMENT, f"operation {item}"
