// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Illegality} from "../../contracts/interfaces/ILegalityReferee.sol";
import {Demand, DemandState, Part} from "../../contracts/types/Demand.sol";
import {Challenge, StepOpening, Wait} from "../../contracts/types/Dispute.sol";
import {JobStatus} from "../../contracts/types/JobState.sol";
import {cheats} from "./Cheats.sol";
import {GamePlayers} from "./GamePlayers.sol";

/// @notice Demands for data and illegal jobs, beside the disputes: a provider that answers in a
/// dispute shows what is demanded too. What is demanded is named by a number, the item.
abstract contract GameDemands is GamePlayers {
    /// @notice Demand number n of a claim is for item n.
    function demand(uint256 seed) external {
        if (_claims.length != 0) _demand(_claims[seed % _claims.length], seed);
    }

    function _demand(Claimed storage c, uint256 seed) private {
        if (market.jobOf(c.hash).status != JobStatus.Committed) return;
        if (market.claimOf(c.hash) != c.id || block.timestamp > market.jobOf(c.hash).clock) return;
        uint256 item = court.docketOf(c.id).count + 1;
        if (item > 6) return;
        address who = _challengers[(seed >> 8) % _challengers.length];
        uint256 fee = court.feeOf(c.terms.deal);
        cheats.prank(who);
        _demanded[c.id][court.demand{value: fee}(c.terms, c.id, Part.CONSTANT, item, 0)] =
            priceOf(c.terms.deal);
        accepted[Call.DEMAND]++;
    }

    /// @notice Somebody who has the bytes answers. (The bytes of a silent provider nobody has.)
    function answerDemand(uint256 seed) external {
        for (uint256 k; k < _claims.length; ++k) {
            Claimed storage c = _claims[(seed % _claims.length + k) % _claims.length];
            if (c.answers == 0 || game.claimOf(c.id).fallen || openDemands(c.id) == 0) continue;
            uint24 n = court.docketOf(c.id).head;
            if (block.timestamp > court.demandOf(c.id, n).deadline) continue;
            address who = _people[(seed >> 8) % 9];
            address his = court.demandOf(c.id, n).demander;
            (, uint128 before) = court.credit(c.provider);
            (, uint128 hisBefore) = court.credit(his);
            uint256 shown = (seed >> 16) % 20_000;
            _otherFee(seed);
            _show(c, n, who, shown);
            if (shown > 16_384) shown = 16_384;
            uint256 paid = (250_000 + 50 * shown) * lowerOf(_demanded[c.id][n], c.terms.deal);
            (, uint128 after_) = court.credit(c.provider);
            isEqual("GAME-SHOWN", after_ - before, paid);
            (, after_) = court.credit(his);
            isEqual("GAME-SHOWN rest", after_ - hisBefore, court.feeOf(c.terms.deal) - paid);
            return;
        }
    }

    /// @notice A provider that does not answer demands loses its claim to the clock.
    function timeoutDemand(uint256 seed) external {
        for (uint256 k; k < _claims.length; ++k) {
            Claimed storage c = _claims[(seed % _claims.length + k) % _claims.length];
            if (c.answers != 0 || game.claimOf(c.id).fallen) continue;
            if (openDemands(c.id) == 0) _demand(c, seed);
            if (openDemands(c.id) == 0) continue;
            uint24 n = court.docketOf(c.id).head;
            _advance(uint256(court.demandOf(c.id, n).deadline) + 1);
            if (!game.claimOf(c.id).fallen) _withheld(c, n);
            return;
        }
    }

    /// @dev GAME-WITHHELD: the whole lock is taken, a third of it, rounded up, burns.
    function _withheld(Claimed storage c, uint24 n) private {
        (uint256 lock,) = lockOf(c.terms.deal);
        (uint128 before,) = registry.credit(DEAD);
        court.timeout(c.terms, c.id, n);
        (uint128 after_,) = registry.credit(DEAD);
        isEqual("GAME-WITHHELD", after_ - before, (lock + 2) / 3);
        isTrue("GAME-WITHHELD ends it", game.claimOf(c.id).fallen);
        isTrue("GAME-HONEST-1", c.lie != Lie.NONE);
        accepted[Call.TIMEOUT_DEMAND]++;
    }

    /// @notice Fees of demands that a claim did not live to answer come back.
    function collectFees(uint256 seed) external {
        for (uint256 k; k < _claims.length; ++k) {
            Claimed storage c = _claims[(seed % _claims.length + k) % _claims.length];
            if (!game.claimOf(c.id).fallen || openDemands(c.id) == 0) continue;
            _collectFees(c);
            return;
        }
    }

    function _collectFees(Claimed storage c) private {
        uint256[] memory one = new uint256[](1);
        for (uint24 n = 1; n <= court.docketOf(c.id).count; ++n) {
            Demand memory d = court.demandOf(c.id, n);
            if (d.state != DemandState.OPEN) continue;
            one[0] = n;
            (, uint128 before) = court.credit(d.demander);
            court.collect(c.id, one);
            (, uint128 after_) = court.credit(d.demander);
            isEqual("GAME-COLLECT fee", after_ - before, court.feeOf(c.terms.deal));
            accepted[Call.COLLECT_FEES]++;
        }
    }

    /// @notice The job is shown to be illegal: its claim ends, nobody is slashed.
    function proveIllegal(uint256 seed) external {
        if (seed % 3 != 0 || _claims.length == 0) return;
        Claimed storage c = _claims[seed % _claims.length];
        if (market.jobOf(c.hash).status != JobStatus.Committed || c.pursued) return;
        if (market.claimOf(c.hash) != c.id) return;
        (uint128 before,) = registry.credit(DEAD);
        c.illegal = true;
        court.proveIllegal(c.terms, Illegality.PROGRAM, abi.encode(true));
        (uint128 after_,) = registry.credit(DEAD);
        isEqual("GAME-ILLEGAL", after_, before);
        isTrue("GAME-ILLEGAL ends it", game.claimOf(c.id).fallen);
        accepted[Call.ILLEGAL]++;
    }

    /// @notice A provider opens a step that nobody asked for.
    function openUnasked(uint256 seed) external {
        if (_players.length == 0) return;
        Player storage p = _players[seed % _players.length];
        Claimed storage c = _claims[p.claim];
        if (!_isLive(p) || c.answers == 0 || game.claimOf(c.id).openedAt == 0) return;
        uint256 step = 1 + (seed >> 16) % c.steps;
        Challenge memory x = game.challengeOf(c.id, p.number);
        StepOpening memory opening = game.stepOf(c.id, step);
        if (opening.at != 0 || (x.wait == Wait.STEP && x.step == step)) return;
        bytes32[] memory one = new bytes32[](1);
        one[0] = operationsRoot(c, step);
        (, uint128 before) = game.credit(c.provider);
        _otherFee(seed);
        cheats.prank(c.provider);
        game.openStep(c.id, p.number, step, one);
        (, uint128 after_) = game.credit(c.provider);
        uint256 price = lowerOf(_asked[c.id][p.number], c.terms.deal);
        uint256 paid = c.steps == 1 ? 120_000 * price : 0;
        isEqual("GAME-PAID unasked", after_ - before, paid);
        accepted[Call.OPEN_UNASKED]++;
    }

    // --- inside -------------------------------------------------------------------------------

    function _show(Claimed storage c, uint24 n, address who, uint256 bytes_) private {
        cheats.prank(who);
        court.answer(c.terms, c.id, Part.CONSTANT, n, 0, abi.encode(bytes_));
        accepted[Call.ANSWER]++;
    }

    function _answerDemands(uint256 to) internal override {
        for (uint256 i; i < _claims.length; ++i) {
            Claimed storage c = _claims[i];
            if (c.over || c.answers == 0) continue;
            c.over = game.claimOf(c.id).fallen;
            if (c.over) continue;
            for (uint24 n = court.docketOf(c.id).head; n != 0; n = court.docketOf(c.id).head) {
                uint256 deadline = court.demandOf(c.id, n).deadline;
                if (deadline >= to || block.timestamp > deadline) break;
                _show(c, n, c.provider, 100);
            }
        }
    }

    /// @dev Every demand of a claim ends: by an answer, by its clock, or with its claim.
    function _endDemands(Claimed storage c) internal {
        while (!game.claimOf(c.id).fallen && openDemands(c.id) != 0) {
            uint24 n = court.docketOf(c.id).head;
            _advance(uint256(court.demandOf(c.id, n).deadline) + 1);
            if (game.claimOf(c.id).fallen || court.docketOf(c.id).head != n) continue;
            _withheld(c, n);
        }
        if (game.claimOf(c.id).fallen) _collectFees(c);
    }
}
