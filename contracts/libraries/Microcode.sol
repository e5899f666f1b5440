// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {INDEX_CLAMP} from "../types/Machine.sol";
import {AffineView, Cursor} from "./AffineView.sol";
import {Float32} from "./Float32.sol";

/// @notice What a code sees of the element it computes.
struct Frame {
    uint256[] registers; // by instruction number
    uint256 ops; // memory address of the table of functions, by opcode
    Cursor[] views;
    uint256 i; // flattened output index
    uint256 r; // flattened reduction index
    uint256 shape; // eight u32
    uint256 dims;
    uint256 rshape; // three u32, in the highest bits
    uint256 rdigits; // 0 outside a fold: loads then ignore r
    int256 step;
    int256 phaseStep;
    int256 seed;
    uint256 acc;
}

/// @title The instruction set
/// @notice Twin of protocol/spec/microcode.py, whose table says what every instruction does with
/// every bit pattern. Registers hold sign-extended 64-bit integers or the 32 bits of a canonical
/// float. Codes were checked by `ProgramDecoder` (opcodes, unused fields); which types and which
/// registers an instruction may name is a matter of legality.
library Microcode {
    /// @notice An instruction names axis or digit `got`; there are `count`.
    error NoSuchAxis(uint256 got, uint256 count);

    /// @dev Opcodes end below this: size of the table.
    uint256 private constant OPCODES = 0x55;

    /// @notice Runs `count` instructions at calldata offset `at`.
    /// @return result the last register
    function run(Frame memory f, uint256 at, uint256 count) internal pure returns (uint256 result) {
        unchecked {
            uint256 ops = f.ops;
            uint256[] memory registers = f.registers;
            uint256 to;
            assembly ("memory-safe") {
                to := add(registers, 0x20)
            }
            uint256 end = at + 8 * count;
            for (; at < end; at += 8) {
                function(Frame memory, uint256) pure returns (uint256) op;
                uint256 w;
                assembly ("memory-safe") {
                    w := calldataload(at)
                    op := mload(add(ops, shl(5, byte(0, w))))
                }
                result = op(f, w);
                assembly ("memory-safe") {
                    mstore(to, result)
                    to := add(to, 0x20)
                }
            }
        }
    }

    /// @notice The table of functions: one word an opcode.
    function table() internal pure returns (uint256 at) {
        function(Frame memory, uint256) pure returns (uint256)[OPCODES] memory t;
        (t[0x01], t[0x02], t[0x03], t[0x04]) = (_load, _loadx, _consti, _consthi);
        (t[0x05], t[0x06], t[0x07], t[0x08]) = (_constf, _coord, _rcoord, _index);
        (t[0x09], t[0x0A], t[0x0B], t[0x0C]) = (_rindex, _step, _pstep, _seed);
        t[0x0D] = _acc;

        (t[0x10], t[0x11], t[0x12], t[0x13]) = (_add, _sub, _mul, _neg);
        (t[0x14], t[0x15], t[0x16], t[0x17]) = (_div, _mod, _min, _max);
        (t[0x18], t[0x19], t[0x1A], t[0x1B]) = (_and, _or, _xor, _not);
        (t[0x1C], t[0x1D], t[0x1E], t[0x1F]) = (_shl, _shr, _ushr, _eq);
        (t[0x20], t[0x21], t[0x22], t[0x23]) = (_lt, _le, _clamp, _select);

        (t[0x30], t[0x31], t[0x32], t[0x33]) = (_fadd, _fsub, _fmul, _fdiv);
        (t[0x34], t[0x35], t[0x36], t[0x37]) = (_fsqrt, _fmin, _fmax, _fneg);
        (t[0x38], t[0x39], t[0x3A], t[0x3B]) = (_fabs, _feq, _flt, _fle);
        (t[0x3C], t[0x3D], t[0x3E], t[0x3F]) = (_floor, _ceil, _trunc, _rint);
        (t[0x40], t[0x41]) = (_ldexp, _select);

        (t[0x50], t[0x51], t[0x52], t[0x53]) = (_i2f, _f2i, _bits, _frombits);
        t[0x54] = _exponent;
        assembly ("memory-safe") {
            at := t
        }
    }

    /// @notice Coordinate of the output element along `axis`.
    function coordinate(Frame memory f, uint256 axis) internal pure returns (uint256) {
        return _digit(f.shape, f.dims, axis, f.i);
    }

    // --- fields of an instruction -------------------------------------------------------------

    function _a(Frame memory f, uint256 w) private pure returns (uint256 x) {
        assembly ("memory-safe") {
            x := mload(add(add(mload(f), 0x20), shl(5, byte(1, w))))
        }
    }

    function _b(Frame memory f, uint256 w) private pure returns (uint256 x) {
        assembly ("memory-safe") {
            x := mload(add(add(mload(f), 0x20), shl(5, byte(2, w))))
        }
    }

    function _c(Frame memory f, uint256 w) private pure returns (uint256 x) {
        assembly ("memory-safe") {
            x := mload(add(add(mload(f), 0x20), shl(5, byte(3, w))))
        }
    }

    function _imm(uint256 w) private pure returns (uint256) {
        return uint32(w >> 192);
    }

    /// @dev 64 bits, sign-extended.
    function _wrap(uint256 x) private pure returns (uint256) {
        return uint256(int256(int64(uint64(x))));
    }

    function _bool(bool x) private pure returns (uint256 y) {
        assembly ("memory-safe") {
            y := x
        }
    }

    // --- loads, literals, coordinates, scalars ------------------------------------------------

    function _load(Frame memory f, uint256 w) private pure returns (uint256) {
        Cursor memory c = f.views[uint8(w >> 240)];
        (int256 at, bool inside) = AffineView.addressAt(c, f.rdigits, f.r);
        return AffineView.load(c, at, inside);
    }

    function _loadx(Frame memory f, uint256 w) private pure returns (uint256) {
        unchecked {
            Cursor memory c = f.views[uint8(w >> 240)];
            (int256 at, bool inside) = AffineView.addressAt(c, f.rdigits, f.r);
            int256 extra = int256(_b(f, w));
            if (extra > INDEX_CLAMP) extra = INDEX_CLAMP;
            if (extra < -INDEX_CLAMP) extra = -INDEX_CLAMP;
            return AffineView.load(c, at + extra, inside);
        }
    }

    function _consti(Frame memory, uint256 w) private pure returns (uint256) {
        return uint256(int256(int32(uint32(_imm(w)))));
    }

    function _consthi(Frame memory f, uint256 w) private pure returns (uint256) {
        return _wrap(uint32(_a(f, w)) | _imm(w) << 32);
    }

    function _constf(Frame memory, uint256 w) private pure returns (uint256) {
        return Float32.canonical(_imm(w));
    }

    function _coord(Frame memory f, uint256 w) private pure returns (uint256) {
        return coordinate(f, uint8(w >> 240));
    }

    function _rcoord(Frame memory f, uint256 w) private pure returns (uint256) {
        return _digit(f.rshape, f.rdigits, uint8(w >> 240), f.r);
    }

    function _index(Frame memory f, uint256) private pure returns (uint256) {
        return f.i;
    }

    function _rindex(Frame memory f, uint256) private pure returns (uint256) {
        return f.r;
    }

    function _step(Frame memory f, uint256) private pure returns (uint256) {
        return uint256(f.step);
    }

    function _pstep(Frame memory f, uint256) private pure returns (uint256) {
        return uint256(f.phaseStep);
    }

    function _seed(Frame memory f, uint256) private pure returns (uint256) {
        return uint256(f.seed);
    }

    function _acc(Frame memory f, uint256) private pure returns (uint256) {
        return f.acc;
    }

    /// @dev Digit `axis` of `n` split by radices (u32 each, the last fastest).
    function _digit(uint256 radices, uint256 count, uint256 axis, uint256 n)
        private
        pure
        returns (uint256)
    {
        unchecked {
            if (axis >= count) revert NoSuchAxis(axis, count);
            for (uint256 k = count - 1; k > axis; --k) {
                n /= uint32(radices >> (224 - 32 * k));
            }
            return n % uint32(radices >> (224 - 32 * axis));
        }
    }

    // --- integers -----------------------------------------------------------------------------

    function _add(Frame memory f, uint256 w) private pure returns (uint256) {
        unchecked {
            return _wrap(_a(f, w) + _b(f, w));
        }
    }

    function _sub(Frame memory f, uint256 w) private pure returns (uint256) {
        unchecked {
            return _wrap(_a(f, w) - _b(f, w));
        }
    }

    function _mul(Frame memory f, uint256 w) private pure returns (uint256) {
        unchecked {
            return _wrap(_a(f, w) * _b(f, w));
        }
    }

    function _neg(Frame memory f, uint256 w) private pure returns (uint256) {
        unchecked {
            return _wrap(0 - _a(f, w));
        }
    }

    /// @dev Rounds to minus infinity; x / 0 = 0; MIN / -1 = MIN by wrapping.
    function _div(Frame memory f, uint256 w) private pure returns (uint256 q) {
        (uint256 a, uint256 b) = (_a(f, w), _b(f, w));
        assembly ("memory-safe") {
            q := sdiv(a, b)
            // one lower where signs differ and something remains
            q := sub(q, and(slt(xor(a, b), 0), iszero(iszero(smod(a, b)))))
        }
        return _wrap(q);
    }

    /// @dev Takes the sign of the divisor; x mod 0 = 0.
    function _mod(Frame memory f, uint256 w) private pure returns (uint256 m) {
        (uint256 a, uint256 b) = (_a(f, w), _b(f, w));
        assembly ("memory-safe") {
            m := smod(a, b)
            if and(iszero(iszero(m)), slt(xor(a, b), 0)) { m := add(m, b) }
        }
    }

    function _min(Frame memory f, uint256 w) private pure returns (uint256) {
        (uint256 a, uint256 b) = (_a(f, w), _b(f, w));
        return int256(a) < int256(b) ? a : b;
    }

    function _max(Frame memory f, uint256 w) private pure returns (uint256) {
        (uint256 a, uint256 b) = (_a(f, w), _b(f, w));
        return int256(a) > int256(b) ? a : b;
    }

    function _and(Frame memory f, uint256 w) private pure returns (uint256) {
        return _a(f, w) & _b(f, w);
    }

    function _or(Frame memory f, uint256 w) private pure returns (uint256) {
        return _a(f, w) | _b(f, w);
    }

    function _xor(Frame memory f, uint256 w) private pure returns (uint256) {
        return _a(f, w) ^ _b(f, w);
    }

    function _not(Frame memory f, uint256 w) private pure returns (uint256) {
        return ~_a(f, w);
    }

    function _shl(Frame memory f, uint256 w) private pure returns (uint256) {
        return _wrap(_a(f, w) << (_b(f, w) & 63));
    }

    function _shr(Frame memory f, uint256 w) private pure returns (uint256) {
        return uint256(int256(_a(f, w)) >> (_b(f, w) & 63));
    }

    function _ushr(Frame memory f, uint256 w) private pure returns (uint256) {
        return _wrap(uint64(_a(f, w)) >> (_b(f, w) & 63));
    }

    function _eq(Frame memory f, uint256 w) private pure returns (uint256) {
        return _bool(_a(f, w) == _b(f, w));
    }

    function _lt(Frame memory f, uint256 w) private pure returns (uint256) {
        return _bool(int256(_a(f, w)) < int256(_b(f, w)));
    }

    function _le(Frame memory f, uint256 w) private pure returns (uint256) {
        return _bool(int256(_a(f, w)) <= int256(_b(f, w)));
    }

    function _clamp(Frame memory f, uint256 w) private pure returns (uint256) {
        unchecked {
            int256 a = int256(_a(f, w));
            int256 bound = int256(_imm(w));
            if (a > bound) return uint256(bound);
            return uint256(a < -bound ? -bound : a);
        }
    }

    /// @dev SELI and SELF: the register types differ, the bits move alike.
    function _select(Frame memory f, uint256 w) private pure returns (uint256) {
        return _a(f, w) != 0 ? _b(f, w) : _c(f, w);
    }

    // --- floats -------------------------------------------------------------------------------

    function _fadd(Frame memory f, uint256 w) private pure returns (uint256) {
        return Float32.add(_a(f, w), _b(f, w));
    }

    function _fsub(Frame memory f, uint256 w) private pure returns (uint256) {
        return Float32.sub(_a(f, w), _b(f, w));
    }

    function _fmul(Frame memory f, uint256 w) private pure returns (uint256) {
        return Float32.mul(_a(f, w), _b(f, w));
    }

    function _fdiv(Frame memory f, uint256 w) private pure returns (uint256) {
        return Float32.div(_a(f, w), _b(f, w));
    }

    function _fsqrt(Frame memory f, uint256 w) private pure returns (uint256) {
        return Float32.sqrt(_a(f, w));
    }

    function _fmin(Frame memory f, uint256 w) private pure returns (uint256) {
        return Float32.min(_a(f, w), _b(f, w));
    }

    function _fmax(Frame memory f, uint256 w) private pure returns (uint256) {
        return Float32.max(_a(f, w), _b(f, w));
    }

    function _fneg(Frame memory f, uint256 w) private pure returns (uint256) {
        return Float32.neg(_a(f, w));
    }

    function _fabs(Frame memory f, uint256 w) private pure returns (uint256) {
        return Float32.abs(_a(f, w));
    }

    function _feq(Frame memory f, uint256 w) private pure returns (uint256) {
        return _bool(Float32.eq(_a(f, w), _b(f, w)));
    }

    function _flt(Frame memory f, uint256 w) private pure returns (uint256) {
        return _bool(Float32.lt(_a(f, w), _b(f, w)));
    }

    function _fle(Frame memory f, uint256 w) private pure returns (uint256) {
        return _bool(Float32.le(_a(f, w), _b(f, w)));
    }

    function _floor(Frame memory f, uint256 w) private pure returns (uint256) {
        return Float32.floor(_a(f, w));
    }

    function _ceil(Frame memory f, uint256 w) private pure returns (uint256) {
        return Float32.ceil(_a(f, w));
    }

    function _trunc(Frame memory f, uint256 w) private pure returns (uint256) {
        return Float32.trunc(_a(f, w));
    }

    function _rint(Frame memory f, uint256 w) private pure returns (uint256) {
        return Float32.rint(_a(f, w));
    }

    function _ldexp(Frame memory f, uint256 w) private pure returns (uint256) {
        return Float32.ldexp(_a(f, w), int256(_b(f, w)));
    }

    // --- conversion ---------------------------------------------------------------------------

    function _i2f(Frame memory f, uint256 w) private pure returns (uint256) {
        return Float32.fromInt(int256(_a(f, w)));
    }

    function _f2i(Frame memory f, uint256 w) private pure returns (uint256) {
        return uint256(Float32.toInt(_a(f, w)));
    }

    function _bits(Frame memory f, uint256 w) private pure returns (uint256) {
        return uint256(int256(int32(uint32(_a(f, w)))));
    }

    function _frombits(Frame memory f, uint256 w) private pure returns (uint256) {
        return Float32.canonical(uint32(_a(f, w)));
    }

    function _exponent(Frame memory f, uint256 w) private pure returns (uint256) {
        return uint256(Float32.exponent(_a(f, w)));
    }
}
