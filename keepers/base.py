"""What every keeper is: snapshot at one block, pure decision, action; and the clock that drives it.

A ``Keeper`` keeps nothing that it needs: all it knows is read from the chain, so it may be
killed, restarted and run twice.  A ``Runner`` calls it from APScheduler: at each new block, and
when the nearest deadline comes.  Chain time decides what is due; the scheduler's clock only says
when to look again.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Generic, TypeVar

from apscheduler.schedulers.background import BackgroundScheduler

from protocol.chain.chain import Chain
from protocol.chain.errors import ChainError, Interrupted, Reorganised, retries
from protocol.chain.state import Snapshot
from protocol.spec.errors import AssayError

log: Final = logging.getLogger("assay.keeper")

View = TypeVar("View")
Action = TypeVar("Action", bound=Hashable)

REORG_TRIES: Final = 5
"""How often a look is repeated when blocks are replaced under it."""

LONGEST_PAUSE: Final = 60.0
"""Seconds: the most that a failing action, or a node that is away, is left alone."""

FIRST_PAUSE: Final = 0.5
"""Seconds; doubled at each failure in a row."""


DEFECTS: Final = (ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, TypeError,
                  ValueError)  # fmt: skip
"""What an action may raise beside the errors that are expected."""


class Patience:
    """Growing pauses after failures in a row, by key.  Never remembered beyond the process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failed: dict[Hashable, tuple[int, float]] = {}

    def ready(self, key: Hashable) -> bool:
        """Whether enough time has passed since the last failure."""
        return key not in self._failed or self._clock() >= self._failed[key][1]

    def failures(self, key: Hashable) -> int:
        """In a row."""
        return self._failed.get(key, (0, 0.0))[0]

    def failed(self, key: Hashable) -> None:
        """Counts one more failure."""
        count = self._failed.get(key, (0, 0.0))[0]
        pause = min(FIRST_PAUSE * 2 ** min(count, 20), LONGEST_PAUSE)
        self._failed[key] = (count + 1, self._clock() + pause)

    def forget(self, key: Hashable) -> None:
        """The next failure is the first again."""
        self._failed.pop(key, None)

    def keep(self, keys: Set[Hashable]) -> None:
        """Forgets all but these."""
        self._failed = {key: value for key, value in self._failed.items() if key in keys}


@dataclass(frozen=True)
class Report:
    """What one cycle did: the block, how many actions were due, done and failed, the nearest
    deadline (chain seconds) after which there is something to do, and whether to look again
    although nothing on chain has changed.
    """

    at: Snapshot
    due: int
    done: int
    failed: int
    deadline: int | None
    again: bool = False


class Keeper(ABC, Generic[View, Action]):
    """One duty.  ``look`` reads, ``decide`` is pure, ``act`` sends; ``deadline`` is pure."""

    name = "keeper"

    def __init__(self, chain: Chain, clock: Callable[[], float] = time.monotonic) -> None:
        self.chain = chain
        self._patience = Patience(clock)
        self._said: dict[Hashable, str] = {}

    @abstractmethod
    def look(self, at: Snapshot) -> View:
        """Everything that ``decide`` needs, at one block.  Raises Reorganised, NodeUnavailable."""

    @abstractmethod
    def decide(self, view: View) -> list[Action]:
        """What is due now, most urgent first.  Pure."""

    @abstractmethod
    def deadline(self, view: View) -> int | None:
        """Chain time after which something more may be due; None if nothing runs.  Pure."""

    @abstractmethod
    def act(self, action: Action) -> str:
        """Does it; one line that says what was done.  Raises AssayError."""

    def perform(self, actions: Sequence[Action]) -> list[tuple[Action, bool]]:
        """Does what is due, most urgent first: what was tried, and whether it was done.  What is
        left out has its turn at the next look."""
        return [(action, self.attempt(action, partial(self.act, action))) for action in actions]

    def remembered(self, actions: Sequence[Action]) -> Sequence[Action]:
        """Actions whose failures are remembered: all that are due, made in this cycle or not."""
        return actions

    def leads_on(self, action: Action) -> bool:
        """Whether more may be due once ``action`` is done, though no block was made by it."""
        return False

    def view(self, at: Snapshot | None = None) -> tuple[View, Snapshot]:
        """A look at the newest block (or ``at``), repeated while blocks are replaced."""
        for _ in range(REORG_TRIES - 1):
            try:
                snapshot = at or self.chain.snapshot()
                return self.look(snapshot), snapshot
            except Reorganised:
                at = None
        snapshot = self.chain.snapshot()
        return self.look(snapshot), snapshot

    def cycle(self, at: Snapshot | None = None) -> Report:
        """Looks, decides, acts.  An action that fails is logged and tried again later.

        Raises what ``look`` raises, and Interrupted.
        """
        view, snapshot = self.view(at)
        actions = self.decide(view)
        kept = frozenset(self.remembered(actions))
        self._patience.keep(kept)
        self._said = {key: text for key, text in self._said.items() if key in kept}
        ready = [action for action in actions if self._patience.ready(action)]
        tried = self.perform(ready)
        done = [action for action, success in tried if success]
        failed = len(actions) - len(ready) + len(tried) - len(done)
        again = failed > 0 or len(tried) < len(ready) or any(map(self.leads_on, done))
        return Report(snapshot, len(actions), len(done), failed, self.deadline(view), again)

    def attempt(self, action: Action, act: Callable[[], str | None]) -> bool:
        """Does an action, or a part of it, which may give a line to be logged; whether it did not
        fail."""
        try:
            line = act()
        except Interrupted:
            raise
        except AssayError as error:
            self._patience.failed(action)
            if self._said.get(action) != str(error):
                self._said[action] = str(error)
                log.warning("%s: %s", self.name, error)
            return False
        except DEFECTS:
            # One action's defect, or what a stranger's data led to: the others go on.
            self._patience.failed(action)
            log.exception("%s: %s failed", self.name, type(action).__name__)
            return False
        if line is not None and self._said.get(action) != line:
            self._said[action] = line
            log.info("%s: %s", self.name, line)
        return True


