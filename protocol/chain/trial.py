"""What a call would do and cost, found out without sending it."""

from __future__ import annotations

from protocol.chain.amounts import exactly
from protocol.chain.chain import Chain, hex_bytes, quantity
from protocol.chain.contracts import Call
from protocol.chain.deployment import checksum
from protocol.chain.errors import (
    BlockUnavailable,
    GasTooHigh,
    InsufficientFunds,
    NodeRefused,
)
from protocol.chain.fees import Fees, suggest
from protocol.chain.flights import Quote
from protocol.chain.reverts import of_bytes
from protocol.chain.rpc import CallReverted


class Trial:
    """Tries calls as from one address."""

    def __init__(self, chain: Chain, address: bytes) -> None:
        self.chain = chain
        self.address = address
        self._config = chain.config
        self._rpc = chain.rpc

    def _fields(self, call: Call) -> dict[str, str]:
        return {
            "from": checksum(self.address),
            "to": checksum(call.to),
            "data": "0x" + call.data.hex(),
            "value": hex(call.value),
        }

    def simulate(self, call: Call, block: str = "pending") -> bytes:
        """What the call would return in the next block.

        Raises a class of ``protocol.chain.reverts`` when a contract refuses, InsufficientFunds
        when the wallet lacks the value.
        """
        try:
            return hex_bytes(self._rpc.call("eth_call", self._fields(call), block))
        except CallReverted as error:
            raise of_bytes(call.what, error.data, str(error)) from None
        except InsufficientFunds as error:
            raise self._poor(call, call.value) from error

    def fees(self) -> Fees:
        """Fees for now.  Raises FeeTooHigh beyond the configured cap."""
        latest = self._rpc.call("eth_getBlockByNumber", "latest", False)
        if not isinstance(latest, dict):
            raise BlockUnavailable("the node knows no newest block: it is starting")
        base = latest.get("baseFeePerGas")
        if base is None:
            return suggest(None, 0, self._rpc.number("eth_gasPrice"), self._config.max_fee)
        try:
            tip = self._rpc.number("eth_maxPriorityFeePerGas")
        except NodeRefused:
            price = self._rpc.number("eth_gasPrice")
            tip = max(price - quantity(base), 1)
        return suggest(quantity(base), tip, 0, self._config.max_fee)

    def quote(self, call: Call, block: str = "pending") -> Quote:
        """Gas and cost of a call that would succeed.  Raises as ``simulate``, and GasTooHigh."""
        try:
            gas = self._rpc.number("eth_estimateGas", self._fields(call), block)
        except CallReverted as error:
            raise of_bytes(call.what, error.data, str(error)) from None
        except InsufficientFunds as error:
            raise self._poor(call, call.value) from error
        most = self._config.max_gas
        if gas > most:
            raise GasTooHigh(f"{call.what} needs {gas} gas; the configured cap is {most}")
        return Quote(gas, self.fees())

    def _poor(self, call: Call, wanted: int) -> InsufficientFunds:
        has = self._rpc.number("eth_getBalance", checksum(self.address), "latest")
        return InsufficientFunds(
            f"{checksum(self.address)} has {exactly(has)}; {call.what} takes up to "
            f"{exactly(wanted)}: send it {exactly(max(wanted - has, 0))} more"
        )
