"""Verbs that run until they are stopped, as processes: they say when they are ready, and a signal
ends them in good order.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from assay import exits
from scripts.config import child_environment
from scripts.devnet import Process
from tests.assay.conftest import Assay, EnvOf, Market
from tests.assay.test_market import CLIENT, KEEPER, submit

START_SECONDS = 90.0


@contextmanager
def running(directory: Path, env: Mapping[str, str], *arguments: str) -> Iterator[Process]:
    """``assay …`` as a process of its own, killed at the end if it still runs."""
    command = [sys.executable, "-m", "assay.cli", *arguments]
    settings = child_environment({"PYTHONUNBUFFERED": "1", **env})
    process = Process("assay", command, settings, directory / "log.txt")
    try:
        yield process
    finally:
        process.kill()


def ends(process: Process, number: int) -> int:
    """The exit code after a signal."""
    os.kill(process.pid, number)
    return ended(process)


def ended(process: Process) -> int:
    """The exit code of a process that ends by itself."""
    process._process.wait(30)
    return process.stop()


def test_ipfs__until_a_signal__serves_and_leaves_no_process(assay: Assay, tmp_path: Path) -> None:
    with running(tmp_path, {}, "ipfs", "--repo", str(tmp_path / "repo")) as process:
        line = process.wait_for(lambda text: text.startswith("export "), "its address", 30)
        name, _, api = line.removeprefix("export ").partition("=")
        assert name == "ASSAY_IPFS_API"
        found = assay("ipfs", "status", "--json", env={name: api})
        assert (found.code, found.json["api"], found.json["pins"]) == (0, api, [])
        assert found.json["id"] in assay("ipfs", "status", env={name: api}).out
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) == 1
        assert ends(process, signal.SIGTERM) == exits.INTERRUPTED
        assert psutil.wait_procs(children, timeout=10)[1] == []
        assert process.lines[-1] == "interrupted"
    assay("ipfs", "status", env={name: api}).fails(exits.UNAVAILABLE, "assay ipfs")


def test_ipfs__a_node_that_dies__is_said(tmp_path: Path) -> None:
    with running(tmp_path, {}, "ipfs", "--repo", str(tmp_path / "repo"), "--json") as process:
        process.wait_for(lambda text: text == "}", "the end of its JSON", 30)
        ready = json.loads("\n".join(process.lines))
        os.kill(ready["pid"], signal.SIGKILL)
        assert ended(process) == exits.UNAVAILABLE
        line = process.wait_for(lambda text: text.startswith("error: "), "an error", 5)
        assert "ended by itself" in line


@pytest.mark.chain
def test_provider_run__until_a_signal__watches_and_stops_in_order(
    assay: Assay, env_of: EnvOf, market: Market, tmp_path: Path
) -> None:
    market.register(4, 100)
    env = env_of(4, "provider")
    given = ("provider", "run", "--dir", str(tmp_path / "agent"), "--threads", "1")
    with running(tmp_path, env, *given, "--min-price", "1000") as process:
        process.wait_for(lambda line: "watching" in line, "the word 'watching'", START_SECONDS)
        # A second one in the same directory is refused.
        assay(*given, env=env).fails(exits.USAGE, "--dir")
        assert ends(process, signal.SIGTERM) == 0
        process.wait_for(lambda line: line.startswith("stopped"), "that it stopped", 5)
    done = assay(*given, "--check", env=env)
    assert done.code == 0, done.err
    assert "everything is there" in done.out


@pytest.mark.chain
def test_provider_run__not_registered__is_one_line(
    assay: Assay, env_of: EnvOf, tmp_path: Path
) -> None:
    given = ("provider", "run", "--dir", str(tmp_path / "agent"))
    assay(*given, env=env_of(9)).fails(exits.USAGE, "assay provider register")


@pytest.mark.chain
def test_keeper__until_a_signal__watches_and_stops_in_order(
    assay: Assay, env_of: EnvOf, tmp_path: Path
) -> None:
    with running(tmp_path, env_of(KEEPER), "keeper") as process:
        process.wait_for(lambda line: "watching" in line, "the word 'watching'", START_SECONDS)
        assert ends(process, signal.SIGINT) == 0
        assert process.lines[-1] == "keeper: stopped"
    done = assay("keeper", "--check", env=env_of(KEEPER))
    assert done.code == 0
    assert "market 0x" in done.out
    assert re.search(r"gas at [0-9.]+ gwei", done.out)
    assert re.search(r"account 0x\w{40} with [0-9,.]+ ETH", done.out)


@pytest.mark.chain
def test_watchtower_check__an_account__has_money_with_its_units(
    assay: Assay, env_of: EnvOf, tmp_path: Path
) -> None:
    done = assay("watchtower", "--check", "--dir", tmp_path, env=env_of(CLIENT))
    assert done.code == 0, done.err
    assert re.search(r"account 0x\w{40} with [0-9,.]+ ADT and [0-9,.]+ ETH", done.out)


@pytest.mark.chain
def test_status_follow__an_interrupt__ends_with_130_and_one_word(
    assay: Assay, env_of: EnvOf, tmp_path: Path, model_file: Path, input_file: Path
) -> None:
    env = env_of(CLIENT)
    job = submit(assay, env, model_file, input_file)
    with running(tmp_path, env, "status", job, "--follow") as process:
        process.wait_for(lambda line: line.startswith("open: "), "the job's state", START_SECONDS)
        assert ends(process, signal.SIGINT) == exits.INTERRUPTED
        assert process.lines[-1] == "interrupted"
    assert assay("cancel", job, env=env).code == 0


@pytest.mark.chain
def test_devnet__until_an_interrupt__is_a_market_for_other_terminals(
    assay: Assay, tmp_path: Path
) -> None:
    given = ("--dir", str(tmp_path / "net"), "--providers", "0", "--port", "0")
    with running(tmp_path, {}, "devnet", *given) as process:
        process.wait_for(lambda line: "ready" in line, "the word 'ready'", START_SECONDS)
        begun = next(k for k, x in enumerate(process.lines) if "deploying the contracts" in x)
        assert "contracts deployed" in process.lines[begun + 1]
        lines = (tmp_path / "net" / "env").read_text().splitlines()
        env = dict(line.removeprefix("export ").split("=", 1) for line in lines)
        assert assay("wallet", "--json", env=env).json["token"] == 1000 * 10**18
        assert assay("ipfs", "status", "--json", env=env).code == 0
        children = psutil.Process(process.pid).children(recursive=True)
        assert ends(process, signal.SIGINT) == 0
        assert process.lines[-1] == "devnet: stopped"
        assert psutil.wait_procs(children, timeout=10)[1] == []
