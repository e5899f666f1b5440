"""Programs and lists of tensors: published from memory, fetched through the cache, always checked.

A tensor travels as its raw little-endian bytes.  On arrival it is streamed to a file while it is
hashed, compared with its root, and mapped: it is never in memory as a whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from protocol.spec.trees import keccak256, wrap
from protocol.spec.types import Array, DType, TensorDecl
from protocol.storage.cache import Cache, Entry
from protocol.storage.cid import Cid
from protocol.storage.errors import (
    ContentMismatch,
    ContentTooLarge,
    ContentTooSlow,
    MalformedManifest,
    StorageError,
)
from protocol.storage.hashing import BlockHasher, tensor_root_of
from protocol.storage.manifest import (
    MAX_MANIFEST_BYTES,
    TensorEntry,
    decode_manifest,
    encode_manifest,
    manifest_root,
)
from protocol.storage.store import Progress, Store, Verify

PIECE: Final = 1 << 20
MAP_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Published:
    """A published list of tensors: its manifest's CID, its root, its entries."""

    cid: Cid
    root: bytes
    entries: tuple[TensorEntry, ...]


def dtype_of(tensor: Array) -> DType:
    """The dtype of an array; ContentMismatch if it is none of the machine's."""
    for dtype in DType:
        if dtype.numpy == tensor.dtype.newbyteorder("<"):
            return dtype
    names = ", ".join(d.name.lower() for d in DType)
    raise ContentMismatch(f"tensor of dtype {tensor.dtype}, wanted one of {names}")


def raw_bytes(tensor: Array) -> memoryview:
    """The committed bytes of an array; a copy only if it is not contiguous and little-endian."""
    dtype = dtype_of(tensor)
    flat = np.ascontiguousarray(tensor, dtype.numpy).reshape(-1)
    return flat.view(np.uint8).data


def publish_tensors(
    store: Store, tensors: Sequence[Array], progress: Progress | None = None
) -> Published:
    """Adds every tensor and their manifest to the store, pinned."""
    total = sum(tensor.nbytes for tensor in tensors)
    entries = []
    before = 0
    for tensor in tensors:
        data = raw_bytes(tensor)
        step = _shifted(progress, before, total)
        cid = store.put_bytes(data, step)
        dtype, shape = dtype_of(tensor), tuple(tensor.shape)
        entries.append(TensorEntry(cid, dtype, shape, tensor_root_of(dtype, shape, data)))
        before += len(data)
    manifest = encode_manifest(entries)
    decode_manifest(manifest)
    return Published(store.put_bytes(manifest), manifest_root(entries), tuple(entries))


def time_left(timeout: float | None) -> Callable[[], float | None]:
    """A function that gives what is left of ``timeout`` seconds; ContentTooSlow once it is over."""
    started = time.monotonic()

    def left() -> float | None:
        if timeout is None:
            return None
        rest = timeout - (time.monotonic() - started)
        if rest <= 0:
            raise ContentTooSlow(f"not everything came within {timeout:g} s: try again later")
        return rest

    return left


def fetch_blob(
    store: Store,
    cache: Cache,
    kind: str,
    cid: Cid,
    root: bytes,
    verify: Verify,
    max_bytes: int,
    *,
    progress: Progress | None = None,
    timeout: float | None = None,
) -> bytes:
    """A program or a manifest: from the cache, or fetched.  ``verify`` sees the bytes either way.

    ``verify`` raises ContentMismatch unless the bytes are what ``root`` commits to.
    """

    def fetch(entry: Entry) -> None:
        got = store.get(cid, max_bytes, verify=verify, progress=progress, timeout=timeout)
        entry.write(got)

    path = cache.obtain(kind, root, fetch, lambda found: verify(found.read_bytes()))
    return path.read_bytes()


def fetch_manifest(
    store: Store, cache: Cache, cid: Cid, root: bytes, timeout: float | None = None
) -> tuple[TensorEntry, ...]:
    """The manifest at ``cid``, checked against the root of the list that it stands for."""

    def verify(data: bytes) -> None:
        try:
            found = manifest_root(decode_manifest(data))
        except MalformedManifest as error:
            raise ContentMismatch(f"{cid}: {error}") from error
        if found != root:
            raise ContentMismatch(
                f"{cid} lists tensors of root 0x{found.hex()}, committed is 0x{root.hex()}"
            )

    data = fetch_blob(
        store, cache, "manifest", cid, _manifest_key(cid, root), verify, MAX_MANIFEST_BYTES,
        timeout=timeout,
    )  # fmt: skip
    return decode_manifest(data)


def _manifest_key(cid: Cid, root: bytes) -> bytes:
    """Lists of one root may lie under several CIDs: each has its own entry in the cache."""
    return keccak256(root + cid.to_bytes())


