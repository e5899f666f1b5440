"""Limits, tags and tables of the tensor machine.

Names are those of the contracts' ``Constants`` library.  Every constant says its unit and why
it has this value.
"""

from __future__ import annotations

from typing import Final

# --- identity -------------------------------------------------------------------------------

MAGIC: Final = b"ASSAYTM\x01"
"""First 8 bytes of every encoded program."""

MACHINE_VERSION: Final = 1
"""Meaning of opcodes, folds and the cost table; everybody refuses any other."""

# --- limits (hard: a decoder or ``legal`` refuses what is beyond) -----------------------------

MAX_DIMS: Final = 8
"""Dimensions of a tensor: one 32-byte word of u32."""

MAX_DIGITS: Final = 8
"""Digits of a view over the flattened output index."""

MAX_RDIGITS: Final = 3
"""Digits of the reduction index: a 2-D window and its channels."""

MAX_SLOTS: Final = 12
"""Operands of an operation: they fill one instance of two words."""

MAX_VIEWS: Final = 16
"""Views of a template: a bicubic resize reads 16 neighbours."""

MAX_GUARDS: Final = 2
"""Guards of a view: the two axes of an image; their coefficients ride in the digit words."""

MAX_INSTRUCTIONS: Final = 256
"""Instructions of a template, both codes together: register numbers are one byte."""

MAX_ELEMENTS: Final = 1 << 40
"""Elements of a tensor (exclusive): keeps every address far from 2^63."""

MAX_REACH: Final = 1 << 61
"""|offset| + sum |stride|*(radix-1) of a view stays below this, so that adding a computed index
clamped to +-2^62 cannot leave int64."""

INDEX_CLAMP: Final = 1 << 62
"""A computed index is clamped to +-this before it is added; beyond it the load is a pad anyway."""

MAX_DOT_TERMS: Final = 65_536
"""Terms of a DOT: products of 16-bit values then sum below 2^46."""

MAX_TABLE: Final = 1 << 20
"""Entries of any table of a program (constants, instances, templates, ...)."""

MAX_PROGRAM_BYTES: Final = 64 << 20
"""Bytes of an encoded program that anybody publishes or fetches.  A longer one may be legal, as may
tensors that no machine holds: no single part of it shows how long the whole is."""

MAX_STEPS: Final = 1 << 32
"""Steps of a phase (exclusive)."""

NONE8: Final = 0xFF
"""Absent operand slot in an encoding."""

NONE32: Final = 0xFFFFFFFF
"""Absent state index in an encoding."""

# --- commitments ------------------------------------------------------------------------------

BLOCK_BYTES: Final = 512
"""Bytes of a leaf of a block tree."""

WORD: Final = 32
"""Bytes of an EVM word; every part of an encoding is a multiple of it."""

ZERO: Final = bytes(32)
"""Hash of a node that covers only padding."""


def tag(name: str) -> bytes:
    """32-byte ASCII tag, left-aligned, that leads the preimage of one kind of hash."""
    raw = f"assay.{name}.v{MACHINE_VERSION}".encode()
    if len(raw) > WORD:
        raise ValueError(f"tag {name!r} has {len(raw)} bytes, at most {WORD} fit")
    return raw.ljust(WORD, b"\0")


TAG_TENSOR: Final = tag("tensor")
TAG_PROGRAM: Final = tag("program")
TAG_DECL: Final = tag("decl")
TAG_STATE: Final = tag("state")
TAG_OUTPUTS: Final = tag("outputs")
TAG_TEMPLATE: Final = tag("template")
TAG_PHASE: Final = tag("phase")
TAG_INSTANCE: Final = tag("instance")
TAG_NEXT: Final = tag("next")
TAG_TRACE: Final = tag("trace")
TAG_HALTED: Final = tag("halted")

# --- numbers ----------------------------------------------------------------------------------

CANONICAL_NAN: Final = 0x7FC00000
"""Bits of the only NaN that exists in the machine."""

LDEXP_CLAMP: Final = 300
"""Exponent of LDEXP is clamped to +-300: beyond, every f32 is 0 or infinite already."""

EXPONENT_OF_ZERO: Final = -200
EXPONENT_OF_INF: Final = 200
EXPONENT_OF_NAN: Final = 201

QUANTISE_MIN: Final = 2.0**-100
"""Rows whose largest magnitude is below this quantise to zero (M/m must stay finite)."""

BOUND_A_I16: Final = 32_639
"""127*256 + 127: two int8 limbs of radix 256 hold +-this (first operand of ``i16``, ``i8w``)."""

BOUND_B_I16: Final = 8_127
"""63*128 + 63: two limbs of radix 128 within [-64, 63], safe for kernels without VNNI."""

BOUND_I8: Final = 127
"""Symmetric int8."""
