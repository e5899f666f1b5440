// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Leaf, PhasePart, ProgramPart} from "./DisputeProofs.sol";

// What travels in the `proof` of an answer: `abi.encode` of the struct that goes with the part.
// Where the demanded thing does not exist, the parts that show it come and the others are empty.

/// @notice A run of a tensor (CONSTANT, INPUT, OUTPUT).
/// @param output one word, the number of the output's state: for outputs only
/// @param decl declaration of the constant or input, or of that state
/// @param tensor path of the tensor's wrapper in the constants, inputs or outputs
/// @param blocks the run, whole blocks
/// @param siblings what proves the run in the tensor
struct TensorAnswer {
    ProgramPart program;
    Leaf output;
    Leaf decl;
    bytes32[] tensor;
    bytes blocks;
    bytes32[] siblings;
}

/// @notice A piece of the program (the other parts).
/// @param phase for INSTANCE, NEXT and PHASE, which it answers itself
/// @param piece the descriptor; empty for HEADER and PHASE
struct ProgramAnswer {
    ProgramPart program;
    PhasePart phase;
    Leaf piece;
}
