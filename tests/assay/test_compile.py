"""``assay compile``."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from client.compiled import Compiled
from tests.assay.conftest import Assay

FACTORIES = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(7)
        self.inner = torch.nn.Linear(8, 4)

    def forward(self, x):
        return torch.relu(self.inner(x))

class Odd(torch.nn.Module):
    def forward(self, x):
        return torch.linalg.svd(x)[1]

class Branching(torch.nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x

def alone(): return Net().eval()
def training(): return Net()
def whole(): return Net().eval(), (torch.zeros(2, 8),)
def odd(): return Odd().eval(), (torch.zeros(3, 3),)
def three(): return 1, 2, 3
def needy(width): return Net().eval()
def number(): return 3
def helper(): return torch.nn.Linear(8, -4)
def failing(): return helper(), (torch.zeros(2, 8),)
def leaving(): raise SystemExit(3)
def branching(): return Branching().eval(), (torch.zeros(3),)
"""


@pytest.fixture
def factories(somewhere: Path) -> Path:
    (somewhere / "some_nets.py").write_text(FACTORIES)
    return somewhere


@pytest.fixture
def no_leftover(monkeypatch: pytest.MonkeyPatch, factories: Path) -> None:
    """Modules of the working directory are forgotten after the test."""
    import sys

    monkeypatch.setattr(sys, "path", [str(factories), *sys.path])
    monkeypatch.delitem(sys.modules, "some_nets", raising=False)


def test_compile__a_factory_with_its_example__gives_a_model_and_its_figures(
    assay: Assay, factories: Path, no_leftover: None
) -> None:
    done = assay("compile", "some_nets:whole", "-o", "net.assay", "--json")
    assert done.code == 0, done.err
    model = Compiled.load(factories / "net.assay")
    assert done.json["root"] == "0x" + model.root.hex()
    assert done.json["constantsRoot"] == "0x" + model.constants_root.hex()
    assert done.json["operations"] == sum(len(p.instances) for p in model.program.phases)
    assert done.json["templates"] == len(model.program.templates)
    assert done.json["programBytes"] == len(model.bytes)
    assert done.json["inputs"] == [{"name": "x", "dtype": "float32", "shape": [2, 8]}]
    assert 0 < done.json["worstGas"] <= done.json["gasLimit"]
    assert done.json["multiplyAdds"] == 2 * 8 * 4


def test_compile__shapes_on_the_command_line__stand_for_examples(
    assay: Assay, factories: Path, no_leftover: None
) -> None:
    done = assay("compile", "some_nets:alone", "--example", "f32[5, 8]", "--precision", "i8")
    assert done.code == 0, done.err
    assert "float32[5, 4]" in done.out
    model = Compiled.load(factories / "some_nets.assay")
    assert (model.precision, model.inputs[0].shape) == ("i8", (5, 8))


def test_compile__a_module_in_training_mode__is_compiled_for_evaluation_and_said(
    assay: Assay, factories: Path, no_leftover: None
) -> None:
    done = assay("compile", "some_nets:training", "--example", "f32[2,8]", "-o", "a.assay")
    assert done.code == 0
    assert "training mode" in done.err
    assay("compile", "some_nets:alone", "--example", "f32[2,8]", "-o", "b.assay")
    assert Path("a.assay").read_bytes() == Path("b.assay").read_bytes()


def test_compile__a_pt2_file__gives_the_same_root_as_its_module(
    assay: Assay, factories: Path, no_leftover: None
) -> None:
    module, example = importlib.import_module("some_nets").whole()
    torch.export.save(torch.export.export(module, example), factories / "net.pt2")
    by_file = assay("compile", "net.pt2", "--json").json
    by_module = assay("compile", "some_nets:whole", "-o", "other.assay", "--json").json
    assert by_file["file"] == "net.assay"
    assert by_file["root"] == by_module["root"]
    assert by_file["constantsRoot"] == by_module["constantsRoot"]


def test_compile__an_operator_that_is_not_supported__is_one_line_with_its_name(
    assay: Assay, factories: Path, no_leftover: None
) -> None:
    assay("compile", "some_nets:odd").fails(2, "svd")
    assert not list(factories.glob("*.assay*"))


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("nothing",), ("minilm", "'nothing'")),
        (("missing.pt2",), ("missing.pt2",)),
        (("broken.pt2",), ("broken.pt2", "truncated")),
        (("no_such_module:make",), ("no_such_module",)),
        (("some_nets:absent",), ("absent",)),
        (("some_nets:three",), ("3 things",)),
        (("some_nets:alone",), ("--example f32",)),
        (("some_nets:needy",), ("without arguments", "'width'")),
        (("some_nets:number",), ("got int", "nn.Module")),
        (("some_nets:branching",), ("torch.where",)),
        (("some_nets:alone", "--example", "f99[2]"), ("f99", "f32")),
        (("some_nets:alone", "--example", "huh"), ("huh",)),
        (("some_nets:alone", "--example", "none.npy"), ("none.npy", "not exist")),
        (("some_nets:alone", "--example", "broken.pt2.npy"), ("truncated",)),
        (("some_nets:whole", "-o", "no/such/folder/x.assay"), ("no/such/folder",)),
        (("some_nets:whole", "--precision", "i3"), ("i3", "i16")),
    ],
    ids=lambda value: "-".join(value),
)
def test_compile__bad_input__is_one_line_and_leaves_no_file(
    assay: Assay,
    factories: Path,
    no_leftover: None,
    arguments: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    for name in ("broken.pt2", "broken.pt2.npy"):
        (factories / name).write_bytes(b"PK\x03\x04 cut off")
    assay("compile", *arguments).fails(2, *words)
    assert not list(factories.rglob("*.assay*"))


LINE = {text: 1 + n for n, text in enumerate(FACTORIES.splitlines())}


def test_compile__a_factory_that_raises__is_one_line_with_the_place_in_its_file(
    assay: Assay, factories: Path, no_leftover: None
) -> None:
    line = LINE["def helper(): return torch.nn.Linear(8, -4)"]
    place = f"{factories / 'some_nets.py'}, line {line}, in helper"
    assay("compile", "some_nets:failing").fails(2, "some_nets:failing", "RuntimeError", place)
    assay("compile", "some_nets:leaving").fails(2, "some_nets:leaving", "SystemExit", "in leaving")


def test_compile__a_module_that_cannot_be_imported__is_one_line_with_its_place(
    assay: Assay, factories: Path, no_leftover: None
) -> None:
    (factories / "broken_nets.py").write_text("import torch\n\nweights = torch.zeros(2)[9]\n")
    assay("compile", "broken_nets:make").fails(
        2, "broken_nets", "IndexError", "broken_nets.py, line 3"
    )
    (factories / "odd_nets.py").write_text("import torch\n\ndef make(:\n")
    assay("compile", "odd_nets:make").fails(2, "odd_nets", "SyntaxError", "odd_nets.py, line 3")


def test_compile__a_file_of_torch_save__is_one_line_without_the_log_of_torch(
    assay: Assay, factories: Path, no_leftover: None, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save({"weight": torch.zeros(2)}, factories / "weights.pt")
    assay("compile", "weights.pt").fails(2, "weights.pt", "not by torch.save")
    assert not caplog.records
