// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.34;

import {Sample} from "../contracts/Sample.sol";

contract SampleTest {
    function test_pay__zero__reverts() external {
        Sample sample = new Sample(10);
        try sample.pay(sample, address(1), 0) {
            revert("a payment of zero was accepted");
        } catch (bytes memory reason) {
            require(bytes4(reason) == Sample.Zero.selector, "another error");
        }
    }

    function testFuzz_pay__allowed__moves(uint96 amount) external {
        Sample sample = new Sample(type(uint256).max);
        uint256 paid = uint256(amount) + 1;
        sample.approve(address(sample), paid);
        sample.pay(sample, address(1), paid);
        require(sample.balanceOf(address(1)) == paid, "not moved");
    }
}
