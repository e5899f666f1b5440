"""Each clause of ``legal`` refuses what it is there for, and accepts its neighbour."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.spec import costs, legality
from protocol.spec.errors import IllegalProgram
from protocol.spec.examples import Example
from protocol.spec.types import (
    DType,
    Next,
    NextKind,
    Ref,
    Slot,
    Source,
    Template,
    View,
)
from tests.spec.illegal_programs import CASES, EXAMPLES, Change, rdigit


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_check__examples__are_legal(example: Example) -> None:
    legality.check(example.program)


@pytest.mark.parametrize(
    ("clause", "name", "change"),
    [(c, n, ch) for c, n, _, ch in CASES],
    ids=[f"{c}-{what.replace(' ', '-')}" for c, _, what, _ in CASES],
)
def test_check__one_clause_broken__names_it(clause: str, name: str, change: Change) -> None:
    program = change(EXAMPLES[name].program)
    with pytest.raises(IllegalProgram, match=f"clause {clause}:") as caught:
        legality.check(program)
    assert caught.value.clause == clause
    assert not legality.legal(program)


def test_check__dot_of_a_job_input__is_illegal() -> None:
    p = EXAMPLES["mlp"].program
    inputs = (replace(p.inputs[0], dtype=DType.I16),)
    t = p.templates[2]
    slots = (replace(t.slots[0]), *t.slots[1:])
    body = list(p.phases[0].instances)
    dot = replace(body[2], operands=(Ref(Source.INPUT, 0), *body[2].operands[1:]))
    only = replace(p.phases[0], instances=(replace(dot, template=0),), nexts=p.phases[0].nexts)
    operands = (Ref(Source.INPUT, 0), Ref(Source.CONST, 0), Ref(Source.CONST, 1))
    dot = replace(dot, template=0, operands=(*operands, *dot.operands[3:]))
    t = replace(t, slots=(*slots[:2], Slot(DType.F32, 5), *slots[3:]))
    views = (*t.views[:2], replace(t.views[2], digits=tuple(
        replace(d, stride=0) for d in t.views[2].digits)), *t.views[3:])  # fmt: skip
    only = replace(only, instances=(dot,), nexts=(Next(NextKind.VALUE, 0),))
    program = replace(p, inputs=inputs, templates=(replace(t, views=views),), phases=(only,))
    with pytest.raises(IllegalProgram) as caught:
        legality.check(program)
    assert caught.value.clause == "I2"


def test_cost__more_terms__costs_more_and_is_refused_at_the_limit() -> None:
    t = EXAMPLES["folds"].program.templates[0]

    def wide(n: int) -> Template:
        v = replace(t.views[0], digits=(replace(t.views[0].digits[0], stride=n),))
        v = rdigit(v, radix=n)
        return replace(t, slots=(Slot(DType.F32, 4 * n),), views=(v,), r=(n,))

    found = [costs.cost(wide(n)) for n in (8, 64, 512)]
    assert [c.gas for c in found] == sorted({c.gas for c in found})
    legality.check_template(wide(512))
    with pytest.raises(IllegalProgram, match="clause T9"):
        legality.check_template(wide(1 << 20))


def test_cost__scattered_loads__count_a_proof_each() -> None:
    """A reduction down a column meets a new block at every row."""
    t = EXAMPLES["folds"].program.templates[0]
    v = t.views[0]
    column = replace(v, digits=(replace(v.digits[0], radix=1024, stride=1),))
    column = rdigit(column, radix=64, stride=1024)
    down = replace(t, shape=(1024,), slots=(Slot(DType.F32, 1 << 16),), views=(column,), r=(64,))
    across = replace(v, digits=(replace(v.digits[0], radix=1024, stride=64),))
    across = rdigit(across, radix=64, stride=1)
    along = replace(down, views=(across,))
    assert costs.cost(down).bytes > costs.cost(along).bytes + 60 * 512




def test_cost__dot_in_many_short_runs__pays_for_each() -> None:
    """Contracting along a digit of one element costs a gather a term, and is refused when long."""
    t = EXAMPLES["mlp"].program.templates[2]

    def split(v: View, outer: int) -> View:
        first = replace(v.rdigits[-1], radix=outer, stride=v.rdigits[-1].stride)
        return replace(v, rdigits=(first, replace(v.rdigits[-1], radix=1)))

    dotted = replace(t, r=(70, 1), views=tuple(split(v, 70) for v in t.views))
    legality.check_template(dotted)
    assert costs.cost(dotted).gas > costs.cost(t).gas + 60 * costs.GAS_DOT_RUN
