"""Wrong elements that do not read what bounds their views: the prover brings it all the same."""

from __future__ import annotations

import numpy as np
import pytest
from eth_abi import encode

from protocol.spec import encoding, legality, trees
from protocol.spec.job import Task
from protocol.spec.microcode import Op
from protocol.spec.proofs import ABI, ElementProof, Prover
from protocol.spec.referee import Context, Proof, judge
from protocol.spec.types import Array, Digit, DType, Guard, Instr, Kind, Slot, Template, View
from scripts import tools
from tests.differential.bounds import CONTEXT, JUDGE, _no_data, _no_levels, program_of
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
    root, zero = trees.tensors_root(program.constants, constants), bytes(32)
    task = Task(bytes(20), encoding.program_root(program), root, zero, zero, 1)
    data = [x.tobytes() for x in constants]
    prover = Prover(program, data, [], (1,), 0, _no_levels, _no_data)
    block = bytes(512)
    proof = prover.element(1, 0, 3, block)
    claimed = (zero, zero, 2, 1, 0, 0, trees.keccak256(block))
    assert judge(Context(task, program, *claimed), Proof.ELEMENT, proof) is True
    words = ("0x" + task.referee.hex(), task.program_root, root, zero, zero, 1, 0, 0, 1)
    shown = encode([ABI[ElementProof]], [proof])
    call = JUDGE + encode([CONTEXT, "uint8", "bytes"], [(words, *claimed), 0, shown])
    with caller() as node:
        referee = node.lay(built(tools.ROOT, "TensorReferee")["TensorReferee"])
        answer = node.call(referee, call, 10**8)
    assert answer.ok, answer.data.hex()
    assert int.from_bytes(answer.data, "big") == 1
