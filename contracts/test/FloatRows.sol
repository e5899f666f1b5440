// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Float32} from "../libraries/Float32.sol";

/// @notice Runs Float32 on rows of operands and wanted results: 12 bytes each, big-endian.
/// FROM_INT: i64, f32. TO_INT: f32, i64. LDEXP: f32, i32, f32. Others: f32, f32, result, where an
/// operation of one operand ignores the second, and the operand of READ is little-endian.
contract FloatRows {
    enum Op {
        ADD,
        SUB,
        MUL,
        DIV,
        SQRT,
        MIN,
        MAX,
        EQ,
        LT,
        LE,
        FLOOR,
        CEIL,
        TRUNC,
        RINT,
        LDEXP,
        FROM_INT,
        TO_INT,
        READ
    }

    uint256 private constant ROW = 12;

    /// @notice What comes is no number of whole rows.
    error WrongRows(uint256 bytes_);

    /// @notice Stops at the first row whose result is another.
    /// @return row its number, or the number of rows
    /// @return got its result
    function check(Op op, bytes calldata rows) external pure returns (uint256 row, uint256 got) {
        if (rows.length % ROW != 0) revert WrongRows(rows.length);
        function(uint256) pure returns (uint256, uint256) f = _function(op);
        uint256 count = rows.length / ROW;
        for (; row < count; ++row) {
            uint256 w;
            assembly ("memory-safe") {
                w := shr(160, calldataload(add(rows.offset, mul(row, ROW))))
            }
            uint256 wanted;
            (got, wanted) = f(w);
            if (got != wanted) break;
        }
    }

    function _function(Op op)
        private
        pure
        returns (function(uint256) pure returns (uint256, uint256))
    {
        if (op == Op.ADD) return _add;
        if (op == Op.SUB) return _sub;
        if (op == Op.MUL) return _mul;
        if (op == Op.DIV) return _div;
        if (op == Op.SQRT) return _sqrt;
        if (op == Op.MIN) return _min;
        if (op == Op.MAX) return _max;
        if (op == Op.EQ) return _eq;
        if (op == Op.LT) return _lt;
        if (op == Op.LE) return _le;
        if (op == Op.FLOOR) return _floor;
        if (op == Op.CEIL) return _ceil;
        if (op == Op.TRUNC) return _trunc;
        if (op == Op.RINT) return _rint;
        if (op == Op.LDEXP) return _ldexp;
        if (op == Op.FROM_INT) return _fromInt;
        return op == Op.TO_INT ? _toInt : _read;
    }

    // --- fields of a row ----------------------------------------------------------------------

    function _a(uint256 w) private pure returns (uint256) {
        return Float32.canonical(w >> 64);
    }

    function _b(uint256 w) private pure returns (uint256) {
        return Float32.canonical(uint32(w >> 32));
    }

    function _truth(bool x) private pure returns (uint256) {
        return x ? 1 : 0;
    }

    // --- result and wanted result of a row ----------------------------------------------------

    function _add(uint256 w) private pure returns (uint256, uint256) {
        return (Float32.add(_a(w), _b(w)), uint32(w));
    }

    function _sub(uint256 w) private pure returns (uint256, uint256) {
        return (Float32.sub(_a(w), _b(w)), uint32(w));
    }

    function _mul(uint256 w) private pure returns (uint256, uint256) {
        return (Float32.mul(_a(w), _b(w)), uint32(w));
    }

    function _div(uint256 w) private pure returns (uint256, uint256) {
        return (Float32.div(_a(w), _b(w)), uint32(w));
    }

    function _sqrt(uint256 w) private pure returns (uint256, uint256) {
        return (Float32.sqrt(_a(w)), uint32(w));
    }

    function _min(uint256 w) private pure returns (uint256, uint256) {
        return (Float32.min(_a(w), _b(w)), uint32(w));
    }

    function _max(uint256 w) private pure returns (uint256, uint256) {
        return (Float32.max(_a(w), _b(w)), uint32(w));
    }

    function _eq(uint256 w) private pure returns (uint256, uint256) {
        return (_truth(Float32.eq(_a(w), _b(w))), uint32(w));
    }

    function _lt(uint256 w) private pure returns (uint256, uint256) {
        return (_truth(Float32.lt(_a(w), _b(w))), uint32(w));
    }

    function _le(uint256 w) private pure returns (uint256, uint256) {
        return (_truth(Float32.le(_a(w), _b(w))), uint32(w));
    }

    function _floor(uint256 w) private pure returns (uint256, uint256) {
        return (Float32.floor(_a(w)), uint32(w));
    }

    function _ceil(uint256 w) private pure returns (uint256, uint256) {
        return (Float32.ceil(_a(w)), uint32(w));
    }

    function _trunc(uint256 w) private pure returns (uint256, uint256) {
        return (Float32.trunc(_a(w)), uint32(w));
    }

    function _rint(uint256 w) private pure returns (uint256, uint256) {
        return (Float32.rint(_a(w)), uint32(w));
    }

    function _ldexp(uint256 w) private pure returns (uint256, uint256) {
        return (Float32.ldexp(_a(w), int32(uint32(w >> 32))), uint32(w));
    }

    function _fromInt(uint256 w) private pure returns (uint256, uint256) {
        return (Float32.fromInt(int64(uint64(w >> 32))), uint32(w));
    }

    function _read(uint256 w) private pure returns (uint256, uint256) {
        assembly ("memory-safe") {
            mstore(0x00, shl(160, w))
        }
        return (Float32.read(0x00), uint32(w));
    }

    function _toInt(uint256 w) private pure returns (uint256, uint256) {
        return (uint64(uint256(Float32.toInt(_a(w)))), uint64(w));
    }
}
