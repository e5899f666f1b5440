"""One Kubo RPC through ``ipfshttpclient``: requests, and errors in our own words.

``ipfshttpclient.connect`` refuses every daemon newer than 0.7, ``Client`` does not.  Three of its
habits are worked around here, and only here: ``swarm.connect`` splits an address into letters,
``cat`` holds bytes back until a chunk of the server's choice is full, and its connection pool
passes an argument that urllib3 warns about.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final, Protocol

import ipfshttpclient
import requests
import urllib3
from ipfshttpclient import exceptions
from ipfshttpclient.multipart import stream_files

from protocol.storage.config import StorageConfig
from protocol.storage.errors import (
    ContentMissing,
    IpfsRefused,
    IpfsSilent,
    IpfsUnavailable,
    StorageConfigError,
    StorageError,
)

ABSENT: Final = ("not found", "could not find", "deadline exceeded", "context canceled")
POOL: Final = 64
"""Idle connections kept, one for each thread that shares a client."""
Json = dict[str, Any]


class Source(Protocol):
    """Bytes to send: b"" at the end, and no name, which ``ipfshttpclient`` would send along."""

    def read(self, size: int = -1, /) -> bytes: ...


class RpcClient:
    """Requests to the RPC at ``config.api``; may be shared by threads."""

    def __init__(self, config: StorageConfig) -> None:
        self.config = config
        try:
            client = ipfshttpclient.Client(
                config.api,
                chunk_size=config.piece_bytes,
                timeout=(config.connect_s, config.stall_s),
                session=True,
            )
        except (exceptions.AddressError, ValueError) as error:
            raise StorageConfigError(
                f"IPFS API address {config.api!r} is no multiaddr: {error}; "
                "wanted for example /ip4/127.0.0.1/tcp/5001"
            ) from error
        self._http = client._client
        for adapter in self._http._session.adapters.values():
            adapter.poolmanager.connection_pool_kw.pop("strict", None)
            adapter.poolmanager.connection_pool_kw["maxsize"] = POOL

    def close(self) -> None:
        """Closes idle connections."""
        self._http.close_session()

    def call(self, path: str, *arguments: str, seconds: float = 0.0, **options: str) -> list[Json]:
        """The JSON values that a command answers; waits ``seconds`` (0: as configured)."""
        try:
            answer = self._http.request(
                path,
                arguments,
                opts=dashed(options),
                decoder="json",
                timeout=(self.config.connect_s, seconds or self.config.stall_s),
            )
        except ERRORS as error:
            raise self.explain(error, path) from error
        return [self._object(value, path) for value in answer]

    def one(self, path: str, *arguments: str, seconds: float = 0.0, **options: str) -> Json:
        """The only JSON value that a command answers."""
        return self._single(self.call(path, *arguments, seconds=seconds, **options), path)

    def upload(self, path: str, file: Source, seconds: float, **options: str) -> Json:
        """Sends a file in a multipart body; the command's answer."""
        body, headers = stream_files(file, chunk_size=self.config.piece_bytes)
        try:
            answer = self._http.request(
                path,
                opts=dashed(options),
                decoder="json",
                data=body,
                headers=headers,
                timeout=(self.config.connect_s, seconds),
            )
        except ERRORS as error:
            raise self.explain(error, path) from error
        return self._single([self._object(value, path) for value in answer], path)

    def stream(
        self, path: str, *arguments: str, seconds: float = 0.0, **options: str
    ) -> Generator[bytes, None, None]:
        """An answer in pieces of at most ``config.piece_bytes``, however the server cuts it."""
        closables: list[Any] = []
        try:
            closables, _ = self._http._request(
                "POST",
                path,
                [*dashed(options).items(), *(("arg", value) for value in arguments)],
                auth=None,
                data=None,
                headers=None,
                timeout=(self.config.connect_s, seconds or self.config.stall_s),
                chunk_size=self.config.piece_bytes,
            )
            # What has come, without waiting for a piece to fill: a trickle must show.
            while piece := closables[0].raw.read1(self.config.piece_bytes):
                yield piece
        except ERRORS as error:
            raise self.explain(error, path) from error
        finally:
            for closable in closables:
                if closable is not self._http._session:
                    closable.close()

    def explain(self, error: Exception, path: str) -> StorageError:
        """An error of the HTTP stack as one of ours."""
        where = f"IPFS RPC {self.config.api}"
        if isinstance(error, exceptions.ErrorResponse):
            words = str(error.args[0]).strip() if error.args else "no reason given"
            kind = ContentMissing if any(text in words for text in ABSENT) else IpfsRefused
            return kind(f"{where} answers {path} with: {words}")
        if isinstance(error, exceptions.StatusError):
            return IpfsRefused(f"{where} refuses {path}: {error.original}; is it a Kubo RPC?")
        if isinstance(error, exceptions.DecodingError):
            return IpfsUnavailable(f"{where} answers {path} with no JSON; is it a Kubo RPC?")
        if isinstance(error, TIMEOUTS):
            return IpfsSilent(f"{where} is silent on {path} for too long")
        if isinstance(error, exceptions.ConnectionError):
            return IpfsUnavailable(f"no {where}: start one (assay ipfs) or set ASSAY_IPFS_API")
        return IpfsUnavailable(f"{where} broke off its answer to {path}: is it being stopped?")

    @staticmethod
    def _object(value: object, path: str) -> Json:
        if not isinstance(value, dict):
            raise IpfsRefused(f"the RPC answers {path} with {str(value)[:60]!r}, not an object")
        return value

    @staticmethod
    def _single(answer: list[Json], path: str) -> Json:
        if len(answer) != 1:
            raise IpfsRefused(f"the RPC answers {path} with {len(answer)} values, wanted 1")
        return answer[0]


def dashed(options: dict[str, str]) -> dict[str, str]:
    """Option names as Kubo writes them."""
    return {name.replace("_", "-"): value for name, value in options.items()}


ERRORS: Final = (exceptions.Error, requests.RequestException, urllib3.exceptions.HTTPError)
"""What ``ipfshttpclient`` raises, and what it lets through while an answer is being read."""
TIMEOUTS: Final = (exceptions.TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError)
