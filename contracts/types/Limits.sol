// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @notice Smallest and largest value of every term a client may choose; set once, at deployment.
/// Seconds, milliseconds, tokens, wei and gas as in `Deal`.
/// @param disputeGas gas of the worst dispute; a provider's native lock covers it twice
/// @param closeGas gas paid for by the client's bounty: the one call that ends the job
/// @param lateGas gas paid for by a late provider's bounty
struct Limits {
    uint32 minOpenSeconds;
    uint32 maxOpenSeconds;
    uint32 minRunSeconds;
    uint32 maxRunSeconds;
    uint24 minWindowSeconds;
    uint24 maxWindowSeconds;
    uint32 minMoveSeconds;
    uint32 maxMoveSeconds;
    uint64 minWorkMs;
    uint64 maxWorkMs;
    uint96 minLock;
    uint96 maxLock;
    uint32 minStakeBps;
    uint32 maxStakeBps;
    uint64 minGasPrice;
    uint64 maxGasPrice;
    uint8 maxAttempts;
    uint32 disputeGas;
    uint32 closeGas;
    uint32 lateGas;
}
