"""An illegal job is proven to be so, a legal one never; a damaged file proves what it can."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from protocol.spec import encoding, legality
from protocol.spec.constants import WORD
from protocol.spec.errors import DecodeError, ProofError
from protocol.spec.examples import Example
from protocol.spec.illegality import (
    CaseBuilder,
    Illegality,
    illegal,
    pieces_of,
    prove_illegality,
    split,
)
from protocol.spec.job import Task
from protocol.spec.legality_proofs import Listing, TemplateCase
from protocol.spec.legality_referee import MAX_TEMPLATE_BYTES
from protocol.spec.types import DType, Instr, Template
from tests.differential import legality_vectors
from tests.differential.legality_vectors import legal_cases, task_of
from tests.differential.program_vectors import any_template, mutants
from tests.spec.illegal_programs import CASES, EXAMPLES, Change

KINDS = {
    "D1": {Illegality.DECLARATION, Illegality.STATE},
    "D2": {Illegality.STATE},
    "I1": {Illegality.INSTANCE},
    "I2": {Illegality.INSTANCE},
    "N1": {Illegality.NEXT},
    "P1": {Illegality.PROGRAM},
}
"""Kinds of the clauses that are not a template's."""


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_illegal__every_case_of_a_legal_program__is_false(example: Example) -> None:
    cases = list(legal_cases(example))
    assert len(cases) >= 10
    assert not any(illegal(*case) for case in cases)
    task = cases[0][0]
    assert prove_illegality(example.program, task, example.constants, example.inputs) is None
    file = encoding.encode(example.program)
    assert prove_illegality(file, task, example.constants, example.inputs) is None


@pytest.mark.parametrize(
    ("clause", "name", "change"),
    [(c, n, ch) for c, n, _, ch in CASES],
    ids=[f"{c}-{what.replace(' ', '-')}" for c, _, what, _ in CASES],
)
def test_prove_illegality__one_clause_broken__is_found(
    clause: str, name: str, change: Change
) -> None:
    program = change(EXAMPLES[name].program)
    task = task_of(program)
    found = prove_illegality(program, task)
    assert found is not None
    assert found[0] in KINDS.get(clause, {Illegality.TEMPLATE})
    assert illegal(task, *found)
    other = replace(task, program_root=bytes(32))
    with pytest.raises(ProofError):
        illegal(other, *found)


def test_illegal__broken_jobs__are_found() -> None:
    jobs = list(legality_vectors.broken_jobs())
    assert all(illegal(*job) for job in jobs)
    steps, tensor, element = Illegality.STEPS, Illegality.TENSOR, Illegality.ELEMENT
    assert [kind for _, kind, _ in jobs] == [steps] * 5 + [tensor] * 3 + [element] * 2 + [tensor]


def test_prove_illegality__tensors_of_another_root__prove_nothing() -> None:
    mlp = EXAMPLES["mlp"]
    task = task_of(mlp.program, mlp.constants, mlp.inputs)
    wrong = [np.full_like(mlp.constants[0], -9000), *mlp.constants[1:]]
    assert prove_illegality(mlp.program, task, wrong, mlp.inputs) is None
    assert prove_illegality(mlp.program, task, None, [mlp.inputs[0].astype(np.int32)]) is None


# --- files that do not decode ---------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_split__legal_file__gives_the_pieces_of_its_program(name: str) -> None:
    program = EXAMPLES[name].program
    assert split(encoding.encode(program)) == pieces_of(program)
    assert pieces_of(program).part.tables == encoding.tables(program)
    assert pieces_of(program).root == encoding.program_root(program)


def test_prove_illegality__damaged_file_under_its_own_root__is_proven_if_refused() -> None:
    """A client may hash any bytes as its program: whatever the decoder refuses is proven."""
    rng = Random(41)
    proven = refused = 0
    for name in EXAMPLES:
        for data in mutants(rng, encoding.encode(EXAMPLES[name].program), 120):
            try:
                pieces = split(data)
            except DecodeError:
                continue
            task = Task(bytes(20), pieces.root, bytes(32), bytes(32), bytes(32), 0)
            found = prove_illegality(data, task)
            try:
                program = encoding.decode(data)
            except DecodeError:
                # Bytes of an output's word behind its number are in the file, not under the root.
                refused += 1
                assert found is not None or _is_legal_but_for_outputs(data)
            else:
                assert (found is None) == legality.legal(program)
            if found is not None:
                proven += 1
                assert illegal(task, *found)
    assert proven >= 200
    assert refused >= 100


