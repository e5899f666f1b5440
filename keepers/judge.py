"""What a watchtower computes: verdicts on committed results, and the truth that disputes need.

Verdicts are kept on disk, one small file a claim, so that a restart computes nothing twice, and
with each how long its trace took.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Final

from protocol.chain.book import JobRecord
from protocol.chain.contracts import short
from protocol.chain.errors import Interrupted
from protocol.chain.seats import Seat
from protocol.hashing import tensors_root
from protocol.spec.constants import MAX_PROGRAM_BYTES
from protocol.spec.dispute import Challenge, clock_of
from protocol.spec.errors import AssayError, LimitExceeded, ProgramError, TensorMismatch
from protocol.spec.illegality import prove_illegality
from protocol.spec.legality_proofs import Case, Illegality
from protocol.spec.strategy import Known, Move
from protocol.spec.trace import Tree
from protocol.spec.types import Program
from protocol.spec.workload import Rate, pieces_of, shelf_bytes, work_of
from protocol.storage.cache import Cache
from protocol.storage.errors import ContentMismatch, StorageError
from protocol.storage.jobs import (
    MAX_JOB_BYTES,
    JobData,
    fetch_job,
    fetch_parts,
    output_decls,
)
from protocol.storage.locators import JobLocators
from protocol.storage.store import Store
from provider.engine.claims import Truth, Truths
from provider.engine.engine import Engine, Progress, choose_threads

UNFIT: Final = (ProgramError, TensorMismatch, LimitExceeded, ContentMismatch)
"""Why a job's data may not be what a job needs: then the job may be illegal."""

FIRST_SECONDS: Final = 15.0
"""How long a job's data is waited for at first, twice as long at each further try: what does not
come leaves the time of others' windows to them.  What came stays at the node."""

HOPELESS: Final = 4
"""Clocks that a run is estimated to take before it is not begun: an estimate may be as wrong."""

BELIEVED: Final = 10
"""What a run took is believed for so many times as long, then measured anew (the machine may have
been busy); then for twice as many, and so on: claims that nobody can challenge take little time."""

READ_BYTES: Final = 500_000
"""Bytes of a program that are decoded, hashed, judged and compiled in a second, at least."""

log: Final = logging.getLogger("assay.keeper")


class Verdict(Enum):
    """What is known of a claim's result."""

    RIGHT = "right"
    WRONG = "wrong"
    ILLEGAL = "illegal"


class Uncertain(AssayError):
    """A claim could not be judged now."""


@dataclass(frozen=True)
class JudgeConfig:
    """How claims are computed.  ``directory`` keeps verdicts, and traces while they are needed;
    ``fetch_seconds`` bounds each fetching of one job's data, ``max_bytes`` its constants and its
    inputs, each."""

    directory: Path
    backend: str = "auto"
    device: str | None = None
    threads: int | None = None
    fetch_seconds: float = 600.0
    max_bytes: int = MAX_JOB_BYTES


@dataclass(frozen=True)
class Machine:
    """What is known of this machine: its ``rate``, and ``memory_free`` in bytes now, 0 where
    unknown."""

    rate: Rate
    memory_free: Callable[[], int]


@dataclass(frozen=True)
class Took:
    """``seconds`` that a run took, measured at ``when`` by the judge's clock, for the ``times``-th
    time."""

    seconds: float
    when: float
    times: int

    @property
    def until(self) -> float:
        """When it is measured anew."""
        return self.when + BELIEVED * self.seconds * float(1 << min(self.times - 1, 20))


