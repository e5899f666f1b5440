// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Context} from "../types/Dispute.sol";
import {Part} from "../types/Demand.sol";

/// @title Whether an answer is what was demanded
/// @notice A function of the terms, the committed roots and the answer: neither state nor money.
/// What is of another place or job, has another length than program and place give it, holds
/// anything but zeros behind the end of a tensor, or lacks a part reverts with a named error; bytes
/// that are the encoding of no answer revert as the compiler's decoder does, without data.
interface IDataReferee {
    /// @notice The run of a tensor has `wanted` bytes.
    error WrongRun(uint256 got, uint256 wanted);

    /// @notice Bytes of the demanded thing that `proof` (the struct of types/DemandProofs.sol that
    /// goes with `part`) shows; 0 if it shows that there is no such thing. Of `context` the task,
    /// the item, the index and, as node, the claim's result root count.
    function shown(Context calldata context, Part part, bytes calldata proof)
        external
        pure
        returns (uint256 bytes_);
}
