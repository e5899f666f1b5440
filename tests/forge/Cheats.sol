// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @notice Forge's cheat codes for time, money and callers.
interface Cheats {
    function warp(uint256 time) external;
    function fee(uint256 baseFee) external;
    function deal(address account, uint256 balance) external;
    function prank(address sender) external;
    function expectRevert(bytes calldata error) external;
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function getNonce(address account) external view returns (uint64);
}

Cheats constant cheats = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));
