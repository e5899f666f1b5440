// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ICredits} from "../interfaces/ICredits.sol";
import {IJobMarket} from "../interfaces/IJobMarket.sol";
import {BPS, BURN_PARTS, LATE_BPS, REWARD_PARTS, VOID_FEE_BPS} from "../types/Constants.sol";
import {JobStatus} from "../types/JobState.sol";
import {Payout} from "../types/JobTerms.sol";

/// @title Who gets what when a job goes wrong
/// @dev Pure arithmetic; every split adds up to what it divides.
library Splits {
    /// @param met the payouts, as far as the client's escrow and bounty go
    /// @param lacking what they lack, owed by the provider's lock
    /// @param toProvider tokens for the provider out of the escrow
    /// @param toClient tokens left for the client
    /// @param bountyLeft wei left for the client
    struct Void {
        Payout[] met;
        Payout[] lacking;
        uint256 toProvider;
        uint256 toClient;
        uint256 bountyLeft;
    }

    /// @dev Fills a line of a split, its wei as far as they go; what is left of these.
    function line(Payout memory p, address to, uint256 token, uint256 native, uint256 left)
        internal
        pure
        returns (uint256)
    {
        if (native > left) native = left;
        (p.to, p.token, p.native) = (to, uint128(token), uint128(native));
        unchecked {
            return left - native;
        }
    }

    /// @dev A late provider loses LATE_BPS of its lock: a third, rounded up, burns, and so does
    /// what would give the client more than the price.
    function late(uint256 lock, uint256 price)
        internal
        pure
        returns (uint256 burned, uint256 toClient)
    {
        uint256 taken = (lock * LATE_BPS) / BPS;
        toClient = taken - (taken + BURN_PARTS - 1) / BURN_PARTS;
        if (toClient > price) toClient = price;
        burned = taken - toClient;
    }

    /// @dev A rejected provider loses its whole lock: a third, rounded up, burns; `payouts` take a
    /// third at most, the client the rest. `all` is the payouts and the client's line behind them.
    function reject(uint256 token, uint256 native, address client, Payout[] calldata payouts)
        internal
        pure
        returns (uint256 burned, Payout[] memory all)
    {
        uint256 sumToken = 0;
        uint256 sumNative = 0;
        all = new Payout[](payouts.length + 1);
        for (uint256 i = 0; i < payouts.length; i++) {
            Payout memory p = payouts[i];
            // INVARIANT: somebody owns every credit.
            if (p.to == address(0)) revert ICredits.ZeroAddress();
            sumToken += p.token;
            sumNative += p.native;
            all[i] = p;
        }
        uint256 most = token / REWARD_PARTS;
        // INVARIANT: rewards leave a third to burn and a third to the client.
        if (sumToken > most) revert IJobMarket.PayoutsTooLarge(sumToken, most);
        // INVARIANT: gas is repaid from this claim's deposit only.
        if (sumNative > native) revert IJobMarket.PayoutsTooLarge(sumNative, native);
        burned = (token + BURN_PARTS - 1) / BURN_PARTS;
        all[payouts.length] = Payout(client, uint128(token - burned - sumToken), 0);
    }

    /// @dev A voided job: line by line out of escrow and bounty, then out of the lock; then the
    /// provider, as far as the escrow goes; then the client.
    function voided(
        uint256 escrow,
        uint256 bounty,
        uint256 lockToken,
        uint256 lockNative,
        JobStatus status,
        Payout[] calldata payouts
    ) internal pure returns (Void memory split) {
        split.met = new Payout[](payouts.length);
        split.lacking = new Payout[](payouts.length);
        split.toClient = escrow;
        split.bountyLeft = bounty;
        for (uint256 i = 0; i < payouts.length; i++) {
            Payout calldata p = payouts[i];
            // INVARIANT: somebody owns every credit.
            if (p.to == address(0)) revert ICredits.ZeroAddress();
            uint256 token = p.token < split.toClient ? p.token : split.toClient;
            uint256 native = p.native < split.bountyLeft ? p.native : split.bountyLeft;
            split.toClient -= token;
            split.bountyLeft -= native;
            split.met[i] = Payout(p.to, uint128(token), uint128(native));
            split.lacking[i] =
                Payout(p.to, p.token - uint128(token), p.native - uint128(native));
            // INVARIANT: a shortfall is owed by this attempt's lock only.
            if (split.lacking[i].token > lockToken) {
                revert IJobMarket.PayoutsTooLarge(split.lacking[i].token, lockToken);
            }
            if (split.lacking[i].native > lockNative) {
                revert IJobMarket.PayoutsTooLarge(split.lacking[i].native, lockNative);
            }
            lockToken -= split.lacking[i].token;
            lockNative -= split.lacking[i].native;
        }
        if (status != JobStatus.Open) {
            uint256 fee =
                status == JobStatus.Committed ? escrow : (escrow * VOID_FEE_BPS) / BPS;
            split.toProvider = fee < split.toClient ? fee : split.toClient;
            split.toClient -= split.toProvider;
        }
    }
}
