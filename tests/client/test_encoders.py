"""Attention, small encoders and MiniLM: quality, and bits that depend on nothing but the row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from client.build import compile as compile_module
from client.compiled import Compiled
from client.models import minilm
from protocol.spec import interpreter, legality
from protocol.spec.types import Array
from tests.client.running import check, run

torch.manual_seed(3)
Q, K, V = (torch.randn(2, 3, 5, 8) for _ in range(3))
MASK = torch.tensor([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0]])

SMALL = minilm.Config(
    vocabulary=50, positions=16, segments=2, width=16, layers=2, heads=2, inner=32, eps=1e-12
)


def small_encoder() -> minilm.MiniLM:
    torch.manual_seed(4)
    return minilm.MiniLM(SMALL).eval()


def test_compile__attention__close_to_pytorch() -> None:
    def attend(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        return (
            F.scaled_dot_product_attention(q, k, v),
            F.scaled_dot_product_attention(q, k, v, is_causal=True),
            F.scaled_dot_product_attention(q, k[..., :3, :], v[..., :3, :], scale=0.3),
        )

    check(attend, Q, K, V, atol=3e-4)


def test_compile__attention_masks__close_to_pytorch_and_empty_rows_are_zero() -> None:
    def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        keep = mask[:, None, None, :] == 1
        bias = torch.where(keep, 0.0, -torch.inf)
        return (
            F.scaled_dot_product_attention(q, k, v, attn_mask=keep),
            F.scaled_dot_product_attention(q, k, v, attn_mask=bias),
        )

    compiled = check(attend, Q, K, V, MASK, atol=3e-4)
    assert not run(compiled, Q, K, V, MASK)[0][1].any()


def test_compile__grouped_queries__heads_are_shared() -> None:
    check(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        torch.randn(2, 4, 5, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8),
        atol=3e-4,
    )  # fmt: skip


def test_compile__attention_written_out__close_to_pytorch() -> None:
    def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        scores = q @ k.transpose(-1, -2) / 8**0.5
        scores = scores.masked_fill(mask[:, None, None] == 0, -1e9)
        return torch.softmax(scores, -1) @ v

    check(attend, Q, K, V, MASK, atol=3e-4)


def test_compile__pytorch_encoder_layer__close_to_pytorch() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu")
    torch.backends.mha.set_fastpath_enabled(False)
    check(layer, torch.randn(2, 5, 16), atol=2e-3)


def test_compile__multihead_attention__close_to_pytorch() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.MultiheadAttention(16, 4, batch_first=True)

        def forward(self, x: Tensor, pad: Tensor) -> Tensor:
            out: Tensor = self.inner(x, x, x, key_padding_mask=pad, need_weights=False)[0]
            return out

    check(Attention(), torch.randn(2, 5, 16), MASK[:1].expand(2, 5) == 0, atol=1e-3)


@pytest.mark.parametrize("precision,atol", [("i16", 1e-4), ("i14", 3e-4), ("i8w", 0.02)])
def test_compile__small_encoder__close_to_pytorch(precision: str, atol: float) -> None:
    ids = torch.randint(0, 50, (3, 7))
    mask = (torch.arange(7) < torch.tensor([[7], [4], [1]])).long()
    check(small_encoder(), ids, mask, atol=atol, precision=precision)


def test_compile__small_encoder__same_bits_in_any_batch_and_padding() -> None:
    model = small_encoder()
    rows = [torch.randint(0, 50, (n,)) for n in (7, 3, 1, 5)]
    length = 9
    ids = torch.stack([F.pad(r, (0, length - len(r)), value=13) for r in rows])
    mask = torch.stack([F.pad(torch.ones_like(r), (0, length - len(r))) for r in rows])
    together = run(compile_module(model, (ids, mask)), ids, mask)[0]
    for row, expected in zip(rows, together, strict=True):
        one, full = row[None], torch.ones_like(row)[None]
        alone = run(compile_module(model, (one, full)), one, full)[0][0]
        assert alone.tobytes() == expected.tobytes()


# --- MiniLM -------------------------------------------------------------------------------------

SENTENCES = ["The cat sits on the mat.", "Rice wants twice its volume of water.", "Hello"]


@pytest.fixture(scope="module")
def model() -> minilm.MiniLM:
    return minilm.load()


@pytest.fixture(scope="module")
def compiled(model: minilm.MiniLM) -> Compiled:
    return compile_module(model, minilm.Tokenizer()(SENTENCES))


def _cosines(got: Array, wanted: Array) -> Array:
    a, b = got.astype(np.float64), wanted.astype(np.float64)
    out: Array = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return out


def test_compile__minilm__legal_small_and_shared_by_layers(compiled: Compiled) -> None:
    legality.check(compiled.program)
    assert len(compiled.bytes) < 64 * 1024
    assert len(compiled.program.templates) <= 40
    assert len(compiled.program.phases[0].instances) <= 40 * 6


def test_compile__minilm__cosine_to_fp32_at_least_five_nines(
    model: minilm.MiniLM, compiled: Compiled
) -> None:
    ids, mask = minilm.Tokenizer()(SENTENCES)
    got = interpreter.run(compiled.program, compiled.constants, compiled.bind(ids, mask))[0]
    with torch.no_grad():
        wanted = model(ids, mask).numpy()
    assert _cosines(got, wanted).min() >= 0.99999


def test_minilm__related_sentences__nearer_than_unrelated_ones() -> None:
    a, b, c = minilm.embed(["A cat sleeps.", "A kitten is asleep.", "Interest rates rose."])
    assert float(a @ b) > 0.6
    assert float(a @ c) < 0.3


def test_tokenizer__given_length__pads_and_cuts() -> None:
    ids, mask = minilm.Tokenizer()(["a b c d e f", "a"], length=5)
    assert ids.shape == mask.shape == (2, 5)
    assert mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert ids[0, 0] == ids[1, 0] == 101
    assert ids[1, 3:].tolist() == [0, 0]
