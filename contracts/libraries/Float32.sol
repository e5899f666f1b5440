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
    uint256 private constant ONE = 0x3F800000;

    /// @dev Exponents further apart than this: the smaller operand only decides a rounding.
    uint256 private constant FAR = 64;

    int256 private constant INT64_MIN = -(1 << 63);
    int256 private constant INT64_MAX = (1 << 63) - 1;

    // --- representation -----------------------------------------------------------------------

    /// @notice The float of 32 raw bits.
    function canonical(uint256 bits) internal pure returns (uint256) {
        return bits & MAGNITUDE > INF ? CANONICAL_NAN : bits;
    }

    function isNaN(uint256 x) internal pure returns (bool) {
        return x == CANONICAL_NAN;
    }

    /// @notice Total order: -inf < ... < -0 < +0 < ... < inf < NaN, as unsigned numbers.
    function key(uint256 x) internal pure returns (uint256) {
        return x & SIGN == 0 ? x | SIGN : x ^ 0xFFFFFFFF;
    }

    // --- arithmetic ---------------------------------------------------------------------------

    function add(uint256 a, uint256 b) internal pure returns (uint256) {
        unchecked {
            uint256 ea = (a >> 23) & 0xFF;
            uint256 eb = (b >> 23) & 0xFF;
            if (ea < eb) (a, b, ea, eb) = (b, a, eb, ea);
            if (ea == 0xFF) return _addSpecial(a, b);

            uint256 ma = a & FRACTION;
            uint256 mb = b & FRACTION;
            if (ea == 0) ea = 1;
            else ma |= HIDDEN;
            if (eb == 0) eb = 1;
            else mb |= HIDDEN;

            // Both over the smaller exponent: then the sum is exact.
            uint256 apart = ea - eb;
            if (apart > FAR) {
                if (mb != 0) mb = 1;
                eb = ea - FAR;
                apart = FAR;
            }
            ma <<= apart;
            uint256 sign = a & SIGN;
            if ((a ^ b) & SIGN == 0) return _round(sign, ma + mb, int256(eb), sign);
            if (ma < mb) return _round(b & SIGN, mb - ma, int256(eb), 0);
            return _round(sign, ma - mb, int256(eb), 0);
        }
    }

    function sub(uint256 a, uint256 b) internal pure returns (uint256) {
        return add(a, neg(b));
    }

    function mul(uint256 a, uint256 b) internal pure returns (uint256) {
        unchecked {
            uint256 sign = (a ^ b) & SIGN;
            uint256 ea = (a >> 23) & 0xFF;
            uint256 eb = (b >> 23) & 0xFF;
            if (ea == 0xFF || eb == 0xFF) {
                if (isNaN(a) || isNaN(b)) return CANONICAL_NAN;
                return (a & MAGNITUDE == 0 || b & MAGNITUDE == 0) ? CANONICAL_NAN : sign | INF;
            }
            uint256 ma = a & FRACTION;
            uint256 mb = b & FRACTION;
            if (ea == 0) ea = 1;
            else ma |= HIDDEN;
            if (eb == 0) eb = 1;
            else mb |= HIDDEN;
            return _round(sign, ma * mb, int256(ea + eb) - 150, sign);
        }
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

    /// @dev Sum of two floats when the exponent of `a` says infinity or NaN.
    function _addSpecial(uint256 a, uint256 b) private pure returns (uint256) {
        if (isNaN(a) || isNaN(b)) return CANONICAL_NAN;
        return b == a ^ SIGN ? CANONICAL_NAN : a; // inf - inf; else an infinity stays
    }

    /// @dev Significand and exponent of the magnitude of a finite float.
    function _split(uint256 magnitude) private pure returns (uint256 m, int256 e) {
        unchecked {
            if (magnitude < HIDDEN) return (magnitude, 1);
            return (magnitude & FRACTION | HIDDEN, int256(magnitude >> 23));
        }
    }

    /// @dev The float nearest to +-m * 2^(e - 150); `zero` if m is zero.
    function _round(uint256 sign, uint256 m, int256 e, uint256 zero)
        private
        pure
        returns (uint256)
    {
        unchecked {
            if (m == 0) return zero;
            // Drop so many bits that 24 remain, or fewer if that would pass below the subnormals.
            int256 drop = int256(_log2(m)) - 23;
            if (e + drop < 1) drop = 1 - e;
            if (drop > 0) m = drop > 255 ? 0 : _shiftRight(m, uint256(drop));
            else m <<= uint256(-drop);
            e += drop;
            if (e >= 0xFF) return sign | INF;
            // m holds the hidden bit, if any, so that it counts one up in the exponent; a carry
            // out of rounding counts one more, up to infinity.
            return sign | ((uint256(e - 1) << 23) + m);
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
