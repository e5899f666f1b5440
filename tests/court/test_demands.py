"""Demands and their answers: every part, both sides of every rule, and the money."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.spec import trees
from protocol.spec.answers import RUN_BLOCKS, Answer, Part, TensorAnswer
from protocol.spec.demands import ANSWER_GAS, BYTE_GAS, DEMAND_SECONDS, fee_of
from protocol.spec.errors import ProofError
from protocol.spec.job import JobStatus
from protocol.spec.limits import GWEI
from tests.actors import liars
from tests.actors.case import Case
from tests.contracts.market import Market, address, terms_tuple
from tests.court.onchain import CourtTable, answerer_of
from tests.game.onchain import encoded
from tests.game.world import case

pytestmark = pytest.mark.chain

PIECES = {
    Part.HEADER: (0, 0),
    Part.CONSTANT_DECL: (1, 0),
    Part.STATE_DECL: (0, 0),
    Part.OUTPUT_DECL: (0, 0),
    Part.TEMPLATE: (1, 0),
    Part.PHASE: (0, 0),
    Part.INSTANCE: (0, 2),
    Part.NEXT: (0, 0),
    Part.CONSTANT: (0, 0),
    Part.INPUT: (0, 0),
    Part.OUTPUT: (0, 0),
}
"""A place that exists in ``mlp``, for each part."""


@pytest.mark.parametrize(
    ("demanded", "answered", "price"),
    [(0, 0, 1), (3, 3, 6), (30, 30, 20), (3, 500, 6), (500, 3, 6), (0, 500, 1), (500, 0, 1)],
)
def test_answer__dear_terms__is_paid_twice_the_lower_base_fee_to_the_provider(
    world: Market, demanded: int, answered: int, price: int
) -> None:
    """In gwei: at least the market's smallest, at most the terms'.  The rest goes back."""
    of = case("mlp")
    table = CourtTable(world, of, of.truth, gas_price=20 * GWEI)
    keeper, provider = address(world.keeper), address(world.provider)
    table.base_fee = demanded * GWEI
    table.demand(Part.OUTPUT, who=keeper)
    table.base_fee = answered * GWEI
    shown = table.answer(Part.OUTPUT, who=address(world.rival))
    paid = (ANSWER_GAS + BYTE_GAS * shown) * price * GWEI
    assert table.court.credits[provider] == paid
    assert table.court.credits[keeper] == fee_of(table.terms.deal) - paid


@pytest.mark.parametrize("part", [*PIECES, Part.INPUT_DECL], ids=lambda part: part.name)
def test_answer__each_part__is_shown_paid_and_emitted(world: Market, part: Part) -> None:
    table = CourtTable(world, case("mlp"), case("mlp").truth)
    keeper, rival = address(world.keeper), address(world.rival)
    item, index = PIECES.get(part, (0, 0))
    number = table.demand(part, item, index, who=keeper)
    shown = table.answer(part, item, index, who=rival)
    assert shown > 0
    fee = fee_of(table.terms.deal)
    paid = (250_000 + 50 * shown) * 10**9
    # Whoever sends it: a copy sent ahead of the provider's own earns nothing.
    assert world.owed(world.rival, world.court) == (0, 0)
    assert world.owed(world.provider, world.court) == (0, paid)
    assert world.owed(world.keeper, world.court) == (0, fee - paid)
    assert table.claim.holds == 0
    assert table.refused_call("timeout", number, who=keeper) == "NotOpen"


@pytest.mark.parametrize("part", list(Part)[1:], ids=lambda part: part.name)
def test_answer__a_place_that_does_not_exist__is_shown_and_paid(world: Market, part: Part) -> None:
    table = CourtTable(world, case("mlp"), case("mlp").truth)
    keeper, provider = address(world.keeper), address(world.provider)
    places = [(2**256 - 1, 0)]
    if part < Part.CONSTANT_DECL or part > Part.PHASE:
        places.append((0, 2**255))
    for item, index in places:
        table.demand(part, item, index, who=keeper)
        assert table.answer(part, item, index, who=provider) == 0
    paid = 250_000 * 10**9 * len(places)
    assert world.owed(world.provider, world.court) == (0, paid)


def test_answer__every_run_of_a_large_tensor__is_shown_within_its_fee(world: Market) -> None:
    table = CourtTable(world, case("wide"), case("wide").truth)
    keeper, provider = address(world.keeper), address(world.provider)
    for part, index in ((Part.INPUT, 0), (Part.OUTPUT, 7), (Part.INPUT, 5)):
        table.demand(part, 0, index, who=keeper)
        assert table.answer(part, 0, index, who=provider) == RUN_BLOCKS * 512
    table.demand(Part.INPUT, 0, 8, who=keeper)
    assert table.answer(Part.INPUT, 0, 8, who=provider) == 0
    assert max(gas for _, gas in table.gas) <= 1_000_000


def test_answerer__roots_that_are_known__give_the_same_answers() -> None:
    of = case("mlp")
    plain = answerer_of(of)
    roots = {
        Part.CONSTANT: [
            trees.tensor_root(d, t)
            for d, t in zip(of.example.program.constants, of.example.constants, strict=True)
        ],
        Part.OUTPUT: of.truth.outputs,
    }
    known = replace(plain, roots=roots.__getitem__)
    for part, items in roots.items():
        for item in range(len(items)):
            assert known.answer(part, item, 0) == plain.answer(part, item, 0)


def test_answer__all_the_places_of_a_program_with_phases__are_shown(world: Market) -> None:
    of = case("counter")
    table = CourtTable(world, of, of.truth)
    keeper, provider = address(world.keeper), address(world.provider)
    states = len(of.example.program.states)
    for k in range(states):
        table.demand(Part.NEXT, 0, k, who=keeper)
        table.demand(Part.STATE_DECL, k, 0, who=keeper)
    for k in reversed(range(states)):
        assert table.answer(Part.STATE_DECL, k, 0, who=provider) > 0
        assert table.answer(Part.NEXT, 0, k, who=provider) > 0
    assert table.court.queues[provider].open == 0


# --- answers that are none -----------------------------------------------------------------------


def broken(good: TensorAnswer, of: Case) -> dict[str, Answer]:
    """Answers of other bytes, of another place, of another length."""
    answerer = answerer_of(of)
    other = answerer.answer(Part.INPUT, 0, 1)
    constants = answerer.answer(Part.OUTPUT, 0, 0)
    assert isinstance(other, TensorAnswer)
    assert isinstance(constants, TensorAnswer)
    flipped = bytes([good.blocks[0] ^ 1]) + good.blocks[1:]
    levels = trees.levels_of(trees.block_leaves(answerer.tensor(Part.INPUT, 0)))
    half = good._replace(blocks=good.blocks[: 16 * 512], siblings=trees.siblings_of(levels, 0, 16))
    header = bytes([good.program.header[-1] ^ 1]) + good.program.header[1:]
    return {
        "another bit": good._replace(blocks=flipped),
        "half a run": good._replace(blocks=good.blocks[: 16 * 512]),
        "half a run, proven": half,
        "not whole blocks": good._replace(blocks=good.blocks[:-1]),
        "nothing": good._replace(blocks=b"", siblings=[]),
        "another run": other,
        "another tensor": constants,
        "a sibling less": good._replace(siblings=good.siblings[:-1]),
        "a sibling more": good._replace(siblings=[*good.siblings, bytes(32)]),
        "another path": good._replace(siblings=other.siblings),
        "a wrapper's path": good._replace(tensor=[bytes(32)]),
        "another declaration": good._replace(decl=constants.decl),
        "a declaration's path": good._replace(decl=good.decl._replace(siblings=[bytes(32)])),
        "another header": good._replace(program=good.program._replace(header=header)),
        "a table less": good._replace(
            program=good.program._replace(tables=good.program.tables[1:])
        ),
    }


def test_answer__other_bytes_or_another_place__is_refused_by_both(world: Market) -> None:
    of = case("wide")
    table = CourtTable(world, of, of.truth)
    provider = address(world.provider)
    table.demand(Part.INPUT, 0, 0, who=address(world.keeper))
    good = answerer_of(of).answer(Part.INPUT, 0, 0)
    assert isinstance(good, TensorAnswer)
    for name, bad in broken(good, of).items():
        with pytest.raises(ProofError):
            table.court.answer(table.claim_id, Part.INPUT, 0, 0, bad, table.now)
        with pytest.raises(world.brownie.exceptions.VirtualMachineError) as caught:
            table._call("answer", Part.INPUT, 0, 0, bad, who=provider)
        assert str(caught.value.revert_msg), name
        if "run, proven" in name:
            assert str(caught.value.revert_msg).startswith("WrongRun")
    table.now = table._chain_time()
    table.answer(Part.INPUT, 0, 0, who=provider)


def test_answer__any_word_changed_or_cut_off__is_refused(world: Market) -> None:
    of = case("mlp")
    table = CourtTable(world, of, of.truth)
    table.demand(Part.OUTPUT, 0, 0, who=address(world.keeper))
    good = answerer_of(of).answer(Part.OUTPUT, 0, 0)
    data = encoded(good)
    arguments = (terms_tuple(table.terms), table.claim_id, int(Part.OUTPUT), 0, 0)
    for at in range(0, len(data), 32):
        changed = data[:at] + bytes(x ^ 0x5A for x in data[at : at + 32]) + data[at + 32 :]
        for bad in (changed, data[:at]):
            with pytest.raises(world.brownie.exceptions.VirtualMachineError):
                world.court.answer.call(*arguments, bad, {"from": world.rival})
    world.court.answer.call(*arguments, data, {"from": world.rival})


def test_answer__output_wrapped_with_another_count__is_none(world: Market) -> None:
    """The provider commits a result whose wrapper has another shape than the output's state."""
    of = case("mlp")
    decl = of.example.program.states[of.example.program.outputs[0]].tensor
    claimed = replace(of.truth, outputs=[trees.wrap(decl.dtype, (1,), bytes(32))])
    table = CourtTable(world, of, claimed)
    keeper, provider = address(world.keeper), address(world.provider)
    number = table.demand(Part.OUTPUT, 0, 0, who=keeper)
    with pytest.raises(ProofError):
        table.answer(Part.OUTPUT, 0, 0, who=provider)
    with world.reverts("WrongCommitment"):
        good = answerer_of(of).answer(Part.OUTPUT, 0, 0)
        table._call("answer", Part.OUTPUT, 0, 0, good, who=provider)
    table.late(number)
    table.timeout(number, who=keeper)
    assert world.status(table.terms) is JobStatus.OPEN


