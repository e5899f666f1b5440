"""Amounts, durations, tables."""

from __future__ import annotations

import json

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import output
from assay.kinds import ADDRESS, AMOUNT, DURATION, SOME


@given(st.integers(0, 10**40), st.integers(0, 24))
def test_amount__and_parse_amount__are_inverse(value: int, decimals: int) -> None:
    assert output.parse_amount(output.amount(value, decimals), decimals) == value


@given(st.integers(0, 10**30))
def test_rounded__an_amount__is_at_most_it_and_close(value: int) -> None:
    shown = output.parse_amount(output.rounded(value))
    assert shown <= value
    assert value - shown < max(value // 1000, 10**14 if value >= 10**18 else 1)


@pytest.mark.parametrize(
    "text", ["", ".", "-1", "1.2.3", "1e3", "٣", "0x10", "1.0000000000000000001"]
)
def test_parse_amount__no_amount__is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        output.parse_amount(text)


@pytest.mark.parametrize(
    "text, seconds", [("0", 0), ("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400)]
)
def test_duration__seconds_or_a_unit__is_seconds(text: str, seconds: int) -> None:
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "-1", "1w", "1.5h", "h", "99999999999"])
def test_duration__anything_else__is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        DURATION.convert(text, None, None)


@pytest.mark.parametrize("text", ["", "0x12", "0x" + "g" * 40, "12" * 20])
def test_address__no_address__is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        ADDRESS.convert(text, None, None)


def test_amount_kind__zero__is_an_amount_but_not_some() -> None:
    assert AMOUNT.convert("0", None, None) == 0
    with pytest.raises(click.BadParameter, match="more than 0"):
        SOME.convert("0.0", None, None)


def test_table__a_row_with_brackets__is_printed_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.table("", ("name!", "size>"), [("[bold]x", 12)])
    lines = capsys.readouterr().out.splitlines()
    assert any("[bold]x" in line and line.endswith("12") for line in lines)
    assert all(len(line) <= 100 and line == line.rstrip() for line in lines)


def test_table__too_wide_for_the_terminal__is_names_and_values_with_nothing_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "0x" + "ab" * 20
    rows = [(address, "500,000,000 ADT"), (address[::-1], "1 ADT")]
    columns = ("provider!", "stake>")
    output.table("", columns, rows)
    wide = capsys.readouterr().out
    assert any(address in line and "500,000,000 ADT" in line for line in wide.splitlines())
    monkeypatch.setattr(output, "PLAIN_WIDTH", 60)
    output.table("", columns, rows)
    text = capsys.readouterr().out
    assert all(cell in text for row in rows for cell in row)
    assert "…" not in text
    assert [line.split()[0] for line in text.splitlines() if line] == ["provider", "stake"] * 2


def test_emit_json__bytes__are_hexadecimal(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit_json({"root": b"\x01\xff", "price": 10**20})
    assert json.loads(capsys.readouterr().out) == {"root": "0x01ff", "price": 10**20}


@pytest.mark.parametrize(
    "when, words", [(100, "in 0 s"), (160, "in 60 s"), (400, "in 5 min"), (90, "10 s ago")]
)
def test_relative__a_time__is_told_beside_now(when: int, words: str) -> None:
    assert output.relative(when, 100) == words
