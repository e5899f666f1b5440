"""A second account of somebody, who takes what an honest challenger found."""

from __future__ import annotations

from typing import Any

from tests.contracts.market import Market


class Sybil:
    """Sees the calls of an honest challenger before they are mined, and sends the same.

    The lie: that it found the fault.  A proof speaks for the challenge whose number it carries, so
    that the copy earns its sender nothing, first or not; what leads to the proof is its
    challenger's alone: ``NotChallenger``.
    """

    def __init__(self, world: Market, account: Any) -> None:
        self.world = world
        self.account = account

    def play(self, moves: list[str]) -> None:
        """A whole way to the proof, in one call."""
        self.world.game.play(moves, True, {"from": self.account})

    def overtake(self, victim: Any, data: str) -> list[Any]:
        """The victim's call in its block, for a higher tip; the receipts of both."""
        rpc = self.world.brownie.web3.provider.make_request
        rpc("evm_setAutomine", [False])
        try:
            hashes = []
            for account, tip in ((victim, 2), (self.account, 20)):
                message = {
                    "from": account.address, "to": self.world.game.address, "data": data,
                    "gas": hex(3_000_000), "maxFeePerGas": hex((50 + tip) * 10**9),
                    "maxPriorityFeePerGas": hex(tip * 10**9),
                }  # fmt: skip
                hashes.append(rpc("eth_sendTransaction", [message])["result"])
            rpc("evm_mine", [])
        finally:
            rpc("evm_setAutomine", [True])
        return [rpc("eth_getTransactionReceipt", [each])["result"] for each in hashes]
