"""What the court's events mean: pieces of data that were demanded of claims, and answers.  Pure.

An answer is in its event, with all that binds it to the job's roots, so whoever reads the logs has
what was demanded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from protocol.chain.event import Event, HistoryBroken, Place
from protocol.spec.answers import Part
from protocol.spec.demands import DemandState

# --- events: the names and fields of ICourt ------------------------------------------------------


@dataclass(frozen=True)
class DemandEvent(Event):
    """An event of demand ``number`` of a claim."""

    claim: bytes
    number: int


@dataclass(frozen=True)
class Demanded(DemandEvent):
    demander: bytes
    part: Part
    item: int
    index: int
    deadline: int


@dataclass(frozen=True)
class Answered(DemandEvent):
    caller: bytes
    shown: int
    paid: int
    proof: bytes


@dataclass(frozen=True)
class Withheld(DemandEvent):
    caller: bytes
    rewarded: int


@dataclass(frozen=True)
class FeeCollected(DemandEvent):
    demander: bytes
    fee: int


# --- records -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DemandRecord:
    """All that events tell of one demand.

    ``deadline`` is until when it may be answered; ``answer`` is the event that did.
    """

    number: int
    demander: bytes
    part: Part
    item: int
    index: int
    deadline: int
    asked: Place
    state: DemandState = DemandState.OPEN
    answer: Answered | None = None

    @property
    def place(self) -> tuple[Part, int, int]:
        """What is demanded: it is demanded once a claim."""
        return self.part, self.item, self.index


@dataclass(frozen=True)
class Docket:
    """All demands of one claim, in order.  ``withheld`` is the one for which it fell."""

    claim: bytes
    job: bytes
    demands: tuple[DemandRecord, ...] = ()
    withheld: Withheld | None = None

    @property
    def open(self) -> tuple[DemandRecord, ...]:
        """Demands without an answer, earliest first, whose fees are there."""
        return tuple(d for d in self.demands if d.state is DemandState.OPEN)

    def open_of(self, demander: bytes) -> tuple[int, ...]:
        """Numbers of the open demands of one account."""
        return tuple(d.number for d in self.open if d.demander == demander)

    def demand(self, number: int) -> DemandRecord:
        """One demand; numbers begin at 1.  Raises IndexError."""
        if not 1 <= number <= len(self.demands):
            raise IndexError(f"got demand {number} of {len(self.demands)}")
        return self.demands[number - 1]

    def at(self, part: Part, item: int, index: int) -> DemandRecord | None:
        """The demand for a place, if there was one."""
        return next((d for d in self.demands if d.place == (part, item, index)), None)


# --- what follows from events --------------------------------------------------------------------


def follow(c: Docket, event: DemandEvent) -> Docket:
    """The docket after one more event.  Raises HistoryBroken when the event cannot follow."""
    if isinstance(event, Demanded):
        if event.number != len(c.demands) + 1:
            raise _broken(c, event, f"after {len(c.demands)} demands")
        made = DemandRecord(
            event.number, event.demander, event.part, event.item, event.index, event.deadline,
            event.place,
        )  # fmt: skip
        return replace(c, demands=(*c.demands, made))
    if not 1 <= event.number <= len(c.demands):
        raise _broken(c, event, f"of {len(c.demands)} demands")
    d = c.demand(event.number)
    if d.state is not DemandState.OPEN:
        raise _broken(c, event, f"which is {d.state.name}")
    if isinstance(event, Answered):
        d = replace(d, state=DemandState.ANSWERED, answer=event)
    elif isinstance(event, FeeCollected):
        d = replace(d, state=DemandState.COLLECTED)
    elif isinstance(event, Withheld):
        # The fees of open demands stay until they are collected.
        return replace(c, withheld=event)
    at = event.number - 1
    return replace(c, demands=(*c.demands[:at], d, *c.demands[at + 1 :]))


def _broken(c: Docket, event: DemandEvent, why: str) -> HistoryBroken:
    return HistoryBroken(
        f"got {type(event).__name__} of demand {event.number} of claim 0x{c.claim.hex()}, {why}: "
        f"a node left logs out, read them again"
    )
