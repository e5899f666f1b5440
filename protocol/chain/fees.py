"""Fees of a transaction: what to offer, and how much more to replace one.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.chain.amounts import exact_gwei
from protocol.chain.errors import FeeTooHigh


@dataclass(frozen=True)
class Fees:
    """Wei per gas.  ``tip`` None: a legacy gas price, on a chain without a base fee."""

    most: int
    tip: int | None = None
    base: int = 0

    @property
    def expected(self) -> int:
        """What a gas will likely cost at the base fee that was seen."""
        return self.most if self.tip is None else min(self.most, self.base + self.tip)

    def fields(self) -> dict[str, int]:
        """The fields of a transaction."""
        if self.tip is None:
            return {"gasPrice": self.most}
        return {"type": 2, "maxFeePerGas": self.most, "maxPriorityFeePerGas": self.tip}


def suggest(base: int | None, tip: int, gas_price: int, cap: int) -> Fees:
    """Fees for now: room for the base fee to double, never beyond ``cap``.

    ``base`` None is a chain without base fees, where ``gas_price`` counts.
    Raises FeeTooHigh when the chain asks for more than the cap already.
    """
    needed = gas_price if base is None else base + 1
    if needed > cap:
        raise FeeTooHigh(
            f"gas costs {exact_gwei(needed)} now, the configured cap is {exact_gwei(cap)}: wait, "
            f"or raise the cap (ASSAY_MAX_FEE_GWEI)"
        )
    if base is None:
        return Fees(gas_price)
    return Fees(min(2 * base + tip, cap), min(tip, cap - base), base)


def bumped(fees: Fees, percent: int, now: Fees, cap: int) -> Fees:
    """Fees that replace a transaction: ``percent`` more of both, at least what ``now`` asks.

    Raises FeeTooHigh when that passes ``cap``.
    """

    def more(value: int) -> int:
        return value + max(value * percent // 100, 1)

    most = max(more(fees.most), now.most)
    if most > cap:
        most = cap
        if more(fees.most) > cap:
            raise FeeTooHigh(
                f"replacing a transaction at {exact_gwei(fees.most)} takes "
                f"{exact_gwei(more(fees.most))}, the configured cap is {exact_gwei(cap)}: wait "
                f"until it is mined, or raise the cap"
            )
    if fees.tip is None or now.tip is None:
        return Fees(most)
    return Fees(most, min(max(more(fees.tip), now.tip), most), now.base)
