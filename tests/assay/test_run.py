"""``assay run``, and what it says of bad files and inputs."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.commands.results import cosines
from assay.errors import BadInput
from assay.tensors import encode_sentences
from client.compiled import PROGRAM, SIDE, Compiled
from client.models import minilm
from client.models.minilm import Config, MiniLM, Tokenizer
from client.padding import Padding, may_pad, padding_of
from protocol.spec import interpreter
from protocol.spec.encoding import encode
from protocol.spec.types import Array
from tests.assay.conftest import Assay, rewrite, small_minilm

Small = tuple[Compiled, Array]


def _wanted(small: Small) -> Array:
    model, x = small
    return interpreter.run(model.program, model.constants, [x])[0]


@pytest.mark.parametrize("backend", ("auto", "torch", "interpreter"))
def test_run__any_backend__writes_the_bits_of_the_interpreter(
    assay: Assay, somewhere: Path, model_file: Path, input_file: Path, small_model: Small,
    backend: str,
) -> None:  # fmt: skip
    done = assay("run", model_file, "--input", input_file, "--backend", backend, "-o", "out")
    assert done.code == 0, done.err
    assert np.load("out/out0.npy").tobytes() == _wanted(small_model).tobytes()


@pytest.mark.parametrize("target", ("o.npz", "o.npy", "there/o.npz"))
def test_run__a_file_for_outputs__is_written_whole(
    assay: Assay, somewhere: Path, model_file: Path, input_file: Path, small_model: Small,
    target: str,
) -> None:  # fmt: skip
    Path(target).parent.mkdir(exist_ok=True)
    done = assay("run", "--local", model_file, "--input", f"in0={input_file}", "-o", target)
    assert done.code == 0, done.err
    loaded = np.load(target)
    got = loaded["out0"] if target.endswith("npz") else loaded
    assert got.tobytes() == _wanted(small_model).tobytes()
    assert [p.name for p in Path(target).parent.iterdir()] == [Path(target).name]


@pytest.mark.parametrize("target", ("no/such/o.npz", "no/o.npy", "no/such/folder"))
def test_run__a_target_in_no_folder__is_refused_and_makes_none(
    assay: Assay, somewhere: Path, model_file: Path, input_file: Path, target: str
) -> None:
    done = assay("run", model_file, "--input", input_file, "-o", target)
    done.fails(2, f"{Path(target).parent} is no folder")
    assert not list(somewhere.iterdir())


def test_run__a_folder_in_the_place_of_a_file__is_one_line(
    assay: Assay, somewhere: Path, model_file: Path, input_file: Path
) -> None:
    Path("o.npz").mkdir()
    assay("run", model_file, "--input", input_file, "-o", "o.npz").fails(2, "o.npz is a folder")


def test_run__json__has_time_memory_and_outputs(
    assay: Assay, model_file: Path, input_file: Path, small_model: Small
) -> None:
    found = assay("run", model_file, "--input", input_file, "--json", "--threads", "1").json
    assert found["root"] == "0x" + small_model[0].root.hex()
    assert found["outputs"] == [{"name": "out0", "dtype": "float32", "shape": [3, 5]}]
    assert found["seconds"] >= 0
    assert 0 < found["memory"] < found["processMemory"]


def test_run__an_npz__gives_inputs_by_name(
    assay: Assay, somewhere: Path, model_file: Path, small_model: Small
) -> None:
    np.savez("all.npz", in0=small_model[1])
    assert assay("run", model_file, "--input", "all.npz").code == 0


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array, words",
    [
        (np.zeros((3, 70)), ("float64", "float32", "in0")),
        (np.zeros((3, 71), np.float32), ("(3, 71)", "(3, 70)")),
        (np.zeros((3, 70), np.int32), ("int32",)),
        (np.zeros((), np.float32), ("()",)),
    ],
    ids=("dtype", "shape", "integers", "scalar"),
)
def test_run__input_of_wrong_dtype_or_shape__is_one_line(
    assay: Assay, somewhere: Path, model_file: Path, array: Array, words: tuple[str, ...]
) -> None:
    np.save("x.npy", array)
    assay("run", model_file, "--input", "x.npy", "-o", "out").fails(2, *words)
    assert not Path("out").exists()


def test_run__a_header_that_promises_terabytes__is_refused_without_reading_them(
    assay: Assay, somewhere: Path, model_file: Path
) -> None:
    header = str({"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}).encode()
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    size = len(header).to_bytes(2, "little")
    Path("x.npy").write_bytes(b"\x93NUMPY\x01\x00" + size + header)
    assay("run", model_file, "--input", "x.npy").fails(2, "x.npy")


def test_run__pickled_objects__are_never_loaded(
    assay: Assay, somewhere: Path, model_file: Path
) -> None:
    np.save("x.npy", np.array([{}], object), allow_pickle=True)
    assay("run", model_file, "--input", "x.npy").fails(2, "x.npy")


def test_run__wrong_number_or_names_of_inputs__is_one_line(
    assay: Assay, model_file: Path, input_file: Path
) -> None:
    assay("run", model_file).fails(2, "got 0 inputs", "float32[3, 70]")
    twice = ("--input", input_file, "--input", input_file)
    assay("run", model_file, *twice).fails(2, "got 2 inputs")
    assay("run", model_file, "--input", f"other={input_file}").fails(2, "'other'", "in0")


def test_run__a_truncated_input_or_none__is_one_line(
    assay: Assay, somewhere: Path, model_file: Path, input_file: Path
) -> None:
    Path("x.npy").write_bytes(input_file.read_bytes()[:-4])
    assay("run", model_file, "--input", "x.npy").fails(2, "x.npy", "truncated")
    Path("x.npz").write_bytes(b"PK\x03\x04")
    assay("run", model_file, "--input", "x.npz").fails(2, "x.npz")
    assay("run", model_file, "--input", "none.npy").fails(2, "none.npy does not exist")


def test_run__text_for_a_model_that_reads_none__is_one_line(assay: Assay, model_file: Path) -> None:
    assay("run", model_file, "--text", "hello").fails(2, "no sentences", "in0")


@pytest.mark.parametrize("keep", (0, 1, 100, 0.5, 0.99, -1))
def test_run__a_truncated_model_file__is_one_line(
    assay: Assay, somewhere: Path, model_file: Path, keep: float
) -> None:
    data = model_file.read_bytes()
    size = int(keep * len(data)) if isinstance(keep, float) else keep
    Path("cut.assay").write_bytes(data[:size])
    assay("run", "cut.assay", "--input", "x.npy").fails(3, "cut.assay")


def test_run__altered_weights__is_one_line(
    assay: Assay, somewhere: Path, model_file: Path, input_file: Path
) -> None:
    name = "constants/0000.bin"
    with zipfile.ZipFile(model_file) as box:
        weights = bytearray(box.read(name))
    weights[17] ^= 1
    rewrite(model_file, Path("a.assay"), {name: bytes(weights)})
    assay("run", "a.assay", "--input", input_file).fails(3, name, "altered")


def test_run__an_altered_byte_anywhere__is_refused_or_changes_nothing_that_counts(
    assay: Assay, somewhere: Path, model_file: Path, input_file: Path, small_model: Small
) -> None:
    data = model_file.read_bytes()
    for at in range(3, len(data), max(1, len(data) // 40)):
        spoiled = bytearray(data)
        spoiled[at] ^= 0x40
        Path("a.assay").write_bytes(spoiled)
        done = assay("run", "a.assay", "--input", input_file, "-o", "o.npy")
        if done.code == 0:
            assert np.load("o.npy").tobytes() == _wanted(small_model).tobytes()
        else:
            done.fails(3 if "a.assay" in done.err else 2)


def test_run__an_illegal_program__names_the_clause(
    assay: Assay, somewhere: Path, model_file: Path, input_file: Path, small_model: Small
) -> None:
    program = small_model[0].program
    k = next(k for k, t in enumerate(program.templates) if t.bound_b)
    wild = replace(program.templates[k], bound_b=1)  # narrower than the constant it reads
    templates = (*program.templates[:k], wild, *program.templates[k + 1 :])
    rewrite(model_file, Path("i.assay"), {PROGRAM: encode(replace(program, templates=templates))})
    assay("run", "i.assay", "--input", input_file).fails(3, "illegal program", "clause")


def test_run__a_side_file_of_another_format__is_one_line(
    assay: Assay, somewhere: Path, model_file: Path
) -> None:
    rewrite(model_file, Path("s.assay"), {SIDE: b'{"format": "something else"}'})
    assay("run", "s.assay").fails(3, "s.assay", "format")


def test_run__no_model_file__is_one_line(assay: Assay, somewhere: Path) -> None:
    assay("run", "none.assay").fails(3, "none.assay does not exist")


def test_run__steps_beyond_the_program__are_one_line(
    assay: Assay, model_file: Path, input_file: Path
) -> None:
    assay("run", model_file, "--input", input_file, "--steps", "9").fails(2, "9")
    assay("run", model_file, "--input", input_file, "--steps", "1,1").fails(2, "2 phases")
    assay("run", model_file, "--input", input_file, "--steps", "x").fails(2, "'x'")


def test_run__a_device_that_is_not_there__is_one_line(
    assay: Assay, model_file: Path, input_file: Path
) -> None:
    done = assay("run", model_file, "--input", input_file, "--device", "tpu9")
    done.fails(2, "tpu9")


def test_run__an_output_that_cannot_be_written__is_one_line(
    assay: Assay, somewhere: Path, model_file: Path, input_file: Path
) -> None:
    Path("file").write_text("in the way")
    assay("run", model_file, "--input", input_file, "-o", "file/out").fails(2, "file/out")


def test_compile_and_run__a_text_model__embeds_sentences_in_batches(
    assay: Assay, somewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_minilm()
    monkeypatch.setattr(minilm, "load", lambda: model)
    sentences = ["a cat sat on a mat", "nobody trusts anybody", "the third one"]
    Path("lines.txt").write_text("\n".join(sentences[1:]) + "\n\n")
    done = assay("compile", "minilm", "-o", "m.assay", "--batch", "2", "--tokens", "8")
    assert done.code == 0, done.err
    given = ("--text", sentences[0], "--text-file", "lines.txt")
    done = assay("run", "m.assay", *given, "-o", "v.npy")
    assert done.code == 0, done.err
    with torch.no_grad():
        wanted = model(*Tokenizer()(sentences)).numpy()
    got = np.load("v.npy")
    assert got.shape == (3, 32)
    assert (got * wanted).sum(axis=1).min() > 0.99999
    done = assay("run", "m.assay", "--text", "far too many words for a model of eight tokens here")
    assert done.code == 0
    assert "cut" in done.err
    three = [part for text in sentences for part in ("--text", text)]
    assay("submit", "m.assay", *three, "--price", "1").fails(2, "3 sentences", "--batch 3")
    assay("run", "m.assay", "--text", "  ", "--input", "v.npy").fails(2, "--input and --text")
    assay("run", "m.assay").fails(2, "give --text")
    assay("submit", "m.assay", "--price", "1").fails(2, "give --text")
    assay("run", "m.assay", "--input", "v.npy").fails(2, "got 1 inputs", "--input once")


def test_encode_sentences__a_batch_that_is_not_full__shows_its_padding(
    small_text_model: Compiled,
) -> None:
    found = encode_sentences(small_text_model, ["one", "two of them", "a third"])
    assert [padding_of(batch) for batch in found.batches] == [Padding(0, 2), Padding(1, 2)]
    assert may_pad(small_text_model.program)


def test_verify__a_reference__is_compared_over_rows_that_hold_tokens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(4)
    model = MiniLM(Config(30522, 64, 2, width=32, layers=1, heads=4, inner=64, eps=1e-12)).eval()
    monkeypatch.setattr(minilm, "load", lambda: model)
    ids, mask = (t.numpy() for t in Tokenizer()(["one sentence", "and another"], 8))
    mask[1] = 0
    with torch.no_grad():
        vectors = model(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    vectors[1] = 7
    found = cosines([ids, mask], [vectors])
    assert found["rows"] == 1
    assert found["minimum"] == pytest.approx(1)
    with pytest.raises(BadInput, match="token ids"):
        cosines([ids], [vectors])
    with pytest.raises(BadInput, match="minilm"):
        cosines([ids, mask], [vectors[:, :5]])
