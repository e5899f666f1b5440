// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Fold} from "../types/Machine.sol";
import {Float32} from "./Float32.sol";

/// @notice A fold under way.
struct Accumulator {
    Fold fold;
    bool isFloat;
    uint256 value; // best so far, or integer sum
    uint256 key; // of `value`, in the order of max and min
    uint256 at; // position of `value`
    uint256[33] partial_; // float sums of 2^k adjacent values, where bit k of their number is set
}

/// @title Folds of a REDUCE
/// @notice Twin of `fold_list` and `neutral` in protocol/spec/operations.py.
library Folds {
    uint256 private constant PLUS_INF = 0x7F800000;
    uint256 private constant MINUS_INF = 0xFF800000;
    int256 private constant INT64_MIN = -(1 << 63);
    int256 private constant INT64_MAX = (1 << 63) - 1;

    /// @notice A fold over no value yet.
    function start(Fold fold, bool isFloat) internal pure returns (Accumulator memory s) {
        s.fold = fold;
        s.isFloat = isFloat;
        if (fold == Fold.MIN) s.value = isFloat ? PLUS_INF : uint256(INT64_MAX);
        if (fold == Fold.MAX) s.value = isFloat ? MINUS_INF : uint256(INT64_MIN);
    }

    /// @notice Takes value number `r`; values come in order.
    function step(Accumulator memory s, uint256 r, uint256 x) internal pure {
        uint256 fold;
        assembly ("memory-safe") {
            fold := mload(s)
        }
        if (fold == uint256(Fold.FSUM)) {
            _push(s.partial_, r, x);
        } else if (fold == uint256(Fold.ISUM)) {
            unchecked {
                s.value = uint256(int256(int64(uint64(s.value + x))));
            }
        } else {
            // A smaller value of a MIN is a greater key; of equal keys the first stays. No value
            // has the key 0.
            uint256 key = _key(fold == uint256(Fold.MIN), s.isFloat, x);
            if (key > s.key) (s.value, s.key, s.at) = (x, key, r);
        }
    }

    /// @notice Result of `count` values.
    function finish(Accumulator memory s, uint256 count) internal pure returns (uint256) {
        if (s.fold == Fold.FSUM) return Float32.add(_total(s.partial_, count), 0);
        return s.fold == Fold.ARGMAX ? s.at : s.value;
    }

    // --- internals ----------------------------------------------------------------------------

    /// @dev Unsigned key: the greatest wins. A NaN is the greatest of a MAX and of a MIN.
    function _key(bool least, bool isFloat, uint256 x) private pure returns (uint256 key) {
        unchecked {
            if (!isFloat) {
                key = x + (1 << 255);
                return least ? ~key : key;
            }
            key = Float32.key(x);
            if (least && !Float32.isNaN(x)) key = type(uint32).max - key;
        }
    }

    /// @dev Adds value number n to the tree of adjacent pairs: like adding 1 to a binary number,
    /// whose set bits are the complete subtrees.
    function _push(uint256[33] memory tree, uint256 n, uint256 x) private pure {
        unchecked {
            uint256 at;
            uint256 left;
            assembly ("memory-safe") {
                at := tree
            }
            for (; n & 1 == 1; n >>= 1) {
                assembly ("memory-safe") {
                    left := mload(at)
                    at := add(at, 0x20)
                }
                x = Float32.add(left, x);
            }
            assembly ("memory-safe") {
                mstore(at, x)
            }
        }
    }

    /// @dev Root: an odd node is carried up unchanged until it finds a left neighbour.
    function _total(uint256[33] memory tree, uint256 count) private pure returns (uint256 x) {
        unchecked {
            bool some;
            for (uint256 k; count != 0; count >>= 1) {
                if (count & 1 == 1) x = some ? Float32.add(tree[k], x) : tree[k];
                some = some || count & 1 == 1;
                ++k;
            }
        }
    }
}
