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
    DType dtype;
    uint256 count; // elements
    Span[] spans;
}

/// @notice A view at one output element: what depends on i alone is worked out.
struct Cursor {
    Operand operand;
    uint256 slot;
    uint256 pad; // as a register
    int256 base; // address at r = 0
    uint256 guards; // number of them
    int256 guard0;
    int256 bound0;
    int256 guard1;
    int256 bound1;
    uint256 rdigitsAt; // calldata offset
    Span last; // the span that the last load found
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
            c.slot = head >> 248;
            if (c.slot >= operands.length) revert NoSuchOperand(c.slot, operands.length);
            c.operand = operands[c.slot];
            c.pad = literal(c.operand.dtype, int64(uint64(head >> 64)));
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
            uint256 digitAt = c.rdigitsAt + rdigits * WORD;
            for (uint256 k; k < rdigits; ++k) {
                digitAt -= WORD;
                uint256 w = _word(digitAt);
                uint256 radix = w >> 192;
                int256 digit;
                assembly ("memory-safe") {
                    digit := mod(r, radix)
                    r := div(r, radix)
                }
                if (digit == 0) continue;
                address_ += int64(uint64(w >> 128)) * digit;
                if (c.guards != 0) {
                    g0 += int64(uint64(w >> 64)) * digit;
                    g1 += int64(uint64(w)) * digit;
                }
            }
            inside = (c.guards < 1 || (g0 >= 0 && g0 < c.bound0))
                && (c.guards < 2 || (g1 >= 0 && g1 < c.bound1));
        }
    }

    /// @notice The register that a load at `address_` yields.
    function load(Cursor memory c, int256 address_, bool inside) internal pure returns (uint256) {
        unchecked {
            if (!inside || address_ < 0 || uint256(address_) >= c.operand.count) return c.pad;
            (uint256 at,) = locate(c, uint256(address_));
            return fromLittleEndian(c.operand.dtype, at);
        }
    }

    /// @notice Element 0 of an i64 operand: a live bound.
    function live(Operand[] memory operands, uint256 slot) internal pure returns (int256) {
        if (slot >= operands.length) revert NoSuchOperand(slot, operands.length);
        Cursor memory c;
        (c.operand, c.slot) = (operands[slot], slot);
        (uint256 at,) = locate(c, 0);
        return int256(fromLittleEndian(DType.I64, at));
    }

    /// @notice A pad or dead value as a register.
    function literal(DType dtype, int256 value) internal pure returns (uint256) {
        return dtype == DType.F32 ? Float32.canonical(uint32(uint256(value))) : uint256(value);
    }

    /// @notice A register as the bits of an element: integers keep their low bits.
    function store(DType dtype, uint256 register) internal pure returns (uint256) {
        if (dtype == DType.I64) return uint64(register);
        if (dtype == DType.I16) return uint16(register);
        if (dtype == DType.I8) return uint8(register);
        return uint32(register);
    }

    /// @notice Base-2 logarithm of the bytes of an element.
    function sizeBits(DType dtype) internal pure returns (uint256) {
        if (dtype == DType.I64) return 3;
        if (dtype == DType.I16) return 1;
        return dtype == DType.I8 ? 0 : 2;
    }

    /// @notice Where element `n` of the view's operand lies in memory.
    /// @return at memory address
    /// @return ready elements from there on that lie behind one another
    function locate(Cursor memory c, uint256 n)
        internal
        pure
        returns (uint256 at, uint256 ready)
    {
        unchecked {
            uint256 bits = sizeBits(c.operand.dtype);
            Span memory last = c.last;
            uint256 byteAt = n << bits;
            if (byteAt < last.from || byteAt >= last.to) _find(c.operand, c.slot, n, last);
            return (last.data + byteAt - last.from, (last.to - byteAt) >> bits);
        }
    }

    // --- internals ----------------------------------------------------------------------------

    /// @dev Adds the digits of i, the last of which is the word at `digitAt`.
    function _advance(Cursor memory c, uint256 digitAt, uint256 digits, uint256 i) private pure {
        unchecked {
            for (uint256 k; k < digits; ++k) {
                uint256 w = _word(digitAt);
                uint256 radix = w >> 192;
                int256 digit;
                assembly ("memory-safe") {
                    digit := mod(i, radix)
                    i := div(i, radix)
                }
                c.base += int64(uint64(w >> 128)) * digit;
                if (c.guards != 0) {
                    c.guard0 += int64(uint64(w >> 64)) * digit;
                    c.guard1 += int64(uint64(w)) * digit;
                }
                digitAt -= WORD;
            }
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

    /// @dev The element at a memory address, as a register.
    function fromLittleEndian(DType dtype, uint256 at) internal pure returns (uint256 x) {
        uint256 w;
        assembly ("memory-safe") {
            w := mload(at)
        }
        if (dtype == DType.F32 || dtype == DType.I32) {
            assembly ("memory-safe") {
                x := or(or(byte(0, w), shl(8, byte(1, w))), shl(16, byte(2, w)))
                x := or(x, shl(24, byte(3, w)))
            }
            if (dtype == DType.F32) return Float32.canonical(x);
            assembly ("memory-safe") {
                x := signextend(3, x)
            }
        } else if (dtype == DType.I16) {
            assembly ("memory-safe") {
                x := signextend(1, or(byte(0, w), shl(8, byte(1, w))))
            }
        } else if (dtype == DType.I8) {
            assembly ("memory-safe") {
                x := signextend(0, byte(0, w))
            }
        } else {
            assembly ("memory-safe") {
                x := shr(192, w)
                x := or(shl(8, and(x, 0x00FF00FF00FF00FF)), and(shr(8, x), 0x00FF00FF00FF00FF))
                x := or(shl(16, and(x, 0x0000FFFF0000FFFF)), and(shr(16, x), 0x0000FFFF0000FFFF))
                x := signextend(7, or(shl(32, x), shr(32, x)))
            }
        }
    }

    /// @dev Makes `last` the span that holds element `n`.
    function _find(Operand memory operand, uint256 slot, uint256 n, Span memory last)
        private
        pure
    {
        uint256 byteAt = n << sizeBits(operand.dtype);
        Span[] memory spans = operand.spans;
        for (uint256 k; k < spans.length; ++k) {
            Span memory span = spans[k];
            if (span.from <= byteAt && byteAt < span.to) {
                (last.from, last.to, last.data) = (span.from, span.to, span.data);
                return;
            }
        }
        revert BlockMissing(slot, n);
    }

    function _word(uint256 at_) private pure returns (uint256 w) {
        assembly ("memory-safe") {
            w := calldataload(at_)
        }
    }
}
