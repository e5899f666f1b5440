// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IJudge} from "../interfaces/IJudge.sol";
import {IJobMarket} from "../interfaces/IJobMarket.sol";
import {IProviderRegistry} from "../interfaces/IProviderRegistry.sol";
import {ClaimId, JobHash} from "../types/Ids.sol";
import {Fault} from "../types/JobState.sol";
import {Deal, Payout} from "../types/JobTerms.sol";

/// @title A judge without a trial
/// @notice For tests only: whoever calls it is the judge. It shows that everything a dispute game
/// does to the market goes through the six calls below.
contract MockDisputeGame is IJudge {
    address public immutable MARKET;
    address public immutable REGISTRY;

    constructor(address market, address registry) {
        MARKET = market;
        REGISTRY = registry;
    }

    function hold(JobHash jobHash, ClaimId claimId) external {
        IJobMarket(MARKET).hold(jobHash, claimId);
    }

    function release(JobHash jobHash, ClaimId claimId, uint256 count) external {
        IJobMarket(MARKET).release(jobHash, claimId, count);
    }

    function reject(
        bytes32 taskHash,
        Deal calldata deal,
        ClaimId claimId,
        Fault fault,
        Payout[] calldata payouts
    ) external {
        IJobMarket(MARKET).reject(taskHash, deal, claimId, fault, payouts);
    }

    function voidJob(bytes32 taskHash, Deal calldata deal, Payout[] calldata payouts) external {
        IJobMarket(MARKET).voidJob(taskHash, deal, payouts);
    }

    function queueOpening(address provider, uint256 workMs) external returns (uint40) {
        return IProviderRegistry(REGISTRY).queueOpening(provider, workMs);
    }
}
