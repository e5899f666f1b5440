// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {LegalityReferee} from "../../contracts/LegalityReferee.sol";
import {ILegalityReferee, Illegality} from "../../contracts/interfaces/ILegalityReferee.sol";
import {BlockTree} from "../../contracts/libraries/BlockTree.sol";
import {TraceProofs} from "../../contracts/libraries/TraceProofs.sol";
import {Leaf, PhasePart, ProgramPart} from "../../contracts/types/DisputeProofs.sol";
import {Task} from "../../contracts/types/JobTerms.sol";
import {
    DeclarationCase,
    InstanceCase,
    Listing,
    LengthCase,
    Named,
    NextCase,
    ProgramCase,
    ProgramClause,
    StateCase,
    TemplateCase
} from "../../contracts/types/LegalityProofs.sol";
import {
    MAGIC,
    NONE32,
    TAG_DECL,
    TAG_INSTANCE,
    TAG_NEXT,
    TAG_STATE,
    TAG_TEMPLATE
} from "../../contracts/types/Machine.sol";
import {vm} from "./Vm.sol";

/// @notice One call of the vectors.
struct LegalityCall {
    bytes32 programRoot;
    bytes32 constantsRoot;
    bytes32 inputsRoot;
    uint256 steps;
    uint8 kind;
    bytes proof;
    bool verdict;
}

