// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Money that settlement owes
/// @notice Settlement never pays: it adds to a credit, and whoever owns the credit takes it.
/// So no payee, and no token that refuses one, can stop anybody else. The market, the registry
/// and the game each hold their own money and their own credits.
/// Assumption: the token is a standard ERC-20 whose balances change only by transfers; one that
/// keeps a fee, or reports another amount than it moved, is refused at entry.
interface ICredits {
    /// @notice `account` took `amount` tokens of its credit; they went to `to`.
    event Withdrawn(address indexed account, address indexed to, uint256 amount);

    /// @notice `account` took `amount` wei of its credit; they went to `to`.
    event NativeWithdrawn(address indexed account, address indexed to, uint256 amount);

    /// @notice The credit of `account` is too small; withdraw at most `got`.
    error CreditTooLow(address account, uint256 got, uint256 wanted);

    /// @notice The receiver refused native money; name another.
    error NativeRefused(address to, uint256 amount);

    /// @notice The token moved `got` instead of `wanted`: it keeps a fee or lies. Not usable here.
    error TokenMoved(uint256 got, uint256 wanted);

    /// @notice The amount does not fit its packed field; use at most `most`.
    error AmountTooLarge(uint256 got, uint256 most);

    /// @notice The zero address cannot be meant.
    error ZeroAddress();

    /// @notice The ERC-20 of this deployment.
    function TOKEN() external view returns (address);

    /// @notice What `account` may withdraw: tokens and wei.
    function credit(address account) external view returns (uint128 token, uint128 native);

    /// @notice Take `amount` tokens of the caller's credit, sent to `to`.
    /// Reverts: `CreditTooLow`, `ZeroAddress`, or with the token's own error.
    function withdraw(address to, uint256 amount) external;

    /// @notice Take `amount` wei of the caller's credit, sent to `to`.
    /// Reverts: `CreditTooLow`, `ZeroAddress`, `NativeRefused`.
    function withdrawNative(address payable to, uint256 amount) external;

    /// @notice Send everything credited to the dead address there. Anyone may.
    function sweepBurned() external;
}
