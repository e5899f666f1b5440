// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {BlockRun, Scalars} from "../../contracts/libraries/TensorElement.sol";
import {ProgramHarness} from "./ProgramHarness.sol";
import {vm} from "./Vm.sol";

/// @notice One recomputation as the vectors hold it.
struct ElementCall {
    bytes template;
    bytes32[] roots;
    BlockRun[] runs;
    Scalars scalars;
    uint256 i;
    uint256 want;
}

/// @notice Whole elements against the interpreter.
contract TensorElementTest {
    ProgramHarness private immutable harness = new ProgramHarness();

    event Gas(uint256 used);

    function test_element__randomMaps__giveTheBitsOfTheSpec() public {
        _compare("tests/vectors/solidity/map.json", 40);
    }

    function test_element__randomFoldsAndProducts__giveTheBitsOfTheSpec() public {
        _compare("tests/vectors/solidity/folds.json", 30);
    }

    function _compare(string memory file, uint256 atLeast) private {
        bytes[] memory calls = vm.parseJsonBytesArray(vm.readFile(file), ".calls");
        require(calls.length >= atLeast, "too few vectors");
        for (uint256 k; k < calls.length; ++k) {
            ElementCall memory c = abi.decode(calls[k], (ElementCall));
            (uint256 got, uint256 used) =
                harness.element(c.template, c.roots, c.runs, c.scalars, c.i);
            emit Gas(used);
            require(
                got == c.want,
                string.concat(
                    "call ", vm.toString(k), ": ", vm.toString(got), " not ", vm.toString(c.want)
                )
            );
        }
    }
}
