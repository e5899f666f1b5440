// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IDataReferee} from "./interfaces/IDataReferee.sol";
import {BlockTree} from "./libraries/BlockTree.sol";
import {Decl, Header, ProgramDecoder} from "./libraries/ProgramDecoder.sol";
import {TraceProofs} from "./libraries/TraceProofs.sol";
import {ProgramAnswer, TensorAnswer} from "./types/DemandProofs.sol";
import {Part, RUN_BLOCKS} from "./types/Demand.sol";
import {Context} from "./types/Dispute.sol";
import {Leaf} from "./types/DisputeProofs.sol";
import {
    BLOCK_BYTES,
    TAG_DECL,
    TAG_INSTANCE,
    TAG_NEXT,
    TAG_OUTPUTS,
    TAG_STATE,
    TAG_TEMPLATE,
    WORD
} from "./types/Machine.sol";

/// @title Whether an answer is what was demanded
/// @notice Twin of `shown` in protocol/spec/demands.py. The casts of `proof` make a calldata struct
/// of its bytes: Solidity checks every access against the end of calldata, and every value against
/// a commitment here.
contract DataReferee is IDataReferee {
    /// @inheritdoc IDataReferee
    function shown(Context calldata c, Part part, bytes calldata proof)
        external
        pure
        returns (uint256)
    {
        if (part == Part.CONSTANT || part == Part.INPUT || part == Part.OUTPUT) {
            return _tensor(c, part, proof);
        }
        return _piece(c, part, proof);
    }

    // --- tensors ------------------------------------------------------------------------------

    function _tensor(Context calldata c, Part part, bytes calldata proof)
        private
        pure
        returns (uint256)
    {
        TensorAnswer calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        Header memory h = TraceProofs.program(c, p.program);
        (uint256 count, bytes32 root) = (h.outputs, c.node);
        if (part == Part.CONSTANT) (count, root) = (h.constants, c.task.constantsRoot);
        if (part == Part.INPUT) (count, root) = (h.inputs, c.task.inputsRoot);
        if (c.item >= count) return 0;
        Decl memory d = part == Part.OUTPUT ? _outputDecl(c, p, h) : _decl(c, p, part, count);
        bytes32 tensor = _run(c, p, d);
        if (tensor == 0) return 0;
        TraceProofs.equal(BlockTree.rootOfLeaf(tensor, c.item, count, p.tensor), root);
        return p.blocks.length;
    }

    /// @dev Tensor root that the run gives; 0 if the tensor ends before it.
    function _run(Context calldata c, TensorAnswer calldata p, Decl memory d)
        private
        pure
        returns (bytes32 root)
    {
        (uint256 size,) = TraceProofs.sizeOf(uint256(d.dtype), d.dims, uint256(d.shape));
        uint256 run = (size + BLOCK_BYTES - 1) / BLOCK_BYTES;
        if (c.index >= (run + RUN_BLOCKS - 1) / RUN_BLOCKS) return 0;
        uint256 first = c.index * RUN_BLOCKS;
        run = run - first < RUN_BLOCKS ? run - first : RUN_BLOCKS;
        // INVARIANT: a demand is answered whole.
        if (p.blocks.length != run * BLOCK_BYTES) {
            revert WrongRun(p.blocks.length, run * BLOCK_BYTES);
        }
        (root,) = BlockTree.rootOfRun(p.blocks, first, size, p.siblings);
        return BlockTree.wrap(d.dtype, d.dims, d.elements, d.shape, root);
    }

    function _decl(Context calldata c, TensorAnswer calldata p, Part part, uint256 count)
        private
        pure
        returns (Decl memory)
    {
        TraceProofs.Table table = part == Part.CONSTANT
            ? TraceProofs.Table.CONSTANTS
            : TraceProofs.Table.INPUTS;
        TraceProofs.leaf(TAG_DECL, p.decl, c.item, count, p.program.tables[uint256(table)]);
        return ProgramDecoder.decl(p.decl.data);
    }

    /// @dev An output is as its state is declared.
    function _outputDecl(Context calldata c, TensorAnswer calldata p, Header memory h)
        private
        pure
        returns (Decl memory d)
    {
        bytes32 outputs = p.program.tables[uint256(TraceProofs.Table.OUTPUTS)];
        TraceProofs.leaf(TAG_OUTPUTS, p.output, c.item, h.outputs, outputs);
        uint256 n = uint256(bytes32(p.output.data[0:WORD]));
        bytes32 states = p.program.tables[uint256(TraceProofs.Table.STATES)];
        TraceProofs.leaf(TAG_STATE, p.decl, n, h.states, states);
        (d,,) = ProgramDecoder.state(p.decl.data);
    }

    // --- the program --------------------------------------------------------------------------

    function _piece(Context calldata c, Part part, bytes calldata proof)
        private
        pure
        returns (uint256)
    {
        ProgramAnswer calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        if (part == Part.HEADER) {
            bytes32 got = BlockTree.programRoot(p.program.header, p.program.tables);
            TraceProofs.equal(got, c.task.programRoot);
            return p.program.header.length + p.program.tables.length * WORD;
        }
        Header memory h = TraceProofs.program(c, p.program);
        if (part >= Part.PHASE) return _ofPhase(c, part, p, h);
        if (part == Part.CONSTANT_DECL) return _leaf(c, part, p, TAG_DECL, h.constants);
        if (part == Part.INPUT_DECL) return _leaf(c, part, p, TAG_DECL, h.inputs);
        if (part == Part.STATE_DECL) return _leaf(c, part, p, TAG_STATE, h.states);
        if (part == Part.OUTPUT_DECL) return _leaf(c, part, p, TAG_OUTPUTS, h.outputs);
        return _leaf(c, part, p, TAG_TEMPLATE, h.templates);
    }

    function _leaf(
        Context calldata c,
        Part part,
        ProgramAnswer calldata p,
        bytes32 tag,
        uint256 count
    ) private pure returns (uint256) {
        if (c.item >= count) return 0;
        bytes32 root = p.program.tables[uint256(part) - uint256(Part.CONSTANT_DECL)];
        TraceProofs.leaf(tag, p.piece, c.item, count, root);
        return p.piece.data.length;
    }

    function _ofPhase(
        Context calldata c,
        Part part,
        ProgramAnswer calldata p,
        Header memory h
    ) private pure returns (uint256) {
        if (c.item >= h.phases) return 0;
        uint256 count = TraceProofs.phaseAt(p.program, h, p.phase, c.item);
        // A phase is its head and the roots of its two lists.
        if (part == Part.PHASE) return 3 * WORD;
        (bytes32 tag, bytes32 root) = (TAG_INSTANCE, p.phase.instances);
        if (part == Part.NEXT) (tag, root, count) = (TAG_NEXT, p.phase.nexts, h.states);
        if (c.index >= count) return 0;
        TraceProofs.leaf(tag, p.piece, c.index, count, root);
        return p.piece.data.length;
    }
}
