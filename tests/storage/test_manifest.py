"""Manifests: one spelling, everything else refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from protocol.spec.trees import list_root
from protocol.spec.types import DType
from protocol.storage.cid import Cid
from protocol.storage.errors import MalformedManifest
from protocol.storage.manifest import (
    TensorEntry,
    decode_manifest,
    encode_manifest,
    manifest_root,
)

ENTRIES = (
    TensorEntry(Cid.of_block(b"a"), DType.F32, (384, 30522), bytes([1]) * 32),
    TensorEntry(Cid.of_block(b"b"), DType.I8, (), bytes([2]) * 32),
)


def altered(**changes: Any) -> bytes:
    """A manifest whose first tensor has other values."""
    value = json.loads(encode_manifest(ENTRIES))
    value["tensors"][0].update(changes)
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def test_encode__entries__come_back() -> None:
    data = encode_manifest(ENTRIES)
    assert decode_manifest(data) == ENTRIES
    assert [entry.nbytes for entry in ENTRIES] == [384 * 30522 * 4, 1]
    assert manifest_root(ENTRIES) == list_root([bytes([1]) * 32, bytes([2]) * 32])
    assert decode_manifest(encode_manifest(())) == ()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "other keys"),
        (b'{"tensors":[]}', "other keys"),
        (b'{"tensors":[],"version":2}', "version 2"),
        (b'{"tensors":{},"version":1}', "no list"),
        (b'{"tensors":[1],"version":1}', "tensor 0 has other keys"),
        (b'{"tensors": [],"version":1}', "canonical"),
        (b'{"version":1,"tensors":[]}', "canonical"),
        (b'{"tensors":[],"version":true}', "canonical"),
        (altered(dtype="f64"), "dtype 'f64'"),
        (altered(dtype=["f32"]), "dtype"),
        (altered(shape=[0]), "shape"),
        (altered(shape=[-1]), "shape"),
        (altered(shape=[True]), "shape"),
        (altered(shape=[1.0]), "shape"),
        (altered(shape="3"), "shape"),
        (altered(shape=[1] * 9), "shape"),
        (altered(shape=[1 << 31, 1 << 31]), "too many"),
        (altered(root="0x12"), "32 bytes"),
        (altered(root=7), "32 bytes"),
        (altered(root="0x" + "AB" * 32), "canonical"),
        (altered(root="zz"), "tensor 0"),
        (altered(cid="Qm"), "is no CID"),
        (altered(cid=None), "wanted a CID"),
        (altered(extra=1), "other keys"),
    ],
)
def test_decode__not_canonical__is_a_clear_error(data: bytes, words: str) -> None:
    with pytest.raises(MalformedManifest, match=words):
        decode_manifest(data)
