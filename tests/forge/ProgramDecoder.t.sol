// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Instance, ProgramDecoder, Template} from "../../contracts/libraries/ProgramDecoder.sol";
import {BLOCK_BYTES} from "../../contracts/types/Machine.sol";
import {ProgramHarness} from "./ProgramHarness.sol";
import {vm} from "./Vm.sol";

/// @notice The reader against vectors that the spec wrote: both accept the same bytes.
contract ProgramDecoderTest {
    string private constant FILE = "tests/vectors/solidity/decoder.json";
    ProgramHarness private immutable harness = new ProgramHarness();

    function test_header__damagedBytes__acceptsWhatTheSpecAccepts() public view {
        _compare("header", ProgramHarness.header.selector, 100);
    }

    function test_decl__damagedBytes__acceptsWhatTheSpecAccepts() public view {
        _compare("decl", ProgramHarness.decl.selector, 100);
    }

    function test_state__damagedBytes__acceptsWhatTheSpecAccepts() public view {
        _compare("state", ProgramHarness.state.selector, 100);
    }

    function test_phase__damagedBytes__acceptsWhatTheSpecAccepts() public view {
        _compare("phase", ProgramHarness.phase.selector, 100);
    }

    function test_instance__damagedBytes__acceptsWhatTheSpecAccepts() public view {
        _compare("instance", ProgramHarness.instance.selector, 100);
    }

    function test_next__damagedBytes__acceptsWhatTheSpecAccepts() public view {
        _compare("next", ProgramHarness.next.selector, 100);
    }

    function test_template__damagedBytes__acceptsWhatTheSpecAccepts() public view {
        _compare("template", ProgramHarness.template.selector, 50);
    }

    function test_template__everyLimitReached__isAccepted() public view {
        bytes memory data = vm.parseJsonBytes(vm.readFile(FILE), ".widest");
        Template memory t = harness.template(data);
        require(t.views.length == 16 && t.preCount == 256 && t.slots == 12, "counts");
    }

    function test_template__fuzzedWord__neverPanics(uint256 at, bytes32 word) public view {
        bytes memory data = vm.parseJsonBytes(vm.readFile(FILE), ".template.accept[0]");
        at = 32 + (at % (data.length / 32)) * 32;
        assembly {
            mstore(add(data, at), word)
        }
        _calls(ProgramHarness.template.selector, data);
    }

    /// @dev Every vector gets the spec's verdict; a refusal names one of the library's errors.
    function _compare(string memory part, bytes4 selector, uint256 atLeast) private view {
        string memory json = vm.readFile(FILE);
        bytes[] memory good =
            vm.parseJsonBytesArray(json, string.concat(".", part, ".accept"));
        bytes[] memory bad = vm.parseJsonBytesArray(json, string.concat(".", part, ".reject"));
        require(good.length >= 24 && bad.length >= atLeast, "too few vectors");
        for (uint256 k; k < good.length; ++k) {
            require(
                _calls(selector, good[k]),
                string.concat(part, ": refuses what the spec accepts: ", vm.toString(k))
            );
        }
        for (uint256 k; k < bad.length; ++k) {
            require(
                !_calls(selector, bad[k]),
                string.concat(part, ": accepts what the spec refuses: ", vm.toString(k))
            );
        }
    }

    function _calls(bytes4 selector, bytes memory data) private view returns (bool ok) {
        bytes memory answer;
        (ok, answer) = address(harness).staticcall(abi.encodeWithSelector(selector, data));
        if (!ok) {
            bytes4 error = bytes4(answer);
            require(
                error == ProgramDecoder.WrongLength.selector
                    || error == ProgramDecoder.UnknownCode.selector
                    || error == ProgramDecoder.OverLimit.selector
                    || error == ProgramDecoder.ReservedBits.selector
                    || error == ProgramDecoder.Mismatch.selector,
                "a refusal without a name of its own"
            );
        }
    }
}
