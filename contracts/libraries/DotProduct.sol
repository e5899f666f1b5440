// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {AffineView, Cursor} from "./AffineView.sol";

/// @title Exact sums of products of 16- and 8-bit integers
/// @notice Terms come in runs: along the innermost digit of the reduction index both operands are
/// contiguous and unguarded (a clause of legality). A run lies in memory in its committed bytes, in
/// place if one span holds all of it, else in a buffer; int8 against int16 is widened. A word at a
/// time is summed.
library DotProduct {
    uint256 private constant LOW_BYTES =
        0x00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF;
    /// @dev The low 32 of every 64 bits, the low 64 of every 128.
    uint256 private constant LOW_QUARTERS =
        0x00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF;
    uint256 private constant LOW_HALVES =
        0x0000000000000000FFFFFFFFFFFFFFFF0000000000000000FFFFFFFFFFFFFFFF;
    /// @dev The second and the third 64.
    uint256 private constant QUARTER1 =
        0x0000000000000000FFFFFFFFFFFFFFFF00000000000000000000000000000000;
    uint256 private constant QUARTER2 =
        0x00000000000000000000000000000000FFFFFFFFFFFFFFFF0000000000000000;
    /// @dev The low 16, or 8, of every 32 bits: eight lanes.
    uint256 private constant LANES16 =
        0x0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF;
    uint256 private constant LANES8 =
        0x000000FF000000FF000000FF000000FF000000FF000000FF000000FF000000FF;
    /// @dev Turns lanes to unsigned by adding 2^15, or 2^7, to each ...
    uint256 private constant FLIP16 =
        0x8000800080008000800080008000800080008000800080008000800080008000;
    uint256 private constant FLIP8 =
        0x8080808080808080808080808080808080808080808080808080808080808080;
    /// @dev ... in the bytes of memory the sign is in the second of a lane's ...
    uint256 private constant FLIP16_OF_MEMORY =
        0x0080008000800080008000800080008000800080008000800080008000800080;
    /// @dev ... which is subtracted again where a lane stands alone in 32 bits.
    uint256 private constant BIAS16 =
        0x0000800000008000000080000000800000008000000080000000800000008000;
    uint256 private constant BIAS8 =
        0x0000008000000080000000800000008000000080000000800000008000000080;
    /// @dev Half of 2^224: rounds to nearest, for the lower coefficients may be negative together.
    uint256 private constant HALF =
        0x0000000080000000000000000000000000000000000000000000000000000000;

    /// @dev Bytes of the terms of which the coefficients stay below 2^31: 256 * 2^15 * 255.
    uint256 private constant CHUNK16 = 512;

    /// @notice sum over k < n of a[k] * b[k]; int16 little-endian at memory addresses a and b,
    /// n <= 65536. Exact for every value: |sum| <= 2^46.
    ///
    /// Eight lanes of a word make a number x7 2^224 + ... + x1 2^32 + x0, those of the other in
    /// reverse; the coefficient of 2^224 in the product is the sum of eight products. The lower
    /// ones stay below 2^31, so that products are added up first and that coefficient is read once.
    /// For that b comes a byte at a time: b = 256 high + low, of which high has the sign.
    function sum16(uint256 a, uint256 b, uint256 n) internal pure returns (int256 total) {
        unchecked {
            uint256 end = a + (2 * n & ~uint256(63));
            total = _words16(a, b, end);
            if (n % 32 == 0) return total;
            // The last two words, lanes behind the end zero.
            assembly ("memory-safe") {
                mstore(0x00, 0)
                mstore(0x20, 0)
            }
            _copy(end, 0x00, 2 * (n % 32));
            total += _words16(0x00, b + (end - a), 0x40);
        }
    }

    /// @dev Of the words from `a` to `end`, an even number: twice the same for each two.
    function _words16(uint256 a, uint256 b, uint256 end) private pure returns (int256 total) {
        assembly ("memory-safe") {
            // On the stack they are short to name.
            let lanes16 := LANES16
            let bias16 := BIAS16
            let lanes8 := LANES8
            let bias8 := BIAS8
            b := sub(b, a)
            for {} lt(a, end) {} {
                let low := HALF
                let high := HALF
                let until := add(a, CHUNK16)
                if gt(until, end) { until := end }
                for {} lt(a, until) {} {
                    {
                        // Bytes swapped within sixteen lanes, then unsigned.
                        let x := mload(a)
                        x := xor(or(and(shr(8, x), LOW_BYTES), shl(8, and(x, LOW_BYTES))), FLIP16)
                        // Pairs of lanes in reverse.
                        let y := xor(mload(add(a, b)), FLIP16_OF_MEMORY)
                        y := or(
                            or(shl(192, y), shr(192, y)),
                            or(and(shl(64, y), QUARTER1), and(shr(64, y), QUARTER2))
                        )
                        y := or(shl(32, and(y, LOW_QUARTERS)), and(shr(32, y), LOW_QUARTERS))
                        // The first of two lanes, then the other.
                        let z := sub(and(shr(16, x), lanes16), bias16)
                        low := add(low, mul(z, and(shr(24, y), lanes8)))
                        high := add(high, mul(z, sub(and(shr(16, y), lanes8), bias8)))
                        z := sub(and(x, lanes16), bias16)
                        low := add(low, mul(z, and(shr(8, y), lanes8)))
                        high := add(high, mul(z, sub(and(y, lanes8), bias8)))
                    }
                    a := add(a, 0x20)
                    {
                        let x := mload(a)
                        x := xor(or(and(shr(8, x), LOW_BYTES), shl(8, and(x, LOW_BYTES))), FLIP16)
                        let y := xor(mload(add(a, b)), FLIP16_OF_MEMORY)
                        y := or(
                            or(shl(192, y), shr(192, y)),
                            or(and(shl(64, y), QUARTER1), and(shr(64, y), QUARTER2))
                        )
                        y := or(shl(32, and(y, LOW_QUARTERS)), and(shr(32, y), LOW_QUARTERS))
                        let z := sub(and(shr(16, x), lanes16), bias16)
                        low := add(low, mul(z, and(shr(24, y), lanes8)))
                        high := add(high, mul(z, sub(and(shr(16, y), lanes8), bias8)))
                        z := sub(and(x, lanes16), bias16)
                        low := add(low, mul(z, and(shr(8, y), lanes8)))
                        high := add(high, mul(z, sub(and(y, lanes8), bias8)))
                    }
                    a := add(a, 0x20)
                }
                total := add(total, add(sar(224, low), shl(8, sar(224, high))))
            }
        }
    }

    /// @notice The same for int8: thirty-two lanes a word, every fourth in a number; no chunks, for
    /// all products together stay below 2^31.
    function sum8(uint256 a, uint256 b, uint256 n) internal pure returns (int256 total) {
        assembly ("memory-safe") {
            total := HALF
            let end := add(a, n)
            for {} lt(a, end) {} {
                let x := xor(mload(a), FLIP8)
                let y := xor(mload(b), FLIP8)
                a := add(a, 0x20)
                b := add(b, 0x20)
                if gt(a, end) {
                    // Lanes behind the end become zero.
                    let behind := sub(shl(shl(3, sub(a, end)), 1), 1)
                    x := or(and(x, not(behind)), and(FLIP8, behind))
                }
                y := or(shl(128, y), shr(128, y))
                y := or(shl(64, and(y, LOW_HALVES)), and(shr(64, y), LOW_HALVES))
                y := or(shl(32, and(y, LOW_QUARTERS)), and(shr(32, y), LOW_QUARTERS))
                for { let k := 0 } lt(k, 32) { k := add(k, 8) } {
                    total := add(
                        total,
                        mul(
                            sub(and(shr(k, x), LANES8), BIAS8),
                            sub(and(shr(k, y), LANES8), BIAS8)
                        )
                    )
                }
            }
            total := sar(224, total)
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
    /// little-endian integers of 2^lane bytes; pads where an address is outside or `inside` false.
    /// @param buffer for elements that do not lie ready
    function gather(
        Cursor memory c,
        int256 address_,
        bool inside,
        uint256 n,
        uint256 buffer,
        uint256 lane
    ) internal pure returns (uint256) {
        unchecked {
            bool asIs = c.bits == lane;
            if (inside && address_ >= 0 && uint256(address_) + n <= c.count) {
                if (asIs) {
                    (uint256 at, uint256 ready) = AffineView.locate(c, uint256(address_));
                    if (ready >= n) return at;
                }
            } else {
                _fill(buffer, c.pad, n << lane, lane);
                if (!inside) return buffer;
            }
            // Element k of the run is element address_ + k of the operand.
            int256 k = address_ < 0 ? -address_ : int256(0);
            int256 to = int256(c.count) - address_;
            if (to > int256(n)) to = int256(n);
            while (k < to) {
                (uint256 at, uint256 ready) = AffineView.locate(c, uint256(address_ + k));
                uint256 count = uint256(to - k);
                if (ready < count) count = ready;
                uint256 place = buffer + (uint256(k) << lane);
                if (asIs) _copy(at, place, count << lane);
                else _widen(at, place, count);
                k += int256(count);
            }
            return buffer;
        }
    }

    // --- internals ----------------------------------------------------------------------------

    /// @dev `size` bytes of copies of a register, little-endian of 2^lane bytes.
    function _fill(uint256 to, uint256 register, uint256 size, uint256 lane) private pure {
        assembly ("memory-safe") {
            let low := and(register, 0xFF)
            let high := and(shr(8, register), 0xFF)
            if iszero(lane) { high := low }
            let word := mul(or(shl(8, low), high), div(not(0), 0xFFFF))
            let end := add(to, size)
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