# --- who, when, what -----------------------------------------------------------------------------


def test_demand__twice_open_or_answered__is_refused(world: Market) -> None:
    table = CourtTable(world, case("mlp"), case("mlp").truth)
    keeper, rival = address(world.keeper), address(world.rival)
    table.demand(Part.CONSTANT, 1, 0, who=keeper)
    assert table.refused_call("demand", Part.CONSTANT, 1, 0, who=rival) == "DemandedBefore"
    table.answer(Part.CONSTANT, 1, 0, who=rival)
    assert table.refused_call("demand", Part.CONSTANT, 1, 0, who=rival) == "DemandedBefore"
    good = answerer_of(table.of).answer(Part.CONSTANT, 1, 0)
    assert table.refused_call("answer", Part.CONSTANT, 1, 0, good, who=rival) == "NotOpen"
    assert table.refused_call("answer", Part.CONSTANT, 0, 0, good, who=rival) == "NotDemanded"


def test_demand__with_another_fee__is_refused(world: Market) -> None:
    table = CourtTable(world, case("mlp"), case("mlp").truth)
    fee = fee_of(table.terms.deal)
    assert world.court.feeOf(terms_tuple(table.terms)[1]) == fee
    arguments = (terms_tuple(table.terms), table.claim_id, 0, 0, 0)
    for value in (0, fee - 1, fee + 1):
        with world.reverts("WrongFee", value, fee):
            world.court.demand(*arguments, {"from": world.keeper, "value": value})


