// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {BlockTree} from "../../contracts/libraries/BlockTree.sol";
import {
    Decl,
    Header,
    Instance,
    Next,
    ProgramDecoder,
    Template
} from "../../contracts/libraries/ProgramDecoder.sol";
import {BlockRun, Scalars, TensorElement} from "../../contracts/libraries/TensorElement.sol";
import {InitKind} from "../../contracts/types/Machine.sol";

/// @notice External calls around the internal libraries, so that data comes as calldata and a
/// revert can be caught. Functions whose name ends in Gas give the gas that the library used.
contract ProgramHarness {
    function header(bytes calldata data) external pure returns (Header memory) {
        return ProgramDecoder.header(data);
    }

    function decl(bytes calldata data) external pure returns (Decl memory) {
        return ProgramDecoder.decl(data);
    }

    function state(bytes calldata data)
        external
        pure
        returns (Decl memory, InitKind, int256)
    {
        return ProgramDecoder.state(data);
    }

    function phase(bytes calldata data) external pure returns (uint256, uint256) {
        return ProgramDecoder.phase(data);
    }

    function instance(bytes calldata data) external pure returns (Instance memory) {
        return ProgramDecoder.instance(data);
    }

    function next(bytes calldata data) external pure returns (Next memory) {
        return ProgramDecoder.next(data);
    }

    function template(bytes calldata data) external pure returns (Template memory) {
        return ProgramDecoder.template(data);
    }

    function templateGas(bytes calldata data) external view returns (uint256 used) {
        used = gasleft();
        ProgramDecoder.template(data);
        used -= gasleft();
    }

    function tagged(bytes32 tag, bytes calldata data) external pure returns (bytes32) {
        return BlockTree.tagged(tag, data);
    }

    function rootOfRun(
        bytes calldata blocks,
        uint256 first,
        uint256 size,
        bytes32[] calldata siblings
    ) external view returns (bytes32 root, uint256 used) {
        used = gasleft();
        (root,) = BlockTree.rootOfRun(blocks, first, size, siblings);
        used -= gasleft();
    }

    function rootOfLeaf(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata siblings)
        external
        view
        returns (bytes32 root, uint256 used)
    {
        used = gasleft();
        root = BlockTree.rootOfLeaf(leaf, index, count, siblings);
        used -= gasleft();
    }

    function wrap(Decl calldata d, bytes32 root) external pure returns (bytes32) {
        return BlockTree.wrap(d.dtype, d.dims, d.elements, d.shape, root);
    }

    function programRoot(bytes calldata head, bytes32[] calldata tables)
        external
        pure
        returns (bytes32)
    {
        return BlockTree.programRoot(head, tables);
    }

    function phaseHash(bytes calldata head, bytes32 instances, bytes32 nexts)
        external
        pure
        returns (bytes32)
    {
        return BlockTree.phaseHash(head, instances, nexts);
    }

    function element(
        bytes calldata data,
        bytes32[] calldata roots,
        BlockRun[] calldata runs,
        Scalars calldata scalars,
        uint256 i
    ) external view returns (uint256 bits, uint256 used) {
        used = gasleft();
        bits = TensorElement.element(data, roots, runs, scalars, i);
        used -= gasleft();
    }
}
