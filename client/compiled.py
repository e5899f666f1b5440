"""A compiled model: its program, its constants, and what a person wants to know about both.

In a file (``.assay``) it is an uncompressed zip of ``program.bin`` (the canonical encoding),
``constants/0000.bin`` ... (raw elements) and ``model.json``: names, shapes, source lines, and the
roots that everything else is checked against when it is loaded.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from client.compiler.errors import BadModelFile
from protocol.hashing import tensor_root
from protocol.spec import encoding, legality
from protocol.spec.errors import DecodeError, IllegalProgram, TensorMismatch
from protocol.spec.trees import list_root
from protocol.spec.types import Array, Program, TensorDecl

FORMAT = "assay model 1"
PROGRAM, SIDE = "program.bin", "model.json"
Raw = bytes
"""The type, inside a class that has ``bytes`` as a property."""

_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the module: its name, its PyTorch dtype (``bool`` is stored as i8)
    and its shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Compiled:
    """What ``client.compile`` gives.

    ``constants`` match the program's declarations.  ``sources`` has one line an operation: the
    place in the module's source that first asked for it.  Names and sources are outside the root.
    """

    program: Program
    constants: list[Array]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    precision: str
    sources: tuple[str, ...] = field(default=())

    @cached_property
    def bytes(self) -> Raw:
        """The canonical encoding of the program."""
        return encoding.encode(self.program)

    @cached_property
    def root(self) -> Raw:
        """The program root: 32 bytes."""
        return encoding.program_root(self.program)

    @cached_property
    def constant_roots(self) -> tuple[Raw, ...]:
        """The root of each constant."""
        rows = zip(self.program.constants, self.constants, strict=True)
        return tuple(tensor_root(decl, tensor) for decl, tensor in rows)

    @cached_property
    def constants_root(self) -> Raw:
        """The root over all constants: 32 bytes."""
        return list_root(self.constant_roots)

    @property
    def side(self) -> dict[str, Any]:
        """The side file as JSON data."""
        return {
            "format": FORMAT,
            "precision": self.precision,
            "program": self.root.hex(),
            "constants": [root.hex() for root in self.constant_roots],
            "inputs": [_port_json(p) for p in self.inputs],
            "outputs": [_port_json(p) for p in self.outputs],
            "sources": list(self.sources),
        }

    def bind(self, *tensors: Any) -> list[Array]:
        """Inputs for the program from PyTorch or NumPy tensors, in the module's order.

        Raises TensorMismatch for a wrong number, dtype or shape.
        """
        if len(tensors) != len(self.inputs):
            names = ", ".join(p.name for p in self.inputs)
            raise TensorMismatch(
                f"got {len(tensors)} inputs, the model wants {len(self.inputs)}: {names}"
            )
        rows = zip(self.inputs, self.program.inputs, tensors, strict=True)
        return [_bind(port, decl, np.asarray(t)) for port, decl, t in rows]

    def unbind(self, results: Sequence[Array]) -> list[Array]:
        """A program's results as the module's outputs: bool again where it was."""
        rows = zip(self.outputs, results, strict=True)
        return [r.astype(np.bool_) if p.dtype == "bool" else r for p, r in rows]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model to one file, whole or not at all; the same model gives the same bytes."""
        path = Path(path)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as out, zipfile.ZipFile(out, "w") as box:
                _put(box, PROGRAM, self.bytes)
                for k, tensor in enumerate(self.constants):
                    _put(box, _constant_name(k), np.ascontiguousarray(tensor).tobytes())
                _put(box, SIDE, json.dumps(self.side, indent=1).encode())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a model; BadModelFile if it is truncated, altered, illegal or of another format."""
        path = Path(path)
        try:
            with zipfile.ZipFile(path) as box:
                return cls._read(path, box)
        except FileNotFoundError:
            raise BadModelFile(f"{path} does not exist") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise BadModelFile(
                f"{path} is truncated or no compiled model ({error}): compile it again"
            ) from error

    @classmethod
    def _read(cls, path: Path, box: zipfile.ZipFile) -> Self:
        names = box.namelist()
        missing = [name for name in (PROGRAM, SIDE) if name not in names]
        if missing:
            raise BadModelFile(
                f"{path} is no compiled model (it has no {missing[0]}): assay compile makes one"
            )
        side = _side(path, box.read(SIDE))
        try:
            program = encoding.decode(box.read(PROGRAM))
            legality.check(program)
        except (DecodeError, IllegalProgram) as error:
            raise BadModelFile(f"{path}: {PROGRAM}: {error}") from error
        if encoding.program_root(program).hex() != side["program"]:
            raise BadModelFile(f"{path}: {PROGRAM} was altered: its root is not the one recorded")
        if len(side["constants"]) != len(program.constants):
            raise BadModelFile(
                f"{path} records {len(side['constants'])} constants, "
                f"the program wants {len(program.constants)}"
            )
        constants = []
        rows = zip(program.constants, side["constants"], strict=True)
        for k, (decl, root) in enumerate(rows):
            name = _constant_name(k)
            if name not in names:
                raise BadModelFile(f"{path} has no {name}")
            constants.append(_constant(f"{path}: {name}", decl, root, box.read(name)))
        out = cls(
            program,
            constants,
            tuple(_port(p) for p in side["inputs"]),
            tuple(_port(p) for p in side["outputs"]),
            side["precision"],
            tuple(side["sources"]),
        )
        # They were just computed: hashing is what takes long here.
        vars(out)["constant_roots"] = tuple(map(bytes.fromhex, side["constants"]))
        return out


def _bind(port: Port, decl: TensorDecl, tensor: Array) -> Array:
    if tensor.dtype.name != port.dtype or tensor.shape != port.shape:
        raise TensorMismatch(
            f"input {port.name} is {tensor.dtype.name} {tensor.shape}, "
            f"the model wants {port.dtype} {port.shape}"
        )
    return np.ascontiguousarray(tensor).astype(decl.dtype.numpy).reshape(decl.shape)


def _constant_name(k: int) -> str:
    return f"constants/{k:04d}.bin"


def _put(box: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.external_attr = 0o644 << 16
    box.writestr(info, data, zipfile.ZIP_STORED)


def _constant(what: str, decl: TensorDecl, root: str, data: bytes) -> Array:
    if len(data) != decl.nbytes:
        raise BadModelFile(f"{what} has {len(data)} bytes, the program wants {decl.nbytes}")
    tensor = np.frombuffer(data, decl.dtype.numpy).reshape(decl.shape)
    if tensor_root(decl, tensor).hex() != root:
        raise BadModelFile(f"{what} was altered: its root is not the one recorded")
    return tensor


def _port_json(port: Port) -> dict[str, Any]:
    return {"name": port.name, "dtype": port.dtype, "shape": list(port.shape)}


def _port(data: dict[str, Any]) -> Port:
    return Port(str(data["name"]), str(data["dtype"]), tuple(map(int, data["shape"])))


def _side(path: Path, data: bytes) -> dict[str, Any]:
    """The side file, with every field that is used of the right kind."""
    try:
        side = json.loads(data)
    except ValueError as error:
        raise BadModelFile(f"{path}: {SIDE} is no JSON: {error}") from error
    if not isinstance(side, dict) or side.get("format") != FORMAT:
        raise BadModelFile(f"{path}: {SIDE} is not of format {FORMAT!r}")
    kinds = {"precision": str, "program": str, "constants": list, "sources": list}
    kinds |= {"inputs": list, "outputs": list}
    for name, kind in kinds.items():
        if not isinstance(side.get(name), kind):
            raise BadModelFile(f"{path}: {SIDE} has no {kind.__name__} named {name!r}")
    for port in [*side["inputs"], *side["outputs"]]:
        fields = isinstance(port, dict) and {"name", "dtype", "shape"} <= port.keys()
        if not fields or not isinstance(port["shape"], list):
            raise BadModelFile(f"{path}: {SIDE} has a malformed input or output: {port!r}")
    return side
