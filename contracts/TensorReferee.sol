// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IReferee} from "./interfaces/IReferee.sol";
import {BlockTree} from "./libraries/BlockTree.sol";
import {Header, Instance, ProgramDecoder} from "./libraries/ProgramDecoder.sol";
import {Scalars, TensorElement} from "./libraries/TensorElement.sol";
import {TraceProofs} from "./libraries/TraceProofs.sol";
import {Context, Proof} from "./types/Dispute.sol";
import {ElementProof, OperandPart} from "./types/DisputeProofs.sol";
import {Source, TAG_INSTANCE, TAG_TEMPLATE, TAG_TENSOR, WORD} from "./types/Machine.sol";

/// @title One element of one operation, recomputed from what the claim itself commits
/// @notice Twin of `element` in protocol/spec/referee.py: binds program, operation and operands to
/// their roots, has TensorElement recompute the element, and compares.
contract TensorReferee is IReferee {
    /// @notice The operation has `wanted` operands.
    error WrongOperands(uint256 got, uint256 wanted);
    /// @notice A wrapper's two words come with constants and inputs only.
    error WrongMeta(uint256 got, uint256 wanted);

    /// @inheritdoc IReferee
    function judge(Context calldata c, Proof kind, bytes calldata proof)
        external
        pure
        returns (bool)
    {
        if (kind != Proof.ELEMENT) revert UnknownProof(kind);
        ElementProof calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        _program(c, p);
        return _recomputed(p) != _claimed(c, p);
    }

    function _recomputed(ElementProof calldata p) private pure returns (uint256) {
        return TensorElement.element(p.template.data, p.roots, p.runs, p.scalars, p.element);
    }

    function _claimed(Context calldata c, ElementProof calldata p)
        private
        pure
        returns (uint256)
    {
        (, uint256 bits) = TraceProofs.outputSize(p.template.data);
        return TraceProofs.claimed(c, p.data, p.element, bits);
    }

    /// @dev The operation, its template, its operands and the program scalars are the job's.
    function _program(Context calldata c, ElementProof calldata p) private pure {
        Header memory h = TraceProofs.program(c, p.program);
        (uint256 operations, uint256 phaseStep) =
            TraceProofs.phase(c, p.program, h, p.phase);
        TraceProofs.leaf(TAG_INSTANCE, p.instance, c.item, operations, p.phase.instances);
        Instance memory i = ProgramDecoder.instance(p.instance.data);
        bytes32 templates = p.program.tables[uint256(TraceProofs.Table.TEMPLATES)];
        TraceProofs.leaf(TAG_TEMPLATE, p.template, i.template, h.templates, templates);
        _same(p.scalars.step, int256(c.step - 1));
        _same(p.scalars.phaseStep, int256(phaseStep));
        _same(p.scalars.seed, c.task.seed);
        if (p.operands.length != i.operandCount || p.roots.length != i.operandCount) {
            revert WrongOperands(p.operands.length, i.operandCount);
        }
        for (uint256 k; k < i.operandCount; ++k) {
            _operand(c, p, h, i, operations, k);
        }
    }

    /// @dev The block root of operand `k` is the committed one.
    function _operand(
        Context calldata c,
        ElementProof calldata p,
        Header memory h,
        Instance memory i,
        uint256 operations,
        uint256 k
    ) private pure {
        OperandPart calldata part = p.operands[k];
        (Source source, uint256 index) = ProgramDecoder.operand(i, k);
        bytes32 leaf = p.roots[k];
        bytes32 wanted;
        uint256 count;
        if (source == Source.CONST || source == Source.INPUT) {
            leaf = _wrapper(part.meta, leaf);
            (wanted, count) = source == Source.CONST
                ? (c.task.constantsRoot, h.constants)
                : (c.task.inputsRoot, h.inputs);
        } else {
            if (part.meta.length != 0) revert WrongMeta(part.meta.length, 0);
            (wanted, count) = source == Source.STATE
                ? (TraceProofs.stateBefore(c, p.before), h.states)
                : (TraceProofs.operationsRoot(c), operations);
        }
        TraceProofs.equal(BlockTree.rootOfLeaf(leaf, index, count, part.siblings), wanted);
    }

    function _wrapper(bytes calldata meta, bytes32 root) private pure returns (bytes32) {
        if (meta.length != 2 * WORD) revert WrongMeta(meta.length, 2 * WORD);
        return keccak256(abi.encodePacked(TAG_TENSOR, meta, root));
    }

    function _same(int256 got, int256 wanted) private pure {
        if (got != wanted) revert WrongPlace(uint256(got), uint256(wanted));
    }
}
