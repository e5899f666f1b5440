"""The cost table of machine version 1: worst-case EVM gas of what a referee does.

Gas per unit on the generic path (any bit pattern, no fast case), with the dispatch of the
instruction included; calldata at the floor of EIP-7623.  The contract that recomputes an element is
measured against this table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from protocol.spec.constants import BLOCK_BYTES, WORD
from protocol.spec.microcode import Op
from protocol.spec.trees import depth_of
from protocol.spec.types import Kind, Template

MAX_COST: Final = 10_000_000
"""Gas of proving one element, everything included."""

MAX_BYTES: Final = 96 * 1024
"""Bytes of that transaction: public mempools take 128 KiB."""

TRANSACTION_BYTES: Final = 16 * 1024
"""Bytes beside the blocks: template, instance, paths into program and trace, claim, signature."""

GAS_BASE: Final = 500_000
"""Transaction, claim checks, program proofs, template decoding, settlement."""

GAS_BYTE: Final = 40
"""Calldata floor for a non-zero byte (EIP-7623)."""

GAS_BLOCK: Final = 1_500
"""Hash one block and place it."""

GAS_NODE: Final = 300
"""Fold one sibling into a path."""

GAS_VIEW: Final = 5_000
"""Decode one view."""

GAS_FOLD: Final = 1_500
"""One step of a fold (a generic f32 addition at most)."""

GAS_DOT_TERM: Final = 50
"""One multiply-add of 16-bit values with its unpacking."""

_CHEAP: Final = 300
_FLOAT: Final = 1_500
_HARD: Final = 3_000
_LOAD: Final = 3_000

GAS_OP: Final[dict[Op, int]] = {
    **dict.fromkeys(Op, _CHEAP),
    **dict.fromkeys((Op.LOAD, Op.LOADX), _LOAD),
    **dict.fromkeys((Op.FADD, Op.FSUB, Op.FMUL, Op.LDEXP, Op.I2F, Op.F2I), _FLOAT),
    **dict.fromkeys((Op.FLOOR, Op.CEIL, Op.TRUNC, Op.RINT, Op.FMIN, Op.FMAX), _FLOAT),
    **dict.fromkeys((Op.FDIV, Op.FSQRT), _HARD),
}
"""Gas of one execution of an opcode."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Worst case over all elements: EVM gas, and bytes of calldata."""

    gas: int
    bytes: int


def _blocks(t: Template, k: int, *, folding: bool, computed: bool) -> tuple[int, int]:
    """(512-byte blocks, sibling hashes) that prove all loads of view k for one element.

    A run of contiguous elements that is n elements long touches at most ceil((n-1)*size/512) + 1
    blocks and needs at most 2*depth siblings (depth if one block); blocks that lie within a span
    of m blocks need at most m + 2*depth.  A computed index may hit a new block at every position.
    """
    v = t.views[k]
    slot = t.slots[v.slot]
    size = slot.dtype.size
    total = -(-slot.count * size // BLOCK_BYTES)
    depth = depth_of(total)
    digits = v.rdigits if folding else ()
    if computed:
        n = min(math.prod(d.radix for d in digits), total)
        return n, n * depth
    run, runs = 1, 1
    for d in reversed(digits):
        if d.radix == 1 or d.stride == 0:
            continue
        if abs(d.stride) == run and runs == 1:
            run *= d.radix
        else:
            runs *= d.radix
    per_run = -(-(run - 1) * size // BLOCK_BYTES) + 1
    reach = sum(abs(d.stride) * (d.radix - 1) for d in digits)
    span = -(-reach * size // BLOCK_BYTES) + 1
    n = min(runs * per_run, span, total)
    siblings = min(runs, n) * (depth if per_run == 1 else 2 * depth)
    return n, min(siblings, span + 2 * depth)


def cost(t: Template) -> Cost:
    """Worst-case gas and proof bytes of recomputing one element on chain."""
    loads: dict[tuple[int, bool, bool], None] = {}
    gas = GAS_BASE + GAS_VIEW * len(t.views)
    for code, times, folding in ((t.pre, t.terms, True), (t.post, 1, False)):
        for ins in code:
            gas += GAS_OP[Op(ins.op)] * times
            if ins.op in (Op.LOAD, Op.LOADX):
                loads[ins.a, folding, ins.op == Op.LOADX] = None
    if t.kind is Kind.REDUCE:
        gas += GAS_FOLD * t.terms
    elif t.kind is Kind.DOT:
        gas += GAS_DOT_TERM * t.terms
        loads[0, True, False] = loads[1, True, False] = None
    size = TRANSACTION_BYTES
    for k, folding, computed in loads:
        blocks, siblings = _blocks(t, k, folding=folding, computed=computed)
        size += blocks * BLOCK_BYTES + siblings * WORD
        gas += blocks * GAS_BLOCK + siblings * GAS_NODE
    return Cost(gas + size * GAS_BYTE, size)
