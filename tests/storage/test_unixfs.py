"""Blocks of files, as strangers may write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.storage.cid import DAG_PB, RAW, Cid
from protocol.storage.errors import MalformedNode
from protocol.storage.unixfs import links, parse

CHILD = Cid.of_block(b"child")


def field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def file_node(size: int, sizes: list[int], data: bytes = b"", kind: int = 2) -> bytes:
    """A dag-pb block with one link to CHILD for each of ``sizes`` (all below 128)."""
    meta = bytes([0x08, kind]) + (field(2, data) if data else b"") + bytes([0x18, size])
    meta += b"".join(bytes([0x20, s]) for s in sizes)
    return b"".join(field(2, field(1, CHILD.to_bytes())) for _ in sizes) + field(1, meta)


def test_parse__file_with_children__gives_them_in_order() -> None:
    node = parse(DAG_PB, file_node(13, [4, 6], b"abc"))
    assert node.data == b"abc"
    assert [child.size for child in node.children] == [4, 6]
    assert node.size == 13
    assert links(DAG_PB, file_node(10, [4, 6])) == [CHILD, CHILD]


def test_parse__raw_block__is_its_bytes() -> None:
    node = parse(RAW, b"anything")
    assert (node.data, node.children) == (b"anything", ())
    assert links(RAW, b"anything") == []


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (file_node(11, [4, 6]), "says 11 bytes and holds 10"),
        (file_node(0, [], kind=1), "a directory, not a file"),
        (file_node(0, [], kind=4), "a symbolic link"),
        (file_node(0, [], kind=9), "no UnixFS node"),
        (b"", "no UnixFS node"),
        (field(2, field(1, b"not a cid")) + field(1, b"\x08\x02"), "link of the block"),
        (field(1, b"\x08\x02\x20\x05"), "0 children and 1 sizes"),
        (b"\x0a\xff", "runs past"),
        (b"\x0a\x05abc", "runs past"),
        (b"\x0d1234", "wire type 5"),
        (b"\xff" * 12, "runs past"),
    ],
)
def test_parse__malformed__is_a_clear_error(block: bytes, words: str) -> None:
    with pytest.raises(MalformedNode, match=words):
        parse(DAG_PB, block)


def test_parse__other_codec__is_refused() -> None:
    with pytest.raises(MalformedNode, match="0x71"):
        parse(0x71, b"")


@given(st.binary(max_size=200))
def test_parse__any_bytes__is_a_node_or_a_clear_error(block: bytes) -> None:
    try:
        node = parse(DAG_PB, block)
    except MalformedNode:
        return
    assert node.size >= 0
