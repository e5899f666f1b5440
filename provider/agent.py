"""The provider: watches the market, takes what suits, computes it, commits, collects.

A cycle is: snapshot at one block → pure ``decide`` → act.  Nothing is remembered between cycles
that chain and disk do not tell again, so the process may be killed at any point: an accepted job
is found on chain and run again (or its finished result found on disk), and a transaction that was
sent already counts as done.
"""

from __future__ import annotations

import logging
import resource
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.chain.amounts import native, tokens
from protocol.chain.book import Book, JobRecord
from protocol.chain.chain import Chain
from protocol.chain.config import ChainConfig
from protocol.chain.contracts import Call, short
from protocol.chain.deployment import checksum
from protocol.chain.errors import (
    ChainError,
    Interrupted,
    TransactionFailed,
    Unprofitable,
    WalletError,
    retries,
)
from protocol.chain.flights import Outcome, Result
from protocol.chain.history import History
from protocol.chain.reverts import Reverted, WrongStatus
from protocol.chain.state import Snapshot
from protocol.chain.transactions import Sender, require_wallet
from protocol.spec.answers import Answerer
from protocol.spec.errors import LimitExceeded, ProgramError, TensorMismatch
from protocol.spec.job import JobStatus, task_hash
from protocol.spec.types import Array, Program
from protocol.storage.cache import Cache
from protocol.storage.config import StorageConfig
from protocol.storage.errors import MalformedLocators, StorageError
from protocol.storage.jobs import Holder, JobData, output_decls, publish_result
from protocol.storage.store import Store
from provider import telemetry
from provider.assess import Assessor, Unsuitable
from provider.calibrate import measure
from provider.decide import (
    Action,
    Collect,
    Finish,
    Habits,
    Miss,
    Refusal,
    Refuse,
    Settle,
    Sight,
    Take,
    decide,
)
from provider.defence import Defence
from provider.engine import Engine
from provider.engine.claims import Truth
from provider.engine.engine import choose_threads
from provider.engine.errors import EngineError
from provider.fetching import Fetcher
from provider.holdings import answerer
from provider.lock import only_one
from provider.policy import Rules, Standing
from provider.progress import Glance, Percent
from provider.results import Results

log: Final = logging.getLogger("assay.provider")

FOREVER: Final = 1 << 62
MAX_PEERS: Final = 4
"""Addresses of our IPFS node that go into a commit's locators."""

PERMANENT: Final = (
    ProgramError,
    TensorMismatch,
    LimitExceeded,
    MalformedLocators,
)
"""What a job cannot recover from.  Bytes that are not those committed to are no such case: our own
node may have made them up."""

