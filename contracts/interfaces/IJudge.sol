// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title What the market and the registry expect of their judges
/// @notice There are two, the dispute game and the court. Market and registry call nothing in them:
/// the judges call, and are obeyed for their addresses alone, which are immutables (CREATE
/// addresses predicted at deployment). The judges promise to
///  1. call `IJobMarket.hold` once for each challenge (the game) and each demand (the court), and
///     end each by exactly one `release`, or all at once by one `reject` or `voidJob`;
///  2. call `IProviderRegistry.queueOpening` once a claim, at its first challenge (the game);
///  3. call `reject` or `voidJob` for the first valid fault of a claim only, with the payouts of
///     every undefeated challenger they reward or make whole (at most 16 lines), and never act on
///     that claim again: a claim has fallen when the game says so, which the court tells it;
///  4. give every wait of their own a clock, and every clock a permissionless paid call.
/// They identify a claim by `ClaimId`, which binds chain, market, job, attempt, provider, range and
/// result; they take terms as `(Task, Deal)` in calldata and check them by `IJobMarket.hashJob`.
interface IJudge {
    /// @notice The market whose claims it judges.
    function MARKET() external view returns (address);

    /// @notice The registry whose opening queue it advances.
    function REGISTRY() external view returns (address);
}
