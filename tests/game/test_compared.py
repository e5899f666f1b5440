"""What a proof compares: the number that was claimed and the true one, from the bytes of a call."""

from __future__ import annotations

import pytest

from protocol.chain.abi import AbiError
from protocol.chain.contracts import Game as Calls
from protocol.chain.contracts import decoded, encoded, proofs_in, terms_values
from protocol.spec.dispute import Wait
from protocol.spec.job import JobTerms
from protocol.spec.proofs import ElementProof, SliceProof
from protocol.spec.referee import JUDGED, Proof, compared, judge
from protocol.spec.strategy import Move, Prove, Reveal
from protocol.spec.trace import Trace, Tree
from protocol.spec.trees import HALTED
from tests.actors.case import Case
from tests.actors.challenger import Challenger
from tests.actors.provider import Provider
from tests.actors.table import Table
from tests.game.gas import LIES
from tests.game.world import ALICE, CLAIM, PROVIDER, START, case, table_of

KINDS = {
    "element of a DOT of 70": Proof.ELEMENT,
    "element of a MAP": Proof.ELEMENT,
    "slice write": Proof.SLICE,
    "next-state": Proof.NEXT,
    "initial state": Proof.INITIAL,
    "halt": Proof.HALT,
    "output": Proof.OUTPUT,
}


def last_move(of: Case, claimed: Trace) -> tuple[Table, Prove]:
    """A game up to the proof, and the proof."""
    table = table_of(of, claimed)
    table.game.challenge(CLAIM, ALICE, START)
    challenger, provider = Challenger(of, ALICE), Provider(claimed, PROVIDER)
    for _ in range(60):
        if table.challenge_of(1).wait is not Wait.CHALLENGER:
            assert provider.answer(table, 1)
            continue
        move = challenger.moves(table, 1)[0]
        if isinstance(move, Prove):
            return table, move
        table.make(1, move, ALICE)
    raise AssertionError("no proof after 60 moves")


@pytest.mark.parametrize("name", KINDS)
def test_compared__proof_read_back_from_a_call__gives_what_was_claimed_and_the_truth(
    name: str,
) -> None:
    program, lie = LIES[name]
    of = case(program)
    claimed_trace = lie(of)
    table, move = last_move(of, claimed_trace)
    assert move.kind is KINDS[name]
    terms: JobTerms = table.claim.terms
    moves: list[tuple[int, Move]] = [(7, Reveal((CLAIM,))), (1, move)]
    (found,) = proofs_in(Calls(b"G" * 20).play(CLAIM, terms, moves).data)
    assert (found.claim, found.number, found.kind) == (CLAIM, 1, move.kind)
    proof = decoded(JUDGED[found.kind], found.proof)
    assert proof == move.proof
    assert type(proof) is type(move.proof)
    x = table.challenge_of(1)
    context = table.game._context(table.claim, x)
    claimed, true = compared(context, found.kind, proof)
    assert claimed != true
    assert judge(context, found.kind, proof)
    if isinstance(proof, ElementProof | SliceProof):
        tree = Tree.STATES if move.kind is Proof.SLICE else Tree.OPERATIONS
        at = proof.element * len(claimed)
        for value, trace in ((claimed, claimed_trace), (true, of.truth)):
            assert trace.data(tree, x.step, x.item)[at : at + len(value)] == value
    elif move.kind is Proof.HALT:
        assert (claimed, true) == (b"\1", b"\0")
        assert context.operations_root == HALTED
    elif move.kind is Proof.NEXT:
        assert claimed == claimed_trace.root(Tree.STATE_BLOCKS, x.step, x.item)
        assert true == of.truth.root(Tree.STATE_BLOCKS, x.step, x.item)
    elif move.kind is Proof.OUTPUT:
        assert (claimed, true) == (claimed_trace.outputs[x.index], of.truth.outputs[x.index])


def test_proofs_in__calls_in_calls__are_found_in_order_and_nothing_else_is() -> None:
    of = case("counter")
    table, move = last_move(of, LIES["next-state"][1](of))
    game, terms = Calls(b"G" * 20), table.claim.terms
    one, two = (game.prove(CLAIM, n, terms, move.kind, move.proof).data for n in (1, 2))
    inner = game.abi.encode("play", [game.reveal(CLAIM, 1, [CLAIM]).data, one], True)
    outer = game.abi.encode("play", [inner, two], False)
    assert [p.number for p in proofs_in(outer)] == [1, 2]
    assert proofs_in(b"\x12\x34\x56\x78" + outer) == []
    assert proofs_in(outer[:-40]) == []
    assert proofs_in(b"") == []


def test_proofs_in__calls_that_the_game_refuses_or_reads_anyway__are_told_apart() -> None:
    of = case("counter")
    table, move = last_move(of, LIES["next-state"][1](of))
    game = Calls(b"G" * 20)
    values = (CLAIM, 1, terms_values(table.claim.terms), int(move.kind), bytes(33))
    plain = game.abi.encode("prove", *values)
    padded, unknown = bytearray(plain), game.abi.encode("prove", *values[:3], 6, b"")
    padded[-1] = 1
    both = game.abi.encode("play", [unknown, bytes(padded)], False)
    assert proofs_in(both) == proofs_in(plain) == [(CLAIM, 1, move.kind, bytes(33))]


def test_decoded__bytes_of_another_proof__are_refused() -> None:
    of = case("counter")
    _, move = last_move(of, LIES["next-state"][1](of))
    data = encoded(move.proof)
    with pytest.raises(AbiError, match="which are no ElementProof"):
        decoded(ElementProof, data)
    with pytest.raises(AbiError, match="which are no NextProof"):
        decoded(type(move.proof), data[:-32])
