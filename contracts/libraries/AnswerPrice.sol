// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {PRICE_FACTOR} from "../types/Constants.sol";

/// @title What a unit of gas of an answer is paid
library AnswerPrice {
    /// @dev PRICE_FACTOR base fees of this block, at least `least` (the deployment's smallest
    /// gasPrice) and at most `most`. What is asked for is priced up to the job's gasPrice, its
    /// answer up to that price: neither a client by its terms nor an accomplice that waits for a
    /// dear block makes asking dear.
    function current(uint256 least, uint256 most) internal view returns (uint256 price) {
        price = PRICE_FACTOR * block.basefee;
        if (price < least) price = least;
        if (price > most) price = most;
    }
}
