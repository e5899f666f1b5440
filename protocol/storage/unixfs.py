"""UnixFS files: what a block of a file says about its children and its bytes.

A block is either raw bytes or a dag-pb node, a protobuf message ``{2: Link…, 1: Data}`` with
``Link {1: cid, 2: name, 3: tsize}`` and ``Data {1: type, 2: bytes, 3: filesize, 4: blocksize…}``.
Sources: the dag-pb and UnixFS version 1 specifications.  Only files are read (types raw and
file); every size is checked, because a stranger wrote the block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protocol.storage.cid import DAG_PB, RAW, Cid
from protocol.storage.errors import MalformedCid, MalformedNode

FILE_TYPES: Final = (0, 2)
TYPE_NAMES: Final = {1: "a directory", 3: "metadata", 4: "a symbolic link", 5: "a directory"}
VARINT: Final = 0
BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class Child:
    """A child block and the number of file bytes below it."""

    cid: Cid
    size: int


@dataclass(frozen=True, slots=True)
class FileNode:
    """A block of a file: its own bytes come first, then those below each child."""

    data: bytes
    children: tuple[Child, ...]

    @property
    def size(self) -> int:
        """File bytes in and below this block."""
        return len(self.data) + sum(child.size for child in self.children)


def varint(view: bytes, at: int) -> tuple[int, int]:
    """The unsigned varint at ``at`` and the position after it."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(view):
            break
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise MalformedNode(f"block of {len(view)} bytes: a number runs past its end; fetch again")


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of a protobuf message (wire types 0 and 2 only)."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        if key & 7 == VARINT:
            value, at = varint(message, at)
            yield key >> 3, value
        elif key & 7 == BYTES:
            length, at = varint(message, at)
            if at + length > len(message):
                raise MalformedNode(f"field of {length} bytes runs past the end of its block")
            yield key >> 3, message[at : at + length]
            at += length
        else:
            raise MalformedNode(f"protobuf wire type {key & 7} in a dag-pb block; wanted 0 or 2")


def _one(message: bytes, number: int) -> bytes:
    """The bytes of field ``number``, empty if it is absent."""
    for got, value in fields(message):
        if got == number and isinstance(value, bytes):
            return value
    return b""


def _link(message: bytes) -> Cid:
    raw = _one(message, 1)
    try:
        return Cid.from_bytes(raw)
    except MalformedCid as error:
        raise MalformedNode(f"a link of the block is unusable: {error}") from error


def links(codec: int, block: bytes) -> list[Cid]:
    """The CIDs that ``block`` refers to, in order (none for raw bytes)."""
    if codec == RAW:
        return []
    return [_link(v) for n, v in fields(block) if n == 2 and isinstance(v, bytes)]


def parse(codec: int, block: bytes) -> FileNode:
    """``block`` read as part of a file; MalformedNode if it is none."""
    if codec == RAW:
        return FileNode(block, ())
    if codec != DAG_PB:
        raise MalformedNode(f"block of codec 0x{codec:x}; a file is raw (0x55) or dag-pb (0x70)")
    kind, filesize, data = -1, -1, b""
    sizes: list[int] = []
    for number, value in fields(_one(block, 1)):
        if isinstance(value, int):
            if number == 1:
                kind = value
            elif number == 3:
                filesize = value
            elif number == 4:
                sizes.append(value)
        elif number == 2:
            data = value
    if kind not in FILE_TYPES:
        name = TYPE_NAMES.get(kind, "no UnixFS node")
        raise MalformedNode(f"this block is {name}, not a file: give the CID of a file")
    children = links(codec, block)
    if len(children) != len(sizes):
        raise MalformedNode(f"file node with {len(children)} children and {len(sizes)} sizes")
    node = FileNode(data, tuple(map(Child, children, sizes)))
    if filesize not in (-1, node.size):
        raise MalformedNode(f"file node says {filesize} bytes and holds {node.size}")
    return node
