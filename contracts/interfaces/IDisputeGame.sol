// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {
    Challenge,
    ClaimRecord,
    Outcome,
    Proof,
    StepOpening,
    Tree,
    Wait
} from "../types/Dispute.sol";
import {ClaimId} from "../types/Ids.sol";
import {Fault} from "../types/JobState.sol";
import {Deal, JobTerms, Payout} from "../types/JobTerms.sol";
import {ICredits} from "./ICredits.sol";
import {IJudge} from "./IJudge.sol";

/// @title A wrong number is found, proven and punished
/// @notice Only the provider commits, and once a claim: by `open` the root of its steps tree (leaf
/// s is the state root after s steps), by `openStep` the root of the operations of one step. A
/// challenger, who knows the truth, walks to the leftmost leaf that differs from it:
///
///   STEPS leaf 0       -> STATES k                      -> prove INITIAL
///   STEPS leaf s > 0   -> OPERATIONS i -> BLOCKS        -> prove ELEMENT
///                      -> STATES k                      -> prove NEXT
///                      -> STATES k     -> BLOCKS        -> prove SLICE
///                      -> prove HALT
///   OUTPUTS leaf j                                      -> prove OUTPUT
///
/// and then anybody sends the proof: a referee recomputes one element, or compares two hashes.
/// Everything that the leaf depends on lies to the left of it or outside the trace, so it equals
/// the truth. Against a trace that satisfies every local equation no proof exists.
///
/// A challenge is at a node of one tree. Moves of the challenger: `point` to a node below (over all
/// levels that have been revealed, or further where the nodes are known), `enter` the tree below a
/// leaf (with the descriptors that give its size). Pointing hands the turn to the provider, whose
/// side answers by `reveal` (32 children), `revealBlock` (the bytes of a leaf) or `openStep`.
/// Anybody may reveal: a preimage is right whoever sends it. Only the provider or its delegate
/// opens; a step of an open claim also before anybody asks. Everything revealed is in events,
/// belongs to the claim, and serves every challenger.
///
/// Clocks: the opening is due at the end of the provider's queue plus one move. After it each side
/// of each challenge has a chess clock of TRACE_FACTOR * work + BUDGET_MOVES * moveSeconds, and
/// `moveSeconds` free with every move. `t <= deadline` is the mover's, `t > deadline` belongs to
/// `timeoutProvider` (the claim falls) or `timeoutChallengers` (the challenge is defeated).
/// Nothing else defeats a challenge: a proof of what is equal reverts.
///
/// Money: a challenge brings `bondOf`: wei for MAX_MOVES answers and the closing at the job's
/// gasPrice, and TRACE_FACTOR * price in tokens while the claim is not open. Each answer is paid
/// from the wei at once, to the provider, whoever sent it: MOVE_GAS at twice the base fee of the
/// block in which it was asked for, by `challenge` or by handing over the turn, or of its own where
/// that is lower (at most the job's gasPrice, at least the smallest that the market allows). So
/// neither a client by its terms nor a provider that waits for a dear block makes a dispute dear to
/// honest challengers. Of a defeated challenge's rest at least a fifth burns, the caller is paid
/// CLOSE_GAS, the provider gets what remains. When the claim falls, all other bonds come back by
/// `collect`, and the provider's lock pays: first, for silence, the caller TIMEOUT_GAS; then the
/// challenge by which the claim fell its scheduled gas, a proof's included, wherever it is in the
/// order; then others from the earliest on, nine challenges in all. The earliest undefeated one
/// gets the reward, whoever sent the proof, the other eight a premium.
/// `balance of this contract = bonds of live challenges + credits`, in each currency.
///
/// The court ends a claim too (data withheld, an illegal job), by `end`: for the game it fell.
///
/// A challenge is named by its claim and its number there (from 1, in order of opening); nothing
/// of one claim acts on another. Only wei-free moves fit into `play`.
interface IDisputeGame is IJudge, ICredits {
    // --- events: one a move -------------------------------------------------------------------

