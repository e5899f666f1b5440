// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {ICredits} from "./interfaces/ICredits.sol";
import {DEAD} from "./types/Constants.sol";

/// @title Money that settlement owes
abstract contract Credits is ICredits {
    using SafeERC20 for IERC20;

    /// @inheritdoc ICredits
    address public immutable TOKEN;

    /// @dev Tokens in the low half of the word, wei in the high half.
    mapping(address account => uint256) private _credits;

    constructor(address token) {
        // INVARIANT: there is a token.
        if (token == address(0)) revert ZeroAddress();
        TOKEN = token;
    }

    /// @inheritdoc ICredits
    function credit(address account) public view returns (uint128 token, uint128 native) {
        uint256 word = _credits[account];
        return (uint128(word), uint128(word >> 128));
    }

    /// @inheritdoc ICredits
    function withdraw(address to, uint256 amount) external {
        // INVARIANT: nothing is sent where nobody can be meant.
        if (to == address(0)) revert ZeroAddress();
        _debit(msg.sender, amount, 0);
        emit Withdrawn(msg.sender, to, amount);
        IERC20(TOKEN).safeTransfer(to, amount);
    }

    /// @inheritdoc ICredits
    function withdrawNative(address payable to, uint256 amount) external {
        // INVARIANT: nothing is sent where nobody can be meant.
        if (to == address(0)) revert ZeroAddress();
        _debit(msg.sender, 0, amount);
        emit NativeWithdrawn(msg.sender, to, amount);
        _send(to, amount);
    }

    /// @inheritdoc ICredits
    function sweepBurned() external {
        (uint256 token, uint256 native) = credit(DEAD);
        _debit(DEAD, token, native);
        emit Withdrawn(DEAD, DEAD, token);
        emit NativeWithdrawn(DEAD, DEAD, native);
        IERC20(TOKEN).safeTransfer(DEAD, token);
        _send(payable(DEAD), native);
    }

    /// @dev Overflow of a half would take 2^128 units in one account: more than entries admit.
    function _credit(address account, uint256 token, uint256 native) internal {
        (uint256 oldToken, uint256 oldNative) = credit(account);
        _write(account, oldToken + token, oldNative + native);
    }

    function _debit(address account, uint256 token, uint256 native) internal {
        (uint256 oldToken, uint256 oldNative) = credit(account);
        // INVARIANT: nobody takes more than its own.
        if (token > oldToken) revert CreditTooLow(account, oldToken, token);
        if (native > oldNative) revert CreditTooLow(account, oldNative, native);
        _write(account, oldToken - token, oldNative - native);
    }

    /// @dev Brings exactly `amount` tokens in. The exact difference also refuses a call that a
    /// token with hooks makes into this contract from inside its own transfer, if it moves money.
    function _pull(address from, uint256 amount) internal {
        uint256 before = IERC20(TOKEN).balanceOf(address(this));
        IERC20(TOKEN).safeTransferFrom(from, address(this), amount);
        uint256 moved = IERC20(TOKEN).balanceOf(address(this)) - before;
        // INVARIANT: what is tracked came in.
        if (moved != amount) revert TokenMoved(moved, amount);
    }

    function _write(address account, uint256 token, uint256 native) private {
        uint256 most = type(uint128).max;
        // INVARIANT: neither half of the word spills into the other.
        if (token > most) revert AmountTooLarge(token, most);
        if (native > most) revert AmountTooLarge(native, most);
        _credits[account] = token | (native << 128);
    }

    function _send(address payable to, uint256 amount) private {
        (bool sent,) = to.call{value: amount}("");
        // INVARIANT: a credit shrinks only by what left.
        if (!sent) revert NativeRefused(to, amount);
    }
}
