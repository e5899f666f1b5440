// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {DType, Fold, Kind, MAX_DOT_TERMS, NONE8} from "../types/Machine.sol";
import {Costs} from "./Costs.sol";
import {LegalityCode, ViewSets} from "./LegalityCode.sol";
import {LegalityView, ViewHead} from "./LegalityView.sol";
import {ProgramDecoder, Template} from "./ProgramDecoder.sol";

/// @title Clauses T1 to T9
/// @notice Twin of `check_template` in protocol/spec/legality.py. Total: any template that decodes
/// gets an answer. Later clauses rely on earlier ones, hence their order.
library LegalityTemplate {
    using LegalityView for ViewHead;

    /// @dev Elements of a tensor stay below this.
    uint256 internal constant MAX_ELEMENTS = 1 << 40;
    /// @dev |offset| + sum |weight*(radix-1)| stays below this.
    uint256 internal constant MAX_REACH = 1 << 61;

    /// @notice Whether a template keeps every clause.
    function legal(Template memory t) internal pure returns (bool) {
        if (!shape(t.shape, t.dims) || !_kind(t) || !_slots(t)) return false;
        (bool ok, ViewSets memory views) = _views(t);
        if (!ok || !LegalityCode.legal(t, views)) return false;
        if (t.kind == Kind.DOT && !_dot(t)) return false;
        if (!_live(t)) return false;
        (uint256 worst, uint256 size) = Costs.cost(t);
        return worst <= Costs.MAX_COST && size <= Costs.MAX_BYTES;
    }

    /// @notice Clause T1: every dimension at least 1, fewer than 2^40 elements.
    function shape(uint256 dimensions, uint256 dims) internal pure returns (bool) {
        uint256 elements = Costs.product(dimensions, dims);
        return elements != 0 && elements < MAX_ELEMENTS; // a dimension of 0 makes the product 0
    }

    /// @dev T2.
    function _kind(Template memory t) private pure returns (bool) {
        bool folds = t.fold != Fold.NONE;
        if (t.kind == Kind.MAP) {
            if (t.rdigits != 0 || folds || t.preCount != 0 || t.liveR != NONE8) return false;
        } else if (t.kind == Kind.REDUCE) {
            if (t.rdigits == 0 || !folds || t.preCount == 0) return false;
        } else if (t.rdigits == 0 || folds || t.preCount != 0) {
            return false;
        }
        if (t.kind != Kind.DOT && t.boundA | t.boundB != 0) return false;
        return shape(t.r, t.rdigits);
    }

    /// @dev T3.
    function _slots(Template memory t) private pure returns (bool) {
        unchecked {
            for (uint256 k; k < t.slots; ++k) {
                (, uint256 count) = ProgramDecoder.slot(t, k);
                if (count == 0 || count >= MAX_ELEMENTS) return false;
            }
            return true;
        }
    }

    /// @dev T4, and what codes must know of the views.
    function _views(Template memory t) private pure returns (bool ok, ViewSets memory sets) {
        unchecked {
            for (uint256 k; k < t.views.length; ++k) {
                ViewHead memory v = LegalityView.head(t, k);
                if (v.slot >= t.slots || !_radices(t, v) || !_reaches(t, v)) return (false, sets);
                (DType dtype,) = ProgramDecoder.slot(t, v.slot);
                if (!LegalityView.fits(dtype, v.pad)) return (false, sets);
                if (LegalityView.plain(t, v)) sets.plain |= 1 << k;
                if (v.readsR()) sets.readsR |= 1 << k;
                if (dtype == DType.F32) sets.floats |= 1 << k;
            }
            return (true, sets);
        }
    }

    /// @dev Radices of i multiply to the output's count, those of r are the template's.
    function _radices(Template memory t, ViewHead memory v) private pure returns (bool) {
        unchecked {
            uint256 count = Costs.product(t.shape, t.dims);
            uint256 elements = 1;
            for (uint256 k; k < v.digits; ++k) {
                uint256 radix = v.radix(k);
                if (radix == 0 || radix >= MAX_ELEMENTS) return false;
                elements *= radix; // below 2^80: ...
                if (elements > count) return false; // ... no radix can make it smaller again
            }
            for (uint256 k; k < t.rdigits; ++k) {
                if (v.radix(v.digits + k) != uint32(t.r >> (224 - 32 * k))) return false;
            }
            return elements == count;
        }
    }

    /// @dev Offset and strides, guards and their weights; weights only with a guard.
    function _reaches(Template memory t, ViewHead memory v) private pure returns (bool) {
        unchecked {
            (,, uint256 magnitude) = v.reach(v.offset, LegalityView.Weight.STRIDE);
            if (magnitude >= MAX_REACH) return false;
            for (uint256 k; k < 2; ++k) {
                LegalityView.Weight which = LegalityView.Weight(1 + k);
                if (k < v.guards) {
                    (int256 offset,, uint256 slot) = v.guard(k);
                    (,, magnitude) = v.reach(offset, which);
                    if (magnitude >= MAX_REACH) return false;
                    if (slot != NONE8 && !_isLive(t, slot)) return false;
                } else {
                    for (uint256 d; d < v.every; ++d) {
                        if (v.weight(d, which) != 0) return false;
                    }
                }
            }
            return true;
        }
    }

    function _isLive(Template memory t, uint256 k) private pure returns (bool) {
        if (k >= t.slots) return false;
        (DType dtype,) = ProgramDecoder.slot(t, k);
        return dtype == DType.I64;
    }

    /// @dev T7, and T5 of both operands.
    function _dot(Template memory t) private pure returns (bool) {
        unchecked {
            if (t.views.length < 2 || Costs.product(t.r, t.rdigits) > MAX_DOT_TERMS) return false;
            for (uint256 k; k < 2; ++k) {
                ViewHead memory v = LegalityView.head(t, k);
                (DType dtype,) = ProgramDecoder.slot(t, v.slot);
                if (dtype != DType.I16 && dtype != DType.I8) return false;
                if (v.weight(v.every - 1, LegalityView.Weight.STRIDE) != 1) return false;
                if (v.weight(v.every - 1, LegalityView.Weight.GUARD0) != 0) return false;
                if (v.weight(v.every - 1, LegalityView.Weight.GUARD1) != 0) return false;
                uint256 bound = k == 0 ? t.boundA : t.boundB;
                if (bound == 0 || bound > LegalityView.magnitudeOf(dtype)) return false;
                if (LegalityView.abs(v.pad) > bound || !LegalityView.plain(t, v)) return false;
            }
            return true;
        }
    }

    /// @dev T8.
    function _live(Template memory t) private pure returns (bool) {
        if (t.liveR != NONE8 && !_isLive(t, t.liveR)) return false;
        if (t.liveOut == NONE8) return t.dead == 0;
        return _isLive(t, t.liveOut) && t.liveAxis < t.dims && LegalityView.fits(t.dtype, t.dead);
    }
}
