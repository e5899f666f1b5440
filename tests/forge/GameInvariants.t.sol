// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {GameDemands} from "./GameDemands.sol";
import {GameHandler} from "./GameHandler.sol";
import {GamePlayers} from "./GamePlayers.sol";

/// @notice The dispute game with market and registry under any order of everybody's calls.
/// The properties are listed with their sentences in tests/PROPERTIES.md.
contract GameInvariants {
    error TooFewAccepted(uint256 call, uint256 got, uint256 wanted);

    uint256 private constant CALLS = 22;

    GameHandler private _handler;

    function setUp() public {
        _handler = new GameHandler();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_handler), selectors());
    }

    function invariant_money_is_conserved_and_the_honest_side_wins() public view {
        _handler.checkGameMoney();
        _handler.checkOtherMoney();
        _handler.checkCourtMoney();
        _handler.checkClaims();
        _handler.checkPlayers();
    }

    /// @dev Runs after each sequence: whatever happened, everything can leave.
    function afterInvariant() public {
        _handler.windDown();
    }

    /// @dev GAME-COUNT: long campaigns reach every call, with the properties checked on the way and
    /// everything withdrawn at their ends. The seeds are fixed, so the counts are too.
    function test_campaign__every_call__is_accepted() public {
        uint256[CALLS] memory got;
        uint256 total;
        for (uint256 seed = 1; seed <= 4; seed++) {
            GameHandler handler = new GameHandler();
            _campaign(handler, seed);
            for (uint256 c = 0; c < CALLS; c++) {
                got[c] += handler.accepted(GamePlayers.Call(c));
                total += handler.accepted(GamePlayers.Call(c));
            }
            handler.windDown();
        }
        for (uint256 c = 0; c < CALLS; c++) {
            if (got[c] < 6) revert TooFewAccepted(c, got[c], 6);
        }
        if (total < 800) revert TooFewAccepted(CALLS, total, 800);
    }

    function _campaign(GameHandler handler, uint256 seed) private {
        bytes4[] memory all = selectors();
        for (uint256 n = 0; n < 900; n++) {
            uint256 r = uint256(keccak256(abi.encode(seed, n)));
            (bool ok, bytes memory answer) =
                address(handler).call(abi.encodePacked(all[r % all.length], r >> 8));
            if (!ok) {
                assembly ("memory-safe") {
                    revert(add(answer, 32), mload(answer))
                }
            }
            if (n % 20 == 0) {
                handler.checkGameMoney();
                handler.checkOtherMoney();
                handler.checkCourtMoney();
                handler.checkClaims();
                handler.checkPlayers();
            }
        }
    }

    /// @dev The calls of the campaign; those that move a dispute forward come more often.
    function selectors() public pure returns (bytes4[] memory all) {
        bytes4[17] memory once = [
            GameHandler.claim.selector,
            GameHandler.challenge.selector,
            GameHandler.answer.selector,
            GameHandler.move.selector,
            GameHandler.timeoutProvider.selector,
            GameHandler.timeoutChallengers.selector,
            GameHandler.finalize.selector,
            GameHandler.collect.selector,
            GameHandler.withdraw.selector,
            GameHandler.tick.selector,
            GameHandler.actOnFallen.selector,
            GameDemands.demand.selector,
            GameDemands.answerDemand.selector,
            GameDemands.timeoutDemand.selector,
            GameDemands.collectFees.selector,
            GameDemands.proveIllegal.selector,
            GameDemands.openUnasked.selector
        ];
        all = new bytes4[](once.length + 22);
        for (uint256 i = 0; i < once.length; i++) {
            all[i] = once[i];
        }
        for (uint256 i = 0; i < 5; i++) {
            all[17 + i] = GameHandler.move.selector;
            all[22 + i] = GameHandler.answer.selector;
        }
        for (uint256 i = 0; i < 4; i++) {
            all[27 + i] = GameHandler.challenge.selector;
        }
        for (uint256 i = 0; i < 2; i++) {
            all[31 + i] = GameHandler.claim.selector;
            all[33 + i] = GameHandler.timeoutProvider.selector;
            all[35 + i] = GameDemands.demand.selector;
            all[37 + i] = GameDemands.timeoutDemand.selector;
        }
    }
}
