"""``assay watchtower``: computes committed results again and challenges what is wrong."""

from __future__ import annotations

import logging
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.kinds import ADDRESS, AMOUNT, DURATION
from assay.output import emit_json, market_json_option, pairs, plain_warnings
from assay.session import address_text
from assay.signals import stopping

if TYPE_CHECKING:
    from keepers.watchtower import Watchtower

HOME = Path("~/.assay/watchtower")


@click.command(name="watchtower")
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False),
              default=HOME, help="Verdicts.  [default: ~/.assay/watchtower]")  # fmt: skip
@click.option("--once", is_flag=True, help="Do all that is due now, and stop.")
@click.option("--check", is_flag=True, help="Test node, contracts, IPFS and key, and stop.")
@click.option("--dry-run", is_flag=True, help="Compute and say, but send nothing.")
@click.option("--min-price", type=AMOUNT, default="0", help="Only results that cost this much.")
@click.option("--client", "clients", type=ADDRESS, multiple=True,
              help="Only results for this client (may be given again).")  # fmt: skip
@click.option("--fetch", "fetch_seconds", type=DURATION, default="10m", show_default=True,
              help="Time to fetch one job's data.")  # fmt: skip
@click.option("--backend", type=click.Choice(["auto", "torch"]), default="auto", show_default=True)
@click.option("--device", help="Device of the torch backend, such as cpu or cuda:0.")
@click.option("--threads", type=click.IntRange(1, 1024), help="[default: one a core]")
@market_json_option
def watchtower_command(
    directory: Path,
    once: bool,
    check: bool,
    dry_run: bool,
    min_price: int,
    clients: tuple[bytes, ...],
    fetch_seconds: int,
    backend: str,
    device: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Compute committed results again, dearest first; challenge what is wrong, to the end.

    A challenge takes a bond of five times the price in tokens (while nobody else made the provider
    open its trace) and some native money; who is right gets it back, with a part of the liar's
    stake. It may be stopped or killed at any time: disputes go on at the next start.

    \b
    assay watchtower                   until Ctrl-C
    assay watchtower --dry-run         only say what is wrong
    assay watchtower --client 0x...    watch your own jobs alone
    """
    if once and check:
        raise click.UsageError("got --once and --check; one is wanted")
    from keepers import watching
    from keepers.attacks import Policy
    from keepers.config import KeeperConfig
    from keepers.judge import JudgeConfig, Machine
    from protocol.storage.config import StorageConfig
    from provider import calibrate, telemetry

    config = replace(KeeperConfig.from_env(), dry_run=dry_run)
    judging = JudgeConfig(directory.expanduser(), backend, device, threads, float(fetch_seconds))
    policy = Policy(min_price=min_price, clients=frozenset(clients))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr,
                        datefmt="%H:%M:%S")  # fmt: skip
    stop = threading.Event()
    with (
        stopping(stop),
        plain_warnings(),
        watching.watchtower(config, judging, policy, StorageConfig.from_env(), stop) as made,
    ):
        if not check:
            rate = calibrate.measure(threads)
            made.judge.machine = Machine(rate, lambda: telemetry.read().memory_free)
        if once:
            _once(made, as_json)
            return
        lines = watching.check(made)
        if as_json:
            emit_json({"ok": True, "found": lines})
        else:
            click.echo("\n".join(f"watchtower: {line}" for line in lines))
        if not check:
            market = address_text(made.chain.deployment.market)
            click.echo(f"watchtower: watching the market at {market}")
            watching.serve(made, config.poll_seconds, stop)
            click.echo("watchtower: stopped")


def _once(tower: Watchtower, as_json: bool) -> None:
    report = tower.cycle()
    done = report.done
    while report.done and report.again and not report.failed:
        report = tower.cycle()
        done += report.done
    due = done + report.due - report.done
    if as_json:
        emit_json({"block": report.at.number, "due": due, "done": done, "failed": report.failed,
                   "deadline": report.deadline})  # fmt: skip
    else:
        pairs("", [("due", due), ("done", done), ("failed", report.failed)])
    if report.failed:
        from assay.exits import REFUSED

        raise click.exceptions.Exit(REFUSED)
