"""The timekeeper: makes the call that each clock of market and game waits for, for its bounty.

Nobody accepts in time: ``refund``.  Nothing is committed in time: ``slashLate``, which opens the
job again or, after the last attempt, refunds it.  The window is over: ``finalize``.  Clocks of
disputes and demands are in ``keepers.turns``.  Run it with ``python -m keepers.timekeeper``;
without a key it only says what it would do.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from keepers import turns
from keepers.base import Keeper, Runner
from keepers.config import KeeperConfig
from keepers.policy import Policy as Policy
from keepers.turns import Ask, Board, Defeat, Expose, Late, Reclaim, Refund, Topple, Turn
from protocol.chain.amounts import gwei, native
from protocol.chain.book import Book, JobRecord
from protocol.chain.chain import Chain
from protocol.chain.contracts import Call, short
from protocol.chain.court_reverts import NotOpen
from protocol.chain.deployment import checksum
from protocol.chain.flights import Outcome as Sent
from protocol.chain.flights import Result
from protocol.chain.game_reverts import HasFallen, NotLive, WrongTurn
from protocol.chain.history import History
from protocol.chain.reverts import CreditTooLow, WrongClaim, WrongStatus
from protocol.chain.state import Snapshot
from protocol.chain.transactions import Sender
from protocol.spec.dispute import Outcome
from protocol.spec.errors import AssayError
from protocol.spec.job import Deal, GasSchedule, JobStatus, bounty_of, task_hash

log: Final = logging.getLogger("assay.keeper")


class Kind(Enum):
    """The call that a clock waits for."""

    REFUND = "refund"
    SLASH_LATE = "slashLate"
    FINALIZE = "finalize"


KINDS: Final = {
    JobStatus.OPEN: Kind.REFUND,
    JobStatus.ACCEPTED: Kind.SLASH_LATE,
    JobStatus.COMMITTED: Kind.FINALIZE,
}
"""What is due when the clock of a live job is over."""

GAS: Final = {Kind.REFUND: 100_000, Kind.SLASH_LATE: 200_000, Kind.FINALIZE: 100_000}
"""Gas that a call takes at most with new accounts, rounded up; a test measures them."""


@dataclass(frozen=True)
class View:
    """All that a decision needs: the time that a call sent now would run at, live jobs, the price
    of gas in wei, the keeper's account and native credits, and the clocks of game and court.
    """

    time: int
    jobs: tuple[JobRecord, ...]
    schedule: GasSchedule
    fee: int
    credits: Mapping[str, int] = field(default_factory=dict)
    board: Board = Board()
    me: bytes = b""


@dataclass(frozen=True)
class Close:
    """End a clock.  ``most`` is what the call may cost in wei, None for whatever it costs."""

    kind: Kind
    job: bytes
    task: bytes
    deal: Deal
    attempt: int
    bounty: int
    most: int | None


@dataclass(frozen=True)
class Collect:
    """Withdraw wei that were credited."""

    contract: str
    amount: int


Move = Close | Collect | turns.Move


@dataclass(frozen=True)
class Clock:
    """One row of the table of clocks: what happens to which job when, and what it pays in wei.

    ``left`` are seconds, negative when the call is due; ``held`` counts challenges and demands
    that come first; ``pays`` says whether the policy would make the call now.  ``number`` names the
    challenge whose turn it is, or the demand; 0 for a clock of the market.
    """

    job: bytes
    status: JobStatus
    attempt: int
    attempts: int
    provider: bytes | None
    kind: Kind | Late
    clock: int
    left: int
    held: int
    bounty: int
    pays: bool
    number: int = 0


def bounty(kind: Kind, deal: Deal, schedule: GasSchedule) -> int:
    """Wei for whoever makes the call."""
    if kind is Kind.SLASH_LATE:
        return schedule.late_gas * deal.gas_price
    return bounty_of(deal, schedule)


def most_for(kind: Kind, record: JobRecord, view: View, policy: Policy) -> tuple[bool, int | None]:
    """Whether the policy makes the call at the present price of gas, and its most cost in wei."""
    reward = bounty(kind, record.terms.deal, view.schedule)
    parties = {record.terms.deal.client, record.provider}
    return policy.most(reward, GAS[kind], view.fee, parties)


def decide(view: View, policy: Policy) -> list[Move]:
    """Every clock that is over and worth ending, longest overdue first, the market's before
    those of game and court, then money to collect."""
    moves: list[Move] = []
    for record in sorted(view.jobs, key=lambda r: (r.clock, r.job)):
        # t <= clock belongs to whoever the clock waits for.
        if record.status not in KINDS or view.time <= record.clock or record.holds:
            continue
        kind = KINDS[record.status]
        pays, most = most_for(kind, record, view, policy)
        if pays:
            deal, task = record.terms.deal, task_hash(record.terms.task)
            reward = bounty(kind, deal, view.schedule)
            moves.append(Close(kind, record.job, task, deal, record.attempt, reward, most))
    moves += turns.decide(view.board, view.time, view.fee, view.me, policy)
    moves += [
        Collect(contract, amount)
        for contract, amount in view.credits.items()
        if amount >= policy.collect_wei
    ]
    return moves


def deadline(view: View) -> int | None:
    """The nearest clock that still runs."""
    jobs = [r.clock for r in view.jobs if r.status in KINDS]
    ends = [*jobs, *(turn.deadline for turn in view.board.clocks)]
    return min((end for end in ends if end >= view.time), default=None)


def clocks(view: View, policy: Policy) -> list[Clock]:
    """Every clock of every live job, its challenges and demands, nearest first."""
    rows = [_turn_clock(turn, view, policy) for turn in view.board.clocks]
    for record in sorted(view.jobs, key=lambda r: (r.clock, r.job)):
        if record.status not in KINDS:
            continue
        kind = KINDS[record.status]
        rows.append(
            Clock(
                record.job,
                record.status,
                record.attempt,
                record.terms.deal.attempts,
                record.provider,
                kind,
                record.clock,
                record.clock - view.time,
                record.holds,
                bounty(kind, record.terms.deal, view.schedule),
                most_for(kind, record, view, policy)[0],
            )
        )
    return sorted(rows, key=lambda row: (row.clock, row.job, row.number))


def _turn_clock(turn: Turn | Ask, view: View, policy: Policy) -> Clock:
    record = turn.job
    paid = turns.pays(turn, view.board, view.fee, view.me, policy)
    return Clock(
        record.job, record.status, record.attempt, record.terms.deal.attempts, record.provider,
        turn.late, turn.deadline, turn.deadline - view.time, 0, turn.bounty, paid, turn.number,
    )  # fmt: skip


class Timekeeper(Keeper[View, Move]):
    """Drives every clock of one market and its game."""

    name = "timekeeper"

    def __init__(
        self,
        chain: Chain,
        sender: Sender,
        policy: Policy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(chain, clock)
        self.sender = sender
        self.policy = policy or Policy()
        self._history = History(chain)
        self._schedule: GasSchedule | None = None

    def look(self, at: Snapshot) -> View:
        book = self._history.sync(at)
        if self._schedule is None:  # the market's limits are immutable
            self._schedule = self.chain.limits(at).schedule
        return View(
            time=at.next_timestamp,
            jobs=tuple(record for record in book.jobs.values() if record.live),
            schedule=self._schedule,
            fee=self.sender.fees().expected,
            credits=self._credits(at),
            board=self._board(book, at),
            me=self.sender.address,
        )

    def _credits(self, at: Snapshot) -> dict[str, int]:
        if self.sender.wallet is None:
            return {}
        has = self.chain.balances(self.sender.address, at)
        return {name: credit.native for name, credit in has.credits.items()}

    def _board(self, book: Book, at: Snapshot) -> Board:
        places = [
            (record, dispute.claim, x.number)
            for record, dispute in book.standing()
            for x in dispute.undefeated
        ]
        found = self.chain.turns_of([(claim, number) for _, claim, number in places], at)
        ended = [docket for docket in book.dockets.values() if docket.claim in book.fallen]
        return Board(
            turns=tuple(Turn(*place, *turn) for place, turn in zip(places, found, strict=True)),
            asks=tuple(
                Ask(book.jobs[docket.job], docket.claim, d.number, d.demander, d.deadline)
                for docket in book.dockets.values()
                if docket.claim not in book.fallen
                for d in docket.open
            ),
            bonds=tuple(
                Reclaim(claim, x.number)
                for claim, dispute in book.disputes.items()
                if claim in book.fallen
                for x in dispute.of(self.sender.address)
                if x.outcome is Outcome.LIVE
            ),
            fees=tuple(
                Refund(docket.claim, numbers)
                for docket in ended
                if (numbers := docket.open_of(self.sender.address))
            ),
        )

    def decide(self, view: View) -> list[Move]:
        return decide(view, self.policy)

    def deadline(self, view: View) -> int | None:
        return deadline(view)

    def clocks(self) -> list[Clock]:
        """The table of clocks at the newest block."""
        return clocks(self.view()[0], self.policy)

    def act(self, action: Move) -> str:
        match action:
            case Close():
                return self._close(action)
            case Collect():
                return self._collect(action)
            case _:
                return self._end_turn(action)

    def _close(self, action: Close) -> str:
        outcome = self.sender.send(
            self._call(action),
            # Somebody else ended this clock, or the job moved on: what was wanted is done.
            already=lambda refusal: isinstance(refusal, WrongStatus),
            max_cost=action.most,
        )
        what = f"{action.kind.value} {short(action.job)} (attempt {action.attempt + 1})"
        return _line(what, outcome, action.bounty)

    def _end_turn(self, action: turns.Move) -> str:
        game, court = self.chain.contracts.game, self.chain.contracts.court
        most, reward = None, 0
        match action:
            case Defeat():
                call = game.timeout_challengers(action.claim, action.numbers)
                most, reward = action.most, action.bounty
            case Topple():
                call = game.timeout_provider(action.claim, action.number, action.job.terms)
                most, reward = action.most, action.bounty
            case Expose():
                call = court.timeout(action.job.terms, action.claim, action.number)
                most, reward = action.most, action.bounty
            case Reclaim():
                call = game.collect(action.claim, action.number)
            case Refund():
                call = court.collect(action.claim, action.numbers)
        # Somebody moved, ended one of these turns, or the claim fell: the next look says what is
        # left.
        done = (WrongTurn, NotLive, HasFallen, NotOpen, WrongStatus, WrongClaim)
        outcome = self.sender.send(
            call, already=lambda refusal: isinstance(refusal, done), max_cost=most
        )
        return _line(call.what, outcome, reward)

    def _call(self, action: Close) -> Call:
        market = self.chain.contracts.market
        build = {
            Kind.REFUND: market.refund,
            Kind.SLASH_LATE: market.slash_late,
            Kind.FINALIZE: market.finalize,
        }[action.kind]
        return build(action.task, action.deal, action.job)

    def _collect(self, action: Collect) -> str:
        contracts = self.chain.contracts
        source = contracts.money[action.contract]
        self.sender.send(
            source.withdraw_native(self.sender.address, action.amount),
            already=lambda refusal: isinstance(refusal, CreditTooLow),
        )
        return f"withdrew bounties of {native(action.amount)} from the {action.contract}"


def _line(what: str, outcome: Sent, bounty: int) -> str:
    match outcome.result:
        case Result.MINED:
            return (f"{what} in block {outcome.block}: {outcome.gas:,} gas, {native(outcome.paid)} "
                    f"for a bounty of {native(bounty)}")  # fmt: skip
        case Result.ALREADY_DONE:
            return f"{what}: somebody else did"
        case Result.DRY_RUN:
            return f"{what}: due, and not sent without a key (bounty {native(bounty)})"


# --- the process ---------------------------------------------------------------------------------


def timekeeper(chain: Chain, config: KeeperConfig) -> Timekeeper:
    """A timekeeper with the configured key and policy.  Raises WalletError."""
    wallet = None if config.dry_run else chain.wallet()
    policy = Policy(config.min_profit, config.interests, config.collect_wei)
    return Timekeeper(chain, Sender(chain, wallet), policy)


def check(chain: Chain, config: KeeperConfig) -> list[str]:
    """Tests the world before work starts: lines that say what was found.

    Raises WrongChain, NodeUnavailable, WalletError when the keeper could not work.
    """
    chain.check()
    keeper = timekeeper(chain, config)
    view, at = keeper.view()
    due = len(decide(view, keeper.policy))
    lines = [
        f"chain {chain.chain_id} at block {at.number}, market {checksum(chain.deployment.market)}",
        f"{len(view.jobs)} live jobs, {due} calls due, gas at {gwei(view.fee)}",
    ]
    if keeper.sender.wallet is None:
        lines.append("no key: a dry run, nothing would be sent")
        return lines
    who, has = checksum(keeper.sender.address), chain.balances(keeper.sender.address, at).native
    lines.append(f"account {who} with {native(has)}")
    if has < config.low_balance_wei:
        lines.append(f"warning: that is below {native(config.low_balance_wei)}: send it more")
    return lines


def serve(config: KeeperConfig, stop: threading.Event) -> None:
    """Runs until ``stop`` is set.  Raises what ends it otherwise."""
    with Chain.connect(config.chain, stop=stop) as chain:
        for line in check(chain, config):
            log.info("timekeeper: %s", line)
        Runner(timekeeper(chain, config), config.poll_seconds, stop).run()
    log.info("timekeeper: stopped")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m keepers.timekeeper", description=__doc__)
    parser.add_argument("--check", action="store_true", help="test the world, and stop")
    parser.add_argument("--once", action="store_true", help="one cycle, and stop")
    parser.add_argument("--clocks", action="store_true", help="print the table of clocks, and stop")
    parser.add_argument("--dry-run", action="store_true", help="send nothing, key or not")
    return parser.parse_args(argv)


def _print_clocks(rows: Sequence[Clock]) -> None:
    for row in rows:
        due = "held" if row.held else "due" if row.left < 0 else f"in {row.left} s"
        attempt = f"attempt {row.attempt + 1} of {row.attempts}"
        line = f"{short(row.job)}  {row.status.name.lower():<9}  {attempt:<18}"
        print(f"{line}  {row.kind.value:<18}  {due:>10}  bounty {native(row.bounty)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0 after a stop (SIGTERM, Ctrl-C), 1 with one line on an error."""
    arguments = _arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        config = KeeperConfig.from_env()
        if arguments.dry_run:
            config = replace(config, dry_run=True)
        if not (arguments.check or arguments.once or arguments.clocks):
            serve(config, stop)
            return 0
        with Chain.connect(config.chain, stop=stop) as chain:
            if arguments.check:
                print("\n".join(check(chain, config)))
            elif arguments.clocks:
                _print_clocks(timekeeper(chain, config).clocks())
            else:
                report = timekeeper(chain, config).cycle()
                return 1 if report.failed else 0
    except AssayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
