// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {DType, Kind, MAX_DOT_TERMS, NONE8} from "../types/Machine.sol";
import {AffineView, Cursor, Operand, Span} from "./AffineView.sol";
import {BlockTree} from "./BlockTree.sol";
import {CodeLoop, Loop} from "./CodeLoop.sol";
import {Costs} from "./Costs.sol";
import {DotProduct} from "./DotProduct.sol";
import {Accumulator, Folds} from "./Folds.sol";
import {Frame, Microcode} from "./Microcode.sol";
import {ProgramDecoder, Template} from "./ProgramDecoder.sol";

/// @notice A run of an operand's blocks and the siblings that prove it.
struct BlockRun {
    uint8 slot;
    uint64 first; // number of its first block
    bytes blocks;
    bytes32[] siblings;
}

/// @notice Program scalars of one step: its number in the job and in its phase, and the seed.
struct Scalars {
    int64 step;
    int64 phaseStep;
    int64 seed;
}

/// @title One output element of one operation, recomputed
/// @notice Twin of `element` in protocol/spec/operations.py.
library TensorElement {
    /// @notice Element `got` of an output of `count` elements.
    error NoSuchElement(uint256 got, uint256 count);
    /// @notice One bare block root for each slot: `got` roots, `wanted` slots.
    error WrongRootCount(uint256 got, uint256 wanted);
    /// @notice Runs come by ascending operand, then block, without overlap; run `k` does not.
    error RunOutOfOrder(uint256 k);
    /// @notice Blocks of operand `slot` prove `got`, its root is `wanted`.
    error WrongRoot(uint256 slot, bytes32 got, bytes32 wanted);
    /// @notice A reduction of `got` positions, or of none: no legal one has more than `most`.
    error BadReduction(uint256 got, uint256 most);

    /// @dev Most positions of a fold whose worst case a transaction can pay for.
    uint256 private constant MOST_FOLDED = Costs.MAX_COST / Costs.GAS_FOLD;

    /// @param data the template's encoding
    /// @param roots bare block root of each operand
    /// @param runs proven blocks of the operands
    /// @param i flattened output index
    /// @return bits of the element, in the low bits
    function element(
        bytes calldata data,
        bytes32[] calldata roots,
        BlockRun[] calldata runs,
        Scalars calldata scalars,
        uint256 i
    ) internal pure returns (uint256 bits) {
        Template memory t = ProgramDecoder.template(data);
        uint256 count = _product(t.shape, t.dims);
        if (i >= count) revert NoSuchElement(i, count);
        Operand[] memory operands = _operands(t, roots, runs);

        Frame memory f = _frame(t, operands, scalars, i);
        if (_isDead(t, operands, f)) {
            return AffineView.store(t.dtype, AffineView.literal(t.dtype == DType.F32, t.dead));
        }
        if (t.kind == Kind.REDUCE) f.acc = _reduce(t, operands, f);
        if (t.kind == Kind.DOT) f.acc = _dot(t, operands, f);
        return AffineView.store(t.dtype, Microcode.run(f, t.postAt, t.postCount));
    }

    // --- folds --------------------------------------------------------------------------------

    /// @dev ACC of a REDUCE: `pre` at every position that takes part, folded.
    function _reduce(Template memory t, Operand[] memory operands, Frame memory f)
        private
        pure
        returns (uint256 acc)
    {
        unchecked {
            uint256 terms = _liveTerms(t, operands);
            // INVARIANT: what no proof could pay for is refused at once.
            if (terms > MOST_FOLDED) revert BadReduction(terms, MOST_FOLDED);
            bool isFloat = Microcode.yieldsFloat(f, t.preAt, t.preCount);
            Accumulator memory sum = Folds.start(t.fold, isFloat);
            f.rdigits = t.rdigits;
            Loop memory pre = CodeLoop.prepare(f, t.preAt, t.preCount);
            (uint256 from, uint256 to, uint256 result) = (pre.moving, pre.movingEnd, pre.result);
            if (terms > 0) CodeLoop.run(f, pre.still, pre.stillEnd);
            for (uint256 r; r < terms; ++r) {
                f.r = r;
                CodeLoop.run(f, from, to);
                uint256 x;
                assembly ("memory-safe") {
                    x := mload(result)
                }
                Folds.step(sum, r, x);
            }
            (f.r, f.rdigits) = (0, 0);
            return Folds.finish(sum, terms);
        }
    }

    /// @dev ACC of a DOT: the products of views 0 and 1, a run of the innermost digit at a time.
    function _dot(Template memory t, Operand[] memory operands, Frame memory f)
        private
        pure
        returns (uint256 acc)
    {
        unchecked {
            uint256 terms = _liveTerms(t, operands);
            uint256 run = uint32(t.r >> (256 - 32 * t.rdigits));
            // INVARIANT: what no proof could pay for is refused at once.
            if (run == 0 || run > MAX_DOT_TERMS || terms > MAX_DOT_TERMS) {
                revert BadReduction(run == 0 ? 0 : terms, MAX_DOT_TERMS);
            }
            Microcode.checkView(f, 1);
            uint256 lane = _lane(f);
            uint256 buffers = DotProduct.buffers(run);
            int256 total;
            for (uint256 r; r < terms; r += run) {
                uint256 n = terms - r < run ? terms - r : run;
                uint256 a = _run(f.views[0], t.rdigits, r, n, buffers, lane);
                uint256 b = _run(f.views[1], t.rdigits, r, n, buffers + 2 * run + 64, lane);
                total += lane == 0 ? DotProduct.sum8(a, b, n) : DotProduct.sum16(a, b, n);
            }
            return uint256(total);
        }
    }

    function _run(
        Cursor memory c,
        uint256 rdigits,
        uint256 r,
        uint256 n,
        uint256 buffer,
        uint256 lane
    ) private pure returns (uint256) {
        (int256 at, bool inside) = AffineView.addressAt(c, rdigits, r);
        return DotProduct.gather(c, at, inside, n, buffer, lane);
    }

    /// @dev Base-2 logarithm of the bytes of a DOT's lanes: those of its wider operand.
    function _lane(Frame memory f) private pure returns (uint256) {
        return f.views[0].bits | f.views[1].bits;
    }

    /// @dev Positions of the reduction index that take part.
    function _liveTerms(Template memory t, Operand[] memory operands)
        private
        pure
        returns (uint256 terms)
    {
        terms = _product(t.r, t.rdigits);
        if (t.liveR != NONE8) {
            int256 live = AffineView.live(operands, t.liveR);
            if (live < int256(terms)) terms = live < 0 ? 0 : uint256(live);
        }
    }

    // --- internals ----------------------------------------------------------------------------

    /// @dev Checks every run against its operand's root and places its blocks in memory.
    function _operands(Template memory t, bytes32[] calldata roots, BlockRun[] calldata runs)
        private
        pure
        returns (Operand[] memory operands)
    {
        if (roots.length != t.slots) revert WrongRootCount(roots.length, t.slots);
        operands = new Operand[](t.slots);
        uint256 used;
        for (uint256 slot; slot < t.slots; ++slot) {
            uint256 from = used;
            while (used < runs.length && runs[used].slot == slot) ++used;

            Operand memory operand = operands[slot];
            (DType dtype, uint256 count) = ProgramDecoder.slot(t, slot);
            (operand.slot, operand.count) = (slot, count);
            (operand.isFloat, operand.bits) = (dtype == DType.F32, AffineView.sizeBits(dtype));
            operand.spans = new Span[](used - from);
            for (uint256 k; k < used - from; ++k) {
                operand.spans[k] = _prove(operand, roots[slot], runs[from + k]);
                if (k > 0 && operand.spans[k].from < operand.spans[k - 1].to) {
                    revert RunOutOfOrder(from + k);
                }
            }
        }
        if (used != runs.length) revert RunOutOfOrder(used);
    }

    function _prove(Operand memory operand, bytes32 wanted, BlockRun calldata run)
        private
        pure
        returns (Span memory span)
    {
        uint256 size = operand.count << operand.bits;
        (bytes32 root, uint256 at) =
            BlockTree.rootOfRun(run.blocks, run.first, size, run.siblings);
        if (root != wanted) revert WrongRoot(run.slot, root, wanted);
        span.from = uint256(run.first) << 9;
        span.to = span.from + run.blocks.length;
        span.data = at;
    }

    function _frame(
        Template memory t,
        Operand[] memory operands,
        Scalars calldata scalars,
        uint256 i
    ) private pure returns (Frame memory f) {
        f.registers = Microcode.registerFile();
        f.ops = Microcode.table();
        f.views = new Cursor[](t.views.length);
        for (uint256 k; k < t.views.length; ++k) {
            f.views[k] = AffineView.open(operands, t.views[k], i);
        }
        f.i = i;
        f.shape = t.shape;
        f.dims = t.dims;
        f.rshape = t.r;
        (f.step, f.phaseStep, f.seed) = (scalars.step, scalars.phaseStep, scalars.seed);
    }

    function _isDead(Template memory t, Operand[] memory operands, Frame memory f)
        private
        pure
        returns (bool)
    {
        if (t.liveOut == NONE8) return false;
        return int256(Microcode.coordinate(f, t.liveAxis)) >= AffineView.live(operands, t.liveOut);
    }

    /// @dev Product of the first `count` u32 of a word.
    function _product(uint256 radices, uint256 count) private pure returns (uint256 product) {
        product = 1;
        for (uint256 k; k < count; ++k) {
            product *= uint32(radices >> (224 - 32 * k));
        }
    }
}
