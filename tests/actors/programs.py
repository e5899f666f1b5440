"""Programs that liars need and the examples are not: many layers, many outputs, extreme weights."""

from __future__ import annotations

from typing import Final

import numpy as np

from protocol.spec.assembler import Code
from protocol.spec.builder import Builder, affine
from protocol.spec.examples import Example, elementwise
from protocol.spec.types import DType, Fold, Kind, Slot, Template

LAYERS: Final = 12
ROWS: Final = 5
WIDTH: Final = 64
BOUND_A: Final = 32639
BOUND_B: Final = 8127


def largest_of(layer: int) -> int:
    """The operation of ``layered`` that finds the largest magnitude of a layer's input."""
    return 3 * layer


def quantised_of(layer: int) -> int:
    """The operation that quantises it."""
    return 3 * layer + 1


def product_of(layer: int) -> int:
    """The operation that multiplies it by the layer's weights: the layer's output."""
    return 3 * layer + 2


def _largest(rows: int, width: int) -> Template:
    pre, post = Code(), Code()
    return Template(
        kind=Kind.REDUCE, dtype=DType.F32, shape=(rows,), slots=(Slot(DType.F32, rows * width),),
        views=(affine(0, (rows,), (width,), r=(width,), r_strides=(1,)),),
        pre=pre.finish(pre.load_f(0).abs()), post=post.finish(post.acc_f()), r=(width,),
        fold=Fold.MAX,
    )  # fmt: skip


def _quantised(rows: int, width: int, most: int, clamp: int) -> Template:
    c = Code()
    q = (c.load_f(0) * (float(most) / c.load_f(1))).to_int().clamp(clamp)
    reads = [(DType.F32, (width, 1)), (DType.F32, (1, 0))]
    return elementwise(c.finish(q), DType.I16, (rows, width), reads)


def _product(rows: int, width: int, bounds: tuple[int, int], unit: float) -> Template:
    """Rows times columns, in units of the row's largest and of the weights."""
    c = Code()
    y = c.acc_i().to_f32() * (c.load_f(2) * unit) + c.load_f(3)
    shape = (rows, width)
    return Template(
        kind=Kind.DOT,
        dtype=DType.F32,
        shape=shape,
        slots=(
            Slot(DType.I16, rows * width), Slot(DType.I16, width * width), Slot(DType.F32, rows),
            Slot(DType.F32, width),
        ),
        views=(
            affine(0, shape, (width, 0), r=(width,), r_strides=(1,)),
            affine(1, shape, (0, width), r=(width,), r_strides=(1,)),
            affine(2, shape, (1, 0), r=(width,)),
            affine(3, shape, (0, 1), r=(width,)),
        ),
        post=c.finish(y),
        r=(width,),
        bound_a=bounds[0],
        bound_b=bounds[1],
    )  # fmt: skip


def layered() -> Example:
    """Twelve layers of a network in 36 operations; outputs are three layers, the last one first.

    An operation's tensor has three blocks (256 bytes of the last are used) or two, the operations
    take two reveals, and of four outputs' places one is padding.
    """
    b = Builder()
    rng = np.random.default_rng(6)
    x = b.input(DType.F32, (ROWS, WIDTH))
    largest, quantised = _largest(ROWS, WIDTH), _quantised(ROWS, WIDTH, BOUND_A, BOUND_A)
    product = _product(ROWS, WIDTH, (BOUND_A, BOUND_B), 1.0 / (BOUND_A * BOUND_B * 5.0))
    here, outputs = x, []
    for _ in range(LAYERS):
        draws = rng.integers(-BOUND_B, BOUND_B + 1, (WIDTH, WIDTH))
        w = b.constant(draws.astype(np.int16), BOUND_B)
        bias = b.constant(rng.normal(size=WIDTH).astype(np.float32))
        m = b.op(largest, [here])
        here = b.op(product, [b.op(quantised, [here, m]), w, m, bias])
        outputs.append(here)
    for layer in (LAYERS - 1, LAYERS // 2, 0):
        b.output(outputs[layer])
    program, constants = b.build()
    data = rng.normal(size=(ROWS, WIDTH)).astype(np.float32)
    return Example("layered", program, constants, [data])


def extremes() -> Example:
    """A product of quantised rows with weights of 32767 and -32768, the corners of their dtype:
    beyond what two int8 limbs hold."""
    b = Builder()
    rng = np.random.default_rng(7)
    x = b.input(DType.F32, (ROWS, WIDTH))
    corners = np.array([-32768, 32767, 32640, -32640], np.int16)
    w = b.constant(rng.choice(corners, (WIDTH, WIDTH)), 32768)
    bias = b.constant(np.zeros(WIDTH, np.float32))
    m = b.op(_largest(ROWS, WIDTH), [x])
    q = b.op(_quantised(ROWS, WIDTH, 40_000, 32768), [x, m])
    b.output(b.op(_product(ROWS, WIDTH, (32768, 32768), 1.0), [q, w, m, bias]))
    program, constants = b.build()
    data = rng.normal(size=(ROWS, WIDTH)).astype(np.float32)
    data[0, ::2], data[0, 1::2] = -1.0, 1.0
    return Example("extremes", program, constants, [data])


def many_outputs() -> Example:
    """Three hundred outputs, as a training job has: each is an operation on one input."""
    b = Builder()
    x = b.input(DType.I64, (1,))
    for k in range(300):
        c = Code()
        code = c.finish(c.load_i(0) * 3 + k)
        t = Template(
            Kind.MAP, DType.I64, (1,), (Slot(DType.I64, 1),), (affine(0, (1,), (0,)),), code
        )
        b.output(b.op(t, [x]))
    program, constants = b.build()
    return Example("many outputs", program, constants, [np.array([14], np.int64)])
