"""``assay submit, status, jobs, cancel``: a client's jobs on the market."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from assay.commands.results import fetch_command, verify_command
from assay.commands.run import gather_inputs, load_model, parse_steps
from assay.errors import BadInput
from assay.following import follow
from assay.kinds import ADDRESS, DURATION, SOME
from assay.output import (
    amount,
    emit_json,
    hexa,
    market_json_option,
    pairs,
    progress,
    relative,
    say,
    seconds_text,
    short,
    size_text,
    table,
    working,
)
from assay.session import (
    Account,
    account,
    address_text,
    market,
    native,
    outcome_json,
    tokens,
)

if TYPE_CHECKING:
    from client.terms import Quote
    from client.views import JobView
    from protocol.chain.book import Attempt

__all__ = [
    "cancel_command", "fetch_command", "jobs_command", "status_command", "submit_command",
    "verify_command",
]  # fmt: skip

POST_GAS = 160_000
"""Gas of posting with a permit and full locators, rounded up."""


# --- submit ---------------------------------------------------------------------------------------


@click.command(name="submit")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--price", type=SOME, required=True, help="Tokens for a correct result.")
@click.option("--input", "inputs", multiple=True, metavar="[NAME=]FILE",
              help="An input: .npy in the model's order or by name, or one .npz.")  # fmt: skip
@click.option("--text", "texts", multiple=True, help="A sentence, for models that read text.")
@click.option("--text-file", type=click.File("r", encoding="utf-8"), help="Sentences, one a line.")
@click.option("--window", type=DURATION, help="Time to challenge a result.  [default: 10m]")
@click.option("--run", "run_seconds", type=DURATION,
              help="Time to compute and commit.  [default: by the work]")  # fmt: skip
@click.option("--open", "open_seconds", type=DURATION,
              help="Time for a provider to take it.  [default: 10m]")  # fmt: skip
@click.option("--move", "move_seconds", type=DURATION,
              help="Time for one move in a dispute.  [default: 1m]")  # fmt: skip
@click.option("--attempts", type=click.IntRange(1, 255),
              help="Providers that may try.  [default: 3]")  # fmt: skip
@click.option("--stake-bps", type=click.IntRange(0),
              help="Stake at risk, in 1/10000 of the price.")  # fmt: skip
@click.option("--work-ms", type=click.IntRange(1), help="Work you declare.  [default: estimated]")
@click.option("--seed", type=int, default=0, show_default=True, help="For models that draw.")
@click.option("--steps", help="Steps of each phase, such as 16 or 1,64.  [default: the most]")
@click.option("--pay", type=click.Choice(["auto", "credit", "allowance", "permit", "approve"]),
              default="auto", show_default=True, help="Where the price comes from.")  # fmt: skip
@click.option("--wait", is_flag=True, help="Follow the job to its end.")
@click.option("--yes", is_flag=True, help="Do not ask (without a terminal nothing is asked).")
@market_json_option
def submit_command(
    model: Path,
    price: int,
    inputs: tuple[str, ...],
    texts: tuple[str, ...],
    text_file: IO[str] | None,
    window: int | None,
    run_seconds: int | None,
    open_seconds: int | None,
    move_seconds: int | None,
    attempts: int | None,
    stake_bps: int | None,
    work_ms: int | None,
    seed: int,
    steps: str | None,
    pay: Any,
    wait: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Post a job: run MODEL (.assay) on these inputs, for this price.

    Program, weights and inputs go to your IPFS node (keep it running); the price and a bounty for
    the closing call go into escrow. What it costs is shown first. The job's hash is the only line
    on standard output.

    \b
    assay submit minilm.assay --text "a sentence" --price 1.5
    assay submit net.assay --input x.npy --price 20 --window 1h --wait
    JOB=$(assay submit net.assay --input x.npy --price 2 --yes)
    """
    compiled = load_model(model)
    batches, count = gather_inputs(compiled, inputs, texts, text_file)
    if len(batches) != 1:
        size = compiled.inputs[0].shape[0]
        raise BadInput(f"got {count} sentences, the model takes {size} a job: compile it with "
                       f"--batch {count}, or submit them in parts")  # fmt: skip
    from client.jobs import Client
    from client.terms import Wishes

    wishes = Wishes(
        price=price, attempts=attempts, stake_bps=stake_bps, work_ms=work_ms,
        open_seconds=open_seconds, run_seconds=run_seconds, window_seconds=window,
        move_seconds=move_seconds, seed=seed, steps=parse_steps(steps),
    )  # fmt: skip
    with account() as me, _store() as store:
        client = Client(me.chain, store, sender=me.sender)
        quote = client.quote(compiled.program, wishes)
        nbytes = sum(t.nbytes for t in (*compiled.constants, *batches[0])) + len(compiled.bytes)
        if not as_json:
            _show_quote(me, quote, nbytes)
        _check_money(me, quote, pay)
        store.node()
        if not yes and sys.stdin.isatty() and sys.stderr.isatty():
            click.confirm("post it?", abort=True, err=True)
        with progress("publishing", unit_bytes=True) as step:
            posted = client.submit(
                compiled.program, compiled.constants, batches[0], wishes,
                payment=pay, progress=step,
            )  # fmt: skip
        outcome = posted.outcome
        if not as_json:
            say(f"posted in block {outcome.block}: {outcome.gas:,} gas, {native(outcome.paid)}")
            click.echo(hexa(posted.job))
        view = follow(client, posted.job) if wait else client.status(posted.job)
        if as_json:
            emit_json({**job_json(view), "post": outcome_json(outcome)})
    if wait:
        _ended(view)


