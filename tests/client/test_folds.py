"""Sums, extrema, norms, softmax and products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from protocol.spec.types import Fold, Kind
from tests.client.running import check, kinds, run

torch.manual_seed(2)
X = torch.randn(3, 5, 6)
BOOLS = torch.rand(3, 5) > 0.7
WHOLE = torch.randint(-9, 9, (3, 5))

FOLDS: dict[str, Callable[[Tensor], Any]] = {
    "sum": lambda x: (x.sum(), x.sum(1), x.sum((0, 2)), x.sum(-1, keepdim=True)),
    "mean": lambda x: (x.mean(), x.mean(1), x.mean((1, 2), keepdim=True)),
    "extrema": lambda x: (x.amax(1), x.amin((0, 1)), x.max(), x.min()),
    "max with index": lambda x: (*x.max(1), *x.min(2, keepdim=True)),
    "argmax": lambda x: (x.argmax(1), x.argmin(-1), x.argmax()),
    "variance": lambda x: (x.var(1), x.std(2, correction=0), *torch.var_mean(x, 0)),
    "norms": lambda x: (x.norm(dim=1), x.abs().sum(1), torch.linalg.vector_norm(x, 1, 2)),
    "normalize": lambda x: F.normalize(x, dim=-1),
    "softmax": lambda x: (x.softmax(-1), x.softmax(1), F.log_softmax(x, 0)),
    "logsumexp": lambda x: x.logsumexp(1),
    "layer norm": lambda x: F.layer_norm(x, (6,)),
    "layer norm over two axes": lambda x: F.layer_norm(x, (5, 6)),
    "rms norm": lambda x: F.rms_norm(x, (6,)),
    "group norm": lambda x: F.group_norm(x.reshape(3, 6, 5), 2),
    "permuted": lambda x: x.permute(2, 0, 1).reshape(6, 15).sum(1),
}


@pytest.mark.parametrize("name", FOLDS)
def test_compile__folds__close_to_pytorch(name: str) -> None:
    check(FOLDS[name], X, rtol=1e-5, atol=2e-6)


def test_compile__integer_and_bool_folds__equal_to_pytorch() -> None:
    check(
        lambda b, i: (b.any(1), b.all(), b.sum(0), i.sum(1), i.amax(0), i.argmax(1), i.max(1)[0]),
        BOOLS,
        WHOLE,
    )


def test_compile__batch_norm__folded_to_channel_constants() -> None:
    norm = nn.BatchNorm1d(5)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    compiled = check(norm, X, rtol=1e-5, atol=1e-6)
    assert kinds(compiled) == ["MAP"]


@pytest.mark.parametrize("length", [512, 700, 1000, 4096])
def test_compile__long_sum__split_into_subtrees_with_the_same_bits(length: int) -> None:
    x = torch.randn(2, length)
    compiled = check(lambda x: (x.exp() + x).sum(1), x, rtol=1e-5)
    assert sum(t.fold is Fold.FSUM for t in compiled.program.templates) >= 2
    whole = x.exp() + x
    tree = check(lambda y: y.sum(1), whole, rtol=1e-5)
    assert abs(float(run(compiled, x)[0][0]) - float(run(tree, whole)[0][0])) < 1e-3


def test_compile__split_sum__bit_equal_to_one_tree() -> None:
    """Adjacent pairs by hand against the two-stage sum."""
    x = torch.randn(1, 3000)
    got = run(check(lambda x: x.sum(1), x, rtol=1e-4), x)[0]
    level = x[0]
    while len(level) > 1:
        paired = len(level) // 2 * 2
        level = torch.cat([level[0:paired:2] + level[1:paired:2], level[paired:]])
    assert float(got[0]) == float(level[0])


def test_compile__long_extrema__split_and_equal() -> None:
    x = torch.randn(2, 5000)
    x[0, 4321] = x[0, 77] = 9.0
    x[1, 4999] = 9.0
    compiled = check(lambda x: (x.amax(1), x.amin(1), x.argmax(1), *x.max(1)), x)
    assert sum(t.fold is Fold.ARGMAX for t in compiled.program.templates) >= 2


def test_compile__long_strided_sum__split() -> None:
    x = torch.randn(700, 300)
    check(lambda x: x.sum(0), x, rtol=1e-4, atol=1e-4)


# --- products -----------------------------------------------------------------------------------


def test_compile__mlp__three_operations_a_layer() -> None:
    mlp = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 7), nn.Sigmoid())
    compiled = check(mlp, torch.randn(5, 20), atol=1e-4)
    assert kinds(compiled) == ["REDUCE", "MAP", "DOT"] * 2


@pytest.mark.parametrize(
    "precision,atol", [("i16", 3e-4), ("i14", 1e-3), ("i8w", 0.05), ("i8", 0.1)]
)
def test_compile__precisions__within_their_tolerance(precision: str, atol: float) -> None:
    compiled = check(nn.Linear(64, 16), torch.randn(9, 64), atol=atol, precision=precision)
    dot = next(t for t in compiled.program.templates if t.kind is Kind.DOT)
    bounds = {"i16": (32639, 8127), "i14": (8127, 8127), "i8w": (32639, 127), "i8": (127, 127)}
    assert (dot.bound_a, dot.bound_b) == bounds[precision]


PRODUCTS: dict[str, tuple[Callable[..., Any], tuple[Tensor, ...]]] = {
    "mm": (lambda a, b: a @ b, (torch.randn(4, 9), torch.randn(9, 5))),
    "bmm": (torch.bmm, (torch.randn(3, 4, 9), torch.randn(3, 9, 5))),
    "broadcast": (lambda a, b: a @ b, (torch.randn(2, 3, 4, 9), torch.randn(3, 9, 5))),
    "vectors": (lambda a, b: (a @ b, b @ a.t(), b @ b), (torch.randn(4, 9), torch.randn(9))),
    "transposed": (lambda a, b: a @ b.t(), (torch.randn(4, 9), torch.randn(5, 9))),
    "constant first": (lambda a: torch.ones(3, 4) @ a, (torch.randn(4, 9),)),
    "addmm": (lambda a, b, c: torch.addmm(c, a, b, beta=2, alpha=0.5),
              (torch.randn(4, 9), torch.randn(9, 5), torch.randn(5))),
    "outer": (lambda a, b: a[:, None] @ b[None], (torch.randn(4), torch.randn(5))),
    "einsum": (lambda a, b: torch.einsum("bij,bkj->bik", a, b),
               (torch.randn(2, 3, 7), torch.randn(2, 4, 7))),
    "two products added": (lambda a, b: (a @ b + b.t() @ a.t().contiguous()[:, :9].t()),
                           (torch.randn(9, 9), torch.randn(9, 9))),
}  # fmt: skip


@pytest.mark.parametrize("name", PRODUCTS)
def test_compile__products__close_to_pytorch(name: str) -> None:
    function, args = PRODUCTS[name]
    check(function, *args, atol=2e-3)


def test_compile__shared_operand__quantised_once() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.q(x) + self.k(x) * self.v(x)
            return out

    compiled = check(Shared(), torch.randn(2, 3, 8), atol=1e-3)
    assert kinds(compiled).count("DOT") == 3
    assert sum(t.dtype.name == "I16" for t in compiled.program.templates) == 1


def test_compile__contraction_beyond_one_dot__chunks_with_the_same_sum() -> None:
    layer = nn.Linear(20_000, 2, bias=False)
    compiled = check(layer, torch.randn(2, 20_000), atol=5e-3)
    assert sum(t.fold is Fold.ISUM for t in compiled.program.templates) == 1


def test_compile__weights__shipped_quantised_only() -> None:
    compiled = check(nn.Linear(64, 16), torch.randn(3, 64), atol=1e-3)
    held = [(d.dtype.name, d.shape, d.bound) for d in compiled.program.constants]
    assert held == [("I16", (16, 64), 8127), ("F32", (16,), 0), ("F32", (16,), 0)]
