// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ICredits} from "./ICredits.sol";
import {ClaimId, JobHash} from "../types/Ids.sol";
import {Deal, JobTerms, Payout, Task} from "../types/JobTerms.sol";
import {Fault, JobState} from "../types/JobState.sol";
import {Limits} from "../types/Limits.sol";

/// @title Jobs, from post to payment
/// @notice The client's price and the bounty of the closing call are inside from `post` on. A
/// provider accepts exclusively, locks stake, commits the root of its outputs; after the window,
/// if no challenge or demand is open, anybody finalizes and the provider is credited.
///
/// Every wait has a clock, and every clock a call that anybody may make for a bounty:
///   nobody accepts    -> `refund`     paid by the client's bounty
///   nothing committed -> `slashLate`  paid by the provider's deposit
///   window over       -> `finalize`   paid by the client's bounty
/// `t <= clock` belongs to the mover, `t > clock` to the timeout, everywhere.
///
/// Money: `balance of this contract = prices + bounties of jobs not final + credits`, in each
/// currency. Price, stake and slashes are tokens; bounties and gas deposits are native money, a
/// fixed schedule of gas times the deal's `gasPrice`. Locks are held by the registry.
///
/// Storage keeps one word of state and the result root of each job; terms come again in calldata,
/// as `(taskHash, deal)`: `taskHash = hashStruct(task)`. Accepting asserts that the program is
/// legal and that the provider holds program, constants and inputs: no call forces data out of a
/// client after that, and whoever proves the program illegal is made whole by the provider's lock
/// where the client's escrow does not suffice.
///
/// There is no owner, no upgrade, no pause.
interface IJobMarket is ICredits {
    // --- events: one a state change, together enough to rebuild every job -----------------------

    /// @notice A job is open. `locators` say where program, constants and inputs are.
    event Posted(
        JobHash indexed jobHash, address indexed client, JobTerms terms, bytes locators
    );
    /// @notice `provider` has attempt `attempt` to itself and must commit by `runUntil`.
    event Accepted(
        JobHash indexed jobHash, address indexed provider, uint256 attempt, uint256 runUntil
    );
    /// @notice A result: challenge it by `windowUntil`. `locators` say where the outputs are.
    event Committed(
        JobHash indexed jobHash,
        ClaimId indexed claimId,
        address indexed provider,
        bytes32 resultRoot,
        uint256 windowUntil,
        bytes locators
    );
    /// @notice The claim stands; `price` is credited to `provider`, the bounty to `caller`.
    event Finalized(
        JobHash indexed jobHash, address indexed provider, address indexed caller, uint256 price
    );
    /// @notice Nobody took the job, or the last attempt failed: the price is credited to the
    /// client.
    event Refunded(JobHash indexed jobHash, address indexed client, uint256 price);
    /// @notice The client took the job back.
    event Cancelled(JobHash indexed jobHash);
    /// @notice `provider` lost attempt `attempt`. The job is open again until `openUntil`, or this
    /// was the last attempt, `openUntil` is 0 and `Refunded` follows.
    event AttemptLost(
        JobHash indexed jobHash,
        address indexed provider,
        uint256 attempt,
        Fault fault,
        uint256 openUntil
    );
    /// @notice The program was proven illegal: the client paid `payouts` and `toProvider`.
    event Voided(
        JobHash indexed jobHash, address indexed provider, uint256 toProvider, Payout[] payouts
    );
    /// @notice A challenge or demand against the claim opened (`holds` grew) or ended.
    event HoldsChanged(JobHash indexed jobHash, ClaimId indexed claimId, uint256 holds);
    /// @notice `account` brought tokens and native money for later posts.
    event Deposited(address indexed account, uint256 token, uint256 native);

    // --- errors: what was got, what was wanted -------------------------------------------------

