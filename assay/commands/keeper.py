"""``assay keeper``: drives every clock of the market, for the bounties."""

from __future__ import annotations

import logging
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from assay.output import emit_json, market_json_option, pairs, relative, say, short, table
from assay.session import address_text, native
from assay.signals import stopping

if TYPE_CHECKING:
    from keepers.config import KeeperConfig
    from keepers.timekeeper import Clock
    from protocol.chain.chain import Chain


@click.command(name="keeper")
@click.option("--once", is_flag=True, help="Make the calls that are due, and stop.")
@click.option("--dry-run", is_flag=True, help="Send nothing, even with a key.")
@click.option("--check", is_flag=True, help="Test node, contracts and key, and stop.")
@click.option("--clocks", is_flag=True, help="Show every clock and its bounty, and stop.")
@click.option("--all", "everything", is_flag=True, help="Make calls that do not pay their gas too.")
@market_json_option
def keeper_command(
    once: bool, dry_run: bool, check: bool, clocks: bool, everything: bool, as_json: bool
) -> None:
    """Make the call that each clock waits for: refund, slash a late provider, finalize.

    Anybody may; each call pays a bounty that was set aside for it. Without a key it only says
    what it would do. It keeps nothing on disk and may run twice.

    \b
    assay keeper                       until Ctrl-C
    assay keeper --once                from cron
    assay keeper --clocks              what is due, and when
    """
    if sum((once, check, clocks)) > 1:
        raise click.UsageError("got several of --once, --check, --clocks; one is wanted")
    from keepers.config import KeeperConfig
    from protocol.chain.chain import Chain

    config = KeeperConfig.from_env()
    if dry_run:
        config = replace(config, dry_run=True)
    if everything:
        config = replace(config, min_profit=None)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr,
                        datefmt="%H:%M:%S")  # fmt: skip
    stop = threading.Event()
    with stopping(stop), Chain.connect(config.chain, stop=stop) as chain:
        if check:
            _check(chain, config, as_json)
        elif clocks:
            _clocks(chain, config, as_json)
        elif once:
            _once(chain, config, as_json)
        else:
            _serve(chain, config, stop)


def _check(chain: Chain, config: KeeperConfig, as_json: bool) -> None:
    from keepers.timekeeper import check

    lines = check(chain, config)
    if as_json:
        emit_json({"ok": True, "found": lines})
    else:
        click.echo("\n".join(lines))


def _clocks(chain: Chain, config: KeeperConfig, as_json: bool) -> None:
    from keepers.timekeeper import timekeeper

    rows = timekeeper(chain, config).clocks()
    if as_json:
        emit_json([_clock_json(row) for row in rows])
    elif not rows:
        say("no job is live: no clock runs")
    else:
        columns = ("job!", "status!", "attempt!", "then!", "due!", "bounty>", "pays!")
        lines = [
            (
                short(row.job),
                row.status.name.lower(),
                f"{row.attempt + 1} of {row.attempts}",
                row.kind.value,
                f"after {row.held} disputes" if row.held
                else "now" if row.left < 0 else relative(row.left, 0),
                native(row.bounty),
                "yes" if row.pays else "no",
            )
            for row in rows
        ]  # fmt: skip
        table("", columns, lines)


def _clock_json(row: Clock) -> dict[str, Any]:
    return {
        "job": row.job,
        "status": row.status.name.lower(),
        "attempt": row.attempt + 1,
        "attemptsAllowed": row.attempts,
        "provider": address_text(row.provider) if row.provider else None,
        "call": row.kind.value,
        "clock": row.clock,
        "secondsLeft": row.left,
        "holds": row.held,
        "bounty": row.bounty,
        "pays": row.pays,
        "challenge": row.number or None,
    }


def _once(chain: Chain, config: KeeperConfig, as_json: bool) -> None:
    from keepers.timekeeper import timekeeper

    report = timekeeper(chain, config).cycle()
    if as_json:
        emit_json({"block": report.at.number, "due": report.due, "done": report.done,
                   "failed": report.failed, "deadline": report.deadline})  # fmt: skip
    else:
        pairs("", [("due", report.due), ("done", report.done), ("failed", report.failed)])
    if report.failed:
        from assay.exits import REFUSED

        raise click.exceptions.Exit(REFUSED)


def _serve(chain: Chain, config: KeeperConfig, stop: threading.Event) -> None:
    from keepers.base import Runner
    from keepers.timekeeper import check, timekeeper

    for line in check(chain, config):
        click.echo(f"keeper: {line}")
    click.echo(f"keeper: watching the market at {address_text(chain.deployment.market)}")
    Runner(timekeeper(chain, config), config.poll_seconds, stop).run()
    click.echo("keeper: stopped")
