// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @notice The part of a provider that every job touches, in one word of storage.
/// @param stake free tokens
/// @param deposit free wei
/// @param backlogMs milliseconds of unsettled work
/// @param done attempts finalized, saturating
struct Account {
    uint96 stake;
    uint80 deposit;
    uint56 backlogMs;
    uint24 done;
}

/// @notice A packed Account: stake 96 bits, deposit 80, backlogMs 56, done 24, from the lowest up.
type AccountWord is uint256;

using {unpack} for AccountWord global;
using {pack} for Account global;

function pack(Account memory a) pure returns (AccountWord) {
    return AccountWord.wrap(
        uint256(a.stake) | (uint256(a.deposit) << 96) | (uint256(a.backlogMs) << 176)
            | (uint256(a.done) << 232)
    );
}

function unpack(AccountWord word) pure returns (Account memory a) {
    uint256 w = AccountWord.unwrap(word);
    a.stake = uint96(w);
    a.deposit = uint80(w >> 96);
    a.backlogMs = uint56(w >> 176);
    a.done = uint24(w >> 232);
}
