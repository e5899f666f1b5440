// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {DType} from "../types/Machine.sol";
import {AffineView, Cursor, Span} from "./AffineView.sol";

/// @title Exact sums of products of 16- and 8-bit integers
/// @notice Terms come in runs: along the innermost digit of the reduction index both operands are
/// contiguous and unguarded (a clause of legality). A run lies in memory as little-endian int16,
/// in place if one span holds all of it, else in a buffer, and is summed sixteen terms a word.
library DotProduct {
    /// @dev The low 16 of every 64 bits.
    uint256 private constant LANES = 0x000000000000FFFF000000000000FFFF000000000000FFFF000000000000FFFF;
    uint256 private constant LOW_BYTES =
        0x00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF;
    /// @dev Adds 32768 to sixteen int16, which makes them unsigned.
    uint256 private constant BIAS =
        0x8000800080008000800080008000800080008000800080008000800080008000;
    uint256 private constant LOW_HALVES =
        0x0000000000000000FFFFFFFFFFFFFFFF0000000000000000FFFFFFFFFFFFFFFF;

    /// @notice sum over k < n of a[k] * b[k]; int16 little-endian at memory addresses a and b,
    /// n <= 65536. Every value of the dtype is exact: |sum| <= 2^46.
    function sum(uint256 a, uint256 b, uint256 n) internal pure returns (int256 total) {
        uint256 products;
        uint256 values;
        assembly ("memory-safe") {
            let end := add(a, shl(1, n))
            for {} lt(a, end) {} {
                // Sixteen lanes each: bytes swapped within a lane, then biased to unsigned.
                let x := mload(a)
                x := xor(or(and(shr(8, x), LOW_BYTES), shl(8, and(x, LOW_BYTES))), BIAS)
                let y := mload(b)
                y := xor(or(and(shr(8, y), LOW_BYTES), shl(8, and(y, LOW_BYTES))), BIAS)
                a := add(a, 0x20)
                b := add(b, 0x20)
                if gt(a, end) {
                    // Lanes beyond the end count nothing: biased zero on both sides.
                    let live := not(shr(sub(256, shl(3, sub(a, end))), not(0)))
                    x := and(x, live)
                    y := and(y, live)
                }
                // The four 64-bit fields of y in reverse: then field 3 of a product of every
                // fourth lane is the sum of the four products of equal lanes. Lower fields stay
                // below 2^64 for 65536 terms and cannot carry into it.
                y := or(shl(128, y), shr(128, y))
                y := or(shl(64, and(y, LOW_HALVES)), and(shr(64, y), LOW_HALVES))
                let p := and(x, LANES)
                let q := and(y, LANES)
                products := add(products, mul(p, q))
                values := add(values, add(p, q))
                p := and(shr(16, x), LANES)
                q := and(shr(16, y), LANES)
                products := add(products, mul(p, q))
                values := add(values, add(p, q))
                p := and(shr(32, x), LANES)
                q := and(shr(32, y), LANES)
                products := add(products, mul(p, q))
                values := add(values, add(p, q))
                p := shr(48, x)
                q := shr(48, y)
                p := and(p, LANES)
                q := and(q, LANES)
                products := add(products, mul(p, q))
                values := add(values, add(p, q))
            }
            // (u - 2^15)(v - 2^15) = u v - 2^15 (u + v) + 2^30
            values := add(values, shr(128, values))
            values := and(add(values, shr(64, values)), 0xFFFFFFFFFFFFFFFF)
            total := add(sub(shr(192, products), shl(15, values)), shl(30, n))
        }
    }

    /// @notice Two buffers for runs of `n` elements, the second 2 n + 64 bytes behind the first.
    function buffers(uint256 n) internal pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := mload(0x40)
            mstore(0x40, add(at, add(shl(2, n), 0x80)))
        }
    }

    /// @notice Memory address of the `n` elements from `address_` on of the operand of `c`, as
    /// int16 little-endian; pads where the address is outside or `inside` is false.
    /// @param buffer memory of at least 2 n + 64 bytes, used if the elements do not lie ready
    function gather(Cursor memory c, int256 address_, bool inside, uint256 n, uint256 buffer)
        internal
        pure
        returns (uint256)
    {
        unchecked {
            bool wide = c.operand.dtype == DType.I16;
            if (inside && address_ >= 0 && uint256(address_) + n <= c.operand.count) {
                if (wide) {
                    (uint256 at, uint256 ready) = AffineView.locate(c, uint256(address_));
                    if (ready >= n) return at;
                }
            } else {
                _fill(buffer, c.pad, n);
                if (!inside) return buffer;
            }
            // Element k of the run is element address_ + k of the operand.
            int256 k = address_ < 0 ? -address_ : int256(0);
            int256 to = int256(c.operand.count) - address_;
            if (to > int256(n)) to = int256(n);
            while (k < to) {
                (uint256 at, uint256 ready) = AffineView.locate(c, uint256(address_ + k));
                uint256 count = uint256(to - k);
                if (ready < count) count = ready;
                if (wide) _copy(at, buffer + 2 * uint256(k), 2 * count);
                else _widen(at, buffer + 2 * uint256(k), count);
                k += int256(count);
            }
            return buffer;
        }
    }

    // --- internals ----------------------------------------------------------------------------

    /// @dev n copies of a register as int16 little-endian.
    function _fill(uint256 to, uint256 register, uint256 n) private pure {
        assembly ("memory-safe") {
            let lane := or(shl(8, and(register, 0xFF)), and(shr(8, register), 0xFF))
            let word := mul(lane, 0x0001000100010001000100010001000100010001000100010001000100010001)
            let end := add(to, shl(1, n))
            for {} lt(to, end) { to := add(to, 0x20) } { mstore(to, word) }
        }
    }

    /// @dev Copies `size` bytes and keeps what lies behind them.
    function _copy(uint256 from, uint256 to, uint256 size) private pure {
        assembly ("memory-safe") {
            let end := add(to, size)
            for {} iszero(gt(add(to, 0x20), end)) {} {
                mstore(to, mload(from))
                to := add(to, 0x20)
                from := add(from, 0x20)
            }
            let rest := shl(3, sub(end, to))
            let behind := shr(rest, not(0))
            mstore(to, or(and(mload(from), not(behind)), and(mload(to), behind)))
        }
    }

    /// @dev Copies n int8 as int16 and keeps what lies behind them.
    function _widen(uint256 from, uint256 to, uint256 n) private pure {
        assembly ("memory-safe") {
            let end := add(to, shl(1, n))
            for {} lt(to, end) {} {
                // Sixteen bytes, spread to the high byte of sixteen lanes.
                let x := shr(128, mload(from))
                x := and(or(shl(64, x), x), LOW_HALVES)
                x := and(
                    or(shl(32, x), x),
                    0x00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF
                )
                x := and(
                    or(shl(16, x), x),
                    0x0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF
                )
                x := and(or(shl(8, x), x), LOW_BYTES)
                // Low byte first: the value, then its sign eight times.
                let sign := and(shr(7, x), div(LOW_BYTES, 0xFF))
                x := or(shl(8, x), mul(sign, 0xFF))
                switch gt(add(to, 0x20), end)
                case 0 { mstore(to, x) }
                default {
                    let behind := shr(shl(3, sub(end, to)), not(0))
                    mstore(to, or(and(x, not(behind)), and(mload(to), behind)))
                }
                to := add(to, 0x20)
                from := add(from, 0x10)
            }
        }
    }
}
