// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IDisputeGame} from "../../contracts/interfaces/IDisputeGame.sol";
import {
    Challenge,
    ClaimRecord,
    HALTED,
    Outcome,
    Proof,
    Tree,
    Wait
} from "../../contracts/types/Dispute.sol";
import {cheats} from "./Cheats.sol";
import {GameWorld} from "./GameWorld.sol";

/// @notice How everybody plays: a provider answers from its trace, an honest challenger walks to
/// the leftmost wrong leaf and proves it, a false one goes anywhere and tries.
abstract contract GamePlayers is GameWorld {
    enum Call {
        CLAIM,
        CHALLENGE,
        OPEN,
        OPEN_STEP,
        REVEAL,
        REVEAL_BLOCK,
        POINT,
        ENTER,
        PROVE,
        FALSE_PROOF,
        TIMEOUT_PROVIDER,
        TIMEOUT_CHALLENGERS,
        FINALIZE,
        COLLECT,
        WITHDRAW,
        REFUSED,
        OPEN_UNASKED,
        DEMAND,
        ANSWER,
        TIMEOUT_DEMAND,
        COLLECT_FEES,
        ILLEGAL
    }

    uint256 internal constant FAN = 5;

    mapping(Call => uint256) public accepted;
    uint256 public swept;

    // --- the provider's side ------------------------------------------------------------------

    /// @dev The answer that challenge `number` waits for; false if the provider has none.
    function _answer(Claimed storage c, uint256 number, Challenge memory x, address who)
        internal
        returns (bool)
    {
        if (c.answers == 0) return false;
        if (x.wait == Wait.OPENING) {
            uint256 depth = depthOf(c.steps + 1);
            bytes32[] memory top = nodesAt(c, depth < FAN ? 0 : depth - FAN, false);
            cheats.prank(c.provider);
            game.open(c.id, number, top);
            accepted[Call.OPEN]++;
        } else if (x.wait == Wait.STEP) {
            bytes32[] memory one = new bytes32[](1);
            one[0] = operationsRoot(c, x.step);
            cheats.prank(c.provider);
            game.openStep(c.id, number, x.step, one);
            accepted[Call.OPEN_STEP]++;
        } else if (x.level != 0) {
            bytes32[] memory below = _below(c, x);
            cheats.prank(who);
            game.reveal(c.id, number, below);
            accepted[Call.REVEAL]++;
        } else {
            bool operation = x.tree == Tree.OPERATION_BLOCKS;
            uint256 letter = operation ? operationAt(c, x.step) : stateAt(c, x.step);
            if (rootOf(letter) != x.node) return false; // nobody knows what is below
            bytes memory data = referee.blockOf(letter);
            cheats.prank(who);
            game.revealBlock(c.id, number, data);
            accepted[Call.REVEAL_BLOCK]++;
        }
        if (c.answers != ALWAYS) c.answers--;
        return true;
    }

    function _below(Claimed storage c, Challenge memory x)
        private
        view
        returns (bytes32[] memory below)
    {
        uint256 fan = x.level < FAN ? x.level : FAN;
        bytes32[] memory nodes = nodesAt(c, x.level - fan, false);
        uint256 first = uint256(x.index) << fan;
        uint256 count = nodes.length - first < 1 << fan ? nodes.length - first : 1 << fan;
        below = new bytes32[](count);
        for (uint256 k; k < count; ++k) below[k] = nodes[first + k];
    }

    // --- challengers --------------------------------------------------------------------------

    /// @dev Next move of who knows the truth.
    function _honest(Player storage p, Claimed storage c, Challenge memory x) internal {
        if (x.tree == Tree.STEPS && x.level != 0) {
            (bool found, uint256 child) = _firstWrong(c, x);
            if (found) _point(p, c, x, child);
            else _enter(p, c, Tree.OUTPUTS);
        } else if (x.tree == Tree.STEPS) {
            _atStep(p, c, x);
        } else {
            _atLeaf(p, c, x);
        }
    }

    function _atStep(Player storage p, Claimed storage c, Challenge memory x) private {
        bytes32 root = game.stepOf(c.id, x.step).root;
        if (x.step == 0) _enter(p, c, Tree.STATES);
        else if (root == HALTED) _prove(p, c, x, Proof.HALT);
        else if (root == rootOf(x.step)) _enter(p, c, Tree.STATES);
        else _enter(p, c, Tree.OPERATIONS);
    }

    /// @dev In a tree of one leaf: further, or the proof.
    function _atLeaf(Player storage p, Claimed storage c, Challenge memory x) private {
        if (x.tree == Tree.OUTPUTS) _prove(p, c, x, Proof.OUTPUT);
        else if (x.tree == Tree.STATES) _prove(p, c, x, x.step == 0 ? Proof.INITIAL : Proof.NEXT);
        else if (x.tree == Tree.OPERATIONS) _enter(p, c, Tree.OPERATION_BLOCKS);
        else if (!x.known) _point(p, c, x, 0);
        else if (x.tree == Tree.OPERATION_BLOCKS) _prove(p, c, x, Proof.ELEMENT);
    }

    /// @dev Next move of who hopes: any child, any tree, the proof that fits the place.
    function _false(Player storage p, Claimed storage c, Challenge memory x, uint256 seed)
        internal
    {
        if (x.tree == Tree.STEPS && x.level != 0) {
            if (seed % 13 == 0) {
                _enter(p, c, Tree.OUTPUTS);
                return;
            }
            uint256 fan = x.level < FAN ? x.level : FAN;
            uint256 width = (c.steps + (1 << (x.level - fan))) >> (x.level - fan);
            uint256 first = uint256(x.index) << fan;
            uint256 count = width - first < 1 << fan ? width - first : 1 << fan;
            _point(p, c, x, x.known ? first + seed % count : 0);
        } else if (x.tree == Tree.STEPS && x.step != 0 && seed % 8 == 0) {
            _prove(p, c, x, Proof.HALT);
        } else if (x.tree == Tree.STEPS) {
            bool halted = game.stepOf(c.id, x.step).root == HALTED;
            bool states = x.step == 0 || halted || seed % 2 == 0;
            _enter(p, c, states ? Tree.STATES : Tree.OPERATIONS);
        } else if (x.tree == Tree.STATES && seed % 3 != 0) {
            _enter(p, c, Tree.STATE_BLOCKS);
        } else {
            _atLeaf(p, c, x);
        }
    }

    /// @dev First of the shown nodes that is not the true one.
    function _firstWrong(Claimed storage c, Challenge memory x)
        private
        view
        returns (bool, uint256)
    {
        uint256 fan = x.level < FAN ? x.level : FAN;
        bytes32[] memory claimed = nodesAt(c, x.level - fan, false);
        bytes32[] memory right = nodesAt(c, x.level - fan, true);
        if (!x.known) return (true, 0); // ask for them
        for (uint256 k = uint256(x.index) << fan; k < claimed.length; ++k) {
            if (k >> fan == x.index && claimed[k] != right[k]) return (true, k);
        }
        return (false, 0);
    }

    function _point(Player storage p, Claimed storage c, Challenge memory x, uint256 child)
        private
    {
        uint256 levels;
        bytes32 node = x.node;
        bytes32[] memory siblings;
        if (x.known) {
            levels = x.level < FAN ? x.level : FAN;
            bytes32[] memory nodes = nodesAt(c, x.level - levels, false);
            (node, siblings) = (nodes[child], siblingsOf(nodes, child, levels));
        } else {
            child = x.index;
        }
        cheats.prank(p.who);
        game.point(c.id, p.number, levels, child, node, siblings);
        accepted[Call.POINT]++;
        _ask(c, p.number);
    }

    function _enter(Player storage p, Claimed storage c, Tree into) private {
        cheats.prank(p.who);
        game.enter(c.id, p.number, c.terms, into, "");
        accepted[Call.ENTER]++;
        _ask(c, p.number);
    }

    /// @dev After a challenge or its move: if an answer is due, it is paid at what gas costs now.
    function _ask(Claimed storage c, uint256 number) internal {
        Challenge memory x = game.challengeOf(c.id, number);
        if (x.wait != Wait.CHALLENGER || _asked[c.id][number] == 0) {
            _asked[c.id][number] = priceOf(c.terms.deal);
        }
    }

    /// @dev The proof is sent by anybody. Where nothing is wrong it must be refused.
    function _prove(Player storage p, Claimed storage c, Challenge memory x, Proof kind) private {
        bytes memory proof;
        if (kind == Proof.OUTPUT) proof = abi.encode(linkTo(c, c.steps));
        if (kind == Proof.ELEMENT) {
            proof = abi.encode(
                linkTo(c, x.step - 1), stateAt(c, x.step - 1), operationAt(c, x.step)
            );
        }
        uint256[] memory before = _owed(c, p.number, address(0));
        try game.prove(c.id, p.number, c.terms, kind, proof) {
            accepted[Call.PROVE]++;
            _checkFall(c, before);
        } catch (bytes memory error) {
            bytes4 name = bytes4(error);
            // The block before a proof of another's step may be one that nobody knows.
            bool refused = name == IDisputeGame.ProvesNothing.selector;
            isTrue("FALSE_PROOF", refused || (c.lie == Lie.HIDDEN && x.step > c.at));
            isTrue("FALSE_PROOF of an honest challenger", p.role == Role.FALSE);
            accepted[Call.FALSE_PROOF]++;
        }
    }

    // --- the end of a claim -------------------------------------------------------------------

    /// @dev GAME-REWARD, GAME-WHOLE: what a fall should make of everybody's tokens in the registry,
    /// and behind them of everybody's wei. Tokens: a third of the lock to the earliest undefeated
    /// challenger, less a 32nd of that for each of at most eight others; a third, rounded up,
    /// burns; the client has the rest. Wei: the `caller` of a timeout, then the challenge `number`,
    /// a proof of its included, then the others in order.
    function _owed(Claimed storage c, uint256 number, address caller)
        internal
        view
        returns (uint256[] memory owed)
    {
        owed = _credits();
        ClaimRecord memory r = game.claimOf(c.id);
        (uint256 lock, uint256 left) = lockOf(c.terms.deal);
        uint256 gasPrice = c.terms.deal.gasPrice;
        owed[_indexOf(DEAD)] += (lock + 2) / 3;
        owed[_indexOf(c.terms.deal.client)] += lock - lock / 3 - (lock + 2) / 3;
        if (caller != address(0)) {
            owed[_people.length + _indexOf(caller)] += 600_000 * gasPrice;
            left -= 600_000 * gasPrice;
        }
        left = _makeWhole(owed, c, number, left, caller == address(0) ? 10_300_000 : 300_000);
        uint256 lines = 1;
        for (uint24 n = 1; n <= r.count && lines < 9; ++n) {
            if (n == number || game.challengeOf(c.id, n).outcome != Outcome.LIVE) continue;
            left = _makeWhole(owed, c, n, left, 300_000);
            ++lines;
        }
        address first = game.challengeOf(c.id, r.head).challenger;
        // Each has a premium; the first has what they leave, instead.
        owed[_indexOf(first)] += lock / 3 - lines * (lock / 3 / 32);
    }

    /// @dev A premium, and scheduled gas as far as `left` goes: twice what answers cost, and
    /// `gas_`. What is left.
    function _makeWhole(
        uint256[] memory owed,
        Claimed storage c,
        uint256 number,
        uint256 left,
        uint256 gas_
    ) private view returns (uint256) {
        (uint256 lock,) = lockOf(c.terms.deal);
        Challenge memory x = game.challengeOf(c.id, number);
        uint256 bond = (22 * 120_000 + 200_000) * uint256(c.terms.deal.gasPrice);
        uint256 due = 2 * (bond - x.native) + gas_ * c.terms.deal.gasPrice;
        if (due > left) due = left;
        owed[_indexOf(x.challenger)] += lock / 3 / 32;
        owed[_people.length + _indexOf(x.challenger)] += due;
        return left - due;
    }

    /// @dev Everybody's tokens in the registry, then everybody's wei.
    function _credits() private view returns (uint256[] memory all) {
        uint256 count = _people.length;
        all = new uint256[](2 * count);
        for (uint256 i; i < count; ++i) {
            (all[i], all[count + i]) = registry.credit(_people[i]);
        }
    }

    function _checkFall(Claimed storage c, uint256[] memory owed) internal view {
        isTrue("GAME-FALL", game.claimOf(c.id).fallen);
        isTrue("GAME-HONEST-1", c.lie != Lie.NONE);
        uint256[] memory got = _credits();
        for (uint256 i; i < owed.length; ++i) {
            isEqual(i < _people.length ? "GAME-REWARD" : "GAME-WHOLE", got[i], owed[i]);
        }
    }

    function _indexOf(address who) internal view returns (uint256 i) {
        while (_people[i] != who) ++i;
    }

    // --- time ---------------------------------------------------------------------------------

    /// @dev Providers that answer show what was demanded of them before `to`.
    function _answerDemands(uint256 to) internal virtual;

    /// @dev Time passes up to `to`, and nobody diligent misses a deadline on the way.
    function _advance(uint256 to) internal {
        bool moved = true;
        for (uint256 rounds; moved; ++rounds) {
            isTrue("GAME-END: a dispute between two that answer ends", rounds < 100);
            moved = false;
            for (uint256 i; i < _players.length; ++i) {
                if (_isDue(_players[i], to) && _diligent(_players[i])) moved = true;
            }
            _answerDemands(to);
        }
        if (to <= block.timestamp) return;
        cheats.warp(to);
        _otherFee(to);
    }

    /// @dev Another block, another base fee: below, among and above the terms' prices.
    function _otherFee(uint256 seed) internal {
        cheats.fee(uint256(keccak256(abi.encode(seed))) % 1e10);
    }

    function _isLive(Player storage p) internal returns (bool) {
        if (p.over) return false;
        bool fallen = game.claimOf(_claims[p.claim].id).fallen;
        p.over = fallen || _challenge(p).outcome != Outcome.LIVE;
        return !p.over;
    }

    function _isDue(Player storage p, uint256 to) private returns (bool) {
        return _isLive(p) && game.deadlineOf(_claims[p.claim].id, p.number) < to;
    }

    /// @dev The move of a party that never lets a turn pass, if the turn is its.
    function _diligent(Player storage p) private returns (bool) {
        Claimed storage c = _claims[p.claim];
        Challenge memory x = _challenge(p);
        if (x.wait != Wait.CHALLENGER) return _answer(c, p.number, x, c.provider);
        if (p.role != Role.HONEST) return false;
        _honest(p, c, x);
        return true;
    }
}
