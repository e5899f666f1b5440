// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Context, Proof, Tree} from "../types/Dispute.sol";

/// @title Whether a proof holds
/// @notice Pure functions of the terms, the committed roots and the proof: a referee holds neither
/// state nor money. A proof of something else than was asked, of another place, of a wrong length
/// or with anything left over reverts with a named error; running out of gas reverts too, and bytes
/// that are the encoding of no proof revert as the compiler's decoder does, without data. So only a
/// decision returns. A part that the decision does not need is not looked at.
interface IReferee {
    /// @notice The proof is about another place than the challenge has reached.
    error WrongPlace(uint256 got, uint256 wanted);
    /// @notice This contract does not judge such a proof.
    error UnknownProof(Proof kind);
    /// @notice No tree is entered this way.
    error UnknownTree(Tree tree);

    /// @notice True if `proof` (the struct that goes with `kind`) shows that the claim is wrong,
    /// false if what it compares is equal.
    function judge(Context calldata context, Proof kind, bytes calldata proof)
        external
        pure
        returns (bool wrong);
}

/// @title Shapes of the trees of a trace
interface ITraceReferee is IReferee {
    /// @notice Leaves of the tree `into` at the position of `context`, from the program; for block
    /// trees also the bytes of the last block (1 to 512).
    function geometry(Context calldata context, Tree into, bytes calldata proof)
        external
        pure
        returns (uint256 count, uint256 lastBytes);
}