class Runner(Generic[View, Action]):
    """Runs a keeper until ``stop`` is set, or an error that waiting does not cure."""

    def __init__(
        self,
        keeper: Keeper[View, Action],
        poll_seconds: float,
        stop: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.keeper = keeper
        self.fatal: AssayError | None = None
        self.report: Report | None = None
        self.cycles = 0
        self._poll = poll_seconds
        self._stop = stop
        self._patience = Patience(clock)
        self._again = False
        self._away = ""
        self._scheduler = BackgroundScheduler(
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    def run(self) -> None:
        """Blocks until the end.  Raises the error that ended it, if it was not ``stop``."""
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._scheduler.add_job(self.tick, "interval", seconds=self._poll, id="tick",
                                next_run_time=datetime.now().astimezone())  # fmt: skip
        self._scheduler.start()
        try:
            self._stop.wait()
        finally:
            self._stop.set()
            self._scheduler.shutdown(wait=True)
        if self.fatal is not None:
            raise self.fatal

    def tick(self) -> None:
        """Looks for a new block or a deadline that has come, and has the keeper act then."""
        if self._stop.is_set() or not self._patience.ready("tick"):
            return
        try:
            at = self.keeper.chain.snapshot()
            if self._due(at):
                self.report = self.keeper.cycle(at)
                self.cycles += 1
                self._again = self.report.again
                self._wake(self.report)
            if self._away:
                self._away = ""
                log.info("%s: the node answers again", self.keeper.name)
            self._patience.forget("tick")
        except Interrupted:
            self._stop.set()
        except ChainError as error:
            self._trouble(error)
        except AssayError as error:
            self._end(error)

    def _due(self, at: Snapshot) -> bool:
        last = self.report
        if last is None or self._again or at.hash != last.at.hash:
            return True
        return last.deadline is not None and at.next_timestamp > last.deadline

    def _wake(self, report: Report) -> None:
        """Looks again right after the nearest deadline, however long the polling interval."""
        if report.deadline is None:
            return
        seconds = max(report.deadline + 1 - report.at.next_timestamp, 0)
        if 0 < seconds < LONGEST_PAUSE * 60 and not self._stop.is_set():
            when = datetime.now().astimezone() + timedelta(seconds=seconds)
            self._scheduler.add_job(self._look_at_deadline, "date", run_date=when, id="deadline",
                                    replace_existing=True)  # fmt: skip

    def _look_at_deadline(self) -> None:
        if not self._stop.is_set():
            self._scheduler.modify_job("tick", next_run_time=datetime.now().astimezone())

    def _trouble(self, error: ChainError) -> None:
        if not retries(error):
            self._end(error)
            return
        self._patience.failed("tick")
        if str(error) != self._away:
            self._away = str(error)
            log.warning("%s: %s; trying again", self.keeper.name, error)

    def _end(self, error: AssayError) -> None:
        log.error("%s: %s", self.keeper.name, error)
        self.fatal = error
        self._stop.set()
