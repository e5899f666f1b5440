"""Views are folded into loads; gathers, concatenation and padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.client.running import check, kinds

torch.manual_seed(1)
X = torch.randn(2, 6, 4)
TABLE = torch.randn(9, 5)
INDEX = torch.tensor([[0, 8, 3], [3, 3, 1]])

VIEWS: dict[str, Callable[[Tensor], Any]] = {
    "permute": lambda x: x.permute(2, 0, 1) + 1,
    "reshape of permute": lambda x: x.permute(0, 2, 1).reshape(8, 6) * 2,
    "split heads": lambda x: x.view(2, 6, 2, 2).transpose(1, 2).contiguous(),
    "incompatible reshapes": lambda x: (x.reshape(8, 6).t().reshape(16, 3).t() + 1).reshape(4, 12),
    "reshape of slice": lambda x: x[:, 1:5].reshape(-1) + 1,
    "slices": lambda x: x[:, ::2] + x[:, 1::2],
    "negative slices": lambda x: x[:, -3:-1],
    "select": lambda x: x[:, 2] - x[:, -1],
    "squeeze": lambda x: x[:, :1].squeeze(1) + x.unsqueeze(1).squeeze()[:, 0],
    "expand": lambda x: x[:, :1].expand(2, 6, 4) * x,
    "repeat": lambda x: x.repeat(2, 1, 3) + 1,
    "flip": lambda x: x.flip(1, 2) + x,
    "cat": lambda x: torch.cat([x, x[:, :1] + 1, x * 2], 1),
    "stack": lambda x: torch.stack([x[0], x[1] + 1], -1),
    "split": lambda x: sum(p.sum() * k for k, p in enumerate(x.split(2, 1))),
    "chunk, unbind": lambda x: (*x.chunk(2, 2), x.unbind(0)[1] + 1),
    "pad": lambda x: F.pad(x, (1, 2, 0, 1), value=0.5),
    "cutting pad": lambda x: F.pad(x, (-1, 1)),
    "roll": lambda x: torch.roll(x, 1, 1),
    "scalar": lambda x: x[0, 0, 0] + x[1, 1, 1],
    "tril": lambda x: x.tril() + x.triu(1) * 2,
    "diagonal read": lambda x: torch.einsum("bij->bji", x) + 1,
}


@pytest.mark.parametrize("name", VIEWS)
def test_compile__views__equal_to_pytorch(name: str) -> None:
    check(VIEWS[name], X, atol=1e-6 if name == "split" else 0.0)


def test_compile__views_between_elementwise_work__one_operation() -> None:
    compiled = check(lambda x: (x.permute(0, 2, 1).reshape(8, 6) * 2).t() + 1, X)
    assert kinds(compiled) == ["MAP"]


def test_compile__embedding__gathers_rows() -> None:
    check(lambda i: F.embedding(i, TABLE) + 1, INDEX)


def test_compile__embedding_outside_the_table__shows_as_nan() -> None:
    from client.build import compile as compile_module
    from tests.client.running import Fn, run

    compiled = compile_module(Fn(lambda i: F.embedding(i, TABLE)).eval(), (INDEX,))
    got = run(compiled, torch.tensor([[0, 9, 1], [-1, 2, 3]]))[0]
    outside = [[False, True, False], [True, False, False]]
    assert torch.from_numpy(got).isnan().any(-1).tolist() == outside


def test_compile__indices__equal_to_pytorch() -> None:
    check(
        lambda x, i: (
            x[i[0]],
            x[:, i],
            x[:, i[0], i[1]],
            x[i[0], :, i[1]],
            x.index_select(1, i[1]),
            x.gather(1, i[:, :, None]),
            x[:, -i[0] - 1],
        ),
        torch.randn(4, 6, 4),
        torch.tensor([[0, 1, 3], [3, 2, 1]]),
    )


def test_compile__output_that_is_an_input_or_a_constant__copied() -> None:
    compiled = check(lambda x: (x, x.view(12, 4), TABLE, x), X)
    assert set(kinds(compiled)) == {"MAP"}