class Judge:
    """Computes claims, one at a time.  ``meanwhile`` is called between operations, and while data
    is fetched; ``slack`` says for how many seconds it need not be."""

    def __init__(
        self,
        store: Store,
        config: JudgeConfig,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.config = config
        self.machine: Machine | None = None
        self._clock = clock
        self.meanwhile: Callable[[], None] = lambda: None
        self.slack: Callable[[], float] = lambda: math.inf
        self.stopped: Callable[[], bool] = lambda: False
        self._cache = Cache(store.config.cache_dir, store.config.cache_max_bytes)
        self._engine: tuple[tuple[bytes, bytes], Engine] | None = None
        self._truths = Truths()
        self._verdicts: dict[bytes, Verdict] = {}
        self._took: dict[bytes, Took] = {}
        self._tries: dict[bytes, int] = {}
        self._elsewhere = 0.0
        config.directory.mkdir(parents=True, exist_ok=True)
        for claim, verdict, took in _kept(config.directory):
            self._verdicts[claim] = verdict
            if took:
                self._measure(claim, took)

    @property
    def verdicts(self) -> Mapping[bytes, Verdict]:
        """By claim."""
        return self._verdicts

    def ready(self, claim: bytes) -> bool:
        """Whether an attack on the claim can be made without computing its trace first."""
        return self._truths.has(claim)

    def keep_only(self, claims: Sequence[bytes]) -> None:
        """Forgets verdicts and traces of all other claims."""
        for claim in set(self._verdicts) - set(claims):
            self.forget(claim)
        self._truths.keep_only(claims)
        self._took = {claim: took for claim, took in self._took.items() if claim in claims}
        self._tries = {claim: tries for claim, tries in self._tries.items() if claim in claims}

    def check(self, record: JobRecord, claim: bytes) -> Verdict:
        """Compute the job and compare the root of its outputs; or find its program, a constant or
        an input illegal.

        Raises StorageError where its data cannot be had, Uncertain where no challenge could follow
        in the time that the job's terms give, and what the engine raises.
        """
        self._affordable(record, claim)
        try:
            data = self._data(record, claim)
        except UNFIT:
            if self.illegality(record, claim) is None:
                raise
            self._keep(claim, Verdict.ILLEGAL)
            return Verdict.ILLEGAL
        with self._computing(record):
            engine = self._engine_for(record, data)
            outputs = engine.run(
                data.inputs, seed=record.terms.task.seed, steps=data.steps,
                progress=self._within(record, claim),
            )  # fmt: skip
        root = tensors_root(output_decls(data.program), outputs)
        verdict = Verdict.RIGHT if root == record.result_root else Verdict.WRONG
        self._keep(claim, verdict)
        return verdict

    def illegality(self, record: JobRecord, claim: bytes) -> tuple[Illegality, Case] | None:
        """What proves the job illegal, if anything does.  Raises StorageError."""
        with self._waiting(claim):
            parts = fetch_parts(
                self.store,
                self._cache,
                record.terms.task,
                JobLocators.decode(record.locators),
                max_bytes=self.config.max_bytes,
                max_program=self._most_read(),
                progress=self._progress,
                timeout=self._patience(claim),
            )
        task = record.terms.task
        return prove_illegality(parts.program, task, parts.constants, parts.inputs)

    def prepare(self, record: JobRecord, claim: bytes, live: Sequence[Seat] = ()) -> None:
        """Build the trace that a dispute needs, before a bond is at stake.  ``live`` are disputes
        that are played already.

        Raises Uncertain where the trace says that the result is right after all, or where building
        it and theirs takes more than half of the clock that the terms of any of these jobs give a
        challenger: a restart in the middle of all of them has to build them again.
        """
        deals = [record.terms.deal, *(seat.job.terms.deal for seat in live)]
        clock = min(map(clock_of, deals))
        others = {seat.claim for seat in live} - {claim}
        self._fits(record, claim, others, clock, self._believed(claim))
        with self._computing(record):
            truth = self._truths.of(claim, lambda: self._truth(record, claim))
        if truth.trace.root(Tree.OUTPUTS) == record.result_root:
            self._keep(claim, Verdict.RIGHT)
            raise Uncertain(f"job {short(record.job)}: its trace has the committed result")
        self._fits(record, claim, others, clock, self._seconds(claim))

    def _measure(self, claim: bytes, seconds: float) -> None:
        before = self._took.get(claim)
        self._took[claim] = Took(seconds, self._clock(), before.times + 1 if before else 1)

    def _believed(self, claim: bytes) -> float:
        """Seconds that a run of the claim took, 0.0 where that has to be measured."""
        took = self._took.get(claim)
        return took.seconds if took and self._clock() <= took.until else 0.0

    def _seconds(self, claim: bytes) -> float:
        """The same, however long ago."""
        return self._took[claim].seconds if claim in self._took else 0.0

    def _fits(
        self, record: JobRecord, claim: bytes, others: Set[bytes], clock: int, took: float
    ) -> None:
        seconds = took + sum(map(self._seconds, others))
        if 2 * seconds > clock:
            self._truths.forget(claim)
            raise Uncertain(
                f"job {short(record.job)} is wrong and not challenged: its trace and those of "
                f"{len(others)} disputes take {seconds:.0f} s here, the terms give a challenger "
                f"{clock} s"
            )

    def _affordable(self, record: JobRecord, claim: bytes) -> None:
        """Raises Uncertain where a run is known to take too long for a challenge to follow."""
        took, clock = self._believed(claim), clock_of(record.terms.deal)
        if 2 * took > clock:
            raise Uncertain(
                f"job {short(record.job)} is not computed: that takes more than {took:.0f} s here, "
                f"its terms give a challenger {clock} s"
            )

    def _within(self, record: JobRecord, claim: bytes) -> Progress:
        """The progress of a run that ends when no challenge could follow: a stranger who declares
        little work for much does not get it."""
        began = self._clock() - self._elsewhere

        def progress(done: int, total: int | None) -> None:
            self._progress(done, total)
            took = self._clock() - self._elsewhere - began
            if 2 * took > clock_of(record.terms.deal):
                self._engine = None
                self._measure(claim, took)
                self._affordable(record, claim)

        return progress

    def overrule(self, claim: bytes) -> None:
        """The claim was found right after all: no trace of its run differs from ours."""
        self._keep(claim, Verdict.RIGHT)

    def forget(self, claim: bytes) -> None:
        """The claim is to be judged again."""
        self._verdicts.pop(claim, None)
        (self.config.directory / claim.hex()).unlink(missing_ok=True)

    def attack(
        self, record: JobRecord, claim: bytes, challenge: Challenge, known: Known
    ) -> list[Move]:
        """The moves that a challenge of a wrong claim can make now.  Raises NothingWrong."""
        with self._computing(record):
            truth = self._truths.of(claim, lambda: self._truth(record, claim, at_stake=True))
            return truth.attack(challenge, known)

    def _truth(self, record: JobRecord, claim: bytes, *, at_stake: bool = False) -> Truth:
        log.info("watchtower: job %s: building the trace of its run", short(record.job))
        began = self._clock() - self._elsewhere
        data, c = self._data(record, claim, at_stake=at_stake), self.config
        # An engine of its own: a move may be made in the middle of another computation.
        engine = Engine(data.program, data.constants, c.backend, c.device, threads=c.threads)
        truth = Truth(
            engine, data.constants, data.inputs, seed=record.terms.task.seed, steps=data.steps,
            progress=self._progress, again=self._heed, directory=c.directory,
        )  # fmt: skip
        self._measure(claim, self._clock() - self._elsewhere - began)
        if claim in self._verdicts:
            self._keep(claim, self._verdicts[claim])
        return truth

    def _data(self, record: JobRecord, claim: bytes, *, at_stake: bool = False) -> JobData:
        """Of a job: any that a bond is ``at_stake`` for, else one that leaves disputes their time.

        Raises StorageError, Uncertain."""
        with self._waiting(claim):
            return fetch_job(
                self.store,
                self._cache,
                record.terms.task,
                JobLocators.decode(record.locators),
                max_bytes=self.config.max_bytes,
                max_program=MAX_PROGRAM_BYTES if at_stake else self._most_read(),
                judge=None if at_stake else partial(self._suits, record),
                progress=self._progress,
                timeout=self._patience(None if at_stake else claim),
            )

    @contextmanager
    def _waiting(self, claim: bytes) -> Iterator[None]:
        """Data that does not come is waited for longer at each try."""
        try:
            yield
        except StorageError:
            self._tries[claim] = self._tries.get(claim, 0) + 1
            raise
        self._tries.pop(claim, None)

    def _patience(self, claim: bytes | None) -> float:
        """Seconds to wait for data: a stranger's may trickle, and stop in the middle."""
        seconds = min(self.config.fetch_seconds, max(5.0, self.slack() / 2))
        if claim is not None:
            seconds = min(seconds, FIRST_SECONDS * 2 ** min(self._tries.get(claim, 0), 20))
        return seconds

    def _most_read(self) -> int:
        """Bytes of a program that is read, judged and compiled while disputes can wait."""
        return int(min(MAX_PROGRAM_BYTES, READ_BYTES * max(1.0, self.slack() / 2)))

    def _suits(self, record: JobRecord, program: Program, steps: tuple[int, ...]) -> None:
        """Raises Uncertain for a program that this machine has no memory for, or one operation of
        which takes longer than disputes can wait."""
        if self.machine is None:
            return
        work, free = work_of(program, steps), self.machine.memory_free()
        need = work.memory + choose_threads(self.config.threads) * work.scratch
        if free and need > free and self._engine is not None:
            self._engine = None  # of another program: its memory is to be had
            free = self.machine.memory_free()
        if free and need > free:
            raise Uncertain(
                f"job {short(record.job)} cannot be computed now: it needs {need} bytes of memory, "
                f"{free} are free"
            )
        disk, room = shelf_bytes(program, steps), shutil.disk_usage(self.config.directory).free
        if disk > room:
            raise Uncertain(
                f"job {short(record.job)} is not computed now: the trace that a challenge needs "
                f"takes {disk} bytes of disk, {room} are free"
            )
        run, clock = self.machine.rate.seconds(work), clock_of(record.terms.deal)
        if run > HOPELESS * clock:
            raise Uncertain(
                f"job {short(record.job)} is not computed: that would take {run:.0f} s here, its "
                f"terms give a challenger {clock} s"
            )
        longest = max(map(self.machine.rate.trace_seconds, pieces_of(program, steps)))
        if 2 * longest > self.slack():
            raise Uncertain(
                f"job {short(record.job)} is not computed now: an operation of it takes "
                f"{longest:.0f} s, and a dispute may need a move in {self.slack():.0f} s"
            )

    def _engine_for(self, record: JobRecord, data: JobData) -> Engine:
        """The engine of a program and its weights; the last one is kept."""
        task = record.terms.task
        key = (task.program_root, task.constants_root)
        if self._engine is None or self._engine[0] != key:
            self._engine, c = None, self.config
            made = Engine(data.program, data.constants, c.backend, c.device, threads=c.threads)
            self._engine = (key, made)
        return self._engine[1]

    @contextmanager
    def _computing(self, record: JobRecord) -> Iterator[None]:
        """What the machine lacks ends no watchtower; torch reports a lack of memory, and a device
        that failed, as RuntimeError: the engine is then made anew."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            self._engine = None
            raise Uncertain(
                f"job {short(record.job)} cannot be computed now: {error}"
            ) from error

    def _heed(self, done: int, total: int | None) -> None:
        if self.stopped():
            raise Interrupted("a stop was asked for in the middle of a computation")

    def _progress(self, done: int, total: int | None) -> None:
        self._heed(done, total)
        # What other disputes take is no part of this computation, nor is what they compute.
        began, before = self._clock(), self._elsewhere
        self.meanwhile()
        self._elsewhere = before + self._clock() - began

    def _keep(self, claim: bytes, verdict: Verdict) -> None:
        self._verdicts[claim] = verdict
        path = self.config.directory / claim.hex()
        aside = path.with_suffix(".partial")
        aside.write_text(f"{verdict.value} {self._seconds(claim)}")
        os.replace(aside, path)


def _kept(directory: Path) -> list[tuple[bytes, Verdict, float]]:
    """Verdicts on disk, and how long traces took; what a crash left half written is removed."""
    found = []
    for path in (p for p in directory.iterdir() if p.is_file()):
        try:
            verdict, took = path.read_text().split(" ")
            found.append((bytes.fromhex(path.name), Verdict(verdict), float(took)))
        except ValueError:
            path.unlink()
    return found
