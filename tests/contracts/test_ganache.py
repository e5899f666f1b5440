"""The same contracts on Ganache, a node that knows nothing after Shanghai."""

from __future__ import annotations

import pytest

from protocol.spec.job import JobStatus, late_split
from scripts import brownie_project
from scripts.evm import EvmNode
from tests.contracts.market import PRICE
from tests.contracts.world import deploy_world

pytestmark = pytest.mark.chain


def test_job__on_ganache__lost_once_then_paid(ganache_node: EvmNode) -> None:
    with brownie_project.connected(ganache_node) as brownie:
        world, _ = deploy_world(brownie)
        terms = world.accepted()
        brownie.chain.sleep(terms.deal.run_seconds + 1)
        world.market.slashLate(*world.args(terms), {"from": world.keeper})
        token, _ = world.lock(terms)
        split = late_split(token, PRICE)
        assert world.owed(world.client, world.registry) == (split.client, 0)
        world.accept(terms, world.rival)
        world.commit(terms, world.rival)
        brownie.chain.sleep(terms.deal.window_seconds + 1)
        world.market.finalize(*world.args(terms), {"from": world.keeper})
        assert world.status(terms) is JobStatus.FINALIZED
        assert world.owed(world.rival) == (PRICE, 0)
        before = world.token.balanceOf(world.rival)
        world.market.withdraw(world.rival, PRICE, {"from": world.rival})
        assert world.token.balanceOf(world.rival) == before + PRICE
