"""Errors of the engine."""

from __future__ import annotations

from protocol.spec.errors import AssayError


class EngineError(AssayError):
    """The engine cannot run as asked (backend, device, threads)."""


class KernelWarning(UserWarning):
    """A self-test failed: the kernel named is replaced by its exact fallback."""
