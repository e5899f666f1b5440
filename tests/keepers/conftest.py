"""The same worlds as the chain's tests have."""

from __future__ import annotations

from tests.chain.conftest import (
    fresh_game,
    fresh_world,
    game_world,
    ganache_world,
    world,
)

__all__ = ["fresh_game", "fresh_world", "game_world", "ganache_world", "world"]
