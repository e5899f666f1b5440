// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {
    BLOCK_BYTES,
    DType,
    TAG_PHASE,
    TAG_PROGRAM,
    TAG_TENSOR,
    WORD,
    ZERO
} from "../types/Machine.sol";

/// @title Keccak trees over 512-byte blocks and over lists of hashes
/// @notice Twin of protocol/spec/trees.py. A node is keccak256(left || right); a node that covers
/// only padding is ZERO at every level. The shape of a proof follows from the number of leaves:
/// siblings that cover only padding are ZERO by rule and are never sent, so that a proof has one
/// form and the padding of a proven path cannot hold anything else.
library BlockTree {
    /// @notice `index` (or the end of a run) is not below `count`.
    error OutsideTree(uint256 index, uint256 count);
    /// @notice A proof has `got` siblings, the position and the number of leaves demand `wanted`.
    error WrongPathLength(uint256 got, uint256 wanted);
    /// @notice Blocks come as whole blocks, at least one; got `bytes_` bytes.
    error NotWholeBlocks(uint256 bytes_);
    /// @notice The last block of a tensor holds something beyond its `bytes_` bytes.
    error DirtyTail(uint256 bytes_);

    /// @notice Hash of a thing of any length: keccak256(tag || length || keccak256(data)).
    function tagged(bytes32 tag, bytes calldata data) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, data.offset, data.length)
            let inner := keccak256(free, data.length)
            mstore(free, tag)
            mstore(add(free, 0x20), data.length)
            mstore(add(free, 0x40), inner)
            hash := keccak256(free, 0x60)
        }
    }

    /// @notice Node above two others; ZERO above two ZEROs.
    function parent(bytes32 left, bytes32 right) internal pure returns (bytes32 hash) {
        if (left == ZERO && right == ZERO) return ZERO;
        assembly ("memory-safe") {
            mstore(0x00, left)
            mstore(0x20, right)
            hash := keccak256(0x00, 0x40)
        }
    }

    /// @notice Root that `leaf` at `index` of `count` leaves and its siblings give.
    function rootOfLeaf(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata siblings)
        internal
        pure
        returns (bytes32 node)
    {
        if (index >= count) revert OutsideTree(index, count);
        uint256 used;
        (node, used) = _climb(leaf, index, count, siblings, 0);
        if (used != siblings.length) revert WrongPathLength(siblings.length, used);
    }

    /// @notice Root of the block tree of a tensor of `size` bytes that a run of its blocks, from
    /// block `first` on, and the siblings of the run give.
    /// @return root of bare blocks, without wrapper
    /// @return data memory address of the blocks, contiguous, as committed (little-endian)
    function rootOfRun(
        bytes calldata blocks,
        uint256 first,
        uint256 size,
        bytes32[] calldata siblings
    ) internal pure returns (bytes32 root, uint256 data) {
        uint256 run = blocks.length / BLOCK_BYTES;
        if (run == 0 || blocks.length % BLOCK_BYTES != 0) revert NotWholeBlocks(blocks.length);
        uint256 count = (size + BLOCK_BYTES - 1) / BLOCK_BYTES;
        if (first >= count || run > count - first) revert OutsideTree(first + run - 1, count);

        // The blocks stay in memory for the loads, with a word of zeros after them so that a load
        // of the last element may read a whole word. Nodes are scratch beyond.
        uint256 nodes;
        assembly ("memory-safe") {
            data := mload(0x40)
            calldatacopy(data, blocks.offset, blocks.length)
            nodes := add(data, add(blocks.length, 0x20))
            mstore(sub(nodes, 0x20), 0)
            mstore(0x40, nodes)
            for { let k := 0 } lt(k, run) { k := add(k, 1) } {
                mstore(add(nodes, shl(5, k)), keccak256(add(data, shl(9, k)), 512))
            }
        }
        if (first + run == count) _checkTail(data + size - first * BLOCK_BYTES, nodes - WORD, size);
        root = _rootOfNodes(nodes, run, first, count, siblings);
    }

    /// @notice Tensor root: binds a block root to dtype and shape (128-byte preimage).
    /// @param shape eight big-endian u32, unused ones zero
    function wrap(DType dtype, uint256 dims, uint256 elements, bytes32 shape, bytes32 root)
        internal
        pure
        returns (bytes32 hash)
    {
        bytes32 tag = TAG_TENSOR;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, tag)
            mstore(add(free, 0x20), or(or(shl(248, dtype), shl(240, dims)), elements))
            mstore(add(free, 0x40), shape)
            mstore(add(free, 0x60), root)
            hash := keccak256(free, 0x80)
        }
    }

    /// @notice keccak256(tag || header || six list roots): 288 bytes.
    /// @param header two words
    /// @param tables roots of constants, inputs, states, outputs, templates, phases
    function programRoot(bytes calldata header, bytes32[] calldata tables)
        internal
        pure
        returns (bytes32 hash)
    {
        if (header.length != 2 * WORD) revert WrongPathLength(header.length / WORD, 2);
        if (tables.length != 6) revert WrongPathLength(tables.length, 6);
        return keccak256(abi.encodePacked(TAG_PROGRAM, header, tables));
    }

    /// @notice keccak256(tag || head || instances root || nexts root): 128 bytes.
    /// @param head one word
    function phaseHash(bytes calldata head, bytes32 instances, bytes32 nexts)
        internal
        pure
        returns (bytes32)
    {
        if (head.length != WORD) revert WrongPathLength(head.length / WORD, 1);
        return keccak256(abi.encodePacked(TAG_PHASE, head, instances, nexts));
    }

    // --- internals --------------------------------------------------------------------------

    /// @dev Folds `run` adjacent nodes, held in memory from `nodes` on, up to one; then climbs.
    function _rootOfNodes(
        uint256 nodes,
        uint256 run,
        uint256 first,
        uint256 count,
        bytes32[] calldata siblings
    ) private pure returns (bytes32 root) {
        uint256 used;
        while (run > 1) {
            // A pair that begins before the run takes its left node from the proof, one that ends
            // after it takes its right node from there too, or ZERO beyond the last real node.
            bytes32 left;
            if (first & 1 == 1) left = _take(siblings, used++);
            bytes32 right;
            if ((first + run) & 1 == 1 && first + run < count) right = _take(siblings, used++);
            assembly ("memory-safe") {
                let odd := and(first, 1)
                // `from` is where the left node of the first pair would lie: the word before the
                // first node when the pair begins before the run. That word is free (the word of
                // zeros after the blocks) and is cleared again below.
                let from := sub(nodes, shl(5, odd))
                if odd { mstore(from, left) }
                if and(add(first, run), 1) { mstore(add(nodes, shl(5, run)), right) }
                run := shr(1, add(add(run, odd), 1))
                for { let k := 0 } lt(k, run) { k := add(k, 1) } {
                    mstore(add(nodes, shl(5, k)), keccak256(add(from, shl(6, k)), 0x40))
                }
                if odd { mstore(from, 0) }
            }
            first >>= 1;
            count = (count + 1) >> 1;
        }
        assembly ("memory-safe") {
            root := mload(nodes)
        }
        (root, used) = _climb(root, first, count, siblings, used);
        if (used != siblings.length) revert WrongPathLength(siblings.length, used);
    }

    /// @dev From `node` at `index` of `count` nodes of its level to the root, taking siblings from
    /// position `used` on. A missing sibling reverts; `used` counts those taken.
    function _climb(
        bytes32 node,
        uint256 index,
        uint256 count,
        bytes32[] calldata siblings,
        uint256 used
    ) private pure returns (bytes32, uint256) {
        bool short_;
        assembly ("memory-safe") {
            let at := add(siblings.offset, shl(5, used))
            let end := add(siblings.offset, shl(5, siblings.length))
            for {} gt(count, 1) {} {
                let side := shl(5, and(index, 1)) // 32 if `node` is a right child
                let sibling := 0
                if lt(xor(index, 1), count) {
                    sibling := calldataload(at)
                    at := add(at, 0x20)
                }
                mstore(side, node)
                mstore(xor(side, 0x20), sibling)
                node := keccak256(0x00, 0x40)
                index := shr(1, index)
                count := shr(1, add(count, 1))
            }
            short_ := gt(at, end)
            used := shr(5, sub(at, siblings.offset))
        }
        if (short_) revert WrongPathLength(siblings.length, used);
        return (node, used);
    }

    function _take(bytes32[] calldata siblings, uint256 k) private pure returns (bytes32) {
        if (k >= siblings.length) revert WrongPathLength(siblings.length, k + 1);
        return siblings[k];
    }

    /// @dev Memory from `from` to `to` (the end of the last block) must be zero.
    function _checkTail(uint256 from, uint256 to, uint256 size) private pure {
        uint256 dirt;
        assembly ("memory-safe") {
            // Reading a word from `from` on may pass `to` by less than a word: zeros lie there.
            for {} lt(from, to) { from := add(from, 0x20) } { dirt := or(dirt, mload(from)) }
        }
        if (dirt != 0) revert DirtyTail(size);
    }
}
