"""Hundreds of accounts on a chain: their transactions wait together, for full blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

BATCH: Final = 100
"""Requests that travel together."""


@dataclass(frozen=True)
class Sent:
    """One transaction that waits for a block."""

    sender: str
    to: str
    data: str
    gas: int
    value: int = 0


class Crowd:
    """Sends for anybody: Anvil signs for every account.  Inside ``waiting`` nothing is mined but
    by ``mine``."""

    def __init__(self, brownie: Any) -> None:
        self._provider = brownie.web3.provider

    def call(self, method: str, *parameters: Any) -> Any:
        """One request."""
        return _result(self._provider.make_request(method, list(parameters)))

    def calls(self, requests: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Many requests, in order."""
        out: list[Any] = []
        for k in range(0, len(requests), BATCH):
            answers = self._provider.make_batch_request(list(requests[k : k + BATCH]))
            out += [_result(answer) for answer in answers]
        return out

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Transactions wait for ``mine``; anybody can send."""
        self.call("anvil_autoImpersonateAccount", True)
        self.call("evm_setAutomine", False)
        try:
            yield
        finally:
            self.call("evm_setAutomine", True)
            self.call("anvil_autoImpersonateAccount", False)

    def send(self, waiting: Sequence[Sent], price: int) -> list[str]:
        """Hands the transactions in; their hashes."""
        return self.calls([
            ("eth_sendTransaction", [{
                "from": t.sender, "to": t.to, "data": t.data, "gas": hex(t.gas),
                "value": hex(t.value), "gasPrice": hex(price),
            }])
            for t in waiting
        ])  # fmt: skip

    def mine(self, seconds: int = 1, *, at: int | None = None) -> int:
        """One block, ``seconds`` after the last or at a time of its own; its time."""
        if at is None:
            at = self.time() + seconds
        self.call("evm_setNextBlockTimestamp", at)
        self.call("evm_mine")
        return at

    def mine_all(self, hashes: Sequence[str], seconds: int = 1) -> tuple[list[Any], int]:
        """Blocks until all are mined: the receipts, none of a revert, and how many blocks."""
        blocks = 0
        while int(self.call("txpool_status")["pending"], 16):
            self.mine(seconds)
            blocks += 1
        receipts = self.calls([("eth_getTransactionReceipt", [h]) for h in hashes])
        failed = [r["transactionHash"] for r in receipts if r["status"] != "0x1"]
        assert not failed, f"{len(failed)} of {len(hashes)} reverted, the first is {failed[0]}"
        return receipts, blocks

    def time(self) -> int:
        """Of the last block."""
        return int(self.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)


def _result(answer: Any) -> Any:
    assert "error" not in answer, answer["error"]
    return answer["result"]


def gas_of(receipts: Sequence[Any]) -> int:
    """Gas used by all."""
    return sum(int(r["gasUsed"], 16) for r in receipts)
