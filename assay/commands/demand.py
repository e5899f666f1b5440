"""``assay demand``: a piece of a job that its provider has to show on the chain."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.errors import BadInput
from assay.output import emit_json, hexa, market_json_option, pairs, relative, say, short, working
from assay.session import address_text, exactly, market, native, outcome_json
from assay.tensors import check_target

if TYPE_CHECKING:
    from client.demands import Asked
    from protocol.chain.flights import Outcome

PARTS = (
    "output", "input", "constant", "header", "constant-decl", "input-decl", "state-decl",
    "output-decl", "template", "phase", "instance", "next",
)  # fmt: skip
"""The contract's names."""


@click.command(name="demand")
@click.argument("job")
@click.option("--part", type=click.Choice(PARTS), default="output", show_default=True,
              help="What of the job; from header on, pieces of its program.")  # fmt: skip
@click.option("--item", type=click.IntRange(0), default=0, show_default=True,
              help="Which output, input, …; of instance and next, the phase.")  # fmt: skip
@click.option("--index", type=click.IntRange(0), default=0, show_default=True,
              help="Which run of 16 KiB of a tensor; which of the phase.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
              help="Wait, and write the bytes here; of a tensor whole blocks of 512.")  # fmt: skip
@click.option("--wait", is_flag=True, help="Wait for the answer, or until its clock has run out.")
@click.option("--yes", is_flag=True, help="Do not ask (without a terminal nothing is asked).")
@market_json_option
def demand_command(
    job: str, part: str, item: int, index: int, output: Path | None, wait: bool, yes: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Make the provider of JOB show a piece of it on the chain, or lose its stake.

    From commit to the end of the window, for what IPFS does not give. The fee, shown first, pays
    the answer; the rest of it comes back, and all of it without an answer. What was demanded
    before is shown, and not paid again: run it once more to see what came of it.

    \b
    assay demand 0x3fa8 --wait
    assay demand 0x3fa8 --part input --item 1 --index 3 -o run.bin
    assay demand 0x3fa8 --part header --json
    """
    if output is not None:
        check_target(output)
    from client.demanded import text_of
    from client.demands import Demander
    from client.jobs import Client
    from protocol.spec.answers import Part

    place = (Part[part.upper().replace("-", "_")], item, index)
    outcome = None
    with market() as chain:
        client = Client(chain)
        demander = Demander(client, client.resolve(job), *place)
        now = demander.find()
        if now is None:
            with working("looking whether there is such a piece"):
                fee = demander.check()
            say(f"{text_of(*place)}: the fee is {exactly(fee)} beside gas, what the answer does "
                f"not take comes back")  # fmt: skip
            if not yes and sys.stdin.isatty() and sys.stderr.isatty():
                click.confirm("demand it?", abort=True, err=True)
            with working("demanding"):
                now, outcome = demander.open()
        if not as_json:
            _opened(now, outcome)
        if now.waits and (wait or output is not None):
            with working("waiting for the answer; Ctrl-C leaves the demand as it is"):
                now = demander.follow(now)
    written = _write(output, now.piece)
    if as_json:
        emit_json(_json(now, outcome, written))
    elif now.demand.answer is not None or now.waits:
        _show(now, written)
    now.check()


def _opened(now: Asked, outcome: Outcome | None) -> None:
    """That it was demanded just now, or before."""
    d = now.demand
    if outcome is not None and outcome.tx:
        say(f"demanded in block {outcome.block}: {outcome.gas:,} gas, {native(outcome.paid)}")
    else:
        say(f"demanded before, by {address_text(d.demander)} "
            f"{relative(d.asked.time, now.time)}: not paid again")  # fmt: skip


def _write(output: Path | None, piece: bytes | None) -> Path | None:
    """Where the piece was written, if there is one.  Raises BadInput."""
    if output is None or not piece:
        return None
    try:
        output.write_bytes(piece)
    except OSError as error:
        raise BadInput(f"cannot write {output}: {error.strerror}") from error
    return output


def _show(now: Asked, written: Path | None) -> None:
    from client.demanded import place_text

    d = now.demand
    due = f", due {relative(d.deadline, now.time)}" if now.waits else ""
    rows: list[tuple[str, object]] = [
        ("job", hexa(now.record.job)),
        ("demand", f"{d.number}: {place_text(d)}"),
        ("outcome", f"{now.outcome}{due}"),
    ]
    if d.answer is not None:
        rows.append(("paid for it", f"{native(d.answer.paid)}, from the fee; the rest is credit"))
    if written is not None:
        rows.append(("written", written))
    pairs("", rows)
    if now.waits:
        say(f"the same command shows its answer, assay dispute {short(now.record.job)} all demands")


def _json(now: Asked, outcome: Outcome | None, written: Path | None) -> dict[str, Any]:
    from client.demanded import place_text

    d, piece = now.demand, now.piece
    return {
        "job": now.record.job,
        "attempt": now.attempt.number + 1,
        "claim": now.docket.claim,
        "number": d.number,
        "demander": address_text(d.demander),
        "part": d.part.name.lower(),
        "item": d.item,
        "index": d.index,
        "what": place_text(d),
        "state": d.state.name.lower(),
        "outcome": now.outcome,
        "overdue": now.overdue,
        "time": now.time,
        "deadline": d.deadline,
        "answer": None if d.answer is None else {
            "bytes": d.answer.shown,
            "piece": piece,
            "paid": d.answer.paid,
            "transaction": d.answer.place.tx,
        },
        "file": None if written is None else str(written),
        "demand": None if outcome is None else outcome_json(outcome),
    }  # fmt: skip
