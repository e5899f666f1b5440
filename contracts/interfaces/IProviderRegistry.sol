// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ICredits} from "./ICredits.sol";
import {Payout} from "../types/JobTerms.sol";
import {Fault} from "../types/JobState.sol";

/// @title Who may serve, what they put at stake, and how they did
/// @notice A provider registers, stakes tokens and deposits native money. Each accepted job takes
/// a lock out of both; the lock comes back when the job ends well, or is split when it does not.
/// A slash touches that one lock and nothing else. Free money can leave only through unbonding.
///
/// Money: `balance of this contract = free + unbonding + live locks + credits`, in each currency.
/// The amounts of a live lock are a function of the job's deal (`IJobMarket.lockOf`), so they are
/// not stored again here: the market, an immutable address, takes a lock once and ends it once.
interface IProviderRegistry is ICredits {
    /// @notice What the registry knows of one provider.
    /// @param registered true from the first `register` on, for ever
    /// @param stake free tokens: neither locked nor unbonding
    /// @param deposit free wei
    /// @param backlogMs milliseconds of work accepted and not yet settled
    /// @param queueEnd when the last opening (first move of a dispute) in the queue is due to start
    /// @param done attempts finalized (saturates)
    /// @param late attempts lost by lateness (saturates)
    /// @param lost attempts lost to a dispute or a demand (saturates)
    /// @param delegate may make the provider's moves in disputes; 0 for none
    /// @param capabilities one bit a capability
    struct Provider {
        bool registered;
        uint96 stake;
        uint80 deposit;
        uint56 backlogMs;
        uint40 queueEnd;
        uint24 done;
        uint24 late;
        uint24 lost;
        address delegate;
        bytes32 capabilities;
    }

    /// @notice Money on its way out.
    /// @param token tokens
    /// @param native wei
    /// @param readyAt it may leave when `block.timestamp > readyAt`
    struct Unbonding {
        uint96 token;
        uint80 native;
        uint40 readyAt;
    }

    /// @notice `provider` registered, or replaced its entry. `endpoint` is free text (a multiaddr,
    /// a URL), for people and agents.
    event Registered(
        address indexed provider, bytes32 capabilities, address delegate, bytes endpoint
    );
    /// @notice Free money of `provider` grew by this much.
    event Staked(address indexed provider, uint256 token, uint256 native);
    /// @notice Free money left for unbonding; all that unbonds is ready after `readyAt`.
    event UnbondingStarted(
        address indexed provider, uint256 token, uint256 native, uint256 readyAt
    );
    /// @notice Unbonded money became credit.
    event Unbonded(address indexed provider, uint256 token, uint256 native);
    /// @notice A claim's first challenge queued an opening of `traceSeconds` work.
    event OpeningQueued(address indexed provider, uint256 traceSeconds, uint256 queueEnd);
    /// @notice A lock ended in a split. `token`, `native`: what the provider lost; `burned`: tokens
    /// credited to the dead address, part of `token`; `payouts`: who else was credited.
    event Slashed(
        address indexed provider,
        Fault fault,
        uint256 token,
        uint256 native,
        uint256 burned,
        Payout[] payouts
    );

    /// @notice Only the market may.
    error NotMarket(address got, address wanted);
    /// @notice Only the dispute game may.
    error NotGame(address got, address wanted);
    /// @notice Register first.
    error NotRegistered(address provider);
    /// @notice The provider lacks capability bits: it has `got`, the job wants `wanted`.
    error CapabilityMissing(bytes32 got, bytes32 wanted);
    /// @notice Free stake too small: stake at least the difference.
    error StakeTooLow(address provider, uint256 got, uint256 wanted);
    /// @notice Free native deposit too small: deposit at least the difference.
    error DepositTooLow(address provider, uint256 got, uint256 wanted);
    /// @notice Unsettled work would pass the cap: wait until some settles.
    error BacklogFull(address provider, uint256 got, uint256 most);
    /// @notice Unbonding money is not ready before `readyAt` has passed.
    error StillUnbonding(uint256 got, uint256 readyAt);
    /// @notice Nothing to move.
    error NothingToMove();
    /// @notice Endpoint longer than the limit.
    error EndpointTooLong(uint256 got, uint256 most);
    /// @notice The split spends more than the lock holds.
    error SplitTooLarge(uint256 got, uint256 most);

