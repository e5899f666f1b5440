// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {AffineView} from "../../contracts/libraries/AffineView.sol";
import {BlockRun, Scalars, TensorElement} from "../../contracts/libraries/TensorElement.sol";
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

/// @notice One operation with the bits of all its elements.
struct ViewCall {
    bytes template;
    bytes32[] roots;
    BlockRun[] runs;
    uint256[] wants;
}

/// @notice Whole elements against the interpreter.
contract TensorElementTest {
    ProgramHarness private immutable harness = new ProgramHarness();

    function test_element__randomMaps__giveTheBitsOfTheSpec() public view {
        _compare("tests/vectors/solidity/map.json", 40);
    }

    function test_element__everyElementOfAGuardedView__givesTheBitsOfTheSpec() public view {
        string memory json = vm.readFile("tests/vectors/solidity/views.json");
        bytes[] memory calls = vm.parseJsonBytesArray(json, ".calls");
        require(calls.length >= 20, "too few vectors");
        Scalars memory scalars;
        for (uint256 k; k < calls.length; ++k) {
            ViewCall memory c = abi.decode(calls[k], (ViewCall));
            for (uint256 i; i < c.wants.length; ++i) {
                (uint256 got,) = harness.element(c.template, c.roots, c.runs, scalars, i);
                require(got == c.wants[i], string.concat("view ", vm.toString(k)));
            }
        }
    }

    function test_element__randomFoldsAndProducts__giveTheBitsOfTheSpec() public view {
        _compare("tests/vectors/solidity/folds.json", 60);
    }

    function test_element__indexOutsideTheOutput__reverts() public {
        ElementCall memory c = _typical();
        c.i = 4 * 8 * 16 * 32;
        _refused(c, TensorElement.NoSuchElement.selector);
        c.i = type(uint256).max;
        _refused(c, TensorElement.NoSuchElement.selector);
    }

    function test_element__blocksOfAnotherRoot__reverts() public {
        ElementCall memory c = _typical();
        c.roots[1] = c.roots[2];
        _refused(c, TensorElement.WrongRoot.selector);
        c = _typical();
        c.runs[0].blocks[17] ^= 0x01;
        _refused(c, TensorElement.WrongRoot.selector);
        c = _typical();
        c.runs[0].first ^= 1;
        _refused(c, TensorElement.WrongRoot.selector);
    }

    function test_element__rootsOfAnotherNumber__reverts() public {
        ElementCall memory c = _typical();
        c.roots = new bytes32[](2);
        _refused(c, TensorElement.WrongRootCount.selector);
    }

    function test_element__neededBlockNotGiven__reverts() public {
        ElementCall memory c = _typical();
        BlockRun[] memory two = new BlockRun[](2);
        (two[0], two[1]) = (c.runs[0], c.runs[2]);
        c.runs = two;
        _refused(c, AffineView.BlockMissing.selector);
    }

    function test_element__runsOutOfOrderOrTwice__reverts() public {
        ElementCall memory c = _typical();
        (c.runs[0], c.runs[1]) = (c.runs[1], c.runs[0]);
        _refused(c, TensorElement.RunOutOfOrder.selector);
        c = _typical();
        c.runs[1] = c.runs[0];
        _refused(c, TensorElement.RunOutOfOrder.selector);
        c = _typical();
        c.runs[2].slot = 3;
        _refused(c, TensorElement.RunOutOfOrder.selector);
    }

    function _typical() private view returns (ElementCall memory) {
        string memory json = vm.readFile("tests/vectors/solidity/gas.json");
        return abi.decode(vm.parseJsonBytes(json, ".map30"), (ElementCall));
    }

    function _refused(ElementCall memory c, bytes4 error) private {
        vm.expectPartialRevert(error);
        harness.element(c.template, c.roots, c.runs, c.scalars, c.i);
    }

    function _compare(string memory file, uint256 atLeast) private view {
        bytes[] memory calls = vm.parseJsonBytesArray(vm.readFile(file), ".calls");
        require(calls.length >= atLeast, "too few vectors");
        for (uint256 k; k < calls.length; ++k) {
            ElementCall memory c = abi.decode(calls[k], (ElementCall));
            (uint256 got,) = harness.element(c.template, c.roots, c.runs, c.scalars, c.i);
            require(
                got == c.want,
                string.concat(
                    "call ", vm.toString(k), ": ", vm.toString(got), " not ", vm.toString(c.want)
                )
            );
        }
    }
}
