"""The import check finds what it must, and only that."""

from __future__ import annotations

import pytest

from scripts import check_imports


def _rules(path: str, source: str) -> list[str]:
    return [finding.rule for finding in check_imports.check_source(path, source)]


@pytest.mark.parametrize(
    ("path", "source", "rule"),
    [
        ("protocol/spec/types.py", "import client", "order"),
        ("protocol/spec/types.py", "from protocol.chain import reads", "order"),
        ("protocol/chain/reads.py", "from protocol import storage", "order"),
        ("protocol/spec/trees.py", "from protocol import hashing", "order"),
        ("protocol/hashing/roots.py", "from protocol.storage import cid", "order"),
        ("protocol/storage/kubo.py", "from ..chain import reads", "order"),
        ("protocol/storage/__init__.py", "from ..chain import reads", "order"),
        ("client/submit.py", "from provider.engine import run", "order"),
        ("provider/agent.py", "import keepers.timekeeper", "order"),
        ("keepers/watchtower.py", "from provider.agent import Agent", "order"),
        ("keepers/watchtower.py", "from provider import agent", "order"),
        ("assay/cli.py", "from scripts import tools", "order"),
        ("scripts/demo.py", "from tests.builders import job", "order"),
        ("client/submit.py", "def f():\n    import assay.cli", "order"),
        ("client/submit.py", "import web3", "third-party"),
        ("client/submit.py", "from web3.types import Wei", "third-party"),
        ("scripts/deploy.py", "from web3 import Web3", "third-party"),
        ("client/submit.py", "import brownie", "third-party"),
        ("provider/agent.py", "import torch", "third-party"),
        ("assay/cli.py", "def f():\n    import torch", "third-party"),
        ("client/importers/fx.py", "import numba", "third-party"),
        ("protocol/storage/hashing.py", "import llvmlite", "third-party"),
        ("provider/engine/gpu.py", "import brownie.network", "third-party"),
        ("client/model.py", "import transformers", "third-party"),
        ("protocol/spec/trees.py", "import os", "pure"),
        ("protocol/spec/trees.py", "import time", "pure"),
        ("protocol/spec/trees.py", "from pathlib import Path", "pure"),
        ("protocol/spec/trees.py", "import urllib.request", "pure"),
        ("protocol/spec/trees.py", "import random", "pure"),
        ("protocol/spec/trees.py", "text = open('x').read()", "pure"),
        ("protocol/spec/vectors/write.py", "import socket", "pure"),
        ("provider/agent.py", "import os\nkey = os.environ['KEY']", "environment"),
        ("provider/agent.py", "import os\nkey = os.getenv('KEY')", "environment"),
        ("provider/agent.py", "from os import environ", "environment"),
        ("tests/e2e/test_demo.py", "import os\nos.environ['A'] = 'b'", "environment"),
    ],
)
def test_check_source__forbidden_import__is_one_finding(
    path: str, source: str, rule: str
) -> None:
    assert _rules(path, source) == [rule]


def test_check_source__web3_in_the_specification__breaks_two_rules() -> None:
    assert _rules("protocol/spec/job.py", "import web3") == ["pure", "third-party"]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("protocol/spec/trees.py", "import numpy as np\nfrom Crypto.Hash import keccak"),
        ("protocol/spec/trees.py", "from .types import Value\nfrom protocol.spec import errors"),
        ("protocol/spec/vectors.py", "import json\nfrom pathlib import Path\nopen('x')"),
        ("protocol/spec/vectors/write.py", "from pathlib import Path\nfrom ..job import Job"),
        ("protocol/hashing/kernels.py", "from llvmlite import binding, ir"),
        ("protocol/storage/hashing.py", "from protocol.hashing import Hasher"),
        ("protocol/chain/reads.py", "from web3 import Web3\nfrom ..spec import trees"),
        ("protocol/chain/config.py", "import os\nurl = os.environ['URL']"),
        ("protocol/__init__.py", "from protocol.spec import errors"),
        ("client/importers/fx.py", "import torch\nimport protocol.storage"),
        ("provider/engine/torch_backend.py", "import torch\nimport numba"),
        ("keepers/watchtower.py", "from provider.engine import run"),
        ("keepers/watchtower.py", "from provider import engine"),
        ("assay/cli.py", "def f():\n    from client import compile\n    import provider.engine"),
        ("scripts/deploy.py", "import brownie\nfrom assay import cli"),
        ("tests/conftest.py", "import os\nimport scripts.demo\nos.environ.get('A')"),
        ("tests/unit/test_x.py", "import web3, torch, hypothesis\nfrom tests import builders"),
        ("client/submit.py", "import os.path\nos.path.join('environ')"),
    ],
)
def test_check_source__allowed_import__is_no_finding(path: str, source: str) -> None:
    assert _rules(path, source) == []


def test_check_source__finding__names_file_line_and_remedy() -> None:
    (finding,) = check_imports.check_source("client/submit.py", "\n\nimport transformers\n")
    assert str(finding).startswith("client/submit.py:3: third-party: client.submit imports ")
    assert "pyproject.toml" in finding.message


def test_room_of__longest_prefix__wins() -> None:
    assert check_imports.room_of("protocol.spec.trees") == "protocol.spec"
    assert check_imports.room_of("protocol.specification") == "protocol"
    assert check_imports.room_of("clients") is None


def test_third_party__every_room__exists_in_the_order() -> None:
    named = {room for rooms in check_imports.THIRD_PARTY.values() for room in rooms}
    assert {room for room in named if check_imports.room_of(room) is None} == set()
