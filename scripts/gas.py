"""Gas of the transactions of one job, from the chain itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from protocol.chain.abi import interface
from protocol.chain.chain import Chain, hex_bytes, quantity


@dataclass(frozen=True)
class Spent:
    """One transaction: what it called, who sent it, what it used."""

    function: str
    sender: bytes
    gas: int
    block: int


def transactions(chain: Chain, first: int) -> list[Spent]:
    """Every transaction to the deployment's contracts from block ``first`` on, in order."""
    last = chain.rpc.number("eth_blockNumber")
    asked = [("eth_getBlockByNumber", (hex(n), True)) for n in range(first, last + 1)]
    found = [tx for block in chain.rpc.many(asked) for tx in block["transactions"]]
    receipts = chain.rpc.many([("eth_getTransactionReceipt", (tx["hash"],)) for tx in found])
    names = chain.deployment.contracts
    out = []
    for tx, receipt in zip(found, receipts, strict=True):
        contract = names.get(hex_bytes(tx["to"]) if tx["to"] else b"")
        if contract is not None:
            out.append(_spent(contract, tx, receipt))
    return out


def _spent(contract: str, tx: dict[str, Any], receipt: dict[str, Any]) -> Spent:
    return Spent(
        interface(contract).decode_input(hex_bytes(tx["input"]))[0],
        hex_bytes(tx["from"], 20),
        quantity(receipt["gasUsed"]),
        quantity(tx["blockNumber"]),
    )


def gas_table(chain: Chain, job: bytes, first: int, name: Callable[[bytes], str]) -> Table:
    """A table of the transactions from block ``first`` on, with their sum."""
    table = Table(title=f"gas of job 0x{job.hex()[:8]}…", title_justify="left")
    for column, side in (("transaction", "left"), ("sent by", "left"), ("gas", "right")):
        table.add_column(column, justify="right" if side == "right" else "left")
    rows = transactions(chain, first)
    for row in rows:
        table.add_row(row.function, name(row.sender), f"{row.gas:,}")
    table.add_section()
    table.add_row("all", "", f"{sum(row.gas for row in rows):,}")
    return table
