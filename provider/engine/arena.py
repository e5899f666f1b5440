"""Scratch tensors of one worker: taken and given back by shape, so that a chain of instructions
keeps working in the same few cache-resident buffers."""

from __future__ import annotations

import torch


class Arena:
    """Not thread-safe: one per worker and device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._free: dict[tuple[torch.dtype, tuple[int, ...]], list[torch.Tensor]] = {}
        self._owner: dict[int, tuple[torch.dtype, tuple[int, ...]]] = {}
        self._all: list[torch.Tensor] = []
        self._shapes: dict[tuple[tuple[int, ...], ...], tuple[int, ...]] = {}

    def get(self, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
        """A contiguous tensor with undefined contents."""
        free = self._free.get((dtype, shape))
        if free:
            return free.pop()
        tensor = torch.empty(shape, dtype=dtype, device=self.device)
        self._owner[id(tensor)] = (dtype, shape)
        self._free.setdefault((dtype, shape), [])
        self._all.append(tensor)
        return tensor

    def put(self, tensor: torch.Tensor) -> None:
        """Give a tensor back; one that did not come from ``get`` is ignored."""
        key = self._owner.get(id(tensor))
        if key is not None:
            self._free[key].append(tensor)

    def broadcast(self, *tensors: torch.Tensor) -> tuple[int, ...]:
        """The common shape of tensors that broadcast."""
        shapes = tuple([t.shape for t in tensors])
        if len(shapes) == 2 and shapes[0] == shapes[1]:
            return shapes[0]
        common = self._shapes.get(shapes)
        if common is None:
            common = self._shapes[shapes] = torch.broadcast_shapes(*shapes)
        return common

    @property
    def nbytes(self) -> int:
        """Bytes of all scratch tensors."""
        return sum(t.nbytes for t in self._all)

    def clear(self) -> None:
        """Forget every scratch tensor; none may be in use."""
        self._free.clear()
        self._owner.clear()
        self._all.clear()