    /// @notice A term is outside what this market allows.
    /// @param term the field's name, ASCII, left-aligned
    error TermOutOfRange(bytes32 term, uint256 got, uint256 least, uint256 most);
    /// @notice The job names another dispute game than this market's.
    error WrongReferee(address got, address wanted);
    /// @notice The locators do not hash to the terms' locatorsHash.
    error WrongLocators(bytes32 got, bytes32 wanted);
    /// @notice More locator bytes than the limit.
    error LocatorsTooLong(uint256 got, uint256 most);
    /// @notice Native money sent with `post` is not the bounty.
    error WrongBounty(uint256 got, uint256 wanted);
    /// @notice Only the deal's client may.
    error NotClient(address got, address wanted);
    /// @notice Only the attempt's provider may.
    error NotProvider(address got, address wanted);
    /// @notice Only the dispute game (`wanted`) and the court may.
    error NotGame(address got, address wanted);
    /// @notice The job is not where this call needs it (0 None, 1 Open, ... as in `JobStatus`).
    /// Terms that differ in one bit name another job, which is None.
    error WrongStatus(JobHash jobHash, uint256 got, uint256 wanted);
    /// @notice These terms were posted before; change the nonce.
    error AlreadyPosted(JobHash jobHash);
    /// @notice The clock has run out: `got` is later than `clock`.
    error TooLate(uint256 got, uint256 clock);
    /// @notice The clock still runs: call when the time is later than `clock`.
    error TooEarly(uint256 got, uint256 clock);
    /// @notice This provider lost an earlier attempt at the job.
    error LostBefore(JobHash jobHash, address provider);
    /// @notice The result root is zero.
    error ZeroResult();
    /// @notice Challenges or demands are open; their clocks come first.
    error Held(JobHash jobHash, uint256 holds);
    /// @notice No hold to release, or no room for one more.
    error HoldsOutOfRange(JobHash jobHash, uint256 holds);
    /// @notice The claim is not the job's current one.
    error WrongClaim(ClaimId got, ClaimId wanted);
    /// @notice More lines in the split than the limit.
    error TooManyPayouts(uint256 got, uint256 most);
    /// @notice The split spends more than the rule allows.
    error PayoutsTooLarge(uint256 got, uint256 most);
    /// @notice Rejection takes a fault of a dispute, not `Late`.
    error WrongFault(Fault got);
    /// @notice The constructor's limits contradict each other.
    error BadLimits(bytes32 term);
    /// @notice Nothing to deposit.
    error NothingToDeposit();

    // --- reading ------------------------------------------------------------------------------

    function REGISTRY() external view returns (address);
    function GAME() external view returns (address);
    /// @notice The court: beside the game, the only one whom the market obeys.
    function COURT() external view returns (address);
    /// @notice Smallest and largest terms, and the gas schedule.
    function limits() external view returns (Limits memory);
    function DOMAIN_SEPARATOR() external view returns (bytes32);

    /// @notice Where the job is. Status None if never posted.
    function jobOf(JobHash jobHash) external view returns (JobState memory);
    /// @notice The committed result root of the current claim, or of the final one; 0 before.
    function resultOf(JobHash jobHash) external view returns (bytes32);
    /// @notice The current claim of a Committed or Finalized job. Reverts: `WrongStatus`.
    function claimOf(JobHash jobHash) external view returns (ClaimId);
    /// @notice True if `provider` lost an attempt at the job and may not take it again.
    function hasLost(JobHash jobHash, address provider) external view returns (bool);

    /// @notice EIP-712 struct hash of a task.
    function hashTask(Task calldata task) external pure returns (bytes32 taskHash);
    /// @notice EIP-712 digest of the terms, from the task's hash and the deal.
    function hashJob(bytes32 taskHash, Deal calldata deal) external view returns (JobHash);
    /// @notice Lock that accepting takes: `max(minLock, priceCeiling * stakeBps / 10000)` tokens,
    /// and `(2 * disputeGas + lateGas) * gasPrice` wei.
    function lockOf(Deal calldata deal) external view returns (uint256 token, uint256 native);
    /// @notice Bounty that posting takes: `closeGas * gasPrice` wei.
    function bountyOf(Deal calldata deal) external view returns (uint256 native);

    // --- clients ------------------------------------------------------------------------------

    /// @notice Post a job. The caller is the deal's client; `priceCeiling` tokens come by
    /// `transferFrom`, and exactly the bounty as native money. Emits `Posted`.
    /// Reverts: `NotClient`, `WrongReferee`, `TermOutOfRange`, `LocatorsTooLong`, `WrongLocators`,
    /// `WrongBounty`, `AlreadyPosted`, `TokenMoved`, or with the token's own error.
    function post(JobTerms calldata terms, bytes calldata locators)
        external
        payable
        returns (JobHash);

