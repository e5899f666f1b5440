"""The watchtower: computes committed jobs again, challenges what is wrong, and plays to the end.

A look reads, at one block, the claims that can still be challenged and the challenges of its own;
``decide`` is pure.  Moves of disputes come first, then challenges, then one more claim to compute,
by value at risk; a long computation lets the moves of disputes pass in between.  It never leans on
another's challenge: of a wrong claim it opens its own.

On disk it keeps only verdicts, so that nothing is computed twice.  Everything else is on chain: it
may be killed at any point, a challenge sent and not mined, and goes on from where its disputes
stand.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from keepers.base import Keeper
from keepers.judge import Judge, Uncertain, Verdict
from protocol.chain.book import JobRecord
from protocol.chain.chain import Chain
from protocol.chain.contracts import Call, short
from protocol.chain.disputes import Dispute
from protocol.chain.errors import ChainError, Interrupted, retries
from protocol.chain.game_reverts import HasFallen, NotLive, WrongTurn
from protocol.chain.history import History
from protocol.chain.refusal import Reverted
from protocol.chain.reverts import CreditTooLow, TooLate, WrongClaim, WrongStatus
from protocol.chain.seats import MOST_CLOSED, Seat
from protocol.chain.state import Snapshot
from protocol.chain.transactions import Outcome, Result, Sender
from protocol.spec.dispute import Outcome as Ended
from protocol.spec.dispute import Wait
from protocol.spec.job import JobStatus
from protocol.spec.strategy import Move as GameMove
from protocol.spec.strategy import NothingWrong, Prove
from protocol.storage.cache import Cache
from protocol.storage.jobs import Holder

log: Final = logging.getLogger("assay.keeper")


@dataclass(frozen=True)
class Policy:
    """What is watched: claims whose price is at least ``min_price`` tokens (smallest units), whose
    moves have at least ``min_move_seconds``, of all clients or of ``clients`` alone.  Credits from
    ``collect_token`` tokens or ``collect_wei`` wei on are withdrawn."""

    min_price: int = 0
    min_move_seconds: int = 10
    clients: frozenset[bytes] = frozenset()
    collect_token: int = 10**18
    collect_wei: int = 10**16


@dataclass(frozen=True)
class View:
    """All that a decision needs.

    ``time`` is when a call sent now would run; ``claims`` are committed jobs; ``verdicts`` by
    claim; ``seats`` are live challenges of mine of standing claims, ``others`` those of others
    beside them; ``fallen`` mine of fallen ones, (claim, number), whose bonds wait; ``credits`` what
    the contracts owe me.
    """

    time: int
    claims: tuple[JobRecord, ...]
    verdicts: Mapping[bytes, Verdict]
    seats: tuple[Seat, ...] = ()
    others: tuple[Seat, ...] = ()
    fallen: tuple[tuple[bytes, int], ...] = ()
    credits: tuple[tuple[str, int, int], ...] = ()

    @property
    def seated(self) -> frozenset[bytes]:
        """Claims that a challenge of mine attacks.  One whose clock I let run out is lost, and no
        reason not to open another."""
        return frozenset(
            seat.claim
            for seat in self.seats
            if seat.challenge.wait is not Wait.CHALLENGER or self.time <= seat.deadline
        )


Place = tuple[JobRecord, bytes, int]
"""Job, claim and number of a challenge."""


class Kind(Enum):
    """What is to be done about a claim."""

    PLAY = "play"
    TIMEOUT = "timeoutProvider"
    COLLECT = "collect"
    CHALLENGE = "challenge"
    VOID = "proveIllegal"
    CHECK = "check"


COMPUTED: Final = (Kind.PLAY, Kind.CHALLENGE, Kind.VOID)
"""What takes a trace, or a look at all of a job's data, unless they are there."""


ATTACKED: Final = (Verdict.WRONG, Verdict.ILLEGAL)
"""Verdicts on claims whose data is needed again."""


@dataclass(frozen=True)
class Act:
    """One thing to do about a claim; ``since`` tells one turn of a challenge from the next."""

    kind: Kind
    claim: bytes
    job: bytes
    number: int = 0
    since: int = 0


@dataclass(frozen=True)
class Withdraw:
    """Take what a contract owes."""

    contract: str
    token: int
    native: int


Move = Act | Withdraw


