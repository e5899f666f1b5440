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
"""Transaction, claim checks, program proofs, head of the template, settlement."""

GAS_DATA: Final = 16
"""One byte of calldata beside execution."""

GAS_FLOOR: Final = 40
"""One byte of calldata at least, execution included (EIP-7623)."""

GAS_DECODE: Final = 300
"""Decode one instruction, once a template."""

GAS_VIEW: Final = 5_000
"""Decode and open one view."""

GAS_BLOCK: Final = 1_000
"""Copy, hash and fold one block of a run."""

GAS_RUN: Final = 5_000
"""Set up one run of adjacent blocks with its path."""

GAS_NODE: Final = 300
"""Fold one sibling into a path."""

GAS_FOLD: Final = 2_200
"""One position of a fold: the loop, and a generic f32 addition at most."""

GAS_DOT_TERM: Final = 50
"""One multiply-add of packed 8- or 16-bit values with its unpacking."""

GAS_DOT_RUN: Final = 4_500
"""One run of a DOT's innermost digit: both addresses, pads, gathering."""

_INTEGER: Final = 500
_COORDINATE: Final = 1_000
_COMPARE: Final = 900
_ROUND: Final = 1_600
_SUM: Final = 2_000
_ROOT: Final = 2_200
_LOAD: Final = 4_000

GAS_OP: Final[dict[Op, int]] = {
    **dict.fromkeys(Op, _INTEGER),
    **dict.fromkeys((Op.COORD, Op.RCOORD), _COORDINATE),
    **dict.fromkeys((Op.FEQ, Op.FLT, Op.FLE, Op.FMIN, Op.FMAX), _COMPARE),
    **dict.fromkeys((Op.F2I, Op.EXPONENT, Op.DIV, Op.MOD), _COMPARE),
    **dict.fromkeys((Op.FLOOR, Op.CEIL, Op.TRUNC, Op.RINT, Op.LDEXP, Op.I2F), _ROUND),
    **dict.fromkeys((Op.FMUL, Op.FDIV), _ROUND),
    **dict.fromkeys((Op.FADD, Op.FSUB), _SUM),
    Op.FSQRT: _ROOT,
    **dict.fromkeys((Op.LOAD, Op.LOADX), _LOAD),
}
"""Gas of one execution of an opcode, a little above the worst that was measured."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Worst case over all elements: EVM gas, and bytes of calldata."""

    gas: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Proof:
    """What proves all loads of one view: blocks, runs of adjacent ones, sibling hashes."""

    blocks: int
    runs: int
    siblings: int


def _proof(t: Template, k: int, *, folding: bool, computed: bool) -> _Proof:
    """Most that proves all loads of view k for one element.

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
        return _Proof(n, n, n * depth)
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
    return _Proof(n, min(runs, n), min(siblings, span + 2 * depth))


def cost(t: Template) -> Cost:
    """Worst-case gas and proof bytes of recomputing one element on chain."""
    loads: dict[tuple[int, bool, bool], None] = {}
    gas = GAS_BASE + GAS_VIEW * len(t.views) + GAS_DECODE * (len(t.pre) + len(t.post))
    for code, times, folding in ((t.pre, t.terms, True), (t.post, 1, False)):
        for ins in code:
            gas += GAS_OP[Op(ins.op)] * times
            if ins.op in (Op.LOAD, Op.LOADX):
                loads[ins.a, folding, ins.op == Op.LOADX] = None
    if t.kind is Kind.REDUCE:
        gas += GAS_FOLD * t.terms
    elif t.kind is Kind.DOT:
        gas += GAS_DOT_TERM * t.terms + GAS_DOT_RUN * (t.terms // t.r[-1])
        loads[0, True, False] = loads[1, True, False] = None
    size = TRANSACTION_BYTES
    for k, folding, computed in loads:
        proof = _proof(t, k, folding=folding, computed=computed)
        size += proof.blocks * BLOCK_BYTES + proof.siblings * WORD
        gas += proof.blocks * GAS_BLOCK + proof.runs * GAS_RUN + proof.siblings * GAS_NODE
    return Cost(max(gas + size * GAS_DATA, size * GAS_FLOOR), size)
