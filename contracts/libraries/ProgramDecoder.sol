// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {
    DType,
    Fold,
    InitKind,
    Kind,
    MACHINE_VERSION,
    MAGIC,
    MAX_DIGITS,
    MAX_DIMS,
    MAX_GUARDS,
    MAX_INSTRUCTIONS,
    MAX_RDIGITS,
    MAX_SLOTS,
    MAX_TABLE,
    MAX_VIEWS,
    NextKind,
    NONE8,
    Source,
    WORD
} from "../types/Machine.sol";

/// @notice The tables that a program's header counts.
struct Header {
    uint256 halt; // state number, or NONE32
    uint256 constants;
    uint256 inputs;
    uint256 states;
    uint256 outputs;
    uint256 templates;
    uint256 phases;
}

/// @notice Dtype and shape of a constant, an input or a state.
struct Decl {
    DType dtype;
    uint256 dims;
    uint256 bound;
    uint256 elements;
    bytes32 shape; // eight u32
}

/// @notice One operation of a body. Operand k is (source u8, index u24) in `operands`.
struct Instance {
    uint256 template;
    uint256 operandCount;
    uint256 operands; // the first eight u32, in order
    uint256 moreOperands; // four more, in the highest bits
}

/// @notice How a step changes a state.
struct Next {
    NextKind kind;
    uint256 axis;
    uint256 value;
    uint256 index;
}

/// @notice A template whose bytes were checked. What varies in number stays in calldata, and
/// fields that end in `At` are calldata offsets; views have different lengths, so `views` is a
/// list of their offsets in memory.
struct Template {
    Kind kind;
    DType dtype;
    Fold fold;
    uint256 dims;
    uint256 slots;
    uint256 rdigits;
    uint256 liveR; // slot, or NONE8
    uint256 liveOut; // slot, or NONE8
    uint256 liveAxis;
    uint256 boundA;
    uint256 boundB;
    int256 dead;
    uint256 shape; // eight u32
    uint256 r; // three u32, in the highest bits
    uint256 slotsAt;
    uint256[] views;
    uint256 preAt;
    uint256 preCount;
    uint256 postAt;
    uint256 postCount;
}

