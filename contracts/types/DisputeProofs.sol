// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {BlockRun, Scalars} from "../libraries/TensorElement.sol";

// What travels in the `proof` of `enter` and `prove`: `abi.encode` of one of the structs whose name
// ends in Proof. Paths are siblings from the leaf up, without those that cover only padding.

/// @notice A program's header (two words) and the roots of its six tables.
struct ProgramPart {
    bytes header;
    bytes32[] tables;
}

/// @notice A phase's head (one word), the roots of its two lists, its path in the phases table.
struct PhasePart {
    bytes head;
    bytes32 instances;
    bytes32 nexts;
    bytes32[] siblings;
}

/// @notice A descriptor's bytes and its path in its table.
struct Leaf {
    bytes data;
    bytes32[] siblings;
}

/// @notice A hash that is a leaf of a committed tree, and its path.
struct Inner {
    bytes32 root;
    bytes32[] siblings;
}

/// @notice Path of an operand's bare block root: for a constant or an input under its wrapper
/// (`meta`: two words), for a state under the state root, for an operation under the operations
/// root (`meta` empty).
struct OperandPart {
    bytes meta;
    bytes32[] siblings;
}

/// @notice For entering OUTPUTS or STATES.
struct TableProof {
    ProgramPart program;
}

/// @notice For entering OPERATIONS.
struct OperationsProof {
    ProgramPart program;
    PhasePart phase;
}

/// @notice For entering OPERATION_BLOCKS.
struct OperationProof {
    ProgramPart program;
    PhasePart phase;
    Leaf instance;
    Leaf template;
}

/// @notice For entering STATE_BLOCKS.
struct StateProof {
    ProgramPart program;
    Leaf state;
}

/// @notice Element `element` of an operation is not what its operands give.
/// @param before state root of the step before and its path; empty if no operand is a state
/// @param roots bare block root of each operand, and `operands` what binds them
/// @param runs blocks of the operands that the element reads
/// @param scalars step, its number in the phase, seed: as the terms and the position say
/// @param data the claimed block of 512 bytes that holds the element
struct ElementProof {
    ProgramPart program;
    PhasePart phase;
    Leaf instance;
    Leaf template;
    Inner before;
    bytes32[] roots;
    OperandPart[] operands;
    BlockRun[] runs;
    Scalars scalars;
    uint256 element;
    bytes data;
}

/// @notice Element `element` of a state with a slice write is not the one that the write gives.
/// @param before state root of the step before, and `old` the state's block root under it: only
/// where the old element stays
/// @param value block root of the written operation: only where it is written
/// @param index block root of the operation that names the slice, and its one block
/// @param source the one block of `old` or `value` that holds the element
struct SliceProof {
    ProgramPart program;
    PhasePart phase;
    Leaf next;
    Leaf state;
    Inner before;
    Inner old;
    Inner value;
    Inner index;
    BlockRun indexBlock;
    BlockRun source;
    uint256 element;
    bytes data;
}

/// @notice A state is not the one of the step before (KEEP: `before`, and `source` under it) or not
/// the operation that it becomes (VALUE: `source` under the operations root).
struct NextProof {
    ProgramPart program;
    PhasePart phase;
    Leaf next;
    Inner before;
    Inner source;
}

/// @notice A state does not start as declared. `source` is the tensor root of its constant or
/// input; empty for FILL.
struct InitialProof {
    ProgramPart program;
    Leaf state;
    Inner source;
}

/// @notice An output is not its state after the last step.
/// @param output one word, the state's number
/// @param last state root after the last step
/// @param value the state's block root under it
struct OutputProof {
    ProgramPart program;
    Leaf output;
    Leaf state;
    Inner last;
    Inner value;
}

/// @notice A step ran although `halt` was set, or did not although it was not.
/// @param before state root of the step before
/// @param halt block root of the halt state under it, and its one block; empty without halt
struct HaltProof {
    ProgramPart program;
    Inner before;
    Inner halt;
    bytes data;
}
