// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {JobHash} from "./Ids.sol";
import {Task} from "./JobTerms.sol";

/// @dev A reveal goes down this many levels, or to the leaves: 32 children.
uint256 constant FAN = 5;

/// @dev Most nodes of a reveal: 2^FAN.
uint256 constant FAN_NODES = 32;

/// @dev Gas that an answer of the provider's side is paid for: 32 children or a block of 512 bytes
/// in calldata at the floor price, emitted again.
uint256 constant MOVE_GAS = 120_000;

/// @dev Most answers on any path of one challenge: opening, 7 reveals of steps (2^35 at most), the
/// opening of the step, 4 and 1 more of operations (2^20), 7 of blocks (2^34), the block.
uint256 constant MAX_MOVES = 22;

/// @dev Gas that closing a defeated challenge is paid for.
uint256 constant CLOSE_GAS = 160_000;

/// @dev One part in this many of a forfeited bond is burned, rounded up.
uint256 constant FORFEIT_BURN_PARTS = 5;

/// @dev Moves that a chess clock holds beyond the time of building a trace.
uint256 constant BUDGET_MOVES = 24;

/// @dev Gas of opening a challenge, repaid when the claim falls.
uint256 constant CHALLENGE_GAS = 300_000;

/// @dev Gas of the largest proof, repaid to the challenge by which a wrong claim falls.
uint256 constant PROOF_GAS = 10_000_000;

/// @dev Gas of ending a claim for silence, or for withheld data, paid to whoever does.
uint256 constant TIMEOUT_GAS = 600_000;

/// @dev Challengers that are made whole when a claim falls, beside the first of them.
uint256 constant MADE_WHOLE = 8;

/// @dev Each of them gets one part in this many of the reward.
uint256 constant PREMIUM_PARTS = 32;

/// @dev Operations root of a step that started with `halt` set: keccak256 of its tag.
bytes32 constant HALTED = keccak256(abi.encode(bytes32("assay.halted.v1")));

/// @notice The tree that a challenge is in.
/// STEPS: leaf s is the state root after s steps. OUTPUTS: leaf j is output j's tensor root.
/// STATES: bare block roots of the states of one leaf of STEPS. OPERATIONS: bare block roots of the
/// operations of the step that leads to it. *_BLOCKS: the 512-byte blocks of one of those. A blocks
/// tree comes two after the tree it is entered from.
enum Tree {
    STEPS,
    OUTPUTS,
    STATES,
    OPERATIONS,
    STATE_BLOCKS,
    OPERATION_BLOCKS
}

/// @notice What can be proven wrong, in one call.
enum Proof {
    ELEMENT,
    SLICE,
    NEXT,
    INITIAL,
    OUTPUT,
    HALT
}

/// @notice Whose move it is, and which.
/// OPENING: the provider opens the claim. CHALLENGER: the challenger points, enters or proves.
/// REVEAL: the provider reveals what is below the node. STEP: the provider opens the step.
enum Wait {
    OPENING,
    CHALLENGER,
    REVEAL,
    STEP
}

/// @notice What became of a challenge. LIVE ends once, by a clock or by the fall of its claim.
enum Outcome {
    NONE,
    LIVE,
    DEFEATED,
    COLLECTED
}

/// @notice One claim under challenge.
/// @param stepsRoot root of the steps tree, once opened
/// @param openBy deadline of the opening, from the provider's queue
/// @param openedAt time of the opening; 0 before
/// @param fallen rejected: nothing but `collect` works any more
/// @param leaves steps of the job + 1
/// @param budget seconds of each chess clock
/// @param head first undefeated challenge (0: none); they are a list, in order of opening
/// @param tail the last one
/// @param count challenges ever opened; their numbers are 1 to `count`
struct ClaimRecord {
    JobHash jobHash;
    bytes32 stepsRoot;
    address provider;
    uint40 openBy;
    uint40 openedAt;
    bool fallen;
    uint40 leaves;
    uint32 moveSeconds;
    uint32 budget;
    uint64 gasPrice;
    uint24 head;
    uint24 tail;
    uint24 count;
}

/// @notice One challenge, in four words of storage: most moves of the challenger leave the last one
/// as it is, most answers the two before it.
/// @param level levels between the node and the leaves of its tree
/// @param known what is below the node has been revealed
/// @param since when the present turn began
/// @param index number of the node among those of its level
/// @param count leaves of the tree
/// @param step leaf of the steps tree that was reached
/// @param item operation or state that was reached
/// @param lastBytes bytes of the last block (blocks trees): the rest of it is zero
/// @param price the most wei that a unit of an answer's gas is paid, of the block that asked for it
/// @param challengerBudget seconds left on the challenger's chess clock
/// @param providerBudget seconds left on the provider's
/// @param token part of the bond in tokens
/// @param native part of the bond in wei, less what answers were paid
/// @param prev undefeated challenge before it, or 0
/// @param next undefeated challenge after it, or 0
struct Challenge {
    address challenger;
    Outcome outcome;
    Wait wait;
    Tree tree;
    uint8 level;
    bool known;
    uint40 since;
    bytes32 node;
    uint40 index;
    uint40 count;
    uint40 step;
    uint32 item;
    uint16 lastBytes;
    uint48 price;
    uint32 challengerBudget;
    uint32 providerBudget;
    uint104 token;
    uint72 native;
    uint24 prev;
    uint24 next;
}

using {write} for Challenge global;

/// @dev Into storage as Solidity lays the struct out, but a word at a time: an assignment would
/// read and write every field by itself.
function write(Challenge storage at, Challenge memory x) {
    uint256 turn = uint160(x.challenger) | (uint256(x.outcome) << 160) | (uint256(x.wait) << 168)
        | (uint256(x.tree) << 176) | (uint256(x.level) << 184) | (x.known ? 1 << 192 : 0)
        | (uint256(x.since) << 200);
    bytes32 node = x.node;
    uint256 place = uint256(x.index) | (uint256(x.count) << 40) | (uint256(x.step) << 80)
        | (uint256(x.item) << 120) | (uint256(x.lastBytes) << 152) | (uint256(x.price) << 168)
        | (uint256(x.challengerBudget) << 216);
    uint256 purse = uint256(x.providerBudget) | (uint256(x.token) << 32)
        | (uint256(x.native) << 136) | (uint256(x.prev) << 208) | (uint256(x.next) << 232);
    assembly ("memory-safe") {
        let slot := at.slot
        sstore(slot, turn)
        sstore(add(slot, 1), node)
        sstore(add(slot, 2), place)
        sstore(add(slot, 3), purse)
    }
}

/// @notice The operations root of one step, and when it was opened (0: not).
struct StepOpening {
    bytes32 root;
    uint40 at;
}

/// @notice What a referee must know of a challenge: the terms, the roots, the position.
struct Context {
    Task task;
    bytes32 stepsRoot;
    bytes32 operationsRoot;
    uint256 leaves;
    uint256 step;
    uint256 item;
    uint256 index;
    bytes32 node;
}
