// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title What the market and the registry expect of a dispute game
/// @notice They call nothing in it: the game calls them, and they obey only its address, which each
/// holds as an immutable (a CREATE address predicted at deployment). A game promises to
///  1. call `IJobMarket.hold` once for each challenge and each demand it opens, and to end each
///     by exactly one `release`, or all at once by one `reject` or `voidJob`;
///  2. call `IProviderRegistry.queueOpening` once a claim, at its first challenge;
///  3. call `reject` for the first valid fault of a claim only, with the payouts of every
///     undefeated challenger it rewards or makes whole (at most 16 lines), and never act on that
///     claim again;
///  4. give every wait of its own a clock, and every clock a permissionless paid call.
/// It identifies a claim by `ClaimId`, which binds chain, market, job, attempt, provider, range and
/// result; it takes terms as `(Task, Deal)` in calldata and checks them by `IJobMarket.hashJob`.
interface IJudge {
    /// @notice The market whose claims it judges.
    function MARKET() external view returns (address);

    /// @notice The registry whose opening queue it advances.
    function REGISTRY() external view returns (address);
}
