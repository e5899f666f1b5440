// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Credits} from "./Credits.sol";
import {IDisputeGame} from "./interfaces/IDisputeGame.sol";
import {IJobMarket} from "./interfaces/IJobMarket.sol";
import {IJudge} from "./interfaces/IJudge.sol";
import {IProviderRegistry} from "./interfaces/IProviderRegistry.sol";
import {AnswerPrice} from "./libraries/AnswerPrice.sol";
import {Splits} from "./libraries/Splits.sol";
import {Terms} from "./libraries/Terms.sol";
import {DEAD, REWARD_PARTS, TRACE_FACTOR} from "./types/Constants.sol";
import {
    CHALLENGE_GAS,
    CLOSE_GAS,
    Challenge,
    ClaimRecord,
    FORFEIT_BURN_PARTS,
    MADE_WHOLE,
    MAX_MOVES,
    MOVE_GAS,
    Outcome,
    PREMIUM_PARTS,
    PROOF_GAS,
    TIMEOUT_GAS
} from "./types/Dispute.sol";
import {ClaimId, JobHash} from "./types/Ids.sol";
import {Fault} from "./types/JobState.sol";
import {Deal, JobTerms, Payout} from "./types/JobTerms.sol";

/// @title Challenges of claims: their order and their money
/// @dev Undefeated challenges of a claim are a doubly linked list in order of opening, so that a
/// defeat, and finding the earliest, take the same gas however many there are.
abstract contract Challenges is Credits, IDisputeGame {
    IJobMarket internal immutable _market;
    IProviderRegistry internal immutable _registry;
    uint256 private immutable _minGasPrice;
    /// @inheritdoc IDisputeGame
    address public immutable COURT;

    mapping(ClaimId claimId => ClaimRecord) internal _claims;
    mapping(ClaimId claimId => mapping(uint256 number => Challenge)) internal _challenges;

    constructor(address market) Credits(IJobMarket(market).TOKEN()) {
        _market = IJobMarket(market);
        _registry = IProviderRegistry(IJobMarket(market).REGISTRY());
        COURT = IJobMarket(market).COURT();
        _minGasPrice = IJobMarket(market).limits().minGasPrice;
    }

    // --- reading ------------------------------------------------------------------------------

    /// @inheritdoc IJudge
    function MARKET() external view returns (address) {
        return address(_market);
    }

    /// @inheritdoc IJudge
    function REGISTRY() external view returns (address) {
        return address(_registry);
    }

    /// @inheritdoc IDisputeGame
    function bondOf(ClaimId claimId, Deal calldata deal)
        public
        view
        returns (uint256 token, uint256 native)
    {
        token = _claims[claimId].openedAt == 0 ? TRACE_FACTOR * deal.priceCeiling : 0;
        native = _nativeBond(deal.gasPrice);
    }

    /// @dev Out of storage: once in the code, for its size.
    function _read(ClaimId claimId, uint256 number) internal view returns (Challenge memory) {
        return _challenges[claimId][number];
    }

    function _store(ClaimId claimId, uint256 number, Challenge memory x) internal {
        _challenges[claimId][number].write(x);
    }

    // --- the list -----------------------------------------------------------------------------

    function _append(ClaimId claimId, ClaimRecord storage c, Challenge memory x)
        internal
        returns (uint256 number)
    {
        // A number names one challenge: beyond 2^24 the checked sum reverts.
        number = ++c.count;
        x.prev = c.tail;
        if (c.tail == 0) c.head = uint24(number);
        else _challenges[claimId][c.tail].next = uint24(number);
        c.tail = uint24(number);
        _store(claimId, number, x);
    }

    function _unlink(ClaimId claimId, ClaimRecord storage c, Challenge memory x) private {
        if (x.prev == 0) c.head = x.next;
        else _challenges[claimId][x.prev].next = x.next;
        if (x.next == 0) c.tail = x.prev;
        else _challenges[claimId][x.next].prev = x.prev;
    }

    // --- money --------------------------------------------------------------------------------

    /// @dev The closing is set aside so that a fifth of it can burn too.
    function _nativeBond(uint256 gasPrice) internal pure returns (uint256) {
        unchecked {
            uint256 closing = CLOSE_GAS * FORFEIT_BURN_PARTS / (FORFEIT_BURN_PARTS - 1);
            return (MAX_MOVES * MOVE_GAS + closing) * gasPrice;
        }
    }

    /// @dev The most that an answer is paid is settled when it is asked for: waiting makes it no
    /// dearer.
    function _ask(ClaimRecord storage c, Challenge memory x) internal view {
        x.price = uint48(AnswerPrice.current(_minGasPrice, c.gasPrice));
    }

    /// @dev An answer is paid at once, by the challenge that asked, to the provider: a copy of it
    /// that was sent ahead gains nothing and takes nothing.
    function _charge(ClaimRecord storage c, Challenge memory x) internal returns (uint256 fee) {
        unchecked {
            // MAX_MOVES answers are inside and no path asks for more: nothing wraps.
            fee = MOVE_GAS * AnswerPrice.current(_minGasPrice, x.price);
            x.native -= uint72(fee);
        }
        _credit(c.provider, 0, fee);
    }

    function _defeat(ClaimId claimId, uint256 number, Challenge memory x) internal {
        ClaimRecord storage c = _claims[claimId];
        _unlink(claimId, c, x);
        _challenges[claimId][number].outcome = Outcome.DEFEATED;
        unchecked {
            // Nothing wraps: a fifth and the closing are inside until the end.
            uint256 bounty = CLOSE_GAS * c.gasPrice;
            uint256 burnedNative = _forfeited(x.native);
            uint256 burnedToken = _forfeited(x.token);
            _credit(DEAD, burnedToken, burnedNative);
            _credit(c.provider, x.token - burnedToken, x.native - burnedNative - bounty);
            _credit(msg.sender, 0, bounty);
        }
        emit Defeated(claimId, number, msg.sender, x.token, x.native);
    }

    function _forfeited(uint256 amount) private pure returns (uint256) {
        unchecked {
            return (amount + FORFEIT_BURN_PARTS - 1) / FORFEIT_BURN_PARTS;
        }
    }

    /// @inheritdoc IDisputeGame
    function collect(ClaimId claimId, uint256 number) external {
        Challenge storage x = _challenges[claimId][number];
        // INVARIANT: bonds come back when the claim fell.
        if (!_claims[claimId].fallen) revert HasNotFallen(claimId);
        // INVARIANT: once, and only undefeated.
        if (x.outcome != Outcome.LIVE) revert NotLive(claimId, number, x.outcome);
        x.outcome = Outcome.COLLECTED;
        _credit(x.challenger, x.token, x.native);
        emit Collected(claimId, number, x.challenger, x.token, x.native);
    }

    // --- the end ------------------------------------------------------------------------------

    /// @dev The first fault ends the claim, for all its challenges, for ever.
    function _fall(ClaimId claimId, uint256 number, JobTerms calldata terms, Fault fault)
        internal
    {
        _claims[claimId].fallen = true;
        emit ClaimFell(claimId, number, msg.sender, fault);
        Payout[] memory payouts = _payouts(claimId, number, terms.deal, fault);
        _market.reject(Terms.hashTask(terms.task), terms.deal, claimId, fault, payouts);
    }

    /// @inheritdoc IDisputeGame
    function end(ClaimId claimId, Deal calldata deal) external returns (Payout[] memory) {
        // INVARIANT: only what the market hears of too ends a claim.
        if (msg.sender != COURT) revert NotCourt(msg.sender, COURT);
        _claims[claimId].fallen = true;
        emit ClaimEnded(claimId);
        return _payouts(claimId, 0, deal, Fault.Withheld);
    }

    /// @dev Scheduled gas: what answers cost the challenger, as much again for its own moves, the
    /// opening, and for the first line of a wrong claim the proof; as far as the lock goes. The gas
    /// of whoever ends a silent claim comes before all.
    function _payouts(ClaimId claimId, uint256 number, Deal calldata deal, Fault fault)
        private
        view
        returns (Payout[] memory payouts)
    {
        (uint256 reward, uint256 left) = _market.lockOf(deal);
        uint256[] memory numbers = _madeWhole(claimId, number);
        uint256 lines = numbers.length;
        payouts = new Payout[](fault == Fault.Silent ? lines + 1 : lines);
        unchecked {
            // Nothing wraps: gasPrice has 64 bits, and MADE_WHOLE premiums are below the reward.
            reward /= REWARD_PARTS;
            uint256 premium = reward / PREMIUM_PARTS;
            if (fault == Fault.Silent) {
                left = Splits.line(
                    payouts[lines], msg.sender, 0, TIMEOUT_GAS * deal.gasPrice, left
                );
            }
            uint256 paid = CHALLENGE_GAS + (fault == Fault.Wrong ? PROOF_GAS : 0);
            for (uint256 k; k < lines; ++k) {
                Challenge storage x = _challenges[claimId][numbers[k]];
                uint256 due = 2 * (_nativeBond(deal.gasPrice) - x.native) + paid * deal.gasPrice;
                // Before the earliest there is none.
                uint256 token = x.prev == 0 ? reward - (lines - 1) * premium : premium;
                left = Splits.line(payouts[k], x.challenger, token, due, left);
                paid = CHALLENGE_GAS;
            }
        }
    }

    /// @dev The challenge by which the claim fell (0: none), wherever it is in the list; then the
    /// others from the earliest on.
    function _madeWhole(ClaimId claimId, uint256 number)
        private
        view
        returns (uint256[] memory numbers)
    {
        numbers = new uint256[](MADE_WHOLE + 1);
        uint256 length;
        unchecked {
            if (number != 0) numbers[length++] = number;
            uint256 at = _claims[claimId].head;
            while (at != 0 && length <= MADE_WHOLE) {
                if (at != number) numbers[length++] = at;
                at = _challenges[claimId][at].next;
            }
        }
        assembly ("memory-safe") {
            mstore(numbers, length)
        }
    }

    // --- checks -------------------------------------------------------------------------------

    /// @dev The terms are those of the claim's job.
    function _checkTerms(ClaimId claimId, JobTerms calldata terms) internal view {
        if (_jobHash(terms) != _claims[claimId].jobHash) revert WrongTerms(claimId);
    }

    function _jobHash(JobTerms calldata terms) internal view returns (JobHash) {
        return _market.hashJob(Terms.hashTask(terms.task), terms.deal);
    }
}