    function MARKET() external view returns (address);
    function GAME() external view returns (address);
    /// @notice Seconds that unbonding takes.
    function UNBONDING_SECONDS() external view returns (uint32);
    /// @notice Most unsettled work of one provider, in milliseconds.
    function MAX_BACKLOG_MS() external view returns (uint56);

    /// @notice All that is known of `provider`; all zero if it never registered.
    function providerOf(address provider) external view returns (Provider memory);

    /// @notice Money of `provider` on its way out.
    function unbondingOf(address provider) external view returns (Unbonding memory);

    /// @notice True if `who` may make moves for `provider`: itself, or its delegate.
    function mayMove(address provider, address who) external view returns (bool);

    // --- providers --------------------------------------------------------------------------

    /// @notice Enter, or replace one's entry. Emits `Registered`. Reverts: `EndpointTooLong`.
    function register(bytes32 capabilities, address delegate, bytes calldata endpoint) external;

    /// @notice Add `amount` tokens (by `transferFrom`; may be 0) and the call's native money to the
    /// caller's free balances. Emits `Staked`.
    /// Reverts: `NotRegistered`, `NothingToMove`, `AmountTooLarge`, `TokenMoved`.
    function stake(uint256 amount) external payable;

    /// @notice `stake` with an EIP-2612 permit. A permit that somebody sent ahead is not an error.
    function stakeWithPermit(uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        payable;

    /// @notice Begin to take free money out. All that unbonds, earlier requests too, is ready one
    /// full delay from now: nothing shortens it. Emits `UnbondingStarted`.
    /// Reverts: `NothingToMove`, `StakeTooLow`, `DepositTooLow`.
    function unbond(uint96 token, uint80 native) external;

    /// @notice Turn what has unbonded into credit, once `block.timestamp > readyAt`.
    /// Emits `Unbonded`. Reverts: `NothingToMove`, `StillUnbonding`.
    function claimUnbonded() external;

    // --- the market -------------------------------------------------------------------------

    /// @notice Take a lock for an accepted job: `token` and `native` leave the free balances, and
    /// `workMs` enters the backlog. No event: the market's `Accepted` tells.
    /// Reverts: `NotMarket`, `CapabilityMissing`, `StakeTooLow`, `DepositTooLow`, `BacklogFull`.
    function lock(
        address provider,
        uint256 token,
        uint256 native,
        uint256 workMs,
        bytes32 capability
    ) external;

    /// @notice End a lock well: all of it is free again; `done` counts up if `finalized`.
    /// Reverts: `NotMarket`.
    function unlock(
        address provider,
        uint256 token,
        uint256 native,
        uint256 workMs,
        bool finalized
    ) external;

    /// @notice End a lock of `token` and `native` badly: burn `burned` tokens of it, credit the
    /// payouts from it, return the rest to the provider's free balances. Emits `Slashed`.
    /// Reverts: `NotMarket`, `SplitTooLarge`.
    function slash(
        address provider,
        uint256 token,
        uint256 native,
        uint256 workMs,
        Fault fault,
        uint256 burned,
        Payout[] calldata payouts
    ) external;

    /// @notice End a lock of a voided job: credit the payouts from it (a shortfall of the client's
    /// escrow, which the provider answers for because accepting asserts legality), return the rest.
    /// Reverts: `NotMarket`, `SplitTooLarge`.
    function voidLock(
        address provider,
        uint256 token,
        uint256 native,
        uint256 workMs,
        Payout[] calldata payouts
    ) external;

    // --- the game ---------------------------------------------------------------------------

    /// @notice Queue one opening: `queueEnd = min(max(now, queueEnd) + trace(workMs), now +
    /// trace(backlogMs))` seconds, returned, with `trace(ms) = ceil(TRACE_FACTOR * ms / 1000)`. The
    /// game calls it once a claim, at its first challenge, and gives the provider until `queueEnd`
    /// plus its minimum clock, so that challenging many claims at once makes nobody late: whoever
    /// builds traces in order of challenge is done by each `queueEnd`. The second bound keeps
    /// claims that are settled from lengthening the queue of the others. Emits `OpeningQueued`.
    /// Reverts: `NotGame`.
    function queueOpening(address provider, uint256 workMs) external returns (uint40 queueEnd);
}
