"""The book and the chain: equal after every move, through reorgs, gaps and nodes that lie."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from protocol.chain.abi import interface
from protocol.chain.book import Book, HistoryBroken, JobRecord
from protocol.chain.contracts import Call
from protocol.chain.errors import NodeUnavailable, RangeTooLarge, Reorganised
from protocol.chain.history import History
from protocol.chain.state import Snapshot
from protocol.spec.job import JobStatus, JobTerms, task_hash
from protocol.spec.limits import GWEI
from tests.chain.world import CLIENT, KEEPER, PROVIDER, RIVAL, World, view_of

pytestmark = pytest.mark.chain


def agree(world: World, book: Book, at: Snapshot) -> None:
    """Every record says what the contracts say at that block."""
    jobs = list(book.jobs.values())
    for record, state in zip(jobs, world.chain.job_states(list(book.jobs), at), strict=True):
        assert (record.status, record.clock, record.holds) == (
            state.status,
            state.clock,
            state.holds,
        )
        assert (record.provider or bytes(20)) == state.provider
        if record.live:
            assert record.attempt == state.attempt
        root = world.chain.result_of(record.job, at)
        assert (record.result_root or bytes(32)) == root
        if record.status in (JobStatus.COMMITTED, JobStatus.FINALIZED):
            assert record.current is not None
            assert record.current.claim == world.chain.claim_of(record.job, at)
        for attempt in record.attempts:
            lost = world.chain.has_lost(record.job, attempt.provider, at)
            assert lost == record.lost(attempt.provider)


def moves(world: World, record: JobRecord) -> list[Callable[[], Any]]:
    """What may happen next to a job, with the time that it takes."""
    market, terms = world.chain.contracts.market, record.terms
    key = (task_hash(terms.task), terms.deal)

    def timeout(call: Call) -> Callable[[], Any]:
        def act() -> None:
            world.past(record.clock)
            world.send(KEEPER, call)

        return act
    if record.status is JobStatus.OPEN:
        takers = [r for r in (PROVIDER, RIVAL) if not record.lost(world.address(r))]
        return [
            *(partial(world.accept, terms, taker) for taker in takers),
            lambda: world.send(CLIENT, market.cancel(*key)),
            timeout(market.refund(*key)),
        ]
    late = [timeout(market.slash_late(*key))]
    if record.status is JobStatus.ACCEPTED:
        role = next(r for r in (PROVIDER, RIVAL) if world.address(r) == record.provider)
        return [*late, lambda: world.commit(record.job, role, b"\5" * 32)]
    return [timeout(market.finalize(*key))]


@pytest.mark.parametrize("seed", range(4))
def test_sync__random_lives__are_what_the_contracts_say(fresh_world: World, seed: int) -> None:
    world, rng = fresh_world, random.Random(seed)
    history = History(world.chain)
    stepped = 0
    for _ in range(25):
        at = world.chain.snapshot()
        book = history.sync(at)
        agree(world, book, at)
        live = [record for record in book.jobs.values() if record.live]
        if not live or (len(live) < 3 and rng.random() < 0.4):
            world.post(attempts=rng.randint(1, 3), gas_price=GWEI)
        else:
            record = rng.choice(live)
            # Chain time may have passed it: only its timeout is left then.
            options = moves(world, record)
            late = world.chain.snapshot().next_timestamp >= record.clock - 2
            rng.choice(options[-1:] if late and record.status is JobStatus.OPEN else
                       options[:1] if late else options)()  # fmt: skip
            stepped += 1
    assert stepped >= 10
    at = world.chain.snapshot()
    book = history.sync(at)
    agree(world, book, at)
    again = History(world.chain).sync(at)
    assert again.jobs == book.jobs
    assert again.events == book.events


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_sync__ranges_of_any_size__give_the_same_book(fresh_world: World, size: int) -> None:
    world = fresh_world
    for _ in range(2):
        _, terms = world.post()
        world.accept(terms)
    at = world.chain.snapshot()
    whole = History(world.chain).sync(at)
    history = History(world.chain)
    history._range = size
    assert history.sync(at).events == whole.events
    assert len(whole.jobs) >= 2
    assert len(whole.providers) == 2


def test_sync__registered__has_the_endpoints(world: World) -> None:
    book = History(world.chain).sync(world.chain.snapshot())
    assert [record.endpoint for record in book.providers.values()] == [b"role 2", b"role 3"]


def test_sync__ganache__agrees_too(ganache_world: World) -> None:
    world = ganache_world
    job, terms = world.post()
    world.accept(terms)
    world.commit(job)
    history = History(world.chain)
    at = world.chain.snapshot()
    agree(world, history.sync(at), at)
    world.past(world.clock(job))
    world.send(KEEPER, world.chain.contracts.market.finalize(task_hash(terms.task), terms.deal))
    at = world.chain.snapshot()
    book = history.sync(at)
    agree(world, book, at)
    assert book.jobs[job].status is JobStatus.FINALIZED


def chain_of(world: World) -> tuple[bytes, JobTerms]:
    job, terms = world.post()
    world.accept(terms)
    return job, terms


def test_sync__last_block_replaced__its_events_are_undone(fresh_world: World) -> None:
    world = fresh_world
    job, _ = chain_of(world)
    history = History(world.chain)
    assert history.sync(world.chain.snapshot()).jobs[job].status is JobStatus.ACCEPTED
    world.rpc("anvil_reorg", 1, [])
    at = world.chain.snapshot()
    book = history.sync(at)
    assert book.jobs[job].status is JobStatus.OPEN
    agree(world, book, at)


def test_sync__other_history__is_followed(fresh_world: World) -> None:
    world = fresh_world
    job, terms = world.post()
    back = world.rpc("evm_snapshot")
    world.accept(terms, PROVIDER)
    world.commit(job, PROVIDER)
    history = History(world.chain)
    assert history.sync(world.chain.snapshot()).jobs[job].provider == world.address(PROVIDER)
    world.rpc("evm_revert", back)
    world.accept(terms, RIVAL)
    at = world.chain.snapshot()
    book = history.sync(at)
    assert book.jobs[job].provider == world.address(RIVAL)
    assert book.jobs[job].status is JobStatus.ACCEPTED
    agree(world, book, at)


def test_sync__shorter_chain__is_followed_back(fresh_world: World) -> None:
    world = fresh_world
    history = History(world.chain)
    back = world.rpc("evm_snapshot")
    job, _ = chain_of(world)
    assert job in history.sync(world.chain.snapshot()).jobs
    world.rpc("evm_revert", back)
    assert job not in history.sync(world.chain.snapshot()).jobs


def test_sync__reorg_deeper_than_remembered__reads_all_again(fresh_world: World) -> None:
    world = fresh_world
    history = History(world.chain)
    back = world.rpc("evm_snapshot")
    jobs = [world.post()[0] for _ in range(3)]
    history.sync(world.chain.snapshot())
    history._marks = history._marks[-1:]
    world.rpc("evm_revert", back)
    other, _ = world.post()
    at = world.chain.snapshot()
    book = history.sync(at)
    assert list(book.jobs)[-1] == other
    assert not set(jobs) & set(book.jobs)
    agree(world, book, at)


def test_sync__snapshot_of_a_replaced_block__raises(fresh_world: World) -> None:
    world = fresh_world
    chain_of(world)
    at = world.chain.snapshot()
    world.rpc("anvil_reorg", 1, [])
    history = History(world.chain)
    with pytest.raises(Reorganised):
        history.sync(at)
    later = world.chain.snapshot()
    agree(world, history.sync(later), later)


def test_sync__reorg_between_logs_and_blocks__raises_and_recovers(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_world
    job, _ = chain_of(world)
    at = world.chain.snapshot()
    history = History(world.chain)
    real = world.chain.rpc._once
    done: list[int] = []

    def reorganise(requests: Any) -> list[Any]:
        answers = real(requests)
        if requests[0][0] == "eth_getLogs" and not done:
            done.append(1)
            real([("anvil_reorg", (1, []))])
        return answers

    monkeypatch.setattr(world.chain.rpc, "_once", reorganise)
    with pytest.raises(Reorganised):
        history.sync(at)
    later = world.chain.snapshot()
    assert history.sync(later).jobs[job].status is JobStatus.OPEN


def patched(world: World, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any]) -> None:
    """Changes what the node answers to eth_getLogs."""
    real = world.chain.rpc._once

    def lying(requests: Any) -> list[Any]:
        answers = real(requests)
        if requests[0][0] == "eth_getLogs":
            answers = [change(answers[0])]
        return answers

    monkeypatch.setattr(world.chain.rpc, "_once", lying)


def test_sync__node_limits_ranges__asks_for_less(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_world
    chain_of(world)
    real = world.chain.rpc._once
    asked: list[int] = []

    def limited(requests: Any) -> list[Any]:
        method, params = requests[0]
        if method == "eth_getLogs":
            asked.append(int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1)
            if asked[-1] > 2:
                raise RangeTooLarge("exceed maximum block range: 2")
        return list(real(requests))

    monkeypatch.setattr(world.chain.rpc, "_once", limited)
    at = world.chain.snapshot()
    agree(world, History(world.chain).sync(at), at)
    assert max(asked) > 2
    assert asked[-1] <= 2


def test_sync__node_leaves_a_log_out__reads_again_and_then_says_so(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_world
    history = History(world.chain)
    history.sync(world.chain.snapshot())
    job, terms = world.post()
    world.accept(terms)
    with monkeypatch.context() as broken:
        posted = next(e for e in interface("JobMarket").events.values() if e.name == "Posted")
        topic = "0x" + posted.topic.hex()
        patched(world, broken, lambda logs: [x for x in logs if x["topics"][0] != topic])
        with pytest.raises(HistoryBroken, match="never posted"):
            history.sync(world.chain.snapshot())
    at = world.chain.snapshot()
    agree(world, history.sync(at), at)
    assert job in history.book.jobs


@pytest.mark.parametrize(
    "change",
    [
        lambda logs: "nothing",
        lambda logs: [{**logs[0], "blockNumber": "0xffff"}],
        lambda logs: [{**logs[0], "address": "0x" + "12" * 20}],
        lambda logs: [{**logs[0], "topics": ["0x12"]}],
        lambda logs: [{**logs[0], "data": "zz"}],
    ],
    ids=["no list", "other block", "other contract", "short topic", "no hex"],
)
def test_sync__rubbish_from_the_node__is_unavailable_and_kept_out(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any]
) -> None:
    world = fresh_world
    world.post()
    history = History(world.chain)
    with monkeypatch.context() as broken:
        patched(world, broken, change)
        with pytest.raises((NodeUnavailable, Reorganised)):
            history.sync(world.chain.snapshot())
    assert not history.book.events
    at = world.chain.snapshot()
    agree(world, history.sync(at), at)


def test_sync__removed_logs__are_ignored(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_world
    world.post()
    patched(world, monkeypatch, lambda logs: [{**log, "removed": True} for log in logs])
    assert not History(world.chain).sync(world.chain.snapshot()).events


def test_sync__nothing_new__asks_for_no_logs(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = fresh_world
    world.post()
    history = History(world.chain)
    at = world.chain.snapshot()
    book = history.sync(at)
    patched(world, monkeypatch, lambda logs: pytest.fail("asked again"))
    assert history.sync(at) is book


def test_view_of__world__is_the_same_market(world: World) -> None:
    with view_of(world) as other:
        assert other.deployment == world.deployment
        assert other.chain is not world.chain
