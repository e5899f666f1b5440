"""Wrong elements that do not read what bounds their views: the prover brings it all the same."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.spec import legality
from protocol.spec.microcode import Op
from protocol.spec.referee import Proof, judge
from protocol.spec.types import Array, Digit, DType, Guard, Instr, Kind, Slot, Template, View
from scripts import tools
from tests.differential.bounds import claimed, program_of
from tests.differential.code_calls import built, caller

pytestmark = pytest.mark.chain

SLOTS = (Slot(DType.I32, 4), Slot(DType.I64, 1), Slot(DType.I64, 1))
BOUND = View(0, 0, (Digit(4, 1, 1),), (), (Guard(0, 4, 2),))
LOAD = (Instr(Op.LOAD, 0),)
CASES = {
    "dead element": Template(
        Kind.MAP, DType.I32, (4,), SLOTS, (BOUND,), LOAD, live_out=(1, 0), dead=7
    ),
    "view that nothing loads": Template(
        Kind.MAP, DType.I32, (4,), SLOTS, (View(0, 0, (Digit(4, 1),)), BOUND), LOAD
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_judge__bounds_that_the_element_does_not_read__are_proven_too(name: str) -> None:
    t = CASES[name]
    operands: list[Array] = [
        np.arange(4, dtype=np.int32), np.array([2], np.int64), np.array([3], np.int64),
    ]  # fmt: skip
    program, constants = program_of(t, operands)
    legality.check(program)
    shown = claimed(program, constants, 3)
    assert judge(shown.context, Proof.ELEMENT, shown.proof) is True
    with caller() as node:
        referee = node.lay(built(tools.ROOT, "TensorReferee")["TensorReferee"])
        answer = node.call(referee, shown.calldata, 10**8)
    assert answer.ok, answer.data.hex()
    assert int.from_bytes(answer.data, "big") == 1
