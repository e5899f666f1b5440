// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {DType, WORD} from "../types/Machine.sol";
import {AffineView} from "./AffineView.sol";
import {ProgramDecoder, Template} from "./ProgramDecoder.sol";

/// @notice A view of a decoded template, its digits still in calldata.
struct ViewHead {
    uint256 slot;
    uint256 digits; // of the output index
    uint256 every; // those and those of the reduction index, which follow
    uint256 guards;
    int256 offset;
    int256 pad;
    uint256 guardsAt;
    uint256 digitsAt;
}

/// @title Views as legality looks at them: ranges of addresses, by exact integers
library LegalityView {
    /// @notice Which of a digit's three weights: they follow its radix.
    enum Weight {
        STRIDE,
        GUARD0,
        GUARD1
    }

    /// @notice View `k`.
    function head(Template memory t, uint256 k) internal pure returns (ViewHead memory v) {
        unchecked {
            uint256 at = t.views[k];
            uint256 w = _word(at);
            v.slot = w >> 248;
            v.digits = uint8(w >> 240);
            v.every = v.digits + t.rdigits;
            v.guards = uint8(w >> 232);
            v.offset = int64(uint64(w >> 128));
            v.pad = int64(uint64(w >> 64));
            v.guardsAt = at + WORD;
            v.digitsAt = v.guardsAt + v.guards * WORD;
        }
    }

    /// @notice Radix of digit `k` of all.
    function radix(ViewHead memory v, uint256 k) internal pure returns (uint256) {
        unchecked {
            return _word(v.digitsAt + k * WORD) >> 192;
        }
    }

    /// @notice A weight of digit `k` of all.
    function weight(ViewHead memory v, uint256 k, Weight which) internal pure returns (int256) {
        unchecked {
            uint256 w = _word(v.digitsAt + k * WORD);
            return int64(uint64(w >> (128 - 64 * uint256(which))));
        }
    }

    /// @notice Offset, bound and live slot (or NONE8) of guard `k`.
    function guard(ViewHead memory v, uint256 k) internal pure returns (int256, int256, uint256) {
        unchecked {
            uint256 w = _word(v.guardsAt + k * WORD);
            return (int64(uint64(w >> 192)), int64(uint64(w >> 128)), uint8(w >> 120));
        }
    }

    /// @notice Lowest and highest value of offset + sum(weight*digit), and the sum of magnitudes.
    /// Twelve numbers below 2^127 at most: nothing wraps.
    function reach(ViewHead memory v, int256 offset, Weight which)
        internal
        pure
        returns (int256 low, int256 high, uint256 magnitude)
    {
        unchecked {
            (low, high, magnitude) = (offset, offset, abs(offset));
            for (uint256 k; k < v.every; ++k) {
                int256 span = weight(v, k, which) * (int256(radix(v, k)) - 1);
                if (span < 0) low += span;
                else high += span;
                magnitude += abs(span);
            }
        }
    }

    /// @notice Clause T5: guarded, or nowhere outside its slot.
    function plain(Template memory t, ViewHead memory v) internal pure returns (bool) {
        if (v.guards != 0) return true;
        (, uint256 count) = ProgramDecoder.slot(t, v.slot);
        (int256 low, int256 high,) = reach(v, v.offset, Weight.STRIDE);
        return low >= 0 && high < int256(count);
    }

    /// @notice Whether any weight of a digit of the reduction index is set.
    function readsR(ViewHead memory v) internal pure returns (bool) {
        unchecked {
            for (uint256 k = v.digits; k < v.every; ++k) {
                if (_word(v.digitsAt + k * WORD) << 64 != 0) return true;
            }
            return false;
        }
    }

    /// @notice A literal of `dtype`: raw bits for f32, otherwise a value in range.
    function fits(DType dtype, int256 value) internal pure returns (bool) {
        if (dtype == DType.F32) return value >= 0 && value < 1 << 32;
        int256 most = int256(magnitudeOf(dtype));
        return -most <= value && value < most;
    }

    /// @notice Magnitude of the lowest integer of `dtype`.
    function magnitudeOf(DType dtype) internal pure returns (uint256) {
        return 1 << ((8 << AffineView.sizeBits(dtype)) - 1);
    }

    function abs(int256 x) internal pure returns (uint256) {
        unchecked {
            return uint256(x < 0 ? -x : x);
        }
    }

    function _word(uint256 at) private pure returns (uint256 w) {
        assembly ("memory-safe") {
            w := calldataload(at)
        }
    }
}
