// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Costs} from "../../contracts/libraries/Costs.sol";
import {ProgramDecoder} from "../../contracts/libraries/ProgramDecoder.sol";
import {vm} from "./Vm.sol";

/// @notice One template and what the spec says that it costs.
struct CostCall {
    bytes template;
    uint256 gas_;
    uint256 size;
}

/// @notice Calldata for the library.
contract CostsHarness {
    function cost(bytes calldata data) external pure returns (uint256, uint256) {
        return Costs.cost(ProgramDecoder.template(data));
    }
}

/// @notice The cost table against the spec.
contract CostsTest {
    CostsHarness private immutable harness = new CostsHarness();

    function test_cost__randomTemplates__areThoseOfTheSpec() public view {
        string memory json = vm.readFile("tests/vectors/solidity/costs.json");
        bytes[] memory calls = vm.parseJsonBytesArray(json, ".calls");
        require(calls.length >= 100, "too few vectors");
        for (uint256 k; k < calls.length; ++k) {
            CostCall memory c = abi.decode(calls[k], (CostCall));
            (uint256 gas_, uint256 size) = harness.cost(c.template);
            require(gas_ == c.gas_, string.concat("gas ", vm.toString(k)));
            require(size == c.size, string.concat("bytes ", vm.toString(k)));
        }
    }
}
