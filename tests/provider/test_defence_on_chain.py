"""A provider under a flood: demands, a challenge in the middle of them, data that is not there."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest

from protocol.chain.book import JobRecord
from protocol.chain.chain import Chain
from protocol.chain.contracts import Call
from protocol.chain.flights import Flight
from protocol.chain.transactions import Sender
from protocol.spec.answers import Answer, Answerer, Part
from protocol.spec.dispute import Challenge, Outcome, Wait
from protocol.spec.strategy import answer as answer_to
from protocol.spec.trace import Place, Tree
from protocol.storage.cache import Cache
from protocol.storage.errors import ContentMissing
from provider.agent import Agent
from provider.engine.trace import EngineTrace, Where
from tests.actors.case import Case, case_of
from tests.actors.table import Table
from tests.actors.walker import Walker
from tests.provider.conftest import Market
from tests.provider.siege import (
    BLOCK_SECONDS,
    EXAMPLES,
    FLOOD,
    challenge,
    claim_of,
    committed,
    demands,
    flood,
    in_time,
    provider,
    rested,
    slow_blocks,
    stranger,
)

pytestmark = pytest.mark.chain


class Beset(Sender):
    """A sender before whose third answer something happens, in the face of it."""

    before: Callable[[Call], object]
    answers = 0

    def _broadcast(self, flight: Flight) -> None:
        call = flight.call
        if call.to == self.chain.contracts.court.address:
            self.answers += 1
            if self.answers == 3:
                self.before(call)
        super()._broadcast(flight)


@contextmanager
def beset(agent: Agent, before: Callable[[Call], object]) -> Iterator[Beset]:
    made = Beset(agent.chain, agent.sender.wallet)
    made.before = before
    agent.defence.dispatch.sender = made
    yield made


def until(holds: Callable[[], bool], work: Future[bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        assert not work.done(), "it was silent"
        threading.Event().wait(0.01)
    pytest.fail("nothing was sent")


def test_cycle__forty_demands_at_once__are_answered_in_order_and_in_time(
    staffed: Market, tmp_path: Path
) -> None:
    with provider(staffed, tmp_path) as (agent, lines), stranger(staffed) as other:
        record = committed(staffed, agent)
        flood(other, record)
        with slow_blocks(agent.chain):
            rested(agent)
        found = demands(agent, record)
        assert len(found) == FLOOD
        assert in_time(found), lines
        places = [d.answer.place for d in found if d.answer is not None]
        assert places == sorted(places), "nearest deadline first"
        assert places[-1].time - places[0].time < BLOCK_SECONDS * FLOOD / 3, "several a block"


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
        flood(other, record, 16)
        with beset(agent, lambda _: challenge(other, record)):
            rested(agent)
        dispute = agent.history.sync(agent.chain.snapshot()).disputes[claim_of(record)]
        assert dispute.opened is not None, lines
        later = [d for d in demands(agent, record) if d.answer is not None
                 and d.answer.place > dispute.opened.place]  # fmt: skip
        assert len(later) == 4, "two looks were under way"
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


def test_cycle__copy_of_the_answer_is_pending_and_taken_back__answers_all_the_same(
    staffed: Market, tmp_path: Path
) -> None:
    """Whoever sends a copy before each block, and something else in its place before it is mined,
    keeps nobody silent."""
    of = case_of(EXAMPLES["mlp"])
    with provider(staffed, tmp_path) as (agent, lines), stranger(staffed) as other:
        record = committed(staffed, agent)
        claim, game, rpc = claim_of(record), agent.chain.contracts.game, other.chain.rpc
        challenge(other, record)
        agent.cycle()
        seen = Seen(other.chain, claim, of)
        walker = Walker(of, other.address, Place(Tree.OPERATION_BLOCKS, 1, 0, 0))
        while seen.challenge_of(1).wait is Wait.CHALLENGER:
            move = walker.next(seen, 1)
            assert move is not None
            other.send(game.play(claim, record.terms, [(1, move)]))
            seen.moves += 1
        assert seen.challenge_of(1).wait is Wait.REVEAL
        (answer,) = answer_to(seen.challenge_of(1), of.truth)
        copy = game.move(claim, 1, record.terms, answer)
        rpc.call("evm_setAutomine", False)
        try:
            copied = other.quote(copy)
            flight = other._started(copy, other._count("latest"), copied)
            with ThreadPoolExecutor() as pool:
                cycle = pool.submit(agent.cycle)
                until(lambda: agent.sender._count("pending") > agent.sender._count("latest"), cycle)
                rpc.call("anvil_dropTransaction", "0x" + flight.sent[-1][0].hex())
                rpc.call("evm_mine")
                assert cycle.result(60)
        finally:
            rpc.call("evm_setAutomine", True)
        assert seen.challenge_of(1).wait is Wait.CHALLENGER, lines


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
