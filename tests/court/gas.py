"""Gas of the court's calls, and its size, on an Anvil of its own.

``python -m tests.court.gas`` writes the figures anew to tests/snapshots/court.json.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np

from protocol.spec import trees
from protocol.spec.answers import Part
from scripts import brownie_project, evm
from tests.actors.case import Case, case_of
from tests.contracts.market import Market, address
from tests.court.onchain import CourtTable, answerer_of
from tests.game.onchain import deploy_game_world
from tests.game.world import case, wide

SNAPSHOT: Final = Path(__file__).parents[1] / "snapshots" / "court.json"


def noise() -> Case:
    """``wide`` over an input without a zero byte: what costs most in calldata."""
    example = wide()
    draw = Random(1)
    raw = bytes(draw.randint(1, 255) for _ in range(example.inputs[0].nbytes))
    tensor = np.frombuffer(raw, "<f4").reshape(example.inputs[0].shape)
    return case_of(replace(example, inputs=[tensor]))


def measure(world: Market) -> dict[str, int]:
    """Gas by call."""
    keeper, provider = address(world.keeper), address(world.provider)
    gas: dict[str, int] = {}

    def call(name: str, table: CourtTable, *arguments: Any, who: bytes) -> None:
        """By name: ``what: function``."""
        receipt = table._call(name.split(": ")[-1], *arguments, who=who)
        table.now = int(receipt.timestamp)
        gas[name] = int(receipt.gas_used)

    of = noise()
    table = CourtTable(world, of, of.truth)
    places = {"first": (Part.INPUT, 0, 0), "second": (Part.INPUT, 0, 1)}
    for name, place in places.items():
        call(f"{name}: demand", table, *place, who=keeper)
    for name, place in places.items():
        answer = answerer_of(of).answer(*place)
        call(f"16 KiB, {name}: answer", table, *place, answer, who=provider)
    for part in (Part.HEADER, Part.TEMPLATE, Part.INSTANCE):
        call(f"{part.name}: demand", table, part, 0, 0, who=keeper)
        answer = answerer_of(of).answer(part, 0, 0)
        call(f"{part.name}: answer", table, part, 0, 0, answer, who=provider)
    call("no such tensor: demand", table, Part.INPUT, 1, 0, who=keeper)
    answer = answerer_of(of).answer(Part.INPUT, 1, 0)
    call("no such tensor: answer", table, Part.INPUT, 1, 0, answer, who=provider)

    others = (world.client, world.rival, world.stranger, world.provider, world.keeper)
    challenging = [address(account) for account in others]
    of = case("mlp")
    garbage = replace(of.truth, outputs=[trees.keccak256(b"garbage")])
    for nonce, challengers in ((2, 0), (3, 12)):
        table = CourtTable(world, of, garbage, nonce=nonce)
        for k in range(challengers):
            table.send("challenge", who=challenging[k % len(challenging)])
        call(f"{challengers} challengers: demand", table, Part.OUTPUT, 0, 0, who=keeper)
        table.wait_until(world.court.demandOf(table.claim_id, 1)[1] + 1)
        call(f"{challengers} challengers: timeout", table, 1, who=keeper)
        call(f"{challengers} challengers: collect", table, [1], who=keeper)
        world.accept(table.terms, world.rival)
        call(f"accepted, after {challengers}: proveIllegal", table, True, who=keeper)
    table = CourtTable(world, of, garbage, nonce=4)
    for k in range(12):
        table.send("challenge", who=challenging[k % len(challenging)])
    call("12 challengers: proveIllegal", table, True, who=keeper)
    return gas


def figures() -> dict[str, dict[str, int]]:
    """All figures, from a fresh chain: the same every time."""
    with evm.anvil() as node, brownie_project.connected(node) as brownie:
        world = deploy_game_world(brownie, believer=True)
        data, _ = world.court.referees()
        places = {"Court": world.court.address, "DataReferee": data}
        code = brownie.web3.eth.get_code
        sizes = {contract: len(code(at)) for contract, at in places.items()}
        return {"gas": measure(world), "bytes": sizes}


def main() -> int:
    """Writes the figures."""
    SNAPSHOT.write_text(json.dumps(figures(), indent=2) + "\n")
    print(f"wrote {SNAPSHOT}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
