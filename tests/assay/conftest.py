"""A command line in this process, as a user has it; and a market to use it on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay import cli
from client.compiled import Compiled, Port
from protocol.spec.examples import mlp
from protocol.spec.types import Array
from protocol.storage.process import NodeProcess
from scripts import evm, tools
from tests.chain.world import World, open_world
from tests.provider.conftest import Market

__all__ = ["Market"]


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def fails(self, code: int, *words: str) -> None:
        """It ended with this code, no output and exactly one line, which holds the words."""
        assert self.code == code, self
        assert self.out == "", self.out
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: "), lines
        for word in words:
            assert word in lines[0], lines[0]


Env = dict[str, str]
Assay = Callable[..., Done]
EnvOf = Callable[..., Env]


@pytest.fixture
def assay(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Assay:
    """``assay(verb, …, env={…})`` runs a command with the settings of ``env`` alone."""
    for name in [name for name in os.environ if name.startswith("ASSAY_")]:
        monkeypatch.delenv(name)

    def run(*arguments: object, env: dict[str, str] | None = None) -> Done:
        capsys.readouterr()
        with pytest.MonkeyPatch.context() as settings:
            for name, value in (env or {}).items():
                settings.setenv(name, value)
            code = cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return run


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A market with game and court and no storage; every test has a job of its own."""
    with evm.anvil() as node, open_world(node, game=True) as made:
        yield made


def settings_of(world: World, directory: Path, **more: str) -> Env:
    """Settings for a market that has no IPFS node: of somebody who looks, and ``more``."""
    deployment = directory / "deployment.json"
    deployment.write_text(world.text)
    return {
        "ASSAY_RPC_URL": world.node.url,
        "ASSAY_DEPLOYMENT": str(deployment),
        "ASSAY_CACHE": str(directory / "cache"),
        "ASSAY_POLL_SECONDS": "0.01",
        **more,
    }


@pytest.fixture(scope="session")
def small_model() -> tuple[Compiled, Array]:
    """A small network that the specification's own examples have, and its input."""
    example = mlp()
    program = example.program
    inputs = tuple(
        Port(f"in{k}", d.dtype.numpy.name, d.shape) for k, d in enumerate(program.inputs)
    )
    outputs = tuple(
        Port(f"out{k}", program.states[n].tensor.dtype.numpy.name, program.states[n].tensor.shape)
        for k, n in enumerate(program.outputs)
    )
    model = Compiled(program, list(example.constants), inputs, outputs, "i16", ())
    assert len(example.inputs) == 1
    return model, example.inputs[0]


@pytest.fixture(scope="session")
def model_file(
    small_model: tuple[Compiled, Array], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The small network in a file."""
    return small_model[0].save(tmp_path_factory.mktemp("model") / "small.assay")


@pytest.fixture(scope="session")
def input_file(
    small_model: tuple[Compiled, Array], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Its input in a file."""
    path = tmp_path_factory.mktemp("input") / "x.npy"
    np.save(path, small_model[1])
    return path


def small_minilm() -> Any:
    """MiniLM's architecture and vocabulary, one small layer."""
    import torch

    from client.models.minilm import Config, MiniLM

    torch.manual_seed(3)
    return MiniLM(Config(30522, 64, 2, width=32, layers=1, heads=4, inner=64, eps=1e-12)).eval()


@pytest.fixture(scope="session")
def small_text_model() -> Compiled:
    """A small model that reads two sentences at a time, of eight tokens."""
    from client.build import compile
    from client.models.minilm import Tokenizer

    return compile(small_minilm(), Tokenizer()([""] * 2, 8))


def rewrite(source: Path, target: Path, changes: dict[str, bytes]) -> None:
    """A copy of a model file with other contents."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, changes.get(name, old.read(name)))


@pytest.fixture
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """One market for all tests of the command line; each posts its own jobs."""
    directory = tmp_path_factory.mktemp("market")
    deployment = directory / "deployment.json"
    with (
        evm.anvil() as node,
        NodeProcess(directory / "ipfs-client") as client,
        NodeProcess(directory / "ipfs-provider") as provider,
    ):
        command = [sys.executable, "-m", "scripts.deploy", "--url", node.url]
        subprocess.run([*command, "--out", str(deployment)], check=True, cwd=tools.ROOT)
        api = {"client": client.api, "provider": provider.api}
        made = Market(node.url, deployment, directory, api)
        made.fund(1, 1000)
        yield made


@pytest.fixture
def env_of(market: Market, tmp_path: Path) -> EnvOf:
    """``env_of(account, api="client")``: the settings of one party of the market."""

    def settings(account: int, api: str = "client") -> Env:
        return {
            "ASSAY_RPC_URL": market.url,
            "ASSAY_DEPLOYMENT": str(market.deployment),
            "ASSAY_DEV_ACCOUNT": str(account),
            "ASSAY_IPFS_API": market.api[api],
            "ASSAY_CACHE": str(tmp_path / f"cache-{account}"),
            "ASSAY_POLL_SECONDS": "0.05",
            "ASSAY_RPC_ATTEMPTS": "2",
        }

    return settings
