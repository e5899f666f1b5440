"""Arrays as tensors of a device."""

from __future__ import annotations

import numpy as np
import torch

from protocol.spec.types import Array

Tensor = torch.Tensor


class _Writable:
    """Shows an array's memory as writable: torch warns about any other, and we never write."""

    def __init__(self, array: Array) -> None:
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface
        self.array = array


def as_tensor(array: Array, device: torch.device) -> Tensor:
    """A tensor that shares the array's memory where the device allows; never written to."""
    array = np.asarray(array, order="C")
    if not array.flags.writeable:
        array = np.asarray(_Writable(array))
    return torch.from_numpy(array).to(device)


def canonical_copy(x: Tensor) -> Tensor:
    """``x``, or a copy of it whose NaNs are all the canonical one."""
    if x.dtype is not torch.float32:
        return x
    nan = x.isnan()
    if not bool(nan.any()):
        return x
    out = x.clone()
    out.view(torch.int32).masked_fill_(nan, 0x7FC00000)
    return out
