"""A dispute in words: its moves, the way down, and the one number that was wrong.  Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import numpy as np

from protocol.chain.abi import AbiError
from protocol.chain.contracts import decoded, proofs_in
from protocol.chain.disputes import (
    BlockRevealed,
    Challenged,
    ChallengeRecord,
    ClaimFell,
    Collected,
    Defeated,
    Dispute,
    Entered,
    Move,
    Opened,
    Pointed,
    Revealed,
    StepOpened,
    Stop,
)
from protocol.spec.constants import ZERO
from protocol.spec.dispute import Wait, width_at
from protocol.spec.errors import ProofError
from protocol.spec.job import MAX_PHASES, Fault, Task, unpack_steps
from protocol.spec.proofs import ElementProof, SliceProof
from protocol.spec.referee import JUDGED, Context, Proof, compared
from protocol.spec.trace import Tree, phase_of
from protocol.spec.types import DType, Program, Template


@dataclass(frozen=True)
class Known:
    """What names things: the job's program, and what its compiler noted beside it.

    ``sources`` has one line an operation, ``outputs`` one name an output, where they are known.
    """

    program: Program
    sources: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


# --- places --------------------------------------------------------------------------------------

NOUNS = {
    Tree.STEPS: "step",
    Tree.OUTPUTS: "output",
    Tree.STATES: "state",
    Tree.OPERATIONS: "operation",
    Tree.STATE_BLOCKS: "block",
    Tree.OPERATION_BLOCKS: "block",
}
"""What the leaves of a tree are."""


def covered(stop: Stop) -> tuple[int, int]:
    """First and last leaf below the node that a challenge is at."""
    return stop.index << stop.level, min((stop.index + 1) << stop.level, stop.count) - 1


def leaves_text(tree: Tree, first: int, last: int) -> str:
    """Leaves of a tree: 'operation 103', 'blocks 32..63'."""
    if last < first:
        return f"no {NOUNS[tree]}"
    if first == last:
        return f"{NOUNS[tree]} {first:,}"
    return f"{NOUNS[tree]}s {first:,}..{last:,}"


def _ordinal(n: int) -> str:
    suffix = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n:,}{suffix}"


@dataclass(frozen=True)
class Leg:
    """The way through one tree of ``count`` leaves: what each pointing left of them, and the last
    stop there.  ``root`` is what was entered."""

    tree: Tree
    count: int
    root: bytes
    ranges: tuple[tuple[int, int], ...]
    stop: Stop

    @property
    def arrived(self) -> bool:
        """Whether it is at one leaf."""
        return self.stop.level == 0 and self.count > 0


def legs(d: Dispute, x: ChallengeRecord) -> list[Leg]:
    """The way of a challenge, tree by tree."""
    out: list[Leg] = []
    for event, stop in ((move.event, move.stop) for move in x.moves):
        if isinstance(event, Challenged | Entered):
            root = d.known.steps_root if isinstance(event, Challenged) else stop.node
            out.append(Leg(stop.tree, stop.count, root, (), stop))
        elif isinstance(event, Pointed):
            ranges = out[-1].ranges
            if covered(stop) != (ranges[-1] if ranges else (0, stop.count - 1)):
                ranges = (*ranges, covered(stop))
            out[-1] = replace(out[-1], ranges=ranges, stop=stop)
    return out


# --- moves ---------------------------------------------------------------------------------------


def move_text(move: Move, before: Stop, proven: str) -> str:
    """What a move did.  ``before`` is where the challenge stood; ``proven`` is what the proof
    showed, if this one made the claim fall by it."""
    event, stop = move.event, move.stop
    match event:
        case Challenged():
            return "challenged the claim"
        case Opened():
            return f"opened the steps: {len(event.nodes)} nodes"
        case StepOpened():
            return f"opened step {event.step:,}: {len(event.nodes)} nodes of its operations"
        case Pointed():
            return _pointed(stop, before)
        case Entered():
            return _entered(stop)
        case Revealed():
            here = leaves_text(stop.tree, *covered(stop))
            return f"revealed {len(event.nodes)} nodes below {here}"
        case BlockRevealed():
            return f"revealed block {stop.index:,}"
        case Defeated():
            return "called time on the challenger: the challenge is defeated"
        case ClaimFell(fault=Fault.WRONG):
            return f"proved {proven} wrong"
        case ClaimFell(fault=Fault.SILENT):
            return "called time on the provider: the claim fell"
        case ClaimFell():
            return f"ended the claim: {event.fault.name.lower()}"
        case Collected():
            return "took the bond back"
    return type(event).__name__


def _pointed(stop: Stop, before: Stop) -> str:
    here = leaves_text(stop.tree, *covered(stop))
    if (stop.level, stop.index) == (before.level, before.index):
        return f"asked for what is below {here}"
    if stop.level == 0:
        return f"pointed at {here}"
    nodes = width_at(stop.count, stop.level)
    return f"pointed at {here}, the {_ordinal(stop.index + 1)} of {nodes:,} nodes"


def _entered(stop: Stop) -> str:
    count = f"{stop.count:,} {NOUNS[stop.tree]}{'' if stop.count == 1 else 's'}"
    what = {
        Tree.OUTPUTS: "the outputs",
        Tree.STATES: f"the states after step {stop.step:,}" if stop.step else "the first states",
        Tree.OPERATIONS: f"the operations of step {stop.step:,}",
        Tree.STATE_BLOCKS: f"state {stop.item:,}",
        Tree.OPERATION_BLOCKS: f"operation {stop.item:,}",
    }.get(stop.tree, "the steps")
    return f"entered {what}: {count}"


WAITS = {
    Wait.OPENING: "the provider opens the steps",
    Wait.CHALLENGER: "the challenger moves",
    Wait.REVEAL: "the provider reveals",
    Wait.STEP: "the provider opens",
}
"""Whose turn it is."""


def turn_text(wait: Wait, stop: Stop) -> str:
    """Whose turn it is, and which move it is."""
    if wait is Wait.REVEAL:
        here = leaves_text(stop.tree, *covered(stop))
        return f"{WAITS[wait]} {here if stop.level == 0 else 'what is below ' + here}"
    return f"{WAITS[wait]} step {stop.step:,}" if wait is Wait.STEP else WAITS[wait]


# --- the program ---------------------------------------------------------------------------------


def template_of(known: Known, task: Task, step: int, item: int) -> Template | None:
    """The template of operation ``item`` of the step that leads to leaf ``step``, if there is such
    an operation."""
    number, _ = phase_of(unpack_steps(task.steps, MAX_PHASES), step - 1)
    phases = known.program.phases
    instances = phases[number].instances if number < len(phases) else ()
    return known.program.templates[instances[item].template] if item < len(instances) else None


def operation_text(t: Template) -> str:
    """An operation: its kind, what comes out, what it goes over."""
    over = f" over {' x '.join(f'{n:,}' for n in t.r)}" if t.r else ""
    return f"{t.kind.name}{over} -> {t.dtype.name.lower()} {list(t.shape)}"


_PLACE = re.compile(
    r'^File "(?P<file>.+?)", line (?P<line>\d+), in (?P<name>\S+?)(: (?P<text>.*))?$'
)
_PARTS = 4
"""Of a path so many parts are shown, the last ones."""


def source_of(known: Known, item: int) -> str:
    """What the compiler noted for operation ``item``; nothing for programs of several phases."""
    if len(known.program.phases) != 1 or item >= len(known.sources):
        return ""
    return known.sources[item]


def source_lines(source: str) -> list[str]:
    """A noted place for a drawing: the end of the path and the line; the text there."""
    found = _PLACE.match(source)
    if found is None:
        return [printable(source)] if source else []
    parts = PurePath(found["file"]).parts
    path = "/".join(("…", *parts[-_PARTS:]) if len(parts) > _PARTS else parts)
    place = f"{path}:{found['line']} in {found['name']}"
    return [printable(line) for line in (place, found["text"]) if line]


def printable(text: str) -> str:
    """Text of a model's file, in which nothing moves a cursor: it may be a stranger's."""
    return "".join(c if c.isprintable() else "?" for c in text)


# --- what was wrong ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """The leaf that was proven wrong.

    ``element`` and its ``place`` (row-major) are of an operation or a state, of ``dtype``;
    ``claimed`` and ``true`` are its bytes, or two roots; None where they are not known, and then
    ``missing`` says why.
    """

    kind: Proof
    stop: Stop
    element: int | None = None
    place: tuple[int, ...] = ()
    dtype: DType | None = None
    claimed: bytes | None = None
    true: bytes | None = None
    missing: str = ""

    @property
    def what(self) -> str:
        """The leaf in words."""
        stop = self.stop
        match self.kind:
            case Proof.ELEMENT | Proof.SLICE if self.element is None:
                return f"an element of block {stop.index:,}"
            case Proof.ELEMENT | Proof.SLICE:
                return f"element {self.element:,}"
            case Proof.NEXT | Proof.INITIAL:
                return f"state {stop.item:,}"
            case Proof.OUTPUT:
                return f"output {stop.index:,}"
            case Proof.HALT:
                return f"the halt of step {stop.step:,}"
        raise ValueError(f"got {self.kind!r}, which is no kind of proof")


KINDS = {
    Tree.STEPS: Proof.HALT,
    Tree.OUTPUTS: Proof.OUTPUT,
    Tree.OPERATION_BLOCKS: Proof.ELEMENT,
    Tree.STATE_BLOCKS: Proof.SLICE,
}
"""What is proven in a tree; in STATES it is INITIAL before the first step, NEXT after."""


def finding(
    d: Dispute, task: Task, data: bytes | None, known: Known | None, why: str
) -> Finding | None:
    """What the proof that made the claim fall showed; None where it fell otherwise.

    ``data`` is the calldata of its transaction, None where the game was called by another contract;
    ``why`` says why ``known`` is None.
    """
    if not isinstance(d.fall, ClaimFell) or d.fall.fault is not Fault.WRONG:
        return None
    stop = d.challenge(d.fall.number).stop
    kind = KINDS.get(stop.tree, Proof.NEXT if stop.step else Proof.INITIAL)
    if data is None:
        return Finding(kind, stop, missing="another contract passed the proof on: it is not in "
                                           "the transaction's own calldata")  # fmt: skip
    which = (d.claim, d.fall.number, kind)
    proofs = [p for p in proofs_in(data) if (p.claim, p.number, p.kind) == which]
    if not proofs:
        return Finding(kind, stop, missing="the proof is not in the transaction's calldata")
    # A call may bring proofs that the game refused: of several, the first that shows something.
    shown = [_shown(d, task, Finding(kind, stop), p.proof, known, why) for p in proofs]
    if len(shown) == 1:
        return shown[0]
    unclear = f"{len(shown)} proofs were sent, and which of them was right cannot be told"
    if known is None:
        unclear += f": {why}"
    return next((f for f in shown if f.claimed is not None), Finding(kind, stop, missing=unclear))


def _shown(
    d: Dispute, task: Task, bare: Finding, proof: bytes, known: Known | None, why: str
) -> Finding:
    """The finding with what one proof shows; values only where they differ."""
    kind, stop = bare.kind, bare.stop
    try:
        p = decoded(JUDGED[kind], proof)
    except AbiError as error:
        return replace(bare, missing=f"the proof is written in an unusual way: {error}")
    element = p.element if isinstance(p, ElementProof | SliceProof) else None
    if known is None:
        return replace(bare, element=element, missing=why)
    dtype, shape = _declared(known, task, kind, stop)
    place: tuple[int, ...] = ()
    if element is not None and element < np.prod(shape, dtype=object):
        place = tuple(int(k) for k in np.unravel_index(element, shape)) if shape else ()
    context = Context(
        task=task, program=known.program, steps_root=d.known.steps_root,
        operations_root=d.known.operations.get(stop.step, ZERO), leaves=d.leaves, step=stop.step,
        item=stop.item, index=stop.index, node=stop.node,
    )  # fmt: skip
    try:
        claimed, true = compared(context, kind, p)
    except ProofError as error:
        missing = f"this version of the referee reads the proof otherwise: {error}"
        return replace(bare, element=element, place=place, dtype=dtype, missing=missing)
    if claimed == true:
        return replace(bare, missing="this version of the referee sees nothing wrong in the proof")
    return Finding(kind, stop, element, place, dtype, claimed, true)


def _declared(
    known: Known, task: Task, kind: Proof, stop: Stop
) -> tuple[DType | None, Sequence[int]]:
    """Dtype and shape of the tensor whose element is proven wrong."""
    if kind is Proof.SLICE:
        tensor = known.program.states[stop.item].tensor
        return tensor.dtype, tensor.shape
    t = template_of(known, task, stop.step, stop.item) if kind is Proof.ELEMENT else None
    return (None, ()) if t is None else (t.dtype, t.shape)


def value_text(f: Finding, value: bytes) -> str:
    """A claimed or a true value: a number with its bits, or a root."""
    if f.dtype is not None:
        bits = int.from_bytes(value, "little")
        number = np.frombuffer(value, f.dtype.numpy)[0]
        shown = f"{number:.9g}" if f.dtype is DType.F32 else f"{number:,}"
        return f"{shown} (0x{bits:0{2 * len(value)}x})"
    if len(value) == 1:
        return "halted" if value[0] else "ran"
    return f"0x{value.hex()}"
