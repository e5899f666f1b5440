// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Credits} from "./Credits.sol";
import {ICourt} from "./interfaces/ICourt.sol";
import {IDataReferee} from "./interfaces/IDataReferee.sol";
import {IDisputeGame} from "./interfaces/IDisputeGame.sol";
import {IJobMarket} from "./interfaces/IJobMarket.sol";
import {IJudge} from "./interfaces/IJudge.sol";
import {ILegalityReferee, Illegality} from "./interfaces/ILegalityReferee.sol";
import {AnswerPrice} from "./libraries/AnswerPrice.sol";
import {Splits} from "./libraries/Splits.sol";
import {Terms} from "./libraries/Terms.sol";
import {REWARD_PARTS} from "./types/Constants.sol";
import {
    ANSWER_BYTES,
    ANSWER_GAS,
    Asked,
    BYTE_GAS,
    DEMAND_GAS,
    DEMAND_SECONDS,
    Demand,
    DemandState,
    Docket,
    ILLEGAL_GAS,
    Part,
    Queue
} from "./types/Demand.sol";
import {Context, PREMIUM_PARTS, TIMEOUT_GAS} from "./types/Dispute.sol";
import {ClaimId, JobHash} from "./types/Ids.sol";
import {Fault, JobState, JobStatus} from "./types/JobState.sol";
import {Deal, JobTerms, Payout} from "./types/JobTerms.sol";

