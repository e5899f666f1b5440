// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {FAN} from "../types/Dispute.sol";
import {BlockTree} from "./BlockTree.sol";

/// @title Parts of a tree: from a node some levels down, and back up
/// @notice Twin of the functions of these names in protocol/spec/game.py. A node is a level (levels
/// above the leaves) and an index among the nodes of its level. Nodes that cover only padding are
/// ZERO by rule and never travel.
library NodePath {
    /// @notice A reveal has `got` children, its place and the number of leaves demand `wanted`.
    error WrongChildren(uint256 got, uint256 wanted);

    /// @notice Levels above the leaves: the least d with 2^d >= `count`; 0 for one leaf or none.
    function depthOf(uint256 count) internal pure returns (uint256 depth) {
        unchecked {
            while (1 << depth < count) ++depth;
        }
    }

    /// @notice Nodes of a level that cover a leaf.
    function widthAt(uint256 count, uint256 level) internal pure returns (uint256) {
        unchecked {
            return (count + (1 << level) - 1) >> level;
        }
    }

    /// @notice Levels that a reveal of a node at `level` goes down.
    function fanAt(uint256 level) internal pure returns (uint256) {
        return level < FAN ? level : FAN;
    }

    /// @notice Children that a reveal of node `index` at `level` shows.
    function childrenOf(uint256 index, uint256 level, uint256 count)
        internal
        pure
        returns (uint256)
    {
        unchecked {
            uint256 fan = fanAt(level);
            uint256 left = widthAt(count, level - fan) - (index << fan);
            return left < 1 << fan ? left : 1 << fan;
        }
    }

    /// @notice The node `levels` above `nodes`, of which the first is its leftmost descendant and
    /// which end where the tree does; ZERO above none.
    function fold(bytes32[] calldata nodes, uint256 levels) internal pure returns (bytes32) {
        unchecked {
            uint256 width = nodes.length;
            if (width == 0) return 0;
            bytes32[] memory level = new bytes32[](width + 1);
            for (uint256 k; k < width; ++k) {
                level[k] = nodes[k];
            }
            for (; levels != 0; --levels) {
                if (width & 1 == 1) level[width] = 0;
                width = (width + 1) >> 1;
                for (uint256 k; k < width; ++k) {
                    level[k] = _hash(level[2 * k], level[2 * k + 1]);
                }
            }
            return level[0];
        }
    }

    /// @notice The node `levels` above node `index` at `level` that it and its siblings give.
    function climb(
        bytes32 node,
        uint256 index,
        uint256 level,
        uint256 levels,
        uint256 count,
        bytes32[] calldata siblings
    ) internal pure returns (bytes32) {
        unchecked {
            // INVARIANT: padding is never pointed at.
            if (index >= widthAt(count, level)) {
                revert BlockTree.OutsideTree(index, widthAt(count, level));
            }
            uint256 used;
            for (uint256 k = level; k < level + levels; ++k) {
                bytes32 sibling;
                if (index ^ 1 < widthAt(count, k)) {
                    if (used == siblings.length) {
                        revert BlockTree.WrongPathLength(siblings.length, used + 1);
                    }
                    sibling = siblings[used++];
                }
                node = index & 1 == 1 ? _hash(sibling, node) : _hash(node, sibling);
                index >>= 1;
            }
            // INVARIANT: a path has one form.
            if (used != siblings.length) revert BlockTree.WrongPathLength(siblings.length, used);
            return node;
        }
    }

    function _hash(bytes32 left, bytes32 right) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            mstore(0x00, left)
            mstore(0x20, right)
            hash := keccak256(0x00, 0x40)
        }
    }
}
