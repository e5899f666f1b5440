// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {BlockTree} from "../../contracts/libraries/BlockTree.sol";
import {NodePath} from "../../contracts/libraries/NodePath.sol";
import {TraceProofs} from "../../contracts/libraries/TraceProofs.sol";
import {vm} from "./Vm.sol";

/// @notice External calls around NodePath, so that lists come as calldata.
contract NodePathHarness {
    function fold(bytes32[] calldata nodes, uint256 levels) external pure returns (bytes32) {
        return NodePath.fold(nodes, levels);
    }

    function climb(
        bytes32 node,
        uint256 index,
        uint256 level,
        uint256 levels,
        uint256 count,
        bytes32[] calldata siblings
    ) external pure returns (bytes32) {
        return NodePath.climb(node, index, level, levels, count, siblings);
    }

    function rootOfLeaf(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata siblings)
        external
        pure
        returns (bytes32)
    {
        return BlockTree.rootOfLeaf(leaf, index, count, siblings);
    }
}

/// @notice Parts of a tree against whole trees.
contract DisputePathTest {
    NodePathHarness private immutable harness = new NodePathHarness();

    function testFuzz_climb__toTheRoot__isTheBlockTreesRoot(
        bytes32 leaf,
        uint256 index,
        uint256 count,
        bytes32 salt
    ) public view {
        count = 1 + count % (1 << 35);
        index %= count;
        uint256 depth = NodePath.depthOf(count);
        bytes32[] memory siblings = _siblings(index, count, depth, salt);
        bytes32 root = harness.rootOfLeaf(leaf, index, count, siblings);
        require(harness.climb(leaf, index, 0, depth, count, siblings) == root, "another root");
    }

    function testFuzz_climb__inTwoParts__isTheWhole(
        bytes32 leaf,
        uint256 index,
        uint256 count,
        uint256 cut,
        bytes32 salt
    ) public view {
        count = 1 + count % (1 << 35);
        index %= count;
        uint256 depth = NodePath.depthOf(count);
        cut %= depth + 1;
        bytes32[] memory siblings = _siblings(index, count, depth, salt);
        uint256 low = _siblings(index, count, cut, salt).length;
        bytes32[] memory first = new bytes32[](low);
        bytes32[] memory second = new bytes32[](siblings.length - low);
        for (uint256 k; k < siblings.length; ++k) {
            if (k < low) first[k] = siblings[k];
            else second[k - low] = siblings[k];
        }
        bytes32 middle = harness.climb(leaf, index, 0, cut, count, first);
        bytes32 top =
            harness.climb(middle, index >> cut, cut, depth - cut, count, second);
        require(top == harness.climb(leaf, index, 0, depth, count, siblings), "another node");
    }

    function testFuzz_fold__childrenOfAReveal__areProvenByClimbing(
        uint256 count,
        uint256 index,
        uint256 child,
        bytes32 salt
    ) public view {
        count = 2 + count % (1 << 20);
        uint256 level = 1 + uint256(salt) % NodePath.depthOf(count);
        index %= NodePath.widthAt(count, level);
        uint256 fan = NodePath.fanAt(level);
        bytes32[] memory nodes = new bytes32[](NodePath.childrenOf(index, level, count));
        for (uint256 k; k < nodes.length; ++k) {
            nodes[k] = keccak256(abi.encode(salt, k));
        }
        child %= nodes.length;
        bytes32[] memory siblings = _within(nodes, child, fan);
        bytes32 node = harness.climb(
            nodes[child], (index << fan) + child, level - fan, fan, count, siblings
        );
        require(harness.fold(nodes, fan) == node, "another node");
    }

    function testFuzz_rootOfLeaf__indexInThePaddingOrBeyond__reverts(
        bytes32 leaf,
        uint256 index,
        uint256 count
    ) public {
        count %= 1000;
        index = count + index % 1000;
        vm.expectPartialRevert(BlockTree.OutsideTree.selector);
        harness.rootOfLeaf(leaf, index, count, new bytes32[](0));
    }

    function test_climb__pathOfAnotherLength__reverts() public {
        bytes32[] memory siblings = new bytes32[](2);
        vm.expectPartialRevert(BlockTree.WrongPathLength.selector);
        harness.climb(0, 0, 0, 3, 8, siblings);
        siblings = new bytes32[](4);
        vm.expectPartialRevert(BlockTree.WrongPathLength.selector);
        harness.climb(0, 0, 0, 3, 8, siblings);
        vm.expectPartialRevert(BlockTree.OutsideTree.selector);
        harness.climb(0, 8, 0, 3, 8, siblings);
    }

    function testFuzz_locate__anyStep__isInThePhaseThatHoldsIt(uint256 steps, uint256 t)
        public
        pure
    {
        uint256 sum;
        for (uint256 k; k < 8; ++k) {
            sum += uint32(steps >> (32 * k));
        }
        if (sum == 0) return;
        t %= sum;
        (uint256 phase, uint256 inPhase) = TraceProofs.locate(steps, t);
        uint256 before;
        for (uint256 k; k < phase; ++k) {
            before += uint32(steps >> (32 * k));
        }
        require(before + inPhase == t, "another step");
        require(inPhase < uint32(steps >> (32 * phase)), "beyond the phase");
    }

    /// @dev As many siblings as `levels` levels from the leaves up take.
    function _siblings(uint256 index, uint256 count, uint256 levels, bytes32 salt)
        private
        pure
        returns (bytes32[] memory siblings)
    {
        uint256 used;
        bytes32[] memory all = new bytes32[](levels);
        for (uint256 k; k < levels; ++k) {
            if ((index >> k) ^ 1 < NodePath.widthAt(count, k)) {
                all[used++] = keccak256(abi.encode(salt, k));
            }
        }
        siblings = new bytes32[](used);
        for (uint256 k; k < used; ++k) {
            siblings[k] = all[k];
        }
    }

    /// @dev Siblings of `child` among `nodes`, `fan` levels up.
    function _within(bytes32[] memory nodes, uint256 child, uint256 fan)
        private
        pure
        returns (bytes32[] memory siblings)
    {
        uint256 width = nodes.length;
        bytes32[] memory all = new bytes32[](fan);
        uint256 used;
        bytes32[] memory level = new bytes32[](width + 1);
        for (uint256 k; k < width; ++k) {
            level[k] = nodes[k];
        }
        for (uint256 k; k < fan; ++k) {
            if (child ^ 1 < width) all[used++] = level[child ^ 1];
            if (width & 1 == 1) level[width] = 0;
            width = (width + 1) >> 1;
            for (uint256 j; j < width; ++j) {
                level[j] = keccak256(abi.encode(level[2 * j], level[2 * j + 1]));
            }
            child >>= 1;
        }
        siblings = new bytes32[](used);
        for (uint256 k; k < used; ++k) {
            siblings[k] = all[k];
        }
    }
}
