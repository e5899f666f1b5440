"""What is repeated, what stops, and what each node's words mean."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from protocol.chain import errors
from protocol.chain.abi import AbiError
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
    retries,
)
from protocol.chain.event import HistoryBroken
from protocol.chain.reverts import TooEarly
from protocol.chain.rpc import CallReverted, Rpc, classify
from tests.chain.faulty_node import FaultyNode, faulty_node


@pytest.fixture
def node() -> Iterator[FaultyNode]:
    with faulty_node() as made:
        yield made


@pytest.fixture
def rpc(node: FaultyNode) -> Iterator[Rpc]:
    made = Rpc(node.url, timeout=0.5, attempts=3, backoff=0.01, batch=4)
    yield made
    made.close()


@pytest.mark.parametrize("fault", [429, 500, 502, 503, 504, b"", b"<html>", b"[]", b"{}", 1.0])
def test_call__fault_that_passes__is_repeated(
    node: FaultyNode, rpc: Rpc, fault: int | bytes | float
) -> None:
    node.faults = [fault, fault]
    assert rpc.number("eth_blockNumber") == 1
    assert len(node.requests) == 3


def test_call__fault_that_stays__is_unavailable_after_the_last_try(
    node: FaultyNode, rpc: Rpc
) -> None:
    node.faults = [429] * 9
    with pytest.raises(NodeUnavailable, match="HTTP 429"):
        rpc.call("eth_blockNumber")
    assert len(node.requests) == 3


def test_call__nobody_listens__says_so() -> None:
    rpc = Rpc("http://127.0.0.1:9", attempts=2, backoff=0.01)
    with pytest.raises(NodeUnavailable, match="127.0.0.1:9"):
        rpc.call("eth_blockNumber")
    rpc.close()


def test_call__forbidden__stops_at_once(node: FaultyNode, rpc: Rpc) -> None:
    node.faults = [403]
    with pytest.raises(NodeRefused, match="HTTP 403"):
        rpc.call("eth_blockNumber")
    assert len(node.requests) == 1


def test_call__error_answer__stops_at_once(node: FaultyNode, rpc: Rpc) -> None:
    node.error("the method does not exist", -32601)
    with pytest.raises(NodeRefused, match="does not exist"):
        rpc.call("eth_nothing")
    assert len(node.requests) == 1


def test_call__rate_limit_in_the_answer__is_repeated(node: FaultyNode, rpc: Rpc) -> None:
    node.error("slow down", -32005)
    with pytest.raises(NodeUnavailable, match="ask less often"):
        rpc.call("eth_blockNumber")
    assert len(node.requests) == 3


def test_call__stop_while_it_waits__ends_the_wait(node: FaultyNode) -> None:
    stop = threading.Event()
    rpc = Rpc(node.url, attempts=5, backoff=30.0, backoff_max=30.0, stop=stop)
    node.faults = [503] * 9
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(Interrupted):
        rpc.call("eth_blockNumber")
    rpc.close()


def test_many__more_than_a_batch__come_back_in_order(node: FaultyNode, rpc: Rpc) -> None:
    node.answer = lambda request: {"result": request["params"][0]}
    wanted = [hex(k) for k in range(10)]
    assert rpc.many([("echo", (text,)) for text in wanted]) == wanted
    assert [len(r) if isinstance(r, list) else 1 for r in node.requests] == [4, 4, 2]


def test_many__one_answer_missing__is_repeated(node: FaultyNode, rpc: Rpc) -> None:
    node.faults = [b'[{"jsonrpc": "2.0", "id": 0, "result": "0x0"}]']
    node.answer = lambda request: {"result": request["params"][0]}
    assert rpc.many([("echo", ("a",)), ("echo", ("b",))]) == ["a", "b"]


@pytest.mark.parametrize("answer", [None, 5, [], "0xzz"])
def test_number__no_quantity__is_unavailable(node: FaultyNode, rpc: Rpc, answer: object) -> None:
    node.answer = lambda request: {"result": answer}
    with pytest.raises(NodeUnavailable, match="wanted"):
        rpc.number("eth_blockNumber")


CASES: list[tuple[dict[str, Any], type[ChainError]]] = [
    ({"message": "nonce too low", "code": -32003}, NonceTooLow),
    ({"message": "the tx doesn't have the correct nonce. account has nonce of: 1"}, NonceTooLow),
    ({"message": "already known"}, AlreadyKnown),
    ({"message": "transaction already imported", "code": -32003}, AlreadyKnown),
    ({"message": "replacement transaction underpriced"}, Underpriced),
    ({"message": "max fee per gas less than block base fee"}, Underpriced),
    ({"message": "Insufficient funds for gas * price + value"}, InsufficientFunds),
    ({"message": "VM Exception while processing transaction: insufficient balance"},
     InsufficientFunds),
    ({"message": "sender doesn't have enough funds to send tx. The upfront cost is"},
     InsufficientFunds),
    ({"message": "header not found"}, BlockUnavailable),
    ({"message": "BlockOutOfRangeError: block height is 0"}, BlockUnavailable),
    ({"message": "query returned more than 10000 results", "code": -32005}, RangeTooLarge),
    ({"message": "exceed maximum block range: 5000"}, RangeTooLarge),
    ({"message": "too many requests"}, NodeUnavailable),
    ({"message": "execution reverted", "code": 3, "data": "0xdeadbeef"}, CallReverted),
    ({"message": "VM Exception while processing transaction: revert", "data": "0x"},
     CallReverted),
    ({"message": "something else", "code": -32000}, NodeRefused),
]  # fmt: skip


@pytest.mark.parametrize("error, kind", CASES, ids=[case[0]["message"][:40] for case in CASES])
def test_classify__each_nodes_words__are_the_class(
    error: dict[str, Any], kind: type[ChainError]
) -> None:
    assert type(classify("eth_x", error)) is kind


@pytest.mark.parametrize("data", ["0x0102", {"result": "0x0102"}, {"data": "0x0102"}])
def test_classify__revert__carries_the_bytes(data: object) -> None:
    found = classify("eth_call", {"message": "revert", "data": data})
    assert isinstance(found, CallReverted)
    assert found.data == b"\1\2"


def test_classify__no_object__is_unavailable() -> None:
    assert isinstance(classify("eth_x", "oops"), NodeUnavailable)


@pytest.mark.parametrize(
    "error",
    [
        NodeUnavailable("x"), NodeRefused("x"), HistoryBroken("x"), AbiError("x"),
        CallReverted("x", b""), TooEarly("x", {}), errors.GasTooHigh("x"),
    ],
)  # fmt: skip
def test_retries__what_the_next_look_may_not_meet__goes_on(error: ChainError) -> None:
    assert retries(error)


@pytest.mark.parametrize(
    "kind",
    [
        errors.ChainConfigError, errors.DeploymentMissing, errors.WrongChain, errors.WalletError,
        errors.Interrupted,
    ],
)  # fmt: skip
def test_retries__what_somebody_has_to_change__ends(kind: type[ChainError]) -> None:
    assert not retries(kind("x"))
