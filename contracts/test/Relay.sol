// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title A contract that makes its owner's calls
/// @notice For tests: what a wallet, a bundler or a searcher is. The calls that it makes are seen
/// in events alone: the transaction's input is its own.
contract Relay {
    address public immutable OWNER;

    error NotOwner();

    constructor() {
        OWNER = msg.sender;
    }

    receive() external payable {}

    /// @notice Make calls in order, the first with the native money sent along; a revert of one is
    /// this call's.
    function forward(address target, bytes[] calldata calls) external payable {
        if (msg.sender != OWNER) revert NotOwner();
        uint256 value = msg.value;
        for (uint256 k; k < calls.length; ++k) {
            (bool ok, bytes memory answer) = target.call{value: value}(calls[k]);
            if (!ok) {
                assembly ("memory-safe") {
                    revert(add(answer, 32), mload(answer))
                }
            }
            value = 0;
        }
    }
}