/// @notice The predicate against the verdicts of the spec, and against whoever would force one.
contract LegalityTest {
    string private constant FILE = "tests/vectors/solidity/legality.json";
    string private constant BYTES = "tests/vectors/solidity/decoder.json";
    string private constant GROUP = "Legality";
    LegalityReferee private immutable referee = new LegalityReferee();
    bytes[] private _raw; // read once: the file is long

    constructor() {
        _raw = vm.parseJsonBytesArray(vm.readFile(FILE), ".calls");
    }

    // --- verdicts -----------------------------------------------------------------------------

    function test_illegal__everyClauseAndLegalPrograms__giveTheVerdictOfTheSpec() public view {
        LegalityCall[] memory calls = _calls();
        require(calls.length >= 240, "too few vectors");
        uint256[2] memory found;
        for (uint256 k; k < calls.length; ++k) {
            bool got = _illegal(calls[k]);
            require(got == calls[k].verdict, string.concat("call ", vm.toString(k)));
            ++found[got ? 1 : 0];
        }
        require(found[0] >= 90 && found[1] >= 130, "one verdict is rare");
    }

    // --- bytes that do not decode -------------------------------------------------------------

    function test_illegal__bytesThatTheSpecRefuses__areIllegal() public view {
        string[7] memory parts =
            ["header", "decl", "state", "template", "phase", "instance", "next"];
        for (uint256 k; k < parts.length; ++k) {
            bytes[] memory bad = _bytes(parts[k], ".reject");
            require(bad.length >= 50, "too few vectors");
            uint256 free = _free();
            for (uint256 n; n < bad.length; ++n) {
                _release(free);
                string memory at = string.concat(parts[k], " ", vm.toString(n));
                if (_isFixed(parts[k]) && bad[n].length != (k == 0 ? 64 : 32)) {
                    (bool ok, bytes memory answer) = _judge(parts[k], bad[n]);
                    require(!ok && _is(answer, BlockTree.WrongPathLength.selector), at);
                } else {
                    require(_isIllegal(parts[k], bad[n]), at);
                }
            }
        }
    }

    function test_illegal__bytesThatTheSpecTakes__getAVerdict() public view {
        string[7] memory parts =
            ["header", "decl", "state", "template", "phase", "instance", "next"];
        for (uint256 k; k < parts.length; ++k) {
            bytes[] memory good = _bytes(parts[k], ".accept");
            for (uint256 n; n < good.length; ++n) {
                (bool ok, bytes memory answer) = _judge(parts[k], good[n]);
                // Illegal, unless it names descriptors that were not brought.
                bool missing =
                    !ok && bytes4(answer) == TraceProofs.WrongCommitment.selector;
                require(ok || missing, string.concat(parts[k], " ", vm.toString(n)));
            }
        }
    }

    function test_illegal__fuzzedWordOfATemplate__getsAVerdict(uint256 at, bytes32 word)
        public
        view
    {
        LegalityCall memory c = _call("template");
        TemplateCase memory p = abi.decode(c.proof, (TemplateCase));
        bytes memory data = p.template.data;
        at = 32 + (at % (data.length / 32)) * 32;
        assembly {
            mstore(add(data, at), word)
        }
        (bool ok,) = _judge("template", data);
        require(ok, "no verdict");
    }

    function test_illegal__templateTooLongToBring__isIllegalByItsLength() public view {
        (ProgramPart memory program, PhasePart memory phase) =
            _program("template", _leafOf(TAG_TEMPLATE, 1 << 30, keccak256("long")));
        LengthCase memory p;
        (p.program, p.phase, p.list) = (program, phase, Listing.TEMPLATES);
        (p.length, p.hash) = (1 << 30, keccak256("long"));
        bytes memory proof = abi.encode(p);
        require(referee.illegal(_task(program), Illegality.LENGTH, proof), "long");
        p.length = 367 * 32;
        p.program = _relisted(p.program, _leafOf(TAG_TEMPLATE, p.length, p.hash));
        proof = abi.encode(p);
        require(!referee.illegal(_task(p.program), Illegality.LENGTH, proof), "as long as any");
        p.length += 32;
        p.program = _relisted(p.program, _leafOf(TAG_TEMPLATE, p.length, p.hash));
        proof = abi.encode(p);
        require(referee.illegal(_task(p.program), Illegality.LENGTH, proof), "a word longer");
        p.length = 33 * 32 + 8;
        p.program = _relisted(p.program, _leafOf(TAG_TEMPLATE, p.length, p.hash));
        proof = abi.encode(p);
        require(referee.illegal(_task(p.program), Illegality.LENGTH, proof), "no whole words");
    }

    // --- gas ----------------------------------------------------------------------------------

    /// @dev INVARIANT under test: whatever gas a call gets, a legal thing is never found illegal,
    /// nor the reverse.
    function test_illegal__anyGas__decidesTheSameOrReverts() public view {
        LegalityCall memory legal = _call("template");
        _starve(legal);
        TemplateCase memory p = abi.decode(legal.proof, (TemplateCase));
        bytes memory data = p.template.data;
        data[data.length - 6] = 0x01; // CLAMP has no second register
        (ProgramPart memory program,) =
            _program("template", _leafOf(TAG_TEMPLATE, data.length, keccak256(data)));
        p.program = program;
        (p.index, p.template.siblings) = (0, new bytes32[](0));
        legal.programRoot = _task(program).programRoot;
        (legal.proof, legal.verdict) = (abi.encode(p), true);
        _starve(legal);
    }

    function test_illegal__theLargestProofs__costThatOfGit() public {
        string[3] memory names = ["template", "instance", "next"];
        for (uint256 k; k < names.length; ++k) {
            LegalityCall memory c = _call(names[k]);
            Task memory task = _taskOf(c);
            bytes memory data =
                abi.encodeCall(referee.illegal, (task, Illegality(c.kind), c.proof));
            require(data.length <= 96 * 1024, "more bytes than a transaction may bring");
            uint256 used = gasleft();
            require(!referee.illegal(task, Illegality(c.kind), c.proof), "legal");
            used -= gasleft();
            vm.snapshotValue(GROUP, string.concat(names[k], " execution"), used);
            vm.snapshotValue(GROUP, string.concat(names[k], " bytes"), data.length);
            require(21_000 + 40 * data.length + used <= 10_000_000, "more gas than a transaction");
        }
        vm.snapshotValue(GROUP, "code bytes", address(referee).code.length);
    }

    // --- malformed proofs ---------------------------------------------------------------------

    function test_illegal__anotherTask__reverts() public view {
        LegalityCall[] memory calls = _calls();
        for (uint256 k; k < calls.length; ++k) {
            calls[k].programRoot ^= bytes32(uint256(1));
            (bool ok, bytes memory answer) = _try(calls[k], gasleft());
            require(!ok && _is(answer, TraceProofs.WrongCommitment.selector), "it decided");
        }
    }

    function test_illegal__tensorsOfAnotherRoot__reverts() public view {
        uint256 found;
        for (uint256 k; k < _raw.length; ++k) {
            LegalityCall memory c = abi.decode(_raw[k], (LegalityCall));
            if (c.kind != 7 && c.kind != 8) continue;
            c.constantsRoot ^= bytes32(uint256(1));
            c.inputsRoot ^= bytes32(uint256(1));
            (bool ok, bytes memory answer) = _try(c, gasleft());
            require(!ok && _is(answer, TraceProofs.WrongCommitment.selector), "it decided");
            ++found;
        }
        require(found >= 12, "too few vectors");
    }

    /// @dev Of a legal job no proof returns true.
    function test_illegal__legalJobAndFuzzedWord__isNeverIllegal(
        uint256 which,
        uint256 at,
        uint256 how,
        bytes32 word
    ) public view {
        LegalityCall memory c = _legalCall(which);
        bytes memory proof = c.proof;
        at = 32 + (at % (proof.length / 32)) * 32;
        assembly {
            let old := mload(add(proof, at))
            switch mod(how, 4)
            case 0 { word := xor(old, shl(mod(word, 256), 1)) }
            case 1 { word := add(old, 1) }
            case 2 { word := sub(old, 0x20) }
            mstore(add(proof, at), word)
        }
        (bool ok, bytes memory answer) = _try(c, gasleft());
        require(!ok || !abi.decode(answer, (bool)), "a legal job was found illegal");
    }

    function test_illegal__legalJobAndTruncatedProof__isNeverIllegal(uint256 which, uint256 size)
        public
        view
    {
        LegalityCall memory c = _legalCall(which);
        bytes memory proof = c.proof;
        size %= proof.length;
        assembly {
            mstore(proof, size)
        }
        (bool ok, bytes memory answer) = _try(c, gasleft());
        require(!ok || !abi.decode(answer, (bool)), "a legal job was found illegal");
    }

    function test_illegal__kindOfAnotherProof__isNeverIllegal(uint256 which, uint8 kind)
        public
        view
    {
        LegalityCall memory c = _legalCall(which);
        c.kind = kind % 10;
        (bool ok, bytes memory answer) = _try(c, gasleft());
        require(!ok || !abi.decode(answer, (bool)), "a legal job was found illegal");
    }

    // --- calls --------------------------------------------------------------------------------

    function _calls() private view returns (LegalityCall[] memory calls) {
        calls = new LegalityCall[](_raw.length);
        for (uint256 k; k < calls.length; ++k) {
            calls[k] = abi.decode(_raw[k], (LegalityCall));
        }
    }

    /// @dev One with the verdict false.
    function _legalCall(uint256 which) private view returns (LegalityCall memory c) {
        which %= _raw.length;
        c = abi.decode(_raw[which], (LegalityCall));
        return c.verdict ? _legalCall(which + 1) : c;
    }

    function _call(string memory name) private view returns (LegalityCall memory) {
        bytes memory raw = vm.parseJsonBytes(vm.readFile(FILE), string.concat(".", name));
        return abi.decode(raw, (LegalityCall));
    }

    function _taskOf(LegalityCall memory c) private pure returns (Task memory task) {
        (task.programRoot, task.steps) = (c.programRoot, c.steps);
        (task.constantsRoot, task.inputsRoot) = (c.constantsRoot, c.inputsRoot);
    }

    function _illegal(LegalityCall memory c) private view returns (bool) {
        return referee.illegal(_taskOf(c), Illegality(c.kind), c.proof);
    }

    function _try(LegalityCall memory c, uint256 gas_)
        private
        view
        returns (bool ok, bytes memory answer)
    {
        bytes memory data =
            abi.encodeCall(referee.illegal, (_taskOf(c), Illegality(c.kind), c.proof));
        (ok, answer) = address(referee).staticcall{gas: gas_}(data);
    }

    /// @dev Less and less gas, in small steps: a verdict is the right one, and between too little
    /// for anything and enough for all there is gas that only the inner call lacks.
    function _starve(LegalityCall memory c) private view {
        uint256 used = gasleft();
        require(_illegal(c) == c.verdict, "wrong verdict");
        used -= gasleft();
        uint256 decided;
        uint256 stopped;
        uint256 free = _free();
        for (uint256 g = used + used / 32; g > 0; g -= g < 1_009 ? g : 1_009) {
            _release(free);
            (bool ok, bytes memory answer) = _try(c, g);
            if (ok) {
                require(abi.decode(answer, (bool)) == c.verdict, "little gas decided");
                ++decided;
            } else if (bytes4(answer) == ILegalityReferee.DecodingStopped.selector) {
                ++stopped;
            } else {
                require(answer.length == 0, "another revert");
            }
        }
        require(decided > 0 && stopped > 0, "the bounds were not met");
    }

    // --- programs of one descriptor -----------------------------------------------------------

    function _isFixed(string memory part) private pure returns (bool) {
        return _same(part, "header") || _same(part, "phase");
    }

    function _isIllegal(string memory part, bytes memory data) private view returns (bool) {
        (bool ok, bytes memory answer) = _judge(part, data);
        return ok && abi.decode(answer, (bool));
    }

    /// @dev `data` as the only descriptor of its kind.
    function _judge(string memory part, bytes memory data)
        private
        view
        returns (bool, bytes memory)
    {
        bytes32 tag = TAG_DECL;
        if (_same(part, "state")) tag = TAG_STATE;
        if (_same(part, "template")) tag = TAG_TEMPLATE;
        if (_same(part, "instance")) tag = TAG_INSTANCE;
        if (_same(part, "next")) tag = TAG_NEXT;
        bytes32 leaf = _leafOf(tag, data.length, keccak256(data));
        (ProgramPart memory program, PhasePart memory phase) = _program(part, leaf);
        if (_same(part, "header")) program.header = data;
        if (_same(part, "phase")) {
            phase.head = data;
            program.tables[5] = _phaseHash(phase);
        }
        (Illegality kind, bytes memory proof) = _case(part, data, program, phase);
        bytes memory call = abi.encodeCall(referee.illegal, (_task(program), kind, proof));
        return address(referee).staticcall(call);
    }

    function _case(
        string memory part,
        bytes memory data,
        ProgramPart memory program,
        PhasePart memory phase
    ) private pure returns (Illegality, bytes memory) {
        Leaf memory leaf;
        leaf.data = data;
        Leaf memory none;
        if (_same(part, "decl")) {
            DeclarationCase memory d = DeclarationCase(program, false, 0, leaf);
            return (Illegality.DECLARATION, abi.encode(d));
        }
        if (_same(part, "state")) {
            return (Illegality.STATE, abi.encode(StateCase(program, 0, leaf, none)));
        }
        if (_same(part, "template")) {
            return (Illegality.TEMPLATE, abi.encode(TemplateCase(program, 0, leaf)));
        }
        Named memory named;
        if (_same(part, "instance")) {
            InstanceCase memory i =
                InstanceCase(program, 0, phase, 0, leaf, none, 0, named);
            return (Illegality.INSTANCE, abi.encode(i));
        }
        if (_same(part, "next")) {
            NextCase memory n = NextCase(program, 0, phase, 0, leaf, none, named, named);
            return (Illegality.NEXT, abi.encode(n));
        }
        ProgramClause clause =
            _same(part, "phase") ? ProgramClause.PHASE : ProgramClause.HEADER;
        return (Illegality.PROGRAM, abi.encode(ProgramCase(program, clause, 0, none, phase)));
    }

    /// @dev A program with one descriptor in each table, all of them `leaf`.
    function _program(string memory part, bytes32 leaf)
        private
        pure
        returns (ProgramPart memory program, PhasePart memory phase)
    {
        uint256 w = (MAGIC << 192) | (1 << 176) | (NONE32 << 128);
        w |= (1 << 96) | (1 << 64) | (1 << 32) | 1;
        program.header = abi.encode(w, (uint256(1) << 224) | (uint256(1) << 192));
        phase.head = abi.encode((uint256(1) << 192) | (uint256(1) << 160));
        (phase.instances, phase.nexts) = (leaf, leaf);
        program.tables = new bytes32[](6);
        for (uint256 k; k < 5; ++k) {
            program.tables[k] = leaf;
        }
        if (!_isFixed(part)) program.tables[5] = _phaseHash(phase);
    }

    function _relisted(ProgramPart memory program, bytes32 leaf)
        private
        pure
        returns (ProgramPart memory)
    {
        program.tables[4] = leaf;
        return program;
    }

    function _leafOf(bytes32 tag, uint256 length, bytes32 hash) private pure returns (bytes32) {
        return keccak256(abi.encode(tag, length, hash));
    }

    function _phaseHash(PhasePart memory p) private pure returns (bytes32) {
        bytes32 tag = "assay.phase.v1";
        return keccak256(abi.encodePacked(tag, p.head, p.instances, p.nexts));
    }

    function _task(ProgramPart memory p) private pure returns (Task memory task) {
        bytes32 tag = "assay.program.v1";
        task.programRoot = keccak256(abi.encodePacked(tag, p.header, p.tables));
    }

    function _bytes(string memory part, string memory which)
        private
        view
        returns (bytes[] memory)
    {
        string memory key = string.concat(".", part, which);
        return vm.parseJsonBytesArray(vm.readFile(BYTES), key);
    }

    function _free() private pure returns (uint256 at) {
        assembly {
            at := mload(0x40)
        }
    }

    /// @dev What a round of a loop left in memory is given up: it would cost more than the round.
    function _release(uint256 at) private pure {
        assembly {
            mstore(0x40, at)
        }
    }

    function _is(bytes memory answer, bytes4 error) private pure returns (bool) {
        return bytes4(answer) == error;
    }

    function _same(string memory a, string memory b) private pure returns (bool) {
        return keccak256(bytes(a)) == keccak256(bytes(b));
    }
}