@pytest.mark.parametrize(
    ("part", "item", "index"),
    [(Part.HEADER, 1, 0), (Part.HEADER, 0, 1), (Part.TEMPLATE, 0, 1), (Part.PHASE, 0, 1)],
)
def test_demand__a_place_with_two_names__is_refused(
    world: Market, part: Part, item: int, index: int
) -> None:
    table = CourtTable(world, case("mlp"), case("mlp").truth)
    who = address(world.keeper)
    assert table.refused_call("demand", part, item, index, who=who) == "NoSuchPlace"


def test_demand__at_the_windows_last_second__holds_the_claim(world: Market) -> None:
    table = CourtTable(world, case("mlp"), case("mlp").truth)
    keeper, provider = address(world.keeper), address(world.provider)
    table.wait_until(table.claim.window_until - 1)
    table.demand(Part.HEADER, who=keeper)
    assert table.now == table.claim.window_until
    assert table.refused_call("demand", Part.TEMPLATE, 0, 0, who=keeper) == "TooLate"
    world.after(table.terms)
    with world.reverts("Held", world.key(table.terms), 1):
        world.market.finalize(*world.args(table.terms), {"from": world.keeper})
    table.now = table._chain_time()
    table.answer(Part.HEADER, who=provider)
    world.market.finalize(*world.args(table.terms), {"from": world.keeper})
    assert world.status(table.terms) is JobStatus.FINALIZED
    for account in (world.keeper, world.provider):
        world.court.withdrawNative(account, world.owed(account, world.court)[1], {"from": account})
    assert world.court.balance() == 0


def test_answer__at_the_clock_and_after__is_the_providers_and_then_is_not(world: Market) -> None:
    table = CourtTable(world, case("mlp"), case("mlp").truth)
    keeper, provider = address(world.keeper), address(world.provider)
    first, second = (table.demand(part, who=keeper) for part in (Part.HEADER, Part.INPUT))
    deadline = table.court.demands[table.claim_id, first].deadline
    assert deadline == table.now - 1 + DEMAND_SECONDS + 60
    table.wait_until(deadline - 2)
    assert table.refused_call("timeout", first, who=keeper) == "TooEarly"
    table.answer(Part.HEADER, who=provider)
    assert table.now == deadline
    table.late(second)
    good = answerer_of(table.of).answer(Part.INPUT, 0, 0)
    assert table.refused_call("answer", Part.INPUT, 0, 0, good, who=provider) == "TooLate"
    table.timeout(second, who=keeper)


