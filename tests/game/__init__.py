"""The dispute game: the twin alone, and the twin beside the contract on Anvil."""

from __future__ import annotations
