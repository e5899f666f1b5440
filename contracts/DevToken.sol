// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title Play money for local chains
/// @notice Anybody may mint any amount: never deploy it where money means something. The market
/// takes any standard ERC-20.
contract DevToken is ERC20, ERC20Permit {
    constructor() ERC20("Assay Dev Token", "ADT") ERC20Permit("Assay Dev Token") {}

    /// @notice Create `amount` tokens for `to`.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}
