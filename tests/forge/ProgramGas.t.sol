// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Microcode} from "../../contracts/libraries/Microcode.sol";
import {BLOCK_BYTES} from "../../contracts/types/Machine.sol";
import {ProgramHarness} from "./ProgramHarness.sol";
import {ElementCall} from "./TensorElement.t.sol";
import {vm} from "./Vm.sol";

/// @notice Figures of typical work; `Figure` events show them (forge test -vvvv).
contract ProgramGasTest {
    string private constant FILE = "tests/vectors/solidity/gas.json";
    ProgramHarness private immutable harness = new ProgramHarness();

    event Figure(string name, uint256 used);

    function test_gas__decodingTemplates__isMeasured() public {
        string memory json = vm.readFile(FILE);
        emit Figure("template 3 instr", harness.templateGas(vm.parseJsonBytes(json, ".template3")));
        uint256 typical = harness.templateGas(vm.parseJsonBytes(json, ".template30"));
        emit Figure("template 30 instr", typical);
        emit Figure("template 230 instr", harness.templateGas(vm.parseJsonBytes(json, ".template230")));
        json = vm.readFile("tests/vectors/solidity/decoder.json");
        emit Figure("template widest", harness.templateGas(vm.parseJsonBytes(json, ".widest")));
        require(typical < 20_000, "decoding a typical template costs too much");
    }

    function test_gas__elements__areMeasured() public {
        string memory json = vm.readFile(FILE);
        string[8] memory names =
            ["map3", "map30", "map230", "dot384", "dot4096", "dot8x4096", "FSUM384", "MAX384"];
        for (uint256 k; k < names.length; ++k) {
            bytes memory call = vm.parseJsonBytes(json, string.concat(".", names[k]));
            emit Figure(names[k], _element(call));
        }
    }

    function test_gas__proofs__areMeasured() public {
        for (uint256 depth; depth <= 20; depth += 10) {
            bytes memory one = new bytes(BLOCK_BYTES);
            (, uint256 used) =
                harness.rootOfRun(one, 0, BLOCK_BYTES << depth, new bytes32[](depth));
            emit Figure(string.concat("block, depth ", vm.toString(depth)), used);
            (, used) = harness.rootOfLeaf(bytes32(uint256(1)), 0, 1 << depth, new bytes32[](depth));
            emit Figure(string.concat("leaf, depth ", vm.toString(depth)), used);
        }
        (, uint256 many) =
            harness.rootOfRun(new bytes(16 * BLOCK_BYTES), 0, BLOCK_BYTES << 10, new bytes32[](6));
        emit Figure("16 blocks, depth 10", many);
        many = gasleft();
        Microcode.table();
        emit Figure("table of opcodes", many - gasleft());
    }

    function _element(bytes memory data) private view returns (uint256 used) {
        ElementCall memory c = abi.decode(data, (ElementCall));
        uint256 got;
        (got, used) = harness.element(c.template, c.roots, c.runs, c.scalars, c.i);
        require(got == c.want, "wrong element");
    }
}