def decide(view: View, policy: Policy) -> list[Move]:
    """Moves of disputes by deadline, then bonds to collect, then what is to be challenged, then
    what is to be computed, by value at risk."""
    silent = _silent(view)
    moves: list[Move] = []
    for seat in sorted(view.seats, key=lambda s: (s.deadline, s.claim, s.number)):
        x, over = seat.challenge, silent.pop(seat.claim, None)
        if over is not None:
            since = over.challenge.since
            moves.append(_act(Kind.TIMEOUT, over.job, over.claim, over.number, since))
        # t <= deadline is the mover's; my own late turn is lost.
        elif x.wait is Wait.CHALLENGER and view.time <= seat.deadline:
            moves.append(_act(Kind.PLAY, seat.job, seat.claim, seat.number, x.since))
    moves += [Act(Kind.COLLECT, claim, b"", number) for claim, number in view.fallen]
    seated, unknown = view.seated, []
    for record in sorted(view.claims, key=lambda r: (r.clock, r.job)):
        claim = claim_of(record)
        if claim is None or not _watched(record, policy):
            continue
        verdict, open_ = view.verdicts.get(claim), view.time <= record.clock
        # A job that disputes hold can be voided after its window too.
        if verdict is Verdict.ILLEGAL and (open_ or record.holds):
            moves.append(_act(Kind.VOID, record, claim))
        elif not open_:
            continue
        elif verdict is Verdict.WRONG and claim not in seated:
            moves.append(_act(Kind.CHALLENGE, record, claim))
        elif verdict is None:
            unknown.append(record)
    unknown.sort(key=lambda r: (-r.terms.deal.price_ceiling, r.clock, r.job))
    moves += [_act(Kind.CHECK, r, claim_of(r) or b"") for r in unknown]
    for contract, token, native in view.credits:
        if token >= policy.collect_token or native >= policy.collect_wei:
            moves.append(Withdraw(contract, token, native))
    return moves


def _silent(view: View) -> dict[bytes, Seat]:
    """By claim, the turn that its provider let pass: mine if there is one.  Another's ends the
    claim as well, and would be at hand for whoever wants to be first when a proof is coming."""
    late = [
        seat
        for seat in (*view.seats, *view.others)
        if seat.challenge.wait is not Wait.CHALLENGER and view.time > seat.deadline
    ]
    return {seat.claim: seat for seat in reversed(late)}


def _act(kind: Kind, record: JobRecord, claim: bytes, number: int = 0, since: int = 0) -> Act:
    return Act(kind, claim, record.job, number, since)


def _watched(record: JobRecord, policy: Policy) -> bool:
    deal = record.terms.deal
    mine = not policy.clients or deal.client in policy.clients
    in_time = deal.move_seconds >= policy.min_move_seconds
    return mine and in_time and deal.price_ceiling >= policy.min_price


def claim_of(record: JobRecord) -> bytes | None:
    """The current claim of a committed job."""
    if record.status is not JobStatus.COMMITTED or record.current is None:
        return None
    return record.current.claim


def deadline(view: View) -> int | None:
    """When a clock of a dispute of mine runs out next."""
    clocks = (s.deadline for s in (*view.seats, *view.others))
    return min((until for until in clocks if until >= view.time), default=None)


