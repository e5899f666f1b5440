"""A provider under a flood: demands, a challenge in the middle of them, data that is not there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from client.terms import Wishes
from protocol.chain.book import JobRecord
from protocol.chain.chain import Chain
from protocol.chain.contracts import Call
from protocol.chain.demands import DemandRecord
from protocol.chain.transactions import Outcome as Sent
from protocol.chain.transactions import Sender, require_wallet
from protocol.spec import examples
from protocol.spec.answers import Answer, Answerer, Part
from protocol.spec.demands import fee_of
from protocol.spec.dispute import Challenge, Outcome, Wait
from protocol.spec.job import JobStatus
from protocol.spec.trace import Place, Tree
from protocol.spec.workload import Rate
from protocol.storage.cache import Cache
from protocol.storage.errors import ContentMissing
from provider.agent import Agent, AgentConfig
from provider.decide import Habits
from provider.engine.trace import EngineTrace, Where
from provider.policy import Rules
from tests.actors.case import Case, case_of
from tests.actors.table import Table
from tests.actors.walker import Walker
from tests.provider.conftest import TOKEN, Market

pytestmark = pytest.mark.chain

EXAMPLES = {e.name: e for e in examples.all_examples()}
HONEST, DEMANDER = 4, 5
BLOCK_SECONDS = 12
FLOOD = 40


@pytest.fixture(scope="module")
def staffed(market: Market) -> Market:
    """A provider with a stake, a demander with tokens for bonds."""
    market.register(HONEST, 400)
    market.fund(DEMANDER, 10_000)
    return market


@contextmanager
def provider(market: Market, directory: Path) -> Iterator[tuple[Agent, list[str]]]:
    config = AgentConfig(directory, Rules(), Habits(settle_after=10**6))
    with market.agent(HONEST, config) as (agent, lines):
        agent.assessor.rate = Rate(1e9, 1e9)
        yield agent, lines


def committed(market: Market, agent: Agent, name: str = "mlp") -> JobRecord:
    """A new job, run and committed."""
    e = EXAMPLES[name]
    with market.client() as client:
        wishes = Wishes(price=5 * TOKEN, seed=e.seed, steps=e.steps, window_seconds=1000)
        job = client.submit(e.program, e.constants, e.inputs, wishes).job
    for _ in range(4):
        agent.cycle()
        record = agent.history.sync(agent.chain.snapshot()).jobs[job]
        if record.status is JobStatus.COMMITTED:
            return record
    pytest.fail("not committed")


def claim_of(record: JobRecord) -> bytes:
    assert record.current is not None
    assert record.current.claim is not None
    return record.current.claim


@contextmanager
def stranger(market: Market) -> Iterator[Sender]:
    with Chain.connect(market.chain_config(DEMANDER)) as chain:
        yield Sender(chain, require_wallet(chain))


def flood(sender: Sender, record: JobRecord, count: int = FLOOD) -> None:
    """So many demands: most for constants that do not exist."""
    court, fee = sender.chain.contracts.court, fee_of(record.terms.deal)
    for item in range(count):
        sender.send(court.demand(record.terms, claim_of(record), Part.CONSTANT, item, 0, fee))


def challenge(sender: Sender, record: JobRecord) -> None:
    chain = sender.chain
    token, native = chain.bond_of(claim_of(record), record.terms.deal, chain.snapshot())
    game = chain.contracts.game
    sender.send(chain.contracts.token.approve(game.address, token))
    sender.send(game.challenge(record.terms, claim_of(record), native))


@contextmanager
def slow_blocks(chain: Chain) -> Iterator[None]:
    """Each block takes the time that it takes on a big network."""
    chain.rpc.call("anvil_setBlockTimestampInterval", BLOCK_SECONDS)
    try:
        yield
    finally:
        chain.rpc.call("anvil_removeBlockTimestampInterval")


def demands(agent: Agent, record: JobRecord) -> tuple[DemandRecord, ...]:
    book = agent.history.sync(agent.chain.snapshot())
    return book.dockets[claim_of(record)].demands


class Beset(Sender):
    """A sender before whose third answer something happens."""

    before: Callable[[Call], object]
    answers = 0

    def send(self, call: Call, **options: Any) -> Sent:
        if call.to == self.chain.contracts.court.address:
            self.answers += 1
            if self.answers == 3:
                self.before(call)
        return super().send(call, **options)


@contextmanager
def beset(agent: Agent, before: Callable[[Call], object]) -> Iterator[Beset]:
    made = Beset(agent.chain, agent.sender.wallet)
    made.before = before
    agent.defence.sender = made
    yield made


def in_time(found: tuple[DemandRecord, ...]) -> bool:
    return all(d.answer is not None and d.answer.place.time <= d.deadline for d in found)


def test_cycle__forty_demands_at_once__are_answered_in_order_and_in_time(
    staffed: Market, tmp_path: Path
) -> None:
    with provider(staffed, tmp_path) as (agent, lines), stranger(staffed) as other:
        record = committed(staffed, agent)
        flood(other, record)
        with slow_blocks(agent.chain):
            assert agent.cycle()
        found = demands(agent, record)
        assert len(found) == FLOOD
        assert in_time(found), lines
        places = [d.answer.place for d in found if d.answer is not None]
        assert places == sorted(places), "nearest deadline first"
        assert places[-1].time - places[0].time >= BLOCK_SECONDS * (FLOOD - 1)


def test_cycle__somebody_answers_first__the_others_are_answered(
    staffed: Market, tmp_path: Path
) -> None:
    with provider(staffed, tmp_path) as (agent, lines), stranger(staffed) as other:
        record = committed(staffed, agent)
        flood(other, record, 6)
        with beset(agent, other.send):
            agent.cycle()
        found = demands(agent, record)
        assert in_time(found), lines
        callers = [d.answer.caller for d in found if d.answer is not None]
        assert [caller == other.address for caller in callers].count(True) == 1


def test_cycle__challenge_in_the_middle_of_a_flood__does_not_wait_for_its_end(
    staffed: Market, tmp_path: Path
) -> None:
    with provider(staffed, tmp_path) as (agent, lines), stranger(staffed) as other:
        record = committed(staffed, agent)
        flood(other, record, 8)
        with beset(agent, lambda _: challenge(other, record)):
            agent.cycle()
        dispute = agent.history.sync(agent.chain.snapshot()).disputes[claim_of(record)]
        assert dispute.opened is not None, lines
        later = [d for d in demands(agent, record) if d.answer is not None
                 and d.answer.place > dispute.opened.place]  # fmt: skip
        assert len(later) == 5, "three answers were under way"
        assert in_time(demands(agent, record))


def test_cycle__one_demand_cannot_be_answered__the_others_are(
    staffed: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with provider(staffed, tmp_path) as (agent, lines), stranger(staffed) as other:
        record = committed(staffed, agent)
        flood(other, record, 6)
        real = Answerer.answer

        def answer(self: Answerer, part: Part, item: int, index: int) -> Answer:
            if item == 1:
                raise LookupError("a defect")
            return real(self, part, item, index)

        monkeypatch.setattr(Answerer, "answer", answer)
        agent.cycle()
        assert [d.answer is None for d in demands(agent, record)] == [False, True, *[False] * 4]
        assert any("a defect" in line for line in lines)
        monkeypatch.undo()
        agent.defence._rests.clear()
        agent.cycle()
        assert in_time(demands(agent, record)), lines


def test_cycle__data_of_a_live_claim_is_published_no_more__a_new_life_answers_from_the_cache(
    staffed: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ContentMissing("nobody has it any more")

    with provider(staffed, tmp_path) as (agent, _):
        record = committed(staffed, agent)
        small = Cache(agent.cache.directory, 10)
        small.obtain("tensor", os.urandom(32), lambda entry: entry.write(bytes(100)))
    with provider(staffed, tmp_path) as (agent, lines), stranger(staffed) as other:
        monkeypatch.setattr(agent.store, "get", missing)
        monkeypatch.setattr(agent.store, "fetch", missing)
        challenge(other, record)
        flood(other, record, 2)
        agent.cycle()
        dispute = agent.history.sync(agent.chain.snapshot()).disputes[claim_of(record)]
        assert dispute.opened is not None, lines
        assert in_time(demands(agent, record)), lines


def test_cycle__data_of_one_claim_is_missing__is_looked_for_a_quarter_of_the_time(
    staffed: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with provider(staffed, tmp_path) as (agent, lines), stranger(staffed) as other:
        lost, kept = committed(staffed, agent), committed(staffed, agent)
        flood(other, lost, 6)
        flood(other, kept, 6)
        now, tries, hold = [0.0], [0], agent.defence._hold

        def holding(job: JobRecord) -> Answerer:
            if job.job == lost.job:
                now[0] += 30.0
                tries[0] += 1
                raise ContentMissing("nobody has it")
            return hold(job)

        monkeypatch.setattr(agent.defence, "_hold", holding)
        monkeypatch.setattr(agent.defence, "_clock", lambda: now[0])
        agent.cycle()
        assert tries == [1]
        assert in_time(demands(agent, kept)), lines
        monkeypatch.undo()
        agent.defence._rests.clear()
        agent.cycle()
        assert in_time(demands(agent, lost)), lines


class Seen(Table):
    """Challenges as the chain has them, of a claim that is the truth."""

    def __init__(self, chain: Chain, claim: bytes, of: Case) -> None:
        super().__init__(Mock(), claim, 0)
        self.chain = chain
        self.prover = of.prover(of.truth.levels)

    def challenge_of(self, number: int) -> Challenge:
        ((found, _),) = self.chain.turns_of([(self.claim_id, number)], self.chain.snapshot())
        return found


@pytest.mark.parametrize(("name", "steps"), [("mlp", [1]), ("phases", [1, 2, 3, 4])])
def test_cycle__crowd_of_false_challengers__is_answered_by_few_runs_and_closed(
    staffed: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, steps: list[int]
) -> None:
    of, runs, real = case_of(EXAMPLES[name]), [], EngineTrace.prepare

    def prepare(self: EngineTrace, places: Iterable[Where]) -> None:
        asked = list(places)
        runs.extend([] if self.holds(asked) else [asked])
        real(self, asked)

    monkeypatch.setattr(EngineTrace, "prepare", prepare)
    with provider(staffed, tmp_path) as (agent, lines), stranger(staffed) as other:
        record = committed(staffed, agent, name)
        claim, game = claim_of(record), agent.chain.contracts.game
        seen = Seen(other.chain, claim, of)
        operations = range(len(of.example.program.phases[0].instances))
        places = [Place(Tree.OPERATION_BLOCKS, s, k, 0) for s in steps for k in operations][:12]
        walkers = {n: Walker(of, other.address, p) for n, p in enumerate(places, start=1)}
        for _ in walkers:
            challenge(other, record)
        agent.cycle()
        for _ in range(12):
            before = len(runs), seen.moves
            for number, walker in walkers.items():
                while seen.challenge_of(number).wait is Wait.CHALLENGER:
                    move = walker.next(seen, number)
                    if move is None:
                        break
                    other.send(game.play(claim, record.terms, [(number, move)]))
                    seen.moves += 1
            agent.cycle()
            if before == (len(runs), seen.moves):
                break
        assert 0 < len(runs) <= 2, lines
        for number in walkers:
            x = seen.challenge_of(number)
            assert (x.tree, x.level, x.known) == (Tree.OPERATION_BLOCKS, 0, True)
        turns = other.chain.turns_of([(claim, n) for n in walkers], other.chain.snapshot())
        last = max(deadline for _, deadline in turns)
        agent.chain.rpc.call("anvil_setNextBlockTimestamp", hex(last + 1))
        agent.chain.rpc.call("evm_mine")
        agent.cycle()
        dispute = agent.history.sync(agent.chain.snapshot()).disputes[claim]
        assert dispute.fall is None
        assert [x.outcome for x in dispute.challenges] == [Outcome.DEFEATED] * len(walkers), lines


def test_cycle__data_is_in_the_cache__nobody_that_the_client_names_is_dialled(
    staffed: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead addresses cost seconds each, of the clock in which the claim has to be opened."""
    with provider(staffed, tmp_path) as (agent, lines), stranger(staffed) as other:
        record = committed(staffed, agent)
        dialled: list[str] = []
        monkeypatch.setattr(agent.store, "_dial", dialled.append)
        challenge(other, record)
        agent.cycle()
        dispute = agent.history.sync(agent.chain.snapshot()).disputes[claim_of(record)]
        assert dispute.opened is not None, lines
        assert dialled == []
        agent.cache.discard("program", record.terms.task.program_root, "the test wants it gone")
        agent._fetcher.data(record)
        assert dialled
