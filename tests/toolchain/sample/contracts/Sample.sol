// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.34;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {IERC20, SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @notice Uses each part of OpenZeppelin that the project uses, so that a version or a compiler
/// that cannot build them for the chosen EVM shows here.
contract Sample is ERC20Permit, ReentrancyGuard {
    using SafeERC20 for IERC20;

    error Zero(address to);

    constructor(uint256 supply) ERC20("Sample", "SMP") ERC20Permit("Sample") {
        _mint(msg.sender, supply);
    }

    function pay(IERC20 token, address to, uint256 amount) external nonReentrant {
        if (amount == 0) revert Zero(to);
        token.safeTransferFrom(msg.sender, to, amount);
    }

    function signed(address by, bytes32 what, bytes memory by_) external view returns (bool) {
        return SignatureChecker.isValidSignatureNow(by, what, by_);
    }
}
