"""The runs that mutants are killed by: tests that `make test` has, on other code."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Final

from eth_abi import decode, encode

from tests.court.answered import Answered, answers, changed, halves
from tests.court.answered import some as some_answers
from tests.differential.code_calls import Caller, built
from tests.differential.float_rows import ROW, FloatOp, rows
from tests.differential.legality_calls import damaged_programs, known
from tests.differential.test_random_elements import calls as element_calls
from tests.differential.test_softfloat import CHECK, GAS
from tests.game.judged import Judged, Verdict
from tests.game.test_bad_input import (
    REFEREES,
    false_calls,
    one_part_changed,
    some,
    true_calls,
    verdict_of,
)
from tests.invariants.mutants import Killer, copy_of_the_tree, failed, forge_run

FORGE: Final = (
    "BlockTree", "Costs", "DisputePath", "DisputeTypes", "DotProduct", "GameInvariants",
    "GameRules", "MarketInvariants", "Microcode", "ProgramDecoder", "TensorElement",
)  # fmt: skip
"""Files of tests/forge."""

MOST_GAS: Final = 100_000_000
"""Of a call of a referee that was built without the optimizer."""


def forge(name: str, folder: Path) -> str | None:
    """One file of tests in Solidity."""
    return failed(forge_run(folder, f"tests/forge/{name}.t.sol"))


def softfloat(node: Caller, folder: Path) -> str | None:
    """Rows of every operation of Float32."""
    at = node.lay(built(folder, "test/FloatRows")["FloatRows"])
    for op in FloatOp:
        for part in float_rows(op):
            answer = node.call(at, CHECK + encode(["uint8", "bytes"], [int(op), part]), GAS)
            if not answer.ok:
                return f"{op.name} reverts"
            row, got = decode(["uint256", "uint256"], answer.data)
            if row * ROW != len(part):
                return f"{op.name}: row {row} gives {got:x}"
    return None


@cache
def float_rows(op: FloatOp) -> list[bytes]:
    """Those of ``make test``."""
    return list(rows(op, 100 + op, 24_000, 50_000))


@cache
def judged() -> list[tuple[Judged, bytes, Verdict | None, bool]]:
    """Calls of the referees, what the twin says, and whether the call is well-formed."""

    def calls() -> Iterator[tuple[Judged, Verdict | None, bool]]:
        for x in [*true_calls(), *false_calls()]:
            yield x, x.verdict, True
        rng = Random(1)
        chosen = some(true_calls(), rng, 3) + some(false_calls(), rng, 2)
        # Elements of many blocks that read but one: another block is not found out by its reads.
        chosen += [x for x in true_calls() if x.name.startswith("slices") and ": elem" in x.name]
        for x in one_part_changed(chosen, rng):
            yield x, verdict_of(x, x.verdict), False

    return [(x, x.calldata(), verdict, well) for x, verdict, well in calls()]


def referees(node: Caller, folder: Path) -> str | None:
    """Well-formed proofs, and proofs of which one part is another."""
    at = {name: node.lay(code) for name, code in built(folder, *REFEREES).items()}
    for x, data, verdict, well_formed in judged():
        answer = node.call(at[x.contract], data, MOST_GAS)
        if answer.ok:
            if x.result(answer.data) != verdict:
                return f"{x.name} gives {x.result(answer.data)}, not {verdict}"
        elif well_formed or answer.out_of_gas or not answer.data:
            return f"{x.name} reverts with {answer}"
    return None


@cache
def elements_wanted() -> list[tuple[bytes, int]]:
    """Those of ``make test``: calls, and the bits that the specification gives."""
    return [(data, want) for _, _, _, data, want in element_calls(1, 600)]


def elements(node: Caller, folder: Path) -> str | None:
    """Elements of random operations over extremes."""
    at = node.lay(built(folder, "tests/forge/ProgramHarness")["ProgramHarness"])
    for k, (data, want) in enumerate(elements_wanted()):
        answer = node.call(at, data, MOST_GAS)
        if not answer.ok:
            return f"element {k} reverts"
        got, _ = decode(["uint256", "uint256"], answer.data)
        if got != want:
            return f"element {k} is {got:x}"
    return None


@cache
def answered() -> list[tuple[Answered, bytes, int | None]]:
    """Those of ``make test``: answers, the calls, and what the twin says."""
    rng = Random(1)
    calls = [*answers(), *halves(), *changed(some_answers(rng, 3), rng)]
    return [(x, x.calldata(), x.wanted()) for x in calls]


def answered_as_by_the_twin(node: Caller, folder: Path) -> str | None:
    """Answers to demands, and answers of which one part is another."""
    at = node.lay(built(folder, "DataReferee")["DataReferee"])
    for x, data, wanted in answered():
        answer = node.call(at, data, MOST_GAS)
        if (x.result(answer.data) if answer.ok else None) != wanted:
            return f"{x.name} gives {answer}, not {wanted}"
    return None


@cache
def examined() -> list[tuple[bytes, bool | None]]:
    """The vectors, and damaged programs: calls, and what the twin says."""
    return [(x.calldata(), x.wanted()) for x in [*known(), *damaged_programs(9, 150)]]


def legality(node: Caller, folder: Path) -> str | None:
    """Every clause, and programs damaged in one field."""
    at = node.lay(built(folder, "LegalityReferee")["LegalityReferee"])
    for k, (data, wanted) in enumerate(examined()):
        answer = node.call(at, data, MOST_GAS)
        if (bool(int.from_bytes(answer.data, "big")) if answer.ok else None) != wanted:
            return f"call {k} gives {answer}, not {wanted}"
    return None


SOURCES: Final = {
    "answers": ("contracts/DataReferee.sol",),
    "legality": ("contracts/LegalityReferee.sol",),
    "elements": ("tests/forge/ProgramHarness.sol",),
    "softfloat": ("contracts/test/FloatRows.sol",),
    "referees": tuple(f"contracts/{name}.sol" for name in REFEREES),
    **{name: (f"tests/forge/{name}.t.sol",) for name in FORGE},
}
"""What each run needs of the tree."""


def killer(name: str, node: Caller) -> Killer:
    """A run by name."""
    if name in FORGE:
        return partial(forge, name)
    runs = {
        "softfloat": softfloat, "referees": referees, "elements": elements, "legality": legality,
        "answers": answered_as_by_the_twin,
    }  # fmt: skip
    return partial(runs[name], node)


def prepare(name: str, folder: Path) -> None:
    """A copy of all that a run needs."""
    copy_of_the_tree(folder, *SOURCES[name])
