"""Gas of disputes against the figures in git."""

from __future__ import annotations

import json

import pytest

from tests.game.gas import LONG, SNAPSHOT, figures

pytestmark = pytest.mark.chain


def test_dispute__every_kind_of_fault__costs_what_git_says() -> None:
    got = figures()
    wanted = json.loads(SNAPSHOT.read_text())
    for name, moves in wanted.items():
        for move, gas in moves.items():
            # What elements cost is watched by the figures of the referee's libraries.
            assert abs(got[name][move] - gas) <= gas // 50, (name, move, got[name][move], gas)
    assert got.keys() == wanted.keys()
    for name, moves in got.items():
        if name != "bytes":
            assert moves["total"] <= 2_000_000, name
            assert moves["transactions"] <= 22, name
    assert list(got[LONG].values())[-3] <= 1_000_000, "its proof, the claim's fall included"
    assert max(got["bytes"].values()) <= 24_576