    /// @notice `challenger` disputes the claim. `openBy` is the deadline of the opening.
    event Challenged(
        ClaimId indexed claimId,
        uint256 indexed number,
        address indexed challenger,
        uint256 token,
        uint256 native,
        uint256 openBy
    );
    /// @notice The provider opened the claim: `nodes` are the topmost revealed level of its steps.
    /// `fee`, here and below: wei that the challenge paid for the answer.
    event Opened(
        ClaimId indexed claimId,
        uint256 indexed number,
        bytes32 root,
        bytes32[] nodes,
        uint256 fee
    );
    /// @notice The provider opened the operations of step `step - 1`, which leads to leaf `step`.
    /// `number`: the challenge that waited for it, or any that was live.
    event StepOpened(
        ClaimId indexed claimId,
        uint256 indexed number,
        uint256 indexed step,
        bytes32 root,
        bytes32[] nodes,
        uint256 fee
    );
    /// @notice What is below the challenge's node.
    event Revealed(
        ClaimId indexed claimId,
        uint256 indexed number,
        bytes32 node,
        bytes32[] nodes,
        uint256 fee
    );
    /// @notice The bytes of the challenge's leaf.
    event BlockRevealed(
        ClaimId indexed claimId, uint256 indexed number, bytes32 node, bytes data, uint256 fee
    );
    /// @notice The challenger went down to node `index` at `level` of its tree.
    event Pointed(
        ClaimId indexed claimId,
        uint256 indexed number,
        uint256 level,
        uint256 index,
        bytes32 node
    );
    /// @notice The challenger went into the tree of `count` leaves below its leaf.
    event Entered(
        ClaimId indexed claimId, uint256 indexed number, Tree tree, bytes32 node, uint256 count
    );
    /// @notice The challenge ran out of time; what was left of its bond.
    event Defeated(
        ClaimId indexed claimId,
        uint256 indexed number,
        address indexed caller,
        uint256 token,
        uint256 native
    );
    /// @notice The claim is rejected, by challenge `number`.
    event ClaimFell(
        ClaimId indexed claimId, uint256 indexed number, address indexed caller, Fault fault
    );
    /// @notice The court ended the claim; its own event and the market's say why.
    event ClaimEnded(ClaimId indexed claimId);
    /// @notice A challenge of a fallen claim took its bond back.
    event Collected(
        ClaimId indexed claimId,
        uint256 indexed number,
        address indexed challenger,
        uint256 token,
        uint256 native
    );

    // --- errors -------------------------------------------------------------------------------

    /// @notice Native money sent with `challenge` is not the bond.
    error WrongBond(uint256 got, uint256 wanted);
    /// @notice The terms are not those of the claim's job.
    error WrongTerms(ClaimId claimId);
    /// @notice No such challenge is live.
    error NotLive(ClaimId claimId, uint256 number, Outcome got);
    /// @notice The claim was rejected: what is left is `collect`.
    error HasFallen(ClaimId claimId);
    /// @notice The claim stands.
    error HasNotFallen(ClaimId claimId);
    /// @notice It is another move's turn (timeouts: CHALLENGER is the challenger's, others the
    /// provider's). Where `got` is CHALLENGER, the answer was given: "already done" is success.
    error WrongTurn(Wait got, Wait wanted);
    /// @notice Only the provider or its delegate opens.
    error NotProvider(address got, address wanted);
    /// @notice Only the court ends a claim from outside.
    error NotCourt(address got, address wanted);
    /// @notice The job has steps that lead to leaves 1 to `leaves - 1`.
    error NoSuchStep(uint256 got, uint256 leaves);
    /// @notice Only the challenger points and enters.
    error NotChallenger(address got, address wanted);
    /// @notice The clock has run out.
    error TooLate(uint256 got, uint256 deadline);
    /// @notice The clock still runs.
    error TooEarly(uint256 got, uint256 deadline);
    /// @notice What is below this node was revealed before, or nothing is.
    error NothingToReveal();
    /// @notice A pointing goes down over all revealed levels and not below the leaves.
    error WrongLevels(uint256 got, uint256 least, uint256 most);
    /// @notice The index is not below the challenge's node.
    error OutsideNode(uint256 got, uint256 node);
    /// @notice The nodes or the path give `got`; the challenge is at `wanted`.
    error WrongNode(bytes32 got, bytes32 wanted);
    /// @notice The tree is not entered from here, or the proof is not for here.
    error NotHere(Tree tree, uint256 level);
    /// @notice The tree has no leaves, and its root says so.
    error EmptyTree();
    /// @notice The step started with `halt` set: it has no operations.
    error StepHalted(uint256 step);
    /// @notice A block has 512 bytes.
    error NotOneBlock(uint256 got);
    /// @notice Beyond its `bytes_` bytes the last block is zero.
    error DirtyTail(uint256 bytes_);
    /// @notice What the proof compares is equal.
    error ProvesNothing();

    // --- reading ------------------------------------------------------------------------------

    /// @notice Who judges demands for data and illegal jobs.
    function COURT() external view returns (address);
    /// @notice Who recomputes elements, and who judges the rest and knows the trees' shapes.
    function referees() external view returns (address tensor, address trace);
    /// @notice What is known of a claim; zero before its first challenge.
    function claimOf(ClaimId claimId) external view returns (ClaimRecord memory);
    /// @notice A challenge; an opening that others waited for too has passed its turn on.
    function challengeOf(ClaimId claimId, uint256 number)
        external
        view
        returns (Challenge memory);
    /// @notice Until when the present turn lasts.
    function deadlineOf(ClaimId claimId, uint256 number) external view returns (uint256);
    /// @notice Opened operations of the step that leads to leaf `step`.
    function stepOf(ClaimId claimId, uint256 step) external view returns (StepOpening memory);
    /// @notice What `challenge` takes.
    function bondOf(ClaimId claimId, Deal calldata deal)
        external
        view
        returns (uint256 token, uint256 native);

    // --- challengers --------------------------------------------------------------------------

