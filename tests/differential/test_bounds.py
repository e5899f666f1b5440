"""Clause T9 on a chain: no element of a legal program takes more gas or bytes than its bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from protocol.spec import costs
from protocol.spec.costs import MAX_BYTES, MAX_COST, cost
from scripts import brownie_project
from scripts.evm import EvmNode
from tests.differential.bounds import Bound, bounds, proven

pytestmark = pytest.mark.chain

BOUNDS: Final = {b.name: b for b in bounds()}

SETTLEMENT: Final = 490_000
"""Gas of a proof in the game beyond the referee's: of a ``prove`` of a next-state, whose referee
does next to nothing, behind nine challengers who are paid for the first time
(tests/game/test_gas.py measures it)."""

CALL: Final = 1_024
"""Bytes of ``prove`` beyond those of ``judge``."""


@pytest.fixture(scope="module")
def referee(anvil_node: EvmNode) -> Iterator[tuple[Any, Any]]:
    """Brownie and the contract."""
    with brownie_project.connected(anvil_node) as brownie:
        project = brownie_project.load_project()
        yield brownie, project.TensorReferee.deploy({"from": brownie.accounts[0]})


def test_bounds__each__is_near_a_limit() -> None:
    for b in BOUNDS.values():
        worst = cost(b.template)
        assert worst.gas >= 0.8 * MAX_COST or worst.bytes >= 0.8 * MAX_BYTES, (b.name, worst)
    assert len(BOUNDS) >= 25


@pytest.mark.parametrize("bound", BOUNDS.values(), ids=BOUNDS)
def test_cost__worst_element__bounds_what_the_transaction_takes(
    referee: tuple[Any, Any], bound: Bound
) -> None:
    brownie, contract = referee
    call = proven(bound)
    data = "0x" + call.calldata.hex()
    sent = {"from": brownie.accounts[0].address, "to": contract.address, "data": data}
    web3 = brownie.web3
    hash_ = web3.provider.make_request("eth_sendTransaction", [{**sent, "gas": hex(16_000_000)}])
    receipt = web3.eth.wait_for_transaction_receipt(hash_["result"])
    assert receipt["status"] == 1
    # Paths of a program at every limit, and what the game does around the referee.
    used = receipt["gasUsed"] + SETTLEMENT + call.missing * costs.GAS_DATA
    used += call.nodes * costs.GAS_NODE
    zeros = call.calldata.count(0)
    floor = 21_000 + 10 * zeros + 40 * (len(call.calldata) - zeros + call.missing + CALL)
    size = len(call.calldata) + call.missing + CALL
    worst = cost(bound.template)
    print(
        f"{bound.name:28} gas {max(used, floor):>10,} of {worst.gas:>10,}"
        f" {max(used, floor) / worst.gas:5.0%}, bytes {size:>7,} of {worst.bytes:>7,}"
        f" {size / worst.bytes:5.0%}"
    )
    assert max(used, floor) <= worst.gas <= MAX_COST
    assert size <= worst.bytes <= MAX_BYTES
