"""DOT: exact integer dot products, by int8 products where the bounds allow."""

from __future__ import annotations

import torch

from provider.engine.kernels import F64, I64, Kernels
from provider.engine.tile import Geometry, TileFrame

Tensor = torch.Tensor


class DotPlan:
    """How a DOT template becomes matrix products."""

    @classmethod
    def of(cls, g: Geometry) -> DotPlan | None:
        return None


def generic(frame: TileFrame, live: int, kernels: Kernels) -> Tensor:
    """Sums of products of one tile, as f64 or int64, for any views: |sum| <= 2^46, so binary64
    holds every partial sum and their order does not matter."""
    a, b = frame.load(0, None), frame.load(1, None)
    dims, r = len(frame.ranges), frame.rs
    terms = frame.g.grid.terms
    wide = F64 if kernels.f64_matmul else I64
    a = a.expand(*a.shape[:dims], *r).reshape(*a.shape[:dims], terms)[..., :live].to(wide)
    b = b.expand(*b.shape[:dims], *r).reshape(*b.shape[:dims], terms)[..., :live].to(wide)
    both = [k for k in range(dims) if a.shape[k] > 1 and b.shape[k] > 1]
    rows = [k for k in range(dims) if k not in both and b.shape[k] == 1]
    cols = [k for k in range(dims) if k not in both and k not in rows]
    order = both + rows + cols
    batch = [a.shape[k] for k in both]
    left = a.permute(*order, dims).reshape(*batch, -1, live)
    right = b.permute(*order, dims).reshape(*batch, -1, live)
    sums = torch.matmul(left, right.transpose(-1, -2))
    shaped = sums.reshape([max(a.shape[k], b.shape[k]) for k in order])
    return shaped.permute([order.index(k) for k in range(dims)])
