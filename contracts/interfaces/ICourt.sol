// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Demand, Docket, Part, Queue} from "../types/Demand.sol";
import {ClaimId, JobHash} from "../types/Ids.sol";
import {Deal, JobTerms} from "../types/JobTerms.sol";
import {ICredits} from "./ICredits.sol";
import {IJudge} from "./IJudge.sol";
import {Illegality} from "./ILegalityReferee.sol";

/// @title Data that is withheld, jobs that are illegal
/// @notice What makes a claim checkable at all. Whoever lacks a piece of a claim's outputs, or of
/// the program, constants and inputs that its provider asserts to hold, demands it here; whoever
/// finds the job illegal proves it here.
///
/// Demands: from commit to the end of the window, by anybody, of one thing each: 16 KiB of a
/// tensor, or a piece of the program. A demand names a place that need not exist: the answer shows
/// what is there, or that nothing can be, so that the demander needs to know nothing and the
/// provider of a legal job always has an answer. It is answered once, for everybody: the answer
/// travels in an event, with all that binds it to the job's roots. Anybody may answer: bytes are
/// right whoever sends them. On-chain demands are a deterrent, no transport: correctness is
/// guaranteed to whoever holds program, constants and inputs.
///
/// Clocks: a demand is due `DEMAND_SECONDS` after the one before it in its provider's queue, plus
/// `moveSeconds`: `end = min(max(now, end) + s, now + s * open)` with the demands that are open, of
/// all claims, so that answering in order of demand is always in time and answered demands delay
/// nobody. There is no cap on open demands: whoever withholds could fill it. `t <= deadline` is the
/// provider's, `t > deadline` belongs to `timeout`: the claim falls with `Fault.Withheld`.
///
/// Money: a demand brings `feeOf` in wei. The answer is paid from it at once to the provider,
/// whoever sent it: ANSWER_GAS and BYTE_GAS a byte shown, at twice the base fee of the block that
/// demanded it, or of its own where that is lower (at most the job's gasPrice, at least the
/// smallest that the market allows); the rest goes back. When the claim ends otherwise the whole
/// fee comes back by `collect`. When it falls for an unanswered demand, whoever calls is paid
/// TIMEOUT_GAS and the earliest open demand's demander DEMAND_GAS, out of the provider's native
/// lock and before all others; undefeated challengers are paid as for silence; of the reward the
/// earliest of them gets the most and that demander a premium, or, without challengers, all. A
/// third of the slashed stake burns, as always. `balance of this contract = fees of open demands +
/// credits`; it holds no tokens.
///
/// Illegal jobs: open, accepted or committed, the job ends and nobody is punished. The client pays:
/// whoever proves it ILLEGAL_GAS, then the current claim's undefeated challengers (a bounded
/// number) their scheduled gas, as far as the bounty goes and then the provider's native lock, then
/// the provider its price (or its fee, before the commit).
///
/// The court ends a claim in the game and in the market in one call; after that nothing acts on it
/// but `collect`, here and there. Nothing of one claim acts on another.
interface ICourt is IJudge, ICredits {
    // --- events -------------------------------------------------------------------------------

    /// @notice `demander` asks for `part` (`item`, `index`); it is due at `deadline`.
    event Demanded(
        ClaimId indexed claimId,
        uint256 indexed number,
        address indexed demander,
        Part part,
        uint256 item,
        uint256 index,
        uint256 deadline
    );
    /// @notice The demanded thing, in the struct of types/DemandProofs.sol that goes with the part.
    /// `bytes_` of it are the thing itself; 0: it does not exist. `paid` wei of the fee are the
    /// provider's.
    event Answered(
        ClaimId indexed claimId,
        uint256 indexed number,
        address indexed caller,
        uint256 bytes_,
        uint256 paid,
        bytes proof
    );
    /// @notice Demand `number` was not answered: the claim fell. `rewarded`: the earliest open one.
    event Withheld(
        ClaimId indexed claimId, uint256 indexed number, address indexed caller, uint256 rewarded
    );
    /// @notice The demand of a claim that ended gave its fee back.
    event FeeCollected(
        ClaimId indexed claimId, uint256 indexed number, address indexed demander, uint256 fee
    );
    /// @notice The job was proven illegal and is void; `claimId` is its current claim, or 0.
    event ProvenIllegal(
        JobHash indexed jobHash, ClaimId indexed claimId, address indexed caller, Illegality kind
    );

