"""The court through the chain's only door: demands, answers, what is withheld, on Anvil."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.chain.book import Book, ProvenIllegal
from protocol.chain.chain import Chain, Read
from protocol.chain.contracts import Court, answer_of, encoded
from protocol.chain.court_reverts import DemandedBefore, NotOpen, WrongFee
from protocol.chain.demands import (
    Answered,
    Demanded,
    DemandEvent,
    DemandRecord,
    Docket,
    FeeCollected,
    Withheld,
    follow,
)
from protocol.chain.disputes import ClaimEnded
from protocol.chain.errors import WrongChain
from protocol.chain.event import HistoryBroken, Place
from protocol.chain.history import History
from protocol.chain.reverts import WrongStatus
from protocol.spec.answers import NO_LEAF, NO_PHASE, Part, ProgramAnswer
from protocol.spec.demands import DemandState, fee_of, paid_for
from protocol.spec.dispute import Outcome
from protocol.spec.illegality import prove_illegality
from protocol.spec.job import Fault, JobStatus, answer_price, bounty_of, pack_steps
from protocol.spec.legality_proofs import Illegality, StepsCase
from protocol.spec.limits import DEVNET
from protocol.spec.proofs import PhasePart, ProgramPart
from tests.actors import liars
from tests.chain.duel import Duel
from tests.chain.test_disputes import CLAIM, committed
from tests.chain.world import CLIENT, KEEPER, LOCATORS, PROVIDER, RIVAL, STRANGER, World
from tests.game.world import case


def agree(duel: Duel) -> Docket:
    """The book says of every demand what the contract says."""
    chain, docket = duel.world.chain, duel.docket()
    at = chain.snapshot()
    found = chain.demands_of([(duel.claim, d.number) for d in docket.demands], at)
    for entry, told in zip(found, docket.demands, strict=True):
        assert (entry.demander, entry.deadline) == (told.demander, told.deadline)
        assert entry.state is told.state
    assert docket.job == duel.job
    return docket


@pytest.mark.chain
def test_demand__each_kind__is_answered_by_what_the_event_carries(fresh_game: World) -> None:
    world, of = fresh_game, case("mlp")
    duel = Duel(world, of, of.truth)
    asked = [(Part.HEADER, 0, 0), (Part.OUTPUT, 0, 0), (Part.INSTANCE, 0, 1), (Part.INPUT, 99, 7)]
    numbers = [duel.demand(*place) for place in asked]
    assert numbers == [1, 2, 3, 4]
    assert [d.place for d in agree(duel).open] == asked
    assert duel.docket().open_of(world.address(KEEPER)) == (1, 2, 3, 4)
    for number in numbers:
        duel.answer(number, (PROVIDER, STRANGER)[number % 2])
    docket = agree(duel)
    assert docket.open == ()
    deal, paid = duel.terms.deal, 0
    for number, place in zip(numbers, asked, strict=True):
        answer = docket.demand(number).answer
        assert answer is not None
        assert answer_of(place[0], answer.proof) == duel.answerer().answer(*place)
        assert (answer.shown == 0) == (place == (Part.INPUT, 99, 7))
        block = world.rpc("eth_getBlockByNumber", hex(answer.place.block), False)
        price = answer_price(deal.gas_price, DEVNET.schedule, int(block["baseFeePerGas"], 16))
        assert answer.paid == paid_for(answer.shown, price)
        paid += answer.paid
    # The provider's, whoever sent them.
    at = world.chain.snapshot()
    for role, wei in ((PROVIDER, paid), (STRANGER, 0)):
        assert world.chain.balances(world.address(role), at).court_credit.native == wei
    rest = 4 * fee_of(deal) - paid
    assert world.chain.balances(world.address(KEEPER), at).credits["court"].native == rest
    found = docket.at(Part.OUTPUT, 0, 0)
    assert found is not None
    assert found.number == 2
    assert docket.at(Part.OUTPUT, 1, 0) is None
    with pytest.raises(NotOpen):
        duel.answer(1)
    with pytest.raises(DemandedBefore):
        duel.demand(Part.HEADER, role=RIVAL)


@pytest.mark.chain
def test_demand__wrong_fee__is_refused(fresh_game: World) -> None:
    world, of = fresh_game, case("mlp")
    duel = Duel(world, of, of.truth)
    court = world.chain.contracts.court
    with pytest.raises(WrongFee):
        world.send(KEEPER, court.demand(duel.terms, duel.claim, Part.HEADER, 0, 0, 1))


@pytest.mark.chain
def test_withheld__claim_under_dispute__ends_it_for_everybody(fresh_game: World) -> None:
    world, of = fresh_game, case("counter")
    duel = Duel(world, of, liars.one_bit_in(3, 3)(of))
    number, asked = duel.challenge(STRANGER), duel.demand(Part.OUTPUT)
    world.past(duel.docket().demand(asked).deadline)
    court, game = world.chain.contracts.court, world.chain.contracts.game
    world.send(RIVAL, court.timeout(duel.terms, duel.claim, asked))
    docket, record = agree(duel), duel.read()
    assert isinstance(docket.withheld, Withheld)
    assert (docket.withheld.caller, docket.withheld.rewarded) == (world.address(RIVAL), 1)
    assert isinstance(record.ended, ClaimEnded)
    assert (record.fall, record.over) == (None, True)
    book = History(world.chain).sync(world.chain.snapshot())
    assert book.fallen == {duel.claim}
    assert book.standing() == []
    assert book.jobs[duel.job].attempts[0].fault is Fault.WITHHELD
    world.send(CLIENT, game.collect(duel.claim, number))
    world.send(CLIENT, court.collect(duel.claim, [asked]))
    assert agree(duel).demand(asked).state is DemandState.COLLECTED
    assert duel.read().challenge(number).outcome is Outcome.COLLECTED
    at = world.chain.snapshot()
    fee = world.chain.balances(world.address(KEEPER), at).court_credit.native
    assert fee == fee_of(duel.terms.deal)
    assert world.chain.job_state(duel.job, at).status is JobStatus.OPEN


@pytest.mark.chain
def test_withheld__nobody_challenged__is_a_fallen_claim_without_a_dispute(
    fresh_game: World,
) -> None:
    world, of = fresh_game, case("mlp")
    duel = Duel(world, of, of.truth)
    asked = duel.demand(Part.OUTPUT)
    back = world.rpc("evm_snapshot")
    world.past(duel.docket().demand(asked).deadline)
    history = History(world.chain)
    world.send(KEEPER, world.chain.contracts.court.timeout(duel.terms, duel.claim, asked))
    book = history.sync(world.chain.snapshot())
    assert (book.fallen, dict(book.disputes)) == ({duel.claim}, {})
    world.rpc("evm_revert", back)
    book = history.sync(world.chain.snapshot())
    assert book.fallen == set()
    assert book.dockets[duel.claim].withheld is None


@pytest.mark.chain
@pytest.mark.parametrize("member", ["MARKET", "GAME"])
def test_check__court_of_another_market__is_refused(
    fresh_game: World, monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    world = fresh_game
    assert world.chain.has_court
    real = Chain._read_many

    def other(self: Chain, at: str, reads: list[Read]) -> list[tuple[object, ...]]:
        answers = real(self, at, reads)
        named = [(abi, name) for _, abi, name, _ in reads]
        return [
            ("0x" + "77" * 20,) if which == ("Court", member) else answer
            for which, answer in zip(named, answers, strict=True)
        ]

    monkeypatch.setattr(Chain, "_read_many", other)
    with pytest.raises(WrongChain, match=rf"Court\.{member} is 0x7777"):
        Chain.connect(world.config(), world.deployment)


@pytest.mark.chain
def test_prove_illegal__more_steps_than_the_phase_has__voids_the_job(fresh_game: World) -> None:
    world, of = fresh_game, case("mlp")
    terms = world.terms()
    task = of.task(world.deployment.game, terms.task.locators_hash)
    terms = replace(terms, task=replace(task, steps=pack_steps((of.steps[0] + 1,))))
    found = prove_illegality(of.example.program, terms.task)
    assert found is not None
    kind, proof = found
    assert kind is Illegality.STEPS
    market, court = world.chain.contracts.market, world.chain.contracts.court
    bounty = bounty_of(terms.deal, world.deployment.limits.schedule)
    world.send(CLIENT, market.post(terms, LOCATORS, bounty))
    job = world.hash(terms)
    world.accept(terms)
    world.send(STRANGER, court.prove_illegal(terms, kind, proof, job))
    history = History(world.chain)
    book = history.sync(world.chain.snapshot())
    record = book.jobs[job]
    assert record.status is JobStatus.VOIDED
    told = [event for event in book.events if isinstance(event, ProvenIllegal)]
    assert [(e.job, e.claim, e.caller, e.kind) for e in told] == [
        (job, bytes(32), world.address(STRANGER), Illegality.STEPS)
    ]
    with pytest.raises(WrongStatus):
        world.send(STRANGER, court.prove_illegal(terms, kind, proof, job))


# --- without a chain ------------------------------------------------------------------------------

PLACE = Place(1, 0, bytes(32), bytes(32), 1)
WHO = b"\x0a" * 20


def demanded(number: int = 1) -> Demanded:
    return Demanded(PLACE, CLAIM, number, WHO, Part.TEMPLATE, number, 0, 900)


def test_follow__demands_in_order__are_told() -> None:
    docket = Docket(CLAIM, bytes(32))
    for event in (demanded(), demanded(2), Answered(PLACE, CLAIM, 1, WHO, 5, 6, b"proof")):
        docket = follow(docket, event)
    first = docket.demand(1)
    assert first == DemandRecord(
        1, WHO, Part.TEMPLATE, 1, 0, 900, PLACE, DemandState.ANSWERED,
        Answered(PLACE, CLAIM, 1, WHO, 5, 6, b"proof"),
    )  # fmt: skip
    assert [d.number for d in docket.open] == [2]
    docket = follow(docket, Withheld(PLACE, CLAIM, 2, WHO, 2))
    assert [d.number for d in docket.open] == [2]
    docket = follow(docket, FeeCollected(PLACE, CLAIM, 2, WHO, 7))
    assert (docket.open, docket.demand(2).state) == ((), DemandState.COLLECTED)


@pytest.mark.parametrize(
    "events",
    [
        (demanded(2),),
        (demanded(), demanded()),
        (Answered(PLACE, CLAIM, 1, WHO, 5, 6, b""),),
        (demanded(), *[Answered(PLACE, CLAIM, 1, WHO, 5, 6, b"")] * 2),
        (demanded(), FeeCollected(PLACE, CLAIM, 1, WHO, 5), Withheld(PLACE, CLAIM, 1, WHO, 1)),
    ],
)
def test_follow__events_that_cannot_follow__are_broken(events: tuple[DemandEvent, ...]) -> None:
    docket = Docket(CLAIM, bytes(32))
    with pytest.raises(HistoryBroken):
        for event in events:
            docket = follow(docket, event)


def test_book__demand_of_a_claim_that_was_never_committed__is_broken() -> None:
    with pytest.raises(HistoryBroken, match="never committed"):
        Book([demanded()])
    assert list(Book([*committed().events, demanded()]).dockets) == [CLAIM]


def test_demand__number_out_of_range__raises() -> None:
    with pytest.raises(IndexError):
        Docket(CLAIM, bytes(32)).demand(1)


def test_calls__of_the_court__carry_their_words_and_values(world: World) -> None:
    terms, court = world.terms(), Court(b"\x08" * 20)
    call = court.demand(terms, CLAIM, Part.INPUT, 3, 4, 77)
    assert (call.value, call.what) == (77, f"demand INPUT 3 4 of 0x{CLAIM.hex()[:8]}…")
    name, values = court.abi.decode_input(call.data)
    assert (name, values[1:]) == ("demand", (CLAIM, Part.INPUT, 3, 4))
    answer = ProgramAnswer(ProgramPart(b"h", [CLAIM]), NO_PHASE, NO_LEAF)
    call = court.answer(terms, CLAIM, Part.HEADER, 0, 0, answer)
    name, values = court.abi.decode_input(call.data)
    assert (name, values[5]) == ("answer", encoded(answer))
    assert answer_of(Part.HEADER, values[5]) == answer
    assert court.abi.decode_input(court.collect(CLAIM, (1, 2)).data)[1] == (CLAIM, (1, 2))
    phase = PhasePart(b"head", CLAIM, CLAIM, [])
    case_ = StepsCase(ProgramPart(b"h", [CLAIM]), 1, phase)
    call = court.prove_illegal(terms, Illegality.STEPS, case_, b"\1" * 32)
    name, values = court.abi.decode_input(call.data)
    assert (name, values[1:]) == ("proveIllegal", (Illegality.STEPS, encoded(case_)))
    assert call.what == "prove 0x01010101… illegal, STEPS"