def hold_tensors(cache: Cache, cid: Cid, root: bytes, until: float) -> None:
    """What the cache has of a list of tensors stays there until ``until`` (seconds since 1970)."""
    key = _manifest_key(cid, root)
    cache.hold("manifest", key, until)
    try:
        entries = decode_manifest(cache.path("manifest", key).read_bytes())
    except (FileNotFoundError, MalformedManifest):
        return  # not fetched, or rotten: whoever fetches it next finds out
    for entry in entries:
        cache.hold("tensor", entry.root, until)


class _TensorSink:
    """Writes a tensor into the cache and hashes it as it comes."""

    def __init__(self, entry: Entry, wanted: TensorEntry) -> None:
        self._entry = entry
        self._wanted = wanted
        self._hasher = BlockHasher()

    def write(self, piece: bytes, /) -> None:
        self._entry.write(piece)
        self._hasher.write(piece)

    def reset(self) -> None:
        self._entry.reset()
        self._hasher = BlockHasher()

    def check(self) -> None:
        check_root(self._wanted, self._hasher)


def check_root(wanted: TensorEntry, hasher: BlockHasher) -> None:
    """ContentMismatch unless the hashed bytes are the wanted tensor."""
    if hasher.size != wanted.nbytes:
        raise ContentMismatch(
            f"tensor {wanted.cid} has {hasher.size} bytes, wanted {wanted.nbytes}"
        )
    found = wrap(wanted.dtype, wanted.shape, hasher.root())
    if found != wanted.root:
        raise ContentMismatch(
            f"tensor {wanted.cid} has root 0x{found.hex()}, committed is 0x{wanted.root.hex()}"
        )


def check_file(wanted: TensorEntry) -> Callable[[Path], None]:
    """The full check of a cached tensor: its root, computed again."""

    def check(path: Path) -> None:
        hasher = BlockHasher()
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                hasher.write(piece)
        check_root(wanted, hasher)

    return check


def fetch_tensors(
    store: Store,
    cache: Cache,
    cid: Cid,
    root: bytes,
    *,
    declared: Sequence[TensorDecl] | None = None,
    max_bytes: int,
    full_check: bool = False,
    progress: Progress | None = None,
    timeout: float | None = None,
) -> list[Array]:
    """The tensors of the manifest at ``cid``, mapped read-only, in order.

    ``root`` is the committed root of the list, ``declared`` what the program says of each tensor,
    ``max_bytes`` a bound on all of them together.  ``full_check`` hashes cached tensors again.
    ``timeout`` (seconds) bounds all of them.  Raises ContentMismatch, ContentMissing,
    ContentTooLarge, ContentTooSlow or IpfsUnavailable; on return every tensor has the root that
    the list commits to.
    """
    left = time_left(timeout)
    entries = fetch_manifest(store, cache, cid, root, left())
    if declared is not None:
        check_declared(entries, declared)
    total = sum(entry.nbytes for entry in entries)
    if total > max_bytes:
        raise ContentTooLarge(f"{cid} lists {total} bytes of tensors, at most {max_bytes} taken")
    tensors: list[Array] = []
    before = 0
    for entry in entries:
        step = _shifted(progress, before, total)
        tensors.append(_fetch_tensor(store, cache, entry, full_check, step, left()))
        before += entry.nbytes
        if progress is not None:
            progress(before, total)
    return tensors


def _fetch_tensor(
    store: Store,
    cache: Cache,
    wanted: TensorEntry,
    full_check: bool,
    progress: Progress | None,
    timeout: float | None,
) -> Array:
    """One tensor, mapped."""

    def fetch(target: Entry) -> None:
        sink = _TensorSink(target, wanted)
        size = wanted.nbytes
        store.fetch(wanted.cid, sink, size, size=size, progress=progress, timeout=timeout)

    full = check_file(wanted) if full_check else None
    for _ in range(MAP_TRIES):
        path = cache.obtain("tensor", wanted.root, fetch, full)
        try:
            return np.memmap(path, wanted.dtype.numpy, "r", shape=wanted.shape)
        except FileNotFoundError:
            continue  # another process removed it to make room
    raise StorageError(
        f"cache {cache.directory} of {cache.max_bytes} bytes is too small for what uses it: "
        "set ASSAY_CACHE_BYTES higher"
    )


def check_declared(entries: Sequence[TensorEntry], declared: Sequence[TensorDecl]) -> None:
    """ContentMismatch unless the entries have the declared dtypes and shapes."""
    if len(entries) != len(declared):
        raise ContentMismatch(f"{len(entries)} tensors published, the program has {len(declared)}")
    for index, (entry, decl) in enumerate(zip(entries, declared, strict=True)):
        if (entry.dtype, entry.shape) != (decl.dtype, decl.shape):
            raise ContentMismatch(
                f"tensor {index} is {entry.dtype.name.lower()}{list(entry.shape)}, the program "
                f"declares {decl.dtype.name.lower()}{list(decl.shape)}"
            )


def _shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Progress of one tensor as progress of all."""
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)
