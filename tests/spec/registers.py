"""Runs microcode on arrays, without templates or tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from protocol.spec import f32, microcode
from protocol.spec.assembler import Code, Reg
from protocol.spec.f32 import F, I
from protocol.spec.microcode import Op, Register


@dataclass(frozen=True)
class Arrays:
    """A ``microcode.Context``: view k is ``views[k]``; a computed index picks an element of it,
    or 0 outside.  Coordinates along axis k are ``axes[k]``, of the reduction ``rdigits[k]``."""

    views: Sequence[Register] = ()
    axes: Sequence[I] = ()
    rdigits: Sequence[I] = ()
    scalars: dict[Op, int] = field(default_factory=dict)
    total: Register | None = None

    def load(self, view: int, extra: I | None) -> Register:
        array = self.views[view]
        if extra is None:
            return array
        inside = (extra >= 0) & (extra < len(array))
        picked: Register = np.where(inside, array[np.where(inside, extra, 0)], 0)
        return picked.astype(array.dtype)  # type: ignore[return-value]

    def coord(self, axis: int) -> I:
        return self.axes[axis]

    def rcoord(self, digit: int) -> I:
        return self.rdigits[digit]

    def index(self) -> I:
        return np.arange(len(self.axes[0]), dtype=np.int64)

    def rindex(self) -> I:
        return np.arange(len(self.rdigits[0]), dtype=np.int64)

    def scalar(self, op: Op) -> I:
        return np.array(self.scalars[op], np.int64)

    def acc(self) -> Register:
        assert self.total is not None
        return self.total


def floats(bits: Sequence[int] | npt.NDArray[np.uint32]) -> F:
    """Canonical f32 of raw bits, as a load gives them."""
    return f32.canonical(np.asarray(bits, np.uint32).view(np.float32))


def bits(x: Register) -> list[int]:
    """Raw bits of f32 as Python ints."""
    assert x.dtype == np.float32, x.dtype
    raw: list[int] = np.asarray(x).ravel().view(np.uint32).tolist()
    return raw


def apply(function: Callable[..., Reg], *arrays: Register) -> Register:
    """``function`` of registers that load the arrays, evaluated; shaped like the arrays."""
    code = Code()
    loads: list[Reg] = [
        code.load_f(k) if a.dtype == np.float32 else code.load_i(k) for k, a in enumerate(arrays)
    ]
    result = microcode.run(code.finish(function(*loads)), Arrays(arrays))
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    full: Register = np.empty(shape, result.dtype)
    full[...] = result
    return full
