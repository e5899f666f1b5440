// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {BlockTree} from "../../contracts/libraries/BlockTree.sol";
import {Decl} from "../../contracts/libraries/ProgramDecoder.sol";
import {BLOCK_BYTES, TAG_INSTANCE, TAG_TEMPLATE} from "../../contracts/types/Machine.sol";
import {ProgramHarness} from "./ProgramHarness.sol";
import {vm} from "./Vm.sol";

/// @notice Trees against vectors that the spec wrote.
contract BlockTreeTest {
    string private constant FILE = "tests/vectors/solidity/trees.json";
    ProgramHarness private immutable harness = new ProgramHarness();

    struct Run {
        bytes32 root;
        uint256 size;
        uint256 first;
        bytes blocks;
        bytes32[] siblings;
    }

    function test_rootOfRun__runsOfTheSpec__giveItsRoot() public view {
        string memory json = vm.readFile(FILE);
        uint256 count = vm.parseJsonUint(json, ".count");
        require(count >= 50, "too few vectors");
        for (uint256 k; k < count; ++k) {
            Run memory r = _run(json, k);
            (bytes32 root,) = harness.rootOfRun(r.blocks, r.first, r.size, r.siblings);
            require(root == r.root, string.concat("root differs: ", vm.toString(k)));
        }
    }

    function test_rootOfRun__anyBitOfBlocksOrSiblingsFlipped__givesAnotherRoot() public view {
        string memory json = vm.readFile(FILE);
        for (uint256 k; k < 54; ++k) {
            Run memory r = _run(json, k);
            r.blocks[(k * 37) % r.blocks.length] ^= 0x10;
            (bool ok, bytes32 root) = _try(r);
            require(!ok || root != r.root, "a changed block proves the same root");
            r = _run(json, k);
            if (r.siblings.length == 0) continue;
            r.siblings[k % r.siblings.length] ^= bytes32(uint256(1));
            (ok, root) = _try(r);
            require(ok && root != r.root, "a changed sibling proves the same root");
        }
    }

    function test_rootOfRun__siblingMissingOrTooMany__reverts() public view {
        string memory json = vm.readFile(FILE);
        for (uint256 k; k < 54; ++k) {
            Run memory r = _run(json, k);
            bytes32[] memory siblings = r.siblings;
            r.siblings = new bytes32[](siblings.length + 1);
            for (uint256 n; n < siblings.length; ++n) {
                r.siblings[n] = siblings[n];
            }
            _refused(r, BlockTree.WrongPathLength.selector);
            if (siblings.length == 0) continue;
            assembly {
                mstore(siblings, sub(mload(siblings), 1))
            }
            r.siblings = siblings;
            _refused(r, BlockTree.WrongPathLength.selector);
        }
    }

    function test_rootOfRun__dirtyTail__reverts() public view {
        uint256[5] memory sizes = [uint256(1), 33, 480, 481, 511];
        for (uint256 k; k < sizes.length; ++k) {
            for (uint256 n; n < 2; ++n) {
                Run memory r;
                r.size = sizes[k];
                r.blocks = new bytes(BLOCK_BYTES);
                r.blocks[n == 0 ? r.size : BLOCK_BYTES - 1] = 0x01;
                _refused(r, BlockTree.DirtyTail.selector);
            }
        }
    }

    function test_rootOfRun__outsideTheTensor__reverts() public view {
        Run memory r;
        r.size = 3 * BLOCK_BYTES;
        r.blocks = new bytes(BLOCK_BYTES);
        r.first = 3;
        _refused(r, BlockTree.OutsideTree.selector);
        r.first = 2;
        r.blocks = new bytes(2 * BLOCK_BYTES);
        _refused(r, BlockTree.OutsideTree.selector);
        r.blocks = new bytes(100);
        _refused(r, BlockTree.NotWholeBlocks.selector);
        r.blocks = "";
        _refused(r, BlockTree.NotWholeBlocks.selector);
    }

    function test_programRoot__partsOfTheSpec__proveTemplateAndInstance() public view {
        string memory json = vm.readFile(FILE);
        bytes32[] memory tables = _hashes(_bytes(json, ".program.tables"));
        bytes32 root = harness.programRoot(_bytes(json, ".program.header"), tables);
        require(root == bytes32(_bytes(json, ".program.root")), "program root");

        bytes32 leaf = harness.tagged(TAG_TEMPLATE, _bytes(json, ".program.template"));
        require(leaf == bytes32(_bytes(json, ".program.templateHash")), "template hash");
        (bytes32 list,) =
            harness.rootOfLeaf(leaf, 4, 5, _hashes(_bytes(json, ".program.templateSiblings")));
        require(list == tables[4], "templates root");

        leaf = harness.tagged(TAG_INSTANCE, _bytes(json, ".program.instance"));
        require(leaf == bytes32(_bytes(json, ".program.instanceHash")), "instance hash");
        (list,) =
            harness.rootOfLeaf(leaf, 6, 7, _hashes(_bytes(json, ".program.instanceSiblings")));
        require(list == bytes32(_bytes(json, ".program.instancesRoot")), "instances root");
        bytes32 phase = harness.phaseHash(
            _bytes(json, ".program.phaseHead"), list, bytes32(_bytes(json, ".program.nextsRoot"))
        );
        (list,) = harness.rootOfLeaf(phase, 0, 2, _hashes(_bytes(json, ".program.phaseSiblings")));
        require(list == tables[5], "phases root");
    }

    function test_wrap__declOfTheSpec__givesItsTensorRoot() public view {
        string memory json = vm.readFile(FILE);
        Decl memory d = harness.decl(_bytes(json, ".program.decl"));
        require(
            harness.wrap(d, bytes32(_bytes(json, ".program.blockRoot")))
                == bytes32(_bytes(json, ".program.wrapped")),
            "tensor root"
        );
    }

    // --- helpers ------------------------------------------------------------------------------

    function _run(string memory json, uint256 k) private pure returns (Run memory r) {
        string memory key = string.concat(".runs[", vm.toString(k), "]");
        r.root = bytes32(_bytes(json, string.concat(key, ".root")));
        r.size = vm.parseJsonUint(json, string.concat(key, ".size"));
        r.first = vm.parseJsonUint(json, string.concat(key, ".first"));
        r.blocks = _bytes(json, string.concat(key, ".blocks"));
        r.siblings = _hashes(_bytes(json, string.concat(key, ".siblings")));
    }

    function _bytes(string memory json, string memory key) private pure returns (bytes memory) {
        return vm.parseJsonBytes(json, key);
    }

    function _hashes(bytes memory data) private pure returns (bytes32[] memory list) {
        list = new bytes32[](data.length / 32);
        for (uint256 k; k < list.length; ++k) {
            assembly {
                mstore(add(list, mul(32, add(k, 1))), mload(add(data, mul(32, add(k, 1)))))
            }
        }
    }

    function _try(Run memory r) private view returns (bool ok, bytes32 root) {
        bytes memory answer;
        (ok, answer) = address(harness).staticcall(
            abi.encodeCall(ProgramHarness.rootOfRun, (r.blocks, r.first, r.size, r.siblings))
        );
        root = bytes32(answer);
    }

    function _refused(Run memory r, bytes4 error) private view {
        (bool ok, bytes32 answer) = _try(r);
        require(!ok && bytes4(answer) == error, "not refused by this error");
    }
}