    /// @notice Dispute a committed claim in its window; holds it. The wei of the bond come with the
    /// call, its tokens by `transferFrom`. Emits `Challenged`.
    /// Reverts: `WrongBond`, and as `IJobMarket.hold` and the token.
    function challenge(JobTerms calldata terms, ClaimId claimId)
        external
        payable
        returns (uint256 number);

    /// @notice Go down `levels` levels to node `index` of that level, which is `child`; `siblings`
    /// bind it to the challenge's node. 0 levels ask for a reveal that was not made. Emits
    /// `Pointed`. Reverts: `NotChallenger`, `WrongTurn`, `TooLate`, `NothingToReveal`,
    /// `WrongLevels`, `OutsideNode`, `WrongNode`, and as `NodePath.climb`.
    function point(
        ClaimId claimId,
        uint256 number,
        uint256 levels,
        uint256 index,
        bytes32 child,
        bytes32[] calldata siblings
    ) external;

    /// @notice Go into tree `into` below the leaf (OUTPUTS: from anywhere in STEPS). `proof` is the
    /// struct of types/DisputeProofs.sol that gives its size. Emits `Entered`.
    /// Reverts: `NotChallenger`, `WrongTurn`, `TooLate`, `WrongTerms`, `NotHere`, `StepHalted`,
    /// `EmptyTree`, and as the referee.
    function enter(
        ClaimId claimId,
        uint256 number,
        JobTerms calldata terms,
        Tree into,
        bytes calldata proof
    ) external;

    // --- the provider's side ------------------------------------------------------------------

    /// @notice Open the claim, once, for all its challenges; `nodes` are what is revealed of the
    /// steps tree (as `reveal` of its root). Paid by challenge `number`. Emits `Opened`.
    /// Reverts: `NotLive`, `NotProvider`, `WrongTurn`, `TooLate`, `WrongChildren`.
    function open(ClaimId claimId, uint256 number, bytes32[] calldata nodes) external;

    /// @notice Open the operations of the step that leads to leaf `step`, once, for all that wait
    /// for it or will: at most 32 nodes, folded with ZERO; one node HALTED if the step started with
    /// halt set. If challenge `number` waits for it, it pays. If not, the step is opened unasked,
    /// as soon as the claim is: nobody pays, or `number` does where the job has one step only.
    /// Emits `StepOpened`.
    /// Reverts: `NotLive`, `NotProvider`, `WrongTurn` (not open, or opened before), `TooLate`,
    /// `NoSuchStep`, `WrongChildren`.
    function openStep(ClaimId claimId, uint256 number, uint256 step, bytes32[] calldata nodes)
        external;

    /// @notice What is below the node: up to 5 levels down, without padding. From anybody. Emits
    /// `Revealed`. Reverts: `WrongTurn`, `TooLate`, `WrongChildren`, `WrongNode`.
    function reveal(ClaimId claimId, uint256 number, bytes32[] calldata nodes) external;

    /// @notice The 512 bytes of the leaf. From anybody. Emits `BlockRevealed`.
    /// Reverts: `WrongTurn`, `TooLate`, `NotOneBlock`, `WrongNode`, `DirtyTail`.
    function revealBlock(ClaimId claimId, uint256 number, bytes calldata data) external;

    // --- anybody ------------------------------------------------------------------------------

    /// @notice Show that the claim is wrong at the place that challenge `number` has reached:
    /// the claim falls. Emits `ClaimFell`.
    /// Reverts: `NotLive`, `WrongTerms`, `TooLate` (the challenger's clock), `NotHere`,
    /// `ProvesNothing`, and as the referee.
    function prove(
        ClaimId claimId,
        uint256 number,
        JobTerms calldata terms,
        Proof kind,
        bytes calldata proof
    ) external;

    /// @notice The provider's clock ran out: the claim falls, TIMEOUT_GAS for the caller. Emits
    /// `ClaimFell`.
    /// Reverts: `NotLive`, `WrongTerms`, `WrongTurn`, `TooEarly`.
    function timeoutProvider(ClaimId claimId, uint256 number, JobTerms calldata terms) external;

    /// @notice The clocks of these challengers ran out: defeated, at CLOSE_GAS each for the caller.
    /// Emits `Defeated`. Reverts: `NotLive`, `WrongTurn`, `TooEarly`.
    function timeoutChallengers(ClaimId claimId, uint256[] calldata numbers) external;

    /// @notice Credit the bond of an undefeated challenge of a fallen claim to its challenger.
    /// Emits `Collected`. Reverts: `HasNotFallen`, `NotLive`.
    function collect(ClaimId claimId, uint256 number) external;

    /// @notice The court ends the claim: what is left is `collect`. Returns what the undefeated
    /// challenges are due, as of a silent provider: the court has the market pay. Emits
    /// `ClaimEnded`. Reverts: `NotCourt`.
    function end(ClaimId claimId, Deal calldata deal) external returns (Payout[] memory payouts);

    /// @notice Several moves in one call, in order: `all` or nothing; else what is refused is left
    /// out, so that nobody who moves first stops the others. Emits what they emit.
    function play(bytes[] calldata moves, bool all) external;
}
