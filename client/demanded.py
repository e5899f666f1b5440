"""Demands for data: their places, answers and money, in words.  Pure."""

from __future__ import annotations

from protocol.chain.demands import DemandRecord, Docket
from protocol.spec.answers import TENSORS, Answer, Part, TensorAnswer, runs_of_tensor
from protocol.spec.demands import DemandState, fee_of
from protocol.spec.job import Deal
from protocol.spec.types import Program

Gain = tuple[bytes, str, int]
"""(who, what for, wei)."""

PLACES = {
    Part.HEADER: "the program's header",
    Part.CONSTANT: "run {index:,} of constant {item:,}",
    Part.INPUT: "run {index:,} of input {item:,}",
    Part.OUTPUT: "run {index:,} of output {item:,}",
    Part.CONSTANT_DECL: "the declaration of constant {item:,}",
    Part.INPUT_DECL: "the declaration of input {item:,}",
    Part.STATE_DECL: "the declaration of state {item:,}",
    Part.OUTPUT_DECL: "the declaration of output {item:,}",
    Part.TEMPLATE: "template {item:,}",
    Part.PHASE: "phase {item:,}",
    Part.INSTANCE: "operation {index:,} of phase {item:,}",
    Part.NEXT: "next-state {index:,} of phase {item:,}",
}
"""What is demanded; a run is 16 KiB of a tensor."""


LARGEST = 2**256 - 1
"""The largest item and index."""


def place_text(d: DemandRecord) -> str:
    """What is demanded."""
    return text_of(d.part, d.item, d.index)


def text_of(part: Part, item: int, index: int) -> str:
    """A place in words."""
    return PLACES[part].format(item=item, index=index)


def missing_text(part: Part, item: int, index: int, program: Program | None = None) -> str:
    """Why there is no such place in any program, or not in ``program``, which is legal; empty
    where there may be."""
    what = part.name.lower().replace("_", "-")
    if not 0 <= item <= LARGEST or not 0 <= index <= LARGEST:
        return f"got item {item}, index {index}: numbers begin at 0 and have 256 bits"
    if part is Part.HEADER and (item or index):
        return f"got item {item}, index {index}: there is one {what}, at 0, 0"
    if Part.CONSTANT_DECL <= part <= Part.PHASE and index:
        return f"got index {index}: a {what} is one piece, at index 0"
    if program is None or part is Part.HEADER:
        return ""
    sizes = _sizes(part, program)
    if item >= len(sizes):
        return f"got item {item}: the program has {len(sizes):,} of {what}, numbered from 0"
    if index >= sizes[item]:
        return f"got index {index}: {what} {item} has {sizes[item]:,}, numbered from 0"
    return ""


def _sizes(part: Part, p: Program) -> list[int]:
    """Of each item of a part, how many pieces there are to demand."""
    if part in TENSORS:
        outputs = tuple(p.states[n].tensor for n in p.outputs)
        decls = {Part.CONSTANT: p.constants, Part.INPUT: p.inputs, Part.OUTPUT: outputs}[part]
        return [runs_of_tensor(decl.nbytes) for decl in decls]
    if part is Part.INSTANCE:
        return [len(phase.instances) for phase in p.phases]
    if part is Part.NEXT:
        return [len(p.states)] * len(p.phases)
    rows = (p.constants, p.inputs, p.states, p.outputs, p.templates, p.phases)
    return [1] * len(rows[part - Part.CONSTANT_DECL])


def piece_of(part: Part, proof: Answer) -> bytes:
    """What an answer shows, without its proof; a run of a tensor in whole blocks."""
    if isinstance(proof, TensorAnswer):
        return proof.blocks
    if part is Part.HEADER:
        return proof.program.header + b"".join(proof.program.tables)
    if part is Part.PHASE:
        return proof.phase.head + proof.phase.instances + proof.phase.nexts
    return proof.piece.data


def outcome_text(d: DemandRecord, docket: Docket, ended: bool) -> str:
    """What became of a demand."""
    if d.answer is not None:
        shown = d.answer.shown
        return f"answered: {shown:,} bytes" if shown else "answered: there is no such thing"
    if docket.withheld is not None and docket.withheld.number == d.number:
        return "withheld: the claim fell by it"
    if d.state is DemandState.COLLECTED:
        return "the claim ended; fee back"
    return "the claim ended; fee to collect" if ended else "open"


def gains(docket: Docket, deal: Deal, provider: bytes, ended: bool) -> list[Gain]:
    """What demands brought and cost whom; what the client and the provider lost by the last one is
    in the market's split."""
    fee, out = fee_of(deal), []
    for d in docket.demands:
        out.append((d.demander, "fees of demands", -fee))
        if d.answer is not None:
            out += [(provider, "answers to demands", d.answer.paid),
                    (d.demander, "rest of fees", fee - d.answer.paid)]  # fmt: skip
        elif d.state is DemandState.COLLECTED:
            out.append((d.demander, "fees back", fee))
        elif ended:
            out.append((d.demander, "fees to collect", fee))
    return out
