// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {BLOCK_BYTES, DType, Kind, WORD} from "../types/Machine.sol";
import {AffineView} from "./AffineView.sol";
import {LegalityView, ViewHead} from "./LegalityView.sol";
import {ProgramDecoder, Template} from "./ProgramDecoder.sol";

/// @notice Loads of a template's codes: bit k stands for view k.
struct Loads {
    uint256 pre;
    uint256 post;
    uint256 preComputed;
    uint256 postComputed;
}

/// @title The cost table of machine version 1
/// @notice Twin of protocol/spec/costs.py, which says what each figure is.
library Costs {
    using LegalityView for ViewHead;

    uint256 internal constant MAX_COST = 10_000_000;
    uint256 internal constant MAX_BYTES = 96 * 1024;
    uint256 internal constant TRANSACTION_BYTES = 16 * 1024;
    uint256 internal constant GAS_BASE = 500_000;
    uint256 internal constant GAS_DATA = 16;
    uint256 internal constant GAS_FLOOR = 40;
    uint256 internal constant GAS_DECODE = 300;
    uint256 internal constant GAS_VIEW = 5_000;
    uint256 internal constant GAS_BLOCK = 1_000;
    uint256 internal constant GAS_RUN = 5_000;
    uint256 internal constant GAS_NODE = 300;
    uint256 internal constant GAS_FOLD = 2_200;
    uint256 internal constant GAS_DOT_TERM = 50;
    uint256 internal constant GAS_DOT_RUN = 4_500;

    // Gas of one execution of an opcode, in hundreds: byte n of the three words is opcode n.
    uint256 internal constant GAS_OP_0 =
        0x0028280505050a0a050505050505000005050505090905050505050505050505;
    uint256 internal constant GAS_OP_1 =
        0x0505050500000000000000000000000014141010160909050509090910101010;
    uint256 internal constant GAS_OP_2 =
        0x1005000000000000000000000000000010090505090000000000000000000000;

    /// @notice Worst case over all elements of a template that is legal but for clause T9: gas of
    /// recomputing one, bytes of its proof. All products stay far below 2^256.
    function cost(Template memory t) internal pure returns (uint256 gas_, uint256 size) {
        unchecked {
            uint256 terms = product(t.r, t.rdigits);
            Loads memory loads;
            gas_ = GAS_BASE + GAS_VIEW * t.views.length + GAS_DECODE * (t.preCount + t.postCount);
            uint256 once;
            (once, loads.pre, loads.preComputed) = _code(t.preAt, t.preCount);
            gas_ += once * terms;
            (once, loads.post, loads.postComputed) = _code(t.postAt, t.postCount);
            gas_ += once;
            if (t.kind == Kind.REDUCE) {
                gas_ += GAS_FOLD * terms;
            } else if (t.kind == Kind.DOT) {
                uint256 inner = uint32(t.r >> (256 - 32 * t.rdigits));
                gas_ += GAS_DOT_TERM * terms + GAS_DOT_RUN * (terms / inner);
                loads.pre = 3; // views 0 and 1
            }
            uint256 proofs;
            (proofs, size) = _proofs(t, loads);
            size += TRANSACTION_BYTES;
            gas_ += proofs + size * GAS_DATA;
            if (gas_ < size * GAS_FLOOR) gas_ = size * GAS_FLOOR;
        }
    }

    /// @notice Product of the first `count` u32 of a word.
    function product(uint256 radices, uint256 count) internal pure returns (uint256 result) {
        unchecked {
            result = 1;
            for (uint256 k; k < count; ++k) {
                result *= uint32(radices >> (224 - 32 * k)); // below 2^256: eight at most
            }
        }
    }

    /// @dev Gas of one execution of a code, and the views that it loads.
    function _code(uint256 at, uint256 count)
        private
        pure
        returns (uint256 gas_, uint256 loads, uint256 computed)
    {
        (uint256 table0, uint256 table1, uint256 table2) = (GAS_OP_0, GAS_OP_1, GAS_OP_2);
        assembly ("memory-safe") {
            for { let end := add(at, shl(3, count)) } lt(at, end) { at := add(at, 8) } {
                let w := calldataload(at)
                let op := byte(0, w)
                let table := table0
                if gt(op, 0x1F) { table := table1 }
                if gt(op, 0x3F) { table := table2 }
                gas_ := add(gas_, byte(and(op, 0x1F), table))
                let view_ := shl(byte(1, w), 1)
                if eq(op, 0x01) { loads := or(loads, view_) }
                if eq(op, 0x02) { computed := or(computed, view_) }
            }
            gas_ := mul(gas_, 100)
        }
    }

    /// @dev Gas and bytes of proving all loads.
    function _proofs(Template memory t, Loads memory loads)
        private
        pure
        returns (uint256 gas_, uint256 size)
    {
        unchecked {
            for (uint256 k; k < t.views.length; ++k) {
                ViewHead memory v = LegalityView.head(t, k);
                for (uint256 kind; kind < 4; ++kind) {
                    uint256 set = kind < 2
                        ? (kind == 0 ? loads.pre : loads.preComputed)
                        : (kind == 2 ? loads.post : loads.postComputed);
                    if ((set >> k) & 1 == 0) continue;
                    (uint256 blocks, uint256 runs, uint256 siblings) =
                        _proof(t, v, kind < 2, kind & 1 == 1);
                    size += blocks * BLOCK_BYTES + siblings * WORD;
                    gas_ += blocks * GAS_BLOCK + runs * GAS_RUN + siblings * GAS_NODE;
                }
            }
        }
    }

    /// @dev Most that proves all loads of a view for one element: blocks, runs of adjacent ones,
    /// sibling hashes.
    function _proof(Template memory t, ViewHead memory v, bool folding, bool computed)
        private
        pure
        returns (uint256 blocks, uint256 runs, uint256 siblings)
    {
        unchecked {
            (DType dtype, uint256 count) = ProgramDecoder.slot(t, v.slot);
            uint256 bits = AffineView.sizeBits(dtype);
            uint256 total = _blocks(count << bits);
            uint256 depth = _depth(total);
            if (computed) {
                blocks = min(folding ? product(t.r, t.rdigits) : 1, total);
                return (blocks, blocks, blocks * depth);
            }
            uint256 perRun;
            uint256 span;
            (runs, perRun, span) = _runs(v, folding ? v.digits : v.every, bits);
            blocks = min(min(runs * perRun, span), total);
            runs = min(runs, blocks);
            siblings = min(runs * (perRun == 1 ? depth : 2 * depth), span + 2 * depth);
        }
    }

    /// @dev Runs of contiguous elements over the digits from `from` on, blocks that one run may
    /// touch, blocks that all lie within.
    function _runs(ViewHead memory v, uint256 from, uint256 bits)
        private
        pure
        returns (uint256 runs, uint256 perRun, uint256 span)
    {
        unchecked {
            uint256 run = 1;
            uint256 reach;
            runs = 1;
            for (uint256 k = v.every; k > from; --k) {
                uint256 radix = v.radix(k - 1);
                uint256 stride = LegalityView.abs(v.weight(k - 1, LegalityView.Weight.STRIDE));
                reach += stride * (radix - 1);
                if (radix == 1 || stride == 0) continue;
                if (stride == run && runs == 1) run *= radix;
                else runs *= radix;
            }
            perRun = _blocks((run - 1) << bits) + 1;
            span = _blocks(reach << bits) + 1;
        }
    }

    function _blocks(uint256 size) private pure returns (uint256) {
        unchecked {
            return (size + BLOCK_BYTES - 1) / BLOCK_BYTES;
        }
    }

    /// @dev Levels above `leaves`.
    function _depth(uint256 leaves) private pure returns (uint256 depth) {
        unchecked {
            while ((1 << depth) < leaves) ++depth;
        }
    }

    function min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
