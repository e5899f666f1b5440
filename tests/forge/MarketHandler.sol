// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ProviderRegistry} from "../../contracts/ProviderRegistry.sol";
import {ClaimId} from "../../contracts/types/Ids.sol";
import {Fault, JobState, JobStatus} from "../../contracts/types/JobState.sol";
import {Deal, JobTerms, Payout, Task} from "../../contracts/types/JobTerms.sol";
import {cheats} from "./Cheats.sol";
import {MarketWorld} from "./MarketWorld.sol";

/// @notice Everybody's calls, bounded so that they are accepted: an unexpected revert is a failure.
/// @dev A call that finds nothing to act on returns and is not counted.
contract MarketHandler is MarketWorld {
    enum Call {
        Post,
        PostFromCredit,
        Cancel,
        Accept,
        Commit,
        Finalize,
        Refund,
        SlashLate,
        Hold,
        Release,
        Reject,
        VoidJob,
        Stake,
        Unbond,
        ClaimUnbonded,
        Deposit,
        Withdraw,
        Sweep
    }

    mapping(Call => uint256) public accepted;
    uint256 public calls;
    uint256 public slashedTokens;
    uint256 public burnedTokens;
    uint256 public swept;
    uint256 private _nonce;

    modifier counted() {
        calls++;
        _;
    }

    // --- clients ------------------------------------------------------------------------------

    function post(uint256 seed) external counted {
        if (_live() > 12) return;
        JobTerms memory terms = _terms(seed);
        uint256 bounty = bountyOf(terms.deal);
        cheats.prank(terms.deal.client);
        market.post{value: bounty}(terms, LOCATORS);
        _opened(terms, Call.Post);
    }

    function postFromCredit(uint256 seed) external counted {
        if (_live() > 12) return;
        JobTerms memory terms = _terms(seed);
        uint256 bounty = bountyOf(terms.deal);
        cheats.prank(terms.deal.client);
        market.deposit{value: bounty}(terms.deal.priceCeiling);
        cheats.prank(terms.deal.client);
        market.postFromCredit(terms, LOCATORS);
        _opened(terms, Call.PostFromCredit);
    }

    function cancel(uint256 seed) external counted {
        // Few jobs would live if each could be cancelled as often as accepted.
        if (seed % 3 != 0) return;
        (bool found, uint256 i) = _find(JobStatus.Open, seed);
        if (!found) return;
        Job storage job = _jobs[i];
        cheats.prank(job.terms.deal.client);
        market.cancel(job.taskHash, job.terms.deal);
        _moved(i, JobStatus.Cancelled, address(0), Call.Cancel);
    }

    function deposit(uint256 seed) external counted {
        address who = _people[seed % 7];
        cheats.prank(who);
        market.deposit{value: seed % 1e18}(1 + seed % 1e20);
        accepted[Call.Deposit]++;
    }

    // --- providers ----------------------------------------------------------------------------

    function accept(uint256 seed) external counted {
        (bool found, uint256 i) = _find(JobStatus.Open, seed);
        if (!found) return;
        Job storage job = _jobs[i];
        if (block.timestamp > market.jobOf(job.hash).clock) return;
        address who = _providers[(seed >> 8) % _providers.length];
        if (market.hasLost(job.hash, who)) return;
        Deal memory deal = job.terms.deal;
        ProviderRegistry.Provider memory p = registry.providerOf(who);
        if (p.backlogMs + deal.workMs > MAX_BACKLOG_MS) return;
        (uint256 lock, uint256 native) = lockOf(deal);
        if (p.stake < lock || p.deposit < native) {
            cheats.prank(who);
            registry.stake{value: native}(lock);
        }
        cheats.prank(who);
        market.accept(job.taskHash, deal);
        _moved(i, JobStatus.Accepted, who, Call.Accept);
    }

    function commit(uint256 seed) external counted {
        (bool found, uint256 i) = _find(JobStatus.Accepted, seed);
        if (!found) return;
        Job storage job = _jobs[i];
        if (block.timestamp > market.jobOf(job.hash).clock) return;
        cheats.prank(job.provider);
        market.commit(job.hash, keccak256(abi.encode(seed)), "there");
        _moved(i, JobStatus.Committed, job.provider, Call.Commit);
        // A challenger that was waiting: later calls would mostly find the window closed.
        if (seed % 3 == 0) _hold(job);
    }

    function stake(uint256 seed) external counted {
        cheats.prank(_providers[seed % _providers.length]);
        registry.stake{value: seed % 1e18}(1 + seed % 1e20);
        accepted[Call.Stake]++;
    }

    function unbond(uint256 seed) external counted {
        address who = _providers[seed % _providers.length];
        ProviderRegistry.Provider memory p = registry.providerOf(who);
        if (p.stake == 0) return;
        cheats.prank(who);
        registry.unbond(uint96(1 + (seed >> 8) % p.stake), uint80((seed >> 16) % (p.deposit + 1)));
        accepted[Call.Unbond]++;
    }

    function claimUnbonded(uint256 seed) external counted {
        address who = _providers[seed % _providers.length];
        ProviderRegistry.Unbonding memory u = registry.unbondingOf(who);
        if (u.token == 0 && u.native == 0) return;
        _after(u.readyAt);
        cheats.prank(who);
        registry.claimUnbonded();
        accepted[Call.ClaimUnbonded]++;
    }

    // --- anybody ------------------------------------------------------------------------------

    function finalize(uint256 seed) external counted {
        (bool found, uint256 i) = _find(JobStatus.Committed, seed);
        if (!found) return;
        Job storage job = _jobs[i];
        JobState memory s = market.jobOf(job.hash);
        if (s.holds != 0) {
            if (seed % 2 != 0) return;
            game.release(job.hash, market.claimOf(job.hash), s.holds);
            accepted[Call.Release]++;
        }
        _after(s.clock);
        uint256 before = registry.providerOf(s.provider).done;
        cheats.prank(_people[seed % 7]);
        market.finalize(job.taskHash, job.terms.deal);
        isEqual("RECORD-1", registry.providerOf(s.provider).done, before + 1);
        _moved(i, JobStatus.Finalized, s.provider, Call.Finalize);
    }

    function refund(uint256 seed) external counted {
        if (seed % 2 != 0) return;
        (bool found, uint256 i) = _find(JobStatus.Open, seed);
        if (!found) return;
        Job storage job = _jobs[i];
        _after(market.jobOf(job.hash).clock);
        cheats.prank(_people[seed % 7]);
        market.refund(job.taskHash, job.terms.deal);
        _moved(i, JobStatus.Refunded, address(0), Call.Refund);
    }

    function slashLate(uint256 seed) external counted {
        (bool found, uint256 i) = _find(JobStatus.Accepted, seed);
        if (!found) return;
        Job storage job = _jobs[i];
        JobState memory s = market.jobOf(job.hash);
        _after(s.clock);
        (uint256 lock,) = lockOf(job.terms.deal);
        uint256 burned = _dead();
        cheats.prank(_people[seed % 7]);
        market.slashLate(job.taskHash, job.terms.deal);
        uint256 price = job.terms.deal.priceCeiling;
        _checkSlash(lock * 2 / 5, _dead() - burned, price);
        _lost(i, s, Call.SlashLate);
    }

    function withdraw(uint256 seed) external counted {
        address who = _people[seed % 7];
        (uint128 t, uint128 n) = market.credit(who);
        cheats.prank(who);
        market.withdraw(who, (seed >> 8) % (uint256(t) + 1));
        cheats.prank(who);
        market.withdrawNative(payable(who), (seed >> 8) % (uint256(n) + 1));
        (t, n) = registry.credit(who);
        cheats.prank(who);
        registry.withdraw(who, (seed >> 16) % (uint256(t) + 1));
        cheats.prank(who);
        registry.withdrawNative(payable(who), (seed >> 16) % (uint256(n) + 1));
        accepted[Call.Withdraw]++;
    }

    function sweepBurned() external counted {
        (uint128 t,) = registry.credit(DEAD);
        registry.sweepBurned();
        swept += t;
        accepted[Call.Sweep]++;
    }

    /// @notice Time passes, a little.
    function tick(uint256 seed) external counted {
        cheats.warp(block.timestamp + seed % 30);
    }

    // --- the game -----------------------------------------------------------------------------

    function hold(uint256 seed) external counted {
        (bool found, uint256 i) = _find(JobStatus.Committed, seed);
        if (!found) return;
        Job storage job = _jobs[i];
        JobState memory s = market.jobOf(job.hash);
        if (block.timestamp > s.clock) return;
        _hold(job);
    }

    function release(uint256 seed) external counted {
        (bool found, uint256 i) = _find(JobStatus.Committed, seed);
        if (!found) return;
        Job storage job = _jobs[i];
        uint256 holds = market.jobOf(job.hash).holds;
        if (holds == 0) return;
        game.release(job.hash, market.claimOf(job.hash), 1 + seed % holds);
        accepted[Call.Release]++;
    }

    function reject(uint256 seed) external counted {
        (bool found, uint256 i) = _find(JobStatus.Committed, seed);
        if (!found) return;
        JobState memory s = market.jobOf(_jobs[i].hash);
        (uint256 lock, uint256 native) = lockOf(_jobs[i].terms.deal);
        uint256 burned = _dead();
        _reject(_jobs[i], Fault(1 + (seed >> 4) % 3), _payouts(seed, lock / 3, native));
        _checkSlash(lock, _dead() - burned, lock);
        _lost(i, s, Call.Reject);
    }

    function voidJob(uint256 seed) external counted {
        (bool found, uint256 i) = (false, 0);
        for (uint256 k = 0; k < 3 && !found; k++) {
            (found, i) = _find(JobStatus(1 + ((seed >> 8) + k) % 3), seed);
        }
        if (!found) return;
        Job storage job = _jobs[i];
        (uint256 lock, uint256 native) = lockOf(job.terms.deal);
        if (job.status == JobStatus.Open) (lock, native) = (0, 0);
        uint256 tokens = job.terms.deal.priceCeiling + lock;
        uint256 burned = _dead();
        game.voidJob(
            job.taskHash,
            job.terms.deal,
            _payouts(seed, tokens, bountyOf(job.terms.deal) + native)
        );
        isEqual("SLASH-2", _dead(), burned);
        _moved(i, JobStatus.Voided, address(0), Call.VoidJob);
    }

    // --- the end ------------------------------------------------------------------------------

    /// @dev EXIT-1: from any state, calls that somebody is allowed to make bring everything out.
    function windDown() external {
        for (uint256 i = 0; i < _jobs.length; i++) {
            Job storage job = _jobs[i];
            JobState memory s = market.jobOf(job.hash);
            if (s.clock != 0) _after(s.clock);
            if (s.status == JobStatus.Accepted) {
                market.slashLate(job.taskHash, job.terms.deal);
                s = market.jobOf(job.hash);
                if (s.clock != 0) _after(s.clock);
            }
            if (s.status == JobStatus.Open) market.refund(job.taskHash, job.terms.deal);
            if (s.status == JobStatus.Committed) {
                if (s.holds != 0) game.release(job.hash, market.claimOf(job.hash), s.holds);
                market.finalize(job.taskHash, job.terms.deal);
            }
        }
        for (uint256 i = 0; i < _providers.length; i++) {
            ProviderRegistry.Provider memory p = registry.providerOf(_providers[i]);
            isEqual("WORK-1 end", p.backlogMs, 0);
            if (p.stake != 0 || p.deposit != 0) {
                cheats.prank(_providers[i]);
                registry.unbond(p.stake, p.deposit);
            }
            ProviderRegistry.Unbonding memory u = registry.unbondingOf(_providers[i]);
            if (u.token == 0 && u.native == 0) continue;
            _after(u.readyAt);
            cheats.prank(_providers[i]);
            registry.claimUnbonded();
        }
        _people.push(address(this));
        for (uint256 i = 0; i < _people.length; i++) _empty(_people[i]);
        market.sweepBurned();
        registry.sweepBurned();
        isEqual("EXIT-1 market tokens", token.balanceOf(address(market)), 0);
        isEqual("EXIT-1 market native", address(market).balance, 0);
        isEqual("EXIT-1 registry tokens", token.balanceOf(address(registry)), 0);
        isEqual("EXIT-1 registry native", address(registry).balance, 0);
    }

    // --- inside -------------------------------------------------------------------------------

    receive() external payable {}

    function _hold(Job storage job) private {
        ClaimId claim = market.claimOf(job.hash);
        game.hold(job.hash, claim);
        game.queueOpening(job.provider, job.terms.deal.workMs);
        accepted[Call.Hold]++;
    }

    function _reject(Job storage job, Fault fault, Payout[] memory payouts) private {
        game.reject(job.taskHash, job.terms.deal, market.claimOf(job.hash), fault, payouts);
    }

    function _empty(address who) private {
        if (who == DEAD) return;
        (uint128 t, uint128 n) = market.credit(who);
        cheats.prank(who);
        market.withdraw(who, t);
        cheats.prank(who);
        market.withdrawNative(payable(who), n);
        (t, n) = registry.credit(who);
        cheats.prank(who);
        registry.withdraw(who, t);
        cheats.prank(who);
        registry.withdrawNative(payable(who), n);
    }

    /// @dev SLASH-1: the whole fault is taken, at least a third of it burns, and more only where
    /// somebody would get more than `most`.
    function _checkSlash(uint256 taken, uint256 burned, uint256 most) private {
        isTrue("SLASH-1 burn", 3 * burned >= taken);
        isTrue("SLASH-1 no more", 3 * burned <= taken + 3 || taken - burned == most);
        isTrue("SLASH-1 most", taken - burned <= most);
        slashedTokens += taken;
        burnedTokens += burned;
    }

    function _opened(JobTerms memory terms, Call call) private {
        Job storage job = _jobs.push();
        job.terms = terms;
        job.taskHash = market.hashTask(terms.task);
        job.hash = market.hashJob(job.taskHash, terms.deal);
        _moved(_jobs.length - 1, JobStatus.Open, address(0), call);
    }

    function _lost(uint256 i, JobState memory before, Call call) private {
        bool last = before.attempt + 1 == _jobs[i].terms.deal.attempts;
        isTrue("STATE-3", market.hasLost(_jobs[i].hash, before.provider));
        _moved(i, last ? JobStatus.Refunded : JobStatus.Open, address(0), call);
        isTrue("STATE-4", last || market.jobOf(_jobs[i].hash).attempt == before.attempt + 1);
    }

    /// @dev STATE-1: the call led where the table says.
    function _moved(uint256 i, JobStatus to, address provider, Call call) private {
        isEqual("STATE-1", uint256(market.jobOf(_jobs[i].hash).status), uint256(to));
        _jobs[i].status = to;
        _jobs[i].provider = provider;
        accepted[call]++;
    }

    function _find(JobStatus status, uint256 seed) private view returns (bool, uint256) {
        for (uint256 k = 0; k < _jobs.length; k++) {
            uint256 i = (seed % _jobs.length + k) % _jobs.length;
            if (_jobs[i].status == status) return (true, i);
        }
        return (false, 0);
    }

    function _live() private view returns (uint256 count) {
        for (uint256 i = 0; i < _jobs.length; i++) {
            if (_jobs[i].status <= JobStatus.Committed) count++;
        }
    }

    function _dead() private view returns (uint256) {
        (uint128 t,) = registry.credit(DEAD);
        return t + swept;
    }

    function _after(uint256 clock) private {
        if (block.timestamp <= clock) cheats.warp(clock + 1);
    }

    function _payouts(uint256 seed, uint256 tokens, uint256 native)
        private
        view
        returns (Payout[] memory payouts)
    {
        payouts = new Payout[](seed % 4);
        for (uint256 k = 0; k < payouts.length; k++) {
            uint256 t = uint256(keccak256(abi.encode(seed, k, "t"))) % (tokens + 1);
            uint256 n = uint256(keccak256(abi.encode(seed, k, "n"))) % (native + 1);
            payouts[k] = Payout(_people[(seed >> k) % 7], uint128(t), uint128(n));
            tokens -= t;
            native -= n;
        }
    }

    function _terms(uint256 seed) private returns (JobTerms memory terms) {
        uint256 r = uint256(keccak256(abi.encode(seed, ++_nonce)));
        terms.task = Task({
            referee: address(game),
            programRoot: bytes32(r),
            constantsRoot: bytes32(r >> 1),
            inputsRoot: bytes32(r >> 2),
            locatorsHash: keccak256(LOCATORS),
            steps: 1,
            firstStep: 0,
            seed: int64(uint64(r)),
            taskCount: 1
        });
        // From one unit, where the minimum lock counts, to a hundred tokens.
        uint128 price = uint128(r % 3 == 0 ? 1 + r % 100 : 1 + r % 1e20);
        terms.deal = Deal({
            client: _clients[r % _clients.length],
            nonce: uint64(_nonce),
            capability: bytes32(r % 2),
            priceFloor: price,
            priceCeiling: price,
            rampSeconds: 0,
            stakeBps: uint32(10_000 + r % 90_001),
            attempts: uint8(1 + r % 4),
            workMs: uint64(1 + r % 10_000),
            gasPrice: uint64(1 + r % 1e10),
            openSeconds: uint32(50 + r % 900),
            runSeconds: uint32(50 + r % 900),
            windowSeconds: uint24(50 + r % 900),
            moveSeconds: uint32(10 + r % 900)
        });
    }
}
