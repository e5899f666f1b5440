"""Gas of every move of a dispute over ``mlp``, both sides, on an Anvil of its own.

``python -m tests.game.gas`` writes the figures anew to tests/snapshots/dispute.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from scripts import brownie_project, evm
from tests.actors import liars
from tests.actors.challenger import Challenger, play
from tests.actors.provider import Stubborn
from tests.contracts.market import Market, address
from tests.game.onchain import ChainTable, deploy_game_world
from tests.game.world import case

SNAPSHOT: Final = Path(__file__).parents[1] / "snapshots" / "dispute.json"

LONG: Final = "element of a DOT of 4096"

LIES: Final = {
    "element of a DOT of 70": ("mlp", liars.one_bit_in(0, 2, 58)),
    LONG: ("long_product", liars.one_bit_in(0, 0, 40)),
    "element of a MAP": ("mlp", liars.one_bit_in(0, 1, 300)),
    "element of a REDUCE of 70": ("mlp", liars.one_bit_in(0, 0)),
    "slice write": ("counter", liars.wrong_state(2, 2, 8)),
    "next-state": ("counter", liars.wrong_state(3, 0)),
    "initial state": ("counter", liars.wrong_state(0, 2, 77)),
    "halt": ("counter", liars.halts_early(2)),
    "output": ("counter", liars.wrong_output(1)),
}


def measure(world: Market, nonce: int, name: str) -> dict[str, int]:
    """Gas by move, in order; the total and the number of transactions."""
    program, lie = LIES[name]
    of = case(program)
    claimed = lie(of)
    table = ChainTable(world, of, claimed, nonce=nonce)
    me = address(world.keeper)
    number = table.move("challenge", who=me)
    play(table, number, Challenger(of, me), Stubborn(claimed, address(world.provider)))
    moves = {f"{k + 1:02} {move}": used for k, (move, used) in enumerate(table.gas)}
    return {**moves, "total": sum(moves.values()), "transactions": len(moves)}


def figures() -> dict[str, dict[str, int]]:
    """All figures, each from the same state of a fresh chain."""
    with evm.anvil() as node, brownie_project.connected(node) as brownie:
        world = deploy_game_world(brownie)
        out: dict[str, dict[str, int]] = {}
        for name in LIES:
            brownie.chain.snapshot()
            out[name] = measure(world, 1, name)
            brownie.chain.revert()
        tensor, trace = world.game.referees()
        places = {"DisputeGame": world.game.address, "TensorReferee": tensor}
        places["TraceReferee"] = trace
        code = brownie.web3.eth.get_code
        out["bytes"] = {contract: len(code(at)) for contract, at in places.items()}
        return out


def main() -> int:
    """Writes the figures."""
    SNAPSHOT.write_text(json.dumps(figures(), indent=2) + "\n")
    print(f"wrote {SNAPSHOT}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
