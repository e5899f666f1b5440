"""The cost table of machine version 1: worst-case EVM gas of what a referee does.

Gas per unit on the generic path (any bit pattern, no fast case), with the dispatch of the
instruction included; calldata at the floor of EIP-7623.  The contract that recomputes an element is
measured against this table.
"""

from __future__ import annotations

from typing import Final

from protocol.spec.microcode import Op

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
