"""The demonstration is the end-to-end test: a real model, real money flows, a killed provider."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest

from scripts import tools

pytestmark = pytest.mark.chain
COMMAND = [sys.executable, "-u", "-m", "scripts.demo"]


def descendants() -> set[psutil.Process]:
    """A process is not another that has its number later."""
    return set(psutil.Process().children(recursive=True))


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = descendants()
    yield
    assert descendants() <= before, "the demonstration left processes behind"


@pytest.mark.parametrize("node", ["anvil", "ganache"])
def test_demo__whole_story__ends_ok(node: str) -> None:
    done = subprocess.run(
        [*COMMAND, "--evm", node], cwd=tools.ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "demo: ok"
    for words in (
        "was killed (-9)", "slashed for lateness", "every bit equal", "minimum cosine",
        "it flips one bit in operation", "claimed",
        "equal to the first act's verified result",
    ):  # fmt: skip
        assert words in done.stdout


def test_demo__interrupted__stops_everything_it_started() -> None:
    process = subprocess.Popen(
        COMMAND, cwd=tools.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    before, started = descendants() | {psutil.Process(process.pid)}, set[psutil.Process]()
    timer = threading.Timer(120, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "IPFS node of provider-1" in line:
                started = descendants() - before
                os.killpg(process.pid, signal.SIGINT)
                break
        _, errors = process.communicate(timeout=60)
    finally:
        timer.cancel()
    assert process.returncode == 130, errors
    assert "demo: interrupted" in errors
    assert len(started) >= 3, "a chain and two IPFS nodes were running"
    _, left = psutil.wait_procs(started, timeout=10)
    assert not left
