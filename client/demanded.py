"""Demands for data in words, and their money.  Pure."""

from __future__ import annotations

from protocol.chain.demands import DemandRecord, Docket
from protocol.spec.answers import Part
from protocol.spec.demands import DemandState, fee_of
from protocol.spec.job import Deal

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


def place_text(d: DemandRecord) -> str:
    """What is demanded."""
    return PLACES[d.part].format(item=d.item, index=d.index)


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
