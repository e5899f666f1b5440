"""``assay``: one command, thin verbs, nothing imported before it is needed."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from assay.exits import EXPECTED, OK, report

VERBS: dict[str, tuple[str, str]] = {
    # verb: (module, one line for --help)
    "compile": ("assay.commands.compile", "turn a PyTorch model into a program that can be proven"),
    "run": ("assay.commands.run", "run a compiled model on this machine"),
    "submit": ("assay.commands.jobs", "post a job: a model, its inputs, a price"),
    "status": ("assay.commands.jobs", "where a job is, who has it, what comes next"),
    "fetch": ("assay.commands.jobs", "download a job's outputs, checked against the chain"),
    "verify": ("assay.commands.jobs", "compute a job again and compare every bit"),
    "demand": ("assay.commands.demand", "make a provider show a piece of a job, or lose its stake"),
    "dispute": ("assay.commands.dispute", "draw a dispute: who moved, where, what was wrong"),
    "cancel": ("assay.commands.jobs", "take back a job that nobody has accepted"),
    "jobs": ("assay.commands.jobs", "list jobs"),
    "wallet": ("assay.commands.wallet", "balances, credits, allowance; withdraw"),
    "providers": ("assay.commands.providers", "list providers, their stake and record"),
    "provider": ("assay.commands.provider", "be a provider: register, run, collect, leave"),
    "keeper": ("assay.commands.keeper", "drive the market's clocks, for their bounties"),
    "watchtower": ("assay.commands.watchtower", "compute results again, challenge what is wrong"),
    "ipfs": ("assay.commands.ipfs", "an IPFS node with nothing to install"),
    "devnet": ("assay.commands.devnet", "a whole market on this machine"),
}


class Lazy(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(VERBS[cmd_name][0])
        command = getattr(module, f"{cmd_name}_command")
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])


@click.group(
    cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="assay")
def cli() -> None:
    """AI computation that anyone can check and a contract can judge.

    A job is a compiled model, inputs and a price. A staked provider runs it; the result stands
    unless somebody shows one wrong number, which the contract then computes itself.

    \b
    Try it without a chain:     assay compile minilm -o minilm.assay
                                assay run minilm.assay --text "a sentence"
    With a market on loopback:  assay devnet
    """


def main(argv: list[str] | None = None) -> int:
    """Run the command line; every expected error is one line on stderr and an exit code.

    Anything else is a defect: its traceback is Python's, its exit code 1.
    """
    stdout = sys.stdout
    try:
        result: Any = cli.main(args=argv, prog_name="assay", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit:
        if sys.stdout is stdout:
            raise
        return _reader_gone()  # click answers a closed pipe by another stdout and an exit
    except EXPECTED as error:
        return report(error)
    return result if isinstance(result, int) else 0


def _reader_gone() -> int:
    """Whoever read has what it wanted; Python must not complain of it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return OK


if __name__ == "__main__":
    sys.exit(main())
