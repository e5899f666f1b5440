// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @dev Whole, in basis points.
uint256 constant BPS = 10_000;

/// @dev Part of the lock that lateness costs, in basis points. A wrong or silent provider loses
/// the whole lock, which must be more than twice this: else a late provider would rather guess.
uint256 constant LATE_BPS = 4_000;

/// @dev One part in this many of every slash is burned, rounded up. One entity may play all roles
/// and pay itself the rest: only what burns deters.
uint256 constant BURN_PARTS = 3;

/// @dev Challengers together get at most one part in this many of a slashed lock, rounded down;
/// the client gets what remains after them and the burn.
uint256 constant REWARD_PARTS = 3;

/// @dev Part of the price a provider gets when a job is voided before it committed, in bps.
uint256 constant VOID_FEE_BPS = 1_000;

/// @dev Building a trace may take this many times the work of the job.
uint256 constant TRACE_FACTOR = 5;

/// @dev Most lines in one split: nine challengers, the demander, the caller; and some room.
uint256 constant MAX_PAYOUTS = 16;

/// @dev An answer's gas is paid at most this many base fees, of the block that asks for it and of
/// its own: a rise within the time of a transaction, and a tip.
uint256 constant PRICE_FACTOR = 2;

/// @dev Most bytes of locators that `post` or `commit` emits.
uint256 constant MAX_LOCATORS = 4_096;

/// @dev Most bytes of a provider's endpoint.
uint256 constant MAX_ENDPOINT = 1_024;

/// @dev Burned money is credited here; nobody holds its key.
address constant DEAD = 0x000000000000000000000000000000000000dEaD;

/// @dev Tag of claim identifiers.
bytes32 constant CLAIM_TYPEHASH = keccak256(
    "AssayClaim(uint256 chainId,address market,bytes32 jobHash,uint256 attempt,"
    "address provider,uint256 start,uint256 count,bytes32 resultRoot)"
);
