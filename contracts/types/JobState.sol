// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @notice Where a job is. The only moves between these (each is one event):
///   None -post-> Open
///   Open -accept-> Accepted | -cancel-> Cancelled | -refund-> Refunded | -void-> Voided
///   Accepted -commit-> Committed | -slashLate-> Open or Refunded | -void-> Voided
///   Committed -finalize-> Finalized | -reject-> Open or Refunded | -void-> Voided
/// Finalized, Refunded, Cancelled and Voided are final.
enum JobStatus {
    None,
    Open,
    Accepted,
    Committed,
    Finalized,
    Refunded,
    Cancelled,
    Voided
}

/// @notice Why a provider lost an attempt.
/// `Late`: no commit in time. `Wrong`: an element was proven unequal. `Silent`: a dispute's clock
/// ran out on the provider. `Withheld`: a demand for data was not answered. The last three cost
/// the whole lock, the first 2/5 of it.
enum Fault {
    Late,
    Wrong,
    Silent,
    Withheld
}

/// @notice One job in one word of storage.
/// @param status where the job is
/// @param attempt number of the current attempt, from 0
/// @param provider who accepted the current attempt; 0 while open
/// @param clock the deadline the state waits for: accept by, commit by, or challenge by.
/// `t <= clock` belongs to the mover, `t > clock` to the timeout; 0 in final states
/// @param windowSeconds copied from the deal at acceptance, so that a commit needs no terms
/// @param holds open challenges and demands of the current claim; finalize waits for 0
struct JobState {
    JobStatus status;
    uint8 attempt;
    address provider;
    uint40 clock;
    uint24 windowSeconds;
    uint24 holds;
}

/// @notice A packed JobState: status 4 bits, attempt 4, holds 24, windowSeconds 24, clock 40,
/// provider 160, from the lowest bit up.
type JobWord is uint256;

using {unpack} for JobWord global;
using {pack} for JobState global;

function pack(JobState memory s) pure returns (JobWord) {
    return JobWord.wrap(
        uint256(s.status) | (uint256(s.attempt) << 4) | (uint256(s.holds) << 8)
            | (uint256(s.windowSeconds) << 32) | (uint256(s.clock) << 56)
            | (uint256(uint160(s.provider)) << 96)
    );
}

function unpack(JobWord word) pure returns (JobState memory s) {
    uint256 w = JobWord.unwrap(word);
    s.status = JobStatus(w & 0xf);
    s.attempt = uint8((w >> 4) & 0xf);
    s.holds = uint24(w >> 8);
    s.windowSeconds = uint24(w >> 32);
    s.clock = uint40(w >> 56);
    s.provider = address(uint160(w >> 96));
}
