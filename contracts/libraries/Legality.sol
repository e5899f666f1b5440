// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {DType, InitKind, Kind, NextKind, NONE8} from "../types/Machine.sol";
import {Costs} from "./Costs.sol";
import {LegalityCode} from "./LegalityCode.sol";
import {LegalityTemplate} from "./LegalityTemplate.sol";
import {LegalityView} from "./LegalityView.sol";
import {Decl, Next, ProgramDecoder, Template} from "./ProgramDecoder.sol";

/// @notice A tensor that an operation reads, or that a state becomes.
struct Tensor {
    DType dtype;
    uint256 dims;
    uint256 shape;
    uint256 elements;
    bool bounded; // every element is known to be within +-bound
    uint256 bound;
}

/// @title Clauses D1, D2, I1, I2 and N1, of descriptors that decode
/// @notice Twin of the lower half of protocol/spec/legality.py.
library Legality {
    /// @notice D1.
    function declaration(Decl memory d, bool mayBound) internal pure returns (bool) {
        if (!LegalityTemplate.shape(uint256(d.shape), d.dims)) return false;
        if (d.bound == 0) return true;
        return mayBound && d.dtype != DType.F32 && d.bound <= LegalityView.magnitudeOf(d.dtype);
    }

    /// @notice D2 of a state that starts filled with `value`.
    function filled(Decl memory d, int256 value) internal pure returns (bool) {
        return LegalityView.fits(d.dtype, value)
            && (d.bound == 0 || LegalityView.abs(value) <= d.bound);
    }

    /// @notice D2 of a state that starts as a constant or an input declared as `start`.
    function starts(Decl memory d, InitKind kind, Decl memory start) internal pure returns (bool) {
        if (start.dtype != d.dtype || start.dims != d.dims || start.shape != d.shape) return false;
        if (d.bound == 0) return true;
        return kind == InitKind.CONST && start.bound != 0 && start.bound <= d.bound;
    }

    /// @notice A declared tensor as an operand.
    function declared(Decl memory d) internal pure returns (Tensor memory) {
        return Tensor(d.dtype, d.dims, uint256(d.shape), d.elements, d.bound != 0, d.bound);
    }

    /// @notice The output of an operation.
    function output(Template memory t) internal pure returns (Tensor memory result) {
        (result.dtype, result.dims, result.shape) = (t.dtype, t.dims, t.shape);
        result.elements = Costs.product(t.shape, t.dims);
        (result.bounded, result.bound) = LegalityCode.finalClamp(t);
        if (t.liveOut != NONE8) {
            uint256 dead = LegalityView.abs(t.dead);
            if (dead > result.bound) result.bound = dead;
        }
    }

    /// @notice I1 and I2 of operand `k`, which names `source`.
    function operand(Template memory t, uint256 k, Tensor memory source)
        internal
        pure
        returns (bool)
    {
        (DType dtype, uint256 count) = ProgramDecoder.slot(t, k);
        if (source.dtype != dtype || source.elements != count) return false;
        if (t.kind != Kind.DOT) return true;
        if (t.views.length < 2) return false;
        return _bounded(t, 0, k, t.boundA, source) && _bounded(t, 1, k, t.boundB, source);
    }

    /// @dev I2: if view `v` reads slot `k`, what lies there is within `bound`.
    function _bounded(
        Template memory t,
        uint256 v,
        uint256 k,
        uint256 bound,
        Tensor memory source
    ) private pure returns (bool) {
        if (LegalityView.head(t, v).slot != k) return true;
        return source.bounded && source.bound <= bound;
    }

    /// @notice N1 of a state that becomes, or is written with, `value`.
    function next(Decl memory d, Next memory n, Tensor memory value) internal pure returns (bool) {
        uint256 shape = uint256(d.shape);
        if (n.kind == NextKind.SLICE) {
            if (n.axis >= d.dims) return false;
            uint256 at = 224 - 32 * n.axis;
            shape = (shape & ~(uint256(type(uint32).max) << at)) | (1 << at);
        }
        if (value.dtype != d.dtype || value.dims != d.dims || value.shape != shape) return false;
        return d.bound == 0 || (value.bounded && value.bound <= d.bound);
    }

    /// @notice N1 of what names the slice: one i64.
    function index(Tensor memory t) internal pure returns (bool) {
        return t.dtype == DType.I64 && t.elements == 1;
    }
}
