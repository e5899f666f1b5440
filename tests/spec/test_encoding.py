"""The canonical encoding: what decodes is exactly what encodes."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from protocol.spec import encoding, examples, legality
from protocol.spec.constants import MAX_PROGRAM_BYTES, MAX_TABLE
from protocol.spec.errors import DecodeError, IllegalProgram
from protocol.spec.examples import Example
from protocol.spec.trees import levels_of, list_root, root_from_run, siblings_of
from protocol.spec.types import Next, NextKind

EXAMPLES = examples.all_examples()
BYTES = {e.name: encoding.encode(e.program) for e in EXAMPLES}
by_name = pytest.mark.parametrize("example", EXAMPLES, ids=[e.name for e in EXAMPLES])


@by_name
def test_decode__encoded_program__gives_it_back(example: Example) -> None:
    data = BYTES[example.name]
    assert len(data) % 32 == 0
    assert encoding.decode(data) == example.program


@by_name
def test_decode__truncated_anywhere__says_so(example: Example) -> None:
    data = BYTES[example.name]
    for size in range(0, len(data), 7):
        with pytest.raises(DecodeError, match="byte"):
            encoding.decode(data[:size])


@by_name
def test_decode__bytes_after_the_end__says_so(example: Example) -> None:
    with pytest.raises(DecodeError, match="follow the end"):
        encoding.decode(BYTES[example.name] + bytes(32))


@by_name
def test_decode__any_bit_flipped__is_refused_or_another_canonical_program(
    example: Example,
) -> None:
    """Strictness: a decoder that guessed would map two files to one program."""
    data = BYTES[example.name]
    root = encoding.program_root(example.program)
    refused = 0
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << position * 5 % 8
        try:
            program = encoding.decode(bytes(changed))
        except DecodeError:
            refused += 1
            continue
        assert encoding.encode(program) == bytes(changed)
        assert encoding.program_root(program) != root
    assert refused > len(data) // 3


def test_decode__random_bytes_in_a_valid_frame__never_fails_otherwise() -> None:
    """Decoding and legality are total: only the two announced errors come out."""
    rng = random.Random(7)
    outcomes = {"refused": 0, "illegal": 0, "legal": 0}
    for _ in range(4000):
        data = bytearray(BYTES[rng.choice(EXAMPLES).name])
        for _ in range(rng.choice((1, 1, 2, 8))):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 2, 255, rng.randrange(256)))
        try:
            program = encoding.decode(bytes(data))
        except DecodeError:
            outcomes["refused"] += 1
            continue
        try:
            legality.check(program)
            outcomes["legal"] += 1
        except IllegalProgram:
            outcomes["illegal"] += 1
    assert min(outcomes.values()) > 50, outcomes


@pytest.mark.long
def test_decode__phase_as_long_as_is_legal__gives_it_back() -> None:
    """Longer than what is fetched, and legal: whatever proofs can speak of can be read."""
    program = next(e.program for e in EXAMPLES if e.name == "counter")
    phase, *others = program.phases
    more = (phase.instances[0],) * (MAX_TABLE - len(phase.instances))
    phase = replace(phase, instances=(*phase.instances, *more))
    program = replace(program, phases=(phase, *others))
    legality.check(program)
    data = encoding.encode(program)
    assert len(data) > MAX_PROGRAM_BYTES
    assert encoding.decode(data) == program


def test_decode__not_a_program__names_what_it_is() -> None:
    with pytest.raises(DecodeError, match="not an Assay program"):
        encoding.decode(b"PK\x03\x04" + bytes(200))


def test_decode__other_machine_version__is_refused() -> None:
    data = bytearray(BYTES["mlp"])
    data[9] = 2
    with pytest.raises(DecodeError, match="machine version 2 is not supported, want 1"):
        encoding.decode(bytes(data))


def test_program_root__any_part_changed__changes() -> None:
    p = next(e.program for e in EXAMPLES if e.name == "counter")
    phase = p.phases[0]
    variants = [
        p,
        replace(p, halt=None),
        replace(p, outputs=p.outputs[::-1]),
        replace(p, templates=p.templates[::-1]),
        replace(p, phases=(replace(phase, max_steps=17),)),
        replace(p, phases=(replace(phase, instances=phase.instances[::-1]),)),
        replace(p, phases=(replace(phase, nexts=(Next(NextKind.KEEP), *phase.nexts[1:])),)),
        replace(p, states=(*p.states[:1], p.states[0], *p.states[2:])),
    ]
    assert len({encoding.program_root(v) for v in variants}) == len(variants)


def test_sections__a_template__is_provable_under_its_root() -> None:
    leaves = encoding.sections(EXAMPLES[0].program).templates
    levels = levels_of(leaves)
    for k, leaf in enumerate(leaves):
        siblings = siblings_of(levels, k)
        assert root_from_run([leaf], k, len(leaves), siblings) == list_root(leaves)
