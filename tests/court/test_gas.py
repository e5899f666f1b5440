"""Gas of the court against the figures in git, and against what its calls are paid for."""

from __future__ import annotations

import json

import pytest

from protocol.spec.demands import (
    ANSWER_BYTES,
    ANSWER_GAS,
    BYTE_GAS,
    DEMAND_GAS,
    ILLEGAL_GAS,
)
from protocol.spec.dispute import TIMEOUT_GAS
from tests.court.gas import SNAPSHOT, figures

pytestmark = pytest.mark.chain


def test_court__every_call__costs_what_git_says_and_less_than_it_is_paid() -> None:
    got = figures()
    wanted = json.loads(SNAPSHOT.read_text())
    assert got["gas"].keys() == wanted["gas"].keys()
    for name, gas in wanted["gas"].items():
        assert abs(got["gas"][name] - gas) <= gas // 50, (name, got["gas"][name], gas)
    assert got["bytes"] == wanted["bytes"]
    assert max(got["bytes"].values()) <= 24_576
    paid = {
        "demand": DEMAND_GAS, "timeout": TIMEOUT_GAS, "proveIllegal": ILLEGAL_GAS,
        "answer": ANSWER_GAS,
    }  # fmt: skip
    for name, gas in got["gas"].items():
        function = name.split(": ")[-1]
        most = paid.get(function, gas)
        if "16 KiB" in name:
            most += BYTE_GAS * ANSWER_BYTES
        assert gas <= most, name
