// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {AffineView, Cursor} from "./AffineView.sol";
import {Float32} from "./Float32.sol";

/// @notice What a code sees of the element it computes.
struct Frame {
    uint256 registers; // memory address of 256 words, by instruction number
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
    /// @notice An instruction, or a DOT, reads view `got`; there are `count`.
    error NoSuchView(uint256 got, uint256 count);

    /// @dev Opcodes end below this: size of the table.
    uint256 private constant OPCODES = 0x55;
    uint256 private constant LOAD = 0x01;
    uint256 private constant LOADX = 0x02;
    /// @dev Opcodes whose result is a float, loads aside: CONSTF, FADD to FABS, FLOOR to SELF,
    /// I2F, FROMBITS; bit n stands for opcode n.
    uint256 private constant FLOAT_RESULTS = 0x90003F1FF000000000020;

    /// @notice Runs `count` instructions at calldata offset `at`.
    /// @return result the last register
    function run(Frame memory f, uint256 at, uint256 count) internal pure returns (uint256 result) {
        uint256 ops = f.ops;
        uint256 registers = f.registers;
        uint256 to = registers;
        uint256 end;
        uint256 w;
        uint256 a;
        uint256 b;
        function(Frame memory, uint256, uint256, uint256) pure returns (uint256) op;
        assembly ("memory-safe") {
            end := add(at, shl(3, count))
        }
        while (at < end) {
            // Fields a and b are read as registers even where they are not: any number is inside
            // the file, and an opcode without them ignores what it gets.
            assembly ("memory-safe") {
                w := calldataload(at)
                op := mload(add(ops, shl(5, byte(0, w))))
                a := mload(add(registers, shl(5, byte(1, w))))
                b := mload(add(registers, shl(5, byte(2, w))))
                at := add(at, 8)
            }
            result = op(f, w, a, b);
            assembly ("memory-safe") {
                mstore(to, result)
                to := add(to, 0x20)
            }
        }
    }

    /// @notice A file of registers: its memory address.
    function registerFile() internal pure returns (uint256 at) {
        uint256[256] memory words;
        assembly ("memory-safe") {
            at := words
        }
    }

