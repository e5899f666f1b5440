"""Folds of REDUCE along one axis of a tensor."""

from __future__ import annotations

import torch

from protocol.spec import f32
from protocol.spec.constants import CANONICAL_NAN
from protocol.spec.types import Fold
from provider.engine.kernels import F32, I32, I64

Tensor = torch.Tensor

_LOW = -(1 << 31)


def tree_sum(x: Tensor, dim: int) -> Tensor:
    """Sum along ``dim`` (at least 1 long): adjacent pairs, an odd node carried up, then + 0.0."""
    n = x.shape[dim]
    while n > 1:
        paired = n // 2 * 2
        even = x.narrow(dim, 0, paired).unflatten(dim, (paired // 2, 2))
        level = torch.add(even.select(dim + 1, 0), even.select(dim + 1, 1))
        if n % 2:
            level = torch.cat([level, x.narrow(dim, n - 1, 1)], dim)
        x, n = level, level.shape[dim]
    return x.select(dim, 0) + torch.zeros((), dtype=F32, device=x.device)


def keys(x: Tensor) -> Tensor:
    """int32 keys in the total order of the machine: NaN, made canonical, is the largest."""
    bits = x.contiguous().view(I32).masked_fill(x.isnan(), CANONICAL_NAN)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def _from_keys(k: Tensor) -> Tensor:
    return (k ^ ((k >> 31) & 0x7FFFFFFF)).view(F32)


def _key_fold(fold: Fold, x: Tensor, dim: int) -> Tensor:
    """MAX or MIN of floats by key."""
    k = keys(x)
    if fold is Fold.MAX:
        return _from_keys(k.amax(dim))
    k = k.masked_fill(x.isnan(), _LOW)
    low = k.amin(dim)
    out = _from_keys(low)
    out.view(I32).masked_fill_(low == _LOW, CANONICAL_NAN)
    return out


def argmax(x: Tensor, dim: int) -> Tensor:
    """Lowest position of the largest key, as int64."""
    k = keys(x) if x.dtype is F32 else x
    best = k.amax(dim, keepdim=True)
    shape = [1] * x.dim()
    shape[dim] = x.shape[dim]
    at = torch.arange(x.shape[dim], dtype=I64, device=x.device).view(shape)
    return torch.where(k == best, at, x.shape[dim]).amin(dim)


def fold(kind: Fold, x: Tensor, dim: int, *, fast: bool) -> Tensor:
    """Fold f32 or int64 along ``dim`` (at least 1 long).

    ``fast`` allows torch's amax and amin on floats: right but for the sign of a zero result, which
    sends the tile to the fold by key.
    """
    if kind is Fold.FSUM:
        return tree_sum(x, dim)
    if kind is Fold.ISUM:
        return x.sum(dim, dtype=I64)
    if kind is Fold.ARGMAX:
        return argmax(x, dim)
    if x.dtype is not F32:
        return x.amax(dim) if kind is Fold.MAX else x.amin(dim)
    if fast and x.device.type == "cpu":
        out = x.amax(dim) if kind is Fold.MAX else x.amin(dim)
        if bool((out != 0).all()):
            return out
    return _key_fold(kind, x, dim)


def empty(kind: Fold, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """The fold of no positions: +0, 0, argmax 0, the lowest for MAX, the highest for MIN."""
    if dtype is F32:
        value: float = {Fold.MAX: float("-inf"), Fold.MIN: float("inf")}.get(kind, 0.0)
    else:
        value = {Fold.MAX: f32.INT64_MIN, Fold.MIN: f32.INT64_MAX}.get(kind, 0)
    return torch.full(shape, value, dtype=dtype, device=device)
