"""Every test of results runs twice: with the compiled kernels and with the plain functions."""

from __future__ import annotations

import pytest

from protocol.hashing import fast


@pytest.fixture(scope="session")
def compiled() -> fast.Kernel:
    """The compiled kernels, which must pass their self-test here."""
    kernel = fast.load()
    assert kernel is not None
    return kernel


@pytest.fixture(params=["compiled", "plain"])
def path(
    request: pytest.FixtureRequest, compiled: fast.Kernel, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Which way hashing goes during a test."""
    kernel = compiled if request.param == "compiled" else None
    monkeypatch.setattr(fast, "LOADER", fast.Loader.of(kernel))
    return str(request.param)
