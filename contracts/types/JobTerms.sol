// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @notice What is computed. Hashed on its own, so that calls which only move money bring 32
/// bytes of it (`taskHash`) instead of all.
/// @param referee the dispute game that judges the job; must be the market's own
/// @param programRoot root of the canonical program file
/// @param constantsRoot root of the constants tree (tensor wrappers with dtype and shape)
/// @param inputsRoot root of the inputs tree
/// @param locatorsHash keccak256 of the locator bytes emitted by `Posted`
/// @param steps steps of each phase: eight 32-bit counts, phase 0 in the lowest bits; phases the
/// program does not have are 0
/// @param firstStep number of the first step (0 unless the job resumes a checkpoint)
/// @param seed read by programs as a scalar; keys the counter-based generator
/// @param taskCount tasks that share the program; 1 until batches exist
struct Task {
    address referee;
    bytes32 programRoot;
    bytes32 constantsRoot;
    bytes32 inputsRoot;
    bytes32 locatorsHash;
    uint256 steps;
    uint64 firstStep;
    int64 seed;
    uint32 taskCount;
}

/// @notice Who pays what, and by when. Tokens in the token's smallest unit, native money in wei,
/// durations in seconds unless the name says otherwise.
/// @param client posts, pays the price, is refunded and compensated
/// @param nonce chosen by the client; makes two jobs with equal terms distinct
/// @param capability bits a provider must have registered; 0 asks for nothing
/// @param priceFloor price at the start of the ramp; > 0
/// @param priceCeiling price at the end of the ramp; escrowed. Must equal the floor for now
/// @param rampSeconds length of the price ramp; must be 0 for now
/// @param stakeBps provider's lock, in 1/10000 of the price (never below MIN_LOCK)
/// @param attempts how many providers may try, one after the other
/// @param workMs milliseconds of one honest run; sizes dispute clocks and a provider's backlog
/// @param gasPrice wei per gas at which bounties and dispute deposits of this job are prepaid
/// @param openSeconds how long an attempt waits for a provider
/// @param runSeconds how long the provider has from acceptance to commit
/// @param windowSeconds how long a committed result may be challenged
/// @param moveSeconds increment of the dispute game's chess clocks for one move
struct Deal {
    address client;
    uint64 nonce;
    bytes32 capability;
    uint128 priceFloor;
    uint128 priceCeiling;
    uint32 rampSeconds;
    uint32 stakeBps;
    uint8 attempts;
    uint64 workMs;
    uint64 gasPrice;
    uint32 openSeconds;
    uint32 runSeconds;
    uint24 windowSeconds;
    uint32 moveSeconds;
}

/// @notice All terms of a job. `jobHash` is the EIP-712 digest of this struct.
struct JobTerms {
    Task task;
    Deal deal;
}

/// @notice One line of a split: credits to `to`, in both currencies.
struct Payout {
    address to;
    uint128 token;
    uint128 native;
}
