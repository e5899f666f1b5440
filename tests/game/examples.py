"""Programs that put what a trace claims beside its operations to the test."""

from __future__ import annotations

from typing import Final

import numpy as np

from protocol.spec.assembler import Code
from protocol.spec.builder import Builder, affine
from protocol.spec.examples import Example, special_floats
from protocol.spec.types import DType, Init, InitKind, Kind, Ref, Slot, Template

STARTS: Final = [
    (DType.I8, (1,), 7), (DType.I8, (511,), -128), (DType.I8, (512,), -1), (DType.I8, (513,), 1),
    (DType.I16, (3, 500), -3), (DType.I32, (129,), 1 << 30), (DType.I64, (1000,), -(1 << 63)),
    (DType.F32, (33, 100), 0x7F800001), (DType.F32, (128,), 0x80000000), (DType.F32, (7,), 0),
]  # fmt: skip
"""Dtype, shape and value of states: less than a block, whole blocks, more; a NaN to canonise."""


def starts() -> Example:
    """States filled before a step that keeps them."""
    b = Builder()
    for dtype, shape, value in STARTS:
        b.output(b.state(dtype, shape, Init(InitKind.FILL, value)))
    b.phase(max_steps=1)
    program, constants = b.build()
    return Example("starts", program, constants, [])


WRITTEN: Final = [
    (DType.F32, (6, 200), 0), (DType.I16, (300, 4), 1), (DType.I8, (5, 7, 30), 1),
    (DType.I64, (3, 5, 11), 2), (DType.I32, (7,), 0),
]  # fmt: skip
"""Dtype, shape and axis of states that slices are written into: some of many blocks."""


def slices() -> Example:
    """Slices along any axis, at positions from -2 on, so that some lie outside."""
    b = Builder()
    position = b.state(DType.I64, (1,), Init(InitKind.FILL, -3))
    c = Code()
    one = affine(0, (1,), (0,))
    code = c.finish(c.load_i(0) + 1)
    following = Template(Kind.MAP, DType.I64, (1,), (Slot(DType.I64, 1),), (one,), code)
    at = b.op(following, [position])
    b.set_next(position, at)
    inputs = []
    for dtype, shape, axis in WRITTEN:
        start = b.input(dtype, shape)
        count = int(np.prod(shape))
        inputs.append(_start(dtype, count).reshape(shape))
        state = b.state(dtype, shape, Init(InitKind.INPUT, start.index))
        b.write_slice(state, axis, at, _value(b, dtype, shape, axis, at))
        b.output(state)
    b.phase(max_steps=12)
    program, constants = b.build()
    return Example("slices", program, constants, inputs, steps=(10,))


def _start(dtype: DType, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    if dtype.is_float:
        return special_floats(count)
    return (np.arange(count) * 0x1234567 - 77).astype(dtype.numpy)


def _value(b: Builder, dtype: DType, shape: tuple[int, ...], axis: int, at: Ref) -> Ref:
    """A slice whose elements differ from each other and from step to step."""
    sliced = (*shape[:axis], 1, *shape[axis + 1 :])
    c = Code()
    word = c.load_i(0) * 1000 + c.index() * 0x10001
    code = c.finish(word.to_f32() if dtype.is_float else word)
    view = affine(0, sliced, (0,) * len(sliced))
    return b.op(Template(Kind.MAP, dtype, sliced, (Slot(DType.I64, 1),), (view,), code), [at])
