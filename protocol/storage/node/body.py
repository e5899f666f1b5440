"""Request bodies as Kubo's clients send them: chunked transfer coding, multipart/form-data."""

from __future__ import annotations

from email.message import Message
from typing import BinaryIO, Final, Protocol

from protocol.storage.errors import ContentTooLarge, IpfsRefused

LINE: Final = 8192
PIECE: Final = 1 << 20


class Source(Protocol):
    """Something with ``read`` that returns b"" at its end."""

    def read(self, size: int, /) -> bytes: ...


class Lines(Source, Protocol):
    """A source that can also be read by lines: a connection."""

    def readline(self, size: int, /) -> bytes: ...


class Sized:
    """A body of a stated length."""

    def __init__(self, stream: Source, length: int) -> None:
        self._stream = stream
        self._left = length

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(min(size, self._left))
        if not data and self._left:
            raise IpfsRefused(f"request ends {self._left} bytes early; send it again")
        self._left -= len(data)
        return data


class Chunked:
    """A body in chunked transfer coding (RFC 9112, section 7.1)."""

    def __init__(self, stream: Lines) -> None:
        self._stream = stream
        self._left = 0
        self._done = False

    def read(self, size: int, /) -> bytes:
        if self._left == 0 and not self._done:
            self._next_chunk()
        if self._done:
            return b""
        data = self._stream.read(min(size, self._left))
        if not data:
            raise IpfsRefused("request ends within a chunk; send it again")
        self._left -= len(data)
        if self._left == 0:
            self._expect_blank()
        return data

    def _next_chunk(self) -> None:
        line = self._stream.readline(LINE)
        digits = line.split(b";")[0].strip()
        try:
            self._left = int(digits, 16)
        except ValueError as error:
            raise IpfsRefused(f"chunk length {digits[:20]!r} is not hexadecimal") from error
        if self._left < 0:
            raise IpfsRefused(f"chunk length {self._left} is negative")
        if self._left == 0:
            self._done = True
            while self._stream.readline(LINE) not in (b"\r\n", b"\n", b""):
                pass

    def _expect_blank(self) -> None:
        line = self._stream.readline(LINE)
        if line not in (b"\r\n", b"\n"):
            raise IpfsRefused(f"chunk ends with {line[:20]!r}, wanted a line end")


def open_body(headers: Message, stream: Lines) -> Source:
    """The body of a request with these headers."""
    if "chunked" in str(headers.get("Transfer-Encoding", "")).lower():
        return Chunked(stream)
    length = str(headers.get("Content-Length", "0"))
    if not length.isdecimal():
        raise IpfsRefused(f"Content-Length {length!r} is not a number")
    return Sized(stream, int(length))


def first_file(headers: Message, body: Source, target: BinaryIO, limit: int) -> str:
    """Copies the one file of a multipart body into ``target``; its name.

    Raises IpfsRefused for a body without exactly one file, ContentTooLarge beyond ``limit`` bytes.
    """
    boundary = headers.get_param("boundary")
    if not isinstance(boundary, str) or not 0 < len(boundary) <= 200:
        raise IpfsRefused("the request is no multipart/form-data with a boundary")
    mark = b"\r\n--" + boundary.encode("ascii", "replace")
    buffer = b"\r\n"
    buffer = _until(body, buffer, mark)[1]
    part, buffer = _until(body, buffer, b"\r\n\r\n")
    name = _file_name(part)
    written = 0
    while True:
        at = buffer.find(mark)
        safe = at if at >= 0 else max(0, len(buffer) - len(mark))
        written += safe
        if written > limit:
            raise ContentTooLarge(f"file of more than {limit} bytes; add it in parts")
        target.write(buffer[:safe])
        buffer = buffer[safe:]
        if at >= 0:
            break
        buffer += _some(body)
    buffer = buffer[len(mark) :]
    while len(buffer) < 2:
        buffer += _some(body)
    if not buffer.startswith(b"--"):
        raise IpfsRefused("the request holds several files; this node adds one at a time")
    while body.read(PIECE):
        pass
    return name


def _some(body: Source) -> bytes:
    data = body.read(PIECE)
    if not data:
        raise IpfsRefused("multipart body ends before its closing boundary; send it again")
    return data


def _until(body: Source, buffer: bytes, mark: bytes) -> tuple[bytes, bytes]:
    """What stands before ``mark`` and what has been read behind it."""
    while mark not in buffer:
        if len(buffer) > LINE + PIECE:
            raise IpfsRefused(f"multipart header of more than {LINE} bytes")
        buffer += _some(body)
    before, _, behind = buffer.partition(mark)
    return before, behind


def _file_name(part: bytes) -> str:
    message = Message()
    for line in part.decode("utf-8", "replace").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            message[key.strip()] = value.strip()
    if str(message.get("Content-Type", "")).startswith("application/x-directory"):
        raise IpfsRefused("the request holds a directory; this node adds files")
    name = message.get_param("filename", "", "Content-Disposition")
    return name if isinstance(name, str) else ""
