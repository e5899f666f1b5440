"""Calls of the legality referee: the vectors, and programs damaged in one field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Final

import numpy as np
from eth_abi import encode

from protocol.spec import trees
from protocol.spec.constants import WORD
from protocol.spec.errors import ProofError
from protocol.spec.illegality import CaseBuilder, Illegality, Pieces, illegal, pieces_of
from protocol.spec.job import Task
from protocol.spec.legality_proofs import Case
from tests.builders import random_program
from tests.contracts.market import task_tuple
from tests.differential.legality_vectors import encoded, vectors
from tests.game.judged import TASK
from tests.spec.illegal_programs import EXAMPLES

ILLEGAL: Final = trees.keccak256(f"illegal({TASK},uint8,bytes)".encode())[:4]


def spec(task: Task, kind: Illegality, case: Case) -> bool | None:
    """The twin's verdict; None where it refuses."""
    try:
        return illegal(task, kind, case)
    except ProofError:
        return None


@dataclass(frozen=True)
class Examined:
    """One call."""

    task: Task
    kind: Illegality
    case: Case

    def calldata(self, proof: bytes | None = None) -> bytes:
        """The call, with the case's own bytes or with others."""
        data = encoded(self.case) if proof is None else proof
        words = [task_tuple(self.task), int(self.kind), data]
        return ILLEGAL + encode([TASK, "uint8", "bytes"], words)

    def wanted(self) -> bool | None:
        """What the twin says; None where it refuses."""
        return spec(self.task, self.kind, self.case)


@cache
def known() -> list[Examined]:
    """The vectors."""
    return [Examined(*judged) for judged in vectors()]


def damaged_programs(seed: int, rounds: int) -> Iterator[Examined]:
    """Cases of programs of which one field is another."""
    rng = Random(seed)
    drawn = np.random.default_rng(seed)
    programs = [e.program for e in EXAMPLES.values()]
    programs += [random_program(drawn).program for _ in range(8)]
    for _ in range(rounds):
        for broken, kind, case in damages(rng, pieces_of(rng.choice(programs))):
            task = Task(bytes(20), broken.root, bytes(32), bytes(32), bytes(32), 1)
            yield Examined(task, kind, case)


# --- damage ---------------------------------------------------------------------------------------

NUMBERS = (0, 1, 2, 3, 4, 5, 7, 8, 12, 16, 127, 128, 255, 256, 32767, 32768, 1 << 16, 1 << 31,
           1 << 32, 1 << 40, 1 << 60, 1 << 61, 1 << 63)  # fmt: skip
"""Numbers around which clauses change their mind."""


def damaged(rng: Random, data: bytes) -> bytes:
    """A bit flipped, a field set to such a number, or moved by one."""
    raw = bytearray(data)
    size = rng.choice([1, 1, 2, 4, 8, 8])
    at = rng.randrange(len(raw) // size) * size
    old = int.from_bytes(raw[at : at + size], "big")
    new = rng.choice([
        old ^ 1 << rng.randrange(8 * size), old + 1, old - 1, rng.choice(NUMBERS),
        -rng.choice(NUMBERS),
    ])  # fmt: skip
    raw[at : at + size] = (new % (1 << 8 * size)).to_bytes(size, "big")
    return bytes(raw)


def damages(rng: Random, p: Pieces) -> Iterator[tuple[Pieces, Illegality, Case]]:
    """Pieces with one descriptor damaged, and the cases that look at it."""
    k = rng.randrange(len(p.templates))
    templates = [*p.templates]
    templates[k] = damaged(rng, templates[k])
    broken = replace(p, templates=templates)
    yield broken, Illegality.TEMPLATE, CaseBuilder(broken).template(k)
    # An instance and a next of what may now be another template.
    n = rng.randrange(len(p.phases[0].instances))
    operand = rng.randrange(max(1, p.phases[0].instances[n][2 * WORD - 12]))
    yield broken, Illegality.INSTANCE, CaseBuilder(broken).instance(0, n, operand)
    m = rng.randrange(len(p.phases[0].nexts))
    yield broken, Illegality.NEXT, CaseBuilder(broken).next(0, m)

    instances, nexts = [*p.phases[0].instances], [*p.phases[0].nexts]
    instances[n] = damaged(rng, instances[n])
    nexts[m] = damaged(rng, nexts[m])
    phase = replace(p.phases[0], instances=instances, nexts=nexts)
    broken = replace(p, phases=[phase, *p.phases[1:]])
    yield broken, Illegality.INSTANCE, CaseBuilder(broken).instance(0, n, operand)
    yield broken, Illegality.NEXT, CaseBuilder(broken).next(0, m)

    states = [*p.states]
    states[m] = damaged(rng, states[m])
    broken = replace(p, states=states)
    yield broken, Illegality.STATE, CaseBuilder(broken).state(m)
    yield broken, Illegality.NEXT, CaseBuilder(broken).next(0, m)
    for is_input, table in enumerate((p.constants, p.inputs)):
        if table:
            k = rng.randrange(len(table))
            decls = [*table]
            decls[k] = damaged(rng, decls[k])
            broken = replace(p, inputs=decls) if is_input else replace(p, constants=decls)
            builder = CaseBuilder(broken)
            yield broken, Illegality.DECLARATION, builder.declaration(bool(is_input), k)
