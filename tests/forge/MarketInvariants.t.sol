// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {MarketHandler} from "./MarketHandler.sol";

/// @notice Money and states of market and registry under any order of everybody's calls.
/// The properties are listed with their sentences in tests/PROPERTIES.md.
contract MarketInvariants {
    error TooFewAccepted(uint256 call, uint256 got, uint256 wanted);

    MarketHandler private _handler;

    function setUp() public {
        _handler = new MarketHandler();
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

    function invariant_money_is_conserved() public view {
        _handler.checkMarketMoney();
        _handler.checkRegistryMoney();
    }

    function invariant_states_move_along_the_table() public view {
        _handler.checkStates();
        _handler.checkBacklogs();
    }

    /// @dev Runs after each sequence: whatever happened, everything can leave.
    function afterInvariant() public {
        _handler.windDown();
    }

    /// @dev COUNT-1: long campaigns reach every call, with the properties checked on the way and
    /// everything withdrawn at their ends. The seeds are fixed, so the counts are too.
    function test_campaign__every_call__is_accepted() public {
        uint256[19] memory got;
        for (uint256 seed = 1; seed <= 4; seed++) {
            MarketHandler handler = new MarketHandler();
            _campaign(handler, seed);
            for (uint256 c = 0; c <= uint256(MarketHandler.Call.Sweep); c++) {
                got[c] += handler.accepted(MarketHandler.Call(c));
                got[18] += handler.accepted(MarketHandler.Call(c));
            }
            handler.windDown();
        }
        for (uint256 c = 0; c < 18; c++) {
            if (got[c] < 10) revert TooFewAccepted(c, got[c], 10);
        }
        if (got[18] < 1300) revert TooFewAccepted(18, got[18], 1300);
    }

    function _campaign(MarketHandler handler, uint256 seed) private {
        bytes4[] memory all = selectors();
        for (uint256 n = 0; n < 800; n++) {
            uint256 r = uint256(keccak256(abi.encode(seed, n)));
            (bool ok, bytes memory answer) =
                address(handler).call(abi.encodePacked(all[r % all.length], r >> 8));
            if (!ok) {
                assembly ("memory-safe") {
                    revert(add(answer, 32), mload(answer))
                }
            }
            if (n % 20 == 0) {
                handler.checkMarketMoney();
                handler.checkRegistryMoney();
                handler.checkStates();
                handler.checkBacklogs();
            }
        }
    }

    /// @dev The calls of the campaign; those that move a job forward come more often.
    function selectors() public pure returns (bytes4[] memory all) {
        bytes4[19] memory once = [
            MarketHandler.postFromCredit.selector,
            MarketHandler.cancel.selector,
            MarketHandler.deposit.selector,
            MarketHandler.stake.selector,
            MarketHandler.unbond.selector,
            MarketHandler.claimUnbonded.selector,
            MarketHandler.finalize.selector,
            MarketHandler.refund.selector,
            MarketHandler.slashLate.selector,
            MarketHandler.withdraw.selector,
            MarketHandler.sweepBurned.selector,
            MarketHandler.tick.selector,
            MarketHandler.hold.selector,
            MarketHandler.release.selector,
            MarketHandler.reject.selector,
            MarketHandler.voidJob.selector,
            MarketHandler.post.selector,
            MarketHandler.accept.selector,
            MarketHandler.commit.selector
        ];
        all = new bytes4[](once.length + 9);
        for (uint256 i = 0; i < once.length; i++) {
            all[i] = once[i];
        }
        all[19] = MarketHandler.post.selector;
        all[20] = MarketHandler.hold.selector;
        for (uint256 i = 0; i < 3; i++) {
            all[21 + i] = MarketHandler.accept.selector;
            all[24 + i] = MarketHandler.commit.selector;
        }
        all[27] = MarketHandler.release.selector;
    }
}
