// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Credits} from "./Credits.sol";
import {IDisputeGame} from "./interfaces/IDisputeGame.sol";
import {IJobMarket} from "./interfaces/IJobMarket.sol";
import {IProviderRegistry} from "./interfaces/IProviderRegistry.sol";
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
    PROOF_GAS
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
    /// @inheritdoc IDisputeGame
    address public immutable COURT;

    mapping(ClaimId claimId => ClaimRecord) internal _claims;
    mapping(ClaimId claimId => mapping(uint256 number => Challenge)) internal _challenges;

    constructor(address market) Credits(IJobMarket(market).TOKEN()) {
        _market = IJobMarket(market);
        _registry = IProviderRegistry(IJobMarket(market).REGISTRY());
        COURT = IJobMarket(market).COURT();
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

    /// @dev Out of storage, and back: once in the code, for its size.
    function _read(ClaimId claimId, uint256 number) internal view returns (Challenge memory) {
        return _challenges[claimId][number];
    }

    function _store(ClaimId claimId, uint256 number, Challenge memory x) internal {
        _challenges[claimId][number] = x;
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

    /// @dev An answer is paid at once, by the challenge that asked.
    function _charge(ClaimRecord storage c, Challenge memory x) internal {
        unchecked {
            // MAX_MOVES answers are inside and no path asks for more: nothing wraps.
            uint256 fee = MOVE_GAS * c.gasPrice;
            x.native -= uint88(fee);
            _credit(msg.sender, 0, fee);
        }
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
        Payout[] memory payouts = _payouts(claimId, terms.deal, fault);
        _market.reject(Terms.hashTask(terms.task), terms.deal, claimId, fault, payouts);
    }

    /// @inheritdoc IDisputeGame
    function end(ClaimId claimId, Deal calldata deal) external returns (Payout[] memory) {
        // INVARIANT: only what the market hears of too ends a claim.
        if (msg.sender != COURT) revert NotCourt(msg.sender, COURT);
        _claims[claimId].fallen = true;
        emit ClaimEnded(claimId);
        return _payouts(claimId, deal, Fault.Withheld);
    }

    /// @dev Scheduled gas: what answers cost the challenger, as much again for its own moves, the
    /// opening, and for the rewarded one of a wrong claim the proof; as far as the lock goes.
    function _payouts(ClaimId claimId, Deal calldata deal, Fault fault)
        private
        view
        returns (Payout[] memory payouts)
    {
        (uint256 reward, uint256 lockLeft) = _market.lockOf(deal);
        uint256 bond = _nativeBond(deal.gasPrice);
        payouts = new Payout[](MADE_WHOLE + 1);
        unchecked {
            // Nothing wraps: gasPrice has 64 bits, and MADE_WHOLE premiums are below the reward.
            reward /= REWARD_PARTS;
            uint256 premium = reward / PREMIUM_PARTS;
            uint256 lines;
            uint256 paid = CHALLENGE_GAS + (fault == Fault.Wrong ? PROOF_GAS : 0);
            for (uint256 at = _claims[claimId].head; at != 0 && lines <= MADE_WHOLE; ++lines) {
                Challenge storage x = _challenges[claimId][at];
                uint256 due = 2 * (bond - x.native) + paid * deal.gasPrice;
                if (due > lockLeft) due = lockLeft;
                lockLeft -= due;
                payouts[lines] = Payout(x.challenger, uint128(premium), uint128(due));
                if (lines != 0) reward -= premium;
                (at, paid) = (x.next, CHALLENGE_GAS);
            }
            payouts[0].token = uint128(reward);
            assembly ("memory-safe") {
                mstore(payouts, lines)
            }
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
