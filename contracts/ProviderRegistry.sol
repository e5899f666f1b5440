// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {
    IERC20Permit
} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

import {Credits} from "./Credits.sol";
import {IProviderRegistry} from "./interfaces/IProviderRegistry.sol";
import {Account, AccountWord} from "./types/Account.sol";
import {DEAD, MAX_ENDPOINT, TRACE_FACTOR} from "./types/Constants.sol";
import {Fault} from "./types/JobState.sol";
import {Payout} from "./types/JobTerms.sol";

/// @title Who may serve, what they put at stake, and how they did
contract ProviderRegistry is Credits, IProviderRegistry {
    /// @dev The part of a provider that jobs do not touch.
    struct Entry {
        address delegate;
        uint40 queueEnd;
        uint24 late;
        uint24 lost;
        bool registered;
        bytes32 capabilities;
    }

    /// @inheritdoc IProviderRegistry
    address public immutable MARKET;
    /// @inheritdoc IProviderRegistry
    address public immutable GAME;
    /// @inheritdoc IProviderRegistry
    uint32 public immutable UNBONDING_SECONDS;
    /// @inheritdoc IProviderRegistry
    uint56 public immutable MAX_BACKLOG_MS;

    mapping(address provider => AccountWord) private _accounts;
    mapping(address provider => Entry) private _entries;
    mapping(address provider => Unbonding) private _unbonding;

    /// @param token the ERC-20 of stakes; the market's
    /// @param market address of the market, predicted: it is created after this
    /// @param game address of the dispute game, predicted
    /// @param unbondingSeconds delay between `unbond` and `claimUnbonded`
    /// @param maxBacklogMs most unsettled work of one provider: its traces fit the queue's 40 bits
    constructor(
        address token,
        address market,
        address game,
        uint32 unbondingSeconds,
        uint40 maxBacklogMs
    ) Credits(token) {
        // INVARIANT: nobody can be the market or the game by accident.
        if (market == address(0) || game == address(0)) revert ZeroAddress();
        MARKET = market;
        GAME = game;
        UNBONDING_SECONDS = unbondingSeconds;
        MAX_BACKLOG_MS = maxBacklogMs;
    }

    modifier onlyMarket() {
        // INVARIANT: locks begin and end only as the market's state table says.
        if (msg.sender != MARKET) revert NotMarket(msg.sender, MARKET);
        _;
    }

    // --- reading ------------------------------------------------------------------------------

    /// @inheritdoc IProviderRegistry
    function providerOf(address provider) external view returns (Provider memory p) {
        Account memory a = _accounts[provider].unpack();
        Entry memory e = _entries[provider];
        p.registered = e.registered;
        p.stake = a.stake;
        p.deposit = a.deposit;
        p.backlogMs = a.backlogMs;
        p.queueEnd = e.queueEnd;
        p.done = a.done;
        p.late = e.late;
        p.lost = e.lost;
        p.delegate = e.delegate;
        p.capabilities = e.capabilities;
    }

    /// @inheritdoc IProviderRegistry
    function unbondingOf(address provider) external view returns (Unbonding memory) {
        return _unbonding[provider];
    }

    /// @inheritdoc IProviderRegistry
    function mayMove(address provider, address who) external view returns (bool) {
        return who == provider || (who != address(0) && who == _entries[provider].delegate);
    }

    // --- providers ----------------------------------------------------------------------------

    /// @inheritdoc IProviderRegistry
    function register(bytes32 capabilities, address delegate, bytes calldata endpoint) external {
        // INVARIANT: an entry's event fits a bounded amount of gas.
        if (endpoint.length > MAX_ENDPOINT) revert EndpointTooLong(endpoint.length, MAX_ENDPOINT);
        Entry storage e = _entries[msg.sender];
        e.registered = true;
        e.delegate = delegate;
        e.capabilities = capabilities;
        emit Registered(msg.sender, capabilities, delegate, endpoint);
    }

    /// @inheritdoc IProviderRegistry
    function stake(uint256 amount) external payable {
        _stake(amount);
    }

    /// @inheritdoc IProviderRegistry
    function stakeWithPermit(uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        payable
    {
        // A permit that somebody sent ahead has given the allowance already: the pull decides.
        try IERC20Permit(TOKEN).permit(msg.sender, address(this), amount, deadline, v, r, s) {}
            catch {}
        _stake(amount);
    }

    /// @inheritdoc IProviderRegistry
    function unbond(uint96 token, uint80 native) external {
        Account memory a = _accounts[msg.sender].unpack();
        Unbonding memory u = _unbonding[msg.sender];
        // INVARIANT: each request moves something.
        if (token == 0 && native == 0) revert NothingToMove();
        // INVARIANT: only free money unbonds; locks stay whole.
        if (token > a.stake) revert StakeTooLow(msg.sender, a.stake, token);
        if (native > a.deposit) revert DepositTooLow(msg.sender, a.deposit, native);
        a.stake -= token;
        a.deposit -= native;
        // INVARIANT: one full delay from the last request on, for all of it.
        u.readyAt = uint40(block.timestamp) + UNBONDING_SECONDS;
        u.token += token;
        u.native += native;
        _accounts[msg.sender] = a.pack();
        _unbonding[msg.sender] = u;
        emit UnbondingStarted(msg.sender, token, native, u.readyAt);
    }

    /// @inheritdoc IProviderRegistry
    function claimUnbonded() external {
        Unbonding memory u = _unbonding[msg.sender];
        // INVARIANT: what left once does not leave again.
        if (u.token == 0 && u.native == 0) revert NothingToMove();
        // INVARIANT: the delay is over.
        if (block.timestamp <= u.readyAt) revert StillUnbonding(block.timestamp, u.readyAt);
        delete _unbonding[msg.sender];
        _credit(msg.sender, u.token, u.native);
        emit Unbonded(msg.sender, u.token, u.native);
    }

    // --- the market ---------------------------------------------------------------------------

    /// @inheritdoc IProviderRegistry
    function lock(
        address provider,
        uint256 token,
        uint256 native,
        uint256 workMs,
        bytes32 capability
    ) external onlyMarket {
        Account memory a = _accounts[provider].unpack();
        if (capability != 0) {
            bytes32 has = _entries[provider].capabilities;
            // INVARIANT: a job runs only where its needs are claimed to be met.
            if (has & capability != capability) revert CapabilityMissing(has, capability);
        }
        // INVARIANT: a lock is made of free money only (stake implies registration).
        if (a.stake < token) revert StakeTooLow(provider, a.stake, token);
        if (a.deposit < native) revert DepositTooLow(provider, a.deposit, native);
        uint256 backlog = a.backlogMs + workMs;
        // INVARIANT: a mass challenge can queue only what the provider can open in time.
        if (backlog > MAX_BACKLOG_MS) revert BacklogFull(provider, backlog, MAX_BACKLOG_MS);
        a.stake -= uint96(token);
        a.deposit -= uint80(native);
        a.backlogMs = uint56(backlog);
        _accounts[provider] = a.pack();
    }

    /// @inheritdoc IProviderRegistry
    function unlock(
        address provider,
        uint256 token,
        uint256 native,
        uint256 workMs,
        bool finalized
    ) external onlyMarket {
        _free(provider, token, native, workMs, finalized);
    }

    /// @inheritdoc IProviderRegistry
    function slash(
        address provider,
        uint256 token,
        uint256 native,
        uint256 workMs,
        Fault fault,
        uint256 burned,
        Payout[] calldata payouts
    ) external onlyMarket {
        Entry storage e = _entries[provider];
        (uint256 spentToken, uint256 spentNative) = _spend(token, native, burned, payouts);
        _free(provider, token - spentToken, native - spentNative, workMs, false);
        if (fault == Fault.Late) {
            if (e.late < type(uint24).max) e.late++;
        } else {
            if (e.lost < type(uint24).max) e.lost++;
        }
        _credit(DEAD, burned, 0);
        emit Slashed(provider, fault, spentToken, spentNative, burned, payouts);
    }

    /// @inheritdoc IProviderRegistry
    function voidLock(
        address provider,
        uint256 token,
        uint256 native,
        uint256 workMs,
        Payout[] calldata payouts
    ) external onlyMarket {
        (uint256 spentToken, uint256 spentNative) = _spend(token, native, 0, payouts);
        _free(provider, token - spentToken, native - spentNative, workMs, false);
    }

    // --- the game -----------------------------------------------------------------------------

    /// @inheritdoc IProviderRegistry
    function queueOpening(address provider, uint256 workMs) external returns (uint40 queueEnd) {
        // INVARIANT: only a challenge lengthens the queue.
        if (msg.sender != GAME) revert NotGame(msg.sender, GAME);
        Entry storage e = _entries[provider];
        uint256 traceSeconds = _traceSeconds(workMs);
        uint256 start = e.queueEnd > block.timestamp ? e.queueEnd : block.timestamp;
        // Settled work is no reason to wait: in order of challenge, whatever is still to be opened
        // is traced after the traces of all unsettled work.
        uint256 most = block.timestamp + _traceSeconds(_accounts[provider].unpack().backlogMs);
        queueEnd = uint40(start + traceSeconds < most ? start + traceSeconds : most);
        e.queueEnd = queueEnd;
        emit OpeningQueued(provider, traceSeconds, queueEnd);
    }

    // --- inside -------------------------------------------------------------------------------

    /// @dev Rounded up.
    function _traceSeconds(uint256 workMs) private pure returns (uint256) {
        return (TRACE_FACTOR * workMs + 999) / 1000;
    }

    function _stake(uint256 amount) private {
        Account memory a = _accounts[msg.sender].unpack();
        // INVARIANT: whoever has stake is registered.
        if (!_entries[msg.sender].registered) revert NotRegistered(msg.sender);
        // INVARIANT: each call moves something.
        if (amount == 0 && msg.value == 0) revert NothingToMove();
        uint256 token = a.stake + amount;
        uint256 native = a.deposit + msg.value;
        // INVARIANT: balances fit their fields.
        if (token > type(uint96).max) revert AmountTooLarge(token, type(uint96).max);
        if (native > type(uint80).max) revert AmountTooLarge(native, type(uint80).max);
        a.stake = uint96(token);
        a.deposit = uint80(native);
        _accounts[msg.sender] = a.pack();
        emit Staked(msg.sender, amount, msg.value);
        if (amount != 0) _pull(msg.sender, amount);
    }

    /// @dev Credits the payouts and tells what they and the burn take out of a lock.
    function _spend(
        uint256 token,
        uint256 native,
        uint256 burned,
        Payout[] calldata payouts
    ) private returns (uint256 spentToken, uint256 spentNative) {
        spentToken = burned;
        for (uint256 i = 0; i < payouts.length; i++) {
            Payout calldata p = payouts[i];
            spentToken += p.token;
            spentNative += p.native;
            _credit(p.to, p.token, p.native);
        }
        // INVARIANT: a split touches its own lock only.
        if (spentToken > token) revert SplitTooLarge(spentToken, token);
        if (spentNative > native) revert SplitTooLarge(spentNative, native);
    }

    /// @dev Ends a lock. What the packed fields cannot hold becomes credit, so that settlement
    /// never reverts.
    function _free(
        address provider,
        uint256 token,
        uint256 native,
        uint256 workMs,
        bool finalized
    ) private {
        Account memory a = _accounts[provider].unpack();
        uint256 stakeExcess = 0;
        uint256 depositExcess = 0;
        (a.stake, stakeExcess) = _add96(a.stake, token);
        (a.deposit, depositExcess) = _add80(a.deposit, native);
        a.backlogMs -= uint56(workMs);
        if (finalized && a.done < type(uint24).max) a.done++;
        _accounts[provider] = a.pack();
        if (stakeExcess | depositExcess != 0) _credit(provider, stakeExcess, depositExcess);
    }

    function _add96(uint96 a, uint256 b) private pure returns (uint96 sum, uint256 excess) {
        uint256 exact = a + b;
        if (exact <= type(uint96).max) return (uint96(exact), 0);
        return (type(uint96).max, exact - type(uint96).max);
    }

    function _add80(uint80 a, uint256 b) private pure returns (uint80 sum, uint256 excess) {
        uint256 exact = a + b;
        if (exact <= type(uint80).max) return (uint80(exact), 0);
        return (type(uint80).max, exact - type(uint80).max);
    }
}
