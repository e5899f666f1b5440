// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {AffineView, Cursor} from "../../contracts/libraries/AffineView.sol";
import {DotProduct} from "../../contracts/libraries/DotProduct.sol";
import {Float32} from "../../contracts/libraries/Float32.sol";
import {Accumulator, Folds} from "../../contracts/libraries/Folds.sol";
import {Frame, Microcode} from "../../contracts/libraries/Microcode.sol";
import {BLOCK_BYTES, Fold} from "../../contracts/types/Machine.sol";
import {ProgramHarness} from "./ProgramHarness.sol";
import {ElementCall} from "./TensorElement.t.sol";
import {vm} from "./Vm.sol";

/// @notice Gas of single functions, measured inside.
contract GasHarness {
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

    /// @notice Of one value of `n`.
    function fold(Fold kind, uint256 n) external view returns (uint256 used) {
        Accumulator memory acc = Folds.start(kind, true);
        used = gasleft();
        for (uint256 r; r < n; ++r) {
            Folds.step(acc, r, 0x3F800000);
        }
        used = (used - gasleft()) / n;
    }

    /// @notice Of a thousand terms of a long product, without what it costs once.
    function terms(bool wide) external view returns (uint256 used) {
        bytes memory both = new bytes(0x4000);
        uint256 a;
        assembly ("memory-safe") {
            a := add(both, 0x20)
        }
        uint256[3] memory at;
        at[0] = gasleft();
        _sum(wide, a, 2048);
        at[1] = gasleft();
        _sum(wide, a, 4096);
        at[2] = gasleft();
        used = (at[1] - at[2] - (at[0] - at[1])) * 1000 / 2048;
    }

    function _sum(bool wide, uint256 a, uint256 n) private pure {
        if (wide) DotProduct.sum16(a, a + 0x2000, n);
        else DotProduct.sum8(a, a + 0x2000, n);
    }

    /// @notice Of a load at one digit of r, its block at hand.
    function load(bytes calldata digit) external view returns (uint256 used) {
        Cursor memory c;
        (c.count, c.bits, c.isFloat) = (1000, 2, true);
        (c.size, c.data) = (1000, 0x80);
        uint256 at;
        assembly ("memory-safe") {
            at := digit.offset
        }
        c.rdigitsAt = at;
        c.stride = 1;
        used = gasleft();
        AffineView.load(c, 1, 77, 0);
        used -= gasleft();
    }

    /// @notice Of `code` on three registers.
    function run(bytes calldata code, uint256 a, uint256 b) external view returns (uint256 used) {
        Frame memory f;
        f.registers = Microcode.registerFile();
        f.ops = Microcode.table();
        uint256 r = f.registers;
        uint256 at;
        assembly ("memory-safe") {
            mstore(r, a)
            mstore(add(r, 0x20), b)
            at := code.offset
        }
        used = gasleft();
        Microcode.run(f, at, code.length / 8);
        used -= gasleft();
    }

    function opcodes() external view returns (uint256 used) {
        used = gasleft();
        Microcode.table();
        used -= gasleft();
    }
}

/// @notice Figures of typical work, execution gas only. They are in git
/// (tests/snapshots/TensorElement.json) and a change fails:
/// `FORGE_SNAPSHOT_CHECK=false forge test` writes them anew.
contract ProgramGasTest {
    string private constant FILE = "tests/vectors/solidity/gas.json";
    string private constant GROUP = "TensorElement";
    uint256 private constant ONE = 0x3F800000;
    uint256 private constant TINY = 1; // the least subnormal
    ProgramHarness private immutable harness = new ProgramHarness();
    GasHarness private immutable gas = new GasHarness();

    function test_gas__decodingTemplates__isThatOfGit() public {
        string memory json = vm.readFile(FILE);
        _figure("decode 3 instructions", _decode(json, ".template3"));
        uint256 typical = _decode(json, ".template30");
        _figure("decode 30 instructions", typical);
        _figure("decode 230 instructions", _decode(json, ".template230"));
        json = vm.readFile("tests/vectors/solidity/decoder.json");
        _figure("decode every limit reached", _decode(json, ".widest"));
        require(typical <= 20_000, "decoding a typical template costs too much");
    }

    function test_gas__elements__isThatOfGit() public {
        string memory json = vm.readFile(FILE);
        string[8] memory names =
            ["map3", "map30", "map230", "dot384", "dot4096", "dot8x4096", "FSUM384", "MAX384"];
        for (uint256 k; k < names.length; ++k) {
            bytes memory call = vm.parseJsonBytes(json, string.concat(".", names[k]));
            _figure(string.concat("element ", names[k]), _element(call));
        }
    }

    function test_gas__proofs__isThatOfGit() public {
        for (uint256 depth; depth <= 20; depth += 10) {
            bytes memory one = new bytes(BLOCK_BYTES);
            bytes32[] memory siblings = new bytes32[](depth);
            string memory at = string.concat(" at depth ", vm.toString(depth));
            (, uint256 used) = harness.rootOfRun(one, 0, BLOCK_BYTES << depth, siblings);
            _figure(string.concat("block", at), used);
            (, used) = harness.rootOfLeaf(bytes32(uint256(1)), 0, 1 << depth, siblings);
            _figure(string.concat("leaf", at), used);
        }
        (, uint256 many) =
            harness.rootOfRun(new bytes(16 * BLOCK_BYTES), 0, BLOCK_BYTES << 10, new bytes32[](6));
        _figure("16 blocks at depth 10", many);
    }

    function test_gas__parts__isThatOfGit() public {
        _figure("add", gas.add(ONE, 0x3F123456));
        _figure("add, bits cancel", gas.add(ONE, 0xBF7FFFFF));
        _figure("add, subnormal", gas.add(ONE, TINY));
        _figure("mul", gas.mul(ONE, 0x3F123456));
        _figure("mul, subnormal", gas.mul(ONE, TINY));
        _figure("fold FSUM", gas.fold(Fold.FSUM, 64));
        _figure("fold MAX", gas.fold(Fold.MAX, 64));
        _figure("load", gas.load(abi.encodePacked(uint64(100), uint64(1), uint128(0))));
        _figure("table of opcodes", gas.opcodes());
        bytes memory one = hex"1000010000000000"; // ADD 0 1
        uint256 first = gas.run(one, 1, 2);
        _figure("one instruction more", gas.run(bytes.concat(one, one), 1, 2) - first);
        _figure("1000 terms of int16", gas.terms(true));
        _figure("1000 terms of int8", gas.terms(false));
        require(gas.terms(true) <= 25_000, "int16 multiply-add");
        require(gas.add(ONE, 0x3F123456) <= 500 && gas.mul(ONE, 0x3F123456) <= 500, "f32 add, mul");
    }

    function _figure(string memory name, uint256 used) private {
        vm.snapshotValue(GROUP, name, used);
    }

    function _decode(string memory json, string memory key) private view returns (uint256) {
        return harness.templateGas(vm.parseJsonBytes(json, key));
    }

    function _element(bytes memory data) private view returns (uint256 used) {
        ElementCall memory c = abi.decode(data, (ElementCall));
        uint256 got;
        (got, used) = harness.element(c.template, c.roots, c.runs, c.scalars, c.i);
        require(got == c.want, "wrong element");
    }
}