def test_calls__with_the_terms_of_another_job__are_refused(world: Market) -> None:
    of = case("mlp")
    table = CourtTable(world, of, of.truth)
    other = CourtTable(world, of, of.truth, nonce=2, before=table)
    keeper = address(world.keeper)
    number = table.demand(Part.CONSTANT, who=keeper)
    terms, data = terms_tuple(other.terms), encoded(answerer_of(of).answer(Part.CONSTANT, 0, 0))
    options = {"from": world.keeper}
    court, fee = world.court, {"from": world.keeper, "value": fee_of(other.terms.deal)}
    with world.reverts("WrongClaim"):
        court.demand(terms, table.claim_id, 0, 0, 0, fee)
    with world.reverts("WrongClaim"):
        court.answer(terms, table.claim_id, int(Part.CONSTANT), 0, 0, data, options)
    with world.reverts("NotDemanded"):
        court.answer(terms, other.claim_id, int(Part.CONSTANT), 0, 0, data, options)
    with world.reverts("NotOpen", other.claim_id, 1):
        court.timeout(terms, other.claim_id, 1, options)
    table.late(number)
    world.at(table.now + 1)
    with world.reverts("WrongClaim"):
        court.timeout(terms, table.claim_id, number, options)
    with world.reverts("HasNotFallen", table.claim_id):
        court.collect(table.claim_id, [number], options)


def test_demand__before_the_commit_or_after_the_end__is_refused(world: Market) -> None:
    terms = world.terms(task={"referee": address(world.game)}, nonce=9)
    world.post(terms)
    fee = {"from": world.keeper, "value": fee_of(terms.deal)}
    for go in (None, world.accept):
        if go is not None:
            go(terms)
        with world.reverts("WrongStatus"):
            world.court.demand(terms_tuple(terms), bytes(32), 0, 0, 0, fee)
    table = CourtTable(world, case("mlp"), case("mlp").truth)
    world.after(table.terms)
    world.market.finalize(*world.args(table.terms), {"from": world.keeper})
    with world.reverts("WrongStatus"):
        world.court.demand(terms_tuple(table.terms), table.claim_id, 0, 0, 0, fee)


# --- many ----------------------------------------------------------------------------------------


def test_hundred_demands__one_provider_answers_in_order__is_never_late(world: Market) -> None:
    """Two claims; one answer a queue's turn, all in time, and the claims can be finalized."""
    of = case("wide")
    one = CourtTable(world, of, of.truth)
    two = CourtTable(world, of, of.truth, nonce=2, before=one)
    keeper, provider = address(world.keeper), address(world.provider)
    places = [(Part.INPUT, 0, k) for k in range(25)] + [(Part.OUTPUT, 0, k) for k in range(25)]
    asked = [(table, place) for place in places for table in (one, two)]
    assert len(asked) == 100
    start = now = max(one.now, two.now)
    demanded = answered = 0
    while answered < len(asked):
        # The provider takes a turn of the queue for each, whatever else happens.
        if demanded < len(asked) and now + 1 < start + (answered + 1) * DEMAND_SECONDS:
            now += 1
            table, place = asked[demanded]
            table.court.demand(table.claim_id, *place, keeper, now)
            table.now = now
            table._call("demand", *place, who=keeper)
            demanded += 1
            continue
        now = start + (answered + 1) * DEMAND_SECONDS
        table, place = asked[answered]
        proof = answerer_of(of).answer(*place)
        table.court.answer(table.claim_id, *place, proof, now)
        table.now = now
        table._call("answer", *place, proof, who=provider)
        answered += 1
    assert (one.claim.holds, two.claim.holds) == (0, 0)
    assert tuple(world.court.queueOf(world.provider))[1] == 0
    for table in (one, two):
        table.now = now
        world.market.finalize(*world.args(table.terms), {"from": world.keeper})
    assert world.owed(world.provider, world.court)[1] == one.court.credits[provider]


def test_queue__own_answered_demands__do_not_delay_an_honest_one(world: Market) -> None:
    """A liar demands of itself and answers at once: the next deadline is no later for it."""
    of = case("wide")
    table = CourtTable(world, of, liars.wrong_output(0)(of))
    provider, keeper = address(world.provider), address(world.keeper)
    for k in range(5):
        table.demand(Part.INPUT, 0, k, who=provider)
        table.answer(Part.INPUT, 0, k, who=provider)
    number = table.demand(Part.OUTPUT, 0, 0, who=keeper)
    deadline = table.court.demands[table.claim_id, number].deadline
    assert deadline == table.now + DEMAND_SECONDS + 60
