// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ICourt} from "../../contracts/interfaces/ICourt.sol";
import {IDisputeGame} from "../../contracts/interfaces/IDisputeGame.sol";
import {IJobMarket} from "../../contracts/interfaces/IJobMarket.sol";
import {Illegality} from "../../contracts/interfaces/ILegalityReferee.sol";
import {NodePath} from "../../contracts/libraries/NodePath.sol";
import {Part} from "../../contracts/types/Demand.sol";
import {Challenge, Proof, Tree, Wait} from "../../contracts/types/Dispute.sol";
import {JobTerms} from "../../contracts/types/JobTerms.sol";
import {cheats} from "./Cheats.sol";
import {GameHandler} from "./GameHandler.sol";

/// @notice Moves that break one rule each, over the trivial machine: refused, by the rule's name.
contract GameRulesTest is GameHandler {
    bytes32[] private _none;

    // --- before the opening -------------------------------------------------------------------

    function test_challenge__anotherBond__isRefused() public {
        (Player storage p, Claimed storage c) = _begin(40, Lie.NONE);
        (, uint256 native) = game.bondOf(c.id, c.terms.deal);
        bytes memory call = abi.encodeCall(game.challenge, (c.terms, c.id));
        for (uint256 k; k < 3; k += 2) {
            cheats.prank(p.who);
            (bool done, bytes memory error) = address(game).call{value: native + k - 1}(call);
            isTrue("refused", !done && bytes4(error) == IDisputeGame.WrongBond.selector);
        }
    }

    function test_moves__beforeTheOpening__areRefused() public {
        (Player storage p, Claimed storage c) = _begin(40, Lie.NONE);
        bytes32[] memory top = nodesAt(c, 1, false);
        _refused(
            p.who, abi.encodeCall(game.open, (c.id, 1, top)), IDisputeGame.NotProvider.selector
        );
        bytes memory call = abi.encodeCall(game.point, (c.id, 1, 0, 0, 0, _none));
        _refused(p.who, call, IDisputeGame.WrongTurn.selector);
        _refused(
            c.provider,
            abi.encodeCall(game.openStep, (c.id, 1, 1, top)),
            IDisputeGame.WrongTurn.selector
        );
        uint256 deadline = game.deadlineOf(c.id, 1);
        cheats.warp(deadline);
        _refused(p.who, _timeout(c), IDisputeGame.TooEarly.selector);
        _refused(p.who, _defeat(1), IDisputeGame.WrongTurn.selector);
        cheats.warp(deadline + 1);
        _refused(
            c.provider, abi.encodeCall(game.open, (c.id, 1, top)), IDisputeGame.TooLate.selector
        );
    }

    // --- in the steps tree --------------------------------------------------------------------

    function test_point__ofAnother_elsewhereOrTooShort__isRefused() public {
        (Player storage p, Claimed storage c) = _opened(70, Lie.NONE);
        bytes32[] memory row = nodesAt(c, 2, false);
        bytes32[] memory path = siblingsOf(row, 3, 5);
        bytes memory call = abi.encodeCall(game.point, (c.id, 1, 5, 3, row[3], path));
        _refused(c.provider, call, IDisputeGame.NotChallenger.selector);
        call = abi.encodeCall(game.point, (c.id, 1, 5, 3, row[2], path));
        _refused(p.who, call, IDisputeGame.WrongNode.selector);
        call = abi.encodeCall(game.point, (c.id, 1, 0, 0, row[0], _none));
        _refused(p.who, call, IDisputeGame.NothingToReveal.selector);
        bytes32[] memory high = nodesAt(c, 5, false);
        call = abi.encodeCall(game.point, (c.id, 1, 2, 0, high[0], siblingsOf(high, 0, 2)));
        _refused(p.who, call, IDisputeGame.WrongLevels.selector);
        cheats.prank(p.who);
        game.point(c.id, 1, 5, 3, row[3], path);
        bytes32[] memory leaves = nodesAt(c, 0, false);
        _reveal(c, 12);
        call = abi.encodeCall(game.point, (c.id, 1, 2, 4, leaves[4], siblingsOf(leaves, 4, 2)));
        _refused(p.who, call, IDisputeGame.OutsideNode.selector);
    }

    function test_enter__fromElsewhere_orWithOtherTerms__isRefused() public {
        (Player storage p, Claimed storage c) = _opened(40, Lie.NONE);
        bytes memory call = abi.encodeCall(game.enter, (c.id, 1, c.terms, Tree.STATES, ""));
        _refused(p.who, call, IDisputeGame.NotHere.selector);
        JobTerms memory other = c.terms;
        other.task.seed++;
        call = abi.encodeCall(game.enter, (c.id, 1, other, Tree.OUTPUTS, ""));
        _refused(p.who, call, IDisputeGame.WrongTerms.selector);
        call = abi.encodeCall(game.prove, (c.id, 1, other, Proof.HALT, ""));
        _refused(p.who, call, IDisputeGame.WrongTerms.selector);
    }

    function test_prove__whatIsWrongButElsewhere__isRefused() public {
        (Player storage p, Claimed storage c) = _opened(40, Lie.STATE);
        // The root of the steps is no operation's either.
        bytes memory call = abi.encodeCall(game.prove, (c.id, 1, c.terms, Proof.NEXT, ""));
        _refused(p.who, call, IDisputeGame.NotHere.selector);
        call = abi.encodeCall(game.prove, (c.id, 1, c.terms, Proof.INITIAL, ""));
        _refused(p.who, call, IDisputeGame.NotHere.selector);
        bytes memory last = abi.encode(linkTo(c, 40));
        call = abi.encodeCall(game.prove, (c.id, 1, c.terms, Proof.OUTPUT, last));
        _refused(p.who, call, IDisputeGame.NotHere.selector);
    }

    function test_reveal__ofOtherNodes_orLate__isRefused() public {
        (Player storage p, Claimed storage c) = _opened(70, Lie.NONE);
        bytes32[] memory row = nodesAt(c, 2, false);
        cheats.prank(p.who);
        game.point(c.id, 1, 5, 3, row[3], siblingsOf(row, 3, 5));
        bytes32[] memory four = new bytes32[](4);
        _refused(
            p.who, abi.encodeCall(game.reveal, (c.id, 1, four)), IDisputeGame.WrongNode.selector
        );
        bytes memory call = abi.encodeCall(game.reveal, (c.id, 1, _none));
        _refused(p.who, call, NodePath.WrongChildren.selector);
        call = abi.encodeCall(game.point, (c.id, 1, 0, 3, row[3], _none));
        _refused(p.who, call, IDisputeGame.WrongTurn.selector);
        cheats.warp(game.deadlineOf(c.id, 1) + 1);
        bytes32[] memory leaves = nodesAt(c, 0, false);
        for (uint256 k; k < 4; ++k) four[k] = leaves[12 + k];
        _refused(
            p.who, abi.encodeCall(game.reveal, (c.id, 1, four)), IDisputeGame.TooLate.selector
        );
    }

    function test_play__ofAMoveThatIsRefused__makesTheOthersUnlessAllAreWanted() public {
        (, Claimed storage c) = _opened(5, Lie.NONE);
        bytes[] memory moves = new bytes[](3);
        bytes32[] memory one = new bytes32[](1);
        moves[0] = abi.encodeCall(game.openStep, (c.id, 1, 3, one));
        moves[1] = abi.encodeCall(game.openStep, (c.id, 1, 6, one));
        moves[2] = abi.encodeCall(game.openStep, (c.id, 1, 5, one));
        bytes memory call = abi.encodeCall(game.play, (moves, true));
        _refused(c.provider, call, IDisputeGame.NoSuchStep.selector);
        isEqual("PLAY-ALL", game.stepOf(c.id, 3).at, 0);
        // The moves are the sender's: what is the provider's alone is left out, whoever else sends.
        game.play(moves, false);
        isEqual("PLAY-OWN", game.stepOf(c.id, 3).at, 0);
        cheats.prank(c.provider);
        game.play(moves, false);
        isEqual("PLAY-FIRST", game.stepOf(c.id, 3).at, block.timestamp);
        isEqual("PLAY-LAST", game.stepOf(c.id, 5).at, block.timestamp);
    }

    // --- steps and blocks ---------------------------------------------------------------------

    function test_openStep__byAStranger_twice_orNone__isRefused() public {
        (Player storage p, Claimed storage c) = _opened(5, Lie.NONE);
        bytes32[] memory one = new bytes32[](1);
        bytes memory call = abi.encodeCall(game.openStep, (c.id, 1, 3, one));
        _refused(p.who, call, IDisputeGame.NotProvider.selector);
        cheats.prank(c.provider);
        game.openStep(c.id, 1, 3, one);
        _refused(c.provider, call, IDisputeGame.WrongTurn.selector);
        call = abi.encodeCall(game.openStep, (c.id, 1, 6, one));
        _refused(c.provider, call, IDisputeGame.NoSuchStep.selector);
    }

    function test_revealBlock__anotherOrWithADirtyTail__isRefused() public {
        (, Claimed storage c) = _opened(1, Lie.HIDDEN);
        Player storage p = _players[0];
        _honest(p, c, _challenge(p)); // to leaf 1
        _answer(c, 1, _challenge(p), c.provider); // the step
        for (uint256 k; k < 3; ++k) _honest(p, c, _challenge(p)); // operations, block, reveal!
        bytes memory data = referee.blockOf(1);
        bytes memory call = abi.encodeCall(game.revealBlock, (c.id, 1, data));
        _refused(c.provider, call, IDisputeGame.WrongNode.selector);
        call = abi.encodeCall(game.revealBlock, (c.id, 1, hiddenBlock(1)));
        _refused(c.provider, call, IDisputeGame.DirtyTail.selector);
    }

    // --- calls that are none ------------------------------------------------------------------

    function test_calls__cutShort__revertAndTheWholeIsAccepted() public {
        (Player storage p, Claimed storage c) = _begin(70, Lie.STATE);
        bytes32[] memory row = nodesAt(c, 2, false);
        _cut(c.provider, abi.encodeCall(game.open, (c.id, 1, row)));
        uint256 child = c.at >> 2;
        bytes32[] memory path = siblingsOf(row, child, 5);
        _cut(p.who, abi.encodeCall(game.point, (c.id, 1, 5, child, row[child], path)));
        bytes32[] memory leaves = nodesAt(c, 0, false);
        bytes32[] memory four = new bytes32[](4);
        for (uint256 k; k < 4; ++k) four[k] = leaves[4 * child + k];
        _cut(p.who, abi.encodeCall(game.reveal, (c.id, 1, four)));
        path = siblingsOf(leaves, c.at, 2);
        _cut(p.who, abi.encodeCall(game.point, (c.id, 1, 2, c.at, leaves[c.at], path)));
        bytes32[] memory one = new bytes32[](1);
        one[0] = operationsRoot(c, c.at);
        _cut(c.provider, abi.encodeCall(game.openStep, (c.id, 1, c.at, one)));
        _cut(p.who, abi.encodeCall(game.enter, (c.id, 1, c.terms, Tree.STATES, hex"01")));
        _cut(p.who, abi.encodeCall(game.prove, (c.id, 1, c.terms, Proof.NEXT, hex"01")));
        isTrue("the claim has fallen", game.claimOf(c.id).fallen);
    }

    /// @dev Whatever is missing at the end, the call reverts in little gas; but for zeros, which
    /// calldata has behind its end anyway.
    function _cut(address who, bytes memory call) private {
        uint256 used = call.length;
        while (call[used - 1] == 0) --used;
        for (uint256 size; size < used; size += 17) {
            bytes memory part = new bytes(size);
            for (uint256 k; k < size; ++k) part[k] = call[k];
            cheats.prank(who);
            (bool less,) = address(game).call{gas: 1_000_000}(part);
            isTrue("a call cut short was accepted", !less);
        }
        cheats.prank(who);
        (bool whole,) = address(game).call(call);
        isTrue("the whole call was refused", whole);
    }

    // --- what an answer is paid ---------------------------------------------------------------

    /// @dev The terms have a gas price of 8, the market's smallest is 1.
    function testFuzz_open__inAnotherBlock__isPaidTwiceTheLowerBaseFee(
        uint64 asked,
        uint64 answered
    ) public {
        (asked, answered) = (asked % 6, answered % 6);
        cheats.fee(asked);
        (, Claimed storage c) = _begin(5, Lie.NONE);
        cheats.fee(answered);
        uint8[6] memory prices = [1, 2, 4, 6, 8, 8];
        uint256 lower = prices[asked < answered ? asked : answered];
        isEqual("paid", _paid(c), 120_000 * lower);
    }

    function test_answers__inDearBlocks__arePaidWhatGasCostWhenTheyWereAskedFor() public {
        cheats.fee(1);
        (Player storage p, Claimed storage c) = _begin(40, Lie.STATE);
        for (uint64 fee = 1; !game.claimOf(c.id).fallen; fee = 1 + fee % 3) {
            if (_challenge(p).wait == Wait.CHALLENGER) {
                cheats.fee(fee);
                _honest(p, c, _challenge(p));
            } else {
                uint256 asked = 2 * block.basefee;
                cheats.fee(500);
                isEqual("paid", _paid(c), 120_000 * asked);
                isEqual("price", _challenge(p).price, asked);
            }
        }
        isTrue("asked often", accepted[Call.POINT] >= 2);
    }

    function test_enter__thatAsksForNothing__leavesThePrice() public {
        cheats.fee(3);
        (Player storage p, Claimed storage c) = _opened(5, Lie.NONE);
        cheats.fee(1);
        cheats.prank(p.who);
        game.enter(c.id, 1, c.terms, Tree.OUTPUTS, "");
        isEqual("price", _challenge(p).price, 6);
    }

    function testFuzz_openStep__unaskedInAJobOfOneStep__isPaidTheLowerPrice(uint64 fee) public {
        cheats.fee(2);
        (Player storage p, Claimed storage c) = _opened(1, Lie.NONE);
        cheats.fee(fee % 500);
        uint8[3] memory prices = [1, 2, 4];
        uint256 lower = prices[fee % 500 < 2 ? fee % 500 : 2];
        isEqual("paid", _unasked(c, 1), 120_000 * lower);
        isEqual("price", _challenge(p).price, 4);
    }

    /// @dev The answer is due to the first; the second challenged in a dear block, and asked for
    /// nothing.
    function test_openStep__throughWhoJoinedInADearBlock__isPaidWhatGasCosts() public {
        cheats.fee(1);
        (Player storage p, Claimed storage c) = _opened(1, Lie.NONE);
        cheats.fee(4);
        (, uint256 native) = game.bondOf(c.id, c.terms.deal);
        cheats.prank(_challengers[1]);
        game.challenge{value: native}(c.terms, c.id);
        cheats.fee(1);
        bytes32[] memory leaves = nodesAt(c, 0, false);
        cheats.prank(p.who);
        game.point(c.id, 1, 1, 1, leaves[1], siblingsOf(leaves, 1, 1));
        isEqual("paid", _unasked(c, 2), 120_000 * 2);
    }

    function test_answer__ofADemand__isPaidTheLowerPriceOfItsTwoBlocks() public {
        (, Claimed storage c) = _begin(5, Lie.NONE);
        uint256 fee = court.feeOf(c.terms.deal);
        uint64[2][3] memory fees = [[uint64(1), 500], [uint64(3), 1], [uint64(500), 500]];
        for (uint256 k; k < 3; ++k) {
            cheats.fee(fees[k][0]);
            cheats.prank(_challengers[1]);
            court.demand{value: fee}(c.terms, c.id, Part.CONSTANT, k, 0);
            cheats.fee(fees[k][1]);
            (, uint128 before) = court.credit(c.provider);
            court.answer(c.terms, c.id, Part.CONSTANT, k, 0, abi.encode(uint256(16_384)));
            (, uint128 after_) = court.credit(c.provider);
            isEqual("paid", after_ - before, (250_000 + 50 * 16_384) * (k == 2 ? 8 : 2));
        }
    }

    /// @dev The only step is opened through a challenge that did not ask for it: what that earns.
    function _unasked(Claimed storage c, uint256 number) private returns (uint256) {
        bytes32[] memory one = new bytes32[](1);
        one[0] = operationsRoot(c, 1);
        (, uint128 before) = game.credit(c.provider);
        cheats.prank(c.provider);
        game.openStep(c.id, number, 1, one);
        (, uint128 after_) = game.credit(c.provider);
        return after_ - before;
    }

    /// @dev The provider's answer to challenge 1: what it earns.
    function _paid(Claimed storage c) private returns (uint256) {
        (, uint128 before) = game.credit(c.provider);
        isTrue("answers", _answer(c, 1, game.challengeOf(c.id, 1), c.provider));
        (, uint128 after_) = game.credit(c.provider);
        return after_ - before;
    }

    // --- illegal jobs -------------------------------------------------------------------------

    function test_proveIllegal__ofAJobThatHasEnded__doesNotAskTheReferee() public {
        (, Claimed storage c) = _begin(5, Lie.NONE);
        bytes memory legal =
            abi.encodeCall(court.proveIllegal, (c.terms, Illegality.PROGRAM, abi.encode(false)));
        (, bytes memory error) = address(court).call(legal);
        isEqual("live", uint32(bytes4(error)), uint32(ICourt.ProvesNothing.selector));
        court.proveIllegal(c.terms, Illegality.PROGRAM, abi.encode(true));
        (, error) = address(court).call(legal);
        isEqual("ended", uint32(bytes4(error)), uint32(IJobMarket.WrongStatus.selector));
        JobTerms memory never = c.terms;
        never.deal.nonce++;
        (, error) = address(court)
            .call(abi.encodeCall(court.proveIllegal, (never, Illegality.PROGRAM, "")));
        isEqual("never was", uint32(bytes4(error)), uint32(IJobMarket.WrongStatus.selector));
    }

    // --- clocks and ends ----------------------------------------------------------------------

    function test_clock__aSlowMove__isPaidFromItsBudget() public {
        (Player storage p, Claimed storage c) = _opened(70, Lie.NONE);
        uint256 move_ = c.terms.deal.moveSeconds;
        uint256 budget = (5 * uint256(c.terms.deal.workMs) + 999) / 1000 + 24 * move_;
        isEqual("deadline", game.deadlineOf(c.id, 1), block.timestamp + budget + move_);
        cheats.warp(block.timestamp + move_ + 9);
        bytes32[] memory row = nodesAt(c, 2, false);
        cheats.prank(p.who);
        game.point(c.id, 1, 5, 3, row[3], siblingsOf(row, 3, 5));
        isEqual("challenger's budget", _challenge(p).challengerBudget, budget - 9);
        isEqual("deadline", game.deadlineOf(c.id, 1), block.timestamp + budget + move_);
        cheats.warp(block.timestamp + move_ + 4);
        _reveal(c, 12);
        isEqual("provider's budget", _challenge(p).providerBudget, budget - 4);
        cheats.warp(game.deadlineOf(c.id, 1) + 1);
        bytes memory call = abi.encodeCall(game.point, (c.id, 1, 0, 3, row[3], _none));
        _refused(p.who, call, IDisputeGame.TooLate.selector);
        call = abi.encodeCall(game.prove, (c.id, 1, c.terms, Proof.HALT, ""));
        _refused(p.who, call, IDisputeGame.TooLate.selector);
        _refused(p.who, _timeout(c), IDisputeGame.WrongTurn.selector);
    }

    function test_clock__aStepOpenedForAnother__isPaidFromThisBudgetToo() public {
        (Player storage p, Claimed storage c) = _opened(5, Lie.NONE);
        uint256 budget = _challenge(p).providerBudget;
        (, uint256 native) = game.bondOf(c.id, c.terms.deal);
        cheats.prank(_challengers[1]);
        game.challenge{value: native}(c.terms, c.id);
        bytes32[] memory leaves = nodesAt(c, 0, false);
        cheats.prank(p.who);
        game.point(c.id, 1, 3, 3, leaves[3], siblingsOf(leaves, 3, 3));
        isTrue("waits", _challenge(p).wait == Wait.STEP);
        cheats.warp(block.timestamp + c.terms.deal.moveSeconds + 7);
        bytes32[] memory one = new bytes32[](1);
        one[0] = operationsRoot(c, 3);
        cheats.prank(c.provider);
        game.openStep(c.id, 2, 3, one);
        uint256 since = block.timestamp;
        cheats.warp(since + 5);
        isEqual("provider's budget", _challenge(p).providerBudget, budget - 7);
        isEqual("since", _challenge(p).since, since);
        // Once: the next move finds it so, and stores it.
        cheats.prank(p.who);
        game.enter(c.id, 1, c.terms, Tree.OPERATIONS, "");
        isEqual("provider's budget, stored", _challenge(p).providerBudget, budget - 7);
    }

    function test_fall__byTheEleventh__makesItWholeFirstAndEightOthers() public {
        (, Claimed storage c) = _begin(5, Lie.OPERATION);
        (, uint256 native) = game.bondOf(c.id, c.terms.deal);
        for (uint256 k; k < 10; ++k) {
            cheats.prank(_challengers[k % _challengers.length]);
            game.challenge{value: native}(c.terms, c.id);
        }
        cheats.warp(game.deadlineOf(c.id, 1) + 1);
        uint256[] memory owed = _owed(c, 11, address(this));
        game.timeoutProvider(c.id, 11, c.terms);
        _checkFall(c, owed);
    }

    function test_ends__twice_orByAStranger__areRefused() public {
        (Player storage p, Claimed storage c) = _opened(5, Lie.NONE);
        bytes memory call = abi.encodeCall(game.collect, (c.id, 1));
        _refused(p.who, call, IDisputeGame.HasNotFallen.selector);
        call = abi.encodeCall(game.end, (c.id, c.terms.deal));
        _refused(p.who, call, IDisputeGame.NotCourt.selector);
        _refused(p.who, _defeat(1), IDisputeGame.TooEarly.selector);
        cheats.warp(game.deadlineOf(c.id, 1) + 1);
        uint256[] memory one = new uint256[](1);
        one[0] = 1;
        game.timeoutChallengers(c.id, one);
        _refused(p.who, _defeat(1), IDisputeGame.NotLive.selector);
    }

    // --- inside -------------------------------------------------------------------------------

    function _begin(uint256 steps, Lie lie)
        private
        returns (Player storage p, Claimed storage c)
    {
        JobTerms memory terms = _terms(7);
        terms.task.steps = steps;
        _commit(terms, false, lie, ALWAYS, 7);
        c = _claims[0];
        p = _players.push();
        (p.who, p.role) = (_challengers[0], Role.HONEST);
        (, uint256 native) = game.bondOf(c.id, c.terms.deal);
        cheats.prank(p.who);
        p.number = game.challenge{value: native}(c.terms, c.id);
    }

    function _opened(uint256 steps, Lie lie)
        private
        returns (Player storage p, Claimed storage c)
    {
        (p, c) = _begin(steps, lie);
        _answer(c, 1, _challenge(p), c.provider);
    }

    /// @dev Leaves from `first` on, below the node of challenge 1.
    function _reveal(Claimed storage c, uint256 first) private {
        bytes32[] memory leaves = nodesAt(c, 0, false);
        bytes32[] memory four = new bytes32[](4);
        for (uint256 k; k < 4; ++k) four[k] = leaves[first + k];
        game.reveal(c.id, 1, four);
    }

    function _timeout(Claimed storage c) private view returns (bytes memory) {
        return abi.encodeCall(game.timeoutProvider, (c.id, 1, c.terms));
    }

    function _defeat(uint256 number) private view returns (bytes memory) {
        uint256[] memory one = new uint256[](1);
        one[0] = number;
        return abi.encodeCall(game.timeoutChallengers, (_claims[0].id, one));
    }

    function _refused(address who, bytes memory call, bytes4 name) private {
        cheats.prank(who);
        (bool done, bytes memory error) = address(game).call(call);
        isTrue("accepted", !done);
        isEqual("another error", uint32(bytes4(error)), uint32(name));
    }
}
