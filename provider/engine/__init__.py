"""Runs programs: torch operations on any device, bit-identical to the interpreter."""

from __future__ import annotations

from provider.engine.engine import Engine, Memory, Profile, Start, run
from provider.engine.errors import EngineError, KernelWarning

__all__ = ["Engine", "EngineError", "KernelWarning", "Memory", "Profile", "Start", "run"]
