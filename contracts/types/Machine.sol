// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

// Limits, tags and codes of the tensor machine: names and values of protocol/spec/constants.py,
// which says why each has its value. A test compares the two files.

/// @dev First 8 bytes of every encoded program.
uint256 constant MAGIC = 0x415353415954_4d01;

/// @dev Meaning of opcodes, folds and the cost table.
uint256 constant MACHINE_VERSION = 1;

// --- limits ---------------------------------------------------------------------------------

uint256 constant MAX_DIMS = 8;
uint256 constant MAX_DIGITS = 8;
uint256 constant MAX_RDIGITS = 3;
uint256 constant MAX_SLOTS = 12;
uint256 constant MAX_VIEWS = 16;
uint256 constant MAX_GUARDS = 2;
uint256 constant MAX_INSTRUCTIONS = 256;
uint256 constant MAX_DOT_TERMS = 65_536;
uint256 constant MAX_TABLE = 1 << 20;

/// @dev Absent operand slot in an encoding.
uint256 constant NONE8 = 0xFF;

/// @dev Absent state index in an encoding.
uint256 constant NONE32 = 0xFFFFFFFF;

// --- commitments ----------------------------------------------------------------------------

/// @dev Bytes of a leaf of a block tree.
uint256 constant BLOCK_BYTES = 512;

/// @dev Bytes of an EVM word.
uint256 constant WORD = 32;

/// @dev Hash of a node that covers only padding.
bytes32 constant ZERO = 0;

bytes32 constant TAG_TENSOR = "assay.tensor.v1";
bytes32 constant TAG_PROGRAM = "assay.program.v1";
bytes32 constant TAG_DECL = "assay.decl.v1";
bytes32 constant TAG_STATE = "assay.state.v1";
bytes32 constant TAG_OUTPUTS = "assay.outputs.v1";
bytes32 constant TAG_TEMPLATE = "assay.template.v1";
bytes32 constant TAG_PHASE = "assay.phase.v1";
bytes32 constant TAG_INSTANCE = "assay.instance.v1";
bytes32 constant TAG_NEXT = "assay.next.v1";

// --- numbers --------------------------------------------------------------------------------

/// @dev Bits of the only NaN that exists in the machine.
uint256 constant CANONICAL_NAN = 0x7FC00000;

/// @dev Exponent of LDEXP is clamped to +-this.
int256 constant LDEXP_CLAMP = 300;

int256 constant EXPONENT_OF_ZERO = -200;
int256 constant EXPONENT_OF_INF = 200;
int256 constant EXPONENT_OF_NAN = 201;

// --- codes ----------------------------------------------------------------------------------

/// @notice Element types; memory is little-endian, row-major.
enum DType {
    F32,
    I64,
    I32,
    I16,
    I8
}

/// @notice Operation kinds.
enum Kind {
    MAP,
    REDUCE,
    DOT
}

/// @notice What a REDUCE does with the values of its `pre` code.
enum Fold {
    NONE,
    FSUM,
    MAX,
    MIN,
    ARGMAX,
    ISUM
}

/// @notice Where an operand of an instance comes from.
enum Source {
    CONST,
    INPUT,
    STATE,
    OP
}

/// @notice What a state holds before the first step.
enum InitKind {
    CONST,
    INPUT,
    FILL
}

/// @notice How a phase's step changes a state.
enum NextKind {
    KEEP,
    VALUE,
    SLICE
}
