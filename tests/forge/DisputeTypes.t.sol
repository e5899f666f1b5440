// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Challenge, Outcome, Tree, Wait} from "../../contracts/types/Dispute.sol";

/// @notice A challenge that is written a word at a time is the one that Solidity reads.
contract DisputeTypes {
    Challenge private _one;
    Challenge private _other;

    error Differs(string what);

    function testFuzz_write__anyChallengeOverAnyOther__isReadBack(bytes32 seed) public {
        Challenge memory before = _any(keccak256(abi.encode(seed, "before")));
        Challenge memory beside = _any(keccak256(abi.encode(seed, "beside")));
        Challenge memory x = _any(seed);
        _one.write(before);
        _other.write(beside);
        _same("written", _one, before);
        _one.write(x);
        _same("written over", _one, x);
        _same("beside", _other, beside);
    }

    function test_write__nothingAndTheMost__areReadBack() public {
        Challenge memory none;
        Challenge memory most = _most();
        _one.write(most);
        _same("the most", _one, most);
        _one.write(none);
        _same("nothing", _one, none);
    }

    /// @dev Fields of one seed, by names: what is put in another's place shows.
    function _any(bytes32 seed) private pure returns (Challenge memory x) {
        x.challenger = address(uint160(_draw(seed, "challenger")));
        x.outcome = Outcome(_draw(seed, "outcome") % 4);
        x.wait = Wait(_draw(seed, "wait") % 4);
        x.tree = Tree(_draw(seed, "tree") % 6);
        x.level = uint8(_draw(seed, "level"));
        x.known = _draw(seed, "known") % 2 == 1;
        x.since = uint40(_draw(seed, "since"));
        x.node = bytes32(_draw(seed, "node"));
        x.index = uint40(_draw(seed, "index"));
        x.count = uint40(_draw(seed, "count"));
        x.step = uint40(_draw(seed, "step"));
        x.item = uint32(_draw(seed, "item"));
        x.lastBytes = uint16(_draw(seed, "lastBytes"));
        x.price = uint48(_draw(seed, "price"));
        x.challengerBudget = uint32(_draw(seed, "challengerBudget"));
        x.providerBudget = uint32(_draw(seed, "providerBudget"));
        x.token = uint104(_draw(seed, "token"));
        x.native = uint72(_draw(seed, "native"));
        x.prev = uint24(_draw(seed, "prev"));
        x.next = uint24(_draw(seed, "next"));
    }

    function _most() private pure returns (Challenge memory x) {
        (x.challenger, x.node) = (address(type(uint160).max), bytes32(type(uint256).max));
        (x.outcome, x.wait, x.tree) = (type(Outcome).max, type(Wait).max, type(Tree).max);
        (x.level, x.known, x.lastBytes) = (type(uint8).max, true, type(uint16).max);
        (x.since, x.index, x.count) = (type(uint40).max, type(uint40).max, type(uint40).max);
        (x.step, x.item, x.price) = (type(uint40).max, type(uint32).max, type(uint48).max);
        (x.challengerBudget, x.providerBudget) = (type(uint32).max, type(uint32).max);
        (x.token, x.native) = (type(uint104).max, type(uint72).max);
        (x.prev, x.next) = (type(uint24).max, type(uint24).max);
    }

    function _draw(bytes32 seed, string memory field) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, field)));
    }

    function _same(string memory what, Challenge memory got, Challenge memory wanted)
        private
        pure
    {
        if (keccak256(abi.encode(got)) != keccak256(abi.encode(wanted))) revert Differs(what);
    }
}