class Watchtower(Keeper[View, Move]):
    """Watches one market.  ``judge`` computes."""

    name = "watchtower"

    def __init__(
        self,
        chain: Chain,
        sender: Sender,
        judge: Judge,
        policy: Policy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(chain, clock)
        self.sender = sender
        self.judge = judge
        self.policy = policy or Policy()
        self._clock = clock
        self._history = History(chain)
        storage = judge.store.config
        self._holder = Holder(Cache(storage.cache_dir, storage.cache_max_bytes))
        self._disputes: Mapping[bytes, Dispute] = {}
        self._jobs: Mapping[bytes, JobRecord] = {}
        self._busy = False
        self._due: frozenset[Move] = frozenset()
        self._glanced = clock()
        judge.meanwhile = self._meanwhile

    # --- looking ---------------------------------------------------------------------------------

    def look(self, at: Snapshot) -> View:
        book = self._history.sync(at)
        self._disputes, self._jobs = book.disputes, book.jobs
        committed = tuple(r for r in book.jobs.values() if claim_of(r) is not None)
        mine, others = list[Place](), list[Place]()
        fallen = list[tuple[bytes, int]]()
        for claim, dispute in book.disputes.items():
            record = book.jobs[dispute.job]
            live = [x for x in dispute.challenges if x.outcome is Ended.LIVE]
            own = [x.number for x in live if x.challenger == self.sender.address]
            if dispute.over:
                fallen += [(claim, number) for number in own]
            elif own and claim_of(record) == claim:
                mine += [(record, claim, number) for number in own]
                others += [(record, claim, x.number) for x in live if x.number not in own]
        self.judge.keep_only([r for r in map(claim_of, committed) if r is not None])
        known = self.judge.verdicts
        needed = (r for r in committed if known.get(claim_of(r) or b"") in ATTACKED)
        self._holder.keep({r.job: (r.terms.task, r.locators) for r in needed})
        return View(
            time=max(at.timestamp, at.next_timestamp),
            claims=committed,
            verdicts=self.judge.verdicts,
            seats=self._seats(mine, at),
            others=self._seats(others, at),
            fallen=tuple(fallen),
            credits=self._credits(at),
        )

    def _seats(self, places: Sequence[Place], at: Snapshot) -> tuple[Seat, ...]:
        turns = self.chain.turns_of([(claim, number) for _, claim, number in places], at)
        return tuple(
            Seat(*place, challenge, until)
            for place, (challenge, until) in zip(places, turns, strict=True)
        )

    def _credits(self, at: Snapshot) -> tuple[tuple[str, int, int], ...]:
        if self.sender.wallet is None:
            return ()
        has = self.chain.balances(self.sender.address, at)
        return tuple((name, c.token, c.native) for name, c in has.credits.items())

    def decide(self, view: View) -> list[Move]:
        moves = decide(view, self.policy)
        # One computation a cycle: what happened meanwhile is looked at before the next.  A job
        # whose data cannot be had waits, and the next one has its turn.
        checks = [m for m in moves if isinstance(m, Act) and m.kind is Kind.CHECK]
        first = next((m for m in checks if self._patience.ready(m)), None)
        self._due = frozenset(moves)
        return [
            m for m in moves
            if (self._is_quick(m) if self._busy else m not in checks or m == first)
        ]  # fmt: skip

    def remembered(self, actions: Sequence[Move]) -> Sequence[Move]:
        return tuple(self._due)

    def _is_quick(self, move: Move) -> bool:
        """Whether a move can be made in the middle of a computation."""
        if isinstance(move, Withdraw) or move.kind is Kind.CHECK:
            return False
        return move.kind not in COMPUTED or self.judge.ready(move.claim)

    def deadline(self, view: View) -> int | None:
        return deadline(view)

    def leads_on(self, action: Move) -> bool:
        return isinstance(action, Act) and action.kind is Kind.CHECK

    def _meanwhile(self) -> None:
        """Called from within a computation: moves of disputes that cannot wait for its end."""
        pause = self.chain.config.poll_seconds
        if self._busy or self._clock() < self._glanced + max(1.0, pause):
            return
        self._busy = True
        try:
            self.cycle()
        except Interrupted:
            raise
        except ChainError as error:
            # A node that is away costs no computation: the next cycle meets it again.
            if not retries(error):
                raise
            log.warning("%s", error)
        finally:
            self._busy = False
            self._glanced = self._clock()

    # --- acting ----------------------------------------------------------------------------------

    def act(self, action: Move) -> str:
        if isinstance(action, Withdraw):
            return self._withdraw(action)
        match action.kind:
            case Kind.CHECK:
                return self._check(action)
            case Kind.CHALLENGE:
                return self._challenge(action)
            case Kind.VOID:
                return self._void(action)
            case Kind.PLAY:
                return self._play(action)
            case Kind.TIMEOUT:
                return self._timeout(action)
            case Kind.COLLECT:
                return self._collect(action)

    def _check(self, action: Act) -> str:
        record = self._jobs[action.job]
        verdict = self.judge.check(record, action.claim)
        return f"job {short(action.job)}: the committed result is {verdict.value}"

    def _challenge(self, action: Act) -> str:
        record = self._jobs[action.job]
        deal = record.terms.deal
        at = self.chain.snapshot()
        token, native = self.chain.bond_of(action.claim, deal, at)
        if self.sender.wallet is None:
            return (f"job {short(action.job)} is wrong, and not challenged without a key (bond: "
                    f"{token} tokens, {native} wei)")  # fmt: skip
        # Who bonds must be able to play: the trace is built first, and has to fit the clock.
        self.judge.prepare(record, action.claim)
        self._allow(token, at)
        call = self.chain.contracts.game.challenge(record.terms, action.claim, native)
        # The game takes any number of challenges: one sent before, and mined since, is enough.
        outcome = self.sender.send(
            call, already=_over, done=lambda: action.claim in self.view()[0].seated
        )
        bond = f"a bond of {token} tokens and {native} wei"
        return self._line(f"job {short(action.job)} challenged with {bond}", outcome)

    def _void(self, action: Act) -> str:
        record = self._jobs[action.job]
        found = self.judge.illegality(record)
        if found is None:
            self.judge.forget(action.claim)
            raise Uncertain(f"job {short(action.job)}: what was illegal before is legal now")
        court = self.chain.contracts.court
        call = court.prove_illegal(record.terms, *found, record.job)
        return self._line(f"job {short(action.job)}: {call.what}", self.sender.send(
            call, already=_over
        ))  # fmt: skip

    def _allow(self, token: int, at: Snapshot) -> None:
        """The game may take the bond; an allowance for a thousand of them saves a call each."""
        if token and self.sender.wallet is not None:
            has = self.chain.balances(self.sender.address, at)
            if has.game_allowance < token:
                contracts = self.chain.contracts
                self.sender.send(contracts.token.approve(contracts.game.address, 1000 * token))

    def _play(self, action: Act) -> str:
        record, dispute = self._jobs[action.job], self._disputes[action.claim]
        at = self.chain.snapshot()
        challenge = self.chain.challenge_of(action.claim, action.number, at)
        if challenge.outcome is not Ended.LIVE or challenge.wait is not Wait.CHALLENGER:
            return f"job {short(action.job)}: challenge {action.number} has moved on"
        try:
            moves = self.judge.attack(record, action.claim, challenge, dispute.known)
        except NothingWrong as error:
            self.judge.overrule(action.claim)
            raise Uncertain(f"job {short(action.job)}: {error}; its challenge is left") from error
        return self._send(record, action, moves)

    def _send(self, record: JobRecord, action: Act, moves: list[GameMove]) -> str:
        numbered = [(action.number, move) for move in moves]
        game = self.chain.contracts.game
        call = game.play(action.claim, record.terms, numbered)
        ends = bool(moves) and isinstance(moves[-1], Prove)
        outcome = self._end(action, call) if ends else self.sender.send(call, already=_over)
        return self._line(f"job {short(action.job)}: {call.what}", outcome)

    def _after_closing(self, action: Act, call: Call) -> Call:
        """The call that ends a claim, behind the closing of earlier challenges that ran out:
        whoever challenged first and went away takes no reward."""
        at = self.chain.snapshot()
        dispute = self._disputes[action.claim]
        earlier = [
            (action.claim, x.number)
            for x in dispute.undefeated
            if x.number < action.number and x.challenger != self.sender.address
        ]
        turns = zip(earlier, self.chain.turns_of(earlier, at), strict=True)
        late = [
            number
            for (_, number), (x, until) in turns
            if x.wait is Wait.CHALLENGER and at.next_timestamp > until
        ][:MOST_CLOSED]
        if not late:
            return call
        game = self.chain.contracts.game
        return game.together([game.timeout_challengers(action.claim, late), call])

    def _timeout(self, action: Act) -> str:
        terms = self._jobs[action.job].terms
        call = self.chain.contracts.game.timeout_provider(action.claim, action.number, terms)
        outcome = self._end(action, call)
        return self._line(f"job {short(action.job)}: the provider did not answer", outcome)

    def _end(self, action: Act, call: Call) -> Outcome:
        """Ends a claim, if possible behind the closing of those who went away."""
        joint = self._after_closing(action, call)
        if joint is not call:
            outcome = self.sender.send(joint, already=_over)
            if outcome.result is not Result.ALREADY_DONE:
                return outcome
        return self.sender.send(call, already=_over)

    def _collect(self, action: Act) -> str:
        call = self.chain.contracts.game.collect(action.claim, action.number)
        return self._line(call.what, self.sender.send(call, already=_over))

    def _withdraw(self, action: Withdraw) -> str:
        contracts, me = self.chain.contracts, self.sender.address
        source = contracts.money[action.contract]

        def gone(refusal: Reverted) -> bool:
            return isinstance(refusal, CreditTooLow)

        if action.token:
            self.sender.send(source.withdraw(me, action.token), already=gone)
        if action.native:
            self.sender.send(source.withdraw_native(me, action.native), already=gone)
        return f"withdrew {action.token} tokens, {action.native} wei from the {action.contract}"

    def _line(self, what: str, outcome: Outcome) -> str:
        match outcome.result:
            case Result.MINED:
                return f"{what} ({outcome.gas} gas, block {outcome.block})"
            case Result.ALREADY_DONE:
                return f"{what}: it was done before, or the claim ended"
            case Result.DRY_RUN:
                return f"{what}: not sent without a key"


def _over(refusal: Reverted) -> bool:
    """The move was made, the claim fell, or its window is over: the next look says what is left."""
    done = (WrongTurn, NotLive, HasFallen, WrongStatus, WrongClaim, TooLate)
    return isinstance(refusal, done)
