// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Task} from "../types/JobTerms.sol";

/// @notice What is shown to be illegal. The clauses are those of protocol/spec/legality.py; for
/// each kind types/LegalityProofs.sol has the struct that travels as `proof`.
/// PROGRAM: P1; bytes of the header, of an output or of a phase's head that do not decode.
/// DECLARATION: D1 of a constant or an input. STATE: D1 or D2. TEMPLATE: T1 to T9.
/// INSTANCE: I1 or I2. NEXT: N1. For all of these also bytes that do not decode.
/// STEPS: the job asks a phase for more steps than it allows, or a phase that does not exist; or
/// the program has more phases than a job can count.
/// TENSOR: a constant or input has another dtype or shape than declared.
/// ELEMENT: an element of a constant is beyond its declared bound.
/// LENGTH: a descriptor is longer or shorter than any that decodes, its bytes need not be brought.
enum Illegality {
    PROGRAM,
    DECLARATION,
    STATE,
    TEMPLATE,
    INSTANCE,
    NEXT,
    STEPS,
    TENSOR,
    ELEMENT,
    LENGTH
}

/// @title Whether a job is illegal
/// @notice A function of the task and the proof alone: no state, no money. Of a legal job no proof
/// returns true, whatever it holds and however little gas it gets. A proof that is not of this
/// task, has a wrong length or lacks a part that it needs reverts with a named error; running out
/// of gas reverts too, and bytes that are the encoding of no proof revert as the compiler's decoder
/// does, without data. So only a decision returns.
interface ILegalityReferee {
    /// @notice Reading a descriptor ended neither well nor with an error of the decoder: the call
    /// had too little gas.
    error DecodingStopped();

    /// @notice True if `proof` (`abi.encode` of the struct that goes with `kind`) shows that the
    /// job is illegal, false if what it shows is legal.
    function illegal(Task calldata task, Illegality kind, bytes calldata proof)
        external
        view
        returns (bool);
}
