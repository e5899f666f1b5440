// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @dev Blocks of 512 bytes that one demand for a tensor covers: 16 KiB, or up to the last one.
uint256 constant RUN_BLOCKS = 32;

/// @dev Seconds that one demand takes in its provider's queue: a block of a slow chain.
uint256 constant DEMAND_SECONDS = 15;

/// @dev Gas that an answer is paid for beside its bytes.
uint256 constant ANSWER_GAS = 250_000;

/// @dev Gas that an answer is paid for each byte it shows: calldata at the floor price, hashed and
/// emitted.
uint256 constant BYTE_GAS = 50;

/// @dev Most bytes that an answer is paid for: those of a run.
uint256 constant ANSWER_BYTES = 16_384;

/// @dev Gas of opening a demand, repaid to the demander that is rewarded.
uint256 constant DEMAND_GAS = 200_000;

/// @dev Gas of proving a job illegal, paid to whoever does.
uint256 constant ILLEGAL_GAS = 2_000_000;

/// @notice What is demanded, named by an item and an index.
/// HEADER: the program's header and the roots of its tables (0, 0). CONSTANT, INPUT, OUTPUT: run
/// `index` of RUN_BLOCKS blocks of tensor `item`. *_DECL, TEMPLATE, PHASE: descriptor `item` of a
/// table of the program (index 0), in the order of the tables. INSTANCE, NEXT: descriptor `index`
/// of phase `item`.
enum Part {
    HEADER,
    CONSTANT,
    INPUT,
    OUTPUT,
    CONSTANT_DECL,
    INPUT_DECL,
    STATE_DECL,
    OUTPUT_DECL,
    TEMPLATE,
    PHASE,
    INSTANCE,
    NEXT
}

/// @notice What became of a demand. OPEN ends once: by an answer, by its own clock, or by the end
/// of its claim.
enum DemandState {
    NONE,
    OPEN,
    ANSWERED,
    COLLECTED
}

/// @notice One demand.
/// @param deadline until when it may be answered
/// @param prev open demand before it, or 0
/// @param next open demand after it, or 0
struct Demand {
    address demander;
    uint40 deadline;
    DemandState state;
    uint24 prev;
    uint24 next;
}

/// @notice The demand for one place of a claim.
/// @param number its number; 0: none
/// @param price the most wei that a unit of its answer's gas is paid, of the block that demanded
struct Asked {
    uint24 number;
    uint48 price;
}

/// @notice Demands of one claim; the open ones are a list, in order of opening.
/// @param head first open demand (0: none)
/// @param tail the last one
/// @param count demands ever opened; their numbers are 1 to `count`
struct Docket {
    address provider;
    uint64 gasPrice;
    uint24 head;
    uint24 tail;
    uint24 count;
}

/// @notice Demands that one provider has to answer.
/// @param end when the last answer is due to start
/// @param open demands that are open, of all its claims
struct Queue {
    uint40 end;
    uint32 open;
}