    /// @notice The table of functions: one word an opcode; those that do not exist stay unset,
    /// `ProgramDecoder` lets none pass.
    function table() internal pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := mload(0x40)
            mstore(0x40, add(at, mul(OPCODES, 0x20)))
        }
        _set4(at, 0x01, _load, _loadx, _consti, _consthi);
        _set4(at, 0x05, _constf, _coord, _rcoord, _index);
        _set4(at, 0x09, _rindex, _step, _pstep, _seed);
        _set4(at, 0x0D, _acc, _acc, _acc, _add); // 0x0E and 0x0F do not exist
        _set4(at, 0x11, _sub, _mul, _neg, _div);
        _set4(at, 0x15, _mod, _min, _max, _and);
        _set4(at, 0x19, _or, _xor, _not, _shl);
        _set4(at, 0x1D, _shr, _ushr, _eq, _lt);
        _set4(at, 0x21, _le, _clamp, _select, _select); // 0x24 does not exist
        _set4(at, 0x30, _fadd, _fsub, _fmul, _fdiv);
        _set4(at, 0x34, _fsqrt, _fmin, _fmax, _fneg);
        _set4(at, 0x38, _fabs, _feq, _flt, _fle);
        _set4(at, 0x3C, _floor, _ceil, _trunc, _rint);
        _set4(at, 0x40, _ldexp, _select, _select, _select); // 0x42 and 0x43 do not exist
        _set4(at, 0x50, _i2f, _f2i, _bits, _frombits);
        _set4(at, 0x51, _f2i, _bits, _frombits, _exponent);
    }

    function _set4(
        uint256 at,
        uint256 opcode,
        function(Frame memory, uint256, uint256, uint256) pure returns (uint256) f0,
        function(Frame memory, uint256, uint256, uint256) pure returns (uint256) f1,
        function(Frame memory, uint256, uint256, uint256) pure returns (uint256) f2,
        function(Frame memory, uint256, uint256, uint256) pure returns (uint256) f3
    ) private pure {
        assembly ("memory-safe") {
            at := add(at, shl(5, opcode))
            mstore(at, f0)
            mstore(add(at, 0x20), f1)
            mstore(add(at, 0x40), f2)
            mstore(add(at, 0x60), f3)
        }
    }

    /// @notice Whether the last of `count` instructions at `at` yields a float.
    function yieldsFloat(Frame memory f, uint256 at, uint256 count) internal pure returns (bool) {
        if (count == 0) return false;
        uint256 w;
        assembly ("memory-safe") {
            w := calldataload(add(at, shl(3, sub(count, 1))))
        }
        uint256 op = w >> 248;
        if (op == LOAD || op == LOADX) {
            checkView(f, uint8(w >> 240));
            return f.views[uint8(w >> 240)].isFloat;
        }
        return (FLOAT_RESULTS >> op) & 1 == 1;
    }

    /// @notice Reverts unless there is a view `k`. (A function that gave it would allocate one.)
    function checkView(Frame memory f, uint256 k) internal pure {
        // INVARIANT: nothing is read that the template does not declare.
        if (k >= f.views.length) revert NoSuchView(k, f.views.length);
    }

    /// @notice Coordinate of the output element along `axis`.
    function coordinate(Frame memory f, uint256 axis) internal pure returns (uint256) {
        return _digit(f.shape, f.dims, axis, f.i);
    }

    // --- fields of an instruction -------------------------------------------------------------

    function _c(Frame memory f, uint256 w) private pure returns (uint256 x) {
        assembly ("memory-safe") {
            x := mload(add(mload(f), shl(5, byte(3, w))))
        }
    }

    function _imm(uint256 w) private pure returns (uint256) {
        return uint32(w >> 192);
    }

    /// @dev 64 bits, sign-extended.
    function _wrap(uint256 x) private pure returns (uint256 y) {
        assembly ("memory-safe") {
            y := signextend(7, x)
        }
    }

    function _bool(bool x) private pure returns (uint256 y) {
        assembly ("memory-safe") {
            y := x
        }
    }

    // --- loads, literals, coordinates, scalars ------------------------------------------------

    function _load(Frame memory f, uint256 w, uint256, uint256) private pure returns (uint256) {
        checkView(f, uint8(w >> 240));
        return AffineView.load(f.views[uint8(w >> 240)], f.rdigits, f.r, 0);
    }

    function _loadx(Frame memory f, uint256 w, uint256, uint256 b) private pure returns (uint256) {
        // The spec clamps the index so that the sum stays in 64 bits; 256 need no clamp, and an
        // index that it would change is outside every operand.
        checkView(f, uint8(w >> 240));
        return AffineView.load(f.views[uint8(w >> 240)], f.rdigits, f.r, int256(b));
    }

    function _consti(Frame memory, uint256 w, uint256, uint256) private pure returns (uint256) {
        return uint256(int256(int32(uint32(_imm(w)))));
    }

    function _consthi(Frame memory, uint256 w, uint256 a, uint256) private pure returns (uint256) {
        return _wrap(uint32(a) | _imm(w) << 32);
    }

    function _constf(Frame memory, uint256 w, uint256, uint256) private pure returns (uint256) {
        return Float32.canonical(_imm(w));
    }

    function _coord(Frame memory f, uint256 w, uint256, uint256) private pure returns (uint256) {
        return coordinate(f, uint8(w >> 240));
    }

    function _rcoord(Frame memory f, uint256 w, uint256, uint256) private pure returns (uint256) {
        return _digit(f.rshape, f.rdigits, uint8(w >> 240), f.r);
    }

    function _index(Frame memory f, uint256, uint256, uint256) private pure returns (uint256) {
        return f.i;
    }

    function _rindex(Frame memory f, uint256, uint256, uint256) private pure returns (uint256) {
        return f.r;
    }

    function _step(Frame memory f, uint256, uint256, uint256) private pure returns (uint256) {
        return uint256(f.step);
    }

    function _pstep(Frame memory f, uint256, uint256, uint256) private pure returns (uint256) {
        return uint256(f.phaseStep);
    }

    function _seed(Frame memory f, uint256, uint256, uint256) private pure returns (uint256) {
        return uint256(f.seed);
    }

    function _acc(Frame memory f, uint256, uint256, uint256) private pure returns (uint256) {
        return f.acc;
    }

    /// @dev Digit `axis` of `n` split by radices (u32 each, the last fastest).
    function _digit(uint256 radices, uint256 count, uint256 axis, uint256 n)
        private
        pure
        returns (uint256 digit)
    {
        if (axis >= count) revert NoSuchAxis(axis, count);
        assembly ("memory-safe") {
            // Bring the last radix to the low 32 bits, then walk up to that of `axis`.
            radices := shr(shl(5, sub(8, count)), radices)
            for { let k := sub(sub(count, 1), axis) } k { k := sub(k, 1) } {
                n := div(n, and(radices, 0xFFFFFFFF))
                radices := shr(32, radices)
            }
            digit := mod(n, and(radices, 0xFFFFFFFF))
        }
    }

    // --- integers -----------------------------------------------------------------------------

    function _add(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        unchecked {
            return _wrap(a + b);
        }
    }

    function _sub(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        unchecked {
            return _wrap(a - b);
        }
    }

    function _mul(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        unchecked {
            return _wrap(a * b);
        }
    }

    function _neg(Frame memory, uint256, uint256 a, uint256) private pure returns (uint256) {
        unchecked {
            return _wrap(0 - a);
        }
    }

    /// @dev Rounds to minus infinity; x / 0 = 0; MIN / -1 = MIN by wrapping.
    function _div(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256 q) {
        assembly ("memory-safe") {
            q := sdiv(a, b)
            // one lower where signs differ and something remains
            q := sub(q, and(slt(xor(a, b), 0), iszero(iszero(smod(a, b)))))
        }
        return _wrap(q);
    }

    /// @dev Takes the sign of the divisor; x mod 0 = 0.
    function _mod(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256 m) {
        assembly ("memory-safe") {
            m := smod(a, b)
            if and(iszero(iszero(m)), slt(xor(a, b), 0)) { m := add(m, b) }
        }
    }

    function _min(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return int256(a) < int256(b) ? a : b;
    }

    function _max(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return int256(a) > int256(b) ? a : b;
    }

    function _and(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return a & b;
    }

    function _or(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return a | b;
    }

    function _xor(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return a ^ b;
    }

    function _not(Frame memory, uint256, uint256 a, uint256) private pure returns (uint256) {
        return ~a;
    }

    function _shl(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return _wrap(a << (b & 63));
    }

    function _shr(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return uint256(int256(a) >> (b & 63));
    }

    function _ushr(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return _wrap(uint64(a) >> (b & 63));
    }

    function _eq(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return _bool(a == b);
    }

    function _lt(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return _bool(int256(a) < int256(b));
    }

    function _le(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return _bool(int256(a) <= int256(b));
    }

    function _clamp(Frame memory, uint256 w, uint256 a, uint256) private pure returns (uint256) {
        unchecked {
            int256 x = int256(a);
            int256 bound = int256(_imm(w));
            if (x > bound) return uint256(bound);
            return uint256(x < -bound ? -bound : x);
        }
    }

    /// @dev SELI and SELF: the register types differ, the bits move alike.
    function _select(Frame memory f, uint256 w, uint256 a, uint256 b)
        private
        pure
        returns (uint256)
    {
        return a != 0 ? b : _c(f, w);
    }

    // --- floats -------------------------------------------------------------------------------

    function _fadd(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return Float32.add(a, b);
    }

    function _fsub(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return Float32.sub(a, b);
    }

    function _fmul(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return Float32.mul(a, b);
    }

    function _fdiv(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return Float32.div(a, b);
    }

    function _fsqrt(Frame memory, uint256, uint256 a, uint256) private pure returns (uint256) {
        return Float32.sqrt(a);
    }

    function _fmin(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return Float32.min(a, b);
    }

    function _fmax(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return Float32.max(a, b);
    }

    function _fneg(Frame memory, uint256, uint256 a, uint256) private pure returns (uint256) {
        return Float32.neg(a);
    }

    function _fabs(Frame memory, uint256, uint256 a, uint256) private pure returns (uint256) {
        return Float32.abs(a);
    }

    function _feq(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return _bool(Float32.eq(a, b));
    }

    function _flt(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return _bool(Float32.lt(a, b));
    }

    function _fle(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return _bool(Float32.le(a, b));
    }

    function _floor(Frame memory, uint256, uint256 a, uint256) private pure returns (uint256) {
        return Float32.floor(a);
    }

    function _ceil(Frame memory, uint256, uint256 a, uint256) private pure returns (uint256) {
        return Float32.ceil(a);
    }

    function _trunc(Frame memory, uint256, uint256 a, uint256) private pure returns (uint256) {
        return Float32.trunc(a);
    }

    function _rint(Frame memory, uint256, uint256 a, uint256) private pure returns (uint256) {
        return Float32.rint(a);
    }

    function _ldexp(Frame memory, uint256, uint256 a, uint256 b) private pure returns (uint256) {
        return Float32.ldexp(a, int256(b));
    }

    // --- conversion ---------------------------------------------------------------------------

    function _i2f(Frame memory, uint256, uint256 a, uint256) private pure returns (uint256) {
        return Float32.fromInt(int256(a));
    }

    function _f2i(Frame memory, uint256, uint256 a, uint256) private pure returns (uint256) {
        return uint256(Float32.toInt(a));
    }

    function _bits(Frame memory, uint256, uint256 a, uint256) private pure returns (uint256) {
        return uint256(int256(int32(uint32(a))));
    }

    function _frombits(Frame memory, uint256, uint256 a, uint256) private pure returns (uint256) {
        return Float32.canonical(uint32(a));
    }

    function _exponent(Frame memory, uint256, uint256 a, uint256) private pure returns (uint256) {
        return uint256(Float32.exponent(a));
    }
}
