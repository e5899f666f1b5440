// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {DevToken} from "../../contracts/DevToken.sol";
import {JobMarket} from "../../contracts/JobMarket.sol";
import {ProviderRegistry} from "../../contracts/ProviderRegistry.sol";
import {MockDisputeGame} from "../../contracts/test/MockDisputeGame.sol";
import {JobHash} from "../../contracts/types/Ids.sol";
import {JobState, JobStatus} from "../../contracts/types/JobState.sol";
import {Deal, JobTerms} from "../../contracts/types/JobTerms.sol";
import {Limits} from "../../contracts/types/Limits.sol";
import {Cheats, cheats} from "./Cheats.sol";

/// @notice A deployment, its people, its jobs, and what each of them should add up to.
/// @dev The sums are computed from the terms alone, by formulas written down here a second time.
contract MarketWorld {
    struct Job {
        JobTerms terms;
        bytes32 taskHash;
        JobHash hash;
        JobStatus status;
        address provider;
    }

    uint256 internal constant DISPUTE_GAS = 15_000_000;
    uint256 internal constant CLOSE_GAS = 120_000;
    uint256 internal constant LATE_GAS = 250_000;
    uint256 internal constant MIN_LOCK = 1e18;
    uint256 internal constant MAX_BACKLOG_MS = 50_000;
    uint32 internal constant UNBONDING = 500;
    address internal constant DEAD = 0x000000000000000000000000000000000000dEaD;
    bytes internal constant LOCATORS = "somewhere";

    DevToken public token;
    ProviderRegistry public registry;
    JobMarket public market;
    MockDisputeGame public game;
    address[] internal _clients;
    address[] internal _providers;
    address[] internal _people;
    Job[] internal _jobs;

    error Unequal(string property, uint256 got, uint256 wanted);
    error Untrue(string property);

    constructor() {
        token = new DevToken();
        uint256 nonce = cheats.getNonce(address(this));
        address marketAt = cheats.computeCreateAddress(address(this), nonce + 1);
        address gameAt = cheats.computeCreateAddress(address(this), nonce + 2);
        registry = new ProviderRegistry(
            address(token), marketAt, gameAt, UNBONDING, uint40(MAX_BACKLOG_MS)
        );
        market = new JobMarket(address(token), address(registry), gameAt, gameAt, _limits());
        game = new MockDisputeGame(address(market), address(registry));
        isTrue("deploy: addresses", address(market) == marketAt && address(game) == gameAt);
        for (uint160 i = 1; i <= 7; i++) {
            address who = address(0xA55A0000 + i);
            _people.push(who);
            token.mint(who, 1e27);
            cheats.deal(who, 1e24);
            cheats.prank(who);
            token.approve(address(market), type(uint256).max);
            cheats.prank(who);
            token.approve(address(registry), type(uint256).max);
            if (i <= 2) {
                _clients.push(who);
            } else if (i <= 5) {
                _providers.push(who);
                cheats.prank(who);
                registry.register(bytes32(uint256(1)), address(0), "");
            }
        }
        _people.push(DEAD);
    }

    // --- what should be -----------------------------------------------------------------------

    function lockOf(Deal memory deal) public pure returns (uint256 stake, uint256 native) {
        stake = uint256(deal.priceCeiling) * deal.stakeBps / 10_000;
        if (stake < MIN_LOCK) stake = MIN_LOCK;
        native = (DISPUTE_GAS * 2 + LATE_GAS) * deal.gasPrice;
    }

    function bountyOf(Deal memory deal) public pure returns (uint256) {
        return CLOSE_GAS * deal.gasPrice;
    }

    /// @dev MONEY-1 and MONEY-2: prices, bounties and credits are what the market holds.
    function checkMarketMoney() public view {
        uint256 tokens = 0;
        uint256 native = 0;
        for (uint256 i = 0; i < _jobs.length; i++) {
            if (_jobs[i].status == JobStatus.None || _jobs[i].status > JobStatus.Committed) {
                continue;
            }
            tokens += _jobs[i].terms.deal.priceCeiling;
            native += bountyOf(_jobs[i].terms.deal);
        }
        for (uint256 i = 0; i < _people.length; i++) {
            (uint128 t, uint128 n) = market.credit(_people[i]);
            tokens += t;
            native += n;
        }
        isEqual("MONEY-1", token.balanceOf(address(market)), tokens);
        isEqual("MONEY-2", address(market).balance, native);
    }

    /// @dev MONEY-3 and MONEY-4: free, unbonding, locked and owed is what the registry holds.
    function checkRegistryMoney() public view {
        uint256 tokens = 0;
        uint256 native = 0;
        for (uint256 i = 0; i < _jobs.length; i++) {
            if (!_locked(_jobs[i].status)) continue;
            (uint256 t, uint256 n) = lockOf(_jobs[i].terms.deal);
            tokens += t;
            native += n;
        }
        for (uint256 i = 0; i < _people.length; i++) {
            (uint128 t, uint128 n) = registry.credit(_people[i]);
            ProviderRegistry.Provider memory p = registry.providerOf(_people[i]);
            ProviderRegistry.Unbonding memory u = registry.unbondingOf(_people[i]);
            tokens += uint256(t) + p.stake + u.token;
            native += uint256(n) + p.deposit + u.native;
        }
        isEqual("MONEY-3", token.balanceOf(address(registry)), tokens);
        isEqual("MONEY-4", address(registry).balance, native);
    }

    /// @dev STATE-2: nothing but the calls made has moved a job; a taken job has its provider.
    function checkStates() public view {
        for (uint256 i = 0; i < _jobs.length; i++) {
            JobState memory s = market.jobOf(_jobs[i].hash);
            isEqual("STATE-2 status", uint256(s.status), uint256(_jobs[i].status));
            isTrue(
                "STATE-2 provider",
                s.provider == _jobs[i].provider || s.status > JobStatus.Committed
            );
            isTrue("STATE-2 holds", s.holds == 0 || s.status == JobStatus.Committed);
            isTrue("STATE-2 clock", (s.clock != 0) == (s.status <= JobStatus.Committed));
            bool has = market.resultOf(_jobs[i].hash) != 0;
            isTrue(
                "STATE-2 result",
                has == (s.status == JobStatus.Committed || s.status == JobStatus.Finalized)
            );
        }
    }

    /// @dev WORK-1: a provider's backlog is the work of its live jobs, within the cap.
    function checkBacklogs() public view {
        for (uint256 p = 0; p < _providers.length; p++) {
            uint256 work = 0;
            for (uint256 i = 0; i < _jobs.length; i++) {
                if (_locked(_jobs[i].status) && _jobs[i].provider == _providers[p]) {
                    work += _jobs[i].terms.deal.workMs;
                }
            }
            uint256 backlog = registry.providerOf(_providers[p]).backlogMs;
            isEqual("WORK-1", backlog, work);
            isTrue("WORK-1 cap", backlog <= MAX_BACKLOG_MS);
        }
    }

    function isEqual(string memory property, uint256 got, uint256 wanted) internal pure {
        if (got != wanted) revert Unequal(property, got, wanted);
    }

    function isTrue(string memory property, bool holds) internal pure {
        if (!holds) revert Untrue(property);
    }

    function _locked(JobStatus status) internal pure returns (bool) {
        return status == JobStatus.Accepted || status == JobStatus.Committed;
    }

    function _limits() private pure returns (Limits memory l) {
        l.minOpenSeconds = l.minRunSeconds = l.minMoveSeconds = 10;
        l.maxOpenSeconds = l.maxRunSeconds = l.maxMoveSeconds = 1000;
        (l.minWindowSeconds, l.maxWindowSeconds) = (10, 1000);
        (l.minWorkMs, l.maxWorkMs) = (1, uint64(MAX_BACKLOG_MS));
        (l.minLock, l.maxLock) = (uint96(MIN_LOCK), 1e24);
        (l.minStakeBps, l.maxStakeBps) = (10_000, 100_000);
        (l.minGasPrice, l.maxGasPrice) = (1, 1e12);
        l.maxAttempts = 4;
        l.disputeGas = uint32(DISPUTE_GAS);
        l.closeGas = uint32(CLOSE_GAS);
        l.lateGas = uint32(LATE_GAS);
    }
}
