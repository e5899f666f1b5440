"""The command line starts at once, and loads only what a verb needs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from assay.cli import VERBS
from tests.assay.conftest import Assay

HELP_CPU_SECONDS = 0.3

HELP = """
import resource, sys
from assay import cli
assert cli.main(["--help"]) == 0
used = resource.getrusage(resource.RUSAGE_SELF)
print(f"{used.ru_utime + used.ru_stime:.3f}", file=sys.stderr)
"""

CHAIN_VERBS = """
import json, sys
import assay.commands.jobs, assay.commands.keeper, assay.commands.provider
import assay.commands.providers, assay.commands.wallet, assay.commands.ipfs
import assay.commands.devnet, assay.commands.dispute, assay.descent, assay.session
import assay.commands.demand, client.demands, client.disputes, client.jobs
import keepers.timekeeper, protocol.chain.transactions
print(json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""

NOTHING = """
import json, sys
import assay.commands.jobs, assay.commands.keeper, assay.commands.provider
import assay.commands.run, assay.commands.compile, assay.commands.ipfs, assay.commands.wallet
import assay.commands.demand, assay.commands.dispute, assay.descent
print(json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_help__in_a_new_process__takes_little_time() -> None:
    best = min(float(_python(HELP).stderr) for _ in range(3))
    assert best < HELP_CPU_SECONDS, f"--help took {best} s of processor time"


def test_verbs_on_the_chain__imported_whole__load_no_torch() -> None:
    loaded = set(json.loads(_python(CHAIN_VERBS).stdout))
    assert "web3" in loaded
    assert not loaded & {"torch", "numba", "triton", "tokenizers", "safetensors", "brownie"}


def test_verbs__imported__load_nothing_heavy_before_they_are_used() -> None:
    loaded = set(json.loads(_python(NOTHING).stdout))
    assert not loaded & {"torch", "web3", "numpy", "rich", "ipfshttpclient", "apscheduler"}


@pytest.mark.parametrize("verb", VERBS)
def test_verb__help__says_what_it_does_with_an_example(assay: Assay, verb: str) -> None:
    done = assay(verb, "--help")
    assert done.code == 0
    assert f"Usage: assay {verb}" in done.out
    assert any(line.strip().startswith(f"assay {verb}") for line in done.out.splitlines()[1:])


@pytest.mark.parametrize(
    "verb",
    ("status", "demand", "dispute", "jobs", "providers", "wallet", "run", "compile", "fetch",
     "verify", "submit"),
)
def test_reading_verb__help__offers_json(assay: Assay, verb: str) -> None:
    assert "--json" in assay(verb, "--help").out


@pytest.mark.parametrize(
    "command",
    (("status",), ("jobs",), ("submit",), ("demand",), ("dispute",), ("wallet",),
     ("wallet", "deposit"),
     ("providers",), ("provider", "status"), ("keeper",), ("watchtower",), ("cancel",)),
    ids=" ".join,
)  # fmt: skip
def test_verb_with_money__help__says_the_units_of_json(
    assay: Assay, command: tuple[str, ...]
) -> None:
    words = " ".join(assay(*command, "--help").out.split())
    assert "smallest units (10^18 are one ADT or ETH)" in words
    assert "attempts from 1" in words


@pytest.mark.parametrize("command", (("submit",), ("provider", "run"), ("watchtower",)),
                         ids=" ".join)  # fmt: skip
def test_verb__help__shows_how_a_duration_is_written(
    assay: Assay, command: tuple[str, ...]
) -> None:
    text = assay(*command, "--help").out
    assert "30s|10m|2h" in text
    assert "SECONDS" not in text


def test_assay__no_such_verb__is_one_line(assay: Assay) -> None:
    assay("frobnicate").fails(2, "frobnicate", "assay --help")


def test_assay__a_missing_argument__is_one_line(assay: Assay) -> None:
    assay("status").fails(2, "JOB", "assay status --help")


def test_assay__a_reader_that_goes_away__is_no_error() -> None:
    command = f"set -o pipefail; {sys.executable} -m assay.cli compile --help | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_version__is_printed(assay: Assay) -> None:
    done = assay("--version")
    assert done.code == 0
    assert "0." in done.out
