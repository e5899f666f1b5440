"""Proofs against an honest claim: with any word of them changed, they never win."""

from __future__ import annotations

from random import Random

import pytest

from protocol.spec import trees
from protocol.spec.dispute import Wait, fan_at
from protocol.spec.referee import AnyJudged, Proof
from protocol.spec.strategy import where_of
from protocol.spec.trace import Tree
from tests.actors.case import Case
from tests.actors.challenger import prover_of
from tests.actors.provider import Provider
from tests.contracts.market import Market, address, terms_tuple
from tests.game.onchain import ChainTable, encoded
from tests.game.world import case

pytestmark = pytest.mark.chain


def lead(table: ChainTable, of: Case, number: int, step: int, way: list[tuple[Tree, int]]) -> None:
    """To leaf ``step`` of the steps, then into each tree to its leaf."""
    who = address(table.world.keeper)
    provider = Provider(of.truth, address(table.world.provider))
    for into, leaf in [(Tree.STEPS, step), *way]:
        x = table.challenge_of(number)
        if into is not Tree.STEPS:
            proof = prover_of(of, table).entry(into, x.step, x.item)
            table.move("enter", number, into, proof, who=who)
        while (x := table.challenge_of(number)).level or not x.known:
            if x.wait is not Wait.CHALLENGER:
                assert provider.answer(table, number)
            elif not x.known:
                table.move("point", number, 0, x.index, x.node, [], who=who)
            else:
                levels = of.truth.levels(*where_of(x))
                at = x.level - fan_at(x.level)
                index = leaf >> at
                path = trees.siblings_of(levels[at : x.level + 1], index)
                table.move("point", number, x.level - at, index, levels[at][index], path, who=who)
        if table.challenge_of(number).wait is Wait.STEP:
            assert provider.answer(table, number)


PLACES: dict[Proof, tuple[str, int, list[tuple[Tree, int]]]] = {
    Proof.ELEMENT: ("mlp", 1, [(Tree.OPERATIONS, 2), (Tree.OPERATION_BLOCKS, 0)]),
    Proof.SLICE: ("counter", 2, [(Tree.STATES, 2), (Tree.STATE_BLOCKS, 0)]),
    Proof.NEXT: ("counter", 3, [(Tree.STATES, 0)]),
    Proof.INITIAL: ("phases", 0, [(Tree.STATES, 0)]),
    Proof.OUTPUT: ("counter", 3, [(Tree.OUTPUTS, 1)]),
    Proof.HALT: ("counter", 7, []),
}


def proof_at(table: ChainTable, of: Case, number: int, kind: Proof) -> AnyJudged:
    """The well-formed proof of what is equal."""
    x = table.challenge_of(number)
    prover = prover_of(of, table)
    if kind is Proof.ELEMENT:
        return prover.element(x.step, x.item, 7, of.truth.block(*where_of(x), 0))
    if kind is Proof.SLICE:
        return prover.slice(x.step, x.item, 9, of.truth.block(*where_of(x), 0))
    if kind is Proof.NEXT:
        return prover.next(x.step, x.item)
    if kind is Proof.INITIAL:
        return prover.initial(x.item)
    return prover.output(x.index) if kind is Proof.OUTPUT else prover.halt(x.step)


def call(world: Market, table: ChainTable, number: int, kind: Proof, data: bytes) -> str:
    """The selector of the error with which the proof reverts; '' for a revert without one."""
    input_ = world.game.prove.encode_input(
        table.claim_id, number, terms_tuple(table.terms), int(kind), data
    )
    message = {
        "to": world.game.address, "from": world.rival.address, "data": input_, "gas": hex(10**7),
    }  # fmt: skip
    answer = world.brownie.web3.provider.make_request("eth_call", [message, "latest"])
    assert "error" in answer, f"a malformed proof won: {answer}"
    return str(answer["error"].get("data") or "")[:10]


@pytest.mark.parametrize("kind", Proof)
def test_prove__honest_claim_and_any_word_changed__reverts(world: Market, kind: Proof) -> None:
    program, step, way = PLACES[kind]
    of = case(program)
    table = ChainTable(world, of, of.truth)
    number = table.move("challenge", who=address(world.keeper))
    assert Provider(of.truth, address(world.provider)).answer(table, number)
    lead(table, of, number, step, way)
    proof = proof_at(table, of, number, kind)
    data = encoded(proof)
    assert table.refused("prove", number, kind, proof) == "ProvesNothing"
    rng = Random(int(kind))
    errors = set()
    words = len(data) // 32
    for k in rng.sample(range(words), min(words, 60)):
        word = int.from_bytes(data[32 * k : 32 * k + 32], "big")
        changed = rng.choice([word ^ (1 << rng.randrange(256)), word + 1, word - 1, 0])
        new = (changed % (1 << 256)).to_bytes(32, "big")
        if new != data[32 * k : 32 * k + 32]:
            mutant = data[: 32 * k] + new + data[32 * k + 32 :]
            errors.add(call(world, table, number, kind, mutant))
    for size in (0, 31, 32, len(data) // 2, len(data) - 32):
        errors.add(call(world, table, number, kind, data[:size]))
    assert len(errors) >= 3, errors