@contextmanager
def _store() -> Iterator[Any]:
    from protocol.storage.store import Store

    with Store() as store:
        yield store


def _show_quote(me: Account, quote: Quote, nbytes: int) -> None:
    deal, fees = quote.deal, me.sender.fees()
    rows: list[tuple[str, object]] = [
        ("price", f"{tokens(quote.price)}, if the result stands"),
        ("bounty", f"{native(quote.bounty)}, for whoever closes the job"),
        ("gas, about", native(POST_GAS * fees.expected)),
        ("data", f"{size_text(nbytes)} from your IPFS node"),
        ("work", f"{deal.work_ms / 1000:g} s; {seconds_text(deal.run_seconds)} to commit a result"),
        ("a provider risks", f"{tokens(quote.lock_token)}, {native(quote.lock_native)}"),
        ("open for", f"{seconds_text(deal.open_seconds)}, {deal.attempts} attempts"),
        ("challenges", f"{seconds_text(deal.window_seconds)} after the result"),
        ("wallet", f"{tokens(me.balances.token)}, {native(me.balances.native)}"),
    ]
    pairs("the job", rows, beside=True)


def _check_money(me: Account, quote: Quote, pay: str) -> None:
    """Raises ShortOfMoney; whatever is subtler the client finds out."""
    credit = me.balances.market_credit
    if pay in ("auto", "credit") and credit.token >= quote.price and credit.native >= quote.bounty:
        return
    if pay != "credit":
        me.need_tokens(quote.price, "the price")
        me.need_native(quote.bounty, "the bounty")


# --- status, jobs, cancel -------------------------------------------------------------------------


@click.command(name="status")
@click.argument("job")
@click.option("--follow", "-f", "to_end", is_flag=True, help="Go on until the job has ended.")
@market_json_option
def status_command(job: str, to_end: bool, as_json: bool) -> None:
    """Where JOB is, who has it, what comes next. A prefix of its hash does.

    \b
    assay status 0x3fa8
    assay status 0x3fa8 --follow
    assay status 0x3fa8 --json | jq -r .status
    """
    from client.jobs import Client

    with market() as chain:
        client = Client(chain)
        key = client.resolve(job)
        view = follow(client, key) if to_end else client.status(key)
    if as_json:
        emit_json(job_json(view))
    else:
        _show_job(view)


def _ended(view: JobView) -> None:
    """Raises NoResult unless the job was finished."""
    from client.job_errors import NoResult
    from protocol.spec.job import JobStatus

    if view.status is not JobStatus.FINALIZED:
        raise NoResult(f"job {hexa(view.job)} ended without a result: {view.next}")


def _show_job(view: JobView) -> None:
    record, deal = view.record, view.record.terms.deal
    rows: list[tuple[str, object]] = [
        ("job", hexa(view.job)),
        ("status", f"{view.status.name.lower()}: {view.next}"),
    ]
    if view.seconds_left is not None:
        rows.append(("clock", f"runs out {relative(record.clock, view.time)}"))
    rows += [
        ("client", address_text(deal.client)),
        ("price", f"{tokens(view.price)}, bounty {native(view.bounty)}"),
        ("a provider risks", f"{tokens(view.lock_token)}, {native(view.lock_native)}"),
        ("posted", f"{relative(record.posted.time, view.time)}, block {record.posted.block}"),
        ("program", hexa(record.terms.task.program_root)),
    ]
    if record.result_root is not None:
        rows.append(("result", hexa(record.result_root)))
    pairs("", rows)
    if record.attempts:
        lines = [
            (
                f"{a.number + 1} of {deal.attempts}",
                address_text(a.provider),
                relative(a.accepted.time, view.time),
                relative(a.committed.time, view.time) if a.committed else "",
                _fate(view, a),
            )
            for a in record.attempts
        ]
        table("", ("attempt!", "provider!", "accepted!", "result!", "outcome"), lines)


def _fate(view: JobView, a: Attempt) -> str:
    if a.fault is not None:
        return f"lost: {a.fault.name.lower()}"
    return view.status.name.lower()


