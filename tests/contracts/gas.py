"""Gas of every transition and size of every contract, measured on an Anvil of its own.

``python -m tests.contracts.gas`` writes the figures anew to tests/snapshots/gas.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from scripts import brownie_project, evm
from tests.contracts.market import LOCATORS, PRICE, Market, terms_tuple
from tests.contracts.world import deploy_world

SNAPSHOT: Final = Path(__file__).parents[1] / "snapshots" / "gas.json"

JOB: Final = ("post", "accept", "commit", "finalize")
"""The transactions of one job."""


def warm(world: Market) -> None:
    """Everybody has dealt before: no balance, credit or record starts from zero."""
    first = world.committed(nonce=100)
    world.after(first)
    world.market.finalize(*world.args(first), {"from": world.provider})
    for account in (world.client, world.provider, world.keeper):
        world.token.mint(account, 20 * PRICE, {"from": world.deployer})
        world.token.approve(world.market, 2**256 - 1, {"from": account})
        world.market.deposit(10 * PRICE, {"from": account, "value": 10**18})
    lost = world.committed(nonce=101)
    world.reject(lost, payouts=[(world.keeper, 1, 1), (world.stranger, 1, 1)])


def measure(world: Market) -> dict[str, int]:
    """Gas used by each call, by name; ``job`` is the sum of one job's transactions."""
    warm(world)
    gas: dict[str, int] = {}

    def note(name: str, receipt: Any) -> None:
        gas[name] = int(receipt.gas_used)

    market, registry, game = world.market, world.registry, world.game
    client, keeper = {"from": world.client}, {"from": world.keeper}
    judge = {"from": world.stranger}

    terms = world.terms(nonce=1)
    note("post", world.post(terms))
    note("accept", world.accept(terms))
    note("commit", world.commit(terms))
    world.after(terms)
    note("finalize", market.finalize(*world.args(terms), {"from": world.provider}))
    gas["job"] = sum(gas[name] for name in JOB)

    terms = world.terms(nonce=2)
    note("postFromCredit", market.postFromCredit(terms_tuple(terms), LOCATORS, client))
    note("cancel", market.cancel(*world.args(terms), client))
    terms = world.committed(nonce=3)
    claim = world.claim(terms, world.provider)
    note("hold", game.hold(world.key(terms), claim, judge))
    note("release", game.release(world.key(terms), claim, 1, judge))
    world.after(terms)
    note("finalizeByKeeper", market.finalize(*world.args(terms), keeper))
    terms = world.posted(nonce=4)
    world.after(terms)
    note("refund", market.refund(*world.args(terms), keeper))
    terms = world.accepted(nonce=5)
    world.after(terms)
    note("slashLate", market.slashLate(*world.args(terms), keeper))
    note("acceptAgain", world.accept(terms, world.rival))
    terms = world.committed(nonce=6)
    payouts = [(world.keeper, 5, 5), (world.stranger, 7, 7)]
    note("reject", world.reject(terms, payouts=payouts))
    terms = world.committed(nonce=7)
    note("voidJob", game.voidJob(*world.args(terms), payouts, judge))
    note("queueOpening", game.queueOpening(world.provider, 1000, judge))

    note("deposit", market.deposit(1, {**client, "value": 1}))
    note("withdraw", market.withdraw(world.client, 1, client))
    note("withdrawNative", market.withdrawNative(world.client, 1, client))
    note("sweepBurned", registry.sweepBurned(keeper))
    capability = b"\1".rjust(32, b"\0")
    note("register", registry.register(capability, world.rival, b"here", keeper))
    note("stake", registry.stake(1, {"from": world.provider, "value": 1}))
    receipt = registry.unbond(1, 1, {"from": world.provider})
    note("unbond", receipt)
    world.at(receipt.timestamp + registry.UNBONDING_SECONDS() + 1)
    note("claimUnbonded", registry.claimUnbonded({"from": world.provider}))
    return gas


def sizes(world: Market) -> dict[str, int]:
    """Bytes of runtime code."""
    return {
        "JobMarket": len(world.market.bytecode) // 2,
        "ProviderRegistry": len(world.registry.bytecode) // 2,
    }


def figures() -> dict[str, dict[str, int]]:
    """All figures, from a fresh chain: the same every time."""
    with evm.anvil() as node, brownie_project.connected(node) as brownie:
        world, _ = deploy_world(brownie)
        return {"gas": measure(world), "bytes": sizes(world)}


def main() -> int:
    """Writes the figures."""
    SNAPSHOT.parent.mkdir(exist_ok=True)
    SNAPSHOT.write_text(json.dumps(figures(), indent=2) + "\n")
    print(f"wrote {SNAPSHOT}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
