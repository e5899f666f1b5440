"""What people read: tables, progress bars, amounts; and JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import click

from protocol.chain.amounts import amount as amount
from protocol.chain.amounts import rounded as rounded

if TYPE_CHECKING:
    from rich.console import RenderableType

Step = Callable[[int, int | None], None]
"""step(done, total)."""

PLAIN_WIDTH = 100
"""Columns of a table that goes to a file or a pipe."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

market_json_option = click.option(
    "--json", "as_json", is_flag=True,
    help="Print JSON, for programs: money in smallest units (10^18 are one ADT or ETH), times in "
         "the chain's seconds, attempts from 1.")  # fmt: skip


def show(made: RenderableType, *, beside: bool = False) -> None:
    """Print a table or a tree, as wide as the terminal, to stdout, or to stderr if ``beside`` the
    answer."""
    from rich.console import Console

    stream = sys.stderr if beside else sys.stdout
    console = Console(file=stream, width=_width(stream), highlight=False, markup=False)
    with console.capture() as seen:
        console.print(made)
    for line in seen.get().splitlines():
        click.echo(line.rstrip(), err=beside)


def _width(stream: TextIO) -> int:
    """Columns that a table may take."""
    return shutil.get_terminal_size().columns if stream.isatty() else PLAIN_WIDTH


def emit_json(value: Any) -> None:
    """One JSON document on stdout; bytes as 0x-hexadecimal, amounts in the smallest units."""
    click.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return hexa(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table; columns whose name ends in ``>`` are aligned right, in ``!`` never broken.

    Where it is too wide for the terminal, each row is a list of names and values instead: a hash
    or an amount that is cut short is of no use.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    if _least_width(columns, rows) > _width(sys.stdout):
        names = [name.rstrip(">!") for name in columns]
        for k, row in enumerate(rows):
            if k:
                click.echo()
            pairs(title if k == 0 else "", list(zip(names, row, strict=True)))
        return
    made = Table(title=title or None, title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    for name in columns:
        right, whole = ">" in name[-2:], "!" in name[-2:]
        made.add_column(
            name.rstrip(">!"), justify="right" if right else "left", no_wrap=right or whole
        )
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))
    show(made)


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> int:
    """Columns of the terminal that a table needs: only cells that may be broken are, at blanks."""
    total = 3 * len(columns) + 1
    for k, name in enumerate(columns):
        cells = [name.rstrip(">!"), *(str(row[k]) for row in rows)]
        whole = ">" in name[-2:] or "!" in name[-2:]
        total += max(len(part) for cell in cells for part in ([cell] if whole else cell.split(" ")))
    return total


def pairs(title: str, rows: Sequence[tuple[str, object]], *, beside: bool = False) -> None:
    """Names and values, one a line; on stderr if ``beside`` the answer."""
    from rich.table import Table
    from rich.text import Text

    made = Table(
        title=title or None, title_justify="left", show_header=False, box=None, padding=(0, 2)
    )
    made.add_column(style="bold", no_wrap=True)
    made.add_column()
    for name, value in rows:
        made.add_row(name, Text(str(value)))
    show(made, beside=beside)


@contextmanager
def progress(label: str, *, unit_bytes: bool = False) -> Iterator[Step]:
    """A bar on stderr while something long runs; silent where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    counter = DownloadColumn() if unit_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), counter, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)

        def step(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield step


@contextmanager
def working(label: str) -> Iterator[None]:
    """A turning wheel on stderr while something of unknown length runs."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(label):
        yield


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Python's warnings as one line each on stderr, when they come."""

    def line(message: Warning | str, *_: object, **__: object) -> None:
        say(f"note: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = line  # the context restores it
        yield


def say(line: str) -> None:
    """A line for people, beside the answer: on stderr."""
    click.echo(line, err=True)


def hexa(value: bytes) -> str:
    """0x and all digits."""
    return "0x" + value.hex()


def short(value: bytes) -> str:
    """0x and the first 10 digits: long enough to name a job, or a provider, in a command."""
    return f"0x{value.hex()[:10]}"


def parse_amount(text: str, decimals: int = 18) -> int:
    """The smallest units of a decimal amount; click.BadParameter if it is none."""
    whole, _, part = text.replace(",", "").replace("_", "").partition(".")
    if not ((whole + part).isascii() and (whole + part).isdecimal()):
        raise click.BadParameter(f"got {text!r}, want an amount such as 1.5")
    if len(part) > decimals:
        raise click.BadParameter(f"got {text!r}, want at most {decimals} digits after the point")
    return int((whole or "0") + part.ljust(decimals, "0"))


def seconds_text(value: float) -> str:
    """A duration in words: '12 s', '3 min', '2 h'."""
    value = abs(value)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if value >= 2 * size:
            return f"{value / size:.0f} {unit}"
    return f"{value:.0f} s"


def relative(when: float, now: float) -> str:
    """A time beside now, in words: 'in 12 s', '3 min ago'."""
    if when >= now:
        return f"in {seconds_text(when - now)}"
    return f"{seconds_text(now - when)} ago"


def size_text(nbytes: float) -> str:
    """A number of bytes in words: '512 B', '3.4 MB'."""
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if nbytes >= size:
            return f"{nbytes / size:.1f} {unit}"
    return f"{nbytes:.0f} B"
