"""Models and inputs are drawn anew for each test, whatever ran before it."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> None:
    """torch's generator in the same state."""
    torch.manual_seed(3)
