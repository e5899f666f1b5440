"""What the game's events mean: claims under dispute, challenges, what was revealed.  Pure.

The events of a claim, in order, tell where each challenge stands and every node of the claimed
trees that was shown, so whoever plays needs no memory of its own.  Clocks and turns are read from
the contract (``Chain.challenge_of``); who sent a move is the sender of its transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from protocol.chain.event import Event, HistoryBroken, Place
from protocol.spec import trees
from protocol.spec.constants import ZERO
from protocol.spec.dispute import Outcome
from protocol.spec.job import Fault
from protocol.spec.strategy import Known, rows_to
from protocol.spec.trace import Tree

# --- events: the names and fields of IDisputeGame ------------------------------------------------


@dataclass(frozen=True)
class ClaimEvent(Event):
    """An event of a claim in the game."""

    claim: bytes


@dataclass(frozen=True)
class ClaimEnded(ClaimEvent):
    """The court ended the claim; the job's own event says why."""


@dataclass(frozen=True)
class GameEvent(ClaimEvent):
    """An event of challenge ``number`` of a claim."""

    number: int


@dataclass(frozen=True)
class Challenged(GameEvent):
    challenger: bytes
    token: int
    native: int
    open_by: int


@dataclass(frozen=True)
class Opened(GameEvent):
    root: bytes
    nodes: tuple[bytes, ...]
    fee: int


@dataclass(frozen=True)
class StepOpened(GameEvent):
    step: int
    root: bytes
    nodes: tuple[bytes, ...]
    fee: int


@dataclass(frozen=True)
class Revealed(GameEvent):
    node: bytes
    nodes: tuple[bytes, ...]
    fee: int


@dataclass(frozen=True)
class BlockRevealed(GameEvent):
    node: bytes
    data: bytes
    fee: int


@dataclass(frozen=True)
class Pointed(GameEvent):
    level: int
    index: int
    node: bytes


@dataclass(frozen=True)
class Entered(GameEvent):
    tree: Tree
    node: bytes
    count: int


@dataclass(frozen=True)
class Defeated(GameEvent):
    caller: bytes
    token: int
    native: int


@dataclass(frozen=True)
class ClaimFell(GameEvent):
    caller: bytes
    fault: Fault


@dataclass(frozen=True)
class Collected(GameEvent):
    challenger: bytes
    token: int
    native: int


class Side(Enum):
    """Whose move an event is."""

    CHALLENGER = "challenger"
    PROVIDER = "provider"
    ANYBODY = "anybody"


SIDES = {
    Challenged: Side.CHALLENGER,
    Pointed: Side.CHALLENGER,
    Entered: Side.CHALLENGER,
    Opened: Side.PROVIDER,
    StepOpened: Side.PROVIDER,
    Revealed: Side.PROVIDER,
    BlockRevealed: Side.PROVIDER,
    Defeated: Side.ANYBODY,
    ClaimFell: Side.ANYBODY,
    Collected: Side.ANYBODY,
}
"""Who a move helps; reveals are the provider's answers, but may come from anybody."""


# --- records -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stop:
    """Node ``index`` at ``level`` of a tree of ``count`` leaves, as a challenge stands at it.

    ``step`` and ``item`` are the leaf of the steps tree, and the operation or state, that were
    reached on the way.
    """

    tree: Tree
    level: int
    index: int
    node: bytes
    count: int
    step: int = 0
    item: int = 0

    @property
    def where(self) -> tuple[Tree, int, int]:
        """The tree as a trace names it: (tree, step, item)."""
        if self.tree in (Tree.STEPS, Tree.OUTPUTS):
            return self.tree, 0, 0
        return self.tree, self.step, self.item if self.tree >= Tree.STATE_BLOCKS else 0


@dataclass(frozen=True)
class Move:
    """One event of a challenge and where the challenge stands after it."""

    event: GameEvent
    stop: Stop

    @property
    def side(self) -> Side:
        """Whose move it was."""
        return SIDES[type(self.event)]


