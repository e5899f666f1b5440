// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ProviderRegistry} from "../../contracts/ProviderRegistry.sol";
import {IDisputeGame} from "../../contracts/interfaces/IDisputeGame.sol";
import {
    Challenge,
    ClaimRecord,
    Outcome,
    Proof,
    Tree,
    Wait
} from "../../contracts/types/Dispute.sol";
import {JobState, JobStatus} from "../../contracts/types/JobState.sol";
import {Deal, JobTerms} from "../../contracts/types/JobTerms.sol";
import {cheats} from "./Cheats.sol";
import {GameDemands} from "./GameDemands.sol";

/// @notice Everybody's calls, bounded so that they are accepted: an unexpected revert is a failure.
/// @dev A call that finds nothing to act on returns and is not counted.
contract GameHandler is GameDemands {
    uint256 private _nonce;

    // --- claims -------------------------------------------------------------------------------

    /// @notice A provider commits a result, right or wrong in one of the ways of `Lie`.
    function claim(uint256 seed) external {
        if (_standing() > 6) return;
        uint256 r = uint256(keccak256(abi.encode(seed, ++_nonce)));
        (bool again, JobTerms memory terms) = _reopened(seed);
        if (!again) terms = _terms(r);
        Lie lie = Lie.NONE;
        uint256 answers = ALWAYS;
        if (r % 3 != 0) {
            lie = Lie(1 + (r >> 8) % uint256(type(Lie).max));
            if ((r >> 56) % 4 == 0) lie = Lie.OPERATION;
            if ((r >> 16) % 2 == 0) answers = (r >> 24) % 3;
        }
        _commit(terms, again, lie, answers, r);
    }

    function _commit(JobTerms memory terms, bool again, Lie lie, uint256 answers, uint256 r)
        internal
    {
        Deal memory deal = terms.deal;
        bytes32 taskHash = market.hashTask(terms.task);
        if (!again) {
            cheats.prank(deal.client);
            market.post{value: BOUNTY_GAS * deal.gasPrice}(terms, LOCATORS);
        }
        Claimed storage c = _claims.push();
        (c.terms, c.taskHash, c.hash) = (terms, taskHash, market.hashJob(taskHash, deal));
        c.provider = _taker(c, r);
        c.steps = uint32(terms.task.steps) + uint32(terms.task.steps >> 32);
        (c.lie, c.answers) = (lie, answers);
        c.at = 1 + (r >> 32) % c.steps;
        c.result = referee.wrap(leafAt(c, c.steps));
        if (c.lie == Lie.OUTPUT) c.result = keccak256(abi.encode(r));
        _accept(c);
        cheats.prank(c.provider);
        market.commit(c.hash, c.result, "there");
        c.id = market.claimOf(c.hash);
        _claimOf[c.hash] = _claims.length;
        accepted[Call.CLAIM]++;
    }

    function _accept(Claimed storage c) private {
        (uint256 lock, uint256 native) = lockOf(c.terms.deal);
        ProviderRegistry.Provider memory p = registry.providerOf(c.provider);
        if (p.stake < lock || p.deposit < native) {
            cheats.prank(c.provider);
            registry.stake{value: native}(lock);
        }
        cheats.prank(c.provider);
        market.accept(c.taskHash, c.terms.deal);
    }

    function _taker(Claimed storage c, uint256 r) private view returns (address who) {
        for (uint256 k; k < _providers.length; ++k) {
            who = _providers[(r + k) % _providers.length];
            if (!market.hasLost(c.hash, who)) return who;
        }
        revert Untrue("somebody has not lost yet");
    }

    // --- the game -----------------------------------------------------------------------------

    function challenge(uint256 seed) external {
        (bool found, uint256 i) = _committed(seed);
        if (!found) return;
        Claimed storage c = _claims[i];
        if (block.timestamp > market.jobOf(c.hash).clock) return;
        if (game.claimOf(c.id).count > 12) return;
        Player storage p = _players.push();
        p.claim = i;
        p.who = _challengers[(seed >> 8) % _challengers.length];
        if (c.lie != Lie.NONE && (seed >> 16) % 4 != 0) (p.role, c.pursued) = (Role.HONEST, true);
        else p.role = Role.FALSE;
        (uint256 tokens, uint256 native) = game.bondOf(c.id, c.terms.deal);
        bool open = game.claimOf(c.id).openedAt != 0;
        isEqual("GAME-BOND", tokens, open ? 0 : 5 * uint256(c.terms.deal.priceCeiling));
        isEqual("GAME-BOND native", native, (22 * 120_000 + 200_000) * c.terms.deal.gasPrice);
        cheats.prank(p.who);
        p.number = game.challenge{value: native}(c.terms, c.id);
        accepted[Call.CHALLENGE]++;
        _ask(c, p.number);
    }

    /// @notice The provider's side answers one challenge, if it answers at all.
    function answer(uint256 seed) external {
        (bool found, uint256 i) = _waiting(seed, false);
        if (!found) return;
        Player storage p = _players[i];
        Claimed storage c = _claims[p.claim];
        Challenge memory x = _challenge(p);
        bool late = block.timestamp > game.deadlineOf(c.id, p.number);
        address who = seed % 2 == 0 ? c.provider : _people[seed % 9];
        (, uint128 before) = game.credit(c.provider);
        _otherFee(seed);
        if (late || !_answer(c, p.number, x, who)) return;
        (, uint128 now_) = game.credit(c.provider);
        uint256 price = lowerOf(_asked[c.id][p.number], c.terms.deal);
        isEqual("GAME-PAID", now_ - before, 120_000 * price);
    }

    /// @notice A challenger moves.
    function move(uint256 seed) external {
        (bool found, uint256 i) = _waiting(seed, true);
        if (!found) return;
        Player storage p = _players[i];
        Claimed storage c = _claims[p.claim];
        if (block.timestamp > game.deadlineOf(c.id, p.number)) return;
        Challenge memory x = _challenge(p);
        _otherFee(seed);
        if (p.role == Role.HONEST) _honest(p, c, x);
        else if (x.tree != Tree.STATE_BLOCKS || !x.known) _false(p, c, x, seed >> 8);
    }

    /// @notice A provider that does not answer loses its claim to the clock.
    function timeoutProvider(uint256 seed) external {
        (bool found, uint256 i) = _waiting(seed, false);
        if (!found || _claims[_players[i].claim].lie == Lie.NONE) return;
        Player storage p = _players[i];
        Claimed storage c = _claims[p.claim];
        if (c.answers == ALWAYS && c.lie != Lie.HIDDEN) return;
        uint256 deadline = game.deadlineOf(c.id, p.number);
        _advance(deadline > block.timestamp ? deadline : block.timestamp);
        if (!_isLive(p) || _challenge(p).wait == Wait.CHALLENGER) return;
        _advance(game.deadlineOf(c.id, p.number) + 1);
        if (!_isLive(p) || _challenge(p).wait == Wait.CHALLENGER) return;
        if (block.timestamp <= game.deadlineOf(c.id, p.number)) return;
        uint256[] memory owed = _owed(c, p.number, address(this));
        game.timeoutProvider(c.id, p.number, c.terms);
        _checkFall(c, owed);
        accepted[Call.TIMEOUT_PROVIDER]++;
    }

    /// @notice A challenger that does not move loses its bond to the clock.
    function timeoutChallengers(uint256 seed) external {
        if (seed % 2 != 0) return;
        (bool found, uint256 i) = _waiting(seed, true);
        if (!found || _players[i].role == Role.HONEST) return;
        Claimed storage c = _claims[_players[i].claim];
        _advance(game.deadlineOf(c.id, _players[i].number) + 1);
        if (_isLive(_players[i])) _defeat(_players[i]);
    }

    /// @dev GAME-BURN: a fifth of a forfeited bond burns, rounded up; the caller is paid, the
    /// provider has the rest.
    function _defeat(Player storage p) private {
        Claimed storage c = _claims[p.claim];
        Challenge memory x = _challenge(p);
        (uint128 deadToken, uint128 deadNative) = game.credit(DEAD);
        (uint128 hisToken, uint128 hisNative) = game.credit(c.provider);
        uint256[] memory one = new uint256[](1);
        one[0] = p.number;
        cheats.prank(_clients[0]);
        game.timeoutChallengers(c.id, one);
        (uint128 t, uint128 n) = game.credit(DEAD);
        uint256 burned = (uint256(x.native) + 4) / 5;
        isEqual("GAME-BURN-1", t - deadToken, (uint256(x.token) + 4) / 5);
        isEqual("GAME-BURN-2", n - deadNative, burned);
        (t, n) = game.credit(c.provider);
        isEqual("GAME-BURN-3", t - hisToken, x.token - (uint256(x.token) + 4) / 5);
        uint256 bounty = 160_000 * uint256(c.terms.deal.gasPrice);
        isEqual("GAME-BURN-4", n - hisNative, x.native - burned - bounty);
        accepted[Call.TIMEOUT_CHALLENGERS]++;
    }

    function finalize(uint256 seed) external {
        // Few claims would be challenged if each could be finalized as often as committed.
        if (seed % 3 != 0) return;
        (bool found, uint256 i) = _committed(seed);
        if (!found) return;
        Claimed storage c = _claims[i];
        if (market.jobOf(c.hash).holds != 0 || (c.lie != Lie.NONE && seed % 2 == 0)) return;
        _advance(uint256(market.jobOf(c.hash).clock) + 1);
        _finalize(c);
    }

    function _finalize(Claimed storage c) private {
        JobState memory s = market.jobOf(c.hash);
        if (s.status != JobStatus.Committed || market.claimOf(c.hash) != c.id) return;
        if (s.holds != 0) return;
        market.finalize(c.taskHash, c.terms.deal);
        c.over = true;
        accepted[Call.FINALIZE]++;
    }

    /// @notice After a fall each undefeated challenger takes its bond back, once.
    function collect(uint256 seed) external {
        for (uint256 k; k < _players.length; ++k) {
            Player storage p = _players[(seed % _players.length + k) % _players.length];
            ClaimRecord memory r = game.claimOf(_claims[p.claim].id);
            Challenge memory x = _challenge(p);
            if (!r.fallen || x.outcome != Outcome.LIVE) continue;
            (uint128 t, uint128 n) = game.credit(p.who);
            game.collect(_claims[p.claim].id, p.number);
            (uint128 t2, uint128 n2) = game.credit(p.who);
            isEqual("GAME-COLLECT", t2 - t, x.token);
            isEqual("GAME-COLLECT native", n2 - n, x.native);
            accepted[Call.COLLECT]++;
            return;
        }
    }

    function withdraw(uint256 seed) external {
        address who = _people[seed % 9];
        (uint128 t, uint128 n) = game.credit(who);
        cheats.prank(who);
        game.withdraw(who, (seed >> 8) % (uint256(t) + 1));
        cheats.prank(who);
        game.withdrawNative(payable(who), (seed >> 8) % (uint256(n) + 1));
        accepted[Call.WITHDRAW]++;
    }

    /// @notice Time passes, a little.
    function tick(uint256 seed) external {
        _advance(block.timestamp + seed % 20);
    }

    /// @notice GAME-FALLEN: nothing but `collect` acts on a fallen claim.
    function actOnFallen(uint256 seed) external {
        for (uint256 k; k < _players.length; ++k) {
            Player storage p = _players[(seed % _players.length + k) % _players.length];
            Claimed storage c = _claims[p.claim];
            if (!game.claimOf(c.id).fallen || _challenge(p).outcome != Outcome.LIVE) continue;
            bytes32[] memory one = new bytes32[](1);
            uint256[] memory numbers = new uint256[](1);
            numbers[0] = p.number;
            bytes[9] memory calls = [
                abi.encodeCall(game.point, (c.id, p.number, 0, 0, 0, one)),
                abi.encodeCall(game.enter, (c.id, p.number, c.terms, Tree.STATES, "")),
                abi.encodeCall(game.open, (c.id, p.number, one)),
                abi.encodeCall(game.openStep, (c.id, p.number, 1, one)),
                abi.encodeCall(game.reveal, (c.id, p.number, one)),
                abi.encodeCall(game.revealBlock, (c.id, p.number, new bytes(512))),
                abi.encodeCall(game.prove, (c.id, p.number, c.terms, Proof.NEXT, "")),
                abi.encodeCall(game.timeoutProvider, (c.id, p.number, c.terms)),
                abi.encodeCall(game.timeoutChallengers, (c.id, numbers))
            ];
            for (uint256 n; n < calls.length; ++n) {
                cheats.prank(seed % 2 == 0 ? p.who : c.provider);
                (bool done, bytes memory error) = address(game).call(calls[n]);
                isTrue("GAME-FALLEN", !done);
                isTrue("GAME-FALLEN name", bytes4(error) == IDisputeGame.HasFallen.selector);
            }
            (, uint256 native) = game.bondOf(c.id, c.terms.deal);
            cheats.prank(p.who);
            (bool again,) = address(game).call{value: native}(
                abi.encodeCall(game.challenge, (c.terms, c.id))
            );
            isTrue("GAME-FALLEN challenge", !again);
            accepted[Call.REFUSED]++;
            return;
        }
    }

    // --- the end ------------------------------------------------------------------------------

    /// @dev GAME-EXIT: from any state, calls that somebody is allowed to make end every challenge
    /// and bring every unit out of the three contracts.
    function windDown() external {
        for (uint256 i; i < _players.length; ++i) {
            Player storage p = _players[i];
            Claimed storage c = _claims[p.claim];
            for (uint256 tries; _isLive(p); ++tries) {
                isTrue("GAME-EXIT: every challenge ends", tries < 100);
                _advance(game.deadlineOf(c.id, p.number) + 1);
                if (!_isLive(p) || block.timestamp <= game.deadlineOf(c.id, p.number)) continue;
                if (_challenge(p).wait == Wait.CHALLENGER) _defeat(p);
                else game.timeoutProvider(c.id, p.number, c.terms);
            }
        }
        for (uint256 i; i < _claims.length; ++i) {
            Claimed storage c = _claims[i];
            _endDemands(c);
            isTrue("GAME-LIE-2", !c.pursued || game.claimOf(c.id).fallen);
            JobState memory s = market.jobOf(c.hash);
            if (s.clock != 0) _advance(uint256(s.clock) + 1);
            _finalize(c);
            if (s.status == JobStatus.Open) market.refund(c.taskHash, c.terms.deal);
        }
        for (uint256 i; i < _players.length; ++i) {
            Player storage p = _players[i];
            if (_challenge(p).outcome == Outcome.LIVE) game.collect(_claims[p.claim].id, p.number);
        }
        _leave();
    }

    function _leave() private {
        for (uint256 i; i < _providers.length; ++i) {
            ProviderRegistry.Provider memory r = registry.providerOf(_providers[i]);
            isEqual("GAME-EXIT backlog", r.backlogMs, 0);
            if (r.stake == 0 && r.deposit == 0) continue;
            cheats.prank(_providers[i]);
            registry.unbond(r.stake, r.deposit);
            cheats.warp(uint256(registry.unbondingOf(_providers[i]).readyAt) + 1);
            cheats.prank(_providers[i]);
            registry.claimUnbonded();
        }
        for (uint256 i; i < _people.length; ++i) {
            if (_people[i] == DEAD) continue;
            (uint128 t, uint128 n) = game.credit(_people[i]);
            cheats.prank(_people[i]);
            game.withdraw(_people[i], t);
            cheats.prank(_people[i]);
            game.withdrawNative(payable(_people[i]), n);
            (, n) = court.credit(_people[i]);
            cheats.prank(_people[i]);
            court.withdrawNative(payable(_people[i]), n);
            (t, n) = market.credit(_people[i]);
            cheats.prank(_people[i]);
            market.withdraw(_people[i], t);
            cheats.prank(_people[i]);
            market.withdrawNative(payable(_people[i]), n);
            (t, n) = registry.credit(_people[i]);
            cheats.prank(_people[i]);
            registry.withdraw(_people[i], t);
            cheats.prank(_people[i]);
            registry.withdrawNative(payable(_people[i]), n);
        }
        game.sweepBurned();
        market.sweepBurned();
        registry.sweepBurned();
        address[4] memory all =
            [address(game), address(market), address(registry), address(court)];
        (, uint128 burned) = game.credit(DEAD);
        for (uint256 k; k < 4; ++k) {
            isEqual("GAME-EXIT tokens", token.balanceOf(all[k]), 0);
            isEqual("GAME-EXIT native", all[k].balance, k == 0 ? burned : 0);
        }
    }

    receive() external payable {}

    // --- inside -------------------------------------------------------------------------------

    /// @dev A claim whose job waits for its window.
    function _committed(uint256 seed) private view returns (bool, uint256) {
        for (uint256 k; k < _claims.length; ++k) {
            uint256 i = (seed % _claims.length + k) % _claims.length;
            bool last = _claimOf[_claims[i].hash] == i + 1;
            if (last && market.jobOf(_claims[i].hash).status == JobStatus.Committed) {
                return (true, i);
            }
        }
        return (false, 0);
    }

    /// @dev A live challenge whose mover is the challenger, or the provider.
    function _waiting(uint256 seed, bool challenger) private returns (bool, uint256) {
        for (uint256 k; k < _players.length; ++k) {
            uint256 i = (seed % _players.length + k) % _players.length;
            if (!_isLive(_players[i])) continue;
            if ((_challenge(_players[i]).wait == Wait.CHALLENGER) == challenger) return (true, i);
        }
        return (false, 0);
    }

    function _standing() private view returns (uint256 count) {
        for (uint256 i; i < _claims.length; ++i) {
            if (_claimOf[_claims[i].hash] != i + 1) continue;
            if (market.jobOf(_claims[i].hash).status == JobStatus.Committed) count++;
        }
    }

    /// @dev A job that lost its provider and waits for another.
    function _reopened(uint256 seed) private view returns (bool, JobTerms memory terms) {
        for (uint256 k; k < _claims.length; ++k) {
            Claimed storage c = _claims[(seed % _claims.length + k) % _claims.length];
            JobState memory s = market.jobOf(c.hash);
            if (s.status == JobStatus.Open && block.timestamp <= s.clock) return (true, c.terms);
        }
        return (false, terms);
    }

    function _terms(uint256 r) internal view returns (JobTerms memory terms) {
        uint8[6] memory lengths = [1, 2, 5, 33, 40, 70];
        uint256 steps = lengths[(r >> 40) % 6];
        terms.task.referee = address(game);
        terms.task.programRoot = bytes32(r);
        terms.task.locatorsHash = keccak256(LOCATORS);
        // Some jobs in two phases.
        terms.task.steps = steps > 2 && r % 5 == 0 ? steps - 2 + (2 << 32) : steps;
        terms.task.taskCount = 1;
        uint128 price = uint128(r % 3 == 0 ? 1 + r % 100 : 1 + r % 1e20);
        terms.deal = Deal({
            client: _clients[r % _clients.length],
            nonce: uint64(_nonce),
            capability: bytes32(r % 2),
            priceFloor: price,
            priceCeiling: price,
            rampSeconds: 0,
            stakeBps: uint32(10_000 + r % 90_001),
            attempts: uint8(1 + (r >> 48) % 3),
            workMs: uint64(1 + r % 10_000),
            gasPrice: uint64(1 + r % 1e10),
            openSeconds: uint32(500 + r % 500),
            runSeconds: uint32(50 + r % 900),
            windowSeconds: uint24(200 + r % 800),
            moveSeconds: uint32(10 + r % 200)
        });
    }
}
