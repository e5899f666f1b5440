"""The watchtower: computes committed jobs again, challenges what is wrong, and plays to the end.

A look reads, at one block, the claims that can still be challenged and the challenges of its own;
``keepers.attacks`` decides.  Calls of disputes that are at hand travel together.  Then comes one
thing that takes longer: a challenge, or one more claim to compute; a long computation lets the
calls of disputes pass in between, and nothing is begun that could cost a dispute its clock.  It
never leans on another's challenge: of a wrong claim it opens its own.

On disk it keeps only verdicts, so that nothing is computed twice.  Everything else is on chain: it
may be killed at any point, a challenge sent and not mined, and goes on from where its disputes
stand.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from keepers.attacks import (
    COMPUTED,
    MOVES,
    TOGETHER,
    Act,
    Kind,
    Move,
    Policy,
    View,
    Withdraw,
    claim_of,
    deadline,
    decide,
    no_room,
    slack,
)
from keepers.base import Keeper
from keepers.judge import Judge, Uncertain, Verdict
from protocol.chain.amounts import native, tokens
from protocol.chain.book import JobRecord
from protocol.chain.chain import Chain
from protocol.chain.contracts import Call, short
from protocol.chain.disputes import Dispute
from protocol.chain.errors import ChainError, Interrupted, retries
from protocol.chain.flights import Outcome, Result
from protocol.chain.game_reverts import HasFallen, NotLive, WrongTurn
from protocol.chain.history import History
from protocol.chain.refusal import Reverted
from protocol.chain.reverts import CreditTooLow, TooLate, WrongClaim, WrongStatus
from protocol.chain.seats import Seat
from protocol.chain.state import Snapshot
from protocol.chain.transactions import Sender
from protocol.spec.dispute import Outcome as Ended
from protocol.spec.dispute import Wait
from protocol.spec.strategy import NothingWrong, Prove
from protocol.storage.cache import Cache
from protocol.storage.jobs import Holder

log: Final = logging.getLogger("assay.keeper")

ATTACKED: Final = (Verdict.WRONG, Verdict.ILLEGAL)
"""Verdicts on claims whose data is needed again."""

CLOSED_BESIDE: Final = 16
"""Challenges closed one by one in the call that ends a claim: with the largest proof below 16M
gas."""

MOST_BYTES: Final = 120_000
"""Of a call: nodes pass transactions of 128 KiB on, and no larger ones."""

MOMENT: Final = 1.0
"""Seconds after which nothing more is begun before a look."""

SHARE: Final = 32
"""One part in this many of what disputes can wait is a computation's turn between two looks."""

