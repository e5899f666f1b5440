"""The manifest of a list of tensors: for each the CID of its bytes, dtype, shape and root.

Canonical JSON, ``{"tensors":[{"cid":…,"dtype":"f32","root":…,"shape":[…]},…],"version":1}``:
keys sorted, no spaces, ASCII; any other spelling is refused.  The tree over the tensor roots is
what a job commits to, so a manifest is checked before a single tensor is fetched.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocol.spec.constants import MAX_DIMS
from protocol.spec.trees import list_root
from protocol.spec.types import DType
from protocol.storage.cid import Cid
from protocol.storage.errors import MalformedCid, MalformedManifest

MAX_MANIFEST_BYTES: Final = 16 << 20
MAX_TENSORS: Final = 65_536
MAX_TENSOR_BYTES: Final = 1 << 40
VERSION: Final = 1
DTYPES: Final = {dtype.name.lower(): dtype for dtype in DType}


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor: where its raw little-endian bytes are, and what they are."""

    cid: Cid
    dtype: DType
    shape: tuple[int, ...]
    root: bytes

    @property
    def nbytes(self) -> int:
        """Length of the tensor in bytes."""
        return math.prod(self.shape) * self.dtype.size


def manifest_root(entries: Sequence[TensorEntry]) -> bytes:
    """The root that a job commits to: a tree over the tensor roots."""
    return list_root([entry.root for entry in entries])


def encode_manifest(entries: Sequence[TensorEntry]) -> bytes:
    """The canonical bytes of a manifest."""
    tensors = [
        {
            "cid": str(entry.cid),
            "dtype": entry.dtype.name.lower(),
            "root": "0x" + entry.root.hex(),
            "shape": list(entry.shape),
        }
        for entry in entries
    ]
    value = {"tensors": tensors, "version": VERSION}
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def decode_manifest(data: bytes) -> tuple[TensorEntry, ...]:
    """The entries of a manifest; MalformedManifest unless ``data`` is its canonical encoding."""
    if len(data) > MAX_MANIFEST_BYTES:
        raise MalformedManifest(f"{len(data)} bytes, at most {MAX_MANIFEST_BYTES} allowed")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MalformedManifest(f"manifest is not JSON: {str(error)[:80]}") from error
    if not isinstance(value, dict) or set(value) != {"tensors", "version"}:
        raise MalformedManifest("manifest has other keys than tensors and version")
    if value["version"] != VERSION:
        raise MalformedManifest(f"manifest of version {value['version']!r}; this reads {VERSION}")
    tensors = value["tensors"]
    if not isinstance(tensors, list) or len(tensors) > MAX_TENSORS:
        raise MalformedManifest(f"tensors is no list of at most {MAX_TENSORS}")
    entries = tuple(_entry(index, tensor) for index, tensor in enumerate(tensors))
    if encode_manifest(entries) != data:
        raise MalformedManifest("manifest is not in canonical form; encode it again")
    return entries


def _entry(index: int, value: Any) -> TensorEntry:
    if not isinstance(value, dict) or set(value) != {"cid", "dtype", "root", "shape"}:
        raise MalformedManifest(f"tensor {index} has other keys than cid, dtype, root, shape")
    dtype = DTYPES.get(value["dtype"]) if isinstance(value["dtype"], str) else None
    if dtype is None:
        raise MalformedManifest(
            f"tensor {index} has dtype {value['dtype']!r}, wanted one of {', '.join(DTYPES)}"
        )
    shape = value["shape"]
    if (
        not isinstance(shape, list)
        or len(shape) > MAX_DIMS
        or not all(type(size) is int and 0 < size < 1 << 32 for size in shape)
    ):
        raise MalformedManifest(f"tensor {index} has shape {str(shape)[:60]}; sizes from 1 up")
    text = value["root"]
    try:
        cid = Cid.parse(value["cid"]) if isinstance(value["cid"], str) else None
        root = bytes.fromhex(text.removeprefix("0x")) if isinstance(text, str) else b""
    except (MalformedCid, ValueError) as error:
        raise MalformedManifest(f"tensor {index}: {error}") from error
    if cid is None or len(root) != 32:
        raise MalformedManifest(f"tensor {index}: wanted a CID and a root of 32 bytes")
    entry = TensorEntry(cid, dtype, tuple(shape), root)
    if entry.nbytes > MAX_TENSOR_BYTES:
        raise MalformedManifest(f"tensor {index} has {entry.nbytes} bytes; too many")
    return entry
