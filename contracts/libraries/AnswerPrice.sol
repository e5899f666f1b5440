// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {PRICE_FACTOR} from "../types/Constants.sol";

/// @title What a unit of gas of an answer is paid
library AnswerPrice {
    /// @dev PRICE_FACTOR base fees of this block, at least `least` (the deployment's smallest
    /// gasPrice) and at most `most` (the job's). A client cannot make asking its accomplice dear.
    function current(uint256 least, uint256 most) internal view returns (uint256 price) {
        price = PRICE_FACTOR * block.basefee;
        if (price < least) price = least;
        if (price > most) price = most;
    }
}
