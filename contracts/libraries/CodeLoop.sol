// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {AffineView, Cursor} from "./AffineView.sol";
import {Frame, Microcode} from "./Microcode.sol";
import {ProgramDecoder} from "./ProgramDecoder.sol";

/// @notice A code laid out in memory, each instruction in a record of five words: its function,
/// where its fields a and b are, itself, where its result goes.
struct Loop {
    uint256 still; // what no position changes,
    uint256 stillEnd;
    uint256 moving; // and the rest
    uint256 movingEnd;
    uint256 result; // address of the last register
}

/// @title A code that runs at every position of a fold
/// @notice The same as `Microcode.run` at each, but instructions are taken apart once, and what
/// does not depend on the position is computed once.
library CodeLoop {
    uint256 private constant RECORD = 0xA0;
    uint256 private constant LOAD = 0x01;
    uint256 private constant LOADX = 0x02;
    uint256 private constant RCOORD = 0x07;
    uint256 private constant RINDEX = 0x09;

    /// @notice `count` instructions at calldata offset `at`, for a fold over `f.rdigits` digits.
    function prepare(Frame memory f, uint256 at, uint256 count)
        internal
        pure
        returns (Loop memory loop)
    {
        unchecked {
            uint256 all;
            assembly ("memory-safe") {
                all := mload(0x40)
                mstore(0x40, add(all, mul(count, mul(2, RECORD))))
            }
            (loop.still, loop.stillEnd) = (all, all);
            (loop.moving, loop.movingEnd) = (all + count * RECORD, all + count * RECORD);
            loop.result = f.registers + 32 * count - 32;
            uint256 moving; // bit k: register k depends on the position
            for (uint256 k; k < count; ++k) {
                uint256 w;
                assembly ("memory-safe") {
                    w := calldataload(add(at, shl(3, k)))
                }
                if (_moves(f, w, moving)) {
                    moving |= 1 << k;
                    _write(f, loop.movingEnd, w, k);
                    loop.movingEnd += RECORD;
                } else {
                    _write(f, loop.stillEnd, w, k);
                    loop.stillEnd += RECORD;
                }
            }
        }
    }

    /// @notice Executes the records from `at` to `to`, for position `f.r`.
    function run(Frame memory f, uint256 at, uint256 to) internal pure {
        uint256 w;
        uint256 a;
        uint256 b;
        function(Frame memory, uint256, uint256, uint256) pure returns (uint256) op;
        if (at == to) return;
        do {
            assembly ("memory-safe") {
                op := mload(at)
                a := mload(mload(add(at, 0x20)))
                b := mload(mload(add(at, 0x40)))
                w := mload(add(at, 0x60))
            }
            a = op(f, w, a, b);
            assembly ("memory-safe") {
                mstore(mload(add(at, 0x80)), a)
                at := add(at, RECORD)
            }
        } while (at < to);
    }

    /// @dev Fields a and b are read as registers even where they are not: see `Microcode.run`. That
    /// of a load is its cursor.
    function _write(Frame memory f, uint256 record, uint256 w, uint256 k) private pure {
        uint256 ops = f.ops;
        uint256 registers = f.registers;
        assembly ("memory-safe") {
            mstore(record, mload(add(ops, shl(5, byte(0, w)))))
            mstore(add(record, 0x20), add(registers, shl(5, byte(1, w))))
            mstore(add(record, 0x40), add(registers, shl(5, byte(2, w))))
            mstore(add(record, 0x60), w)
            mstore(add(record, 0x80), add(registers, shl(5, k)))
        }
        if (w >> 248 != LOAD) return;
        Cursor[] memory views = f.views;
        function(Frame memory, uint256, Cursor memory, uint256) pure returns (uint256) load = _load;
        assembly ("memory-safe") {
            mstore(record, load)
            mstore(add(record, 0x20), add(views, shl(5, add(byte(1, w), 1))))
        }
    }

    /// @dev `_moves` has found that there is such a view.
    function _load(Frame memory f, uint256, Cursor memory c, uint256)
        private
        pure
        returns (uint256)
    {
        return AffineView.load(c, f.rdigits, f.r, 0);
    }

    /// @dev Whether what an instruction yields may depend on the position.
    function _moves(Frame memory f, uint256 w, uint256 moving) private pure returns (bool) {
        uint256 op = w >> 248;
        if (op == RCOORD || op == RINDEX) return true;
        uint256 reads;
        if (op == LOAD || op == LOADX) {
            Microcode.checkView(f, uint8(w >> 240));
            if (AffineView.moves(f.views[uint8(w >> 240)], f.rdigits)) return true;
        } else if ((ProgramDecoder._WITHOUT_A >> op) & 1 == 0) {
            reads = moving >> uint8(w >> 240);
        }
        if ((ProgramDecoder._WITHOUT_B >> op) & 1 == 0) reads |= moving >> uint8(w >> 232);
        if ((ProgramDecoder._WITHOUT_C >> op) & 1 == 0) reads |= moving >> uint8(w >> 224);
        return reads & 1 == 1;
    }
}
