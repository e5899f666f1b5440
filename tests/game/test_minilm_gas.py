"""Gas of whole disputes over MiniLM against the figures in git and those of the project."""

from __future__ import annotations

import json

import pytest

from tests.actors.compiled import minilm_case
from tests.game.minilm import (
    SENTENCES,
    SNAPSHOT,
    Figures,
    chain,
    check,
    demo_figures,
    other_figures,
    worst,
)

pytestmark = pytest.mark.chain


def wanted() -> dict[str, Figures]:
    """The figures in git."""
    found: dict[str, Figures] = json.loads(SNAPSHOT.read_text())
    return found


def test_dispute__the_demo_s_lie_and_the_dearest__cost_what_git_says() -> None:
    figures = wanted()
    name, template = worst(figures)
    case = minilm_case(SENTENCES)
    with chain() as world:
        got = dict(demo_figures(world, case))
        got |= other_figures(world, case, [template])
    assert name in got
    for lie, moves in got.items():
        assert moves == figures[lie], lie
        check(lie, moves)


def test_snapshot__every_template__has_a_lie_within_the_figures() -> None:
    figures = wanted()
    for name, moves in figures.items():
        check(name, moves)
    lies = [name for name in figures if name.startswith("template ")]
    assert len(lies) == len(minilm_case(SENTENCES).example.program.templates)


@pytest.mark.long
def test_dispute__a_lie_in_every_template__costs_what_git_says() -> None:
    figures = wanted()
    case = minilm_case(SENTENCES)
    with chain() as world:
        templates = range(len(case.example.program.templates))
        for name, moves in other_figures(world, case, templates):
            assert moves == figures[name], name
