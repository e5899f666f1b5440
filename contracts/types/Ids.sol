// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @notice The EIP-712 digest of all terms of a job under the market's domain (chain, market).
/// One jobHash is posted at most once, ever.
type JobHash is bytes32;

/// @notice Names one provider's answer to one attempt at one job:
/// `keccak256(abi.encode(CLAIM_TYPEHASH, chainid, market, jobHash, attempt, provider, start,
/// count, resultRoot))`. Everything a dispute does is keyed by it.
type ClaimId is bytes32;

using {eqJob as ==, neqJob as !=} for JobHash global;
using {eqClaim as ==, neqClaim as !=} for ClaimId global;

function eqJob(JobHash a, JobHash b) pure returns (bool) {
    return JobHash.unwrap(a) == JobHash.unwrap(b);
}

function neqJob(JobHash a, JobHash b) pure returns (bool) {
    return JobHash.unwrap(a) != JobHash.unwrap(b);
}

function eqClaim(ClaimId a, ClaimId b) pure returns (bool) {
    return ClaimId.unwrap(a) == ClaimId.unwrap(b);
}

function neqClaim(ClaimId a, ClaimId b) pure returns (bool) {
    return ClaimId.unwrap(a) != ClaimId.unwrap(b);
}
