// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IJobMarket} from "./interfaces/IJobMarket.sol";
import {BPS, TRACE_FACTOR} from "./types/Constants.sol";
import {BUDGET_MOVES} from "./types/Dispute.sol";
import {Deal, Task} from "./types/JobTerms.sol";
import {Limits} from "./types/Limits.sol";

/// @title What a market lets its clients choose, and what follows from their choice
/// @dev All limits are immutables: set once, read without storage.
abstract contract JobLimits is IJobMarket {
    uint32 private immutable _minOpenSeconds;
    uint32 private immutable _maxOpenSeconds;
    uint32 private immutable _minRunSeconds;
    uint32 private immutable _maxRunSeconds;
    uint24 private immutable _minWindowSeconds;
    uint24 private immutable _maxWindowSeconds;
    uint32 private immutable _minMoveSeconds;
    uint32 private immutable _maxMoveSeconds;
    uint64 private immutable _minWorkMs;
    uint64 private immutable _maxWorkMs;
    uint96 private immutable _minLock;
    uint96 private immutable _maxLock;
    uint32 private immutable _minStakeBps;
    uint32 private immutable _maxStakeBps;
    uint64 private immutable _minGasPrice;
    uint64 private immutable _maxGasPrice;
    uint8 private immutable _maxAttempts;
    uint32 private immutable _disputeGas;
    uint32 private immutable _closeGas;
    uint32 private immutable _lateGas;

    constructor(Limits memory l) {
        _order("openSeconds", 1, l.minOpenSeconds, l.maxOpenSeconds, type(uint32).max);
        _order("runSeconds", 1, l.minRunSeconds, l.maxRunSeconds, type(uint32).max);
        _order("windowSeconds", 1, l.minWindowSeconds, l.maxWindowSeconds, type(uint24).max);
        _order("moveSeconds", 1, l.minMoveSeconds, l.maxMoveSeconds, type(uint32).max);
        // A registry counts backlog in 56 bits.
        _order("workMs", 1, l.minWorkMs, l.maxWorkMs, type(uint48).max);
        // A game counts the seconds of a chess clock in 32 bits.
        uint256 clock = TRACE_FACTOR * uint256(l.maxWorkMs) / 1000 + 1;
        clock += BUDGET_MOVES * uint256(l.maxMoveSeconds);
        _order("clock", 1, clock, clock, type(uint32).max);
        _order("lock", 1, l.minLock, l.maxLock, type(uint96).max);
        _order("stakeBps", 1, l.minStakeBps, l.maxStakeBps, type(uint32).max);
        // A game keeps the price of an answer in 48 bits, and a bond at it in 72.
        _order("gasPrice", 1, l.minGasPrice, l.maxGasPrice, type(uint48).max);
        _order("attempts", 1, l.maxAttempts, l.maxAttempts, 15);
        _order("closeGas", 1, l.closeGas, l.closeGas, type(uint32).max);
        _order("lateGas", 1, l.lateGas, l.lateGas, type(uint32).max);
        // A registry keeps deposits in 80 bits.
        uint256 native = (2 * uint256(l.disputeGas) + l.lateGas) * l.maxGasPrice;
        _order("disputeGas", 1, l.disputeGas, native, type(uint80).max);
        _minOpenSeconds = l.minOpenSeconds;
        _maxOpenSeconds = l.maxOpenSeconds;
        _minRunSeconds = l.minRunSeconds;
        _maxRunSeconds = l.maxRunSeconds;
        _minWindowSeconds = l.minWindowSeconds;
        _maxWindowSeconds = l.maxWindowSeconds;
        _minMoveSeconds = l.minMoveSeconds;
        _maxMoveSeconds = l.maxMoveSeconds;
        _minWorkMs = l.minWorkMs;
        _maxWorkMs = l.maxWorkMs;
        _minLock = l.minLock;
        _maxLock = l.maxLock;
        _minStakeBps = l.minStakeBps;
        _maxStakeBps = l.maxStakeBps;
        _minGasPrice = l.minGasPrice;
        _maxGasPrice = l.maxGasPrice;
        _maxAttempts = l.maxAttempts;
        _disputeGas = l.disputeGas;
        _closeGas = l.closeGas;
        _lateGas = l.lateGas;
    }

    /// @inheritdoc IJobMarket
    function limits() external view returns (Limits memory l) {
        l.minOpenSeconds = _minOpenSeconds;
        l.maxOpenSeconds = _maxOpenSeconds;
        l.minRunSeconds = _minRunSeconds;
        l.maxRunSeconds = _maxRunSeconds;
        l.minWindowSeconds = _minWindowSeconds;
        l.maxWindowSeconds = _maxWindowSeconds;
        l.minMoveSeconds = _minMoveSeconds;
        l.maxMoveSeconds = _maxMoveSeconds;
        l.minWorkMs = _minWorkMs;
        l.maxWorkMs = _maxWorkMs;
        l.minLock = _minLock;
        l.maxLock = _maxLock;
        l.minStakeBps = _minStakeBps;
        l.maxStakeBps = _maxStakeBps;
        l.minGasPrice = _minGasPrice;
        l.maxGasPrice = _maxGasPrice;
        l.maxAttempts = _maxAttempts;
        l.disputeGas = _disputeGas;
        l.closeGas = _closeGas;
        l.lateGas = _lateGas;
    }

    /// @inheritdoc IJobMarket
    function lockOf(Deal calldata deal) public view returns (uint256 token, uint256 native) {
        token = (uint256(deal.priceCeiling) * deal.stakeBps) / BPS;
        if (token < _minLock) token = _minLock;
        native = (2 * uint256(_disputeGas) + _lateGas) * deal.gasPrice;
    }

    /// @inheritdoc IJobMarket
    function bountyOf(Deal calldata deal) public view returns (uint256 native) {
        return uint256(_closeGas) * deal.gasPrice;
    }

    /// @dev What a late provider's deposit pays to whoever ends its attempt.
    function _lateBounty(Deal calldata deal) internal view returns (uint256) {
        return uint256(_lateGas) * deal.gasPrice;
    }

    /// @dev Fields reserved for batches, resumption and ramps hold their only value so far.
    function _checkTask(Task calldata task) internal pure {
        _range("firstStep", task.firstStep, 0, 0);
        _range("taskCount", task.taskCount, 1, 1);
    }

    function _checkDeal(Deal calldata deal) internal view {
        _range("priceFloor", deal.priceFloor, 1, type(uint96).max);
        _range("priceCeiling", deal.priceCeiling, deal.priceFloor, deal.priceFloor);
        _range("rampSeconds", deal.rampSeconds, 0, 0);
        _range("stakeBps", deal.stakeBps, _minStakeBps, _maxStakeBps);
        _range("attempts", deal.attempts, 1, _maxAttempts);
        _range("workMs", deal.workMs, _minWorkMs, _maxWorkMs);
        _range("gasPrice", deal.gasPrice, _minGasPrice, _maxGasPrice);
        _range("openSeconds", deal.openSeconds, _minOpenSeconds, _maxOpenSeconds);
        _range("runSeconds", deal.runSeconds, _minRunSeconds, _maxRunSeconds);
        _range("windowSeconds", deal.windowSeconds, _minWindowSeconds, _maxWindowSeconds);
        _range("moveSeconds", deal.moveSeconds, _minMoveSeconds, _maxMoveSeconds);
        (uint256 lock,) = lockOf(deal);
        _range("lock", lock, _minLock, _maxLock);
    }

    /// @dev INVARIANT: every term is within what this market was deployed to allow.
    function _range(bytes32 term, uint256 got, uint256 least, uint256 most) private pure {
        if (got < least || got > most) revert TermOutOfRange(term, got, least, most);
    }

    /// @dev INVARIANT: a <= b <= c <= d, so that some value of each term is allowed and fits.
    function _order(bytes32 term, uint256 a, uint256 b, uint256 c, uint256 d) private pure {
        if (a > b || b > c || c > d) revert BadLimits(term);
    }
}
