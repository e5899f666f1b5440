"""Request bodies: however they are cut, the file comes out, or one clear error."""

from __future__ import annotations

import io
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.storage.errors import ContentTooLarge, IpfsRefused
from protocol.storage.node.body import first_file, open_body

BOUNDARY = "frontier"


class Cut:
    """A source that gives its bytes in pieces of given sizes."""

    def __init__(self, data: bytes, size: int) -> None:
        self._stream = io.BytesIO(data)
        self._size = size

    def read(self, size: int, /) -> bytes:
        return self._stream.read(min(size, self._size))


def headers(**values: str) -> Message:
    message = Message()
    for name, value in values.items():
        message[name.replace("_", "-")] = value
    return message


MULTIPART = headers(Content_Type=f'multipart/form-data; boundary="{BOUNDARY}"')


def multipart(data: bytes, name: str = "a%20file") -> bytes:
    mark = f"--{BOUNDARY}\r\n".encode()
    head = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'.encode()
    return mark + head + b"Content-Type: text/plain\r\n\r\n" + data + b"\r\n--frontier--\r\n"


PIECES = st.lists(
    st.sampled_from([b"\r\n", b"--", b"--frontier", b"\r\n--front", b"\r", b"data", b"\0"]),
    max_size=12,
)


@given(PIECES, st.integers(1, 64))
def test_first_file__any_bytes_and_cuts__come_out_whole(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    if b"\r\n--frontier" in data:
        return
    target = io.BytesIO()
    assert first_file(MULTIPART, Cut(multipart(data), size), target, 1000) == "a%20file"
    assert target.getvalue() == data


@given(st.binary(max_size=300), st.lists(st.integers(1, 50), min_size=1, max_size=300))
def test_chunked__any_chunks__are_joined(data: bytes, sizes: list[int]) -> None:
    encoded = b""
    at = 0
    for size in sizes:
        chunk = data[at : at + size]
        at += size
        if chunk:
            encoded += b"%X;ext=1\r\n" % len(chunk) + chunk + b"\r\n"
    encoded += b"0\r\nTrailer: x\r\n\r\n"
    body = open_body(headers(Transfer_Encoding="chunked"), io.BytesIO(encoded))
    got = b""
    while piece := body.read(7):
        got += piece
    assert got == data[:at]


@pytest.mark.parametrize(
    ("encoded", "words"),
    [
        (b"", "not hexadecimal"),
        (b"zz\r\n", "not hexadecimal"),
        (b"-5\r\nabc", "negative"),
        (b"5\r\nab", "within a chunk"),
        (b"2\r\nabc\r\n", "chunk ends"),
    ],
)
def test_chunked__malformed__is_a_clear_error(encoded: bytes, words: str) -> None:
    body = open_body(headers(Transfer_Encoding="chunked"), io.BytesIO(encoded))
    with pytest.raises(IpfsRefused, match=words):
        while body.read(100):
            pass


def test_sized__shorter_than_stated__is_a_clear_error() -> None:
    body = open_body(headers(Content_Length="10"), io.BytesIO(b"abc"))
    assert body.read(100) == b"abc"
    with pytest.raises(IpfsRefused, match="7 bytes early"):
        body.read(100)
    with pytest.raises(IpfsRefused, match="not a number"):
        open_body(headers(Content_Length="ten"), io.BytesIO())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (multipart(b"data")[:-20], "closing boundary"),
        (b"", "closing boundary"),
        (multipart(b"one")[:-4] + b"\r\n" + multipart(b"two"), "several files"),
        (b"--frontier\r\nContent-Type: application/x-directory\r\n\r\n", "directory"),
        (b"--frontier\r\n" + b"x" * 3_000_000, "multipart header"),
    ],
)
def test_first_file__malformed__is_a_clear_error(body: bytes, words: str) -> None:
    with pytest.raises(IpfsRefused, match=words):
        first_file(MULTIPART, Cut(body, 1000), io.BytesIO(), 1000)


def test_first_file__over_the_limit__is_refused() -> None:
    with pytest.raises(ContentTooLarge, match="more than 100"):
        first_file(MULTIPART, Cut(multipart(bytes(5000)), 64), io.BytesIO(), 100)
