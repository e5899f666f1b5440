// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {ITokenHook} from "./BadTokens.sol";

/// @title Does one call, and a second one from inside whatever calls it back
/// @notice For tests of reentrancy: receives native money and token hooks.
contract Attacker is ITokenHook {
    address private _target;
    bytes private _again;
    uint256 public reentered;
    bool public lastSucceeded;
    bool public refuses;

    error Refused();

    receive() external payable {
        if (refuses) revert Refused();
        _strike();
    }

    function onToken() external {
        _strike();
    }

    /// @notice Prepare the call to make when called back; it is made once.
    function arm(address target, bytes calldata again) external {
        _target = target;
        _again = again;
        reentered = 0;
    }

    /// @notice Refuse native money from now on.
    function refuse() external {
        refuses = true;
    }

    function approve(address token, address spender, uint256 amount) external {
        IERC20(token).approve(spender, amount);
    }

    /// @notice Make a call with the native money sent along; its revert is this call's.
    function act(address target, bytes calldata data) external payable {
        (bool ok, bytes memory answer) = target.call{value: msg.value}(data);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
    }

    function _strike() private {
        if (_target == address(0) || reentered != 0) return;
        reentered = 1;
        (lastSucceeded,) = _target.call(_again);
    }
}
