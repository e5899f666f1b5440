// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Frame, Microcode} from "../../contracts/libraries/Microcode.sol";
import {vm} from "./Vm.sol";

/// @notice Runs rows of instruction vectors: instruction, registers 0 to 2, result.
contract MicrocodeHarness {
    uint256 private constant ROW = 40;

    /// @return row the first row whose result differs, or their number
    /// @return got its result
    /// @return worst the most gas that one instruction took
    function rows(bytes calldata data)
        external
        view
        returns (uint256 row, uint256 got, uint256 worst)
    {
        Frame memory f;
        f.registers = Microcode.registerFile();
        f.ops = Microcode.table();
        for (; row * ROW < data.length; ++row) {
            uint256 at = row * ROW;
            for (uint256 k; k < 3; ++k) {
                _set(f.registers + 32 * k, _long(data, at + 8 + 8 * k));
            }
            uint256 code;
            assembly {
                code := add(data.offset, at)
            }
            uint256 gas_ = gasleft();
            got = Microcode.run(f, code, 1);
            gas_ -= gasleft();
            if (gas_ > worst) worst = gas_;
            if (got != _long(data, at + 32)) break;
        }
    }

    function _set(uint256 to, uint256 value) private pure {
        assembly {
            mstore(to, value)
        }
    }

    function _long(bytes calldata data, uint256 at) private pure returns (uint256) {
        return uint256(int256(int64(uint64(bytes8(data[at:at + 8])))));
    }
}

contract MicrocodeTest {
    string private constant FOLDER = "tests/vectors/solidity/";
    MicrocodeHarness private immutable harness = new MicrocodeHarness();

    function test_run__everyOpcodeOnRowsOfTheSpec__givesItsResult() public {
        string memory json = vm.readFile(string.concat(FOLDER, "opcodes.json"));
        string[] memory names = vm.parseJsonStringArray(json, ".names");
        require(names.length >= 40, "too few opcodes");
        for (uint256 k; k < names.length; ++k) {
            this.compare(names[k]); // a call of its own, which gives its memory back
        }
    }

    /// @dev Also puts the most gas that one instruction of this opcode takes, with the start of a
    /// run of one, into the figures.
    function compare(string calldata name) external {
        string memory json = vm.readFile(string.concat(FOLDER, "opcodes/", name, ".json"));
        bytes memory data = vm.parseJsonBytes(json, ".rows");
        (uint256 row, uint256 got, uint256 worst) = harness.rows(data);
        require(
            row * 40 == data.length && row >= 100,
            string.concat(name, " row ", vm.toString(row), " gives ", vm.toString(got))
        );
        vm.snapshotValue("Microcode", name, worst);
    }
}