@click.command(name="jobs")
@click.option("--mine", is_flag=True, help="Only those of your wallet, as client or provider.")
@click.option("--client", "client_", type=ADDRESS, help="Only one client's.")
@click.option("--provider", type=ADDRESS, help="Only those that one provider accepted.")
@click.option("--live", is_flag=True, help="Only those that have not ended.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True,
              help="At most so many, the newest.")  # fmt: skip
@market_json_option
def jobs_command(
    mine: bool,
    client_: bytes | None,
    provider: bytes | None,
    live: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List jobs, oldest first.

    \b
    assay jobs --mine
    assay jobs --live --json
    """
    from client.jobs import Client
    from protocol.chain.transactions import require_wallet

    with market() as chain:
        me = require_wallet(chain).address if mine else None
        found = Client(chain).jobs(client_, provider)
    if me is not None:
        found = [
            v for v in found
            if v.record.terms.deal.client == me or any(a.provider == me for a in v.attempts)
        ]  # fmt: skip
    shown = [view for view in found if view.record.live or not live][-limit:]
    if as_json:
        emit_json([job_json(view) for view in shown])
        return
    if not shown:
        say("no jobs")
        return
    rows = [
        (
            short(v.job),
            v.status.name.lower(),
            amount(v.price),
            short(v.record.terms.deal.client),
            short(v.record.provider) if v.record.provider else "",
            f"{len(v.attempts)}/{v.record.terms.deal.attempts}",
            relative(v.record.posted.time, v.time),
            "" if v.seconds_left is None else relative(v.record.clock, v.time),
        )
        for v in shown
    ]
    columns = ("job!", "status!", "price>", "client!", "provider!", "tries>", "posted>", "clock>")
    table("", columns, rows)


@click.command(name="cancel")
@click.argument("job")
@market_json_option
def cancel_command(job: str, as_json: bool) -> None:
    """Take back JOB, which nobody has accepted: price and bounty become credit.

    \b
    assay cancel 0x3fa8 && assay wallet withdraw
    """
    from client.jobs import Client

    with account() as me:
        client = Client(me.chain, sender=me.sender)
        key = client.resolve(job)
        with working(f"cancelling {short(key)}"):
            outcome = client.cancel(key)
        view = client.status(key)
    if as_json:
        emit_json({**job_json(view), "cancel": outcome_json(outcome)})
    else:
        say(f"cancelled in block {outcome.block}: {outcome.gas:,} gas, {native(outcome.paid)}")
        click.echo(f"{tokens(view.price)} and {native(view.bounty)} are yours to take out: "
                   f"assay wallet withdraw")  # fmt: skip


# --- JSON -----------------------------------------------------------------------------------------


def job_json(view: JobView) -> dict[str, Any]:
    """A job for programs: amounts in smallest units, times in the chain's seconds.

    Attempts count from 1: ``attempt`` is the one that runs or, of an open job, is waited for.
    """
    record, task, deal = view.record, view.record.terms.task, view.record.terms.deal
    return {
        "job": view.job,
        "status": view.status.name.lower(),
        "next": view.next,
        "live": record.live,
        "time": view.time,
        "clock": record.clock,
        "secondsLeft": view.seconds_left,
        "client": address_text(deal.client),
        "provider": address_text(record.provider) if record.provider else None,
        "price": view.price,
        "bounty": view.bounty,
        "lock": {"token": view.lock_token, "native": view.lock_native},
        "attempt": record.attempt + 1,
        "attemptsAllowed": deal.attempts,
        "holds": record.holds,
        "resultRoot": record.result_root,
        "posted": {
            "time": record.posted.time,
            "block": record.posted.block,
            "transaction": record.posted.tx,
        },
        "task": {
            "programRoot": task.program_root,
            "constantsRoot": task.constants_root,
            "inputsRoot": task.inputs_root,
            "seed": task.seed,
        },
        "deal": {
            "workMs": deal.work_ms,
            "openSeconds": deal.open_seconds,
            "runSeconds": deal.run_seconds,
            "windowSeconds": deal.window_seconds,
            "moveSeconds": deal.move_seconds,
            "stakeBps": deal.stake_bps,
            "gasPrice": deal.gas_price,
        },
        "attempts": [_attempt_json(a) for a in record.attempts],
    }


def _attempt_json(a: Attempt) -> dict[str, Any]:
    return {
        "number": a.number + 1,
        "provider": address_text(a.provider),
        "accepted": a.accepted.time,
        "runUntil": a.run_until,
        "committed": a.committed.time if a.committed else None,
        "resultRoot": a.result_root,
        "claim": a.claim,
        "windowUntil": a.window_until,
        "fault": a.fault.name.lower() if a.fault is not None else None,
    }
