// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ILegalityReferee, Illegality} from "../interfaces/ILegalityReferee.sol";
import {Task} from "../types/JobTerms.sol";

/// @title A referee of legality that believes what it is told
/// @notice For tests of the court only: the proof is the verdict, one word.
contract MockLegalityReferee is ILegalityReferee {
    /// @inheritdoc ILegalityReferee
    function illegal(Task calldata, Illegality, bytes calldata proof)
        external
        pure
        returns (bool)
    {
        return abi.decode(proof, (bool));
    }
}
