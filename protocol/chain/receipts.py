"""Transactions of the past: who sent them, to whom, with what, and what they cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from protocol.chain.chain import Chain, hex_bytes, quantity
from protocol.chain.errors import Reorganised


@dataclass(frozen=True)
class Sent:
    """One mined transaction.

    ``to`` is empty where it made a contract; ``gas`` is what it used, ``paid`` that in wei.
    """

    tx: bytes
    sender: bytes
    to: bytes
    data: bytes
    gas: int
    paid: int
    block: int


def sent(chain: Chain, hashes: Iterable[bytes]) -> dict[bytes, Sent]:
    """Transactions by hash.  Raises Reorganised for one that is not, or no longer, mined."""
    asked = ["0x" + tx.hex() for tx in dict.fromkeys(hashes)]
    calls = [("eth_getTransactionByHash", (tx,)) for tx in asked]
    receipts = [("eth_getTransactionReceipt", (tx,)) for tx in asked]
    answers = chain.rpc.many([*calls, *receipts])
    out = {}
    for name, tx, receipt in zip(asked, answers, answers[len(asked) :], strict=False):
        if not isinstance(tx, dict) or not isinstance(receipt, dict):
            raise Reorganised(f"transaction {name} was replaced: read again")
        gas = quantity(receipt["gasUsed"])
        # Nodes without EIP-1559 tell only the price that was offered.
        price = quantity(receipt.get("effectiveGasPrice") or tx["gasPrice"])
        out[hex_bytes(name)] = Sent(
            hex_bytes(name), hex_bytes(tx["from"], 20), hex_bytes(tx["to"] or "0x"),
            hex_bytes(tx["input"]), gas, gas * price, quantity(receipt["blockNumber"]),
        )  # fmt: skip
    return out
