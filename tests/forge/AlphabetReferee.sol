// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IDataReferee} from "../../contracts/interfaces/IDataReferee.sol";
import {ILegalityReferee, Illegality} from "../../contracts/interfaces/ILegalityReferee.sol";
import {ITraceReferee} from "../../contracts/interfaces/IReferee.sol";
import {BlockTree} from "../../contracts/libraries/BlockTree.sol";
import {Part} from "../../contracts/types/Demand.sol";
import {Context, HALTED, Proof, Tree} from "../../contracts/types/Dispute.sol";
import {Task} from "../../contracts/types/JobTerms.sol";

/// @notice A hash that is a leaf of a committed tree, and its path.
struct Link {
    bytes32 root;
    bytes32[] siblings;
}

/// @title The trivial machine: one state, one letter; a step makes it the next letter
/// @notice Judges as the real referees do, by what is committed to the left of the leaf, so that
/// only the leftmost wrong leaf can be proven; without tensors. The letter is the first word of a
/// block of 512 bytes, whose root is its hash; an output's root wraps that.
contract AlphabetReferee is ITraceReferee, IDataReferee, ILegalityReferee {
    uint256 public constant LETTER_BYTES = 32;

    function geometry(Context calldata, Tree into, bytes calldata)
        external
        pure
        returns (uint256 count, uint256 lastBytes)
    {
        if (into == Tree.STEPS) revert UnknownTree(into);
        return (1, into >= Tree.STATE_BLOCKS ? LETTER_BYTES : 0);
    }

    function judge(Context calldata c, Proof kind, bytes calldata proof)
        external
        pure
        returns (bool)
    {
        if (kind == Proof.ELEMENT) return _element(c, proof);
        if (kind == Proof.NEXT) return c.node != c.operationsRoot;
        if (kind == Proof.INITIAL) return c.node != rootOf(0);
        if (kind == Proof.OUTPUT) return _output(c, proof);
        if (kind == Proof.HALT) return c.operationsRoot == HALTED;
        revert UnknownProof(kind);
    }

    /// @notice Whatever is demanded: `proof` says how many bytes it shows.
    function shown(Context calldata, Part, bytes calldata proof) external pure returns (uint256) {
        return abi.decode(proof, (uint256));
    }

    /// @notice `proof` says whether the job is.
    function illegal(Task calldata, Illegality, bytes calldata proof) external pure returns (bool) {
        return abi.decode(proof, (bool));
    }

    /// @notice Root of the block that holds a letter.
    function rootOf(uint256 letter) public pure returns (bytes32) {
        return keccak256(blockOf(letter));
    }

    function blockOf(uint256 letter) public pure returns (bytes memory data) {
        data = new bytes(512);
        assembly ("memory-safe") {
            mstore(add(data, 0x20), letter)
        }
    }

    function wrap(bytes32 root) public pure returns (bytes32) {
        return keccak256(abi.encode("output", root));
    }

    /// @dev `proof`: the state before the step, its letter, the claimed letter.
    function _element(Context calldata c, bytes calldata proof) private pure returns (bool) {
        (Link memory before, uint256 letter, uint256 claimed) =
            abi.decode(proof, (Link, uint256, uint256));
        _bind(c, before, c.step - 1);
        if (rootOf(letter) != before.root) revert WrongPlace(letter, 0);
        if (rootOf(claimed) != c.node) revert WrongPlace(claimed, 1);
        return claimed != letter + 1;
    }

    function _output(Context calldata c, bytes calldata proof) private pure returns (bool) {
        Link memory last = abi.decode(proof, (Link));
        _bind(c, last, c.leaves - 1);
        return c.node != wrap(last.root);
    }

    function _bind(Context calldata c, Link memory link, uint256 index) private pure {
        bytes32 node = link.root;
        uint256 used;
        uint256 at = index;
        for (uint256 width = c.leaves; width > 1; width = (width + 1) / 2) {
            bytes32 sibling;
            if (at ^ 1 < width) sibling = link.siblings[used++];
            node = at & 1 == 1
                ? keccak256(abi.encode(sibling, node))
                : keccak256(abi.encode(node, sibling));
            at >>= 1;
        }
        if (node != c.stepsRoot) revert BlockTree.OutsideTree(index, c.leaves);
    }
}
