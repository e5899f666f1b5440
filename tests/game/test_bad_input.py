"""Malformed proofs to the real referees: a named error and bounded gas, or what the twin says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from random import Random
from typing import Final

import pytest

from protocol.spec.errors import ProofError
from protocol.spec.referee import Proof
from scripts import tools
from tests.differential.code_calls import Answer, Caller, built, caller, named_errors
from tests.game import hostile, malformed
from tests.game.judged import Judged, Verdict, lies, template_of, truths
from tests.game.onchain import encoded

pytestmark = pytest.mark.chain

REFEREES: Final = ("TensorReferee", "TraceReferee")
GAS: Final = 10_000_000


@dataclass(frozen=True)
class Referees:
    """The contracts, and what they may say."""

    node: Caller
    at: dict[str, str]
    named: set[str]

    def ask(self, x: Judged, proof: bytes | None = None) -> Answer:
        return self.node.call(self.at[x.contract], x.calldata(proof), GAS)


@pytest.fixture(scope="module")
def referees() -> Iterator[Referees]:
    codes = built(tools.ROOT, *REFEREES)
    with caller() as node:
        at = {name: node.lay(code) for name, code in codes.items()}
        yield Referees(node, at, named_errors(tools.ROOT, *REFEREES))


@cache
def true_calls() -> list[Judged]:
    return list(truths())


@cache
def false_calls() -> list[Judged]:
    return list(lies())


def verdict_of(x: Judged, before: Verdict) -> Verdict | None:
    """The twin's; None where it refuses.  It may ask for a block that a pad hides: then the verdict
    is that of the proof with it."""
    try:
        return x.again()
    except ProofError as error:
        return before if str(error).startswith("blocks") else None


def test_referees__well_formed_proofs__are_judged_as_by_the_twin(referees: Referees) -> None:
    for x in [*true_calls(), *false_calls()]:
        assert x.again() == x.verdict, x.name
        answer = referees.ask(x)
        assert answer.ok, (x.name, answer)
        assert x.result(answer.data) == x.verdict, x.name


# --- proofs of which one part is another ----------------------------------------------------------


def check(referees: Referees, calls: Iterable[Judged]) -> Counter[str]:
    """Each is refused by name, or judged as by the twin.  How often what was said."""
    seen: Counter[str] = Counter()
    for x in calls:
        answer = referees.ask(x)
        if answer.ok:
            seen["judged"] += 1
            assert x.result(answer.data) == verdict_of(x, x.verdict), x.name
        else:
            assert answer.selector in referees.named, (x.name, answer)
            seen[answer.selector] += 1
    return seen


def one_part_changed(calls: Sequence[Judged], rng: Random) -> Iterator[Judged]:
    for x in calls:
        for where, proof in malformed.changed(x.proof, rng):
            yield replace(x, name=f"{x.name}: {where}", proof=proof)


def parts_of_others(calls: Sequence[Judged], rng: Random) -> Iterator[Judged]:
    """With parts of another proof, of the same job or not; or whole, at another place."""
    for x in calls:
        for other in rng.sample(calls, 3):
            for where, proof in malformed.grafted(x.proof, other.proof, rng):
                yield replace(x, name=f"{x.name}: {where} from {other.name}", proof=proof)
        moved = rng.choice([y for y in calls if y.what is x.what])
        yield replace(x, name=f"{x.name} at {moved.name}", context=moved.context)


def some(calls: list[Judged], rng: Random, each: int) -> list[Judged]:
    """Some calls of each kind."""
    out = []
    for what in {x.what: None for x in calls}:
        same = [x for x in calls if x.what is what]
        out += rng.sample(same, min(each, len(same)))
    return out


def test_referees__one_part_changed__refuse_by_name_or_agree_with_the_twin(
    referees: Referees,
) -> None:
    rng = Random(1)
    calls = some(true_calls(), rng, 3) + some(false_calls(), rng, 2)
    seen = check(referees, one_part_changed(calls, rng))
    assert seen.total() > 2000
    assert len(seen) > 8


def test_referees__parts_of_other_proofs__refuse_by_name_or_agree_with_the_twin(
    referees: Referees,
) -> None:
    rng = Random(2)
    seen = check(referees, parts_of_others(some(true_calls(), rng, 8), rng))
    assert seen.total() > 500
    assert len(seen) > 4


@pytest.mark.long
def test_referees__any_part_of_any_proof_changed__refuse_by_name_or_agree_with_the_twin(
    referees: Referees,
) -> None:
    rng = Random(3)
    seen = check(referees, one_part_changed([*true_calls(), *false_calls()], rng))
    assert seen.total() > 40_000
    check(referees, parts_of_others(true_calls(), rng))
    check(referees, parts_of_others(false_calls(), rng))


# --- bytes that may be the encoding of nothing ----------------------------------------------------


def check_bytes(referees: Referees, calls: Iterable[Judged], rng: Random, each: int) -> int:
    """Nothing wins against an honest claim; what reverts does so as REFUSE-1 says.  How many were
    refused."""
    refused = 0
    for x in calls:
        for where, data in malformed.garbled(encoded(x.proof), rng, each):
            answer = referees.ask(x, data)
            if answer.ok:
                assert x.result(answer.data) == x.verdict, (x.name, where)
                continue
            refused += 1
            assert answer.is_refusal(referees.named), (x.name, where, answer)
    return refused


def test_referees__garbled_bytes__nothing_wins_nothing_panics(referees: Referees) -> None:
    rng = Random(4)
    assert check_bytes(referees, some(true_calls(), rng, 4), rng, 100) > 1000


@pytest.mark.long
def test_referees__any_garbled_bytes__nothing_wins_nothing_panics(referees: Referees) -> None:
    rng = Random(5)
    for _ in range(4):
        check_bytes(referees, true_calls(), rng, 100)


def test_referees__truncated_calls__revert(referees: Referees) -> None:
    rng = Random(6)
    for x in some(true_calls(), rng, 4):
        data = x.calldata()
        used = 32 * (len(data) // 32)
        for size in (0, 3, 4, 35, 200, used - 32, *(rng.randrange(used) for _ in range(10))):
            answer = referees.node.call(referees.at[x.contract], data[:size], GAS)
            if not answer.ok:
                assert answer.is_refusal(referees.named), (x.name, size, answer)
            else:
                # Only zeros were cut: calldata reads as zeros beyond its end.
                assert not any(data[size:]), (x.name, size)


# --- programs that no compiler writes -------------------------------------------------------------


def check_hostile(referees: Referees, calls: Iterable[Judged]) -> Counter[str]:
    """A decision, or an error by name, in bounded gas."""
    seen: Counter[str] = Counter()
    for x in calls:
        answer = referees.ask(x)
        if not answer.ok:
            assert answer.selector in referees.named, (x.name, answer)
        seen["judged" if answer.ok else answer.selector] += 1
    return seen


def hostile_programs(calls: Iterable[Judged], rng: Random) -> Iterator[Judged]:
    for x in calls:
        yield from hostile.descriptors(x, rng)
        yield from hostile.headers(x)


def hostile_templates(calls: Iterable[Judged]) -> Iterator[Judged]:
    for x in calls:
        if x.what is Proof.ELEMENT:
            yield from hostile.templates(x, template_of(x))


def test_recommitted__nothing_changed__is_the_call_itself() -> None:
    for x in true_calls():
        assert hostile.recommitted(x) == x, x.name


def test_referees__hostile_programs__refuse_by_name(referees: Referees) -> None:
    rng = Random(7)
    seen = check_hostile(referees, hostile_programs(some(true_calls(), rng, 4), rng))
    assert seen.total() - seen["judged"] > 500
    assert len(seen) > 8


def test_referees__hostile_templates__refuse_by_name(referees: Referees) -> None:
    rng = Random(8)
    calls = [x for x in true_calls() if x.what is Proof.ELEMENT]
    seen = check_hostile(referees, hostile_templates(rng.sample(calls, 12)))
    assert seen.total() - seen["judged"] > 300
    assert len(seen) > 6


def test_referees__slice_from_another_block_of_its_tensor__is_refused(
    referees: Referees,
) -> None:
    calls: dict[bytes, list[Judged]] = {}
    for x in true_calls():
        if x.what is Proof.SLICE:
            calls.setdefault(x.proof.old.root, []).append(x)  # type: ignore[attr-defined]
    asked = 0
    for row in calls.values():
        for x, y in product(row, row):
            source = y.proof.source  # type: ignore[attr-defined]
            if source.first != x.proof.source.first:  # type: ignore[attr-defined]
                moved = x.proof._replace(source=source)
                got = referees.ask(x, encoded(moved))
                assert not got.ok, f"{x.name} was judged by another block"
                asked += 1
    assert asked > 0


@pytest.mark.long
def test_referees__any_hostile_program__refuse_by_name(referees: Referees) -> None:
    rng = Random(9)
    for _ in range(3):
        check_hostile(referees, hostile_programs(true_calls(), rng))


@pytest.mark.long
def test_referees__any_hostile_template__refuse_by_name(referees: Referees) -> None:
    check_hostile(referees, hostile_templates(true_calls()))
