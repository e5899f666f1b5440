// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {AffineView, Cursor, Span} from "../../contracts/libraries/AffineView.sol";
import {Accumulator, Folds} from "../../contracts/libraries/Folds.sol";
import {Fold} from "../../contracts/types/Machine.sol";
import {Float32} from "../../contracts/libraries/Float32.sol";
import {Frame, Microcode} from "../../contracts/libraries/Microcode.sol";

contract FloatGasHarness {
    function add(uint256 a, uint256 b) external view returns (uint256 used) {
        used = gasleft();
        Float32.add(a, b);
        used -= gasleft();
    }

    function mul(uint256 a, uint256 b) external view returns (uint256 used) {
        used = gasleft();
        Float32.mul(a, b);
        used -= gasleft();
    }

    function folds(Fold fold, uint256 n) external view returns (uint256 used) {
        Accumulator memory acc = Folds.start(fold, true);
        used = gasleft();
        for (uint256 r; r < n; ++r) {
            Folds.step(acc, r, 0x3F800000);
        }
        used -= gasleft();
        used /= n;
    }

    function load(uint256 rdigits, bytes calldata digits) external view returns (uint256 used, uint256 a) {
        Cursor memory c;
        c.count = 1000;
        c.operand.bits = 2;
        c.operand.isFloat = true;
        c.operand.spans = new Span[](1);
        c.last = Span(0, 4000, 0x80);
        uint256 at;
        assembly {
            at := digits.offset
        }
        c.rdigitsAt = at;
        used = gasleft();
        (int256 where, bool inside) = AffineView.addressAt(c, rdigits, 77);
        a = gasleft();
        AffineView.load(c, where, inside);
        used -= gasleft();
        a -= gasleft();
    }

    function nothing() external view returns (uint256 used) {
        used = gasleft();
        used -= gasleft();
    }

    function run(bytes calldata code, uint256 a, uint256 b) external view returns (uint256 used) {
        Frame memory f;
        f.registers = Microcode.registerFile();
        f.ops = Microcode.table();
        uint256 r = f.registers;
        uint256 at;
        assembly {
            mstore(r, a)
            mstore(add(r, 0x20), b)
            mstore(add(r, 0x40), b)
            at := code.offset
        }
        used = gasleft();
        Microcode.run(f, at, code.length / 8);
        used -= gasleft();
    }
}

contract FloatGasTest {
    FloatGasHarness private immutable harness = new FloatGasHarness();

    event Figure(string name, uint256 used);

    function test_gas__floats__areMeasured() public {
        emit Figure("nothing", harness.nothing());
        emit Figure("fold FSUM", harness.folds(Fold.FSUM, 64));
        emit Figure("fold MAX", harness.folds(Fold.MAX, 64));
        (uint256 all, uint256 part) = harness.load(1, abi.encodePacked(uint64(100), uint64(1), uint128(0)));
        emit Figure("address and load", all);
        emit Figure("load", part);
        emit Figure("add fast", harness.add(0x3F800000, 0x3F123456));
        emit Figure("add cancel", harness.add(0x3F800000, 0xBF7FFFFF));
        emit Figure("add far", harness.add(0x3F800000, 0x00000001));
        emit Figure("mul fast", harness.mul(0x3F800000, 0x3F123456));
        emit Figure("mul slow", harness.mul(0x3F800000, 0x00000001));
        emit Figure("run 1", harness.run(hex"1000010000000000", 1, 2));
        emit Figure("run 2 add", harness.run(hex"10000100000000001000010000000000", 1, 2));
        emit Figure(
            "run 3 add", harness.run(hex"100001000000000010000100000000001000010000000000", 1, 2)
        );
    }
}
