"""JSON-RPC to one node over web3's HTTP provider: retries, batches, errors by class.

What a node says when it cannot or will not answer differs between nodes; the table MESSAGES
turns it into the classes of ``protocol.chain.errors``.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from json import JSONDecodeError
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from web3 import HTTPProvider
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint

from protocol.chain.errors import (
    AlreadyKnown,
    BlockUnavailable,
    ChainError,
    InsufficientFunds,
    Interrupted,
    NodeRefused,
    NodeUnavailable,
    NonceTooLow,
    RangeTooLarge,
    Underpriced,
)

BUSY_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses that may be gone at the next try."""

BUSY_CODES: Final = frozenset({-32005, 429})
"""JSON-RPC error codes of rate limits."""

POOR: Final = ("insufficient funds", "insufficient balance", "enough funds to send tx")
"""What nodes say, also in the words of a failed execution, of an account without the value."""

MESSAGES: Final[tuple[tuple[str, type[ChainError]], ...]] = (
    ("nonce too low", NonceTooLow),
    ("doesn't have the correct nonce", NonceTooLow),
    ("nonce is too low", NonceTooLow),
    ("already known", AlreadyKnown),
    ("already imported", AlreadyKnown),
    ("known transaction", AlreadyKnown),
    ("underpriced", Underpriced),
    ("less than block base fee", Underpriced),
    ("less than the block's basefeepergas", Underpriced),
    ("gas price too low", Underpriced),
    *((part, InsufficientFunds) for part in POOR),
    ("header not found", BlockUnavailable),
    ("unknown block", BlockUnavailable),
    ("block not found", BlockUnavailable),
    ("blockoutofrange", BlockUnavailable),
    ("query returned more than", RangeTooLarge),
    ("block range", RangeTooLarge),
    ("range is too large", RangeTooLarge),
    ("too many results", RangeTooLarge),
    ("response size", RangeTooLarge),
    ("rate limit", NodeUnavailable),
    ("too many requests", NodeUnavailable),
    ("timed out", NodeUnavailable),
)
"""(part of a node's message in lower case, the class), first match wins."""


class CallReverted(ChainError):
    """A call ran and was refused; ``data`` are the bytes of the refusal."""

    def __init__(self, message: str, data: bytes) -> None:
        super().__init__(message)
        self.data = data


def _hex_bytes(text: object) -> bytes | None:
    if isinstance(text, str) and text.startswith("0x"):
        try:
            return bytes.fromhex(text[2:])
        except ValueError:
            return None
    return None


def classify(method: str, error: object) -> ChainError:
    """The exception for the ``error`` member of a JSON-RPC answer."""
    if not isinstance(error, dict):
        return NodeUnavailable(f"got the error {error!r} for {method}; a JSON object is wanted")
    message, code, data = str(error.get("message", "")), error.get("code"), error.get("data")
    lower = message.lower()
    if isinstance(data, dict):  # Ganache's estimates
        data = data.get("result", data.get("data"))
    refused = _hex_bytes(data)
    poor = not refused and any(part in lower for part in POOR)
    if not poor and (code == 3 or "revert" in lower or "vm exception" in lower):
        return CallReverted(message, refused or b"")
    for part, kind in MESSAGES:
        if part in lower:
            if kind is RangeTooLarge:
                return RangeTooLarge(f"the node refuses {method}: {message}", code)
            return kind(f"the node refuses {method}: {message}")
    if code in BUSY_CODES:
        return NodeUnavailable(f"the node limits requests ({method}: {message}): ask less often")
    return NodeRefused(
        f"the node refuses {method}: {message or error!r} (code {code})",
        code if isinstance(code, int) else None,
    )


def _on_this_machine(url: str) -> bool:
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