MAX_PAUSE: Final = 86_400
"""Seconds after which a job whose data could not be had is looked at again at the latest."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class AgentConfig:
    """How the agent works.  ``directory`` keeps finished results, and the traces of disputed ones
    while it runs; times are seconds."""

    directory: Path
    rules: Rules = Rules()
    habits: Habits = Habits()
    backend: str = "auto"
    device: str | None = None
    threads: int | None = None
    fetch_seconds: float = 600.0


class Agent:
    """One provider.  ``say`` gets a line for each thing a person would want to know."""

    def __init__(
        self, chain: Chain, sender: Sender, store: Store, config: AgentConfig, say: Say
    ) -> None:
        self.chain = chain
        self.sender = sender
        self.store = store
        self.config = config
        self.say = say
        self.me = sender.address
        self.history = History(chain)
        self.cache = Cache(store.config.cache_dir, store.config.cache_max_bytes)
        self._holder = Holder(self.cache)
        self.results = Results(config.directory / "results")
        self.refused: dict[bytes, Refusal] = {}
        self.failed: frozenset[bytes] = frozenset()
        self._fetcher = Fetcher(
            store, self.cache, config.rules, config.fetch_seconds, self._mine,
            lambda: Glance(chain.stop, self._defend),
        )  # fmt: skip
        self.assessor = Assessor(
            config.rules, config.threads, self._fetcher.program,
            lambda: shutil.disk_usage(config.directory).free,
        )  # fmt: skip
        self._paced = b"", 0  # a block, and how long one took then
        self._engine: tuple[tuple[bytes, bytes], Engine] | None = None
        self.defence = Defence(chain, sender, self._truth, self._holdings, say)
        self.schedule = chain.limits(chain.snapshot()).schedule

    # --- the world before work starts ------------------------------------------------------------

    def prepare(self) -> None:
        """Check the world and measure this machine.

        Raises WalletError unless this key is a registered provider, and whatever chain, IPFS node
        or engine have to say.
        """
        entry = self.chain.provider(self.me, self.chain.snapshot())
        if not entry.registered:
            raise WalletError(
                f"{checksum(self.me)} is not registered: run `assay provider register` first"
            )
        node = self.store.node()
        self.assessor.rate = measure(self.config.threads)
        reading = telemetry.read()
        cards = ", ".join(f"{g.name} ({g.memory_total >> 20} MiB)" for g in reading.gpus)
        self.say(f"provider {checksum(self.me)}, IPFS peer {node.peer_id}")
        self.say(
            f"{reading.processors} processors, {reading.memory_free >> 20} MiB free, "
            f"{cards or reading.note}"
        )
        self.say(
            f"measured {self.assessor.rate.products / 1e9:.1f} G multiply-adds/s, "
            f"{self.assessor.rate.instructions / 1e9:.2f} G instructions/s"
        )

    # --- the cycle -------------------------------------------------------------------------------

    def run(self) -> None:
        """Work until ``chain.stop`` is set."""
        self.prepare()
        self.say(f"watching the market at {checksum(self.chain.deployment.market)}")
        stop, pause = self.chain.stop, self.chain.config.poll_seconds
        trouble = ""
        while not stop.is_set():
            try:
                busy = self.cycle()
                trouble = ""
            except Interrupted:
                break
            except ChainError as error:
                if not retries(error):
                    raise
                if str(error) != trouble:
                    trouble = str(error)
                    self.say(f"chain: {trouble}; trying again")
                busy = False
            if not busy:
                stop.wait(pause)
        self.say("stopped; accepted work goes on at the next start")

    def cycle(self) -> bool:
        """One snapshot, one decision, its actions; whether anything was done."""
        defended = self.defence.cycle(*self._news())
        at, book = self._news()
        sight = self.look(at, book)
        actions = decide(sight, self.schedule, self.config.rules, self.config.habits)
        for action in actions:
            self.act(action, at)
            self._defend(waits=True)
        return defended or any(not isinstance(action, Refuse) for action in actions)

    def _news(self) -> tuple[Snapshot, Book]:
        """The newest block and its book; the data of my jobs stays in the cache."""
        at = self.chain.snapshot()
        book = self.history.sync(at)
        self._holder.keep({job.job: (job.terms.task, job.locators) for job in self._mine()})
        return at, book

    def look(self, at: Snapshot, book: Book) -> Sight:
        """What is on chain at one block, as ``decide`` wants it."""
        entry = self.chain.provider(self.me, at)
        balances = self.chain.balances(self.me, at)
        live = tuple(job for job in book.jobs.values() if job.live)
        to_judge = any(job.status is JobStatus.OPEN for job in live)
        mine = [job.job for job in self._mine()]
        self.results.keep_only(mine)
        self.assessor.keep_only(mine)
        # A reorganised chain may not know a job any more.
        alive = {job.job for job in live}
        self.refused = {k: v for k, v in self.refused.items() if k in alive}
        self.failed &= alive
        return Sight(
            time=at.next_timestamp,
            me=Standing(
                address=self.me,
                capabilities=int.from_bytes(entry.capabilities, "big"),
                stake=entry.stake,
                deposit=entry.deposit,
                backlog_ms=entry.backlog_ms,
                max_backlog_ms=self.chain.deployment.max_backlog_ms,
                block_seconds=self._pace(at) if to_judge else 0,
                base_fee=at.base_fee,
            ),
            jobs=live,
            credits={name: (c.token, c.native) for name, c in balances.credits.items()},
            refused=self.refused,
            failed=self.failed,
        )

    def _pace(self, at: Snapshot) -> int:
        """Seconds that a block takes; read once a block."""
        if self._paced[0] != at.hash:
            self._paced = at.hash, self.chain.block_seconds(at)
        return self._paced[1]

    def act(self, action: Action, at: Snapshot) -> None:
        """Do one thing.  What goes wrong with one job is said and does not stop the others."""
        match action:
            case Refuse(job, reason):
                self._refuse(job, reason, at, self.config.habits.recheck_seconds)
            case Take(job):
                self._take(job, at)
            case Finish(job):
                self._finish(job, at)
            case Miss(job):
                self.failed |= {job.job}
                self.say(f"job {short(job.job)} cannot be committed any more: its time is over")
            case Settle(job):
                self._settle(job)
            case Collect(contract, token, native):
                self._collect(contract, token, native)

    # --- actions ---------------------------------------------------------------------------------

    def _refuse(self, job: JobRecord, reason: str, at: Snapshot, seconds: int) -> None:
        until = at.next_timestamp + seconds if seconds < FOREVER else FOREVER
        known = self.refused.get(job.job)
        if known is None or known.reason != reason:
            self.say(f"job {short(job.job)} not taken: {reason}")
        self.refused[job.job] = Refusal(reason, until, known.times + 1 if known else 1)

    def _pause(self, job: JobRecord) -> int:
        """Seconds until a job is looked at again, doubled each time that it was refused before:
        a job whose data is not there costs its fetch, and strangers may post many."""
        known = self.refused.get(job.job)
        times = min(known.times, 16) if known else 0
        recheck = self.config.habits.recheck_seconds
        return max(recheck, min(recheck << times, MAX_PAUSE))

    def _mine(self) -> list[JobRecord]:
        """My jobs that can be disputed, now or once they are committed."""
        jobs = self.history.book.jobs.values()
        return [job for job in jobs if job.live and job.provider == self.me]

    def _take(self, job: JobRecord, at: Snapshot) -> None:
        self.say(f"job {short(job.job)} fetching program, weights and inputs")
        recheck = self.config.habits.recheck_seconds
        estimates: list[float] = []

        def judge(program: Program, steps: tuple[int, ...]) -> None:
            if self._engine is not None and self._engine[0] != _weights_of(job):
                self._engine[1].release()
                self._engine = None
            mine, pace = self._mine(), self._pace(at)
            estimates.append(self.assessor.assess(job, program, steps, mine, pace))

        try:
            self._fetcher.data(job, judge)
        except PERMANENT as error:
            self._refuse(job, str(error), at, FOREVER)
            return
        except (StorageError, Unsuitable) as error:
            self._refuse(job, str(error), at, self._pause(job))
            return
        task = task_hash(job.terms.task)
        try:
            self._send(self.chain.contracts.market.accept(task, job.terms.deal, job.job))
        except WrongStatus:
            # Not refused: it may open again, for its next attempt.
            self.say(f"job {short(job.job)} was taken by another provider")
            return
        except (Reverted, TransactionFailed) as refusal:
            self._refuse(job, str(refusal), at, recheck)
            return
        self.say(f"job {short(job.job)} accepted, about {estimates[-1]:.1f} s of work")

    def _finish(self, job: JobRecord, at: Snapshot) -> None:
        """Run an accepted job (or find its result), publish the outputs, commit their root."""
        try:
            data = self._fetcher.data(job)
            outputs = self._outputs(job, data)
            root, locators = publish_result(self.store, data.program, outputs, self._peers())
        except StorageError as error:
            left = job.clock - at.next_timestamp
            self.say(f"job {short(job.job)} waits: {error}; {left} s are left")
            self.chain.stop.wait(self.chain.config.poll_seconds)
            return
        except (MemoryError, RuntimeError, EngineError) as error:
            # torch reports a lack of memory as a RuntimeError. The other jobs go on.
            self._engine = None
            self.failed |= {job.job}
            self.say(f"job {short(job.job)} given up, it will be late: {error}")
            return
        self.say(f"job {short(job.job)} published, root 0x{root.hex()}")
        call = self.chain.contracts.market.commit(job.job, root, locators.encode())
        try:
            self._send(call, already=lambda refusal: self._committed(job, root, refusal))
        except (Reverted, TransactionFailed) as refusal:
            self.say(f"job {short(job.job)} not committed: {refusal}")
            return
        self.say(f"job {short(job.job)} committed")

    def _settle(self, job: JobRecord) -> None:
        """Finalize; a keeper may have done it since, or a challenge come in."""
        call = self.chain.contracts.market.finalize(
            task_hash(job.terms.task), job.terms.deal, job.job
        )
        try:
            self._send(call, already=lambda refusal: isinstance(refusal, WrongStatus))
        except (Reverted, TransactionFailed) as refusal:
            self.say(f"job {short(job.job)} not settled: {refusal}")

    def _committed(self, job: JobRecord, root: bytes, refusal: Reverted) -> bool:
        """Whether a refused commit means that an earlier life of this process sent it."""
        if not isinstance(refusal, WrongStatus):
            return False
        at = self.chain.snapshot()
        state = self.chain.job_state(job.job, at)
        return state.provider == self.me and self.chain.result_of(job.job, at) == root

    def _outputs(self, job: JobRecord, data: JobData) -> list[Array]:
        decls = output_decls(data.program)
        kept = self.results.load(job.job, decls)
        if kept is not None:
            self.say(f"job {short(job.job)} was computed before, its result is on disk")
            return kept
        self.say(f"job {short(job.job)} running")
        engine = self._engine_for(job, data)
        outputs = engine.run(
            data.inputs,
            seed=job.terms.task.seed,
            steps=data.steps,
            progress=self._percent(job, "running"),
        )
        try:
            self.results.save(job.job, decls, outputs)
        except StorageError as error:
            # It is computed again if it is needed again.
            self.say(f"job {short(job.job)} goes on without its result on disk: {error}")
        self.say(f"job {short(job.job)} computed, peak memory {engine.memory.peak >> 20} MiB")
        return outputs

    def _engine_for(self, job: JobRecord, data: JobData) -> Engine:
        """The prepared engine of a program and its weights; the last one is kept."""
        key = _weights_of(job)
        if self._engine is None or self._engine[0] != key:
            if self._engine is not None:
                self._engine[1].release()
            self._engine = (key, self.new_engine(data))
        return self._engine[1]

    def new_engine(self, data: JobData) -> Engine:
        """An engine for one job's program and weights."""
        c = self.config
        return Engine(data.program, data.constants, c.backend, c.device, threads=c.threads)

    def _truth(self, job: JobRecord) -> Truth:
        """What a dispute about a result of mine needs.  Its engine is its own: moves are made in
        the middle of other runs."""
        data = self._fetcher.data(job)
        return Truth(
            self.new_engine(data), data.constants, data.inputs, seed=job.terms.task.seed,
            steps=data.steps, progress=self._percent(job, "trace"),
            again=Glance(self.chain.stop, self._defend), directory=self.config.directory,
        )  # fmt: skip

    def _holdings(self, job: JobRecord) -> Answerer:
        """What answers demands for the data of a result of mine."""
        data = self._fetcher.data(job)
        outputs = self.results.load(job.job, output_decls(data.program))
        if outputs is None:
            # By an engine of its own: this may happen in the middle of another run.
            outputs = self.new_engine(data).run(
                data.inputs, seed=job.terms.task.seed, steps=data.steps,
                progress=self._percent(job, "running again"),
            )  # fmt: skip
        threads = choose_threads(self.config.threads)
        return answerer(data, outputs, self.config.directory, threads)

    def _percent(self, job: JobRecord, what: str) -> Percent:
        return Percent(self.say, f"job {short(job.job)} {what}", self.chain.stop, self._defend)

    def _defend(self, *, waits: bool = False) -> None:
        """In the middle of a run: the moves of disputes that cannot wait for its end.  A node that
        is away, or a move that fails, is met again by the next cycle."""
        try:
            self.defence.cycle(*self._news(), waits=waits)
        except Interrupted:
            raise
        except ChainError as error:
            if not retries(error):
                raise
            log.warning("%s", error)

    def _peers(self) -> tuple[str, ...]:
        """Addresses at which others reach our IPFS node."""
        return self.store.node().addresses[:MAX_PEERS]

    def _collect(self, contract: str, token: int, wei: int) -> None:
        contracts = self.chain.contracts
        money = contracts.money[contract]
        if token:
            self._send(money.withdraw(self.me, token))
            self.say(f"collected {tokens(token)} from the {contract}")
        if wei:
            try:
                self._send(money.withdraw_native(self.me, wei), max_cost=wei)
            except Unprofitable as error:
                log.info("%s", error)
            else:
                self.say(f"collected {native(wei)} from the {contract}")

    def _send(
        self,
        call: Call,
        *,
        already: Callable[[Reverted], bool] | None = None,
        max_cost: int | None = None,
    ) -> Outcome:
        outcome = self.sender.send(call, already=already, max_cost=max_cost)
        if outcome.result is Result.MINED:
            self.say(f"{call.what}: {outcome.gas} gas, transaction 0x{outcome.tx.hex()}")
        return outcome


def _weights_of(job: JobRecord) -> tuple[bytes, bytes]:
    """What an engine is prepared for: roots of the program and of its constants."""
    return job.terms.task.program_root, job.terms.task.constants_root


def run_agent(
    chain_config: ChainConfig,
    storage_config: StorageConfig,
    config: AgentConfig,
    say: Say,
    stop: threading.Event,
    *,
    check_only: bool = False,
) -> None:
    """Be a provider until ``stop`` is set; with ``check_only``, only test that everything is there.

    Raises WalletError without a key or registration, WrongChain, NodeUnavailable,
    IpfsUnavailable, AgentRunning.
    """
    # A disputed claim takes two open files as long as it is disputed.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with (
        only_one(config.directory),
        Chain.connect(chain_config, stop=stop) as chain,
        Store(storage_config) as store,
    ):
        agent = Agent(chain, Sender(chain, require_wallet(chain)), store, config, say)
        if check_only:
            agent.prepare()
        else:
            agent.run()
