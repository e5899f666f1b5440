// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IReferee, ITraceReferee} from "./interfaces/IReferee.sol";
import {AffineView} from "./libraries/AffineView.sol";
import {BlockTree} from "./libraries/BlockTree.sol";
import {Decl, Header, Instance, Next, ProgramDecoder} from "./libraries/ProgramDecoder.sol";
import {BlockRun} from "./libraries/TensorElement.sol";
import {TraceProofs} from "./libraries/TraceProofs.sol";
import {Context, HALTED, Proof, Tree} from "./types/Dispute.sol";
import {
    HaltProof,
    InitialProof,
    NextProof,
    OperationProof,
    OperationsProof,
    OutputProof,
    SliceProof,
    StateProof,
    TableProof
} from "./types/DisputeProofs.sol";
import {
    BLOCK_BYTES,
    DType,
    InitKind,
    NextKind,
    NONE32,
    TAG_INSTANCE,
    TAG_NEXT,
    TAG_OUTPUTS,
    TAG_STATE,
    TAG_TEMPLATE,
    WORD,
    ZERO
} from "./types/Machine.sol";

/// @title Everything that a trace claims beside the elements of its operations
/// @notice Shapes of its trees, next-states, initial states, outputs, halts. Twin of
/// protocol/spec/referee.py. The casts of `proof` make a calldata struct of its bytes: Solidity
/// checks every access against the end of calldata, and every value against a commitment here.
contract TraceReferee is ITraceReferee {
    /// @notice The step changes the state in another way than the proof is for.
    error WrongNext(uint256 got);

    /// @inheritdoc ITraceReferee
    function geometry(Context calldata c, Tree into, bytes calldata proof)
        external
        pure
        returns (uint256 count, uint256 lastBytes)
    {
        if (into == Tree.OUTPUTS) return (_table(c, proof).outputs, 0);
        if (into == Tree.STATES) return (_table(c, proof).states, 0);
        if (into == Tree.OPERATIONS) return (_operations(c, proof), 0);
        uint256 size;
        if (into == Tree.OPERATION_BLOCKS) size = _operationSize(c, proof);
        else if (into == Tree.STATE_BLOCKS) size = _stateSize(c, proof);
        else revert UnknownTree(into);
        count = (size + BLOCK_BYTES - 1) / BLOCK_BYTES;
        lastBytes = size - (count - 1) * BLOCK_BYTES;
    }

    /// @inheritdoc IReferee
    function judge(Context calldata c, Proof kind, bytes calldata proof)
        external
        pure
        returns (bool)
    {
        if (kind == Proof.NEXT) return _next(c, proof);
        if (kind == Proof.SLICE) return _slice(c, proof);
        if (kind == Proof.INITIAL) return _initial(c, proof);
        if (kind == Proof.OUTPUT) return _output(c, proof);
        if (kind == Proof.HALT) return _halt(c, proof);
        revert UnknownProof(kind);
    }

    // --- shapes -------------------------------------------------------------------------------

    function _table(Context calldata c, bytes calldata proof)
        private
        pure
        returns (Header memory)
    {
        TableProof calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        return TraceProofs.program(c, p.program);
    }

    function _operations(Context calldata c, bytes calldata proof)
        private
        pure
        returns (uint256 count)
    {
        OperationsProof calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        (count,) = TraceProofs.phase(c, p.program, TraceProofs.program(c, p.program), p.phase);
    }

    function _operationSize(Context calldata c, bytes calldata proof)
        private
        pure
        returns (uint256 size)
    {
        OperationProof calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        Header memory h = TraceProofs.program(c, p.program);
        (uint256 count,) = TraceProofs.phase(c, p.program, h, p.phase);
        TraceProofs.leaf(TAG_INSTANCE, p.instance, c.item, count, p.phase.instances);
        Instance memory i = ProgramDecoder.instance(p.instance.data);
        bytes32 templates = p.program.tables[uint256(TraceProofs.Table.TEMPLATES)];
        TraceProofs.leaf(TAG_TEMPLATE, p.template, i.template, h.templates, templates);
        (size,) = TraceProofs.outputSize(p.template.data);
    }

    function _stateSize(Context calldata c, bytes calldata proof)
        private
        pure
        returns (uint256 size)
    {
        StateProof calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        Header memory h = TraceProofs.program(c, p.program);
        bytes32 states = p.program.tables[uint256(TraceProofs.Table.STATES)];
        TraceProofs.leaf(TAG_STATE, p.state, c.item, h.states, states);
        (Decl memory d,,) = ProgramDecoder.state(p.state.data);
        (size,) = TraceProofs.sizeOf(uint256(d.dtype), d.dims, uint256(d.shape));
    }

    // --- next-states --------------------------------------------------------------------------

    function _next(Context calldata c, bytes calldata proof) private pure returns (bool) {
        NextProof calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        Header memory h = TraceProofs.program(c, p.program);
        (uint256 count,) = TraceProofs.phase(c, p.program, h, p.phase);
        TraceProofs.leaf(TAG_NEXT, p.next, c.item, h.states, p.phase.nexts);
        Next memory n = ProgramDecoder.next(p.next.data);
        bytes32 wanted;
        if (n.kind == NextKind.KEEP) {
            bytes32 before = TraceProofs.stateBefore(c, p.before);
            wanted = TraceProofs.inner(p.source, c.item, h.states, before);
        } else if (n.kind == NextKind.VALUE) {
            wanted = TraceProofs.inner(p.source, n.value, count, TraceProofs.operationsRoot(c));
        } else {
            revert WrongNext(uint256(n.kind));
        }
        return wanted != c.node;
    }

    /// @dev What one element of a slice write needs beside the proof.
    struct Write {
        uint256 states;
        uint256 operations;
        Next next;
        uint256 size; // of the state, bytes
        uint256 bits;
        uint256 inner; // elements below the axis
        uint256 width; // of the axis
    }

    function _slice(Context calldata c, bytes calldata proof) private pure returns (bool) {
        SliceProof calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        Write memory w = _write(c, p);
        bytes32 operations = TraceProofs.operationsRoot(c);
        TraceProofs.inner(p.index, w.next.index, w.operations, operations);
        int256 at = int64(uint64(_read(p.indexBlock, p.index.root, 8, 0, 3)));

        uint256 e = p.element;
        if (e >= w.size >> w.bits) revert WrongPlace(e, w.size >> w.bits);
        bytes32 root;
        uint256 size = w.size;
        if (at == int256((e / w.inner) % w.width)) {
            root = TraceProofs.inner(p.value, w.next.value, w.operations, operations);
            size /= w.width;
            e -= w.inner * (e / w.inner - e / (w.inner * w.width));
        } else {
            bytes32 before = TraceProofs.stateBefore(c, p.before);
            root = TraceProofs.inner(p.old, c.item, w.states, before);
        }
        uint256 wanted = _read(p.source, root, size, e, w.bits);
        return wanted != TraceProofs.claimed(c, p.data, p.element, w.bits);
    }

    function _write(Context calldata c, SliceProof calldata p)
        private
        pure
        returns (Write memory w)
    {
        Header memory h = TraceProofs.program(c, p.program);
        w.states = h.states;
        (w.operations,) = TraceProofs.phase(c, p.program, h, p.phase);
        TraceProofs.leaf(TAG_NEXT, p.next, c.item, h.states, p.phase.nexts);
        w.next = ProgramDecoder.next(p.next.data);
        if (w.next.kind != NextKind.SLICE) revert WrongNext(uint256(w.next.kind));
        bytes32 states = p.program.tables[uint256(TraceProofs.Table.STATES)];
        TraceProofs.leaf(TAG_STATE, p.state, c.item, h.states, states);
        (Decl memory d,,) = ProgramDecoder.state(p.state.data);
        (w.size, w.bits) = TraceProofs.sizeOf(uint256(d.dtype), d.dims, uint256(d.shape));
        if (w.next.axis >= d.dims) revert WrongPlace(w.next.axis, d.dims);
        w.inner = 1;
        for (uint256 k = w.next.axis + 1; k < d.dims; ++k) {
            w.inner *= uint32(uint256(d.shape) >> (224 - 32 * k));
        }
        w.width = uint32(uint256(d.shape) >> (224 - 32 * w.next.axis));
    }

    /// @dev Element `e` of a tensor, from the one block that holds it.
    function _read(BlockRun calldata run, bytes32 root, uint256 size, uint256 e, uint256 bits)
        private
        pure
        returns (uint256)
    {
        uint256 at = e << bits;
        if (run.blocks.length != BLOCK_BYTES) revert TraceProofs.NotOneBlock(run.blocks.length);
        if (run.first != at / BLOCK_BYTES) revert WrongPlace(run.first, at / BLOCK_BYTES);
        (bytes32 got,) = BlockTree.rootOfRun(run.blocks, run.first, size, run.siblings);
        TraceProofs.equal(got, root);
        return TraceProofs.littleEndian(run.blocks, at % BLOCK_BYTES, 1 << bits);
    }

    // --- beginning and end --------------------------------------------------------------------

    function _initial(Context calldata c, bytes calldata proof) private pure returns (bool) {
        InitialProof calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        Header memory h = TraceProofs.program(c, p.program);
        bytes32 states = p.program.tables[uint256(TraceProofs.Table.STATES)];
        TraceProofs.leaf(TAG_STATE, p.state, c.item, h.states, states);
        (Decl memory d, InitKind kind, int256 value) = ProgramDecoder.state(p.state.data);
        if (kind == InitKind.FILL) return _filled(d, value) != c.node;
        bytes32 source = kind == InitKind.CONST
            ? TraceProofs.inner(p.source, uint256(value), h.constants, c.task.constantsRoot)
            : TraceProofs.inner(p.source, uint256(value), h.inputs, c.task.inputsRoot);
        return source != BlockTree.wrap(d.dtype, d.dims, d.elements, d.shape, c.node);
    }

    /// @dev Block root of a tensor whose elements are all equal: all full nodes of a level are.
    function _filled(Decl memory d, int256 value) private pure returns (bytes32 last) {
        uint256 bits = AffineView.sizeBits(d.dtype);
        uint256 word =
            AffineView.store(d.dtype, AffineView.literal(d.dtype == DType.F32, value));
        uint256 swapped; // lowest byte first, filling the word
        for (uint256 k; k < WORD; ++k) {
            swapped = swapped << 8 | ((word >> (8 * (k % (1 << bits)))) & 0xFF);
        }
        (uint256 size,) = TraceProofs.sizeOf(uint256(d.dtype), d.dims, uint256(d.shape));
        uint256 count = (size + BLOCK_BYTES - 1) / BLOCK_BYTES;
        bytes32 full = _filledBlock(swapped, BLOCK_BYTES);
        last = _filledBlock(swapped, size - (count - 1) * BLOCK_BYTES);
        while (count > 1) {
            last = count & 1 == 1 ? _hash(last, ZERO) : _hash(full, last);
            full = _hash(full, full);
            count = (count + 1) >> 1;
        }
    }

    function _filledBlock(uint256 word, uint256 size) private pure returns (bytes32 hash) {
        bytes memory data = new bytes(BLOCK_BYTES);
        for (uint256 k; k < size; k += WORD) {
            uint256 left = size - k;
            uint256 part = left < WORD ? word >> (8 * (WORD - left)) << (8 * (WORD - left)) : word;
            assembly ("memory-safe") {
                mstore(add(add(data, 0x20), k), part)
            }
        }
        return keccak256(data);
    }

    function _hash(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(left, right));
    }

    function _output(Context calldata c, bytes calldata proof) private pure returns (bool) {
        OutputProof calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        Header memory h = TraceProofs.program(c, p.program);
        bytes32 outputs = p.program.tables[uint256(TraceProofs.Table.OUTPUTS)];
        TraceProofs.leaf(TAG_OUTPUTS, p.output, c.index, h.outputs, outputs);
        uint256 n = ProgramDecoder.output(p.output.data);
        bytes32 states = p.program.tables[uint256(TraceProofs.Table.STATES)];
        TraceProofs.leaf(TAG_STATE, p.state, n, h.states, states);
        (Decl memory d,,) = ProgramDecoder.state(p.state.data);
        bytes32 last = TraceProofs.inner(p.last, c.leaves - 1, c.leaves, c.stepsRoot);
        bytes32 value = TraceProofs.inner(p.value, n, h.states, last);
        return c.node != BlockTree.wrap(d.dtype, d.dims, d.elements, d.shape, value);
    }

    /// @dev A step that starts with `halt` set repeats the state root; only such a step has the
    /// constant HALTED.
    function _halt(Context calldata c, bytes calldata proof) private pure returns (bool) {
        HaltProof calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        Header memory h = TraceProofs.program(c, p.program);
        if (h.halt == NONE32) return c.operationsRoot == HALTED;
        bytes32 before = TraceProofs.stateBefore(c, p.before);
        bytes32 root = TraceProofs.inner(p.halt, h.halt, h.states, before);
        if (p.data.length != BLOCK_BYTES) revert TraceProofs.NotOneBlock(p.data.length);
        TraceProofs.equal(keccak256(p.data), root);
        if (TraceProofs.littleEndian(p.data, 0, 4) != 0) return c.node != before;
        return c.operationsRoot == HALTED;
    }
}
