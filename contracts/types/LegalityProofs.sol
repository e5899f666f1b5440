// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {BlockRun} from "../libraries/TensorElement.sol";
import {Leaf, PhasePart, ProgramPart} from "./DisputeProofs.sol";

// What travels in the `proof` of `illegal`: `abi.encode` of the struct that goes with the kind.
// A part that the case does not need (what an index names that does not exist, say) stays empty
// and is not read.

/// @notice What a ProgramCase is about, beside the header.
enum ProgramClause {
    HEADER,
    OUTPUT,
    HALT,
    PHASE
}

/// @notice The lists of descriptors that carry their length under the program root.
enum Listing {
    CONSTANTS,
    INPUTS,
    STATES,
    OUTPUTS,
    TEMPLATES,
    INSTANCES,
    NEXTS
}

/// @notice PROGRAM: clause P1.
/// @param index number of the output or of the phase
/// @param leaf the output (one word), or the declaration of the halt state
/// @param phase for PHASE
struct ProgramCase {
    ProgramPart program;
    ProgramClause clause;
    uint256 index;
    Leaf leaf;
    PhasePart phase;
}

/// @notice DECLARATION: clause D1 of constant or input `index`.
struct DeclarationCase {
    ProgramPart program;
    bool isInput;
    uint256 index;
    Leaf declaration;
}

/// @notice STATE: clauses D1 and D2 of state `index`.
/// @param start declaration of the constant or input that it starts as
struct StateCase {
    ProgramPart program;
    uint256 index;
    Leaf state;
    Leaf start;
}

/// @notice TEMPLATE: clauses T1 to T9.
struct TemplateCase {
    ProgramPart program;
    uint256 index;
    Leaf template;
}

/// @notice What an operand or a next names.
/// @param descriptor declaration, state or instance
/// @param template of an instance
struct Named {
    Leaf descriptor;
    Leaf template;
}

/// @notice INSTANCE: clauses I1 and I2 of operation `index` of phase `phaseNumber`, of one operand.
/// @param template the one that the instance names
/// @param operand number of the operand that is looked at
/// @param source what it names
struct InstanceCase {
    ProgramPart program;
    uint256 phaseNumber;
    PhasePart phase;
    uint256 index;
    Leaf instance;
    Leaf template;
    uint256 operand;
    Named source;
}

/// @notice NEXT: clause N1 of state `index` in phase `phaseNumber`.
/// @param value the operation that it becomes, or that is written
/// @param slice the operation that names the slice
struct NextCase {
    ProgramPart program;
    uint256 phaseNumber;
    PhasePart phase;
    uint256 index;
    Leaf next;
    Leaf state;
    Named value;
    Named slice;
}

/// @notice STEPS: the steps of phase `phaseNumber`. No phase is needed if steps of phases that do
/// not exist are the matter.
struct StepsCase {
    ProgramPart program;
    uint256 phaseNumber;
    PhasePart phase;
}

/// @notice TENSOR: the wrapper of constant or input `index`.
/// @param meta its two words, under the job's root
/// @param root its block root
struct TensorCase {
    ProgramPart program;
    bool isInput;
    uint256 index;
    Leaf declaration;
    bytes32[2] meta;
    bytes32 root;
    bytes32[] siblings;
}

/// @notice ELEMENT: element `element` of constant `index`.
/// @param siblings path of its wrapper under the job's root
/// @param block_ the one block that holds the element
struct ElementCase {
    ProgramPart program;
    uint256 index;
    Leaf declaration;
    bytes32[] siblings;
    BlockRun block_;
    uint256 element;
}

/// @notice LENGTH: descriptor `index` of a list has `length` bytes, whose hash is `hash`.
/// @param phaseNumber of INSTANCES and NEXTS, and `phase`
struct LengthCase {
    ProgramPart program;
    Listing list;
    uint256 phaseNumber;
    PhasePart phase;
    uint256 index;
    uint256 length;
    bytes32 hash;
    bytes32[] siblings;
}
