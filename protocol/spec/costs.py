"""The cost table of machine version 1: worst-case EVM gas of what a referee does.

Gas per unit on the generic path (any bit pattern, no fast case), with the dispatch of the
instruction included; calldata at the floor of EIP-7623.  The contract that recomputes an element is
measured against this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Final

from protocol.spec.constants import BLOCK_BYTES, WORD
from protocol.spec.microcode import Op
from protocol.spec.trees import depth_of
from protocol.spec.types import Kind, Template

MAX_COST: Final = 10_000_000
"""Gas of proving one element, everything included."""

MAX_BYTES: Final = 96 * 1024
"""Bytes of that transaction: public mempools take 128 KiB."""

TRANSACTION_BYTES: Final = 8 * 1024
"""Bytes beside template, operands and blocks: claim, terms, paths into program and trace."""

OPERAND_BYTES: Final = 1024
"""Bytes of what binds one operand: its root, its wrapper, its path."""

RUN_BYTES: Final = 256
"""Bytes of one run beside its blocks and siblings."""

GAS_BASE: Final = 760_000
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

GAS_DOT_RUN: Final = 10_000
"""One run of a DOT's innermost digit: both addresses, two guards each, pads, gathering."""

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
    """What proves some loads: blocks, runs of adjacent ones, sibling hashes."""

    blocks: int
    runs: int
    siblings: int


def _blocks(size: int) -> int:
    return -(-size // BLOCK_BYTES)


def _tree(t: Template, slot: int) -> tuple[int, int]:
    """Blocks of an operand, and the depth of the tree over them."""
    total = _blocks(t.slots[slot].count * t.slots[slot].dtype.size)
    return total, depth_of(total)


def _computed(t: Template, k: int, loads: int) -> _Proof:
    """Loads of view k at computed indexes: each may hit a new block."""
    total, depth = _tree(t, t.views[k].slot)
    n = min(loads, total)
    return _Proof(n, n, n * depth)


def _plain(t: Template, k: int, *, folding: bool) -> _Proof:
    """Most that proves all other loads of view k for one element.

    Digits that follow one another without leaving out a block make one run, whose first byte may
    lie anywhere in a block.  A run of several blocks has 2*depth siblings at most, of one block
    depth.  Guards and ``live`` leave elements out: along any one digit what is left is still in one
    piece, but not along all of them; a digit of stride 0 that guards look at may move the piece.
    However many pieces there are, between two of them lies a block that is not read.
    """
    v = t.views[k]
    size = t.slots[v.slot].dtype.size
    total, depth = _tree(t, v.slot)
    digits = v.rdigits if folding else ()
    length, runs = 1, 1
    pieces = prod(d.radix for d in digits if d.stride == 0 and (d.g0 or d.g1))
    for stride, radix in sorted((abs(d.stride), d.radix) for d in digits):
        if stride == 0 or radix == 1:
            continue
        if runs == 1 and (stride - length + 1) * size <= BLOCK_BYTES:
            pieces *= radix if length > 1 else 1
            length += stride * (radix - 1)
        else:
            runs *= radix
    pieces = runs * pieces if v.guards or t.live_r is not None else runs
    most = _blocks((length - 1) * size) + 1
    span = _blocks(sum(abs(d.stride) * (d.radix - 1) for d in digits) * size) + 1
    n = min(runs * most, span, total)
    found = min(pieces, n, (span + 1) // 2)
    siblings = 2 * depth * found
    if most == 1:
        siblings = min(siblings, depth * min(runs, n))
    return _Proof(n, found, siblings)


def live_slots(t: Template) -> set[int]:
    """Slots whose element 0 bounds something: their first block is read."""
    slots = {g.live for v in t.views for g in v.guards} | {t.live_r}
    if t.live_out is not None:
        slots.add(t.live_out[0])
    return {slot for slot in slots if slot is not None}


def template_bytes(t: Template) -> int:
    """Length of a template's encoding."""
    words = 3 + len(t.slots)
    words += sum(1 + len(v.guards) + len(v.digits) + len(v.rdigits) for v in t.views)
    return WORD * (words + -(-len(t.pre) // 4) + -(-len(t.post) // 4))


def cost(t: Template) -> Cost:
    """Worst-case gas and proof bytes of recomputing one element on chain."""
    gas = GAS_BASE + GAS_VIEW * len(t.views) + GAS_DECODE * (len(t.pre) + len(t.post))
    plain: set[tuple[int, bool]] = set()
    proofs = [_Proof(1, 1, _tree(t, slot)[1]) for slot in live_slots(t)]
    for code, times, folding in ((t.pre, t.terms, True), (t.post, 1, False)):
        for ins in code:
            gas += GAS_OP[Op(ins.op)] * times
            if ins.op == Op.LOAD:
                plain.add((ins.a, folding))
            elif ins.op == Op.LOADX:
                proofs.append(_computed(t, ins.a, times))
    if t.kind is Kind.REDUCE:
        gas += GAS_FOLD * t.terms
    elif t.kind is Kind.DOT:
        gas += GAS_DOT_TERM * t.terms + GAS_DOT_RUN * (t.terms // t.r[-1])
        plain |= {(0, True), (1, True)}
    proofs += [_plain(t, k, folding=folding) for k, folding in plain]
    size = TRANSACTION_BYTES + template_bytes(t) + OPERAND_BYTES * len(t.slots)
    for proof in proofs:
        size += proof.blocks * BLOCK_BYTES + proof.runs * RUN_BYTES + proof.siblings * WORD
        gas += proof.blocks * GAS_BLOCK + proof.runs * GAS_RUN + proof.siblings * GAS_NODE
    return Cost(max(gas + size * GAS_DATA, size * GAS_FLOOR), size)