/// @title Strict reader of the canonical encoding of a program
/// @notice Twin of the readers in protocol/spec/encoding.py, whose docstring is the byte format:
/// both accept exactly the image of the encoder. What is legal beyond that (types of registers,
/// ranges of addresses, ...) is not decided here.
library ProgramDecoder {
    /// @notice What an error is about.
    enum Field {
        HEADER,
        VERSION,
        TABLE,
        DECL,
        DTYPE,
        DIMS,
        SHAPE,
        ELEMENTS,
        INIT,
        KIND,
        FOLD,
        SLOTS,
        VIEWS,
        RDIGITS,
        LIVE_OUT,
        SLOT,
        VIEW,
        DIGITS,
        GUARDS,
        GUARD,
        CODE,
        OPCODE,
        INSTRUCTION,
        INSTANCE,
        SOURCE,
        NEXT,
        PHASE
    }

    /// @notice The thing has `got` bytes, its own counts demand `wanted`.
    error WrongLength(uint256 got, uint256 wanted);
    /// @notice `got` is no code of this field.
    error UnknownCode(Field field, uint256 got);
    /// @notice `got` is more than the machine allows.
    error OverLimit(Field field, uint256 got, uint256 most);
    /// @notice Reserved or unused bits must be zero.
    error ReservedBits(Field field);
    /// @notice Two statements of the same number differ.
    error Mismatch(Field field, uint256 got, uint256 wanted);

    // Opcode sets: bit n stands for opcode n; a test derives them from the spec's signatures.
    uint256 private constant _KNOWN = 0x1F0003FFFF000FFFFF3FFE;
    uint256 internal constant _WITHOUT_A = 0x3F28;
    uint256 internal constant _WITHOUT_B = 0x1F0000F190000408083FFA;
    uint256 internal constant _WITHOUT_C = 0x1F0001FFFF0007FFFF3FFE;
    uint256 private constant _WITHOUT_IMM = 0x1F0003FFFF000BFFFF3FC6;

    // --- program ------------------------------------------------------------------------------

    /// @notice Two words.
    function header(bytes calldata data) internal pure returns (Header memory h) {
        _wantLength(data.length, 2 * WORD);
        uint256 at = _start(data);
        uint256 w = _word(at);
        uint256 x = _word(at + WORD);
        if (w >> 192 != MAGIC) revert UnknownCode(Field.HEADER, w >> 192);
        uint256 version = uint16(w >> 176);
        if (version != MACHINE_VERSION) revert UnknownCode(Field.VERSION, version);
        if (uint16(w >> 160) != 0 || uint192(x) != 0) revert ReservedBits(Field.HEADER);
        h.halt = uint32(w >> 128);
        h.constants = _atMost(uint32(w >> 96), MAX_TABLE, Field.TABLE);
        h.inputs = _atMost(uint32(w >> 64), MAX_TABLE, Field.TABLE);
        h.states = _atMost(uint32(w >> 32), MAX_TABLE, Field.TABLE);
        h.outputs = _atMost(uint32(w), MAX_TABLE, Field.TABLE);
        h.templates = _atMost(x >> 224, MAX_TABLE, Field.TABLE);
        h.phases = _atMost(uint32(x >> 192), MAX_TABLE, Field.TABLE);
    }

    /// @notice Declaration of a constant or input: two words.
    function decl(bytes calldata data) internal pure returns (Decl memory) {
        _wantLength(data.length, 2 * WORD);
        return _decl(_start(data));
    }

    /// @notice Declaration of a state: three words.
    /// @return d dtype and shape
    /// @return kind what the state holds before the first step
    /// @return value index of the constant or input, or the element (raw bits for f32)
    function state(bytes calldata data)
        internal
        pure
        returns (Decl memory d, InitKind kind, int256 value)
    {
        _wantLength(data.length, 3 * WORD);
        uint256 at = _start(data);
        d = _decl(at);
        uint256 w = _word(at + 2 * WORD);
        if (w >> 248 > uint256(type(InitKind).max)) revert UnknownCode(Field.INIT, w >> 248);
        if (uint184(w >> 64) != 0) revert ReservedBits(Field.INIT);
        return (d, InitKind(w >> 248), int64(uint64(w)));
    }

    /// @notice State number of an output, as its leaf holds it: one word.
    function output(bytes calldata data) internal pure returns (uint256) {
        _wantLength(data.length, WORD);
        return _word(_start(data));
    }

    /// @notice Head of a phase: one word.
    function phase(bytes calldata data)
        internal
        pure
        returns (uint256 maxSteps, uint256 instances)
    {
        _wantLength(data.length, WORD);
        uint256 w = _word(_start(data));
        if (uint160(w) != 0) revert ReservedBits(Field.PHASE);
        return (w >> 192, _atMost(uint32(w >> 160), MAX_TABLE, Field.PHASE));
    }

    /// @notice Two words.
    function instance(bytes calldata data) internal pure returns (Instance memory i) {
        _wantLength(data.length, 2 * WORD);
        uint256 at = _start(data);
        uint256 w = _word(at);
        uint256 x = _word(at + WORD);
        if (uint88(x) != 0) revert ReservedBits(Field.INSTANCE);
        i.template = w >> 224;
        i.operandCount = _atMost(uint8(x >> 88), MAX_SLOTS, Field.INSTANCE);
        i.operands = w << 32 | x >> 224; // the first eight
        i.moreOperands = (x >> 96) << 128; // four more, then zeros
        for (uint256 k; k < MAX_SLOTS; ++k) {
            uint256 ref = _operand(i, k);
            if (k >= i.operandCount) {
                if (ref != 0) revert ReservedBits(Field.INSTANCE);
            } else if (ref >> 24 > uint256(type(Source).max)) {
                revert UnknownCode(Field.SOURCE, ref >> 24);
            }
        }
    }

    /// @notice Source and index of operand `k` of a decoded instance.
    function operand(Instance memory i, uint256 k) internal pure returns (Source, uint256) {
        // `k` is anything that a proof says.
        unchecked {
            if (k >= i.operandCount) revert OverLimit(Field.INSTANCE, k + 1, i.operandCount);
        }
        uint256 ref = _operand(i, k);
        return (Source(ref >> 24), uint24(ref));
    }

    /// @notice One word.
    function next(bytes calldata data) internal pure returns (Next memory n) {
        _wantLength(data.length, WORD);
        uint256 w = _word(_start(data));
        uint256 kind = w >> 248;
        if (kind > uint256(type(NextKind).max)) revert UnknownCode(Field.NEXT, kind);
        if (uint160(w) != 0 || uint16(w >> 224) != 0) revert ReservedBits(Field.NEXT);
        n.kind = NextKind(kind);
        n.axis = uint8(w >> 240);
        n.value = uint32(w >> 192);
        n.index = uint32(w >> 160);
        if (n.kind == NextKind.KEEP && n.value != 0) revert ReservedBits(Field.NEXT);
        if (n.kind != NextKind.SLICE && n.axis | n.index != 0) revert ReservedBits(Field.NEXT);
    }

    // --- template -----------------------------------------------------------------------------

    /// @notice The whole of `data` as one template.
    function template(bytes calldata data) internal pure returns (Template memory t) {
        uint256 at = _start(data);
        uint256 end = at + data.length;
        _need(at + 3 * WORD, end, data);
        uint256 viewCount = _head(t, at);
        at += 3 * WORD;

        t.slotsAt = at;
        at += t.slots * WORD;
        _need(at, end, data);
        _slots(t.slotsAt, at);

        t.views = new uint256[](viewCount);
        for (uint256 k; k < viewCount; ++k) {
            t.views[k] = at;
            _need(at + WORD, end, data);
            at = _view(at, end, t.rdigits, data);
        }

        t.preAt = at;
        at += _codeBytes(t.preCount);
        t.postAt = at;
        at += _codeBytes(t.postCount);
        if (at != end) revert WrongLength(data.length, data.length + at - end);
        _code(t.preAt, t.preCount);
        _code(t.postAt, t.postCount);
    }

    /// @notice The first two words of a template's head; nothing else of it is read.
    function templateHead(bytes calldata data) internal pure returns (uint256, uint256) {
        uint256 at = _start(data);
        _need(at + 3 * WORD, at + data.length, data);
        return (_word(at), _word(at + WORD));
    }

    /// @notice Dtype and element count of the operand in slot `k`.
    function slot(Template memory t, uint256 k) internal pure returns (DType, uint256) {
        if (k >= t.slots) revert OverLimit(Field.SLOT, k + 1, t.slots);
        uint256 w = _word(t.slotsAt + k * WORD);
        return (DType(w >> 248), uint64(w));
    }

    function _head(Template memory t, uint256 at) private pure returns (uint256 viewCount) {
        uint256 w = _word(at);
        if (w >> 248 > uint256(type(Kind).max)) revert UnknownCode(Field.KIND, w >> 248);
        t.kind = Kind(w >> 248);
        t.dtype = _dtype(uint8(w >> 240));
        uint256 fold = uint8(w >> 232);
        if (fold > uint256(type(Fold).max)) revert UnknownCode(Field.FOLD, fold);
        t.fold = Fold(fold);
        t.dims = _atMost(uint8(w >> 224), MAX_DIMS, Field.DIMS);
        t.slots = _atMost(uint8(w >> 216), MAX_SLOTS, Field.SLOTS);
        viewCount = _atMost(uint8(w >> 208), MAX_VIEWS, Field.VIEWS);
        t.rdigits = _atMost(uint8(w >> 200), MAX_RDIGITS, Field.RDIGITS);
        t.liveR = uint8(w >> 192);
        t.preCount = _atMost(uint16(w >> 176), MAX_INSTRUCTIONS, Field.CODE);
        t.postCount = _atMost(uint16(w >> 160), MAX_INSTRUCTIONS, Field.CODE);
        t.liveOut = uint8(w >> 152);
        t.liveAxis = uint8(w >> 144);
        if (t.liveOut == NONE8 && t.liveAxis != 0) revert ReservedBits(Field.LIVE_OUT);
        if (uint16(w >> 128) != 0) revert ReservedBits(Field.KIND);
        t.boundA = uint32(w >> 96);
        t.boundB = uint32(w >> 64);
        t.dead = int64(uint64(w));
        t.shape = _shape(at + WORD, t.dims);
        t.r = _shape(at + 2 * WORD, t.rdigits);
    }

    function _slots(uint256 at, uint256 end) private pure {
        for (; at < end; at += WORD) {
            uint256 w = _word(at);
            _dtype(w >> 248);
            if (uint184(w >> 64) != 0) revert ReservedBits(Field.SLOT);
        }
    }

    /// @dev Checks one view; gives the offset behind it.
    function _view(uint256 at, uint256 end, uint256 rdigits, bytes calldata data)
        private
        pure
        returns (uint256)
    {
        uint256 w = _word(at);
        if (uint40(w >> 192) != 0 || uint64(w) != 0) revert ReservedBits(Field.VIEW);
        uint256 digits = _atMost(uint8(w >> 240), MAX_DIGITS, Field.DIGITS);
        uint256 guards = _atMost(uint8(w >> 232), MAX_GUARDS, Field.GUARDS);
        uint256 after_ = at + (1 + guards + digits + rdigits) * WORD;
        _need(after_, end, data);
        for (uint256 k; k < guards; ++k) {
            at += WORD;
            if (uint120(_word(at)) != 0) revert ReservedBits(Field.GUARD);
        }
        return after_;
    }

    function _code(uint256 at, uint256 count) private pure {
        uint256 end = at + 8 * count;
        uint256 dirt;
        uint256 unknown;
        assembly ("memory-safe") {
            for {} lt(at, end) { at := add(at, 8) } {
                let w := calldataload(at)
                let op := byte(0, w)
                // One bit a field: set where the opcode leaves the field unused.
                let unused := mul(and(shr(op, _WITHOUT_A), 1), shl(240, 0xFF))
                unused := or(unused, mul(and(shr(op, _WITHOUT_B), 1), shl(232, 0xFF)))
                unused := or(unused, mul(and(shr(op, _WITHOUT_C), 1), shl(224, 0xFF)))
                unused := or(unused, mul(and(shr(op, _WITHOUT_IMM), 1), shl(192, 0xFFFFFFFF)))
                dirt := or(dirt, and(w, unused))
                if iszero(and(shr(op, _KNOWN), 1)) { unknown := or(0x100, op) }
            }
        }
        if (unknown != 0) revert UnknownCode(Field.OPCODE, unknown & 0xFF);
        if (dirt != 0) revert ReservedBits(Field.INSTRUCTION);
        uint256 spare = (WORD - 8 * count % WORD) % WORD;
        if (spare != 0 && _word(end) >> (8 * (WORD - spare)) != 0) revert ReservedBits(Field.CODE);
    }

    // --- words --------------------------------------------------------------------------------

    function _start(bytes calldata data) private pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := data.offset
        }
    }

    function _word(uint256 at) private pure returns (uint256 w) {
        assembly ("memory-safe") {
            w := calldataload(at)
        }
    }

    function _operand(Instance memory i, uint256 k) private pure returns (uint256) {
        if (k < 8) return uint32(i.operands >> (224 - 32 * k));
        return uint32(i.moreOperands >> (480 - 32 * k));
    }

    function _decl(uint256 at) private pure returns (Decl memory d) {
        uint256 w = _word(at);
        d.dtype = _dtype(w >> 248);
        d.dims = _atMost(uint8(w >> 240), MAX_DIMS, Field.DIMS);
        if (uint48(w >> 192) != 0 || uint64(w >> 64) != 0) revert ReservedBits(Field.DECL);
        d.bound = uint64(w >> 128);
        d.elements = uint64(w);
        uint256 shape = _shape(at + WORD, d.dims);
        d.shape = bytes32(shape);
        uint256 product = 1;
        for (uint256 k; k < d.dims; ++k) {
            product *= uint32(shape >> (224 - 32 * k)); // below 2^256: eight u32
        }
        if (product != d.elements) revert Mismatch(Field.ELEMENTS, d.elements, product);
    }

    function _shape(uint256 at, uint256 dims) private pure returns (uint256 w) {
        w = _word(at);
        if (dims < MAX_DIMS && w << (32 * dims) != 0) revert ReservedBits(Field.SHAPE);
    }

    function _dtype(uint256 code) private pure returns (DType) {
        if (code > uint256(type(DType).max)) revert UnknownCode(Field.DTYPE, code);
        return DType(code);
    }

    function _codeBytes(uint256 count) private pure returns (uint256) {
        return (8 * count + WORD - 1) / WORD * WORD;
    }

    function _atMost(uint256 got, uint256 most, Field field) private pure returns (uint256) {
        if (got > most) revert OverLimit(field, got, most);
        return got;
    }

    function _need(uint256 upTo, uint256 end, bytes calldata data) private pure {
        if (upTo > end) revert WrongLength(data.length, data.length + upTo - end);
    }

    function _wantLength(uint256 got, uint256 wanted) private pure {
        if (got != wanted) revert WrongLength(got, wanted);
    }
}
