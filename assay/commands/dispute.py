"""``assay dispute``: how the disputes about a job went, or where they stand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.errors import BadInput
from assay.output import PLAIN_WIDTH, emit_json, market_json_option, say, short, working
from assay.session import address_text, market

if TYPE_CHECKING:
    from client.descent import Finding, Known, Leg
    from client.disputes import ChallengeView, DemandView, Disputed, DisputeView, MoveView
    from protocol.chain.book import JobRecord

PROGRAM_SECONDS = 20.0
"""How long the program may take to come from IPFS: the rest is drawn without."""


@click.command(name="dispute")
@click.argument("job")
@click.option("--model", type=click.Path(path_type=Path),
              help="The job's model (.assay): names the operation in your own source.")  # fmt: skip
@click.option("--attempt", type=click.IntRange(1),
              help="Only this provider's try, as assay status counts them.")  # fmt: skip
@click.option("--follow", "-f", is_flag=True, help="Draw again after each move, to the end.")
@market_json_option
def dispute_command(
    job: str, model: Path | None, attempt: int | None, follow: bool, as_json: bool
) -> None:
    """Draw the disputes about JOB: who moved, where the claim and the truth part, the money.

    The numbers are those that the contract compared: the provider's own, and the one that it
    recomputed from proven data. They take the job's program, from --model or from IPFS.

    \b
    assay dispute 0x3fa8
    assay dispute 0x3fa8 --model minilm.assay
    assay dispute 0x3fa8 --follow
    assay dispute 0x3fa8 --json | jq '.disputes[].outcome'
    """
    from client.disputes import Reader, cases_of
    from client.jobs import Client

    number = None if attempt is None else attempt - 1
    with market() as chain:
        client = Client(chain)
        key = client.resolve(job)
        record, _ = client.record(key)
        if number is not None and number >= len(record.attempts):
            tried = len(record.attempts)
            raise BadInput(f"got attempt {attempt}, job {short(key)} has had {tried} so far")
        disputed = bool(cases_of(client.book()[0], key, number))
        known, why = _known(model, record) if disputed or follow or model else (None, "")
        reader = Reader(client, key, known, why)
        latest = reader.read(number)
        if not as_json:
            _show(latest, known)
        for now in reader.follow(number, latest) if follow else ():
            latest = now
            if not as_json:
                _again()
                _show(latest, known)
    if as_json:
        emit_json(_json(latest))


def _again() -> None:
    """Makes place for the next drawing."""
    if sys.stdout.isatty():
        click.clear()
    else:
        click.echo("-" * PLAIN_WIDTH)


def _show(now: Disputed, known: Known | None) -> None:
    from assay.descent import draw

    if now.disputes:
        draw(now, known)
    else:
        click.echo(f"job {short(now.record.job)}: no result was disputed so far")


def _known(model: Path | None, record: JobRecord) -> tuple[Known | None, str]:
    """What names operations: the model's file, else the program from IPFS; else why there is
    neither.  Raises BadModelFile, BadInput for another job's model."""
    from client.compiled import Compiled
    from client.descent import Known

    root = record.terms.task.program_root
    if model is not None:
        with working(f"reading {model}"):
            compiled = Compiled.load(model)
        if compiled.root != root:
            raise BadInput(f"{model} is the program {short(compiled.root)}, the job's is "
                           f"{short(root)}: name the model that was submitted")  # fmt: skip
        names = tuple(port.name for port in compiled.outputs)
        return Known(compiled.program, compiled.sources, names), ""
    return _fetched(record)


def _fetched(record: JobRecord) -> tuple[Known | None, str]:
    from client.descent import Known
    from protocol.spec import legality
    from protocol.spec.errors import IllegalProgram
    from protocol.storage.cache import Cache
    from protocol.storage.errors import StorageError
    from protocol.storage.jobs import fetch_program
    from protocol.storage.locators import JobLocators
    from protocol.storage.store import Store

    root = record.terms.task.program_root
    try:
        with Store() as store, working("fetching the program"):
            locators = JobLocators.decode(record.locators)
            store.connect(locators.peers)
            cache = Cache(store.config.cache_dir, store.config.cache_max_bytes)
            program = fetch_program(store, cache, locators, root, PROGRAM_SECONDS)
            legality.check(program)
    except (StorageError, IllegalProgram) as error:
        say(f"note: operations have numbers only, without the program ({error}): name the model "
            f"with --model")  # fmt: skip
        return None, "the program is not here: name the model with --model"
    return Known(program), ""