@dataclass(frozen=True)
class ChallengeRecord:
    """All that events tell of one challenge.

    ``token`` and ``native`` are the bond that it brought; ``outcome`` is LIVE also where the claim
    fell and the bond is not collected yet.
    """

    number: int
    challenger: bytes
    token: int
    native: int
    stop: Stop
    moves: tuple[Move, ...]
    outcome: Outcome = Outcome.LIVE

    @property
    def begun(self) -> Place:
        """Where it was opened."""
        return self.moves[0].event.place


@dataclass(frozen=True)
class Dispute:
    """All that events tell of one claim under dispute.

    ``leaves`` are those of its steps tree; ``preimages`` maps a node to the nodes below it that
    were shown (some levels down, without padding), ``blocks`` a leaf to its 512 bytes; ``steps``
    are the opened ones.  A challenge made it ``fall``, or the court ``ended`` it.
    """

    claim: bytes
    job: bytes
    attempt: int
    provider: bytes
    result_root: bytes
    leaves: int
    open_by: int
    challenges: tuple[ChallengeRecord, ...] = ()
    opened: Opened | None = None
    steps: Mapping[int, StepOpened] = field(default_factory=dict)
    preimages: Mapping[bytes, tuple[bytes, ...]] = field(default_factory=dict)
    blocks: Mapping[bytes, bytes] = field(default_factory=dict)
    fall: ClaimFell | None = None
    ended: ClaimEnded | None = None

    def challenge(self, number: int) -> ChallengeRecord:
        """One challenge; numbers begin at 1.  Raises IndexError."""
        if not 1 <= number <= len(self.challenges):
            raise IndexError(f"got challenge {number} of {len(self.challenges)}")
        return self.challenges[number - 1]

    @property
    def over(self) -> bool:
        """Whether the claim is rejected or void: nothing is left but to collect bonds."""
        return self.fall is not None or self.ended is not None

    @property
    def known(self) -> Known:
        """What everybody has seen of the claim, as players take it."""
        root = self.opened.root if self.opened else ZERO
        operations = {step: event.root for step, event in self.steps.items()}
        return Known(self.result_root, root, operations, self.preimages, self.blocks)

    @property
    def undefeated(self) -> tuple[ChallengeRecord, ...]:
        """Challenges that no clock defeated, earliest first: the first is rewarded."""
        return tuple(x for x in self.challenges if x.outcome is not Outcome.DEFEATED)

    def of(self, challenger: bytes) -> tuple[ChallengeRecord, ...]:
        """The challenges of one account."""
        return tuple(x for x in self.challenges if x.challenger == challenger)


# --- what follows from events --------------------------------------------------------------------


def begin(
    event: ClaimEvent, job: bytes, attempt: int, provider: bytes, result_root: bytes, leaves: int
) -> Dispute:
    """The dispute that the first challenge of a claim begins.  Raises HistoryBroken."""
    if not isinstance(event, Challenged):
        raise HistoryBroken(
            f"got {type(event).__name__} of claim 0x{event.claim.hex()}, which nobody challenged: "
            f"start from an earlier block"
        )
    return Dispute(event.claim, job, attempt, provider, result_root, leaves, event.open_by)


