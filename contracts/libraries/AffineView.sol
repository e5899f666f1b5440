// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {DType, NONE8, WORD} from "../types/Machine.sol";
import {Float32} from "./Float32.sol";

/// @notice Proven bytes [from, to) of an operand, at memory address `data`.
struct Span {
    uint256 from;
    uint256 to;
    uint256 data;
}

/// @notice What is known of one operand.
struct Operand {
    uint256 slot;
    bool isFloat;
    uint256 bits; // base-2 logarithm of the bytes of an element
    uint256 count; // elements
    Span[] spans; // ascending
}

/// @notice A view at one output element: what depends on i alone is worked out.
struct Cursor {
    Operand operand;
    uint256 count; // of the operand's elements
    uint256 bits; // base-2 logarithm of the bytes of one
    bool isFloat;
    uint256 from; // first element of the span that the last load found,
    uint256 size; // elements of it (none before the first load),
    uint256 data; // where it lies in memory
    uint256 pad; // as a register
    int256 base; // address at r = 0
    int256 stride; // of the first digit of r
    uint256 rdigitsAt; // calldata offset
    uint256 guards; // number of them
    int256 guard0;
    int256 bound0;
    int256 guard1;
    int256 bound1;
}

/// @title Affine addresses into operands, and the loads at them
/// @notice Twin of `Frame.load` in protocol/spec/operations.py. Numbers of an encoding are below
/// 2^64, so that no sum here comes near 2^255; a zero radix (illegal) divides to zero.
library AffineView {
    /// @dev Where a digit's word holds its stride and its weights in the guards.
    uint256 private constant STRIDE = 128;
    uint256 private constant GUARD0 = 64;
    uint256 private constant GUARD1 = 0;
    /// @dev Offsets of fields of a Cursor.
    uint256 private constant FROM = 0x80;
    uint256 private constant DATA = 0xC0;

    /// @notice No proof covers element `at` of operand `slot`.
    error BlockMissing(uint256 slot, uint256 at);
    /// @notice A view or a bound names operand `slot`, the template has `slots`.
    error NoSuchOperand(uint256 slot, uint256 slots);

    /// @notice The view at calldata offset `at`, for output element `i`.
    /// @param at calldata offset of the view
    /// @param i flattened output index
    function open(Operand[] memory operands, uint256 at, uint256 i)
        internal
        pure
        returns (Cursor memory c)
    {
        unchecked {
            uint256 head = _word(at);
            uint256 slot = head >> 248;
            if (slot >= operands.length) revert NoSuchOperand(slot, operands.length);
            _point(c, operands[slot]);
            c.pad = literal(c.isFloat, int64(uint64(head >> 64)));
            c.base = int64(uint64(head >> 128));
            uint256 digits = uint8(head >> 240);
            c.guards = uint8(head >> 232);
            if (c.guards > 0) {
                at += WORD;
                (c.guard0, c.bound0) = _guard(operands, _word(at));
            }
            if (c.guards > 1) {
                at += WORD;
                (c.guard1, c.bound1) = _guard(operands, _word(at));
            }
            at += WORD;
            c.rdigitsAt = at + digits * WORD;
            c.stride = int64(uint64(_word(c.rdigitsAt) >> STRIDE));
            c.base += _weighed(at, digits, i, STRIDE);
            if (c.guards > 0) c.guard0 += _weighed(at, digits, i, GUARD0);
            if (c.guards > 1) c.guard1 += _weighed(at, digits, i, GUARD1);
        }
    }

    /// @notice Where the view points at reduction index `r` of `rdigits` digits.
    /// @return address_ in elements
    /// @return inside whether every guard holds
    function addressAt(Cursor memory c, uint256 rdigits, uint256 r)
        internal
        pure
        returns (int256 address_, bool inside)
    {
        unchecked {
            address_ = c.base + _weighed(c.rdigitsAt, rdigits, r, STRIDE);
            inside = c.guards == 0 || _inside(c, rdigits, r);
        }
    }

    /// @notice Whether address or guards of a view depend on r.
    function moves(Cursor memory c, uint256 rdigits) internal pure returns (bool) {
        uint256 weights;
        for (uint256 k; k < rdigits; ++k) {
            weights |= _word(c.rdigitsAt + k * WORD) << 64;
        }
        return weights != 0;
    }

    /// @notice The register that a load at `r` yields, `beyond` elements behind the address there.
    function load(Cursor memory c, uint256 rdigits, uint256 r, int256 beyond)
        internal
        pure
        returns (uint256)
    {
        unchecked {
            // A single digit of r is r itself; without any, r is 0.
            int256 n = c.base + beyond;
            if (rdigits < 2) n += c.stride * int256(r);
            else n += _weighed(c.rdigitsAt, rdigits, r, STRIDE);
            if (c.guards != 0 && !_inside(c, rdigits, r)) return c.pad;
            // A negative address is a huge unsigned one.
            uint256 k = uint256(n) - c.from;
            if (k >= c.size) {
                if (uint256(n) >= c.count) return c.pad;
                _find(c, uint256(n));
                k = uint256(n) - c.from;
            }
            uint256 at = c.data + (k << c.bits);
            return c.isFloat ? Float32.read(at) : _integer(at, c.bits);
        }
    }

    /// @notice Where element `n` of an operand lies in memory.
    /// @return at memory address
    /// @return ready elements from there on that lie behind one another
    function locate(Cursor memory c, uint256 n) internal pure returns (uint256 at, uint256 ready) {
        unchecked {
            uint256 k = n - c.from;
            if (k >= c.size) {
                _find(c, n);
                k = n - c.from;
            }
            return (c.data + (k << c.bits), c.size - k);
        }
    }

    /// @notice Element 0 of an i64 operand: a live bound.
    function live(Operand[] memory operands, uint256 slot) internal pure returns (int256) {
        if (slot >= operands.length) revert NoSuchOperand(slot, operands.length);
        Cursor memory c;
        _point(c, operands[slot]);
        return int256(load(c, 0, 0, 0));
    }

    /// @notice A pad or dead value as a register.
    function literal(bool isFloat, int256 value) internal pure returns (uint256) {
        return isFloat ? Float32.canonical(uint32(uint256(value))) : uint256(value);
    }

    /// @notice A register as the bits of an element: integers keep their low bits.
    function store(DType dtype, uint256 register) internal pure returns (uint256) {
        return register & (type(uint256).max >> (256 - (8 << sizeBits(dtype))));
    }

    /// @notice Base-2 logarithm of the bytes of an element.
    function sizeBits(DType dtype) internal pure returns (uint256) {
        if (dtype == DType.I64) return 3;
        if (dtype == DType.I16) return 1;
        return dtype == DType.I8 ? 0 : 2;
    }

    // --- internals ----------------------------------------------------------------------------

    function _point(Cursor memory c, Operand memory operand) private pure {
        c.operand = operand;
        (c.count, c.bits, c.isFloat) = (operand.count, operand.bits, operand.isFloat);
    }

    /// @dev Sum of the digits of n, the first of which is described by the word at `first`, each
    /// times the 64-bit number `shift` bits up in its word.
    function _weighed(uint256 first, uint256 digits, uint256 n, uint256 shift)
        private
        pure
        returns (int256 sum)
    {
        assembly ("memory-safe") {
            for { let at := add(first, shl(5, digits)) } gt(at, first) {} {
                at := sub(at, 0x20)
                let w := calldataload(at)
                let radix := shr(192, w)
                sum := add(sum, mul(mod(n, radix), signextend(7, shr(shift, w))))
                n := div(n, radix)
            }
        }
    }

    /// @dev Whether every guard holds; there is at least one.
    function _inside(Cursor memory c, uint256 rdigits, uint256 r) private pure returns (bool) {
        unchecked {
            int256 g = c.guard0 + _weighed(c.rdigitsAt, rdigits, r, GUARD0);
            if (g < 0 || g >= c.bound0) return false;
            if (c.guards == 1) return true;
            g = c.guard1 + _weighed(c.rdigitsAt, rdigits, r, GUARD1);
            return g >= 0 && g < c.bound1;
        }
    }

    /// @dev Offset and bound of a guard.
    function _guard(Operand[] memory operands, uint256 w)
        private
        pure
        returns (int256 offset, int256 bound)
    {
        offset = int64(uint64(w >> 192));
        bound = int64(uint64(w >> 128));
        uint256 slot = uint8(w >> 120);
        if (slot != NONE8) {
            int256 most = live(operands, slot);
            if (most < bound) bound = most;
        }
    }

    /// @dev The little-endian integer of 2^bits bytes at a memory address, sign-extended.
    function _integer(uint256 at, uint256 bits) private pure returns (uint256 x) {
        assembly ("memory-safe") {
            // Eight bytes reversed: the element is in the lowest.
            x := shr(192, mload(at))
            x := or(shl(8, and(x, 0x00FF00FF00FF00FF)), and(shr(8, x), 0x00FF00FF00FF00FF))
            x := or(shl(16, and(x, 0x0000FFFF0000FFFF)), and(shr(16, x), 0x0000FFFF0000FFFF))
            x := or(shl(32, x), shr(32, x))
            x := signextend(sub(shl(bits, 1), 1), x)
        }
    }

    /// @dev Makes the span that holds element n the one at hand.
    function _find(Cursor memory c, uint256 n) private pure {
        Operand memory operand = c.operand;
        Span[] memory spans = operand.spans;
        uint256 bits = c.bits;
        uint256 at = n << bits;
        uint256 span;
        assembly ("memory-safe") {
            // Spans ascend; the list holds their addresses. Halve [low, high) until one fits.
            let low := add(spans, 0x20)
            let high := add(low, shl(5, mload(spans)))
            for {} lt(low, high) {} {
                let middle := add(low, and(shr(1, sub(high, low)), not(31)))
                span := mload(middle)
                switch lt(at, mload(span))
                case 1 { high := middle }
                default {
                    low := add(middle, 0x20)
                    if lt(at, mload(add(span, 0x20))) { high := 0 }
                }
                if high { span := 0 }
            }
        }
        if (span == 0) revert BlockMissing(operand.slot, n);
        uint256 to;
        assembly ("memory-safe") {
            mstore(add(c, FROM), shr(bits, mload(span)))
            to := shr(bits, mload(add(span, 0x20)))
            mstore(add(c, DATA), mload(add(span, 0x40)))
        }
        // Behind the last element is no element, though its block has bytes there.
        c.size = (to < c.count ? to : c.count) - c.from;
    }

    function _word(uint256 at) private pure returns (uint256 w) {
        assembly ("memory-safe") {
            w := calldataload(at)
        }
    }
}
