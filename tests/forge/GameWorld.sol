// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Court} from "../../contracts/Court.sol";
import {DevToken} from "../../contracts/DevToken.sol";
import {DisputeGame} from "../../contracts/DisputeGame.sol";
import {JobMarket} from "../../contracts/JobMarket.sol";
import {ProviderRegistry} from "../../contracts/ProviderRegistry.sol";
import {DemandState} from "../../contracts/types/Demand.sol";
import {Challenge, ClaimRecord, HALTED, Outcome} from "../../contracts/types/Dispute.sol";
import {ClaimId, JobHash} from "../../contracts/types/Ids.sol";
import {JobState, JobStatus} from "../../contracts/types/JobState.sol";
import {Deal, JobTerms} from "../../contracts/types/JobTerms.sol";
import {Limits} from "../../contracts/types/Limits.sol";
import {AlphabetReferee, Link} from "./AlphabetReferee.sol";
import {Cheats, cheats} from "./Cheats.sol";

/// @notice The real game over the trivial machine: its people, the claims, what is true of each,
/// and what all of it should add up to.
/// @dev Sums and traces are computed from the terms alone, by formulas written a second time.
contract GameWorld {
    /// @dev What is wrong with a claim; `at` says in which step.
    enum Lie {
        NONE,
        OPERATION, // another letter, and those after it
        STATE, // a state that is not its operation
        START, // another first letter
        OUTPUT, // a result that is no state
        HALT, // a step that did not run
        HIDDEN // a block that no reveal may show: its tail is not zero
    }

    struct Claimed {
        JobTerms terms;
        bytes32 taskHash;
        JobHash hash;
        ClaimId id;
        address provider;
        bytes32 result;
        uint256 steps;
        Lie lie;
        uint256 at;
        uint256 answers; // that the provider gives before it falls silent
        bool pursued; // an honest challenger challenged it
        bool illegal; // its job was proven to be
        bool over; // seen to be: looked up once
    }

    /// @dev HONEST holds the truth and answers in time; FALSE goes anywhere and may stop.
    enum Role {
        HONEST,
        FALSE
    }

    struct Player {
        uint256 claim;
        uint256 number;
        address who;
        Role role;
        bool over; // seen to be: looked up once
    }

    uint256 internal constant DISPUTE_GAS = 15_000_000;
    uint256 internal constant BOUNTY_GAS = 120_000;
    uint256 internal constant LATE_GAS = 250_000;
    uint256 internal constant MIN_LOCK = 1e18;
    uint256 internal constant MAX_BACKLOG_MS = 400_000;
    uint256 internal constant ALWAYS = 1 << 32;
    address internal constant DEAD = 0x000000000000000000000000000000000000dEaD;
    bytes internal constant LOCATORS = "somewhere";

    DevToken public token;
    ProviderRegistry public registry;
    JobMarket public market;
    DisputeGame public game;
    Court public court;
    AlphabetReferee public referee;
    address[] internal _clients;
    address[] internal _providers;
    address[] internal _challengers;
    address[] internal _people;
    Claimed[] internal _claims;
    Player[] internal _players;
    mapping(JobHash => uint256) internal _claimOf; // number of the job's last claim, from 1
    mapping(ClaimId => mapping(uint256 => uint256)) internal _asked; // price of an answer
    mapping(ClaimId => mapping(uint256 => uint256)) internal _demanded; // the same of a demand

    error Unequal(string property, uint256 got, uint256 wanted);
    error Untrue(string property);

    constructor() {
        token = new DevToken();
        referee = new AlphabetReferee();
        uint256 nonce = cheats.getNonce(address(this));
        address marketAt = cheats.computeCreateAddress(address(this), nonce + 1);
        address gameAt = cheats.computeCreateAddress(address(this), nonce + 2);
        address courtAt = cheats.computeCreateAddress(address(this), nonce + 3);
        registry =
            new ProviderRegistry(address(token), marketAt, gameAt, 500, uint40(MAX_BACKLOG_MS));
        market = new JobMarket(address(token), address(registry), gameAt, courtAt, _limits());
        game = new DisputeGame(address(market), address(referee), address(referee));
        court = new Court(address(market), address(referee), address(referee));
        isTrue("deploy: market", address(market) == marketAt);
        isTrue("deploy: judges", address(game) == gameAt && address(court) == courtAt);
        for (uint160 i = 1; i <= 9; i++) {
            address who = address(0xA55A0000 + i);
            _people.push(who);
            token.mint(who, 1e27);
            cheats.deal(who, 1e24);
            for (uint256 k; k < 3; ++k) {
                address[3] memory to = [address(market), address(registry), address(game)];
                cheats.prank(who);
                token.approve(to[k], type(uint256).max);
            }
            if (i <= 2) {
                _clients.push(who);
            } else if (i <= 5) {
                _providers.push(who);
                cheats.prank(who);
                registry.register(bytes32(uint256(1)), address(0), "");
            } else {
                _challengers.push(who);
            }
        }
        _people.push(DEAD);
        _people.push(address(this)); // calls that are paid
    }

    // --- traces -------------------------------------------------------------------------------

    /// @dev Root of the block that holds a letter. (Memory stays as it was.)
    function rootOf(uint256 letter) internal pure returns (bytes32 root) {
        assembly ("memory-safe") {
            let at := mload(0x40)
            calldatacopy(at, calldatasize(), 512) // zeros
            mstore(at, letter)
            root := keccak256(at, 512)
        }
    }

    /// @dev Letter of the claimed state after `s` steps.
    function stateAt(Claimed storage c, uint256 s) internal view returns (uint256 letter) {
        letter = s;
        if (c.lie == Lie.START) letter += 77;
        if (s < c.at) return letter;
        if (c.lie == Lie.OPERATION) letter += 1000;
        if (c.lie == Lie.STATE) letter += 500;
        if (c.lie == Lie.HALT) letter -= 1;
    }

    /// @dev Letter of the claimed operation of the step that leads to leaf `s`.
    function operationAt(Claimed storage c, uint256 s) internal view returns (uint256) {
        if (c.lie == Lie.STATE && s == c.at) return s;
        return stateAt(c, s);
    }

    /// @dev The block of a HIDDEN operation.
    function hiddenBlock(uint256 s) internal view returns (bytes memory data) {
        data = referee.blockOf(s);
        data[511] = 0x01;
    }

    /// @dev Root of the claimed operations of that step.
    function operationsRoot(Claimed storage c, uint256 s) internal view returns (bytes32) {
        if (c.lie == Lie.HALT && s == c.at) return HALTED;
        if (c.lie == Lie.HIDDEN && s == c.at) return keccak256(hiddenBlock(s));
        return rootOf(operationAt(c, s));
    }

    /// @dev Leaf `s` of the claimed steps tree: the only state's root.
    function leafAt(Claimed storage c, uint256 s) internal view returns (bytes32) {
        if (c.lie == Lie.HIDDEN && s == c.at) return operationsRoot(c, s);
        return rootOf(stateAt(c, s));
    }

    /// @dev A level of the claimed steps tree, or of the true one.
    function nodesAt(Claimed storage c, uint256 level, bool truth)
        internal
        view
        returns (bytes32[] memory nodes)
    {
        nodes = new bytes32[](c.steps + 1);
        for (uint256 s; s <= c.steps; ++s) {
            nodes[s] = truth ? rootOf(s) : leafAt(c, s);
        }
        for (; level != 0; --level) nodes = above(nodes);
    }

    function above(bytes32[] memory nodes) internal pure returns (bytes32[] memory up) {
        up = new bytes32[]((nodes.length + 1) / 2);
        for (uint256 k; k < up.length; ++k) {
            bytes32 right = 2 * k + 1 < nodes.length ? nodes[2 * k + 1] : bytes32(0);
            up[k] = keccak256(abi.encode(nodes[2 * k], right));
        }
    }

    /// @dev Siblings of node `index` of a level, up over `levels` levels.
    function siblingsOf(bytes32[] memory nodes, uint256 index, uint256 levels)
        internal
        pure
        returns (bytes32[] memory out)
    {
        bytes32[] memory found = new bytes32[](levels);
        uint256 used;
        for (uint256 k; k < levels; ++k) {
            if (index ^ 1 < nodes.length) found[used++] = nodes[index ^ 1];
            (nodes, index) = (above(nodes), index >> 1);
        }
        out = new bytes32[](used);
        for (uint256 k; k < used; ++k) out[k] = found[k];
    }

    /// @dev Leaf `s` of the claimed steps tree, with its path.
    function linkTo(Claimed storage c, uint256 s) internal view returns (Link memory) {
        bytes32[] memory leaves = nodesAt(c, 0, false);
        return Link(leaves[s], siblingsOf(leaves, s, depthOf(leaves.length)));
    }

    function depthOf(uint256 count) internal pure returns (uint256 depth) {
        while (1 << depth < count) ++depth;
    }

    // --- what should be -----------------------------------------------------------------------

    function lockOf(Deal memory deal) internal pure returns (uint256 stake, uint256 native) {
        stake = uint256(deal.priceCeiling) * deal.stakeBps / 10_000;
        if (stake < MIN_LOCK) stake = MIN_LOCK;
        native = (DISPUTE_GAS * 2 + LATE_GAS) * deal.gasPrice;
    }

    /// @dev Wei that a unit of an answer's gas is paid if it is set now: twice the base fee, within
    /// the terms' and the market's.
    /// @dev What an answer is paid that was asked for at a price: the lower of that and today's.
    function lowerOf(uint256 asked, Deal memory deal) internal view returns (uint256) {
        return asked < priceOf(deal) ? asked : priceOf(deal);
    }

    function priceOf(Deal memory deal) internal view returns (uint256) {
        if (2 * block.basefee >= deal.gasPrice) return deal.gasPrice;
        return block.basefee == 0 ? 1 : 2 * block.basefee;
    }

    /// @dev GAME-MONEY: bonds of live challenges and credits are what the game holds.
    function checkGameMoney() public view {
        uint256 tokens;
        uint256 native;
        for (uint256 i; i < _players.length; ++i) {
            Challenge memory x = _challenge(_players[i]);
            if (x.outcome != Outcome.LIVE) continue;
            tokens += x.token;
            native += x.native;
        }
        for (uint256 i; i < _people.length; ++i) {
            (uint128 t, uint128 n) = game.credit(_people[i]);
            tokens += t;
            native += n;
        }
        isEqual("GAME-MONEY-1", token.balanceOf(address(game)), tokens);
        isEqual("GAME-MONEY-2", address(game).balance, native);
    }

    /// @dev The same of market and registry, with challenges in play.
    function checkOtherMoney() public view {
        uint256[4] memory sums; // market's tokens, native, registry's tokens, native
        for (uint256 i; i < _claims.length; ++i) {
            Claimed storage c = _claims[i];
            if (_claimOf[c.hash] != i + 1) continue;
            JobStatus status = market.jobOf(c.hash).status;
            if (status > JobStatus.Committed) continue;
            Deal memory deal = c.terms.deal;
            (sums[0], sums[1]) =
                (sums[0] + deal.priceCeiling, sums[1] + BOUNTY_GAS * deal.gasPrice);
            if (status == JobStatus.Open) continue;
            (uint256 t, uint256 n) = lockOf(deal);
            (sums[2], sums[3]) = (sums[2] + t, sums[3] + n);
        }
        for (uint256 i; i < _people.length; ++i) {
            (uint128 t, uint128 n) = market.credit(_people[i]);
            (sums[0], sums[1]) = (sums[0] + t, sums[1] + n);
            (t, n) = registry.credit(_people[i]);
            ProviderRegistry.Provider memory p = registry.providerOf(_people[i]);
            (sums[2], sums[3]) = (sums[2] + t + p.stake, sums[3] + n + p.deposit);
        }
        isEqual("GAME-MONEY-3 market", token.balanceOf(address(market)), sums[0]);
        isEqual("GAME-MONEY-3 market native", address(market).balance, sums[1]);
        isEqual("GAME-MONEY-3 registry", token.balanceOf(address(registry)), sums[2]);
        isEqual("GAME-MONEY-3 registry native", address(registry).balance, sums[3]);
    }

    /// @dev GAME-MONEY-4: fees of open demands and credits are what the court holds, no tokens.
    function checkCourtMoney() public view {
        uint256 native;
        for (uint256 i; i < _claims.length; ++i) {
            native += openDemands(_claims[i].id) * court.feeOf(_claims[i].terms.deal);
        }
        for (uint256 i; i < _people.length; ++i) {
            (, uint128 n) = court.credit(_people[i]);
            native += n;
        }
        isEqual("GAME-MONEY-4", token.balanceOf(address(court)), 0);
        isEqual("GAME-MONEY-4 native", address(court).balance, native);
    }

    function openDemands(ClaimId id) internal view returns (uint256 open) {
        if (court.docketOf(id).head == 0) return 0;
        for (uint24 n = 1; n <= court.docketOf(id).count; ++n) {
            if (court.demandOf(id, n).state == DemandState.OPEN) ++open;
        }
    }

    /// @dev GAME-HOLD, GAME-LIST: a claim's holds are its live challenges and open demands, its
    /// list the undefeated challenges. GAME-PRICE: none pays more than the terms', nor nothing.
    function checkClaims() public view {
        for (uint256 i; i < _claims.length; ++i) {
            Claimed storage c = _claims[i];
            ClaimRecord memory r = game.claimOf(c.id);
            uint256 live;
            uint24 before;
            for (uint24 n = 1; n <= r.count; ++n) {
                Challenge memory x = game.challengeOf(c.id, n);
                isTrue("GAME-PRICE", x.price >= 1 && x.price <= c.terms.deal.gasPrice);
                if (x.outcome == Outcome.DEFEATED) continue;
                isEqual("GAME-LIST prev", x.prev, before);
                if (before == 0) isEqual("GAME-LIST head", r.head, n);
                else isEqual("GAME-LIST next", game.challengeOf(c.id, before).next, n);
                (live, before) = (live + 1, n);
            }
            isEqual("GAME-LIST tail", r.tail, before);
            if (before == 0) isEqual("GAME-LIST empty", r.head, 0);
            JobState memory s = market.jobOf(c.hash);
            if (_claimOf[c.hash] == i + 1 && s.status == JobStatus.Committed) {
                isEqual("GAME-HOLD", s.holds, live + openDemands(c.id));
            }
            _checkVerdict(c, r, s, _claimOf[c.hash] == i + 1);
        }
    }

    /// @dev GAME-HONEST, GAME-LIE.
    function _checkVerdict(
        Claimed storage c,
        ClaimRecord memory r,
        JobState memory s,
        bool last
    ) private view {
        if (c.lie == Lie.NONE) isEqual("GAME-HONEST-1", r.fallen ? 1 : 0, c.illegal ? 1 : 0);
        if (c.pursued && last) isTrue("GAME-LIE-1", s.status != JobStatus.Finalized);
    }

    /// @dev GAME-HONEST-2: who holds the truth and moves in time is never defeated.
    function checkPlayers() public view {
        for (uint256 i; i < _players.length; ++i) {
            if (_players[i].role != Role.HONEST) continue;
            isTrue("GAME-HONEST-2", _challenge(_players[i]).outcome != Outcome.DEFEATED);
        }
    }

    function _challenge(Player storage p) internal view returns (Challenge memory) {
        return game.challengeOf(_claims[p.claim].id, p.number);
    }

    function isEqual(string memory property, uint256 got, uint256 wanted) internal pure {
        if (got != wanted) revert Unequal(property, got, wanted);
    }

    function isTrue(string memory property, bool holds) internal pure {
        if (!holds) revert Untrue(property);
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
        l.closeGas = uint32(BOUNTY_GAS);
        l.lateGas = uint32(LATE_GAS);
    }
}
