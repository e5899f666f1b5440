// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {BLOCK_BYTES, DType, Kind, NONE8, WORD} from "../types/Machine.sol";
import {AffineView} from "./AffineView.sol";
import {LegalityView, ViewHead} from "./LegalityView.sol";
import {ProgramDecoder, Template} from "./ProgramDecoder.sol";

/// @title The cost table of machine version 1
/// @notice Twin of protocol/spec/costs.py, which says what each figure is.
library Costs {
    using LegalityView for ViewHead;

    uint256 internal constant MAX_COST = 10_000_000;
    uint256 internal constant MAX_BYTES = 96 * 1024;
    uint256 internal constant TRANSACTION_BYTES = 8 * 1024;
    uint256 internal constant OPERAND_BYTES = 1024;
    uint256 internal constant RUN_BYTES = 256;
    uint256 internal constant GAS_BASE = 760_000;
    uint256 internal constant GAS_DATA = 16;
    uint256 internal constant GAS_FLOOR = 40;
    uint256 internal constant GAS_DECODE = 300;
    uint256 internal constant GAS_VIEW = 5_000;
    uint256 internal constant GAS_BLOCK = 1_000;
    uint256 internal constant GAS_RUN = 5_000;
    uint256 internal constant GAS_NODE = 300;
    uint256 internal constant GAS_FOLD = 2_200;
    uint256 internal constant GAS_DOT_TERM = 50;
    uint256 internal constant GAS_DOT_RUN = 10_000;

    // Gas of one execution of an opcode, in hundreds: byte n of the three words is opcode n.
    uint256 internal constant GAS_OP_0 =
        0x0028280505050a0a050505050505000005050505090905050505050505050505;
    uint256 internal constant GAS_OP_1 =
        0x0505050500000000000000000000000014141010160909050509090910101010;
    uint256 internal constant GAS_OP_2 =
        0x1005000000000000000000000000000010090505090000000000000000000000;

    /// @dev Blocks, runs of adjacent ones and sibling hashes that prove loads.
    struct Proofs {
        uint256 blocks;
        uint256 runs;
        uint256 siblings;
    }

    /// @notice Worst case over all elements of a template that is legal but for clause T9: gas of
    /// recomputing one, bytes of its proof. All products stay far below 2^256.
    function cost(Template memory t) internal pure returns (uint256 gas_, uint256 size) {
        unchecked {
            uint256 terms = product(t.r, t.rdigits);
            Proofs memory p;
            gas_ = GAS_BASE + GAS_VIEW * t.views.length + GAS_DECODE * (t.preCount + t.postCount);
            (uint256 once, uint256 plain) = _code(t, p, t.preAt, t.preCount, terms);
            gas_ += once * terms;
            if (t.kind == Kind.REDUCE) {
                gas_ += GAS_FOLD * terms;
            } else if (t.kind == Kind.DOT) {
                uint256 inner = uint32(t.r >> (256 - 32 * t.rdigits));
                gas_ += GAS_DOT_TERM * terms + GAS_DOT_RUN * (terms / inner);
                plain = 3; // views 0 and 1
            }
            _plain(t, p, plain, true);
            (once, plain) = _code(t, p, t.postAt, t.postCount, 1);
            gas_ += once;
            _plain(t, p, plain, false);
            _live(t, p);

            // The template's encoding: from its head to the last word of `post`.
            size = t.postAt + (8 * t.postCount + WORD - 1) / WORD * WORD + 3 * WORD - t.slotsAt;
            size += TRANSACTION_BYTES + OPERAND_BYTES * t.slots;
            size += p.blocks * BLOCK_BYTES + p.runs * RUN_BYTES + p.siblings * WORD;
            gas_ += p.blocks * GAS_BLOCK + p.runs * GAS_RUN + p.siblings * GAS_NODE;
            gas_ += size * GAS_DATA;
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

    /// @dev Gas of one execution of a code, and the views that it loads without a computed index;
    /// each load at a computed one may hit a new block every one of `times`.
    function _code(Template memory t, Proofs memory p, uint256 at, uint256 count, uint256 times)
        private
        pure
        returns (uint256 gas_, uint256 plain)
    {
        unchecked {
            for (uint256 end = at + 8 * count; at < end; at += 8) {
                uint256 w;
                assembly ("memory-safe") {
                    w := calldataload(at)
                }
                uint256 op = w >> 248;
                uint256 table = op < 0x20 ? GAS_OP_0 : op < 0x40 ? GAS_OP_1 : GAS_OP_2;
                gas_ += 100 * ((table >> (8 * (31 - op % 0x20))) & 0xFF);
                uint256 k = uint8(w >> 240);
                if (op == 0x01) plain |= 1 << k;
                if (op == 0x02) _computed(t, p, k, times);
            }
        }
    }

    function _computed(Template memory t, Proofs memory p, uint256 k, uint256 times) private pure {
        unchecked {
            (uint256 total, uint256 depth,) = _tree(t, LegalityView.head(t, k).slot);
            uint256 n = _min(times, total);
            _add(p, n, n, n * depth);
        }
    }

    /// @dev All loads of the views of a set at their own addresses: see `_plain` of the twin.
    function _plain(Template memory t, Proofs memory p, uint256 views, bool folding) private pure {
        unchecked {
            for (uint256 k; k < t.views.length; ++k) {
                if ((views >> k) & 1 == 1) _view(t, p, LegalityView.head(t, k), folding);
            }
        }
    }

    function _view(Template memory t, Proofs memory p, ViewHead memory v, bool folding)
        private
        pure
    {
        unchecked {
            (uint256 total, uint256 depth, uint256 bits) = _tree(t, v.slot);
            Extent memory e = _extent(v, folding ? v.digits : v.every, bits);
            uint256 n = _min(_min(e.runs * e.most, e.span), total);
            uint256 runs = _min(n, (e.span + 1) / 2);
            bool cut = v.guards != 0 || t.liveR != NONE8;
            runs = _min(runs, cut ? e.runs * e.pieces : e.runs);
            uint256 siblings = 2 * depth * runs;
            if (e.most == 1) siblings = _min(siblings, depth * _min(e.runs, n));
            _add(p, n, runs, siblings);
        }
    }

    /// @dev The first block of every slot that bounds something.
    function _live(Template memory t, Proofs memory p) private pure {
        unchecked {
            uint256 set = (1 << t.liveR) | (1 << t.liveOut); // NONE8 is no slot
            for (uint256 k; k < t.views.length; ++k) {
                ViewHead memory v = LegalityView.head(t, k);
                for (uint256 g; g < v.guards; ++g) {
                    (,, uint256 slot) = v.guard(g);
                    set |= 1 << slot;
                }
            }
            for (uint256 k; k < t.slots; ++k) {
                if ((set >> k) & 1 == 0) continue;
                (, uint256 depth,) = _tree(t, k);
                _add(p, 1, 1, depth);
            }
        }
    }

    function _add(Proofs memory p, uint256 blocks, uint256 runs, uint256 siblings) private pure {
        unchecked {
            p.blocks += blocks;
            p.runs += runs;
            p.siblings += siblings;
        }
    }

    /// @dev How the addresses of a view lie over some digits.
    /// @param runs that no block lies between
    /// @param pieces of a run, if elements of it are left out
    /// @param most blocks that one run may touch
    /// @param span blocks that all lie within
    struct Extent {
        uint256 runs;
        uint256 pieces;
        uint256 most;
        uint256 span;
    }

    /// @dev Over the digits from `from` on (three at most), by ascending stride.
    function _extent(ViewHead memory v, uint256 from, uint256 bits)
        private
        pure
        returns (Extent memory e)
    {
        unchecked {
            (e.runs, e.pieces) = (1, 1);
            uint256 length = 1;
            uint256 reach;
            uint256 last;
            for (uint256 left = v.every - from; left > 0; --left) {
                uint256 key = _following(v, from, last);
                last = key;
                (uint256 stride, uint256 radix) = (key >> 66, uint64(key >> 2));
                reach += stride * (radix - 1);
                if (stride == 0 && _guarded(v, from + (key & 3) - 1)) e.pieces *= radix;
                if (stride == 0 || radix == 1) continue;
                uint256 gap = stride < length ? 0 : stride + 1 - length;
                if (e.runs == 1 && gap << bits <= BLOCK_BYTES) {
                    if (length > 1) e.pieces *= radix;
                    length += stride * (radix - 1);
                } else {
                    e.runs *= radix;
                }
            }
            e.most = _blocks((length - 1) << bits) + 1;
            e.span = _blocks(reach << bits) + 1;
        }
    }

    /// @dev Whether a guard looks at digit `k`.
    function _guarded(ViewHead memory v, uint256 k) private pure returns (bool) {
        return v.weight(k, LegalityView.Weight.GUARD0) != 0
            || v.weight(k, LegalityView.Weight.GUARD1) != 0;
    }

    /// @dev The least (stride, radix, 1 + position) of the digits from `from` on that is more than
    /// `last`.
    function _following(ViewHead memory v, uint256 from, uint256 last)
        private
        pure
        returns (uint256 key)
    {
        unchecked {
            key = type(uint256).max;
            for (uint256 k = from; k < v.every; ++k) {
                uint256 stride = LegalityView.abs(v.weight(k, LegalityView.Weight.STRIDE));
                uint256 found = stride << 66 | v.radix(k) << 2 | (k - from + 1);
                if (found > last && found < key) key = found;
            }
        }
    }

    /// @dev Blocks of an operand, depth of the tree over them, base-2 logarithm of an element's
    /// bytes.
    function _tree(Template memory t, uint256 slot)
        private
        pure
        returns (uint256 total, uint256 depth, uint256 bits)
    {
        unchecked {
            (DType dtype, uint256 count) = ProgramDecoder.slot(t, slot);
            bits = AffineView.sizeBits(dtype);
            total = _blocks(count << bits);
            while ((1 << depth) < total) ++depth;
        }
    }

    function _blocks(uint256 size) private pure returns (uint256) {
        unchecked {
            return (size + BLOCK_BYTES - 1) / BLOCK_BYTES;
        }
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
