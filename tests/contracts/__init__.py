"""The contracts, through Brownie on Anvil: every function, event and revert."""

from __future__ import annotations
