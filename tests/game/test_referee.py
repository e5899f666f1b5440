"""The trace referee alone: starts of many sizes, against the specification."""

from __future__ import annotations

import pytest

from protocol.spec import trees
from protocol.spec.proofs import NOTHING, Inner, Leaf, OutputProof, ProgramPart
from protocol.spec.referee import Context, Proof, judge
from protocol.spec.trace import Tree
from tests.actors.case import case_of
from tests.actors.challenger import prover_of
from tests.contracts.market import Market, task_tuple
from tests.game.examples import starts
from tests.game.onchain import encoded
from tests.game.world import table_of

pytestmark = pytest.mark.chain


def test_judge__initial__filled_states_of_any_size_are_the_spec_s(world: Market) -> None:
    of = case_of(starts())
    program = of.example.program
    _, at = world.game.referees()
    referee = world.project.TraceReferee.at(at)
    task = of.task(bytes(20), bytes(32))
    prover = prover_of(of, table_of(of, of.truth))
    roots = of.truth.levels(Tree.STATES, 0)[0]
    for k, root in enumerate(roots):
        for node, wrong in ((root, False), (trees.keccak256(root), True)):
            proof = prover.initial(k)
            context = Context(task, program, bytes(32), bytes(32), 2, 0, k, 0, node)
            assert judge(context, Proof.INITIAL, proof) is wrong
            words = (task_tuple(task), bytes(32), bytes(32), 2, 0, k, 0, node)
            assert referee.judge(words, int(Proof.INITIAL), encoded(proof)) is wrong


def test_judge__a_proof_of_another_kind__is_refused(world: Market) -> None:
    tensor, trace = world.game.referees()
    task = task_tuple(world.terms().task)
    context = (task, bytes(32), bytes(32), 2, 1, 0, 0, bytes(32))
    with world.reverts("UnknownProof"):
        world.project.TensorReferee.at(tensor).judge(context, int(Proof.HALT), b"")
    with world.reverts("UnknownProof"):
        world.project.TraceReferee.at(trace).judge(context, int(Proof.ELEMENT), b"")
    nothing = Leaf(b"", [])
    part = ProgramPart(bytes(64), [bytes(32)] * 6)
    proof = OutputProof(part, nothing, nothing, NOTHING, Inner(bytes(32), []))
    with world.reverts("WrongCommitment"):
        referee = world.project.TraceReferee.at(trace)
        referee.judge(context, int(Proof.OUTPUT), encoded(proof))
