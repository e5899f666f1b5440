"""The pinned tools do together what the project asks of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from protocol.chain.rpc import Rpc
from scripts import brownie_project, config, evm, tools

SAMPLE = Path(__file__).parent / "sample"
FOUNDRY_TOML = tools.ROOT / "foundry.toml"
BROWNIE_YAML = tools.ROOT / "brownie-config.yaml"


def _solc(
    *arguments: str, text: str = "", folder: Path = tools.ROOT
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tools.solc(), *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        check=False,
    )


def _importing(unit: str) -> str:
    source = f'// SPDX-License-Identifier: MIT\npragma solidity ^0.8.0;\nimport "{unit}";\n'
    return json.dumps(
        {
            "language": "Solidity",
            "sources": {"main.sol": {"content": source}},
            "settings": {"outputSelection": {"*": {"*": ["abi"]}}},
        }
    )


def _errors(answer: subprocess.CompletedProcess[str]) -> list[str]:
    assert answer.returncode == 0, answer.stderr
    return [e["message"] for e in json.loads(answer.stdout).get("errors", [])]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A folder with ``base/main`` empty, ``lib/Lib.sol`` and ``secret/Secret.sol``."""
    for name in ("base", "lib", "secret"):
        (tmp_path / name).mkdir()
    text = "// SPDX-License-Identifier: MIT\npragma solidity ^0.8.0;\nlibrary L {}\n"
    (tmp_path / "lib" / "Lib.sol").write_text(text)
    (tmp_path / "secret" / "Secret.sol").write_text(text)
    return tmp_path


