"""Malformed answers to the real data referee: refused by name and in bounded gas, or what the twin
says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

import pytest

from protocol.spec import trees
from protocol.spec.answers import Part
from scripts import tools
from tests.court.answered import Answered, answers, changed, halves, some
from tests.differential.code_calls import Answer, Caller, built, caller, named_errors
from tests.game import malformed
from tests.game.onchain import encoded

pytestmark = pytest.mark.chain

GAS: Final = 10_000_000


@dataclass(frozen=True)
class Referee:
    """The contract, and what it may say."""

    node: Caller
    at: str
    named: set[str]

    def ask(self, data: bytes) -> Answer:
        return self.node.call(self.at, data, GAS)


@pytest.fixture(scope="module")
def referee() -> Iterator[Referee]:
    code = built(tools.ROOT, "DataReferee")["DataReferee"]
    with caller() as node:
        yield Referee(node, node.lay(code), named_errors(tools.ROOT, "DataReferee"))


def compare(referee: Referee, calls: Iterator[Answered]) -> Counter[str]:
    """Each is refused by name, or taken, as by the twin.  How often what was said."""
    seen: Counter[str] = Counter()
    for x in calls:
        answer = referee.ask(x.calldata())
        if answer.ok:
            assert x.result(answer.data) == x.wanted(), x.name
            seen["taken"] += 1
        else:
            assert answer.selector in referee.named, (x.name, answer)
            assert x.wanted() is None, (x.name, answer)
            seen[answer.selector] += 1
    return seen


def test_shown__answers_at_every_place__are_taken_as_by_the_twin(referee: Referee) -> None:
    seen: Counter[tuple[Part, bool]] = Counter()
    for x in answers():
        answer, wanted = referee.ask(x.calldata()), x.wanted()
        assert answer.ok, (x.name, answer)
        assert x.result(answer.data) == wanted, x.name
        seen[x.where.part, bool(wanted)] += 1
    for part in Part:
        assert seen[part, True], part.name
        assert seen[part, False] or part is Part.HEADER, part.name


def test_shown__one_part_changed__refuses_by_name_or_agrees_with_the_twin(
    referee: Referee,
) -> None:
    rng = Random(1)
    seen = compare(referee, changed(some(rng, 3), rng))
    assert seen.total() - seen["taken"] > 500
    assert len(seen) > 4


def test_shown__half_a_run_with_its_path__is_refused_by_both(referee: Referee) -> None:
    wrong = trees.keccak256(b"WrongRun(uint256,uint256)")[:4].hex()
    seen = compare(referee, halves())
    assert set(seen) == {wrong}
    assert seen[wrong] >= 3


@pytest.mark.long
def test_shown__any_part_changed__refuses_by_name_or_agrees_with_the_twin(
    referee: Referee,
) -> None:
    rng = Random(2)
    for _ in range(10):
        compare(referee, changed(answers(), rng))


def check_bytes(referee: Referee, calls: list[Answered], rng: Random, each: int) -> Counter[str]:
    """Garbled bytes show what the answer shows, or are refused as REFUSE-1 says."""
    seen: Counter[str] = Counter()
    for x in calls:
        for at, data in malformed.garbled(encoded(x.answer), rng, each):
            answer = referee.ask(x.calldata(data))
            if answer.ok:
                assert x.result(answer.data) == x.wanted(), (x.name, at)
            else:
                assert answer.is_refusal(referee.named), (x.name, at, answer)
            seen["taken" if answer.ok else answer.selector or "without data"] += 1
    return seen


def test_shown__garbled_bytes__shows_nothing_else_and_never_panics(referee: Referee) -> None:
    rng = Random(3)
    seen = check_bytes(referee, some(rng, 4), rng, 30)
    assert seen.total() - seen["taken"] > 500
    assert seen["without data"] > 100
    assert len(seen) > 4


@pytest.mark.long
def test_shown__any_garbled_bytes__shows_nothing_else_and_never_panics(referee: Referee) -> None:
    rng = Random(4)
    for _ in range(10):
        check_bytes(referee, answers(), rng, 60)


def test_shown__truncated_calls__are_refused(referee: Referee) -> None:
    rng = Random(5)
    for x in some(rng, 2):
        data = x.calldata()
        sizes = (0, 3, 4, 35, 200, len(data) - 32, *(rng.randrange(len(data)) for _ in range(10)))
        for size in sizes:
            answer = referee.ask(data[:size])
            if not answer.ok:
                assert answer.is_refusal(referee.named), (x.name, size, answer)
            else:
                # What was cut is zeros, as calldata reads beyond its end; or is not looked at.
                assert x.result(answer.data) == x.wanted(), (x.name, size)
