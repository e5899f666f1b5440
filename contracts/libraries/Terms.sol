// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ClaimId, JobHash} from "../types/Ids.sol";
import {Deal, Task} from "../types/JobTerms.sol";
import {CLAIM_TYPEHASH} from "../types/Constants.sol";

/// @title Hashes of terms and claims
/// @dev The EIP-712 types, written once. A static struct in calldata is its words in order, which
/// is what EIP-712 asks for, so it is copied whole. Words that do not fit their types hash to what
/// nobody can post: encoding the event of `post` refuses them.
library Terms {
    bytes private constant TASK_TYPE =
        "Task(address referee,bytes32 programRoot,bytes32 constantsRoot,bytes32 inputsRoot,"
        "bytes32 locatorsHash,uint256 steps,uint64 firstStep,int64 seed,uint32 taskCount)";

    bytes private constant DEAL_TYPE =
        "Deal(address client,uint64 nonce,bytes32 capability,uint128 priceFloor,"
        "uint128 priceCeiling,uint32 rampSeconds,uint32 stakeBps,uint8 attempts,uint64 workMs,"
        "uint64 gasPrice,uint32 openSeconds,uint32 runSeconds,uint24 windowSeconds,"
        "uint32 moveSeconds)";

    bytes32 internal constant TASK_TYPEHASH = keccak256(TASK_TYPE);
    bytes32 internal constant DEAL_TYPEHASH = keccak256(DEAL_TYPE);
    bytes32 internal constant TERMS_TYPEHASH =
        keccak256(abi.encodePacked("JobTerms(Task task,Deal deal)", DEAL_TYPE, TASK_TYPE));

    function hashTask(Task calldata task) internal pure returns (bytes32 hash) {
        bytes32 typehash = TASK_TYPEHASH;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typehash)
            calldatacopy(add(free, 32), task, mul(9, 32))
            hash := keccak256(free, mul(10, 32))
        }
    }

    function hashDeal(Deal calldata deal) internal pure returns (bytes32 hash) {
        bytes32 typehash = DEAL_TYPEHASH;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typehash)
            calldatacopy(add(free, 32), deal, mul(14, 32))
            hash := keccak256(free, mul(15, 32))
        }
    }

    /// @dev Struct hash of the terms; the domain makes a jobHash of it.
    function hashTerms(bytes32 taskHash, Deal calldata deal) internal pure returns (bytes32) {
        return keccak256(abi.encode(TERMS_TYPEHASH, taskHash, hashDeal(deal)));
    }

    /// @dev The whole job is one range of one task until batches exist.
    function claimId(
        address market,
        JobHash jobHash,
        uint256 attempt,
        address provider,
        bytes32 resultRoot
    ) internal view returns (ClaimId) {
        uint256 start = 0;
        uint256 count = 1;
        return ClaimId.wrap(
            keccak256(
                abi.encode(
                    CLAIM_TYPEHASH,
                    block.chainid,
                    market,
                    jobHash,
                    attempt,
                    provider,
                    start,
                    count,
                    resultRoot
                )
            )
        );
    }
}
