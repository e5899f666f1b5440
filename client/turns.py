"""How long each move of a dispute had left when it came, from the moves alone.  Pure.

The clocks of DisputeGame: a turn passes with the move, and what it took beyond ``moveSeconds``
leaves the mover's budget.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.chain.disputes import (
    BlockRevealed,
    Challenged,
    Dispute,
    Entered,
    Move,
    Opened,
    Pointed,
    Revealed,
    StepOpened,
)
from protocol.chain.event import Place
from protocol.spec.dispute import Wait, clock_of
from protocol.spec.job import Deal
from protocol.spec.trace import Tree


@dataclass
class _Clock:
    """Whose turn it is in a challenge, since when, and what each side has left beyond it."""

    wait: Wait
    since: int
    provider: int
    challenger: int
    step: int = 0


def seconds_left(d: Dispute, deal: Deal) -> dict[Place, int]:
    """For the place of each move that a clock ran for: seconds that its side had left."""
    walk = _Walk(d, deal)
    moves = [move for x in d.challenges for move in x.moves]
    for move in sorted(moves, key=lambda m: m.event.place):
        walk.take(move)
    return walk.left


class _Walk:
    """All challenges of a claim, move by move."""

    def __init__(self, d: Dispute, deal: Deal) -> None:
        self.free = deal.move_seconds
        self.budget = clock_of(deal)
        self.open_by = d.open_by
        self.clocks: dict[int, _Clock] = {}
        self.opened = False
        self.steps: set[int] = set()
        self.left: dict[Place, int] = {}

    def take(self, move: Move) -> None:
        """The clocks after a move."""
        event, stop = move.event, move.stop
        now = event.place.time
        if isinstance(event, Challenged):
            wait = Wait.CHALLENGER if self.opened else Wait.OPENING
            self.clocks[event.number] = _Clock(wait, now, self.budget, self.budget)
            return
        x = self.clocks[event.number]
        match event:
            case Opened():
                self._note(x, event.place)
                self.opened = True
                for other in self.clocks.values():
                    other.wait, other.since = Wait.CHALLENGER, now
            case StepOpened():
                if x.wait is Wait.STEP and x.step == event.step:
                    self._note(x, event.place)
                self.steps.add(event.step)
                # It answers all that wait for it; one whose clock is over has no move to come.
                for other in self.clocks.values():
                    if other.wait is Wait.STEP and other.step == event.step:
                        self._pass(other, Wait.CHALLENGER, now)
            case Revealed() | BlockRevealed():
                self._move(x, Wait.CHALLENGER, event.place)
            case Pointed() if stop.level or stop.tree >= Tree.STATE_BLOCKS:
                self._move(x, Wait.REVEAL, event.place)
            case Pointed() if stop.tree is Tree.STEPS and stop.step not in (0, *self.steps):
                x.step = stop.step
                self._move(x, Wait.STEP, event.place)
            case Entered() if event.count == 0:
                self._move(x, Wait.REVEAL, event.place)
            case Pointed() | Entered():
                self._note(x, event.place)

    def _note(self, x: _Clock, place: Place) -> None:
        deadline = self.open_by
        if x.wait is not Wait.OPENING:
            mine = x.wait is Wait.CHALLENGER
            deadline = x.since + (x.challenger if mine else x.provider) + self.free
        self.left[place] = deadline - place.time

    def _move(self, x: _Clock, following: Wait, place: Place) -> None:
        self._note(x, place)
        self._pass(x, following, place.time)

    def _pass(self, x: _Clock, following: Wait, now: int) -> None:
        over = max(now - x.since - self.free, 0)
        if x.wait is Wait.CHALLENGER:
            x.challenger -= over
        else:
            x.provider -= over
        x.wait, x.since = following, now
