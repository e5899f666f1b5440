"""What people read: tables, progress bars, amounts; and JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

Step = Callable[[int, int | None], None]
"""step(done, total)."""

json_option = click.option("--json", "as_json", is_flag=True, help="print JSON, for programs")


def console() -> Console:
    """Tables go to stdout, at full width where it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False)


def emit_json(value: Any) -> None:
    """One JSON document on stdout; bytes as 0x-hexadecimal."""
    click.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    raise TypeError(f"no JSON form for {type(value).__name__}")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table; columns whose name ends in ``>`` are aligned right."""
    made = Table(title=title, title_justify="left", header_style="bold")
    for name in columns:
        made.add_column(name.rstrip(">"), justify="right" if name.endswith(">") else "left")
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    console().print(made)


def pairs(title: str, rows: Sequence[tuple[str, object]]) -> None:
    """Names and values, one a line."""
    made = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2))
    made.add_column(style="bold")
    made.add_column()
    for name, value in rows:
        made.add_row(name, str(value))
    console().print(made)


@contextmanager
def progress(label: str, *, unit_bytes: bool = False) -> Iterator[Step]:
    """A bar on stderr while something long runs; silent where stderr is no terminal."""
    counter = DownloadColumn() if unit_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), counter, TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
    with bar:
        task = bar.add_task(label, total=None)

        def step(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield step


def hexa(value: bytes) -> str:
    """0x and all digits: jobs and addresses are copied from tables."""
    return "0x" + value.hex()


def amount(value: int, decimals: int = 18, symbol: str = "") -> str:
    """A token amount with its decimal point, without needless zeros."""
    whole, part = divmod(abs(value), 10**decimals)
    text = str(whole) if part == 0 else f"{whole}.{part:0{decimals}d}".rstrip("0")
    return f"{'-' if value < 0 else ''}{text}{' ' + symbol if symbol else ''}"


def parse_amount(text: str, decimals: int = 18) -> int:
    """The smallest units of a decimal amount; click.BadParameter if it is none."""
    whole, _, part = text.partition(".")
    if not (whole + part).isdecimal() or len(part) > decimals:
        raise click.BadParameter(f"got {text!r}, want an amount such as 1.5")
    return int((whole or "0") + part.ljust(decimals, "0"))


def ago(seconds: float) -> str:
    """A duration in words: '12 s', '3 min', '2 h'."""
    value = abs(seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if value >= 2 * size:
            return f"{value / size:.0f} {unit}"
    return f"{value:.0f} s"
