"""Fetching a job: what a stranger's program asks for is judged before its tensors are fetched."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.spec import examples
from protocol.spec.encoding import encode, program_root
from protocol.spec.errors import AssayError
from protocol.spec.job import Task, pack_steps
from protocol.spec.types import Program
from protocol.storage import jobs
from protocol.storage.bundle import time_left
from protocol.storage.cache import Cache, meta_path
from protocol.storage.cid import Cid
from protocol.storage.errors import ContentTooLarge, ContentTooSlow
from protocol.storage.jobs import HOLD_S, RENEW_S, Holder, fetch_job, publish_job
from protocol.storage.locators import JobLocators
from tests.storage.conftest import MakeStore
from tests.storage.fake_rpc import fake_rpc

E = examples.mlp()
CODE = encode(E.program)
WHERE = JobLocators(Cid.of_block(CODE), Cid.of_block(b"constants"), Cid.of_block(b"inputs"))
TASK = Task(
    bytes(20), program_root(E.program), bytes(32), bytes(32), bytes(32), steps=pack_steps((1,))
)


class Unsuitable(AssayError):
    """What the judge says."""


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", 100_000_000)


def test_fetch_job__judge_refuses__no_tensor_is_asked_for(
    make_store: MakeStore, cache: Cache
) -> None:
    seen: list[tuple[Program, tuple[int, ...]]] = []

    def judge(program: Program, steps: tuple[int, ...]) -> None:
        seen.append((program, steps))
        raise Unsuitable("too large")

    with fake_rpc(CODE, lambda handler, data: handler.whole(data)) as rpc:
        with pytest.raises(Unsuitable):
            fetch_job(make_store(rpc.api), cache, TASK, WHERE, judge=judge)
        assert rpc.cats == 1
    assert seen == [(E.program, (1,))]


def test_fetch_job__program_over_the_limit__is_not_decoded(
    make_store: MakeStore, cache: Cache
) -> None:
    with fake_rpc(CODE, lambda handler, data: handler.whole(data)) as rpc:
        store = make_store(rpc.api)
        with pytest.raises(ContentTooLarge):
            fetch_job(store, cache, TASK, WHERE, max_program=len(CODE) - 1)


def test_publish_job__program_that_nobody_would_fetch__publishes_nothing(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MAX_PROGRAM_BYTES", len(CODE) - 1)
    with fake_rpc(CODE, lambda handler, data: handler.whole(data)) as rpc:
        with pytest.raises(ContentTooLarge, match=f"{len(CODE)} bytes, at most {len(CODE) - 1}"):
            publish_job(make_store(rpc.api), E.program, E.constants, E.inputs)
        assert not rpc.requests


def test_fetch_job__program_cached_by_another_reader__is_still_held_to_the_limit(
    make_store: MakeStore, cache: Cache
) -> None:
    with fake_rpc(CODE, lambda handler, data: handler.whole(data)) as rpc:
        store = make_store(rpc.api)

        def stop(program: Program, steps: tuple[int, ...]) -> None:
            raise Unsuitable("seen")

        with pytest.raises(Unsuitable):
            fetch_job(store, cache, TASK, WHERE, judge=stop)
        with pytest.raises(ContentTooLarge, match=str(len(CODE) - 1)):
            fetch_job(store, cache, TASK, WHERE, max_program=len(CODE) - 1)
        with pytest.raises(Unsuitable):
            fetch_job(store, cache, replace(TASK, seed=5), WHERE, judge=stop)


def test_holder__live_jobs__are_held_again_each_minute_and_others_no_more(
    cache: Cache,
) -> None:
    now = [1e10]
    holder = Holder(cache, lambda: now[0])
    path = cache.obtain("program", TASK.program_root, lambda entry: entry.write(CODE))
    jobs = {b"a": (TASK, WHERE.encode()), b"b": (TASK, b"no locators")}

    def held() -> float:
        return meta_path(path).stat().st_mtime - 1e10

    holder.keep(jobs)
    assert held() == HOLD_S
    for passed, wanted in ((RENEW_S - 1, HOLD_S), (RENEW_S, HOLD_S + RENEW_S)):
        now[0] = 1e10 + passed
        holder.keep(jobs)
        assert held() == wanted
    now[0] += 2 * RENEW_S
    holder.keep({})
    assert held() == HOLD_S + RENEW_S


def test_time_left__several_objects__share_one_time() -> None:
    left = time_left(0.05)
    first = left()
    assert first is not None
    assert 0 < first <= 0.05
    threading.Event().wait(0.06)
    with pytest.raises(ContentTooSlow, match="0.05 s"):
        left()
    assert time_left(None)() is None
