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
    Span last; // the span that the last load found
    uint256 count; // of the operand's elements
    uint256 pad; // as a register
    int256 base; // address at r = 0
    uint256 guards; // number of them
    int256 guard0;
    int256 bound0;
    int256 guard1;
    int256 bound1;
    uint256 rdigitsAt; // calldata offset
}

/// @title Affine addresses into operands, and the loads at them
/// @notice Twin of `Frame.load` in protocol/spec/operations.py. Numbers of an encoding are below
/// 2^64, so that no sum here comes near 2^255; a zero radix (illegal) divides to zero.
library AffineView {
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
            c.operand = operands[slot];
            c.count = c.operand.count;
            c.pad = literal(c.operand.isFloat, int64(uint64(head >> 64)));
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
            c.rdigitsAt = at + (1 + digits) * WORD;
            _advance(c, c.rdigitsAt - WORD, digits, i);
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
            address_ = c.base;
            int256 g0 = c.guard0;
            int256 g1 = c.guard1;
            uint256 first = c.rdigitsAt;
            uint256 guards = c.guards;
            assembly ("memory-safe") {
                for { let at := add(first, shl(5, rdigits)) } gt(at, first) {} {
                    at := sub(at, 0x20)
                    let w := calldataload(at)
                    let digit := mod(r, shr(192, w))
                    r := div(r, shr(192, w))
                    address_ := add(address_, mul(digit, signextend(7, shr(128, w))))
                    if guards {
                        g0 := add(g0, mul(digit, signextend(7, shr(64, w))))
                        g1 := add(g1, mul(digit, signextend(7, w)))
                    }
                }
            }
            if (guards == 0) return (address_, true);
            inside = g0 >= 0 && g0 < c.bound0 && (guards == 1 || (g1 >= 0 && g1 < c.bound1));
        }
    }

    /// @notice The register that a load at `address_` yields.
    function load(Cursor memory c, int256 address_, bool inside) internal pure returns (uint256) {
        // A negative address is a huge unsigned one.
        if (!inside || uint256(address_) >= c.count) return c.pad;
        Operand memory operand = c.operand;
        Span memory last = c.last;
        uint256 byteAt = uint256(address_) << operand.bits;
        if (byteAt < last.from || byteAt >= last.to) _find(operand, byteAt, last);
        unchecked {
            return _register(last.data + byteAt - last.from, operand);
        }
    }

    /// @notice Where element `n` of an operand lies in memory.
    /// @return at memory address
    /// @return ready elements from there on that lie behind one another
    function locate(Cursor memory c, uint256 n) internal pure returns (uint256 at, uint256 ready) {
        unchecked {
            Span memory last = c.last;
            uint256 byteAt = n << c.operand.bits;
            if (byteAt < last.from || byteAt >= last.to) _find(c.operand, byteAt, last);
            return (last.data + byteAt - last.from, (last.to - byteAt) >> c.operand.bits);
        }
    }

    /// @notice Element 0 of an i64 operand: a live bound.
    function live(Operand[] memory operands, uint256 slot) internal pure returns (int256) {
        if (slot >= operands.length) revert NoSuchOperand(slot, operands.length);
        Span memory last;
        _find(operands[slot], 0, last);
        return int256(_register(last.data, operands[slot]));
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

    /// @dev Adds the digits of i, the last of which is the word at `digitAt`.
    function _advance(Cursor memory c, uint256 digitAt, uint256 digits, uint256 i) private pure {
        unchecked {
            int256 base = c.base;
            int256 g0 = c.guard0;
            int256 g1 = c.guard1;
            assembly ("memory-safe") {
                for {} digits { digits := sub(digits, 1) } {
                    let w := calldataload(digitAt)
                    let digit := mod(i, shr(192, w))
                    i := div(i, shr(192, w))
                    base := add(base, mul(digit, signextend(7, shr(128, w))))
                    g0 := add(g0, mul(digit, signextend(7, shr(64, w))))
                    g1 := add(g1, mul(digit, signextend(7, w)))
                    digitAt := sub(digitAt, 0x20)
                }
            }
            (c.base, c.guard0, c.guard1) = (base, g0, g1);
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

    /// @dev The element at a memory address, as a register: sign-extended, or canonical bits.
    function _register(uint256 at, Operand memory operand) private pure returns (uint256 x) {
        uint256 bits = operand.bits;
        assembly ("memory-safe") {
            // Eight bytes reversed: the element is in the lowest.
            x := shr(192, mload(at))
            x := or(shl(8, and(x, 0x00FF00FF00FF00FF)), and(shr(8, x), 0x00FF00FF00FF00FF))
            x := or(shl(16, and(x, 0x0000FFFF0000FFFF)), and(shr(16, x), 0x0000FFFF0000FFFF))
            x := or(shl(32, x), shr(32, x))
            x := signextend(sub(shl(bits, 1), 1), x)
        }
        if (operand.isFloat) return Float32.canonical(uint32(x));
    }

    /// @dev Makes `last` the span that holds byte `byteAt`.
    function _find(Operand memory operand, uint256 byteAt, Span memory last) private pure {
        Span[] memory spans = operand.spans;
        bool found;
        assembly ("memory-safe") {
            // Spans ascend; the list holds their addresses. Halve [low, high) until one fits.
            let low := add(spans, 0x20)
            let high := add(low, shl(5, mload(spans)))
            for {} lt(low, high) {} {
                let middle := add(low, and(shr(1, sub(high, low)), not(31)))
                let span := mload(middle)
                switch lt(byteAt, mload(span))
                case 1 { high := middle }
                default {
                    low := add(middle, 0x20)
                    if lt(byteAt, mload(add(span, 0x20))) {
                        mstore(last, mload(span))
                        mstore(add(last, 0x20), mload(add(span, 0x20)))
                        mstore(add(last, 0x40), mload(add(span, 0x40)))
                        low := high
                        found := 1
                    }
                }
            }
        }
        if (!found) revert BlockMissing(operand.slot, byteAt >> operand.bits);
    }

    function _word(uint256 at) private pure returns (uint256 w) {
        assembly ("memory-safe") {
            w := calldataload(at)
        }
    }
}