    /// @notice `post` with an EIP-2612 permit for exactly `priceCeiling`. A permit that somebody
    /// sent ahead is not an error.
    function postWithPermit(
        JobTerms calldata terms,
        bytes calldata locators,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external payable returns (JobHash);

    /// @notice `post` paid from the caller's credit, price and bounty both: no token call, no
    /// native money sent. Reverts: as `post`, and `CreditTooLow`.
    function postFromCredit(JobTerms calldata terms, bytes calldata locators)
        external
        returns (JobHash);

    /// @notice Add `amount` tokens (by `transferFrom`; may be 0) and the call's native money to the
    /// caller's credit. Emits `Deposited`. Reverts: `NothingToDeposit`, `TokenMoved`.
    function deposit(uint256 amount) external payable;

    /// @notice Take an open job back: price and bounty are credited to the client. Emits
    /// `Cancelled`. Reverts: `NotClient`, `WrongStatus` (an accepted job cannot be cancelled).
    function cancel(bytes32 taskHash, Deal calldata deal) external;

    // --- providers ----------------------------------------------------------------------------

    /// @notice Take an open job, alone, until its run clock. The caller is the provider, and
    /// asserts that the program is legal and that it holds program, constants and inputs. Emits
    /// `Accepted`.
    /// Reverts: `WrongStatus`, `TooLate`, `LostBefore`, and as `IProviderRegistry.lock`.
    function accept(bytes32 taskHash, Deal calldata deal) external;

    /// @notice Commit the root of the outputs tree. Emits `Committed`.
    /// Reverts: `WrongStatus`, `NotProvider`, `TooLate`, `ZeroResult`, `LocatorsTooLong`.
    function commit(JobHash jobHash, bytes32 resultRoot, bytes calldata locators) external;

    // --- anybody ------------------------------------------------------------------------------

    /// @notice Nobody accepted by the clock: the price is credited to the client, the bounty to the
    /// caller. Emits `Refunded`. Reverts: `WrongStatus`, `TooEarly`.
    function refund(bytes32 taskHash, Deal calldata deal) external;

    /// @notice Nothing was committed by the clock: 2/5 of the lock is taken (a third of that,
    /// rounded up, burned, the rest to the client up to the price, what is more burned too: a lock
    /// far above the price makes nobody gain by a provider's lateness), the caller gets the late
    /// bounty from the provider's deposit, and the job opens again, or after the last attempt is
    /// refunded (then the client's bounty goes back to it). Emits `AttemptLost`, and `Refunded`
    /// after the last attempt.
    /// Reverts: `WrongStatus`, `TooEarly`.
    function slashLate(bytes32 taskHash, Deal calldata deal) external;

    /// @notice The window is over and nothing holds the claim: the price is credited to the
    /// provider, the bounty to the caller, the lock is free. Emits `Finalized`.
    /// Reverts: `WrongStatus`, `TooEarly`, `Held`.
    function finalize(bytes32 taskHash, Deal calldata deal) external;

    // --- the dispute game and the court alone (each reverts `NotGame`) -------------------------

    /// @notice A challenge or demand opens against the current claim, in its window: finalize
    /// waits.
    /// Emits `HoldsChanged`. Reverts: `WrongStatus`, `WrongClaim`, `TooLate`, `HoldsOutOfRange`.
    function hold(JobHash jobHash, ClaimId claimId) external;

    /// @notice `count` of them ended. Emits `HoldsChanged`.
    /// Reverts: `WrongStatus`, `WrongClaim`, `HoldsOutOfRange`.
    function release(JobHash jobHash, ClaimId claimId, uint256 count) external;

    /// @notice The claim falls. Of the token lock at least a third burns, `payouts` (the earliest
    /// undefeated challenger, others made whole) take at most a third, the client gets the rest; of
    /// the native lock `payouts` take what they say and the rest returns to the provider. Credits
    /// are in the registry. The job opens again for others, with all holds gone, or is refunded
    /// after the last attempt. Emits `AttemptLost` (and `Refunded`), and the registry's
    /// `Slashed`.
    /// Reverts: `WrongStatus`, `WrongClaim`, `WrongFault`, `TooManyPayouts`, `PayoutsTooLarge`.
    function reject(
        bytes32 taskHash,
        Deal calldata deal,
        ClaimId claimId,
        Fault fault,
        Payout[] calldata payouts
    ) external;

    /// @notice The program, a constant or an input was proven illegal, in whatever state before the
    /// end. The client pays: `payouts` first (tokens from the price, wei from the bounty), then the
    /// provider (the price if it committed, a tenth of it if it only accepted; as far as it goes);
    /// the rest returns to the client. What `payouts` lack comes from the provider's lock. Payouts
    /// met from escrow are credited here, shortfalls in the registry, in order of the lines.
    /// Emits `Voided`. Reverts: `WrongStatus`, `TooManyPayouts`, `PayoutsTooLarge`.
    function voidJob(bytes32 taskHash, Deal calldata deal, Payout[] calldata payouts) external;
}