class Rpc:
    """One node.  Calls are repeated after connection errors, timeouts and rate limits.

    ``timeout`` bounds one request; ``attempts`` counts tries, with pauses of ``backoff`` seconds,
    doubled each time up to ``backoff_max``.  ``stop``, when set, ends pauses (Interrupted).
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 10.0,
        attempts: int = 4,
        backoff: float = 0.25,
        backoff_max: float = 4.0,
        batch: int = 100,
        stop: threading.Event | None = None,
    ) -> None:
        self.url = url
        self.stop = stop or threading.Event()
        self._attempts, self._backoff, self._most, self._batch = (
            attempts, backoff, backoff_max, batch,
        )  # fmt: skip
        self._session = requests.Session()
        self._provider = HTTPProvider(
            url,
            request_kwargs={"timeout": timeout},
            session=self._session,
            exception_retry_configuration=None,
        )

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()

    def pause(self, seconds: float) -> None:
        """Waits, but not beyond a stop.  Raises Interrupted when one is asked for."""
        if self.stop.wait(seconds):
            raise Interrupted("a stop was asked for: what was begun is found again at the start")

    def _once(self, requests_: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        names = ", ".join(sorted({method for method, _ in requests_}))
        try:
            if len(requests_) == 1:
                method, params = requests_[0]
                got: Any = [self._provider.make_request(RPCEndpoint(method), params)]
            else:
                got = self._provider.make_batch_request(
                    [(RPCEndpoint(method), params) for method, params in requests_]
                )
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            said = f"the node at {self.url} answers {names} with HTTP {status}"
            if status in BUSY_STATUS:
                raise NodeUnavailable(f"{said}: it is down or limits requests") from error
            raise NodeRefused(f"{said}: check the address and its key", status) from error
        except (requests.RequestException, JSONDecodeError, UnicodeDecodeError) as error:
            local = isinstance(error, requests.ConnectionError) and _on_this_machine(self.url)
            hint = " (assay devnet runs a whole market on this machine)" if local else ""
            raise NodeUnavailable(
                f"no usable answer from the node at {self.url} ({type(error).__name__}): start "
                f"it{hint}, or check the address"
            ) from error
        except Web3Exception as error:
            raise NodeUnavailable(f"the node at {self.url} answers nonsense: {error}") from error
        if not isinstance(got, list):
            got = [got]
        answers = []
        for answer in got:
            if not isinstance(answer, dict) or ("error" not in answer and "result" not in answer):
                raise NodeUnavailable(
                    f"got {str(answer)[:80]!r} from {self.url} for {names}; JSON-RPC is wanted"
                )
            if answer.get("error") is not None:
                raise classify(names, answer["error"])
            answers.append(answer.get("result"))
        if len(answers) != len(requests_):
            raise NodeUnavailable(
                f"got {len(answers)} answers from {self.url}, wanted {len(requests_)}"
            )
        return answers

    def many(self, requests_: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        """Results in order, in batches.  Raises as ``call``; one failure fails all."""
        results: list[Any] = []
        for start in range(0, len(requests_), self._batch):
            chunk = requests_[start : start + self._batch]
            for attempt in range(1, self._attempts + 1):
                try:
                    results += self._once(chunk)
                    break
                except NodeUnavailable:
                    if attempt == self._attempts:
                        raise
                    self.pause(min(self._backoff * 2 ** (attempt - 1), self._most))
        return results

    def call(self, method: str, *params: Any) -> Any:
        """The result of one method.

        Raises NodeUnavailable after the last try, CallReverted, or what MESSAGES says.
        """
        return self.many([(method, params)])[0]

    def text(self, method: str, *params: Any) -> str:
        """``call`` for a method that answers text (a quantity, a hash).  Raises NodeUnavailable."""
        answer = self.call(method, *params)
        if not isinstance(answer, str):
            raise NodeUnavailable(f"got {answer!r} from {self.url} for {method}, wanted text")
        return answer

    def number(self, method: str, *params: Any) -> int:
        """``call`` for a method that answers a quantity.  Raises NodeUnavailable."""
        answer = self.text(method, *params)
        try:
            return int(answer, 16)
        except ValueError as error:
            raise NodeUnavailable(
                f"got {answer!r} from {self.url} for {method}, wanted a quantity"
            ) from error
