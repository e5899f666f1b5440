"""Garbled proofs of illegality to the real referee: refused as REFUSE-1 says, and nothing becomes
illegal by them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Final

import pytest

from protocol.spec.legality_proofs import InstanceCase
from scripts import tools
from tests.differential.code_calls import Caller, built, caller, named_errors
from tests.differential.legality_calls import Examined, known
from tests.differential.legality_vectors import encoded
from tests.game import malformed

pytestmark = pytest.mark.chain

GAS: Final = 10_000_000
NAME: Final = "LegalityReferee"


@pytest.fixture(scope="module")
def node() -> Iterator[tuple[Caller, str]]:
    code = built(tools.ROOT, NAME)[NAME]
    with caller() as node:
        yield node, node.lay(code)


LAST: Final = (1 << 256) - 1


def check(node: tuple[Caller, str], calls: list[Examined], rng: Random, each: int) -> Counter[str]:
    chain, at = node
    named = named_errors(tools.ROOT, NAME)
    seen: Counter[str] = Counter()
    for x in calls:
        for where, data in malformed.garbled(encoded(x.case), rng, each):
            answer = chain.call(at, x.calldata(data), GAS)
            if answer.ok:
                # Of a legal program no other bytes show that it is not.
                assert not int.from_bytes(answer.data, "big") or x.wanted(), (x, where)
            else:
                assert answer.is_refusal(named), (x, where, answer)
            seen["judged" if answer.ok else answer.selector or "without data"] += 1
    return seen


def test_illegal__garbled_bytes__decide_nothing_else_and_never_panic(
    node: tuple[Caller, str],
) -> None:
    rng = Random(1)
    seen = check(node, rng.sample(known(), 60), rng, 20)
    assert seen.total() - seen["judged"] > 500, seen
    assert seen["without data"] > 100
    assert len(seen) > 4


def test_illegal__the_last_number_as_operand__is_refused_by_name(node: tuple[Caller, str]) -> None:
    chain, at = node
    x = next(x for x in known() if isinstance(x.case, InstanceCase) and x.wanted() is False)
    assert isinstance(x.case, InstanceCase)
    last = replace(x, case=x.case._replace(operand=LAST))
    answer = chain.call(at, last.calldata(), GAS)
    assert last.wanted() is None
    assert not answer.ok
    assert answer.is_refusal(named_errors(tools.ROOT, NAME)), answer


@pytest.mark.long
def test_illegal__any_garbled_bytes__decide_nothing_else_and_never_panic(
    node: tuple[Caller, str],
) -> None:
    rng = Random(2)
    for _ in range(4):
        check(node, known(), rng, 60)
