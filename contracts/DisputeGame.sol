// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Challenges} from "./Challenges.sol";
import {IDisputeGame} from "./interfaces/IDisputeGame.sol";
import {IReferee, ITraceReferee} from "./interfaces/IReferee.sol";
import {NodePath} from "./libraries/NodePath.sol";
import {TRACE_FACTOR} from "./types/Constants.sol";
import {
    BUDGET_MOVES,
    Challenge,
    ClaimRecord,
    Context,
    FAN_NODES,
    HALTED,
    Outcome,
    Proof,
    StepOpening,
    Tree,
    Wait
} from "./types/Dispute.sol";
import {ClaimId, JobHash} from "./types/Ids.sol";
import {Fault} from "./types/JobState.sol";
import {Deal, JobTerms} from "./types/JobTerms.sol";
import {BLOCK_BYTES} from "./types/Machine.sol";

/// @title A wrong number is found, proven and punished
/// @notice Twin of protocol/spec/game.py.
contract DisputeGame is Challenges {
    IReferee private immutable _tensorReferee;
    ITraceReferee private immutable _traceReferee;

    mapping(ClaimId claimId => mapping(uint256 step => StepOpening)) private _steps;

    /// @param market the market, which names this game; it must exist
    /// @param tensorReferee recomputes elements
    /// @param traceReferee judges everything else
    constructor(address market, address tensorReferee, address traceReferee) Challenges(market) {
        // INVARIANT: somebody judges.
        if (tensorReferee == address(0) || traceReferee == address(0)) revert ZeroAddress();
        _tensorReferee = IReferee(tensorReferee);
        _traceReferee = ITraceReferee(traceReferee);
    }

    // --- reading ------------------------------------------------------------------------------

    /// @inheritdoc IDisputeGame
    function referees() external view returns (address tensor, address trace) {
        return (address(_tensorReferee), address(_traceReferee));
    }

    /// @inheritdoc IDisputeGame
    function claimOf(ClaimId claimId) external view returns (ClaimRecord memory) {
        return _claims[claimId];
    }

    /// @inheritdoc IDisputeGame
    function challengeOf(ClaimId claimId, uint256 number)
        external
        view
        returns (Challenge memory x)
    {
        x = _read(claimId, number);
        _resolve(claimId, _claims[claimId], x);
    }

    /// @inheritdoc IDisputeGame
    function deadlineOf(ClaimId claimId, uint256 number) external view returns (uint256) {
        (ClaimRecord storage c, Challenge memory x) = _load(claimId, number);
        return _deadline(c, x);
    }

    /// @inheritdoc IDisputeGame
    function stepOf(ClaimId claimId, uint256 step) external view returns (StepOpening memory) {
        return _steps[claimId][step];
    }

    // --- challengers --------------------------------------------------------------------------

    /// @inheritdoc IDisputeGame
    function challenge(JobTerms calldata terms, ClaimId claimId)
        external
        payable
        returns (uint256 number)
    {
        JobHash jobHash = _jobHash(terms);
        (uint256 token, uint256 native) = bondOf(claimId, terms.deal);
        // INVARIANT: answers and the closing are paid for before they are asked for.
        if (msg.value != native) revert WrongBond(msg.value, native);
        _market.hold(jobHash, claimId);
        ClaimRecord storage c = _claims[claimId];
        if (c.count == 0) _admit(jobHash, terms, c);
        Challenge memory x;
        x.challenger = msg.sender;
        x.outcome = Outcome.LIVE;
        x.wait = c.openedAt == 0 ? Wait.OPENING : Wait.CHALLENGER;
        x.since = uint40(block.timestamp);
        x.count = c.leaves;
        x.level = uint8(NodePath.depthOf(c.leaves));
        x.known = c.openedAt != 0;
        x.node = c.stepsRoot;
        (x.providerBudget, x.challengerBudget) = (c.budget, c.budget);
        (x.token, x.native) = (uint104(token), uint72(native));
        _ask(c, x);
        number = _append(claimId, c, x);
        emit Challenged(claimId, number, msg.sender, token, native, c.openBy);
        if (token != 0) _pull(msg.sender, token);
    }

    /// @inheritdoc IDisputeGame
    function point(
        ClaimId claimId,
        uint256 number,
        uint256 levels,
        uint256 index,
        bytes32 child,
        bytes32[] calldata siblings
    ) external {
        (ClaimRecord storage c, Challenge memory x) = _load(claimId, number);
        _checkChallenger(c, x);
        _checkLevels(x, levels);
        // INVARIANT: the way leads down.
        if (index >> levels != x.index) revert OutsideNode(index, x.index);
        bytes32 node =
            NodePath.climb(child, index, x.level - levels, levels, x.count, siblings);
        // INVARIANT: the claim itself contains the node.
        if (node != x.node) revert WrongNode(node, x.node);
        (x.node, x.index) = (child, uint40(index));
        x.level -= uint8(levels);
        x.known = _isEnd(x);
        if (!x.known) _pass(c, x, Wait.REVEAL, block.timestamp);
        else if (x.tree != Tree.STEPS) x.item = uint32(index);
        else x.step = uint40(index);
        if (x.tree == Tree.STEPS && x.step != 0 && _steps[claimId][x.step].at == 0) {
            _pass(c, x, Wait.STEP, block.timestamp);
        }
        _store(claimId, number, x);
        emit Pointed(claimId, number, x.level, index, child);
    }

    /// @inheritdoc IDisputeGame
    function enter(
        ClaimId claimId,
        uint256 number,
        JobTerms calldata terms,
        Tree into,
        bytes calldata proof
    ) external {
        (ClaimRecord storage c, Challenge memory x) = _load(claimId, number);
        _checkChallenger(c, x);
        _checkTerms(claimId, terms);
        _checkEntry(x, into);
        Context memory context = _context(claimId, c, x, terms);
        if (into == Tree.OUTPUTS) x.node = _market.resultOf(c.jobHash);
        if (into == Tree.OPERATIONS) {
            x.node = context.operationsRoot;
            // INVARIANT: nobody is asked for what is below a constant.
            if (x.node == HALTED) revert StepHalted(x.step);
        }
        (uint256 count, uint256 lastBytes) = _traceReferee.geometry(context, into, proof);
        // INVARIANT: nobody is asked for what is below nothing.
        if (count == 0 && x.node == 0) revert EmptyTree();
        (x.tree, x.index) = (into, 0);
        (x.count, x.lastBytes) = (uint40(count), uint16(lastBytes));
        x.level = uint8(NodePath.depthOf(count));
        x.known = _isEnd(x);
        // A root where no leaf is has no reveal: the provider's clock decides.
        if (count == 0) _pass(c, x, Wait.REVEAL, block.timestamp);
        _store(claimId, number, x);
        emit Entered(claimId, number, into, x.node, count);
    }

    // --- the provider's side ------------------------------------------------------------------

    /// @inheritdoc IDisputeGame
    function open(ClaimId claimId, uint256 number, bytes32[] calldata nodes) external {
        (ClaimRecord storage c, Challenge memory x) = _load(claimId, number);
        _checkProvider(c);
        // A claim that is open has passed this turn on: it is opened once.
        _checkTurn(c, x, Wait.OPENING);
        _checkChildren(nodes.length, NodePath.childrenOf(0, x.level, c.leaves));
        c.stepsRoot = NodePath.fold(nodes, NodePath.fanAt(x.level));
        c.openedAt = uint40(block.timestamp);
        uint256 fee = _charge(c, x);
        _resolve(claimId, c, x);
        _store(claimId, number, x);
        emit Opened(claimId, number, c.stepsRoot, nodes, fee);
    }

    /// @inheritdoc IDisputeGame
    function openStep(ClaimId claimId, uint256 number, uint256 step, bytes32[] calldata nodes)
        external
    {
        (ClaimRecord storage c, Challenge memory x) = _load(claimId, number);
        _checkProvider(c);
        StepOpening storage opening = _steps[claimId][step];
        bool asked = x.wait == Wait.STEP && x.step == step;
        if (asked) {
            _checkTurn(c, x, Wait.STEP);
        } else {
            // INVARIANT: a step is opened once, after the claim.
            if (c.openedAt == 0 || opening.at != 0) revert WrongTurn(x.wait, Wait.STEP);
            if (step == 0 || step >= c.leaves) revert NoSuchStep(step, c.leaves);
        }
        if (nodes.length > FAN_NODES) _checkChildren(nodes.length, FAN_NODES);
        bytes32 root = NodePath.fold(nodes, NodePath.depthOf(nodes.length));
        (opening.root, opening.at) = (root, uint40(block.timestamp));
        // Of a job of one step every path spares the reveals of steps: its one opening fits.
        uint256 fee = asked || c.leaves == 2 ? _charge(c, x) : 0;
        if (asked) _pass(c, x, Wait.CHALLENGER, block.timestamp);
        _store(claimId, number, x);
        emit StepOpened(claimId, number, step, root, nodes, fee);
    }

    /// @inheritdoc IDisputeGame
    function reveal(ClaimId claimId, uint256 number, bytes32[] calldata nodes) external {
        (ClaimRecord storage c, Challenge memory x) = _load(claimId, number);
        _checkTurn(c, x, Wait.REVEAL);
        // INVARIANT: below a leaf there is a block, or nothing.
        if (x.level == 0) revert NothingToReveal();
        _checkChildren(nodes.length, NodePath.childrenOf(x.index, x.level, x.count));
        bytes32 node = NodePath.fold(nodes, NodePath.fanAt(x.level));
        // INVARIANT: only a preimage answers.
        if (node != x.node) revert WrongNode(node, x.node);
        uint256 fee = _answer(c, x);
        _store(claimId, number, x);
        emit Revealed(claimId, number, node, nodes, fee);
    }

    /// @inheritdoc IDisputeGame
    function revealBlock(ClaimId claimId, uint256 number, bytes calldata data) external {
        (ClaimRecord storage c, Challenge memory x) = _load(claimId, number);
        _checkTurn(c, x, Wait.REVEAL);
        // INVARIANT: only below a leaf there is a block.
        if (x.level != 0 || x.count == 0) revert NothingToReveal();
        if (data.length != BLOCK_BYTES) revert NotOneBlock(data.length);
        // INVARIANT: only a preimage answers.
        if (keccak256(data) != x.node) revert WrongNode(keccak256(data), x.node);
        if (x.index == x.count - 1) _checkTail(data, x.lastBytes);
        uint256 fee = _answer(c, x);
        _store(claimId, number, x);
        emit BlockRevealed(claimId, number, x.node, data, fee);
    }

    // --- anybody ------------------------------------------------------------------------------

    /// @inheritdoc IDisputeGame
    function prove(
        ClaimId claimId,
        uint256 number,
        JobTerms calldata terms,
        Proof kind,
        bytes calldata proof
    ) external {
        (ClaimRecord storage c, Challenge memory x) = _load(claimId, number);
        _checkTerms(claimId, terms);
        // INVARIANT: after its clock a challenge belongs to the timeout.
        if (x.wait == Wait.CHALLENGER) _checkTurn(c, x, Wait.CHALLENGER);
        _checkProof(x, kind);
        Context memory context = _context(claimId, c, x, terms);
        IReferee referee = kind == Proof.ELEMENT ? _tensorReferee : _traceReferee;
        // INVARIANT: a proof of what is equal never wins.
        if (!referee.judge(context, kind, proof)) revert ProvesNothing();
        _fall(claimId, number, terms, Fault.Wrong);
    }

    /// @inheritdoc IDisputeGame
    function timeoutProvider(ClaimId claimId, uint256 number, JobTerms calldata terms) external {
        _checkTerms(claimId, terms);
        _loadLate(claimId, number, false);
        _fall(claimId, number, terms, Fault.Silent);
    }

    /// @inheritdoc IDisputeGame
    function timeoutChallengers(ClaimId claimId, uint256[] calldata numbers) external {
        for (uint256 k; k < numbers.length; ++k) {
            _defeat(claimId, numbers[k], _loadLate(claimId, numbers[k], true));
        }
        _market.release(_claims[claimId].jobHash, claimId, numbers.length);
    }

    /// @inheritdoc IDisputeGame
    function play(bytes[] calldata moves, bool all) external {
        for (uint256 k; k < moves.length; ++k) {
            (bool done, bytes memory result) = address(this).delegatecall(moves[k]);
            if (all && !done) {
                assembly ("memory-safe") {
                    revert(add(result, 0x20), mload(result))
                }
            }
        }
    }

    // --- state --------------------------------------------------------------------------------

    /// @dev A live challenge of a standing claim, its turn as it is now.
    function _load(ClaimId claimId, uint256 number)
        private
        view
        returns (ClaimRecord storage c, Challenge memory x)
    {
        c = _claims[claimId];
        x = _read(claimId, number);
        // INVARIANT: every challenge ends once.
        if (x.outcome != Outcome.LIVE) revert NotLive(claimId, number, x.outcome);
        // INVARIANT: nothing acts on a rejected claim.
        if (c.fallen) revert HasFallen(claimId);
        _resolve(claimId, c, x);
    }

    /// @dev A live challenge whose mover, the challenger or the provider, is late.
    function _loadLate(ClaimId claimId, uint256 number, bool challenger)
        private
        view
        returns (Challenge memory)
    {
        (ClaimRecord storage c, Challenge memory x) = _load(claimId, number);
        // INVARIANT: only the mover can be late.
        if ((x.wait == Wait.CHALLENGER) != challenger) revert WrongTurn(x.wait, Wait.CHALLENGER);
        uint256 deadline = _deadline(c, x);
        // INVARIANT: the clock is over.
        if (block.timestamp <= deadline) revert TooEarly(block.timestamp, deadline);
        return x;
    }

    /// @dev An opening answers every challenge that waits for it, at its own time.
    function _resolve(ClaimId claimId, ClaimRecord storage c, Challenge memory x) private view {
        if (x.wait == Wait.OPENING && c.openedAt != 0) {
            (x.wait, x.since, x.node, x.known) =
                (Wait.CHALLENGER, c.openedAt, c.stepsRoot, true);
        }
        if (x.wait == Wait.STEP) {
            uint40 at = _steps[claimId][x.step].at;
            // What was opened for others, or unasked, is no answer after this challenge's clock.
            if (at != 0 && at <= _deadline(c, x)) _pass(c, x, Wait.CHALLENGER, at);
        }
    }

    function _deadline(ClaimRecord storage c, Challenge memory x)
        private
        view
        returns (uint256)
    {
        if (x.wait == Wait.OPENING) return c.openBy;
        uint256 budget = x.wait == Wait.CHALLENGER ? x.challengerBudget : x.providerBudget;
        unchecked {
            return x.since + budget + c.moveSeconds;
        }
    }

    /// @dev Ends the mover's turn: what it took beyond `moveSeconds` leaves its budget.
    function _pass(ClaimRecord storage c, Challenge memory x, Wait next, uint256 time)
        private
        view
    {
        unchecked {
            // Nothing wraps: the mover moved by its deadline.
            uint256 used = time - x.since;
            uint32 over = used > c.moveSeconds ? uint32(used - c.moveSeconds) : 0;
            if (x.wait == Wait.CHALLENGER) x.challengerBudget -= over;
            else x.providerBudget -= over;
        }
        (x.wait, x.since) = (next, uint40(time));
        if (next != Wait.CHALLENGER) _ask(c, x);
    }

    function _answer(ClaimRecord storage c, Challenge memory x) private returns (uint256 fee) {
        fee = _charge(c, x);
        x.known = true;
        _pass(c, x, Wait.CHALLENGER, block.timestamp);
    }

    /// @dev First challenge of a claim: what the game needs of the job, and the provider's queue.
    function _admit(JobHash jobHash, JobTerms calldata terms, ClaimRecord storage c)
        private
    {
        Deal calldata deal = terms.deal;
        c.jobHash = jobHash;
        c.provider = _market.jobOf(jobHash).provider;
        c.moveSeconds = deal.moveSeconds;
        c.gasPrice = deal.gasPrice;
        unchecked {
            // Nothing wraps: all are 64-bit terms within the market's limits.
            uint256 traceSeconds = (TRACE_FACTOR * deal.workMs + 999) / 1000;
            c.budget = uint32(traceSeconds + BUDGET_MOVES * deal.moveSeconds);
            uint256 leaves = 1;
            for (uint256 steps = terms.task.steps; steps != 0; steps >>= 32) {
                leaves += uint32(steps);
            }
            c.leaves = uint40(leaves);
            c.openBy = _registry.queueOpening(c.provider, deal.workMs) + uint40(deal.moveSeconds);
        }
    }

    function _context(
        ClaimId claimId,
        ClaimRecord storage c,
        Challenge memory x,
        JobTerms calldata terms
    ) private view returns (Context memory context) {
        context.task = terms.task;
        context.stepsRoot = c.stepsRoot;
        context.operationsRoot = _steps[claimId][x.step].root;
        context.leaves = c.leaves;
        context.step = x.step;
        context.item = x.item;
        context.index = x.index;
        context.node = x.node;
    }

    // --- checks -------------------------------------------------------------------------------

    /// @dev At a leaf that nothing can be revealed of: the way on is to enter or to prove.
    function _isEnd(Challenge memory x) private pure returns (bool) {
        return x.level == 0 && x.tree < Tree.STATE_BLOCKS;
    }

    function _checkTurn(ClaimRecord storage c, Challenge memory x, Wait wanted) private view {
        if (x.wait != wanted) revert WrongTurn(x.wait, wanted);
        uint256 deadline = _deadline(c, x);
        // INVARIANT: up to its clock the move belongs to the mover.
        if (block.timestamp > deadline) revert TooLate(block.timestamp, deadline);
    }

    function _checkChallenger(ClaimRecord storage c, Challenge memory x) private view {
        // INVARIANT: nobody leads another's challenge astray.
        if (msg.sender != x.challenger) revert NotChallenger(msg.sender, x.challenger);
        _checkTurn(c, x, Wait.CHALLENGER);
    }

    function _checkProvider(ClaimRecord storage c) private view {
        // INVARIANT: only who answers for a trace commits it.
        if (!_registry.mayMove(c.provider, msg.sender)) revert NotProvider(msg.sender, c.provider);
    }

    /// @dev Steps down pass all levels of a reveal, so that MAX_MOVES bounds the answers.
    function _checkLevels(Challenge memory x, uint256 levels) private pure {
        if (levels == 0) {
            // INVARIANT: nothing is asked for twice, and nothing below a leaf that is no block.
            if (x.known) revert NothingToReveal();
            return;
        }
        uint256 least = NodePath.fanAt(x.level);
        if (levels < least || levels > x.level) revert WrongLevels(levels, least, x.level);
    }

    function _checkEntry(Challenge memory x, Tree into) private pure {
        Tree from = Tree.STEPS;
        if (into == Tree.STATE_BLOCKS) from = Tree.STATES;
        if (into == Tree.OPERATION_BLOCKS) from = Tree.OPERATIONS;
        bool here = x.tree == from && (x.level == 0 || into == Tree.OUTPUTS);
        // INVARIANT: a tree is entered from the leaf that is its root.
        if (!here || (into == Tree.OPERATIONS && x.step == 0) || into == Tree.STEPS) {
            revert NotHere(x.tree, x.level);
        }
    }

    function _checkProof(Challenge memory x, Proof kind) private pure {
        Tree tree = Tree.STEPS;
        if (kind == Proof.ELEMENT) tree = Tree.OPERATION_BLOCKS;
        if (kind == Proof.SLICE) tree = Tree.STATE_BLOCKS;
        if (kind == Proof.NEXT || kind == Proof.INITIAL) tree = Tree.STATES;
        if (kind == Proof.OUTPUT) tree = Tree.OUTPUTS;
        // INVARIANT: a proof is about the leaf that was reached.
        bool here = x.tree == tree && x.level == 0 && x.count != 0;
        if ((kind == Proof.INITIAL) != (x.step == 0) && kind != Proof.OUTPUT) here = false;
        if (!here) revert NotHere(x.tree, x.level);
    }

    function _checkChildren(uint256 got, uint256 wanted) private pure {
        if (got != wanted) revert NodePath.WrongChildren(got, wanted);
    }

    function _checkTail(bytes calldata data, uint256 used) private pure {
        bytes32 dirt;
        assembly ("memory-safe") {
            // From the end of the block backwards, a word at a time: the first is cut short.
            let at := add(data.offset, used)
            let end := add(data.offset, 512)
            let cut := and(sub(end, at), 31)
            if cut { dirt := shr(sub(256, shl(3, cut)), calldataload(at)) }
            for { at := add(at, cut) } lt(at, end) { at := add(at, 32) } {
                dirt := or(dirt, calldataload(at))
            }
        }
        // INVARIANT: every byte under a root is a function of program and inputs.
        if (dirt != 0) revert DirtyTail(used);
    }
}
