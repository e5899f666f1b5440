// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {
    CANONICAL_NAN,
    EXPONENT_OF_INF,
    EXPONENT_OF_NAN,
    EXPONENT_OF_ZERO,
    LDEXP_CLAMP
} from "../types/Machine.sol";

/// @title IEEE-754 binary32, one rounding to nearest even, subnormals kept, one NaN
/// @notice Twin of protocol/spec/f32.py. A float is its 32 bits in the low bits of a word, the
/// rest zero; arguments are canonical (the only NaN is CANONICAL_NAN) and so are results.
///
/// A finite float is sign, significand m < 2^24 and exponent e, of value +-m * 2^(e - 150), where
/// e is the biased exponent, or 1 for subnormals and zero. Every operation computes a significand
/// of any width exactly, or with a sticky last bit, and `_round` rounds it once.
library Float32 {
    uint256 private constant SIGN = 0x80000000;
    uint256 private constant MAGNITUDE = 0x7FFFFFFF;
    uint256 private constant INF = 0x7F800000;
    uint256 private constant FRACTION = 0x7FFFFF;
    uint256 private constant HIDDEN = 0x800000;

    /// @dev For `read`: 2^24, 2^88, 2^152, 2^216, and bytes 0 to 3 of the copies there.
    uint256 private constant COPIES =
        0x0000000001000000000000000100000000000000010000000000000001000000;
    uint256 private constant CHOICE =
        0x00FF0000000000000000FF0000000000000000FF0000000000000000FF000000;

    /// @dev No float: a short cut did not apply.
    uint256 private constant NONE = 1 << 32;

    /// @dev Exponents further apart than this: the smaller operand does not matter.
    uint256 private constant FAR = 64;

    int256 private constant INT64_MIN = -(1 << 63);
    int256 private constant INT64_MAX = (1 << 63) - 1;

    // --- representation -----------------------------------------------------------------------

    /// @notice The float of 32 raw bits.
    function canonical(uint256 bits) internal pure returns (uint256) {
        return bits & MAGNITUDE > INF ? CANONICAL_NAN : bits;
    }

    /// @notice The float of four little-endian bytes at a memory address.
    function read(uint256 at) internal pure returns (uint256 x) {
        assembly ("memory-safe") {
            // Bytes reversed: four copies 64 bits apart, of each another byte, the sum of which
            // modulo 2^40 - 1 has them where they belong.
            x := mod(and(mul(shr(224, mload(at)), COPIES), CHOICE), 0xFFFFFFFFFF)
            // As `canonical`.
            if gt(and(x, MAGNITUDE), INF) { x := CANONICAL_NAN }
        }
    }

    function isNaN(uint256 x) internal pure returns (bool) {
        return x == CANONICAL_NAN;
    }

    /// @notice Total order: -inf < ... < -0 < +0 < ... < inf < NaN, as unsigned numbers.
    function key(uint256 x) internal pure returns (uint256) {
        return x & SIGN == 0 ? x | SIGN : x ^ 0xFFFFFFFF;
    }

    // --- arithmetic ---------------------------------------------------------------------------

    /// @notice Sum.
    function add(uint256 a, uint256 b) internal pure returns (uint256 z) {
        // Short cut: both normal, their sum normal, its highest bit found without a search.
        assembly ("memory-safe") {
            // Order by magnitude: a gives the sign, and the difference is not negative.
            if lt(and(a, MAGNITUDE), and(b, MAGNITUDE)) {
                z := a
                a := b
                b := z
            }
            let e := and(shr(23, b), 0xFF)
            let apart := sub(and(shr(23, a), 0xFF), e)
            z := NONE
            if mul(e, lt(apart, FAR)) {
                let m := shl(apart, or(and(a, FRACTION), HIDDEN))
                // The sum has 24 or 25 bits and `apart` more, the difference 23 or 24 and `apart`
                // more unless the exponents are close; all but 24 are dropped.
                let drop := 0
                switch and(xor(a, b), SIGN)
                case 0 {
                    m := add(m, or(and(b, FRACTION), HIDDEN))
                    drop := add(apart, shr(add(apart, 24), m))
                }
                default {
                    if apart {
                        m := sub(m, or(and(b, FRACTION), HIDDEN))
                        drop := sub(add(apart, shr(add(apart, 23), m)), 1)
                    }
                }
                e := sub(add(e, drop), 1)
                // With a infinite or NaN it is 253 or more.
                if mul(drop, lt(e, 253)) {
                    // Rounding as in `_roundAt`.
                    m := add(add(m, sub(shl(sub(drop, 1), 1), 1)), and(shr(drop, m), 1))
                    z := or(and(a, SIGN), add(shl(23, e), shr(drop, m)))
                }
            }
        }
        if (z == NONE) return _addAny(a, b);
    }

    function sub(uint256 a, uint256 b) internal pure returns (uint256) {
        // Of a NaN this is none of the machine, but `_addAny` takes any.
        return add(a, b ^ SIGN);
    }

    /// @notice Product.
    function mul(uint256 a, uint256 b) internal pure returns (uint256 z) {
        // Short cut: both normal and their product normal; it has 47 or 48 bits.
        assembly ("memory-safe") {
            z := NONE
            let ea := and(shr(23, a), 0xFF)
            let eb := and(shr(23, b), 0xFF)
            if and(lt(sub(ea, 1), 254), lt(sub(eb, 1), 254)) {
                let m := mul(or(and(a, FRACTION), HIDDEN), or(and(b, FRACTION), HIDDEN))
                let drop := add(23, shr(47, m))
                let e := sub(add(add(ea, eb), drop), 151) // one less than the exponent
                if lt(e, 254) {
                    // Rounding as in `_roundAt`.
                    m := add(add(m, sub(shl(sub(drop, 1), 1), 1)), and(shr(drop, m), 1))
                    z := or(and(xor(a, b), SIGN), add(shl(23, e), shr(drop, m)))
                }
            }
        }
        if (z == NONE) return _mulAny(a, b);
    }

    function div(uint256 a, uint256 b) internal pure returns (uint256) {
        unchecked {
            uint256 sign = (a ^ b) & SIGN;
            uint256 magA = a & MAGNITUDE;
            uint256 magB = b & MAGNITUDE;
            if (magA >= INF || magB >= INF) {
                if (isNaN(a) || isNaN(b) || magA == magB) return CANONICAL_NAN;
                return magA == INF ? sign | INF : sign;
            }
            if (magB == 0) return magA == 0 ? CANONICAL_NAN : sign | INF;
            (uint256 ma, int256 ea) = _split(magA);
            (uint256 mb, int256 eb) = _split(magB);
            // 64 more bits of the dividend give a quotient of at least 40 bits; a remainder sets
            // the bit below the last.
            uint256 wide = ma << 64;
            uint256 m = wide / mb;
            m = m << 1 | (m * mb == wide ? 0 : 1);
            return _round(sign, m, ea - eb + 150 - 65, sign);
        }
    }

    function sqrt(uint256 a) internal pure returns (uint256) {
        unchecked {
            if (a == 0 || a == SIGN || a == INF) return a;
            if (a > INF) return CANONICAL_NAN; // a NaN or negative
            (uint256 m, int256 e) = _split(a);
            // m * 2^(e - 150) with an even exponent and enough bits for the root to have 26.
            uint256 shift = 52 + (uint256(e) & 1);
            m <<= shift;
            uint256 root = _isqrt(m);
            uint256 sticky = root * root == m ? 0 : 1;
            // root * 2^((e - 150 - shift) / 2), and a sticky bit below it
            return _round(0, root << 1 | sticky, (e - 150 - int256(shift)) / 2 + 150 - 1, 0);
        }
    }

    /// @notice x * 2^n rounded once, n first clamped to +-300.
    function ldexp(uint256 x, int256 n) internal pure returns (uint256) {
        unchecked {
            if (x & MAGNITUDE >= INF) return x;
            if (n > LDEXP_CLAMP) n = LDEXP_CLAMP;
            if (n < -LDEXP_CLAMP) n = -LDEXP_CLAMP;
            (uint256 m, int256 e) = _split(x & MAGNITUDE);
            return _round(x & SIGN, m, e + n, x & SIGN);
        }
    }

    // --- sign, order, comparison --------------------------------------------------------------

    function neg(uint256 x) internal pure returns (uint256) {
        return isNaN(x) ? x : x ^ SIGN;
    }

    function abs(uint256 x) internal pure returns (uint256) {
        return x & MAGNITUDE;
    }

    /// @notice The greater by `key`: a NaN wins, +0 beats -0.
    function max(uint256 a, uint256 b) internal pure returns (uint256) {
        return key(a) >= key(b) ? a : b;
    }

    /// @notice NaN if either is NaN, otherwise the smaller by `key`.
    function min(uint256 a, uint256 b) internal pure returns (uint256) {
        if (isNaN(a) || isNaN(b)) return CANONICAL_NAN;
        return key(a) <= key(b) ? a : b;
    }

    /// @notice IEEE: -0 = +0, a NaN compares false.
    function eq(uint256 a, uint256 b) internal pure returns (bool) {
        return a == b ? !isNaN(a) : (a | b) & MAGNITUDE == 0;
    }

    function lt(uint256 a, uint256 b) internal pure returns (bool) {
        return !isNaN(b) && key(a) < key(b) && (a | b) & MAGNITUDE != 0;
    }

    function le(uint256 a, uint256 b) internal pure returns (bool) {
        return eq(a, b) || lt(a, b);
    }

    // --- integers -----------------------------------------------------------------------------

    function floor(uint256 x) internal pure returns (uint256) {
        return _integral(x, x & SIGN == 0 ? 0 : 1);
    }

    function ceil(uint256 x) internal pure returns (uint256) {
        return _integral(x, x & SIGN == 0 ? 1 : 0);
    }

    function trunc(uint256 x) internal pure returns (uint256) {
        return _integral(x, 0);
    }

    /// @notice Half to even; signs of zero kept.
    function rint(uint256 x) internal pure returns (uint256) {
        return _integral(x, 2);
    }

    /// @notice int64 to float, one rounding.
    function fromInt(int256 x) internal pure returns (uint256) {
        unchecked {
            return x < 0 ? _round(SIGN, uint256(-x), 150, 0) : _round(0, uint256(x), 150, 0);
        }
    }

    /// @notice Nearest integer, half to even, saturated to int64; NaN gives 0.
    function toInt(uint256 x) internal pure returns (int256) {
        unchecked {
            if (isNaN(x)) return 0;
            uint256 e = (x >> 23) & 0xFF;
            if (e >= 127 + 63) return x & SIGN == 0 ? INT64_MAX : INT64_MIN;
            if (e < 126) return 0; // below one half
            uint256 m = x & FRACTION | HIDDEN;
            uint256 n = e >= 150 ? m << (e - 150) : _shiftRight(m, 150 - e);
            return x & SIGN == 0 ? int256(n) : -int256(n);
        }
    }

    /// @notice floor(log2 |x|) of a finite non-zero float; fixed numbers for the others.
    function exponent(uint256 x) internal pure returns (int256) {
        unchecked {
            x &= MAGNITUDE;
            if (x == 0) return EXPONENT_OF_ZERO;
            if (x >= INF) return x == INF ? EXPONENT_OF_INF : EXPONENT_OF_NAN;
            if (x >= HIDDEN) return int256(x >> 23) - 127;
            return int256(_log2(x)) - 149;
        }
    }

    // --- internals ----------------------------------------------------------------------------

    /// @dev Any two floats.
    function _addAny(uint256 a, uint256 b) private pure returns (uint256 z) {
        uint256 m;
        uint256 e;
        uint256 top;
        assembly ("memory-safe") {
            // Order by magnitude: a gives the sign, and the difference is not negative.
            if lt(and(a, MAGNITUDE), and(b, MAGNITUDE)) {
                z := a
                a := b
                b := z
            }
            let apart := and(shr(23, a), 0xFF)
            e := and(shr(23, b), 0xFF)
            m := and(a, FRACTION)
            z := and(b, FRACTION)
            switch apart
            case 0 { apart := 1 }
            case 0xFF { m := 0 }
            default { m := or(m, HIDDEN) }
            switch e
            case 0 { e := 1 }
            default { z := or(z, HIDDEN) }
            apart := sub(apart, e)
            if gt(apart, FAR) {
                // b is below an eighth of a's last place: it cannot change the rounding of a float.
                e := add(e, sub(apart, FAR))
                apart := FAR
                z := 0
            }
            // The exact sum over the smaller exponent, and its highest bit: that of a or the next,
            // unless bits cancel or a is subnormal (then `top` stays 0).
            m := shl(apart, m)
            switch and(xor(a, b), SIGN)
            case 0 { m := add(m, z) }
            default { m := sub(m, z) }
            z := shr(apart, m)
            if iszero(lt(z, HIDDEN)) { top := add(add(apart, 23), shr(24, z)) }
        }
        if (a & INF == INF) {
            // inf - inf, or a NaN, which is greatest.
            return b == a ^ SIGN || a & MAGNITUDE > INF ? CANONICAL_NAN : a;
        }
        if (m == 0) return a & b & SIGN; // -0 + -0; else +0
        if (top == 0) top = _log2(m);
        return _roundAt(a & SIGN, m, e, top);
    }

    /// @dev Any two floats.
    function _mulAny(uint256 a, uint256 b) private pure returns (uint256 z) {
        uint256 m;
        uint256 e;
        assembly ("memory-safe") {
            let ea := and(shr(23, a), 0xFF)
            let eb := and(shr(23, b), 0xFF)
            e := sub(add(ea, eb), 150)
            m := and(a, FRACTION)
            z := and(b, FRACTION)
            if ea { m := or(m, HIDDEN) }
            if eb { z := or(z, HIDDEN) }
            m := mul(m, z)
            e := add(e, add(iszero(ea), iszero(eb)))
            z := and(xor(a, b), SIGN)
        }
        if (a & INF == INF || b & INF == INF) {
            bool invalid = isNaN(a) || isNaN(b) || a & MAGNITUDE == 0 || b & MAGNITUDE == 0;
            return invalid ? CANONICAL_NAN : z | INF;
        }
        return m == 0 ? z : _roundAt(z, m, e, _log2(m));
    }

    /// @dev Significand and exponent of the magnitude of a finite float.
    function _split(uint256 magnitude) private pure returns (uint256 m, int256 e) {
        unchecked {
            if (magnitude < HIDDEN) return (magnitude, 1);
            return (magnitude & FRACTION | HIDDEN, int256(magnitude >> 23));
        }
    }

    /// @dev The float nearest to +-m * 2^(e - 150); `zero` if m is zero. m < 2^128.
    function _round(uint256 sign, uint256 m, int256 e, uint256 zero)
        private
        pure
        returns (uint256)
    {
        return m == 0 ? zero : _roundAt(sign, m, uint256(e), _log2(m));
    }

    /// @dev `_round` of m > 0 whose highest bit is `top`; e is a signed number.
    function _roundAt(uint256 sign, uint256 m, uint256 e, uint256 top)
        private
        pure
        returns (uint256 z)
    {
        assembly ("memory-safe") {
            // Drop so many bits that 24 remain, or fewer if that would pass below the subnormals.
            let drop := sub(top, 23)
            e := add(e, drop)
            if slt(e, 1) {
                drop := add(drop, sub(1, e))
                e := 1
            }
            switch sgt(drop, 0)
            case 0 { m := shl(sub(0, drop), m) }
            default {
                // Half the dropped range, less one unless the kept part is odd, rounds up.
                m := add(add(m, sub(shl(sub(drop, 1), 1), 1)), and(shr(drop, m), 1))
                m := shr(drop, m)
            }
            // m holds the hidden bit, if any, so that it counts one up in the exponent; a carry
            // out of rounding counts one more, up to infinity.
            z := or(sign, INF)
            if lt(e, 0xFF) { z := or(sign, add(shl(23, sub(e, 1)), m)) }
        }
    }

    /// @dev m / 2^n to nearest even, 0 < n < 256.
    function _shiftRight(uint256 m, uint256 n) private pure returns (uint256) {
        unchecked {
            uint256 kept = m >> n;
            uint256 rest = m & ((1 << n) - 1);
            uint256 half = 1 << (n - 1);
            return kept + (rest > half || (rest == half && kept & 1 == 1) ? 1 : 0);
        }
    }

    /// @dev x to an integral float; `mode` 0 towards zero, 1 away from zero, 2 half to even.
    function _integral(uint256 x, uint256 mode) private pure returns (uint256) {
        unchecked {
            uint256 e = (x >> 23) & 0xFF;
            if (e >= 150) return x; // integral already, or infinite, or NaN
            (uint256 m,) = _split(x & MAGNITUDE);
            uint256 n = 150 - e; // fraction bits; 25 and more: |x| < 1/2
            if (n > 30) n = 30;
            uint256 whole = m >> n;
            if (mode == 2) whole = _shiftRight(m, n);
            else if (mode == 1 && m & ((1 << n) - 1) != 0) ++whole;
            return _round(x & SIGN, whole, 150, x & SIGN);
        }
    }

    /// @dev Position of the highest set bit of x, 0 < x < 2^128.
    function _log2(uint256 x) private pure returns (uint256 n) {
        assembly ("memory-safe") {
            n := shl(6, lt(0xFFFFFFFFFFFFFFFF, x))
            n := or(n, shl(5, lt(0xFFFFFFFF, shr(n, x))))
            n := or(n, shl(4, lt(0xFFFF, shr(n, x))))
            n := or(n, shl(3, lt(0xFF, shr(n, x))))
            x := shr(n, x)
            // The remaining byte: its high nibble or its low one, then a table of 16 nibbles.
            let high := shl(2, lt(0xF, x))
            n := add(n, add(high, and(3, shr(shl(1, shr(high, x)), 0xFFFFAA50))))
        }
    }

    /// @dev floor(sqrt(x)), 2^52 <= x < 2^78: Newton from above, four steps double 6 good bits.
    function _isqrt(uint256 x) private pure returns (uint256 root) {
        unchecked {
            root = 1 << (_log2(x) / 2 + 1);
            while (true) {
                uint256 better = (root + x / root) >> 1;
                if (better >= root) return root;
                root = better;
            }
        }
    }
}
