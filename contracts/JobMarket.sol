// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {
    IERC20Permit
} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {Credits} from "./Credits.sol";
import {JobLimits} from "./JobLimits.sol";
import {IJobMarket} from "./interfaces/IJobMarket.sol";
import {IProviderRegistry} from "./interfaces/IProviderRegistry.sol";
import {Splits} from "./libraries/Splits.sol";
import {Terms} from "./libraries/Terms.sol";
import {MAX_LOCATORS, MAX_PAYOUTS} from "./types/Constants.sol";
import {ClaimId, JobHash} from "./types/Ids.sol";
import {Fault, JobState, JobStatus, JobWord} from "./types/JobState.sol";
import {Deal, JobTerms, Payout, Task} from "./types/JobTerms.sol";
import {Limits} from "./types/Limits.sol";

/// @title Jobs, from post to payment
contract JobMarket is Credits, EIP712, JobLimits {
    IProviderRegistry private immutable _registry;
    /// @inheritdoc IJobMarket
    address public immutable GAME;
    /// @inheritdoc IJobMarket
    address public immutable COURT;

    mapping(JobHash jobHash => JobWord) private _jobs;
    mapping(JobHash jobHash => bytes32 resultRoot) private _results;
    mapping(JobHash jobHash => mapping(address provider => bool)) private _lost;

    /// @param token the ERC-20 of prices and stakes
    /// @param registry the registry, which names this market
    /// @param game address of the dispute game, predicted
    /// @param court address of the court, predicted
    /// @param limits_ smallest and largest terms, and the gas schedule
    constructor(
        address token,
        address registry,
        address game,
        address court,
        Limits memory limits_
    ) Credits(token) EIP712("Assay", "1") JobLimits(limits_) {
        // INVARIANT: nobody can be the registry or a judge by accident.
        if (registry == address(0) || game == address(0) || court == address(0)) {
            revert ZeroAddress();
        }
        _registry = IProviderRegistry(registry);
        GAME = game;
        COURT = court;
    }

    modifier onlyJudge() {
        _checkJudge();
        _;
    }

    // --- reading ------------------------------------------------------------------------------

    /// @inheritdoc IJobMarket
    function REGISTRY() external view returns (address) {
        return address(_registry);
    }

    /// @inheritdoc IJobMarket
    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @inheritdoc IJobMarket
    function jobOf(JobHash jobHash) external view returns (JobState memory) {
        return _jobs[jobHash].unpack();
    }

    /// @inheritdoc IJobMarket
    function resultOf(JobHash jobHash) external view returns (bytes32) {
        return _results[jobHash];
    }

    /// @inheritdoc IJobMarket
    function claimOf(JobHash jobHash) external view returns (ClaimId) {
        JobState memory s = _jobs[jobHash].unpack();
        // INVARIANT: a claim exists from its commit on.
        if (s.status != JobStatus.Committed && s.status != JobStatus.Finalized) {
            revert WrongStatus(jobHash, uint256(s.status), uint256(JobStatus.Committed));
        }
        return _claim(jobHash, s);
    }

    /// @inheritdoc IJobMarket
    function hasLost(JobHash jobHash, address provider) external view returns (bool) {
        return _lost[jobHash][provider];
    }

    /// @inheritdoc IJobMarket
    function hashTask(Task calldata task) external pure returns (bytes32) {
        return Terms.hashTask(task);
    }

    /// @inheritdoc IJobMarket
    function hashJob(bytes32 taskHash, Deal calldata deal) external view returns (JobHash) {
        return _hashJob(taskHash, deal);
    }

    // --- clients ------------------------------------------------------------------------------

    /// @inheritdoc IJobMarket
    function post(JobTerms calldata terms, bytes calldata locators)
        external
        payable
        returns (JobHash)
    {
        return _post(terms, locators);
    }

    /// @inheritdoc IJobMarket
    function postWithPermit(
        JobTerms calldata terms,
        bytes calldata locators,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external payable returns (JobHash) {
        uint256 price = terms.deal.priceCeiling;
        // A permit that somebody sent ahead has given the allowance already: the pull decides.
        try IERC20Permit(TOKEN).permit(msg.sender, address(this), price, deadline, v, r, s) {}
            catch {}
        return _post(terms, locators);
    }

    /// @inheritdoc IJobMarket
    function postFromCredit(JobTerms calldata terms, bytes calldata locators)
        external
        returns (JobHash jobHash)
    {
        jobHash = _open(terms, locators);
        _debit(msg.sender, terms.deal.priceCeiling, bountyOf(terms.deal));
    }

    /// @inheritdoc IJobMarket
    function deposit(uint256 amount) external payable {
        // INVARIANT: each call moves something.
        if (amount == 0 && msg.value == 0) revert NothingToDeposit();
        _credit(msg.sender, amount, msg.value);
        emit Deposited(msg.sender, amount, msg.value);
        if (amount != 0) _pull(msg.sender, amount);
    }

    /// @inheritdoc IJobMarket
    function cancel(bytes32 taskHash, Deal calldata deal) external {
        JobHash jobHash = _hashJob(taskHash, deal);
        _load(jobHash, JobStatus.Open);
        // INVARIANT: only who paid takes it back.
        if (msg.sender != deal.client) revert NotClient(msg.sender, deal.client);
        _end(jobHash, JobStatus.Cancelled);
        _credit(deal.client, deal.priceCeiling, bountyOf(deal));
        emit Cancelled(jobHash);
    }

    // --- providers ----------------------------------------------------------------------------

    /// @inheritdoc IJobMarket
    function accept(bytes32 taskHash, Deal calldata deal) external {
        JobHash jobHash = _hashJob(taskHash, deal);
        JobState memory s = _load(jobHash, JobStatus.Open);
        // INVARIANT: up to its clock an open job belongs to whoever accepts it.
        if (block.timestamp > s.clock) revert TooLate(block.timestamp, s.clock);
        // INVARIANT: who lost the job does not take it again.
        if (s.attempt != 0 && _lost[jobHash][msg.sender]) revert LostBefore(jobHash, msg.sender);
        s.status = JobStatus.Accepted;
        s.provider = msg.sender;
        s.clock = uint40(block.timestamp) + deal.runSeconds;
        s.windowSeconds = deal.windowSeconds;
        _jobs[jobHash] = s.pack();
        emit Accepted(jobHash, msg.sender, s.attempt, s.clock);
        (uint256 token, uint256 native) = lockOf(deal);
        _registry.lock(msg.sender, token, native, deal.workMs, deal.capability);
    }

    /// @inheritdoc IJobMarket
    function commit(JobHash jobHash, bytes32 resultRoot, bytes calldata locators) external {
        JobState memory s = _load(jobHash, JobStatus.Accepted);
        // INVARIANT: only who answers for a result commits it.
        if (msg.sender != s.provider) revert NotProvider(msg.sender, s.provider);
        // INVARIANT: up to its clock an attempt belongs to its provider.
        if (block.timestamp > s.clock) revert TooLate(block.timestamp, s.clock);
        // INVARIANT: a stored root of zero means that there is none.
        if (resultRoot == 0) revert ZeroResult();
        // INVARIANT: an event fits a bounded amount of gas.
        if (locators.length > MAX_LOCATORS) revert LocatorsTooLong(locators.length, MAX_LOCATORS);
        s.status = JobStatus.Committed;
        s.clock = uint40(block.timestamp) + s.windowSeconds;
        _jobs[jobHash] = s.pack();
        _results[jobHash] = resultRoot;
        ClaimId claimId =
            Terms.claimId(address(this), jobHash, s.attempt, s.provider, resultRoot);
        emit Committed(jobHash, claimId, s.provider, resultRoot, s.clock, locators);
    }

    // --- anybody ------------------------------------------------------------------------------

    /// @inheritdoc IJobMarket
    function refund(bytes32 taskHash, Deal calldata deal) external {
        JobHash jobHash = _hashJob(taskHash, deal);
        JobState memory s = _load(jobHash, JobStatus.Open);
        // INVARIANT: the clock is over.
        if (block.timestamp <= s.clock) revert TooEarly(block.timestamp, s.clock);
        _end(jobHash, JobStatus.Refunded);
        _credit(deal.client, deal.priceCeiling, 0);
        _credit(msg.sender, 0, bountyOf(deal));
        emit Refunded(jobHash, deal.client, deal.priceCeiling);
    }

    /// @inheritdoc IJobMarket
    function slashLate(bytes32 taskHash, Deal calldata deal) external {
        JobHash jobHash = _hashJob(taskHash, deal);
        JobState memory s = _load(jobHash, JobStatus.Accepted);
        // INVARIANT: the clock is over.
        if (block.timestamp <= s.clock) revert TooEarly(block.timestamp, s.clock);
        (uint256 token, uint256 native) = lockOf(deal);
        (uint256 burned, uint256 toClient) = Splits.late(token, deal.priceCeiling);
        Payout[] memory payouts = new Payout[](2);
        payouts[0] = Payout(deal.client, uint128(toClient), 0);
        payouts[1] = Payout(msg.sender, 0, uint128(_lateBounty(deal)));
        _loseAttempt(jobHash, s, deal, Fault.Late);
        _registry.slash(s.provider, token, native, deal.workMs, Fault.Late, burned, payouts);
    }

    /// @inheritdoc IJobMarket
    function finalize(bytes32 taskHash, Deal calldata deal) external {
        JobHash jobHash = _hashJob(taskHash, deal);
        JobState memory s = _load(jobHash, JobStatus.Committed);
        // INVARIANT: the clock is over.
        if (block.timestamp <= s.clock) revert TooEarly(block.timestamp, s.clock);
        // INVARIANT: no result stands while a challenge or a demand is open.
        if (s.holds != 0) revert Held(jobHash, s.holds);
        s.status = JobStatus.Finalized;
        s.clock = 0;
        _jobs[jobHash] = s.pack();
        if (msg.sender == s.provider) {
            _credit(s.provider, deal.priceCeiling, bountyOf(deal));
        } else {
            _credit(s.provider, deal.priceCeiling, 0);
            _credit(msg.sender, 0, bountyOf(deal));
        }
        emit Finalized(jobHash, s.provider, msg.sender, deal.priceCeiling);
        (uint256 token, uint256 native) = lockOf(deal);
        _registry.unlock(s.provider, token, native, deal.workMs, true);
    }

    // --- the judges ---------------------------------------------------------------------------

    /// @inheritdoc IJobMarket
    function hold(JobHash jobHash, ClaimId claimId) external onlyJudge {
        JobState memory s = _loadClaim(jobHash, claimId);
        // INVARIANT: up to its clock a claim may be challenged.
        if (block.timestamp > s.clock) revert TooLate(block.timestamp, s.clock);
        // INVARIANT: the counter never wraps.
        if (s.holds == type(uint24).max) revert HoldsOutOfRange(jobHash, s.holds);
        s.holds++;
        _jobs[jobHash] = s.pack();
        emit HoldsChanged(jobHash, claimId, s.holds);
    }

    /// @inheritdoc IJobMarket
    function release(JobHash jobHash, ClaimId claimId, uint256 count) external onlyJudge {
        JobState memory s = _loadClaim(jobHash, claimId);
        // INVARIANT: every hold is released once.
        if (count > s.holds) revert HoldsOutOfRange(jobHash, s.holds);
        s.holds -= uint24(count);
        _jobs[jobHash] = s.pack();
        emit HoldsChanged(jobHash, claimId, s.holds);
    }

    /// @inheritdoc IJobMarket
    function reject(
        bytes32 taskHash,
        Deal calldata deal,
        ClaimId claimId,
        Fault fault,
        Payout[] calldata payouts
    ) external onlyJudge {
        JobHash jobHash = _hashJob(taskHash, deal);
        JobState memory s = _loadClaim(jobHash, claimId);
        // INVARIANT: lateness has its own call and its own price.
        if (fault == Fault.Late) revert WrongFault(fault);
        // INVARIANT: a split fits one transaction.
        if (payouts.length > MAX_PAYOUTS) revert TooManyPayouts(payouts.length, MAX_PAYOUTS);
        (uint256 token, uint256 native) = lockOf(deal);
        (uint256 burned, Payout[] memory all) =
            Splits.reject(token, native, deal.client, payouts);
        _loseAttempt(jobHash, s, deal, fault);
        _registry.slash(s.provider, token, native, deal.workMs, fault, burned, all);
    }

    /// @inheritdoc IJobMarket
    function voidJob(bytes32 taskHash, Deal calldata deal, Payout[] calldata payouts)
        external
        onlyJudge
    {
        JobHash jobHash = _hashJob(taskHash, deal);
        JobState memory s = _jobs[jobHash].unpack();
        // INVARIANT: only a live job can be voided.
        if (s.status == JobStatus.None || s.status > JobStatus.Committed) {
            revert WrongStatus(jobHash, uint256(s.status), uint256(JobStatus.Open));
        }
        // INVARIANT: a split fits one transaction.
        if (payouts.length > MAX_PAYOUTS) revert TooManyPayouts(payouts.length, MAX_PAYOUTS);
        (uint256 token, uint256 native) = lockOf(deal);
        bool taken = s.provider != address(0);
        Splits.Void memory split = Splits.voided(
            deal.priceCeiling,
            bountyOf(deal),
            taken ? token : 0,
            taken ? native : 0,
            s.status,
            payouts
        );
        _end(jobHash, JobStatus.Voided);
        delete _results[jobHash];
        for (uint256 i = 0; i < split.met.length; i++) {
            _credit(split.met[i].to, split.met[i].token, split.met[i].native);
        }
        if (split.toProvider != 0) _credit(s.provider, split.toProvider, 0);
        _credit(deal.client, split.toClient, split.bountyLeft);
        emit Voided(jobHash, s.provider, split.toProvider, payouts);
        if (taken) _registry.voidLock(s.provider, token, native, deal.workMs, split.lacking);
    }

    // --- inside -------------------------------------------------------------------------------

    function _post(JobTerms calldata terms, bytes calldata locators)
        private
        returns (JobHash jobHash)
    {
        uint256 bounty = bountyOf(terms.deal);
        // INVARIANT: the call that ends the job is paid for before it begins.
        if (msg.value != bounty) revert WrongBounty(msg.value, bounty);
        jobHash = _open(terms, locators);
        _pull(msg.sender, terms.deal.priceCeiling);
    }

    /// @dev Checks all terms and opens the job; the caller brings the money in.
    function _open(JobTerms calldata terms, bytes calldata locators)
        private
        returns (JobHash jobHash)
    {
        Task calldata task = terms.task;
        Deal calldata deal = terms.deal;
        jobHash = _hashJob(Terms.hashTask(task), deal);
        // INVARIANT: nobody spends another's allowance.
        if (msg.sender != deal.client) revert NotClient(msg.sender, deal.client);
        // INVARIANT: the job is judged by the game that this market obeys.
        if (task.referee != GAME) revert WrongReferee(task.referee, GAME);
        _checkTask(task);
        _checkDeal(deal);
        // INVARIANT: an event fits a bounded amount of gas, and says what the terms hash.
        if (locators.length > MAX_LOCATORS) revert LocatorsTooLong(locators.length, MAX_LOCATORS);
        bytes32 got = keccak256(locators);
        if (got != task.locatorsHash) revert WrongLocators(got, task.locatorsHash);
        // INVARIANT: one escrow a jobHash, ever.
        if (JobWord.unwrap(_jobs[jobHash]) != 0) revert AlreadyPosted(jobHash);
        JobState memory s;
        s.status = JobStatus.Open;
        s.clock = uint40(block.timestamp) + deal.openSeconds;
        _jobs[jobHash] = s.pack();
        emit Posted(jobHash, msg.sender, terms, locators);
    }

    /// @dev After a fault: the job opens for others, or the client is refunded.
    function _loseAttempt(JobHash jobHash, JobState memory s, Deal calldata deal, Fault fault)
        private
    {
        _lost[jobHash][s.provider] = true;
        delete _results[jobHash];
        bool last = s.attempt + 1 == deal.attempts;
        JobState memory next;
        next.status = last ? JobStatus.Refunded : JobStatus.Open;
        next.attempt = last ? s.attempt : s.attempt + 1;
        next.clock = last ? 0 : uint40(block.timestamp) + deal.openSeconds;
        _jobs[jobHash] = next.pack();
        emit AttemptLost(jobHash, s.provider, s.attempt, fault, next.clock);
        if (last) {
            _credit(deal.client, deal.priceCeiling, bountyOf(deal));
            emit Refunded(jobHash, deal.client, deal.priceCeiling);
        }
    }

    /// @dev A final state keeps its status alone: terms can never be posted again.
    function _end(JobHash jobHash, JobStatus status) private {
        JobState memory s;
        s.status = status;
        _jobs[jobHash] = s.pack();
    }

    function _checkJudge() private view {
        // INVARIANT: only the game and the court judge.
        if (msg.sender != GAME && msg.sender != COURT) revert NotGame(msg.sender, GAME);
    }

    function _load(JobHash jobHash, JobStatus wanted) private view returns (JobState memory s) {
        s = _jobs[jobHash].unpack();
        // INVARIANT: jobs move along the table only.
        if (s.status != wanted) revert WrongStatus(jobHash, uint256(s.status), uint256(wanted));
    }

    function _loadClaim(JobHash jobHash, ClaimId claimId)
        private
        view
        returns (JobState memory s)
    {
        s = _load(jobHash, JobStatus.Committed);
        ClaimId current = _claim(jobHash, s);
        // INVARIANT: nothing of one attempt acts on another.
        if (claimId != current) revert WrongClaim(claimId, current);
    }

    function _claim(JobHash jobHash, JobState memory s) private view returns (ClaimId) {
        return Terms.claimId(address(this), jobHash, s.attempt, s.provider, _results[jobHash]);
    }

    function _hashJob(bytes32 taskHash, Deal calldata deal) private view returns (JobHash) {
        return JobHash.wrap(_hashTypedDataV4(Terms.hashTerms(taskHash, deal)));
    }
}
