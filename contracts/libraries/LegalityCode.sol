// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {DType, Fold, Kind, MAX_INSTRUCTIONS} from "../types/Machine.sol";
import {Template} from "./ProgramDecoder.sol";

/// @notice What codes may know of the views: bit k stands for view k.
struct ViewSets {
    uint256 plain; // may be loaded without a computed index
    uint256 readsR; // its address or guard depends on the reduction index
    uint256 floats; // its slot is f32
}

/// @title Clause T6: types of registers, and what instructions name
/// @notice Twin of `code_types` in protocol/spec/legality.py. The decoder has already refused
/// unknown opcodes and set unused fields.
library LegalityCode {
    // Opcode sets: bit n stands for opcode n; a test derives them from the spec's signatures.
    uint256 private constant _A_INTEGER = 0x900020000000FFFFF0010;
    uint256 private constant _A_FLOAT = 0x160001FFFF000000000000;
    uint256 private constant _B_INTEGER = 0x10000000BF7F70004;
    uint256 private constant _B_FLOAT = 0x20E6F000000000000;
    uint256 private constant _C_INTEGER = 0x800000000;
    uint256 private constant _C_FLOAT = 0x20000000000000000;
    uint256 private constant _FLOAT_RESULTS = 0x90003F1FF000000000020;

    uint256 private constant LOAD = 0x01;
    uint256 private constant LOADX = 0x02;
    uint256 private constant COORD = 0x06;
    uint256 private constant RCOORD = 0x07;
    uint256 private constant RINDEX = 0x09;
    uint256 private constant ACC = 0x0D;
    uint256 private constant CLAMP = 0x22;

    /// @dev What a code is checked against, and what it yields.
    struct Code {
        uint256 at;
        uint256 count;
        bool pre;
        bool hasAcc;
        bool accFloat;
        uint256 floats; // bit n: register n is a float
    }

    /// @notice Whether both codes keep T6, and T5 of the views that they load.
    function legal(Template memory t, ViewSets memory views) internal pure returns (bool) {
        unchecked {
            if (t.postCount == 0 || t.preCount + t.postCount > MAX_INSTRUCTIONS) return false;
            Code memory code;
            if (t.kind == Kind.REDUCE) {
                (code.at, code.count, code.pre) = (t.preAt, t.preCount, true);
                if (!_legal(t, views, code)) return false;
                bool last = _last(code);
                if (t.fold == Fold.FSUM && !last) return false;
                if (t.fold == Fold.ISUM && last) return false;
                code.accFloat = last && t.fold != Fold.ARGMAX;
            }
            (code.at, code.count, code.pre) = (t.postAt, t.postCount, false);
            (code.hasAcc, code.floats) = (t.kind != Kind.MAP, 0);
            return _legal(t, views, code) && _last(code) == (t.dtype == DType.F32);
        }
    }

    /// @notice Operand and literal of the last instruction of `post`, if it is a CLAMP.
    function finalClamp(Template memory t) internal pure returns (bool clamped, uint256 bound) {
        unchecked {
            if (t.postCount == 0) return (false, 0);
            uint256 w = _word(t.postAt + 8 * (t.postCount - 1));
            return (w >> 248 == CLAMP, uint32(w >> 192));
        }
    }

    function _legal(Template memory t, ViewSets memory views, Code memory code)
        private
        pure
        returns (bool)
    {
        unchecked {
            for (uint256 n; n < code.count; ++n) {
                uint256 w = _word(code.at + 8 * n);
                uint256 op = w >> 248;
                if (!_reads(code, n, op, uint8(w >> 240), _A_INTEGER, _A_FLOAT)) return false;
                if (!_reads(code, n, op, uint8(w >> 232), _B_INTEGER, _B_FLOAT)) return false;
                if (!_reads(code, n, op, uint8(w >> 224), _C_INTEGER, _C_FLOAT)) return false;
                (bool ok, bool isFloat) = _names(t, views, code, w);
                if (!ok) return false;
                if (isFloat) code.floats |= 1 << n;
            }
            return true;
        }
    }

    /// @dev A field that opcodes of the two sets take as an integer or a float register: an
    /// earlier one of that type.
    function _reads(
        Code memory code,
        uint256 n,
        uint256 op,
        uint256 register,
        uint256 integers,
        uint256 floats
    ) private pure returns (bool) {
        uint256 wanted = (floats >> op) & 1;
        if (wanted == 0 && (integers >> op) & 1 == 0) return true;
        return register < n && (code.floats >> register) & 1 == wanted;
    }

    /// @dev Views, axes, digits and literals; the type of the result.
    function _names(Template memory t, ViewSets memory views, Code memory code, uint256 w)
        private
        pure
        returns (bool ok, bool isFloat)
    {
        unchecked {
            uint256 op = w >> 248;
            uint256 a = uint8(w >> 240);
            if (op == LOAD || op == LOADX) {
                ok = a < t.views.length && (code.pre || !_in(views.readsR, a))
                    && (op == LOADX || _in(views.plain, a));
                return (ok, _in(views.floats, a));
            }
            if (op == ACC) return (code.hasAcc, code.accFloat);
            ok = true;
            if (op == COORD) ok = a < t.dims;
            else if (op == RCOORD) ok = code.pre && a < t.rdigits;
            else if (op == RINDEX) ok = code.pre;
            else if (op == CLAMP) ok = uint32(w >> 192) < 1 << 31;
            return (ok, _in(_FLOAT_RESULTS, op));
        }
    }

    function _last(Code memory code) private pure returns (bool isFloat) {
        unchecked {
            return _in(code.floats, code.count - 1);
        }
    }

    function _in(uint256 set, uint256 n) private pure returns (bool) {
        return (set >> n) & 1 == 1;
    }

    function _word(uint256 at) private pure returns (uint256 w) {
        assembly ("memory-safe") {
            w := calldataload(at)
        }
    }
}
