"""What the watchtower dares to compute, without a chain and without storage."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from keepers.judge import BELIEVED, READ_BYTES, Judge, JudgeConfig, Machine, Uncertain, Verdict
from protocol.chain.book import JobRecord
from protocol.chain.seats import Seat
from protocol.spec import examples
from protocol.spec.constants import MAX_PROGRAM_BYTES
from protocol.spec.dispute import Wait, clock_of
from protocol.spec.encoding import encode
from protocol.spec.workload import Rate, pieces_of, work_of
from protocol.storage.cid import Cid
from protocol.storage.config import StorageConfig
from protocol.storage.errors import ContentTooSlow
from protocol.storage.jobs import JobData, JobParts
from protocol.storage.locators import JobLocators
from protocol.storage.store import Store
from provider.engine.engine import choose_threads
from tests.keepers.test_watchtower import claim_of, committed, seat

MLP = next(e for e in examples.all_examples() if e.name == "mlp")
NOWHERE = Cid.of_block(b"")
WHERE = JobLocators(NOWHERE, NOWHERE, NOWHERE).encode()
FAST = Rate(1e12, 1e12, 1e9, 1e12, 1e12)


class Fetched:
    """In place of the fetching of jobs: gives the example, and keeps how it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.before: Callable[[], None] = lambda: None

    def job(self, *_: Any, **options: Any) -> JobData:
        self.asked.append(options)
        self.before()
        steps = MLP.steps or (1,) * len(MLP.program.phases)
        if options["judge"] is not None:
            options["judge"](MLP.program, steps)
        return JobData(MLP.program, MLP.constants, MLP.inputs, steps)

    def parts(self, *_: Any, **options: Any) -> JobParts:
        self.asked.append(options)
        return JobParts(encode(MLP.program), None, None)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> Fetched:
    made = Fetched()
    monkeypatch.setattr("keepers.judge.fetch_job", made.job)
    monkeypatch.setattr("keepers.judge.fetch_parts", made.parts)
    return made


def judge_in(directory: Path, clock: Callable[[], float] | None = None) -> Judge:
    config = replace(StorageConfig(), cache_dir=directory / "cache")
    store = cast(Store, type("NoStore", (), {"config": config})())
    given = {} if clock is None else {"clock": clock}
    return Judge(store, JudgeConfig(directory / "verdicts", threads=1), **given)


def job(number: int, work_ms: int = 1000) -> JobRecord:
    made = committed(number)
    deal = replace(made.terms.deal, work_ms=work_ms)
    return replace(made, locators=WHERE, terms=replace(made.terms, deal=deal))


def test_check__disputes_wait__half_of_their_time_is_for_the_data(
    tmp_path: Path, fetched: Fetched
) -> None:
    judge = judge_in(tmp_path)
    left = [math.inf]
    judge.slack = lambda: left[0]
    for left[0] in (math.inf, 20.0, 2.0):
        judge.check(job(1), claim_of(1))
        judge.illegality(job(1), claim_of(1))
    timeouts = [a["timeout"] for a in fetched.asked]
    assert timeouts == [15.0, 15.0, 10.0, 10.0, 5.0, 5.0]
    most = [a["max_program"] for a in fetched.asked]
    assert most[:2] == [MAX_PROGRAM_BYTES] * 2
    assert most[2:] == [10 * READ_BYTES] * 2 + [READ_BYTES] * 2


def test_check__data_does_not_come__is_waited_for_longer_at_each_try(
    tmp_path: Path, fetched: Fetched
) -> None:
    judge = judge_in(tmp_path)
    gone = [True]

    def come() -> None:
        if gone[0]:
            raise ContentTooSlow("it trickles")

    fetched.before = come
    for _ in range(7):
        with pytest.raises(ContentTooSlow):
            judge.check(job(1), claim_of(1))
    gone[0] = False
    judge.check(job(1), claim_of(1))
    judge.check(job(1), claim_of(1))
    judge.check(job(2), claim_of(2))
    waited = [a["timeout"] for a in fetched.asked]
    assert waited == [15.0, 30.0, 60.0, 120.0, 240.0, 480.0, 600.0, 600.0, 15.0, 15.0]


def test_check__data_comes_slowly__disputes_have_their_looks(
    tmp_path: Path, fetched: Fetched
) -> None:
    judge, looks = judge_in(tmp_path), list[str]()
    judge.meanwhile = lambda: looks.append("look")
    judge.check(job(1), claim_of(1))
    looks.clear()
    fetched.asked[0]["progress"](1, None)
    assert looks == ["look"]


def test_check__operation_longer_than_disputes_can_wait__is_put_off(
    tmp_path: Path, fetched: Fetched
) -> None:
    judge = judge_in(tmp_path)
    slow = Rate(10.0, 10.0, 1e9, 1e12, 1e12)
    longest = max(slow.trace_seconds(piece) for piece in pieces_of(MLP.program))
    assert longest > 10
    judge.machine = Machine(slow, lambda: 0)
    judge.slack = lambda: 2 * longest - 1
    with pytest.raises(Uncertain, match=f"takes {longest:.0f} s, and a dispute may need a move in"):
        judge.check(job(1), claim_of(1))
    assert not judge.verdicts
    judge.slack = lambda: 2 * longest
    judge.check(job(1), claim_of(1))
    assert judge.verdicts


