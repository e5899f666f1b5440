"""Gas of disputes against the figures in git."""

from __future__ import annotations

import json

import pytest

from protocol.spec.dispute import MADE_WHOLE
from scripts import brownie_project, evm
from tests.actors import liars
from tests.actors.challenger import Challenger, play
from tests.actors.provider import Stubborn
from tests.contracts.market import address
from tests.differential.test_bounds import SETTLEMENT
from tests.game.gas import LONG, SNAPSHOT, figures
from tests.game.onchain import ChainTable, deploy_game_world
from tests.game.world import case

pytestmark = pytest.mark.chain


def test_dispute__every_kind_of_fault__costs_what_git_says() -> None:
    got = figures()
    wanted = json.loads(SNAPSHOT.read_text())
    for name, moves in wanted.items():
        for move, gas in moves.items():
            # What elements cost is watched by the figures of the referee's libraries.
            assert abs(got[name][move] - gas) <= gas // 50, (name, move, got[name][move], gas)
    assert got.keys() == wanted.keys()
    for name, moves in got.items():
        if name != "bytes":
            assert moves["total"] <= 2_000_000, name
            assert moves["transactions"] <= 22, name
    assert list(got[LONG].values())[-3] <= 1_000_000, "its proof, the claim's fall included"
    assert max(got["bytes"].values()) <= 24_576


def test_prove__others_are_paid_for_the_first_time__costs_what_bounds_count() -> None:
    """The referee of a next-state does next to nothing: the rest is what the game does."""
    with evm.anvil() as node, brownie_project.connected(node) as brownie:
        world = deploy_game_world(brownie)
        of = case("counter")
        claimed = liars.wrong_state(3, 0)(of)
        table = ChainTable(world, of, claimed)
        for _ in range(MADE_WHOLE + 1):
            new = brownie.accounts.add()
            brownie.accounts[0].transfer(new, 10**19)
            world.token.mint(new, 10**24, {"from": new})
            world.token.approve(world.game, 10**24, {"from": new})
            table.accounts[address(new)] = new
            table.move("challenge", who=address(new))
        me = address(world.keeper)
        number = table.move("challenge", who=me)
        play(table, number, Challenger(of, me), Stubborn(claimed, address(world.provider)))
        move, gas = table.gas[-1]
        assert move == "prove"
        assert SETTLEMENT - 20_000 <= gas <= SETTLEMENT
