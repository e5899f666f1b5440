"""What goes in and out of ``client.compile``: sources, errors, determinism, files."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import client
from client.compiled import Compiled
from client.compiler.errors import BadModelFile, CompileError, UnsupportedOperator
from client.models.minilm import Config, MiniLM
from protocol.spec import interpreter
from protocol.spec.errors import TensorMismatch
from tests.client.running import Fn, run

# torch.export warns about itself where the tests call it.
pytestmark = pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning")

X = torch.randn(3, 8)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 16)
        self.second = nn.Linear(16, 4)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        hidden = F.gelu(self.first(x))
        out: Tensor = self.second(hidden).softmax(-1)
        return out.masked_fill(~keep[:, None], 0.0)


KEEP = torch.tensor([True, False, True])


@pytest.fixture(scope="module")
def module() -> Model:
    torch.manual_seed(5)
    return Model().eval()


@pytest.fixture(scope="module")
def compiled(module: Model) -> Compiled:
    return client.compile(module, (X, KEEP))


# --- sources ------------------------------------------------------------------------------------


def test_compile__exported_program_and_file__same_roots_as_the_module(
    module: Model, compiled: Compiled, tmp_path: Path
) -> None:
    exported = torch.export.export(module, (X, KEEP))
    torch.export.save(exported, tmp_path / "model.pt2")
    for source in (exported, exported.run_decompositions({}), tmp_path / "model.pt2"):
        again = client.compile(source)
        assert again.root == compiled.root
        assert again.constants_root == compiled.constants_root


def test_compile__fully_decomposed_program__runs_and_agrees(
    module: Model, compiled: Compiled
) -> None:
    exported = torch.export.export(module, (X, KEEP)).run_decompositions()
    other = client.compile(exported)
    np.testing.assert_allclose(
        run(other, X, KEEP)[0].astype(np.float64),
        run(compiled, X, KEEP)[0].astype(np.float64),
        atol=1e-6,
    )


def test_compile__names_and_sources__in_the_side_file(compiled: Compiled) -> None:
    assert [(p.name, p.dtype, p.shape) for p in compiled.inputs] == [
        ("x", "float32", (3, 8)),
        ("keep", "bool", (3,)),
    ]
    assert [(p.dtype, p.shape) for p in compiled.outputs] == [("float32", (3, 4))]
    assert len(compiled.sources) == len(compiled.program.phases[0].instances)
    assert any("self.second(hidden).softmax(-1)" in line for line in compiled.sources)
    assert json.loads(json.dumps(compiled.side))["program"] == compiled.root.hex()


# --- determinism --------------------------------------------------------------------------------

SCRIPT = """
import sys, torch, client
from client.models.minilm import Config, MiniLM
torch.set_num_threads(int(sys.argv[1]))
torch.manual_seed(6)
model = MiniLM(Config(30, 12, 2, 8, 1, 2, 16, 1e-12)).eval()
ones = torch.ones(2, 5, dtype=torch.long)
compiled = client.compile(model, (ones, ones))
print(compiled.root.hex(), compiled.constants_root.hex())
"""


def test_compile__other_process_hash_seed_and_threads__same_roots() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, "1"],
        env={"PYTHONHASHSEED": "12345", "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    torch.manual_seed(6)
    model = MiniLM(Config(30, 12, 2, 8, 1, 2, 16, 1e-12)).eval()
    ones = torch.ones(2, 5, dtype=torch.long)
    for _ in range(2):
        here = client.compile(model, (ones, ones))
        assert done.stdout.split() == [here.root.hex(), here.constants_root.hex()]


def test_compile__other_weights__same_program_other_constants(compiled: Compiled) -> None:
    other = client.compile(Model().eval(), (X, KEEP))
    assert other.root == compiled.root
    assert other.constants_root != compiled.constants_root


# --- refusals -----------------------------------------------------------------------------------


def _refusal(function: Any, *args: Tensor) -> str:
    with pytest.raises(CompileError) as caught:
        client.compile(Fn(function).eval(), args)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_compile__unsupported_operator__names_it_its_place_and_what_is_supported() -> None:
    class Unusual(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = torch.linalg.qr(x)[0] + 1
            return out

    with pytest.raises(UnsupportedOperator) as caught:
        client.compile(Unusual().eval(), (X,))
    message = str(caught.value)
    assert "\n" not in message
    assert "aten.linalg_qr.default" in message
    assert "test_compile.py" in message
    assert "torch.linalg.qr(x)" in message
    assert "supported: " in message
    assert "softmax" in message


def test_compile__dynamic_shape__refused(module: Model) -> None:
    batch = torch.export.Dim("batch", min=2, max=9)
    exported = torch.export.export(
        module, (X, KEEP), dynamic_shapes={"x": {0: batch}, "keep": {0: batch}}
    )
    with pytest.raises(CompileError, match="dynamic shape"):
        client.compile(exported)


@pytest.mark.parametrize(
    "function,tensor,words",
    [
        (lambda x: x + 1, torch.ones(2, dtype=torch.float64), "call .float()"),
        (lambda x: x + 1, torch.ones(2, dtype=torch.bfloat16), "call .float()"),
        (lambda x: x.abs(), torch.ones(2, dtype=torch.complex64), "complex"),
        (lambda x: x.double().float(), torch.ones(2), "float64"),
        (lambda x: x + 1, torch.ones(2, dtype=torch.uint8), "uint8"),
        (lambda x: x[:0], torch.ones(2), "no elements"),
        (lambda x: x[x > 0], torch.ones(2), "depend"),
        (lambda x: x.add_(1), torch.ones(2), "in place"),
        (lambda x: None, torch.ones(2), "want a tensor"),
    ],
)
def test_compile__tensors_the_machine_has_not__one_clear_line(
    function: Any, tensor: Tensor, words: str
) -> None:
    assert words in _refusal(function, tensor)


def test_compile__module_in_training_mode__refused() -> None:
    with pytest.raises(CompileError, match=r"call \.eval\(\)"):
        client.compile(Model().train(), (X, KEEP))


def test_compile__no_example_or_unknown_precision__refused(module: Model) -> None:
    with pytest.raises(CompileError, match="example"):
        client.compile(module)
    with pytest.raises(CompileError, match="want one of i16"):
        client.compile(module, (X, KEEP), precision="fp8")


def test_compile__example_of_wrong_shape__one_clear_line(module: Model) -> None:
    with pytest.raises(CompileError, match="torch.export cannot trace"):
        client.compile(module, (torch.ones(3, 9), KEEP))


def test_compile__missing_or_broken_pt2__one_clear_line(module: Model, tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="is no file"):
        client.compile(tmp_path / "none.pt2")
    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(module, (X, KEEP)), path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CompileError, match="truncated"):
        client.compile(path)
    with zipfile.ZipFile(path, "w") as box:
        box.writestr("hello.txt", "hello")
    with pytest.raises(CompileError, match="cannot be read"):
        client.compile(path)


def test_compile__error_in_the_module__one_clear_line() -> None:
    message = _refusal(lambda x: x.no_such_method(), X)
    assert "no_such_method" in message


def test_compile__error_in_the_module__names_its_line_and_nothing_else_is_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def mismatched(x: Tensor) -> Tensor:
        wider = torch.zeros(4, 9)
        return x + wider  # here

    line = next(n for n, text in enumerate(inspect.getsourcelines(mismatched)[0]) if "here" in text)
    at = mismatched.__code__.co_firstlineno + line
    message = _refusal(mismatched, X)
    assert message.startswith(f'File "{__file__}", line {at}, in mismatched: return x + wider')
    assert "torch.export cannot trace the module: " in message
    assert capfd.readouterr().err == ""
    with pytest.raises(CompileError, match="^torch.export cannot trace the module: "):
        client.compile(torch.nn.Linear(9, 2).eval(), (X,))
    # What Python's own library raises is no place of the module.
    with pytest.raises(CompileError, match="^torch.export cannot trace the module: .*argument"):
        client.compile(Model().eval(), (X,))


def test_compile__unused_input__kept_in_place() -> None:
    compiled = client.compile(Fn(lambda x, y: y * 2).eval(), (X, KEEP.float()))
    assert [p.shape for p in compiled.inputs] == [(3, 8), (3,)]
    assert run(compiled, X, KEEP.float())[0].tolist() == [2.0, 0.0, 2.0]


# --- inputs and files -----------------------------------------------------------------------------


def test_bind__wrong_inputs__got_and_wanted(compiled: Compiled) -> None:
    with pytest.raises(TensorMismatch, match="got 1 inputs, the model wants 2: x, keep"):
        compiled.bind(X)
    with pytest.raises(TensorMismatch, match="input x is float64"):
        compiled.bind(X.double(), KEEP)
    with pytest.raises(TensorMismatch, match=r"input keep is bool \(2,\)"):
        compiled.bind(X, KEEP[:2])


def test_save_load__round_trip__same_model_same_bytes(compiled: Compiled, tmp_path: Path) -> None:
    first, second = (compiled.save(tmp_path / f"{n}.assay") for n in "ab")
    assert first.read_bytes() == second.read_bytes()
    again = Compiled.load(first)
    assert (again.root, again.constants_root) == (compiled.root, compiled.constants_root)
    assert (again.inputs, again.outputs) == (compiled.inputs, compiled.outputs)
    assert (again.sources, again.precision) == (compiled.sources, "i16")
    assert run(again, X, KEEP)[0].tobytes() == run(compiled, X, KEEP)[0].tobytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.assay", "b.assay"]


def test_load__missing_truncated_or_foreign_file__one_clear_line(
    compiled: Compiled, tmp_path: Path
) -> None:
    with pytest.raises(BadModelFile, match="does not exist"):
        Compiled.load(tmp_path / "none.assay")
    path = compiled.save(tmp_path / "model.assay")
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(BadModelFile, match="truncated or no compiled model"):
            Compiled.load(path)
    with zipfile.ZipFile(path, "w") as box:
        box.writestr("hello.txt", "hello")
    with pytest.raises(BadModelFile, match=r"no program\.bin"):
        Compiled.load(path)


def _rewritten(compiled: Compiled, path: Path, name: str, data: bytes | None) -> Path:
    """A saved model with one member replaced or left out."""
    with zipfile.ZipFile(compiled.save(path)) as box:
        members = {n: box.read(n) for n in box.namelist()}
    members.pop(name)
    with zipfile.ZipFile(path, "w") as box:
        for n, content in {**members, **({} if data is None else {name: data})}.items():
            box.writestr(n, content)
    return path


def test_load__any_altered_byte__refused(compiled: Compiled, tmp_path: Path) -> None:
    path = compiled.save(tmp_path / "model.assay")
    whole = bytearray(path.read_bytes())
    at = whole.index(compiled.bytes[:64])
    for offset in (at + 100, at + len(compiled.bytes) - 10, at + len(compiled.bytes) + 200):
        altered = bytearray(whole)
        altered[offset] ^= 1
        path.write_bytes(altered)
        with pytest.raises(BadModelFile):
            Compiled.load(path)


def test_load__altered_members__named(compiled: Compiled, tmp_path: Path) -> None:
    path = tmp_path / "model.assay"
    weights = bytearray(np.ascontiguousarray(compiled.constants[0]).tobytes())
    weights[3] ^= 1
    other = client.compile(Fn(lambda x: x + 1).eval(), (X,))
    side = dict(compiled.side)
    cases: list[tuple[str, bytes | None, str]] = [
        ("constants/0000.bin", bytes(weights), "constants/0000.bin was altered"),
        ("constants/0000.bin", bytes(weights[:-2]), "bytes, the program wants"),
        ("constants/0000.bin", None, "has no constants/0000.bin"),
        ("program.bin", other.bytes, "program.bin was altered"),
        ("program.bin", compiled.bytes[:-5], "program.bin: byte"),
        ("model.json", b"{", "no JSON"),
        ("model.json", b"[]", "not of format"),
        ("model.json", json.dumps({**side, "constants": []}).encode(), "records 0 constants"),
        ("model.json", json.dumps({**side, "inputs": [3]}).encode(), "malformed"),
        ("model.json", json.dumps({**side, "sources": None}).encode(), "no list named 'sources'"),
    ]
    for name, data, words in cases:
        with pytest.raises(BadModelFile, match=words.replace("(", r"\(")):
            Compiled.load(_rewritten(compiled, path, name, data))


def test_compile__one_tensor_passed_twice__stays_two_inputs() -> None:
    class Minus(torch.nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x * 2.0 - y

    same = torch.ones(3)
    made = client.compile(Minus().eval(), (same, same))
    x, y = np.array([1, 2, 3], np.float32), np.array([5, 7, 11], np.float32)
    (got,) = interpreter.run(made.program, made.constants, made.bind(x, y))
    assert got.tobytes() == (x * 2 - y).tobytes()
