// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {HALTED, Context} from "../types/Dispute.sol";
import {Inner, Leaf, PhasePart, ProgramPart} from "../types/DisputeProofs.sol";
import {BLOCK_BYTES, DType, MAX_DIMS} from "../types/Machine.sol";
import {BlockTree} from "./BlockTree.sol";
import {Header, ProgramDecoder} from "./ProgramDecoder.sol";

/// @title Binding of parts of a program and of a trace to their roots
/// @notice Twin of the functions of these names in protocol/spec/referee.py.
library TraceProofs {
    /// @notice Tables of a program, in order of their roots.
    enum Table {
        CONSTANTS,
        INPUTS,
        STATES,
        OUTPUTS,
        TEMPLATES,
        PHASES
    }

    /// @notice What was sent hashes to `got`; the commitment is `wanted`.
    error WrongCommitment(bytes32 got, bytes32 wanted);
    /// @notice The step started with `halt` set: it has no operations.
    error StepHalted(uint256 step);
    /// @notice A tensor of the program has no size: the program is illegal.
    error BadTensor(uint256 dtype, uint256 dims, uint256 elements);
    /// @notice A block has 512 bytes.
    error NotOneBlock(uint256 got);
    /// @notice Element `got` is not in block `block_`.
    error ElementElsewhere(uint256 got, uint256 block_);

    /// @notice The program of the job.
    function program(Context calldata c, ProgramPart calldata p)
        internal
        pure
        returns (Header memory)
    {
        equal(BlockTree.programRoot(p.header, p.tables), c.task.programRoot);
        return ProgramDecoder.header(p.header);
    }

    /// @notice The phase of the step that leads to leaf `c.step`.
    /// @return instances operations of its body
    /// @return phaseStep number of the step in its phase
    function phase(
        Context calldata c,
        ProgramPart calldata p,
        Header memory h,
        PhasePart calldata part
    ) internal pure returns (uint256 instances, uint256 phaseStep) {
        uint256 number;
        (number, phaseStep) = locate(c.task.steps, c.step - 1);
        instances = phaseAt(p, h, part, number);
    }

    /// @notice Phase `number`; operations of its body.
    function phaseAt(
        ProgramPart calldata p,
        Header memory h,
        PhasePart calldata part,
        uint256 number
    ) internal pure returns (uint256 instances) {
        bytes32 hash = BlockTree.phaseHash(part.head, part.instances, part.nexts);
        bytes32 root = BlockTree.rootOfLeaf(hash, number, h.phases, part.siblings);
        equal(root, p.tables[uint256(Table.PHASES)]);
        (, instances) = ProgramDecoder.phase(part.head);
    }

    /// @notice Phase of step `t` and its number there; `steps` holds eight 32-bit counts.
    function locate(uint256 steps, uint256 t)
        internal
        pure
        returns (uint256 number, uint256 phaseStep)
    {
        while (t >= uint32(steps >> (32 * number))) {
            t -= uint32(steps >> (32 * number));
            ++number;
        }
        return (number, t);
    }

    /// @notice Descriptor `index` of `count` under a table's root.
    function leaf(
        bytes32 tag,
        Leaf calldata part,
        uint256 index,
        uint256 count,
        bytes32 root
    ) internal pure {
        bytes32 hash = BlockTree.tagged(tag, part.data);
        equal(BlockTree.rootOfLeaf(hash, index, count, part.siblings), root);
    }

    /// @notice Hash `index` of `count` under `root`.
    function inner(Inner calldata part, uint256 index, uint256 count, bytes32 root)
        internal
        pure
        returns (bytes32)
    {
        equal(BlockTree.rootOfLeaf(part.root, index, count, part.siblings), root);
        return part.root;
    }

    /// @notice State root before the step that leads to leaf `c.step`.
    function stateBefore(Context calldata c, Inner calldata part)
        internal
        pure
        returns (bytes32)
    {
        return inner(part, c.step - 1, c.leaves, c.stepsRoot);
    }

    /// @notice Operations root of the step, which must have run.
    function operationsRoot(Context calldata c) internal pure returns (bytes32) {
        // INVARIANT: the constant of a halted step is no root of operations.
        if (c.operationsRoot == HALTED) revert StepHalted(c.step - 1);
        return c.operationsRoot;
    }

    /// @notice Bytes of a template's output, and base-2 logarithm of those of an element.
    function outputSize(bytes calldata template) internal pure returns (uint256, uint256) {
        (uint256 head, uint256 shape) = ProgramDecoder.templateHead(template);
        return sizeOf(uint8(head >> 240), uint8(head >> 224), shape);
    }

    /// @notice Bytes of a tensor, and base-2 logarithm of those of an element.
    function sizeOf(uint256 dtype, uint256 dims, uint256 shape)
        internal
        pure
        returns (uint256 size, uint256 bits)
    {
        uint256 elements = 1;
        for (uint256 k; k < dims && k < MAX_DIMS; ++k) {
            elements *= uint32(shape >> (224 - 32 * k)); // below 2^256: eight u32
        }
        // INVARIANT: the numbers of blocks and bytes fit their fields.
        if (dtype > uint256(type(DType).max) || dims > MAX_DIMS || elements >= 1 << 40) {
            revert BadTensor(dtype, dims, elements);
        }
        if (elements == 0) revert BadTensor(dtype, dims, elements);
        if (dtype == uint256(DType.F32) || dtype == uint256(DType.I32)) bits = 2;
        if (dtype == uint256(DType.I64)) bits = 3;
        if (dtype == uint256(DType.I16)) bits = 1;
        size = elements << bits;
    }

    /// @notice Element `index`, of 2^`bits` bytes, in the claimed block that hashes to the node.
    function claimed(Context calldata c, bytes calldata data, uint256 index, uint256 bits)
        internal
        pure
        returns (uint256)
    {
        if (data.length != BLOCK_BYTES) revert NotOneBlock(data.length);
        equal(keccak256(data), c.node);
        if ((index << bits) / BLOCK_BYTES != c.index) revert ElementElsewhere(index, c.index);
        return littleEndian(data, (index << bits) % BLOCK_BYTES, 1 << bits);
    }

    /// @notice `size` bytes from `at` on as a number, lowest byte first.
    function littleEndian(bytes calldata data, uint256 at, uint256 size)
        internal
        pure
        returns (uint256 value)
    {
        for (uint256 k; k < size; ++k) {
            value |= uint256(uint8(data[at + k])) << (8 * k);
        }
    }

    /// @notice Reverts unless two hashes are the same.
    function equal(bytes32 got, bytes32 wanted) internal pure {
        if (got != wanted) revert WrongCommitment(got, wanted);
    }
}