# --- JSON ----------------------------------------------------------------------------------------


def _json(now: Disputed) -> dict[str, Any]:
    """Disputes for programs: amounts in smallest units, times in the chain's seconds; attempts
    count from 1, challenges and demands as the contracts number them."""
    return {
        "job": now.record.job,
        "status": now.record.status.name.lower(),
        "time": now.time,
        "block": now.at.number,
        "disputes": [_dispute_json(view) for view in now.disputes],
    }


def _dispute_json(view: DisputeView) -> dict[str, Any]:
    from client.disputes import fall_of, roles_of

    d = view.dispute
    fall = fall_of(d)
    return {
        "attempt": view.attempt.number + 1,
        "claim": d.claim,
        "provider": address_text(d.provider),
        "resultRoot": d.result_root,
        "stepsRoot": d.opened.root if d.opened else None,
        "outcome": view.outcome,
        "live": view.live,
        "fall": None if fall is None else {
            "challenge": fall.number,
            "fault": fall.fault.name.lower(),
            "caller": address_text(fall.caller),
            "transaction": fall.place.tx,
        },
        "challenges": [_challenge_json(x) for x in view.challenges],
        "demands": [_demand_json(d) for d in view.demands],
        "money": [
            {
                "who": address_text(line.who),
                "role": roles_of(view, line.who),
                "what": line.what,
                "token": line.token,
                "native": line.native,
            }
            for line in view.money
        ],
        "gas": [
            {
                "party": cost.party.name.lower(),
                "transactions": cost.transactions,
                "gas": cost.gas,
                "paid": cost.paid,
            }
            for cost in view.costs
        ],
        "transactions": sum(cost.transactions for cost in view.costs),
        "gasInAll": sum(cost.gas for cost in view.costs),
    }  # fmt: skip


def _demand_json(view: DemandView) -> dict[str, Any]:
    d = view.record
    return {
        "number": d.number,
        "demander": address_text(d.demander),
        "part": d.part.name.lower(),
        "item": d.item,
        "index": d.index,
        "what": view.text,
        "state": d.state.name.lower(),
        "outcome": view.outcome,
        "live": view.live,
        "deadline": d.deadline,
        "transaction": view.sent.tx,
        "gas": view.sent.gas,
    }


def _challenge_json(x: ChallengeView) -> dict[str, Any]:
    record, turn = x.record, x.turn
    return {
        "number": record.number,
        "challenger": address_text(record.challenger),
        "outcome": record.outcome.name.lower(),
        "bond": {"token": record.token, "native": record.native},
        "turn": None if turn is None else {
            "wait": turn.wait.name.lower(),
            "what": turn.text,
            "deadline": turn.deadline,
        },
        "moves": [_move_json(move) for move in x.moves],
        "descent": [_leg_json(leg) for leg in x.legs],
        "finding": None if x.finding is None else _finding_json(x.finding),
    }  # fmt: skip


def _move_json(view: MoveView) -> dict[str, Any]:
    place = view.move.event.place
    return {
        "move": type(view.move.event).__name__,
        "what": view.text,
        "block": place.block,
        "time": place.time,
        "transaction": place.tx,
        "sender": address_text(view.sent.sender),
        "role": view.role,
        "gas": view.sent.gas,
        "secondsLeft": view.left,
    }


def _leg_json(leg: Leg) -> dict[str, Any]:
    stop = leg.stop
    return {
        "tree": leg.tree.name.lower(),
        "leaves": leg.count,
        "root": leg.root,
        "ranges": [list(ends) for ends in leg.ranges],
        "level": stop.level,
        "index": stop.index,
        "node": stop.node,
        "step": stop.step,
        "item": stop.item,
    }


def _finding_json(f: Finding) -> dict[str, Any]:
    from client.descent import value_text

    return {
        "kind": f.kind.name.lower(),
        "what": f.what,
        "step": f.stop.step,
        "item": f.stop.item,
        "index": f.stop.index,
        "element": f.element,
        "place": list(f.place),
        "dtype": None if f.dtype is None else f.dtype.name.lower(),
        "claimed": None if f.claimed is None else value_text(f, f.claimed),
        "true": None if f.true is None else value_text(f, f.true),
        "claimedBytes": f.claimed,
        "trueBytes": f.true,
        "missing": f.missing or None,
    }
