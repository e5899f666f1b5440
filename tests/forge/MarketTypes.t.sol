// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Splits} from "../../contracts/libraries/Splits.sol";
import {Account, AccountWord} from "../../contracts/types/Account.sol";
import {JobState, JobStatus, JobWord} from "../../contracts/types/JobState.sol";
import {Payout} from "../../contracts/types/JobTerms.sol";

/// @notice Packed words keep what is put in; every split adds up to what it divides.
contract MarketTypes {
    error Differs(string what);

    function reject(uint256 token, uint256 native, address client, Payout[] calldata payouts)
        external
        pure
        returns (uint256, Payout[] memory)
    {
        return Splits.reject(token, native, client, payouts);
    }

    function voided(
        uint256 escrow,
        uint256 bounty,
        uint256 lockToken,
        uint256 lockNative,
        JobStatus status,
        Payout[] calldata payouts
    ) external pure returns (Splits.Void memory) {
        return Splits.voided(escrow, bounty, lockToken, lockNative, status, payouts);
    }

    function testFuzz_pack__any_job_state__comes_back(
        uint8 status,
        uint8 attempt,
        address provider,
        uint40 clock,
        uint24 windowSeconds,
        uint24 holds
    ) public pure {
        JobState memory a =
            JobState(JobStatus(status % 8), attempt % 16, provider, clock, windowSeconds, holds);
        JobState memory b = a.pack().unpack();
        _same("state", keccak256(abi.encode(a)) == keccak256(abi.encode(b)));
        _same("word", JobWord.unwrap(a.pack()) == JobWord.unwrap(b.pack()));
    }

    function testFuzz_pack__any_account__comes_back(
        uint96 stake,
        uint80 deposit,
        uint56 backlogMs,
        uint24 done
    ) public pure {
        Account memory a = Account(stake, deposit, backlogMs, done);
        Account memory b = a.pack().unpack();
        _same("account", keccak256(abi.encode(a)) == keccak256(abi.encode(b)));
        _same("word", AccountWord.unwrap(a.pack()) == AccountWord.unwrap(b.pack()));
    }

    function testFuzz_late__any_lock_and_price__adds_up_below_half(uint96 lock, uint96 price)
        public
        pure
    {
        (uint256 burned, uint256 toClient) = Splits.late(lock, price);
        uint256 taken = burned + toClient;
        _same("two fifths", taken == uint256(lock) * 2 / 5);
        _same("burn", 3 * burned >= taken);
        _same("client", toClient <= price);
        _same("no more", toClient == price || 3 * burned <= taken + 2);
        _same("half", lock == 0 || 2 * taken < lock);
    }

    function testFuzz_reject__any_payouts_within_bounds__add_up(
        uint96 lock,
        uint80 native,
        uint256 seed
    ) public view {
        Payout[] memory payouts = _payouts(seed, lock / 3, native);
        (uint256 burned, Payout[] memory all) =
            this.reject(lock, native, address(7), payouts);
        uint256 sum = burned;
        for (uint256 i = 0; i < all.length; i++) {
            sum += all[i].token;
        }
        _same("sum", sum == lock);
        _same("burn", 3 * burned >= lock);
        Payout memory client = all[all.length - 1];
        _same("client", client.to == address(7) && 3 * uint256(client.token) + 2 >= lock);
    }

    function testFuzz_voided__any_payouts_within_bounds__add_up(
        uint96 escrow,
        uint80 bounty,
        uint96 lockToken,
        uint80 lockNative,
        uint8 status,
        uint256 seed
    ) public view {
        uint256[2] memory sums = [uint256(escrow) + lockToken, uint256(bounty) + lockNative];
        Payout[] memory payouts = _payouts(seed, sums[0], sums[1]);
        Splits.Void memory split = this.voided(
            escrow, bounty, lockToken, lockNative, JobStatus(1 + status % 3), payouts
        );
        uint256[2] memory met;
        uint256[2] memory lacking;
        for (uint256 i = 0; i < payouts.length; i++) {
            met[0] += split.met[i].token;
            met[1] += split.met[i].native;
            lacking[0] += split.lacking[i].token;
            lacking[1] += split.lacking[i].native;
            _same(
                "line",
                split.met[i].token + split.lacking[i].token == payouts[i].token
                    && split.met[i].native + split.lacking[i].native == payouts[i].native
                    && split.met[i].to == payouts[i].to && split.lacking[i].to == payouts[i].to
            );
        }
        _same("escrow", met[0] + split.toProvider + split.toClient == escrow);
        _same("bounty", met[1] + split.bountyLeft == bounty);
        _same("lock", lacking[0] <= lockToken && lacking[1] <= lockNative);
        _same("escrow first", lacking[0] == 0 || split.toClient + split.toProvider == 0);
        _same("open", status % 3 != 0 || split.toProvider == 0);
    }

    function _payouts(uint256 seed, uint256 tokens, uint256 native)
        private
        pure
        returns (Payout[] memory payouts)
    {
        payouts = new Payout[](seed % 5);
        for (uint256 k = 0; k < payouts.length; k++) {
            uint256 t = uint256(keccak256(abi.encode(seed, k, "t"))) % (tokens + 1);
            uint256 n = uint256(keccak256(abi.encode(seed, k, "n"))) % (native + 1);
            payouts[k] = Payout(address(uint160(k + 1)), uint128(t), uint128(n));
            tokens -= t;
            native -= n;
        }
    }

    function _same(string memory what, bool holds) private pure {
        if (!holds) revert Differs(what);
    }
}
