"""Tensors in and out of files: ``.npy`` and ``.npz``; and sentences for text models."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from assay.errors import BadInput

if TYPE_CHECKING:
    from client.compiled import Compiled
    from protocol.spec.types import Array

TEXT_INPUTS = ("input_ids", "attention_mask")
"""Names of the inputs of a model that reads sentences."""


# --- reading --------------------------------------------------------------------------------------


def read_npy(path: Path) -> Array:
    """The array of a ``.npy`` file, mapped, so that a huge one costs nothing before it is looked
    at.  Raises BadInput.
    """
    from numpy.lib.format import open_memmap

    try:
        return open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(_unreadable(path, error)) from error


def read_npz(path: Path) -> dict[str, Array]:
    """The arrays of a ``.npz`` file by name, in the order of the file.  Raises BadInput."""
    import numpy as np

    try:
        # Opened here: NumPy leaves a file open that turns out to be no zip.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise BadInput(_unreadable(path, error)) from error


def _unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{path} does not exist"
    words = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{path} is no file of NumPy arrays, or truncated ({words}): write it by numpy.save"


def read_inputs(model: Compiled, given: Sequence[str]) -> list[Array]:
    """The model's inputs from files.

    Each of ``given`` is ``FILE.npy`` (in the model's order), ``NAME=FILE.npy``, or one
    ``FILE.npz`` with the inputs by name or in order.  Raises BadInput, TensorMismatch.
    """
    names = [port.name for port in model.inputs]
    found: dict[str, Array] = {}
    plain: list[Array] = []
    for text in given:
        name, _, file = text.rpartition("=")
        path = Path(file)
        if name:
            if name not in names:
                raise BadInput(f"got input {name!r}, the model has {', '.join(names)}")
            found[name] = read_npy(path)
        elif path.suffix == ".npz":
            for key, array in read_npz(path).items():
                if key in names:
                    found[key] = array
                else:
                    plain.append(array)
        else:
            plain.append(read_npy(path))
    for name in names:
        if name not in found and plain:
            found[name] = plain.pop(0)
    missing = [name for name in names if name not in found]
    if missing or plain:
        wants = "; ".join(f"{p.name} {p.dtype}{list(p.shape)}" for p in model.inputs)
        raise BadInput(
            f"got {len(found) + len(plain)} inputs, the model wants {len(names)}: {wants}; "
            f"give --input once for each"
        )
    return model.bind(*(found[name] for name in names))


# --- sentences ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sentences:
    """Inputs of a text model, one list a batch; ``count`` sentences in all, ``cut`` too long."""

    batches: list[list[Array]]
    count: int
    batch: int
    cut: int


def read_sentences(texts: Sequence[str], file: IO[str] | None) -> list[str]:
    """Sentences given one by one and one a line of a file; empty lines do not count."""
    lines = [] if file is None else [line.strip() for line in file]
    found = [*texts, *(line for line in lines if line)]
    if not found:
        raise BadInput("got no sentence: give --text, or --text-file with one a line")
    return found


def reads_sentences(model: Compiled) -> bool:
    """Whether the model takes token ids and a mask, each of one row a sentence."""
    names = tuple(port.name for port in model.inputs)
    return names == TEXT_INPUTS and all(len(port.shape) == 2 for port in model.inputs)


def encode_sentences(model: Compiled, sentences: Sequence[str]) -> Sentences:
    """Token ids and masks of the sentences, padded to the model's batch and length.

    Raises BadInput when the model does not read sentences.
    """
    import numpy as np

    if not reads_sentences(model):
        wants = ", ".join(f"{p.name} {p.dtype}{list(p.shape)}" for p in model.inputs)
        raise BadInput(f"the model reads no sentences but {wants}: give --input")
    from client.models.minilm import MAX_TOKENS, Tokenizer

    size, length = model.inputs[0].shape
    tokenizer = Tokenizer()
    cut = sum(1 for s in sentences if tokenizer([s], MAX_TOKENS)[1].sum() > length)
    batches = []
    for start in range(0, len(sentences), size):
        part = list(sentences[start : start + size])
        ids, mask = (t.numpy() for t in tokenizer(part, length))
        rows = ((0, size - len(part)), (0, 0))
        batches.append(model.bind(np.pad(ids, rows), np.pad(mask, rows)))
    return Sentences(batches, len(sentences), size, cut)


# --- writing --------------------------------------------------------------------------------------


def check_target(target: Path) -> None:
    """BadInput, before anything long begins, unless ``target`` can be made: in a folder that is
    there."""
    if not target.parent.is_dir():
        raise BadInput(
            f"cannot write {target}: {target.parent} is no folder: make it, or name another with -o"
        )
    if target.is_dir() and target.suffix in (".npz", ".npy"):
        raise BadInput(f"{target} is a folder: name a file with -o")


def save_outputs(target: Path, outputs: Sequence[Array], names: Sequence[str]) -> list[Path]:
    """Write outputs to ``FILE.npz``, one output to ``FILE.npy``, else each to ``DIR/NAME.npy``,
    where DIR alone is made.

    Each file appears whole or not at all.  Raises BadInput when it cannot be written.
    """
    import numpy as np

    try:
        if target.suffix == ".npz":
            arrays = dict(zip(names, outputs, strict=True))
            return [_whole(target, lambda f: np.savez(f, **arrays))]  # type: ignore[arg-type]
        if target.suffix == ".npy":
            if len(outputs) != 1:
                raise BadInput(f"got {len(outputs)} outputs for {target}: name a folder or .npz")
            return [_whole(target, partial(_save, outputs[0]))]
        target.mkdir(exist_ok=True)
        return [
            _whole(target / f"{name}.npy", partial(_save, array))
            for name, array in zip(names, outputs, strict=True)
        ]
    except OSError as error:
        raise BadInput(f"cannot write to {target}: {error.strerror}") from error


def _save(array: Array, file: IO[bytes]) -> None:
    import numpy as np

    np.save(file, array)


def _whole(path: Path, write: Callable[[IO[bytes]], None]) -> Path:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return path


def preview(array: Array) -> str:
    """Dtype, shape and the first values of an array."""
    flat = array.reshape(-1)[:4]
    values = ", ".join(f"{v:.5g}" if array.dtype.kind == "f" else str(v) for v in flat.tolist())
    dots = ", …" if array.size > 4 else ""
    return f"{array.dtype}{list(array.shape)}  {values}{dots}"
