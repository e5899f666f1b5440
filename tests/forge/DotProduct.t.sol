// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {DotProduct} from "../../contracts/libraries/DotProduct.sol";

/// @notice Packed sums against one product at a time.
contract DotProductTest {
    function testFuzz_sum16__anyTermsAtAnyAlignment__equalsTheDefinition(
        uint256 seed,
        uint256 n,
        uint256 shift
    ) public pure {
        (bytes memory a, bytes memory b) = (_bytes(seed, 400), _bytes(~seed, 400));
        n %= 170;
        shift %= 32;
        int256 wanted;
        for (uint256 k; k < n; ++k) {
            wanted += int256(_int16(a, shift + 2 * k)) * _int16(b, 2 * k);
        }
        require(DotProduct.sum16(_at(a) + shift, _at(b), n) == wanted, "int16");
    }

    function testFuzz_sum8__anyTermsAtAnyAlignment__equalsTheDefinition(
        uint256 seed,
        uint256 n,
        uint256 shift
    ) public pure {
        (bytes memory a, bytes memory b) = (_bytes(seed, 400), _bytes(~seed, 400));
        n %= 340;
        shift %= 32;
        int256 wanted;
        for (uint256 k; k < n; ++k) {
            wanted += int256(_int8(a, shift + k)) * _int8(b, k);
        }
        require(DotProduct.sum8(_at(a) + shift, _at(b), n) == wanted, "int8");
    }

    function test_sum16__extremesOfTheMostTerms__areExact() public pure {
        int256 n = 65_536;
        int256[3] memory extremes = [int256(-32_768), 32_767, -1];
        for (uint256 i; i < 3; ++i) {
            for (uint256 j; j < 3; ++j) {
                (int256 x, int256 y) = (extremes[i], extremes[j]);
                uint256 a = _repeat(uint16(int16(x)), 65_536);
                uint256 b = _repeat(uint16(int16(y)), 65_536);
                require(DotProduct.sum16(a, b, 65_536) == n * x * y, "65536 equal terms");
                require(DotProduct.sum16(a, b, 65_535) == (n - 1) * x * y, "one less");
            }
        }
    }

    function test_sum8__extremesOfTheMostTerms__areExact() public pure {
        int256 n = 65_536;
        int256[3] memory extremes = [int256(-128), 127, -1];
        for (uint256 i; i < 3; ++i) {
            for (uint256 j; j < 3; ++j) {
                (int256 x, int256 y) = (extremes[i], extremes[j]);
                uint256 a = _repeat(uint8(int8(x)) * 0x101, 32_768);
                uint256 b = _repeat(uint8(int8(y)) * 0x101, 32_768);
                require(DotProduct.sum8(a, b, 65_536) == n * x * y, "65536 equal terms");
                require(DotProduct.sum8(a, b, 65_535) == (n - 1) * x * y, "one less");
            }
        }
    }

    // --- helpers ------------------------------------------------------------------------------

    function _bytes(uint256 seed, uint256 size) private pure returns (bytes memory data) {
        data = new bytes(size);
        for (uint256 k; k < size; k += 32) {
            bytes32 word = keccak256(abi.encode(seed, k));
            // Extremes are frequent: some bytes are 0x80, 0x7F, 0x00 or 0xFF.
            for (uint256 j = k; j < k + 32 && j < size; ++j) {
                uint8 x = uint8(word[j - k]);
                data[j] = bytes4(0x807F00FF)[x % 4];
                if (x > 100) data[j] = bytes1(x);
            }
        }
    }

    /// @dev Memory address of 16-bit lanes that all hold `lane`, little-endian.
    function _repeat(uint256 lane, uint256 lanes) private pure returns (uint256 at) {
        bytes memory data = new bytes(2 * lanes);
        at = _at(data);
        uint256 word = ((lane & 0xFF) << 8 | lane >> 8) * (type(uint256).max / 0xFFFF);
        for (uint256 k; k < 2 * lanes; k += 32) {
            assembly {
                mstore(add(at, k), word)
            }
        }
    }

    function _at(bytes memory data) private pure returns (uint256 at) {
        assembly {
            at := add(data, 0x20)
        }
    }

    function _int16(bytes memory data, uint256 k) private pure returns (int16) {
        return int16(uint16(uint8(data[k])) | uint16(uint8(data[k + 1])) << 8);
    }

    function _int8(bytes memory data, uint256 k) private pure returns (int8) {
        return int8(uint8(data[k]));
    }
}
