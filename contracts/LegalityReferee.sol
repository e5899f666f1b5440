// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ILegalityReferee, Illegality} from "./interfaces/ILegalityReferee.sol";
import {AffineView} from "./libraries/AffineView.sol";
import {BlockTree} from "./libraries/BlockTree.sol";
import {Legality, Tensor} from "./libraries/Legality.sol";
import {LegalityTemplate} from "./libraries/LegalityTemplate.sol";
import {LegalityView} from "./libraries/LegalityView.sol";
import {
    Decl,
    Header,
    Instance,
    Next,
    ProgramDecoder,
    Template
} from "./libraries/ProgramDecoder.sol";
import {BlockRun} from "./libraries/TensorElement.sol";
import {TraceProofs} from "./libraries/TraceProofs.sol";
import {Leaf, PhasePart, ProgramPart} from "./types/DisputeProofs.sol";
import {Task} from "./types/JobTerms.sol";
import {
    DeclarationCase,
    ElementCase,
    InstanceCase,
    LengthCase,
    Listing,
    Named,
    NextCase,
    ProgramCase,
    ProgramClause,
    StateCase,
    StepsCase,
    TemplateCase,
    TensorCase
} from "./types/LegalityProofs.sol";
import {
    BLOCK_BYTES,
    DType,
    InitKind,
    NextKind,
    NONE32,
    Source,
    TAG_DECL,
    TAG_INSTANCE,
    TAG_NEXT,
    TAG_OUTPUTS,
    TAG_STATE,
    TAG_TEMPLATE,
    TAG_TENSOR,
    WORD
} from "./types/Machine.sol";