def _is_legal_but_for_outputs(data: bytes) -> bool:
    pieces = split(data)
    at = len(pieces.header) + sum(map(len, pieces.constants + pieces.inputs + pieces.states))
    clean = bytearray(data)
    for k in range(len(pieces.outputs)):
        clean[at + k * WORD + 4 : at + (k + 1) * WORD] = bytes(WORD - 4)
    return legality.legal(encoding.decode(bytes(clean)))


def test_prove_illegality__file_of_another_root_or_cut_short__proves_nothing() -> None:
    program = EXAMPLES["mlp"].program
    data = encoding.encode(program)
    task = task_of(program)
    assert prove_illegality(data[:-WORD], task) is None
    assert prove_illegality(data + bytes(WORD), task) is None
    assert prove_illegality(b"", task) is None
    other = replace(task, program_root=bytes(32))
    assert prove_illegality(data, other) is None


def test_prove_illegality__template_too_long_to_send__is_proven_by_its_length() -> None:
    program = EXAMPLES["phases"].program
    pieces = pieces_of(program)
    t = program.templates[0]
    raw = bytearray(encoding.encode_template(replace(t, post=(Instr(3),) * 4)))
    raw[10:12] = (0xFFFF).to_bytes(2, "big")  # post instructions
    long = bytes(raw).ljust(len(raw) + 8 * 0xFFFF, b"\0")
    long = long[: len(long) // WORD * WORD]
    pieces = replace(pieces, templates=[long, *pieces.templates[1:]])
    task = Task(bytes(20), pieces.root, bytes(32), bytes(32), bytes(32), 0)
    case = CaseBuilder(pieces).length(Listing.TEMPLATES, 0)
    assert case.length > 128 * 1024
    assert illegal(task, Illegality.LENGTH, case)
    assert len(legality_vectors.encoded(case)) < 2048
    fits = replace(pieces, templates=[bytes(MAX_TEMPLATE_BYTES), *pieces.templates[1:]])
    task = replace(task, program_root=fits.root)
    case = CaseBuilder(fits).length(Listing.TEMPLATES, 0)
    assert not illegal(task, Illegality.LENGTH, case)


# --- malformed proofs -----------------------------------------------------------------------------


def test_illegal__random_templates__never_fail_but_by_name() -> None:
    """Any template that decodes gets a verdict, and it is that of ``check_template``."""
    rng = Random(5)
    base = pieces_of(EXAMPLES["phases"].program)
    for _ in range(300):
        t: Template = any_template(rng)
        pieces = replace(base, templates=[encoding.encode_template(t), base.templates[1]])
        task = Task(bytes(20), pieces.root, bytes(32), bytes(32), bytes(32), 0)
        assert illegal(task, Illegality.TEMPLATE, CaseBuilder(pieces).template(0))


def test_illegal__proof_of_another_kind_or_place__is_refused() -> None:
    mlp = EXAMPLES["mlp"]
    task = task_of(mlp.program, mlp.constants, mlp.inputs)
    builder = CaseBuilder(pieces_of(mlp.program))
    with pytest.raises(ProofError):
        illegal(task, Illegality.NEXT, builder.template(0))
    moved: TemplateCase = builder.template(0)._replace(number=1)
    with pytest.raises(ProofError):
        illegal(task, Illegality.TEMPLATE, moved)
    with pytest.raises(ProofError):
        illegal(task, Illegality.TEMPLATE, builder.template(0)._replace(number=3))
    with pytest.raises(ProofError):
        illegal(task, Illegality.INSTANCE, builder.instance(0, 0, 1))
    element = builder.element(0, 7, mlp.constants)
    for wrong in (
        element._replace(element=350),
        element._replace(element=349),
        element._replace(block=element.block._replace(first=1)),
        element._replace(block=element.block._replace(blocks=bytes(512))),
        element._replace(siblings=[]),
    ):
        with pytest.raises(ProofError):
            illegal(task, Illegality.ELEMENT, wrong)
    assert mlp.constants[0].dtype == DType.I16.numpy