Place = tuple[JobRecord, bytes, int]
"""Job, claim and number of a challenge."""


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
        self._needed = math.inf
        self._busy = False
        self._due: frozenset[Move] = frozenset()
        self._next = clock()
        judge.meanwhile = self._meanwhile
        judge.slack = self._slack

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
        view = View(
            time=at.next_timestamp,
            claims=committed,
            verdicts=self.judge.verdicts,
            seats=self._seats(mine, at),
            others=self._seats(others, at),
            fallen=tuple(fallen),
            credits=self._credits(at),
        )
        self._needed = self._clock() + slack(view)
        return view

    def _slack(self) -> float:
        """Seconds for which disputes can do without a look."""
        return max(0.0, self._needed - self._clock())

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
        self._due = frozenset(moves)
        return [move for move in moves if self._is_quick(move)] if self._busy else moves

    def remembered(self, actions: Sequence[Move]) -> Sequence[Move]:
        return tuple(self._due)

    def _is_quick(self, move: Move) -> bool:
        """Whether a move can be made in the middle of a computation."""
        if isinstance(move, Withdraw) or move.kind is Kind.CHECK:
            return False
        return move.kind not in COMPUTED or self.judge.ready(move.claim)

    def _is_at_hand(self, move: Move) -> bool:
        """Whether a move is one call that takes no computation."""
        return isinstance(move, Withdraw) or (move.kind in MOVES and self._is_quick(move))

    def deadline(self, view: View) -> int | None:
        return deadline(view)

    def leads_on(self, action: Move) -> bool:
        return isinstance(action, Act) and action.kind is Kind.CHECK

    def _meanwhile(self) -> None:
        """Called from within a computation: moves of disputes that cannot wait for its end."""
        began = self._clock()
        if self._busy or began < self._next:
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
            # The computation has its turn as well, as long as disputes can wait.
            now = self._clock()
            turn = min(now - began, self._slack() / SHARE)
            self._next = now + max(1.0, self.chain.config.poll_seconds, turn)

    # --- acting ----------------------------------------------------------------------------------

    def perform(self, actions: Sequence[Move]) -> list[tuple[Move, bool]]:
        """Calls that are at hand together, the most urgent few; then what else is to be done about
        wrong claims, and checks, a moment for each: what happened is looked at before the next.

        What failed less often goes first: data that does not come keeps nothing else waiting."""
        calls = [move for move in actions if self._is_at_hand(move)]
        longer = sorted((a for a in actions if a not in calls), key=self._patience.failures)
        checks = [a for a in longer if isinstance(a, Act) and a.kind is Kind.CHECK]
        attacks = [a for a in longer if a not in checks]
        if calls and calls[0] == actions[0]:
            tried = self._send_all(calls[:TOGETHER])
            return tried + self._some_of(attacks) + self._some_of(checks)
        tried = self._some_of(attacks) + self._some_of(checks)
        return tried + self._send_all(calls[:TOGETHER])

    def _some_of(self, moves: Sequence[Move]) -> list[tuple[Move, bool]]:
        """What takes its time, for a moment: one thing at least."""
        began, tried = self._clock(), list[tuple[Move, bool]]()
        for move in moves:
            tried += super().perform([move])
            if self._clock() >= began + MOMENT:
                break
        return tried

    def _send_all(self, moves: Sequence[Move]) -> list[tuple[Move, bool]]:
        made: dict[Move, Call] = {}
        tried = [(move, self.attempt(move, partial(self._make, move, made))) for move in moves]
        ends: Sequence[Outcome | ChainError]
        try:
            ends = self.sender.send_all(list(made.values()))
        except Interrupted:
            raise
        except ChainError as error:
            ends = [error] * len(made)
        return [(move, done) for move, done in tried if move not in made] + [
            (move, self.attempt(move, partial(self._ended, move, call, end)))
            for (move, call), end in zip(made.items(), ends, strict=True)
        ]

    def _make(self, move: Move, made: dict[Move, Call]) -> str | None:
        """Adds the call of a move; or says why there is none."""
        call = self._call(move)
        if isinstance(call, str):
            return call
        made[move] = call
        return None

    def _ended(self, move: Move, call: Call, end: Outcome | ChainError) -> str:
        if isinstance(end, Reverted) and _over(end):
            end = Outcome(Result.ALREADY_DONE, call)
        if isinstance(end, ChainError):
            raise end
        return self._line(_what(move, call), end)

    def act(self, action: Move) -> str:
        if isinstance(action, Act):
            match action.kind:
                case Kind.CHECK:
                    return self._check(action)
                case Kind.CHALLENGE:
                    return self._challenge(action)
        call = self._call(action)
        if isinstance(call, str):
            return call
        return self._line(_what(action, call), self.sender.send(call, already=_over))

    def _call(self, move: Move) -> Call | str:
        """The call that makes a move, computed if need be; or why there is none."""
        contracts = self.chain.contracts
        if isinstance(move, Withdraw):
            source, me = contracts.money[move.contract], self.sender.address
            take = source.withdraw_native if move.native else source.withdraw
            return take(me, move.amount)
        match move.kind:
            case Kind.PLAY:
                return self._play(move)
            case Kind.TIMEOUT:
                terms = self._jobs[move.job].terms
                call = contracts.game.timeout_provider(move.claim, move.number, terms)
                return self._behind_closings(move, call)
            case Kind.COLLECT:
                return contracts.game.collect(move.claim, move.number)
            case Kind.VOID:
                return self._void(move)
            case Kind.CHECK | Kind.CHALLENGE:
                raise AssertionError(f"{move.kind} is no call")

    def _check(self, action: Act) -> str:
        record = self._jobs[action.job]
        verdict = self.judge.check(record, action.claim)
        return f"job {short(action.job)}: the committed result is {verdict.value}"

    def _challenge(self, action: Act) -> str:
        record = self._jobs[action.job]
        deal = record.terms.deal
        at = self.chain.snapshot()
        token, wei = self.chain.bond_of(action.claim, deal, at)
        bond = f"a bond of {tokens(token)} and {native(wei)}"
        if self.sender.wallet is None:
            return f"job {short(action.job)} is wrong, and not challenged without a key and {bond}"
        # Who bonds must be able to play: the trace is built first, and has to fit the clocks.
        self.judge.prepare(record, action.claim, self._room(record, at))
        self._room(record, at)  # in the middle of it another challenge may have been opened
        self._allow(token, at)
        call = self.chain.contracts.game.challenge(record.terms, action.claim, wei)
        # The game takes any number of challenges: one sent before, and mined since, is enough.
        outcome = self.sender.send(
            call, already=_over, done=lambda: action.claim in self.view()[0].seated
        )
        return self._line(f"job {short(action.job)} challenged with {bond}", outcome)

    def _room(self, record: JobRecord, at: Snapshot) -> tuple[Seat, ...]:
        """The challenges beside which another is opened.  Raises Uncertain where they are too
        many."""
        live = self.view()[0].live
        mined = self.sender.mined_within(at)
        if mined is None and not live:
            return live  # how long it takes is seen then
        reason = no_room(live, record.terms.deal, mined or 0)
        if reason is not None:
            raise Uncertain(f"job {short(record.job)} is wrong, and not challenged now: {reason}")
        return live

    def _void(self, action: Act) -> Call:
        record = self._jobs[action.job]
        found = self.judge.illegality(record, action.claim)
        if found is None:
            self.judge.forget(action.claim)
            raise Uncertain(f"job {short(action.job)}: what was illegal before is legal now")
        return self.chain.contracts.court.prove_illegal(record.terms, *found, record.job)

    def _allow(self, token: int, at: Snapshot) -> None:
        """The game may take the bond; an allowance for a thousand of them saves a call each."""
        if token and self.sender.wallet is not None:
            has = self.chain.balances(self.sender.address, at)
            if has.game_allowance < token:
                contracts = self.chain.contracts
                self.sender.send(contracts.token.approve(contracts.game.address, 1000 * token))

    def _play(self, action: Act) -> Call | str:
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
        game = self.chain.contracts.game
        numbered = [(action.number, move) for move in moves]
        call = game.play(action.claim, record.terms, numbered)
        if len(call.data) > MOST_BYTES and len(moves) > 1:
            return game.play(action.claim, record.terms, numbered[:-1])  # and the proof alone
        ends = bool(moves) and isinstance(moves[-1], Prove)
        return self._behind_closings(action, call) if ends else call

    def _behind_closings(self, action: Act, call: Call) -> Call:
        """A call that ends a claim, behind the closing of earlier challenges that ran out: whoever
        challenged first and went away takes no reward.  Where they are many, they are closed first.

        Each is closed on its own: that somebody else closes one of them keeps back nothing.  And
        nothing that is refused of them keeps the call itself back."""
        dispute = self._disputes[action.claim]
        earlier = [
            (action.claim, x.number)
            for x in dispute.undefeated
            if x.number < action.number and x.challenger != self.sender.address
        ]
        at = self.chain.snapshot()
        turns = zip(earlier, self.chain.turns_of(earlier, at), strict=True)
        late = [
            number
            for (_, number), (x, until) in turns
            if x.outcome is Ended.LIVE and x.wait is Wait.CHALLENGER and at.timestamp > until
        ]
        game = self.chain.contracts.game
        closings = [game.timeout_challengers(action.claim, [number]) for number in late]
        if not closings:
            return call
        joint = game.together([game.parts(closings, every=False), call])
        if len(closings) > CLOSED_BESIDE or len(joint.data) > MOST_BYTES:
            joint = game.together(closings[:CLOSED_BESIDE], every=False)
        try:
            self.sender.simulate(joint, "latest")
        except Reverted:
            return call
        return joint

    def _line(self, what: str, outcome: Outcome) -> str:
        match outcome.result:
            case Result.MINED:
                return f"{what} ({outcome.gas} gas, block {outcome.block})"
            case Result.ALREADY_DONE:
                return f"{what}: it was done before, or the claim ended"
            case Result.DRY_RUN:
                return f"{what}: not sent without a key"


def _what(move: Move, call: Call) -> str:
    """What a call does, for people."""
    if isinstance(move, Withdraw) or not move.job:
        return call.what
    return f"job {short(move.job)}: {call.what}"


def _over(refusal: Reverted) -> bool:
    """The move was made, the claim fell, its window is over, or what was owed is taken: the next
    look says what is left."""
    done = (WrongTurn, NotLive, HasFallen, WrongStatus, WrongClaim, TooLate, CreditTooLow)
    return isinstance(refusal, done)