def follow(d: Dispute, event: ClaimEvent) -> Dispute:
    """The dispute after one more event.  Raises HistoryBroken when the event cannot follow."""
    if d.over and not isinstance(event, Collected):
        raise _broken(d, event, "whose claim fell before")
    if isinstance(event, ClaimEnded):
        return replace(d, ended=event)
    assert isinstance(event, GameEvent), "the other events are of one challenge"
    if isinstance(event, Challenged):
        return _challenged(d, event)
    if not 1 <= event.number <= len(d.challenges):
        raise _broken(d, event, f"of {len(d.challenges)} challenges")
    x = d.challenge(event.number)
    if x.outcome is not Outcome.LIVE:
        raise _broken(d, event, f"which is {x.outcome.name}")
    match event:
        case Opened():
            return _opened(d, event)
        case StepOpened():
            if event.step in d.steps:
                raise _broken(d, event, f"whose step {event.step} was opened before")
            d = replace(_shown(d, event.root, event.nodes), steps={**d.steps, event.step: event})
            return _moved(d, event, x.stop)
        case Revealed():
            return _moved(_shown(d, event.node, event.nodes), event, x.stop)
        case BlockRevealed():
            if trees.keccak256(event.data) != event.node:
                raise _broken(d, event, "whose block has another hash")
            return _moved(replace(d, blocks={**d.blocks, event.node: event.data}), event, x.stop)
        case Pointed():
            return _moved(d, event, _below(x.stop, event))
        case Entered():
            level = trees.depth_of(event.count)
            stop = Stop(event.tree, level, 0, event.node, event.count, x.stop.step, x.stop.item)
            return _moved(d, event, stop)
        case Defeated():
            return _moved(d, event, x.stop, Outcome.DEFEATED)
        case ClaimFell():
            return _moved(replace(d, fall=event), event, x.stop)
        case Collected():
            if not d.over:
                raise _broken(d, event, "whose claim stands")
            return _moved(d, event, x.stop, Outcome.COLLECTED)
    raise _broken(d, event, "which is no move")


def _broken(d: Dispute, event: ClaimEvent, why: str) -> HistoryBroken:
    of = f"challenge {event.number} of " if isinstance(event, GameEvent) else ""
    return HistoryBroken(
        f"got {type(event).__name__} of {of}claim 0x{d.claim.hex()}, {why}: a node left logs out, "
        f"read them again"
    )


def _challenged(d: Dispute, event: Challenged) -> Dispute:
    if event.number != len(d.challenges) + 1:
        raise _broken(d, event, f"after {len(d.challenges)} challenges")
    root = d.opened.root if d.opened else ZERO
    stop = Stop(Tree.STEPS, trees.depth_of(d.leaves), 0, root, d.leaves)
    x = ChallengeRecord(
        event.number, event.challenger, event.token, event.native, stop, (Move(event, stop),)
    )
    return replace(d, challenges=(*d.challenges, x))


def _opened(d: Dispute, event: Opened) -> Dispute:
    """The opening answers every challenge that waits for it: all of them."""
    if d.opened is not None:
        raise _broken(d, event, "whose claim was opened before")
    there = tuple(replace(x, stop=replace(x.stop, node=event.root)) for x in d.challenges)
    d = replace(_shown(d, event.root, event.nodes), opened=event, challenges=there)
    return _moved(d, event, d.challenge(event.number).stop)


def _shown(d: Dispute, node: bytes, nodes: tuple[bytes, ...]) -> Dispute:
    """With what is below a node; nothing for a node that shows itself, or an empty tree's.

    A liar may put one node at two heights: the showing that goes deeper says more, and stays.
    """
    if nodes == (node,) or (not nodes and node == ZERO):
        return d
    levels = len(rows_to(node, nodes))
    if not levels:
        raise HistoryBroken(
            f"got {len(nodes)} nodes that do not hash to 0x{node.hex()}: the logs are wrong, ask "
            f"another node"
        )
    if len(rows_to(node, d.preimages.get(node, ()))) >= levels:
        return d
    return replace(d, preimages={**d.preimages, node: nodes})


def _below(at: Stop, event: Pointed) -> Stop:
    stop = replace(at, level=event.level, index=event.index, node=event.node)
    if event.level == 0 and at.tree is Tree.STEPS:
        return replace(stop, step=event.index)
    if event.level == 0 and at.tree < Tree.STATE_BLOCKS:
        return replace(stop, item=event.index)
    return stop


def _moved(d: Dispute, event: GameEvent, stop: Stop, outcome: Outcome = Outcome.LIVE) -> Dispute:
    x = d.challenge(event.number)
    made = replace(x, stop=stop, moves=(*x.moves, Move(event, stop)), outcome=outcome)
    at = event.number - 1
    return replace(d, challenges=(*d.challenges[:at], made, *d.challenges[at + 1 :]))
