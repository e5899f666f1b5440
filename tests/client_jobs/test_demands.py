"""Places that can be demanded, and the pieces that answers show.  Without a chain."""

from __future__ import annotations

import pytest

from client.demanded import LARGEST, missing_text, piece_of
from protocol.spec.answers import Answerer, Part, Place, shown
from protocol.spec.trace import Tree
from tests.actors.case import AnyCase, raw
from tests.game.world import case


def answerer(of: AnyCase) -> Answerer:
    e, truth = of.example, of.truth

    def tensor(part: Part, item: int) -> bytes:
        if part is Part.OUTPUT:
            last = len(truth.levels(Tree.STEPS)[0]) - 1
            return bytes(truth.data(Tree.STATES, last, e.program.outputs[item]))
        return raw((e.constants if part is Part.CONSTANT else e.inputs)[item])

    return Answerer(e.program, tensor)


@pytest.mark.parametrize("part", Part, ids=lambda part: part.name.lower())
@pytest.mark.parametrize("name", ("mlp", "counter"))
def test_missing_text__any_place__is_empty_where_the_answer_shows_something(
    name: str, part: Part
) -> None:
    of = case(name)
    program, held = of.example.program, answerer(of)
    task, root = of.task(bytes(20), bytes(32)), of.truth.levels(Tree.OUTPUTS)[-1][0]
    seen = 0
    for item in (0, 1, 99):
        for index in (0, 1, 99):
            if missing_text(part, item, index):
                continue  # the contract refuses it
            answer = held.answer(part, item, index)
            found = shown(Place(task, program, root, part, item, index), answer)
            words = missing_text(part, item, index, program)
            assert bool(found) is not bool(words), (item, index, words)
            if found:
                assert len(piece_of(part, answer)) == found
                seen += 1
    assert seen or name == "counter"  # which has no constants and no inputs


@pytest.mark.parametrize(
    "part, item, index, words",
    [
        (Part.HEADER, 1, 0, "one header, at 0, 0"),
        (Part.HEADER, 0, 1, "one header, at 0, 0"),
        (Part.TEMPLATE, 0, 3, "got index 3: a template is one piece"),
        (Part.OUTPUT, -1, 0, "numbers begin at 0"),
        (Part.OUTPUT, 0, LARGEST + 1, "256 bits"),
    ],
)
def test_missing_text__a_place_of_no_program__says_what_there_is(
    part: Part, item: int, index: int, words: str
) -> None:
    assert words in missing_text(part, item, index)


def test_missing_text__a_place_that_the_program_lacks__counts_what_it_has() -> None:
    program = case("mlp").example.program
    assert "has 1 of output" in missing_text(Part.OUTPUT, 1, 0, program)
    assert "output 0 has 1, numbered" in missing_text(Part.OUTPUT, 0, 1, program)