/// @title Data that is withheld, jobs that are illegal
/// @notice Twin of protocol/spec/demands.py.
contract Court is Credits, ICourt {
    IJobMarket private immutable _market;
    IDisputeGame private immutable _game;
    IDataReferee private immutable _dataReferee;
    ILegalityReferee private immutable _legalityReferee;
    uint256 private immutable _minGasPrice;

    mapping(ClaimId claimId => Docket) private _dockets;
    mapping(ClaimId claimId => mapping(uint256 number => Demand)) private _demands;
    mapping(ClaimId claimId => mapping(bytes32 place => Asked)) private _asked;
    mapping(address provider => Queue) private _queues;

    /// @param market the market, which names this court; it must exist
    /// @param dataReferee judges answers
    /// @param legalityReferee judges legality
    constructor(address market, address dataReferee, address legalityReferee)
        Credits(IJobMarket(market).TOKEN())
    {
        // INVARIANT: somebody judges.
        if (dataReferee == address(0) || legalityReferee == address(0)) revert ZeroAddress();
        _market = IJobMarket(market);
        _game = IDisputeGame(IJobMarket(market).GAME());
        _dataReferee = IDataReferee(dataReferee);
        _legalityReferee = ILegalityReferee(legalityReferee);
        _minGasPrice = IJobMarket(market).limits().minGasPrice;
    }

    // --- reading ------------------------------------------------------------------------------

    /// @inheritdoc IJudge
    function MARKET() external view returns (address) {
        return address(_market);
    }

    /// @inheritdoc IJudge
    function REGISTRY() external view returns (address) {
        return _market.REGISTRY();
    }

    /// @inheritdoc ICourt
    function GAME() external view returns (address) {
        return address(_game);
    }

    /// @inheritdoc ICourt
    function referees() external view returns (address data, address legality) {
        return (address(_dataReferee), address(_legalityReferee));
    }

    /// @inheritdoc ICourt
    function docketOf(ClaimId claimId) external view returns (Docket memory) {
        return _dockets[claimId];
    }

    /// @inheritdoc ICourt
    function demandOf(ClaimId claimId, uint256 number) external view returns (Demand memory) {
        return _demands[claimId][number];
    }

    /// @inheritdoc ICourt
    function numberOf(ClaimId claimId, Part part, uint256 item, uint256 index)
        external
        view
        returns (uint256)
    {
        return _asked[claimId][_place(part, item, index)].number;
    }

    /// @inheritdoc ICourt
    function queueOf(address provider) external view returns (Queue memory) {
        return _queues[provider];
    }

    /// @inheritdoc ICourt
    function feeOf(Deal calldata deal) external pure returns (uint256 native) {
        return _fee(deal.gasPrice);
    }

    // --- demands ------------------------------------------------------------------------------

    /// @inheritdoc ICourt
    function demand(
        JobTerms calldata terms,
        ClaimId claimId,
        Part part,
        uint256 item,
        uint256 index
    ) external payable returns (uint256 number) {
        uint256 fee = _fee(terms.deal.gasPrice);
        // INVARIANT: an answer is paid for before it is asked for.
        if (msg.value != fee) revert WrongFee(msg.value, fee);
        _checkPlace(part, item, index);
        bytes32 place = _place(part, item, index);
        // INVARIANT: nothing is answered twice.
        number = _asked[claimId][place].number;
        if (number != 0) revert DemandedBefore(claimId, number);
        JobHash jobHash = _jobHash(terms);
        _market.hold(jobHash, claimId);
        Docket memory c = _dockets[claimId];
        if (c.count == 0) {
            (c.provider, c.gasPrice) = (_market.jobOf(jobHash).provider, terms.deal.gasPrice);
        }
        Demand memory d;
        (d.demander, d.state) = (msg.sender, DemandState.OPEN);
        d.deadline = _queue(c.provider) + uint40(terms.deal.moveSeconds);
        number = _append(claimId, c, d);
        _asked[claimId][place] = Asked(
            uint24(number), uint48(AnswerPrice.current(_minGasPrice, terms.deal.gasPrice))
        );
        emit Demanded(claimId, number, msg.sender, part, item, index, d.deadline);
    }

    /// @inheritdoc ICourt
    function answer(
        JobTerms calldata terms,
        ClaimId claimId,
        Part part,
        uint256 item,
        uint256 index,
        bytes calldata proof
    ) external {
        Asked memory asked = _asked[claimId][_place(part, item, index)];
        // INVARIANT: only what was asked for is paid.
        if (asked.number == 0) revert NotDemanded(claimId, part, item, index);
        Demand memory d = _load(claimId, asked.number);
        // INVARIANT: up to its clock the answer belongs to the provider's side.
        if (block.timestamp > d.deadline) revert TooLate(block.timestamp, d.deadline);
        JobHash jobHash = _jobHash(terms);
        Context memory context;
        context.task = terms.task;
        (context.item, context.index) = (item, index);
        context.node = _market.resultOf(jobHash);
        uint256 bytes_ = _dataReferee.shown(context, part, proof);
        _end(claimId, asked.number, d, DemandState.ANSWERED);
        uint256 paid = _pay(claimId, d.demander, asked.price, bytes_);
        emit Answered(claimId, asked.number, msg.sender, bytes_, paid, proof);
        _market.release(jobHash, claimId, 1);
    }

    /// @inheritdoc ICourt
    function timeout(JobTerms calldata terms, ClaimId claimId, uint256 number) external {
        Demand memory d = _load(claimId, number);
        // INVARIANT: the clock is over.
        if (block.timestamp <= d.deadline) revert TooEarly(block.timestamp, d.deadline);
        uint256 rewarded = _dockets[claimId].head;
        emit Withheld(claimId, number, msg.sender, rewarded);
        Payout[] memory payouts =
            _withheldPayouts(claimId, terms.deal, _demands[claimId][rewarded].demander);
        _market.reject(
            Terms.hashTask(terms.task), terms.deal, claimId, Fault.Withheld, payouts
        );
    }

    /// @inheritdoc ICourt
    function collect(ClaimId claimId, uint256[] calldata numbers) external {
        // INVARIANT: an open demand of a standing claim waits for its answer.
        if (!_game.claimOf(claimId).fallen) revert HasNotFallen(claimId);
        uint256 fee = _fee(_dockets[claimId].gasPrice);
        for (uint256 k; k < numbers.length; ++k) {
            Demand memory d = _load(claimId, numbers[k]);
            _end(claimId, numbers[k], d, DemandState.COLLECTED);
            _credit(d.demander, 0, fee);
            emit FeeCollected(claimId, numbers[k], d.demander, fee);
        }
    }

    // --- legality -----------------------------------------------------------------------------

    /// @inheritdoc ICourt
    function proveIllegal(JobTerms calldata terms, Illegality kind, bytes calldata proof)
        external
    {
        JobHash jobHash = _jobHash(terms);
        JobState memory s = _market.jobOf(jobHash);
        // INVARIANT: who is outrun does not pay for the referee; the market would refuse later.
        if (s.status == JobStatus.None || s.status > JobStatus.Committed) {
            revert IJobMarket.WrongStatus(
                jobHash, uint256(s.status), uint256(JobStatus.Open)
            );
        }
        // INVARIANT: a proof of what is legal never ends a job.
        if (!_legalityReferee.illegal(terms.task, kind, proof)) revert ProvesNothing();
        ClaimId claimId;
        Payout[] memory due;
        if (s.status == JobStatus.Committed) {
            claimId = _market.claimOf(jobHash);
            due = _game.end(claimId, terms.deal);
        }
        emit ProvenIllegal(jobHash, claimId, msg.sender, kind);
        Payout[] memory payouts = _illegalPayouts(terms.deal, s.provider != address(0), due);
        _market.voidJob(Terms.hashTask(terms.task), terms.deal, payouts);
    }

    // --- the list and the queue ---------------------------------------------------------------

    function _load(ClaimId claimId, uint256 number) private view returns (Demand memory d) {
        d = _demands[claimId][number];
        // INVARIANT: every demand ends once.
        if (d.state != DemandState.OPEN) revert NotOpen(claimId, number);
    }

    function _append(ClaimId claimId, Docket memory c, Demand memory d)
        private
        returns (uint256 number)
    {
        // A number names one demand: beyond 2^24 the checked sum reverts.
        number = ++c.count;
        d.prev = c.tail;
        if (c.tail == 0) c.head = uint24(number);
        else _demands[claimId][c.tail].next = uint24(number);
        c.tail = uint24(number);
        _dockets[claimId] = c;
        _demands[claimId][number] = d;
    }

    /// @dev Takes an open demand out of its claim's list and its provider's queue.
    function _end(ClaimId claimId, uint256 number, Demand memory d, DemandState state) private {
        Docket storage c = _dockets[claimId];
        if (d.prev == 0) c.head = d.next;
        else _demands[claimId][d.prev].next = d.next;
        if (d.next == 0) c.tail = d.prev;
        else _demands[claimId][d.next].prev = d.prev;
        _demands[claimId][number].state = state;
        _queues[c.provider].open--;
    }

    /// @dev One more demand: until when the provider, in order of demand, can have answered it.
    function _queue(address provider) private returns (uint40 end) {
        Queue memory q = _queues[provider];
        q.open++;
        uint256 start = q.end > block.timestamp ? q.end : block.timestamp;
        uint256 most = block.timestamp + DEMAND_SECONDS * q.open;
        end = uint40(start + DEMAND_SECONDS < most ? start + DEMAND_SECONDS : most);
        q.end = end;
        _queues[provider] = q;
    }

    // --- money --------------------------------------------------------------------------------

    function _fee(uint256 gasPrice) private pure returns (uint256) {
        return _paid(ANSWER_BYTES, gasPrice);
    }

    /// @dev Splits the fee of a demand that was answered by `bytes_` bytes. The answer's part is
    /// the provider's: a copy of it that was sent ahead gains nothing and takes nothing.
    function _pay(ClaimId claimId, address demander, uint256 most, uint256 bytes_)
        private
        returns (uint256 paid)
    {
        Docket storage c = _dockets[claimId];
        paid = _paid(bytes_, AnswerPrice.current(_minGasPrice, most));
        _credit(c.provider, 0, paid);
        _credit(demander, 0, _fee(c.gasPrice) - paid);
    }

    /// @dev What an answer that shows `bytes_` bytes is paid.
    function _paid(uint256 bytes_, uint256 gasPrice) private pure returns (uint256) {
        if (bytes_ > ANSWER_BYTES) bytes_ = ANSWER_BYTES;
        return (ANSWER_GAS + BYTE_GAS * bytes_) * gasPrice;
    }

    /// @dev The challengers, as for silence; behind them the earliest open demand's demander, and
    /// the caller, whose gas comes first.
    function _withheldPayouts(ClaimId claimId, Deal calldata deal, address demander)
        private
        returns (Payout[] memory payouts)
    {
        Payout[] memory due = _game.end(claimId, deal);
        (uint256 reward, uint256 left) = _market.lockOf(deal);
        reward /= REWARD_PARTS;
        payouts = new Payout[](due.length + 2);
        left = Splits.line(payouts[due.length], msg.sender, 0, TIMEOUT_GAS * deal.gasPrice, left);
        left = Splits.line(payouts[due.length + 1], demander, 0, DEMAND_GAS * deal.gasPrice, left);
        for (uint256 k; k < due.length; ++k) {
            left = Splits.line(payouts[k], due[k].to, due[k].token, due[k].native, left);
        }
        if (due.length != 0) {
            reward /= PREMIUM_PARTS;
            // Challengers' premiums leave more than this to the earliest.
            payouts[0].token -= uint128(reward);
        }
        payouts[due.length + 1].token = uint128(reward);
    }

    /// @dev The caller, then the challengers' gas; no tokens, since nobody is punished.
    function _illegalPayouts(Deal calldata deal, bool taken, Payout[] memory due)
        private
        view
        returns (Payout[] memory payouts)
    {
        uint256 left = _market.bountyOf(deal);
        if (taken) {
            (, uint256 native) = _market.lockOf(deal);
            left += native;
        }
        payouts = new Payout[](due.length + 1);
        left = Splits.line(payouts[0], msg.sender, 0, ILLEGAL_GAS * deal.gasPrice, left);
        for (uint256 k; k < due.length; ++k) {
            left = Splits.line(payouts[k + 1], due[k].to, 0, due[k].native, left);
        }
    }

    // --- checks -------------------------------------------------------------------------------

    /// @dev INVARIANT: one thing has one place.
    function _checkPlace(Part part, uint256 item, uint256 index) private pure {
        bool flat = part >= Part.CONSTANT_DECL && part <= Part.PHASE;
        if ((part == Part.HEADER && item | index != 0) || (flat && index != 0)) {
            revert NoSuchPlace(part, item, index);
        }
    }

    function _place(Part part, uint256 item, uint256 index) private pure returns (bytes32) {
        return keccak256(abi.encode(part, item, index));
    }

    function _jobHash(JobTerms calldata terms) private view returns (JobHash) {
        return _market.hashJob(Terms.hashTask(terms.task), terms.deal);
    }
}