@pytest.fixture(scope="module")
def sample_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project like this one in a folder of its own, with the settings of the real one."""
    root = tmp_path_factory.mktemp("sample") / "project"
    shutil.copytree(SAMPLE, root)
    for name in (FOUNDRY_TOML.name, BROWNIE_YAML.name):
        text = (tools.ROOT / name).read_text()
        (root / name).write_text(text.replace("scripts/toolchain", str(tools.TOOLCHAIN)))
    return root


def test_anvil__more_blocks_than_it_keeps_states__leaves_nothing_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with evm.anvil() as node, closing(Rpc(node.url)) as rpc:
        # By default it writes states to disk from the 500th block on.
        rpc.call("anvil_mine", hex(600))
        assert int(rpc.call("eth_blockNumber"), 16) == 600
        assert int(rpc.call("eth_getBalance", "0x" + "00" * 20, hex(601 - evm.STATES)), 16) == 0
        assert not [file for file in tmp_path.rglob("*") if file.is_file()]
    assert not [file for file in tmp_path.rglob("*") if file.parent != tmp_path]


def test_solc__version__is_the_pinned_one() -> None:
    answer = _solc("--version")
    assert answer.returncode == 0
    assert f"Version: {tools.solc_version()}+commit." in answer.stdout


def test_solc__include_path__import_is_read(library: Path) -> None:
    arguments = ("--standard-json", "--base-path", "base", "--include-path", "lib")
    assert _errors(_solc(*arguments, text=_importing("Lib.sol"), folder=library)) == []


def test_solc__outside_of_base__import_is_refused(library: Path) -> None:
    secret = str(library / "secret" / "Secret.sol")
    arguments = ("--standard-json", "--base-path", "base")
    errors = _errors(_solc(*arguments, text=_importing(secret), folder=library))
    assert len(errors) == 1
    assert "outside of allowed directories" in errors[0]


def test_solc__allow_paths__import_is_read(library: Path) -> None:
    secret = str(library / "secret" / "Secret.sol")
    arguments = ("--standard-json", "--base-path=base", "--allow-paths", f"lib,{library}/secret")
    assert _errors(_solc(*arguments, text=_importing(secret), folder=library)) == []


def test_solc__missing_import__names_the_file(library: Path) -> None:
    errors = _errors(_solc("--standard-json", text=_importing("Gone.sol"), folder=library))
    assert len(errors) == 1
    assert "File not found: Gone.sol" in errors[0]


def test_solc__broken_json__is_the_compilers_error(library: Path) -> None:
    errors = _errors(_solc("--standard-json", text="{", folder=library))
    assert len(errors) == 1


@pytest.mark.parametrize("arguments", [(), ("--bin",), ("--standard-json", "--base-path")])
def test_solc__unusable_arguments__fails_with_a_line(arguments: tuple[str, ...]) -> None:
    answer = _solc(*arguments)
    assert answer.returncode == 1
    assert answer.stderr.startswith("Error: ")
    assert answer.stderr.count("\n") == 1


def test_settings__forge_and_brownie__agree() -> None:
    forge = tomllib.loads(FOUNDRY_TOML.read_text())["profile"]["default"]
    brownie = yaml.safe_load(BROWNIE_YAML.read_text())["compiler"]
    solc = brownie["solc"]
    assert forge["solc"] == str(tools.solc().relative_to(tools.ROOT))
    assert solc["version"] == tools.solc_version()
    assert forge["evm_version"] == brownie["evm_version"] == "shanghai"
    assert forge["optimizer"] is solc["optimizer"]["enabled"] is True
    assert forge["optimizer_runs"] == solc["optimizer"]["runs"]
    assert forge["via_ir"] is solc.get("viaIR", False)
    remappings = [line.replace("/=", "=", 1).rstrip("/") for line in forge["remappings"]]
    assert remappings == solc["remappings"]


def test_lock_file__pins__name_no_registry() -> None:
    lock = json.loads((tools.TOOLCHAIN / "package-lock.json").read_text())
    assert all("resolved" not in package for package in lock["packages"].values())
    assert all(
        package.get("integrity") or package.get("inBundle")
        for path, package in lock["packages"].items()
        if path
    )


def test_forge__sample__tests_pass(sample_project: Path) -> None:
    answer = subprocess.run(
        [tools.forge(), "test", "--root", sample_project, "--contracts", "contracts", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=config.child_environment({"FOUNDRY_TEST": "test", "FOUNDRY_FUZZ_RUNS": "16"}),
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (suite,) = json.loads(answer.stdout).values()
    results = suite["test_results"]
    assert {name.split("(")[0]: result["status"] for name, result in results.items()} == {
        "test_pay__zero__reverts": "Success",
        "testFuzz_pay__allowed__moves": "Success",
    }


@pytest.mark.chain
@pytest.mark.parametrize("start", [evm.anvil, evm.ganache], ids=["anvil", "ganache"])
def test_brownie__sample__deploys_pays_and_reverts(
    sample_project: Path, start: Callable[[], AbstractContextManager[evm.EvmNode]]
) -> None:
    project = brownie_project.load_project(sample_project, "SampleProject")
    with start() as node, brownie_project.connected(node) as brownie:
        owner, friend = brownie.accounts[0], brownie.accounts[1]
        sample: Any = owner.deploy(project.Sample, 1000, silent=True)
        quiet = {"from": owner, "silent": True}
        sample.approve(sample, 5, quiet)
        receipt = sample.pay(sample, friend, 5, quiet)
        assert receipt.events["Transfer"]["value"] == 5
        assert sample.balanceOf(friend) == 5
        with pytest.raises(brownie.exceptions.VirtualMachineError, match="Zero"):
            sample.pay(sample, friend, 0, quiet)
        assert brownie.chain.id == evm.CHAIN_ID


@pytest.mark.chain
def test_connected__twice__is_refused(anvil_node: evm.EvmNode) -> None:
    with brownie_project.connected(anvil_node):
        with pytest.raises(brownie_project.BrownieFailed, match="one connection a process"):
            with brownie_project.connected(anvil_node):
                pytest.fail("a second connection was opened")


@pytest.mark.chain
def test_evm__two_nodes_at_once__have_ports_of_their_own_and_end() -> None:
    with evm.anvil() as first, evm.anvil() as second:
        assert first.url != second.url
        assert first.process.poll() is None
    assert first.process.returncode is not None
    assert second.process.returncode is not None


@pytest.mark.chain
def test_evm__taken_port__fails_with_the_nodes_words(anvil_node: evm.EvmNode) -> None:
    port = int(anvil_node.url.rsplit(":", 1)[1])
    with pytest.raises(evm.NodeFailed, match="in use"):
        with evm.anvil(port=port):
            pytest.fail("two nodes listen on one port")


def test_tools__not_installed__says_what_to_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tools, "MODULES", tmp_path)
    for find in (tools.anvil, tools.forge, tools.ganache, tools.solc, tools.openzeppelin):
        with pytest.raises(tools.ToolMissing, match="make setup"):
            find()
