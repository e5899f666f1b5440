"""Answers of a provider on their way to the chain, many together.

Those of one transaction are all mined but for what is refused; what could not be sent, or fails as
a whole, is sent once more in parts.  Whoever sends in the middle of other work does not wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from protocol.chain.book import JobRecord
from protocol.chain.chain import Chain
from protocol.chain.contracts import Call, short
from protocol.chain.court_reverts import NotOpen
from protocol.chain.errors import (
    ChainError,
    FeeTooHigh,
    GasTooHigh,
    InsufficientFunds,
    NodeRefused,
    NodeUnavailable,
    TransactionFailed,
    TransactionPending,
)
from protocol.chain.flights import Batch, Outcome, Result
from protocol.chain.game_reverts import HasFallen, NotLive, WrongTurn
from protocol.chain.refusal import Reverted
from protocol.chain.reverts import WrongClaim
from protocol.chain.transactions import Sender
from protocol.spec.errors import LimitExceeded, ProgramError, TensorMismatch
from protocol.spec.strategy import Move
from protocol.storage.errors import StorageError
from provider.engine.errors import EngineError

MOST_MOVES: Final = 64
"""Moves in one transaction: below eight million gas and 96 KiB."""

MOST_CALLS: Final = 8
"""Calls on their way at once: they fill some blocks."""

FAILURES: Final = (
    Reverted, TransactionFailed, NodeRefused, GasTooHigh, FeeTooHigh, InsufficientFunds,
    StorageError, EngineError, ProgramError, TensorMismatch, LimitExceeded, ArithmeticError,
    LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
"""What goes wrong with one claim, or one sending, and does not stop the others: it is tried again
at a later cycle.  torch reports a lack of memory as a RuntimeError."""

Key = tuple[bytes, int]
"""Claim, and number of a challenge; a demand's number counts below zero."""

Mined = dict[Key, int]
"""What was answered, and in which block."""


@dataclass(frozen=True)
class Reply:
    """What is owed to one challenge; each move tells one event."""

    job: JobRecord
    claim: bytes
    number: int
    moves: tuple[Move, ...]

    @property
    def key(self) -> Key:
        """Of the challenge."""
        return self.claim, self.number


@dataclass(frozen=True)
class Parcel:
    """What one transaction brings: replies to challenges, the answer to one demand, or the end of
    challenges that ran out."""

    job: JobRecord
    claim: bytes
    call: Call
    keys: frozenset[Key]
    replies: tuple[Reply, ...] = ()

    @property
    def moves(self) -> int:
        """Events that it tells when nobody was faster."""
        return sum(len(r.moves) for r in self.replies) or 1


class Dispatch:
    """Sends parcels of one provider.  ``say`` gets a line for each that was mined, ``once`` one
    about a claim that may come again and again."""

    def __init__(
        self, chain: Chain, sender: Sender, say: Callable[[str], None],
        once: Callable[[bytes, str], None],
    ) -> None:  # fmt: skip
        self.chain = chain
        self.sender = sender
        self._say = say
        self._once = once
        self._away: tuple[list[Parcel], Batch] | None = None
        self._again: list[Parcel] = []

    @property
    def away(self) -> bool:
        """Whether something is on its way: nothing more is sent until it has ended."""
        return self._away is not None

    @property
    def keys(self) -> set[Key]:
        """What is on its way, and what has to be sent once more."""
        parcels = self._again + (self._away[0] if self._away else [])
        return {key for parcel in parcels for key in parcel.keys}

    def parcels(self, replies: Iterable[Reply]) -> list[Parcel]:
        """So many replies in each as a transaction holds, in their order."""
        batches: list[list[Reply]] = []
        for reply in replies:
            size = sum(len(r.moves) for r in batches[-1]) if batches else MOST_MOVES
            if size + len(reply.moves) > MOST_MOVES:
                batches.append([])
            batches[-1].append(reply)
        return [self._parcel(batch) for batch in batches]

    def _parcel(self, replies: list[Reply]) -> Parcel:
        game = self.chain.contracts.game
        call = game.together(
            [game.move(r.claim, r.number, r.job.terms, m) for r in replies for m in r.moves],
            every=False,
        )
        keys = frozenset(r.key for r in replies)
        return Parcel(replies[0].job, replies[0].claim, call, keys, tuple(replies))

    def send(self, parcels: Sequence[Parcel], *, waits: bool) -> Mined:
        """Unless something is on its way: send what has to be sent once more, then ``parcels``; one
        that does not wait sends so many as find room at once.  Moves that are refused are left out:
        somebody was faster, or the challenge has moved on.  What was mined."""
        mined, left = Mined(), list(parcels)
        while (self._again or left) and not self.away:
            now = (self._again + left)[:MOST_CALLS]
            left = left[max(0, len(now) - len(self._again)) :]
            self._again = self._again[len(now) :]
            try:
                self._away = now, self.sender.launch([parcel.call for parcel in now])
            except FAILURES as error:
                # The node counts no nonce, or gas is too dear: what is still owed is made again.
                self._failed(now[0], "not defended", error)
                break
            mined |= self.landed(waits=waits)
        return mined

    def landed(self, *, waits: bool) -> Mined:
        """What was mined since it was sent; what has to be sent once more is so with the next.

        Raises as ``Sender.look_after``; TransactionPending once for each sending.
        """
        if self._away is None:
            return Mined()
        parcels, batch = self._away
        try:
            if not self.sender.look_after(batch, waits=waits):
                return Mined()
        except TransactionPending:
            self._away = None  # what is still owed is made again
            raise
        self._away = None
        mined = Mined()
        for parcel, end in zip(parcels, batch.outcomes(), strict=True):
            if isinstance(end, ChainError):
                self._again += self._refused(parcel, end)
            elif end.result is Result.MINED:
                self._mined(parcel, end)
                mined |= dict.fromkeys(parcel.keys, end.block)
        return mined

    def _mined(self, parcel: Parcel, end: Outcome) -> None:
        made, moves = len(end.logs), parcel.moves
        faster = f", {made} of {moves} moves: others were faster" * (made < moves)
        what = parcel.call.what + faster
        self._say(f"job {short(parcel.job.job)} defended: {what}, {end.gas} gas")

    def _failed(self, parcel: Parcel, how: str, error: Exception) -> None:
        self._once(parcel.claim, f"job {short(parcel.job.job)} {how}: {error}")

    def _refused(self, parcel: Parcel, refusal: ChainError) -> list[Parcel]:
        """What is still to be sent of a parcel that was not mined."""
        if isinstance(refusal, NodeUnavailable | FeeTooHigh):
            return [parcel]  # it was not sent
        replies = list(parcel.replies)
        if len(replies) < 2:
            if not (isinstance(refusal, Reverted) and _done(refusal)):
                self._failed(parcel, f"not defended by {parcel.call.what}", refusal)
            return []
        try:
            stand = [r for r in replies if self._stands(r)]
        except NodeUnavailable:
            return [parcel]
        if len(stand) < len(replies):
            return [self._parcel(stand)] if stand else []
        half = len(replies) // 2
        return [self._parcel(replies[:half]), self._parcel(replies[half:])]

    def _stands(self, reply: Reply) -> bool:
        try:
            self.sender.simulate(self._parcel([reply]).call, "latest")
        except Reverted:
            return False
        return True


def _done(refusal: Reverted) -> bool:
    """Somebody else made the move, or the claim ended: nothing is left to do."""
    return isinstance(refusal, WrongTurn | NotLive | HasFallen | NotOpen | WrongClaim)
