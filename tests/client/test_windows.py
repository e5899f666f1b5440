"""Convolution, pooling, cumulative sums, partial writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from protocol.spec.types import Kind
from tests.client.running import check, kinds

torch.manual_seed(7)
X = torch.randn(2, 4, 7, 6)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3, padding=1),
        nn.Conv2d(4, 6, 3, stride=2, padding=(1, 0), dilation=(1, 2), bias=False),
        nn.Conv2d(4, 6, 1),
        nn.Conv2d(4, 6, 3, groups=2),
        nn.Conv2d(4, 8, 3, groups=4, padding=1),
        nn.Conv2d(4, 6, 3, padding="same"),
    ],
    ids=lambda layer: str(layer),
)
def test_compile__convolution__close_to_pytorch(layer: nn.Module) -> None:
    check(layer, X, atol=1e-3)


def test_compile__convolution_of_lines_and_single_images__close_to_pytorch() -> None:
    check(nn.Conv1d(4, 6, 3, padding=1, stride=2), torch.randn(2, 4, 9), atol=1e-3)
    check(nn.Conv2d(4, 6, 3), X[0], atol=1e-3)
    check(nn.Conv2d(1, 3, 3), torch.randn(2, 1, 5, 5), atol=1e-3)


def test_compile__convolution__quantises_an_image_once() -> None:
    compiled = check(nn.Conv2d(4, 6, 3, padding=1), X, atol=1e-3)
    assert kinds(compiled) == ["REDUCE", "MAP", "DOT"]
    dot = next(t for t in compiled.program.templates if t.kind is Kind.DOT)
    assert dot.terms == 36


def test_compile__small_residual_network__close_to_pytorch() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
            self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = F.max_pool2d(self.norm(self.first(x)).relu(), 2)
            x = x + self.second(x).relu()
            out: Tensor = self.head(x.mean((2, 3)))
            return out

    check(Network(), torch.randn(2, 3, 8, 8), atol=1e-3)


OTHERS: dict[str, Callable[[Tensor], Any]] = {
    "max pool": lambda x: (
        F.max_pool2d(x, 2),
        *F.max_pool2d(x, 3, stride=2, padding=1, return_indices=True),
        F.max_pool2d(x, (2, 3), dilation=(2, 1), ceil_mode=True),
    ),
    "average pool": lambda x: (
        F.avg_pool2d(x, 2),
        F.avg_pool2d(x, 3, 2, 1),
        F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        F.adaptive_avg_pool2d(x, (7, 2)),
        F.adaptive_avg_pool2d(x, 1),
    ),
    "resize": lambda x: (
        F.interpolate(x, scale_factor=2),
        F.interpolate(x, size=(5, 9), mode="bilinear"),
        F.interpolate(x, scale_factor=2, mode="bicubic"),
    ),
    "instance norm": lambda x: F.instance_norm(x),
    "diagonals": lambda x: (x.diagonal(1, 2, 3), x.diagonal(-1, 0, 1), torch.eye(7) @ x),
    "cumsum": lambda x: (x.cumsum(1), x.cumsum(2), x.long().cumsum(-1)),
    "partial writes": lambda x: (
        torch.select_scatter(x, x[:, 0] * 2, 1, 3),
        torch.slice_scatter(x, x[:, :2] * 2, 1, 1, 3),
        x.scatter(1, x.long()[:, :1] % 4, 5.0),
        x.index_put((torch.tensor(1),), x[0] * 2),
        x.index_copy(2, torch.tensor([3]), x[:, :, :1] * 2),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_compile__windows_and_writes__close_to_pytorch(name: str) -> None:
    check(OTHERS[name], X, rtol=1e-5, atol=1e-4 if name == "diagonals" else 1e-5)