def test_check__more_work_than_a_challenge_could_follow__is_not_begun_or_given_up(
    tmp_path: Path, fetched: Fetched
) -> None:
    now = [0.0]
    judge = judge_in(tmp_path, lambda: now[0])
    clock = clock_of(job(1).terms.deal)
    products = work_of(MLP.program).products
    judge.machine = Machine(replace(FAST, products=products / (5 * clock)), lambda: 0)
    with pytest.raises(Uncertain, match="is not computed: that would take"):
        judge.check(job(1), claim_of(1))
    # What is declared fast and is not ends when no challenge could follow, and once.
    judge.machine = Machine(FAST, lambda: 0)

    def crawl() -> bool:
        now[0] += clock / 4
        return False

    judge.stopped = crawl
    for tries in (1, 1):
        with pytest.raises(Uncertain, match="is not computed: that takes more than"):
            judge.check(job(1), claim_of(1))
        assert len(fetched.asked) == 1 + tries
    now[0] += BELIEVED * clock
    judge.stopped = lambda: False
    judge.check(job(1), claim_of(1))
    assert len(fetched.asked) == 3, "the machine may have been busy"


def test_check__memory__is_enough_or_the_job_waits(tmp_path: Path, fetched: Fetched) -> None:
    judge = judge_in(tmp_path)
    work = work_of(MLP.program)
    need = work.memory + choose_threads(1) * work.scratch
    free = [need - 1]
    judge.machine = Machine(FAST, lambda: free[-1])
    with pytest.raises(Uncertain, match=f"it needs {need} bytes of memory, {need - 1} are free"):
        judge.check(job(1), claim_of(1))
    free[:] = [need]
    judge.check(job(1), claim_of(1))
    assert judge._engine is not None
    # What the last engine holds is given up before a job is.
    free[:] = [need, need - 1]
    judge.machine = Machine(FAST, free.pop)
    judge.check(job(2), claim_of(2))


def wrong(number: int, judge: Judge) -> JobRecord:
    """A job whose committed result is not what its trace has."""
    record = job(number)
    judge._verdicts[claim_of(number)] = Verdict.WRONG
    return record


def test_prepare__traces_of_live_disputes_and_this__fit_the_shortest_clock_together(
    tmp_path: Path, fetched: Fetched
) -> None:
    now, took = [0.0], 10.0
    judge = judge_in(tmp_path, lambda: now[0])

    def slowly() -> None:
        now[0] += took

    fetched.before = slowly
    clock = clock_of(job(1).terms.deal)
    fit = int(clock // (2 * took))
    live = list[Seat]()
    for number in range(1, fit + 1):
        judge.prepare(wrong(number, judge), claim_of(number), live)
        live.append(replace(seat(number, Wait.REVEAL, 150), job=job(number)))
    builds = len(fetched.asked)
    for _ in range(3):
        with pytest.raises(Uncertain, match=f"those of {fit} disputes take .* {clock} s"):
            judge.prepare(wrong(99, judge), claim_of(99), live)
        assert not judge.ready(claim_of(99)), "what it cannot play it does not keep"
    assert len(fetched.asked) == builds + 1, "it is not built again only to be refused"
    judge.prepare(wrong(99, judge), claim_of(99), live[1:])
    assert judge.ready(claim_of(99)), "room again"


def test_prepare__machine_was_busy__the_trace_is_measured_anew_ever_more_rarely(
    tmp_path: Path, fetched: Fetched
) -> None:
    now = [0.0]
    clock = clock_of(job(1).terms.deal)
    busy, took = clock / 1.5, clock / 3
    takes = [busy, busy, took]

    def working() -> None:
        now[0] += takes.pop(0)

    fetched.before = working
    judge, record = judge_in(tmp_path, lambda: now[0]), job(1)
    judge._keep(claim_of(1), Verdict.WRONG)
    for times in (1, 2):
        with pytest.raises(Uncertain, match="is wrong and not challenged"):
            judge.prepare(record, claim_of(1))
        assert len(fetched.asked) == times
        now[0] += 0.9 * BELIEVED * busy * times
        # A new life knows how long it took, not when.
        for again in (judge, judge_in(tmp_path, lambda: now[0])):
            with pytest.raises(Uncertain, match="is wrong and not challenged"):
                again.prepare(record, claim_of(1))
        assert len(fetched.asked) == times, "it is believed"
        now[0] += 0.2 * BELIEVED * busy * times
    judge.prepare(record, claim_of(1))
    assert len(fetched.asked) == 3
    assert judge.ready(claim_of(1))


def test_prepare__no_room_beside_other_traces__none_is_built_to_find_out(
    tmp_path: Path, fetched: Fetched
) -> None:
    judge = judge_in(tmp_path)
    clock = clock_of(job(1).terms.deal)
    judge._measure(claim_of(2), clock)
    live = [replace(seat(2, Wait.REVEAL, 150), job=job(2))]
    with pytest.raises(Uncertain, match="those of 1 disputes"):
        judge.prepare(wrong(1, judge), claim_of(1), live)
    assert not fetched.asked


def test_attack__a_bond_is_at_stake__nothing_is_put_off(tmp_path: Path, fetched: Fetched) -> None:
    judge = judge_in(tmp_path)
    judge.machine = Machine(Rate(1.0, 1.0), lambda: 1)
    judge.slack = lambda: 1.0
    judge._truth(job(1), claim_of(1), at_stake=True)
    (asked,) = fetched.asked
    assert asked["judge"] is None
    assert asked["max_program"] == MAX_PROGRAM_BYTES