    // --- errors -------------------------------------------------------------------------------

    /// @notice Native money sent with `demand` is not the fee.
    error WrongFee(uint256 got, uint256 wanted);
    /// @notice A header has no item, a table's descriptor no index: both must be 0 there.
    error NoSuchPlace(Part part, uint256 item, uint256 index);
    /// @notice The same was demanded before; its answer is in an event, or due.
    error DemandedBefore(ClaimId claimId, uint256 number);
    /// @notice Nobody demanded this of the claim.
    error NotDemanded(ClaimId claimId, Part part, uint256 item, uint256 index);
    /// @notice The demand is not open: answered ("already done" is success), or collected.
    error NotOpen(ClaimId claimId, uint256 number);
    /// @notice The demand's clock has run out.
    error TooLate(uint256 got, uint256 deadline);
    /// @notice The demand's clock still runs.
    error TooEarly(uint256 got, uint256 deadline);
    /// @notice The claim stands: fees of open demands stay.
    error HasNotFallen(ClaimId claimId);
    /// @notice What the proof shows is legal.
    error ProvesNothing();

    // --- reading ------------------------------------------------------------------------------

    /// @notice The dispute game, whose claims the court ends.
    function GAME() external view returns (address);
    /// @notice Who judges answers, and who judges legality.
    function referees() external view returns (address data, address legality);
    /// @notice Demands of a claim; zero before its first.
    function docketOf(ClaimId claimId) external view returns (Docket memory);
    /// @notice One demand.
    function demandOf(ClaimId claimId, uint256 number) external view returns (Demand memory);
    /// @notice Number of the demand of this claim for this; 0 if there was none.
    function numberOf(ClaimId claimId, Part part, uint256 item, uint256 index)
        external
        view
        returns (uint256);
    /// @notice Demands that a provider has to answer.
    function queueOf(address provider) external view returns (Queue memory);
    /// @notice What `demand` takes: the largest answer, in wei.
    function feeOf(Deal calldata deal) external pure returns (uint256 native);

    // --- demands ------------------------------------------------------------------------------

    /// @notice Demand a piece of a committed claim in its window; holds it. Emits `Demanded`.
    /// Reverts: `WrongFee`, `NoSuchPlace`, `DemandedBefore`, and as `IJobMarket.hold`.
    function demand(
        JobTerms calldata terms,
        ClaimId claimId,
        Part part,
        uint256 item,
        uint256 index
    ) external payable returns (uint256 number);

    /// @notice Answer a demand; from anybody, who is paid. Emits `Answered`.
    /// Reverts: `NotDemanded`, `NotOpen`, `TooLate`, as the referee, and as `IJobMarket.release`
    /// (other terms, or the claim has ended).
    function answer(
        JobTerms calldata terms,
        ClaimId claimId,
        Part part,
        uint256 item,
        uint256 index,
        bytes calldata proof
    ) external;

    /// @notice A demand's clock ran out: the claim falls, for a bounty. Emits `Withheld`.
    /// Reverts: `NotOpen`, `TooEarly`, and as `IJobMarket.reject`.
    function timeout(JobTerms calldata terms, ClaimId claimId, uint256 number) external;

    /// @notice Credit the fees of open demands of a claim that ended to their demanders. Emits
    /// `FeeCollected`. Reverts: `HasNotFallen`, `NotOpen`.
    function collect(ClaimId claimId, uint256[] calldata numbers) external;

    // --- legality -----------------------------------------------------------------------------

    /// @notice Show that a live job is illegal, by the proof that goes with `kind` (see
    /// `ILegalityReferee`): it is void. Emits `ProvenIllegal`.
    /// Reverts: `IJobMarket.WrongStatus`, before the referee is asked; then `ProvesNothing`, and as
    /// the referee.
    function proveIllegal(JobTerms calldata terms, Illegality kind, bytes calldata proof) external;
}