/// @title The predicate `legal`, clause by clause, from proofs into a job's commitments
/// @notice Twin of protocol/spec/illegality.py. In every function: bind what was sent to the task,
/// say true as soon as any of it does not decode or breaks the clause, else false.
contract LegalityReferee is ILegalityReferee {
    /// @notice What bytes are read as.
    enum Form {
        HEADER,
        DECLARATION,
        STATE,
        PHASE,
        TEMPLATE,
        INSTANCE,
        NEXT
    }

    /// @dev Phases that the steps of a task can count.
    uint256 private constant MAX_PHASES = 8;

    /// @dev Longest template that decodes: head, 12 slots, 16 views of 2 guards and 11 digits, two
    /// codes of 256 instructions.
    uint256 private constant MAX_TEMPLATE_BYTES = (3 + 12 + 16 * (1 + 2 + 11) + 2 * 64) * WORD;

    /// @inheritdoc ILegalityReferee
    function illegal(Task calldata task, Illegality kind, bytes calldata proof)
        external
        view
        returns (bool)
    {
        if (kind == Illegality.TEMPLATE) return _template(task, proof);
        if (kind == Illegality.INSTANCE) return _instance(task, proof);
        if (kind == Illegality.NEXT) return _next(task, proof);
        if (kind == Illegality.PROGRAM) return _program(task, proof);
        if (kind == Illegality.DECLARATION) return _declaration(task, proof);
        if (kind == Illegality.STATE) return _state(task, proof);
        if (kind == Illegality.STEPS) return _steps(task, proof);
        if (kind == Illegality.TENSOR) return _tensor(task, proof);
        if (kind == Illegality.ELEMENT) return _element(task, proof);
        return _length(task, proof);
    }

    // --- bytes that do not decode -------------------------------------------------------------

    /// @notice Reverts with an error of the decoder unless it takes `data` as `form`.
    function decode(Form form, bytes calldata data) external pure {
        if (form == Form.TEMPLATE) ProgramDecoder.template(data);
        else if (form == Form.INSTANCE) ProgramDecoder.instance(data);
        else if (form == Form.NEXT) ProgramDecoder.next(data);
        else if (form == Form.DECLARATION) ProgramDecoder.decl(data);
        else if (form == Form.STATE) ProgramDecoder.state(data);
        else if (form == Form.PHASE) ProgramDecoder.phase(data);
        else ProgramDecoder.header(data);
    }

    function _decodes(Form form, bytes calldata data) private view returns (bool) {
        (bool ok, bytes memory answer) =
            address(this).staticcall(abi.encodeCall(this.decode, (form, data)));
        if (ok) return true;
        // INVARIANT: only an error that the decoder states by name says that bytes do not decode:
        // it is a function of the bytes alone, which are committed. A call that ended in any other
        // way (too little gas or depth: without a word) decides nothing, and ends this one.
        bytes4 error = bytes4(answer);
        if (
            error == ProgramDecoder.WrongLength.selector
                || error == ProgramDecoder.UnknownCode.selector
                || error == ProgramDecoder.OverLimit.selector
                || error == ProgramDecoder.ReservedBits.selector
                || error == ProgramDecoder.Mismatch.selector
        ) return false;
        revert DecodingStopped();
    }

    // --- parts --------------------------------------------------------------------------------
    // Each binds bytes to their root; `ok` is false where they do not decode.

    function _header(Task calldata task, ProgramPart calldata p)
        private
        view
        returns (bool ok, Header memory h)
    {
        TraceProofs.equal(BlockTree.programRoot(p.header, p.tables), task.programRoot);
        ok = _decodes(Form.HEADER, p.header);
        if (ok) h = ProgramDecoder.header(p.header);
    }

    function _phase(
        ProgramPart calldata p,
        Header memory h,
        PhasePart calldata part,
        uint256 number
    ) private view returns (bool ok, uint256 maxSteps, uint256 instances) {
        bytes32 hash = BlockTree.phaseHash(part.head, part.instances, part.nexts);
        bytes32 root = BlockTree.rootOfLeaf(hash, number, h.phases, part.siblings);
        TraceProofs.equal(root, _table(p, TraceProofs.Table.PHASES));
        ok = _decodes(Form.PHASE, part.head);
        if (ok) (maxSteps, instances) = ProgramDecoder.phase(part.head);
    }

    function _declAt(
        ProgramPart calldata p,
        Header memory h,
        bool isInput,
        Leaf calldata part,
        uint256 index
    ) private view returns (bool ok, Decl memory d) {
        bytes32 root =
            _table(p, isInput ? TraceProofs.Table.INPUTS : TraceProofs.Table.CONSTANTS);
        TraceProofs.leaf(TAG_DECL, part, index, isInput ? h.inputs : h.constants, root);
        ok = _decodes(Form.DECLARATION, part.data);
        if (ok) d = ProgramDecoder.decl(part.data);
    }

    function _stateAt(
        ProgramPart calldata p,
        Header memory h,
        Leaf calldata part,
        uint256 index
    ) private view returns (bool ok, Decl memory d, InitKind kind, int256 value) {
        TraceProofs.leaf(TAG_STATE, part, index, h.states, _table(p, TraceProofs.Table.STATES));
        ok = _decodes(Form.STATE, part.data);
        if (ok) (d, kind, value) = ProgramDecoder.state(part.data);
    }

    function _templateAt(
        ProgramPart calldata p,
        Header memory h,
        Leaf calldata part,
        uint256 index
    ) private view returns (bool ok, Template memory t) {
        bytes32 root = _table(p, TraceProofs.Table.TEMPLATES);
        TraceProofs.leaf(TAG_TEMPLATE, part, index, h.templates, root);
        ok = _decodes(Form.TEMPLATE, part.data);
        if (ok) t = ProgramDecoder.template(part.data);
    }

    function _instanceAt(Leaf calldata part, uint256 index, uint256 count, bytes32 root)
        private
        view
        returns (bool ok, Instance memory i)
    {
        TraceProofs.leaf(TAG_INSTANCE, part, index, count, root);
        ok = _decodes(Form.INSTANCE, part.data);
        if (ok) i = ProgramDecoder.instance(part.data);
    }

    /// @dev Output of operation `index` of a body of `count`; not `ok` if it has no template.
    function _operation(
        ProgramPart calldata p,
        Header memory h,
        Named calldata part,
        uint256 index,
        uint256 count,
        bytes32 root
    ) private view returns (bool ok, Tensor memory result) {
        Instance memory i;
        (ok, i) = _instanceAt(part.descriptor, index, count, root);
        if (!ok || i.template >= h.templates) return (false, result);
        Template memory t;
        (ok, t) = _templateAt(p, h, part.template, i.template);
        if (ok) result = Legality.output(t);
    }

    function _table(ProgramPart calldata p, TraceProofs.Table table)
        private
        pure
        returns (bytes32)
    {
        return p.tables[uint256(table)];
    }

    // --- clauses ------------------------------------------------------------------------------

    function _program(Task calldata task, bytes calldata proof) private view returns (bool) {
        ProgramCase calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        (bool ok, Header memory h) = _header(task, p.program);
        if (!ok || h.phases == 0 || h.outputs == 0) return true;
        if (h.halt != NONE32 && h.halt >= h.states) return true;
        ProgramClause clause = p.clause;
        if (clause == ProgramClause.OUTPUT) {
            bytes32 outputs = _table(p.program, TraceProofs.Table.OUTPUTS);
            TraceProofs.leaf(TAG_OUTPUTS, p.leaf, p.index, h.outputs, outputs);
            if (p.leaf.data.length != WORD) return true;
            return uint256(bytes32(p.leaf.data)) >= h.states;
        }
        if (clause == ProgramClause.HALT && h.halt != NONE32) {
            Decl memory d;
            (ok, d,,) = _stateAt(p.program, h, p.leaf, h.halt);
            return !ok || d.dtype != DType.I32 || d.elements != 1;
        }
        if (clause == ProgramClause.PHASE) {
            uint256 maxSteps;
            (ok, maxSteps,) = _phase(p.program, h, p.phase, p.index);
            return !ok || maxSteps == 0 || maxSteps > type(uint32).max;
        }
        return false;
    }

    function _declaration(Task calldata task, bytes calldata proof) private view returns (bool) {
        DeclarationCase calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        (bool ok, Header memory h) = _header(task, p.program);
        if (!ok) return true;
        Decl memory d;
        (ok, d) = _declAt(p.program, h, p.isInput, p.declaration, p.index);
        return !ok || !Legality.declaration(d, !p.isInput);
    }

    function _state(Task calldata task, bytes calldata proof) private view returns (bool) {
        StateCase calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        (bool ok, Header memory h) = _header(task, p.program);
        if (!ok) return true;
        (bool decoded, Decl memory d, InitKind kind, int256 value) =
            _stateAt(p.program, h, p.state, p.index);
        if (!decoded || !Legality.declaration(d, true)) return true;
        if (kind == InitKind.FILL) return !Legality.filled(d, value);
        bool isInput = kind == InitKind.INPUT;
        // A negative number is a huge one.
        if (uint256(value) >= (isInput ? h.inputs : h.constants)) return true;
        Decl memory start;
        (ok, start) = _declAt(p.program, h, isInput, p.start, uint256(value));
        return !ok || !Legality.starts(d, kind, start);
    }

    function _template(Task calldata task, bytes calldata proof) private view returns (bool) {
        TemplateCase calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        (bool ok, Header memory h) = _header(task, p.program);
        if (!ok) return true;
        Template memory t;
        (ok, t) = _templateAt(p.program, h, p.template, p.index);
        return !ok || !LegalityTemplate.legal(t);
    }

    function _instance(Task calldata task, bytes calldata proof) private view returns (bool) {
        InstanceCase calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        (bool ok, Header memory h) = _header(task, p.program);
        if (!ok) return true;
        uint256 count;
        (ok,, count) = _phase(p.program, h, p.phase, p.phaseNumber);
        if (!ok) return true;
        Instance memory i;
        (ok, i) = _instanceAt(p.instance, p.index, count, p.phase.instances);
        if (!ok || i.template >= h.templates) return true;
        Template memory t;
        (ok, t) = _templateAt(p.program, h, p.template, i.template);
        if (!ok || i.operandCount != t.slots) return true;
        if (i.operandCount == 0) return false;
        Tensor memory source;
        (ok, source) = _source(p, h, i, count);
        return !ok || !Legality.operand(t, p.operand, source);
    }

    /// @dev What the operand names; not `ok` if it does not exist or is not earlier.
    function _source(
        InstanceCase calldata p,
        Header memory h,
        Instance memory i,
        uint256 count
    ) private view returns (bool ok, Tensor memory result) {
        (Source source, uint256 index) = ProgramDecoder.operand(i, p.operand);
        if (source == Source.OP) {
            if (index >= p.index) return (false, result);
            return _operation(p.program, h, p.source, index, count, p.phase.instances);
        }
        Decl memory d;
        if (source == Source.STATE) {
            if (index >= h.states) return (false, result);
            (ok, d,,) = _stateAt(p.program, h, p.source.descriptor, index);
        } else {
            bool isInput = source == Source.INPUT;
            if (index >= (isInput ? h.inputs : h.constants)) return (false, result);
            (ok, d) = _declAt(p.program, h, isInput, p.source.descriptor, index);
            if (isInput) d.bound = 0; // an input may not declare any
        }
        result = Legality.declared(d);
    }

    function _next(Task calldata task, bytes calldata proof) private view returns (bool) {
        NextCase calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        (bool ok, Header memory h) = _header(task, p.program);
        if (!ok) return true;
        uint256 count;
        (ok,, count) = _phase(p.program, h, p.phase, p.phaseNumber);
        if (!ok) return true;
        TraceProofs.leaf(TAG_NEXT, p.next, p.index, h.states, p.phase.nexts);
        if (!_decodes(Form.NEXT, p.next.data)) return true;
        Next memory n = ProgramDecoder.next(p.next.data);
        if (n.kind == NextKind.KEEP) return false;
        if (n.value >= count || (n.kind == NextKind.SLICE && n.index >= count)) return true;
        Tensor memory value;
        (ok, value) = _operation(p.program, h, p.value, n.value, count, p.phase.instances);
        if (!ok) return true;
        Decl memory d;
        (ok, d,,) = _stateAt(p.program, h, p.state, p.index);
        if (!ok || !Legality.next(d, n, value)) return true;
        if (n.kind != NextKind.SLICE) return false;
        (ok, value) = _operation(p.program, h, p.slice, n.index, count, p.phase.instances);
        return !ok || !Legality.index(value);
    }

    // --- the job ------------------------------------------------------------------------------

    function _steps(Task calldata task, bytes calldata proof) private view returns (bool) {
        StepsCase calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        (bool ok, Header memory h) = _header(task, p.program);
        if (!ok || h.phases > MAX_PHASES || task.steps >> (32 * h.phases) != 0) return true;
        uint256 maxSteps;
        (ok, maxSteps,) = _phase(p.program, h, p.phase, p.phaseNumber);
        return !ok || uint32(task.steps >> (32 * p.phaseNumber)) > maxSteps;
    }

    function _tensor(Task calldata task, bytes calldata proof) private view returns (bool) {
        TensorCase calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        (bool ok, Header memory h) = _header(task, p.program);
        if (!ok) return true;
        Decl memory d;
        (ok, d) = _declAt(p.program, h, p.isInput, p.declaration, p.index);
        if (!ok) return true;
        bytes32 leaf = keccak256(abi.encode(TAG_TENSOR, p.meta[0], p.meta[1], p.root));
        _wrapped(task, h, p.isInput, leaf, p.index, p.siblings);
        return leaf != BlockTree.wrap(d.dtype, d.dims, d.elements, d.shape, p.root);
    }

    function _element(Task calldata task, bytes calldata proof) private view returns (bool) {
        ElementCase calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        (bool ok, Header memory h) = _header(task, p.program);
        if (!ok) return true;
        Decl memory d;
        (ok, d) = _declAt(p.program, h, false, p.declaration, p.index);
        if (!ok || !Legality.declaration(d, true)) return true;
        uint256 bits = AffineView.sizeBits(d.dtype);
        (bytes32 root, uint256 raw) = _read(p.block_, d.elements, bits, p.element);
        root = BlockTree.wrap(d.dtype, d.dims, d.elements, d.shape, root);
        _wrapped(task, h, false, root, p.index, p.siblings);
        int256 value;
        assembly ("memory-safe") {
            value := signextend(sub(shl(bits, 1), 1), raw)
        }
        return d.bound != 0 && LegalityView.abs(value) > d.bound;
    }

    /// @dev Element `e` of a tensor of `elements` of 2^`bits` bytes from the one block that holds
    /// it, and the root of that block.
    function _read(BlockRun calldata run, uint256 elements, uint256 bits, uint256 e)
        private
        pure
        returns (bytes32 root, uint256 raw)
    {
        if (e >= elements) revert BlockTree.OutsideTree(e, elements);
        bytes calldata data = run.blocks;
        if (data.length != BLOCK_BYTES) revert TraceProofs.NotOneBlock(data.length);
        uint256 first = (e << bits) / BLOCK_BYTES;
        if (run.first != first) revert TraceProofs.ElementElsewhere(e, run.first);
        (root,) = BlockTree.rootOfRun(data, first, elements << bits, run.siblings);
        raw = TraceProofs.littleEndian(data, (e << bits) % BLOCK_BYTES, 1 << bits);
    }

    /// @dev `leaf` is the tensor root of constant or input `index` of the job.
    function _wrapped(
        Task calldata task,
        Header memory h,
        bool isInput,
        bytes32 leaf,
        uint256 index,
        bytes32[] calldata siblings
    ) private pure {
        bytes32 root =
            BlockTree.rootOfLeaf(leaf, index, isInput ? h.inputs : h.constants, siblings);
        TraceProofs.equal(root, isInput ? task.inputsRoot : task.constantsRoot);
    }

    // --- lengths ------------------------------------------------------------------------------

    function _length(Task calldata task, bytes calldata proof) private view returns (bool) {
        LengthCase calldata p;
        assembly ("memory-safe") {
            p := add(proof.offset, calldataload(proof.offset))
        }
        (bool ok, Header memory h) = _header(task, p.program);
        if (!ok) return true;
        Listing list = p.list;
        (bytes32 tag, uint256 count, uint256 wanted) = _listing(list, h);
        bytes32 root;
        if (list < Listing.INSTANCES) {
            root = p.program.tables[uint256(list)];
        } else {
            uint256 instances;
            (ok,, instances) = _phase(p.program, h, p.phase, p.phaseNumber);
            if (!ok) return true;
            root = p.phase.nexts;
            if (list == Listing.INSTANCES) (count, root) = (instances, p.phase.instances);
        }
        uint256 length = p.length;
        bytes32 leaf = keccak256(abi.encode(tag, length, p.hash));
        TraceProofs.equal(BlockTree.rootOfLeaf(leaf, p.index, count, p.siblings), root);
        if (list == Listing.TEMPLATES) return length > wanted || length % WORD != 0;
        return length != wanted;
    }

    /// @dev Tag, number of descriptors and bytes of each (TEMPLATES: at most).
    function _listing(Listing list, Header memory h)
        private
        pure
        returns (bytes32 tag, uint256 count, uint256 wanted)
    {
        if (list == Listing.CONSTANTS) return (TAG_DECL, h.constants, 2 * WORD);
        if (list == Listing.INPUTS) return (TAG_DECL, h.inputs, 2 * WORD);
        if (list == Listing.STATES) return (TAG_STATE, h.states, 3 * WORD);
        if (list == Listing.OUTPUTS) return (TAG_OUTPUTS, h.outputs, WORD);
        if (list == Listing.INSTANCES) return (TAG_INSTANCE, 0, 2 * WORD); // its phase counts them
        if (list == Listing.NEXTS) return (TAG_NEXT, h.states, WORD);
        return (TAG_TEMPLATE, h.templates, MAX_TEMPLATE_BYTES);
    }
}
