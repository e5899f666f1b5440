"""Planted faults in arithmetic, microcode, views, folds and products, and what finds each."""

from __future__ import annotations

from tests.invariants.mutants import Mutant

FLOAT = "libraries/Float32.sol"
CODE = "libraries/Microcode.sol"
VIEW = "libraries/AffineView.sol"
FOLDS = "libraries/Folds.sol"
DOT = "libraries/DotProduct.sol"
ELEMENT = "libraries/TensorElement.sol"
LOOP = "libraries/CodeLoop.sol"
COSTS = "libraries/Costs.sol"

ARITHMETIC = (
    Mutant(
        "ties of a sum round up",
        FLOAT,
        "if mul(drop, lt(e, 253)) {\n                    // Rounding as in `_roundAt`.\n"
        "                    m := add(add(m, sub(shl(sub(drop, 1), 1), 1)), and(shr(drop, m), 1))",
        "if mul(drop, lt(e, 253)) {\n"
        "                    m := add(add(m, sub(shl(sub(drop, 1), 1), 1)), 1)",
        "softfloat",
    ),
    Mutant(
        "a summand's infinity takes the short cut",
        FLOAT,
        "if mul(drop, lt(e, 253)) {",
        "if mul(drop, lt(e, 254)) {",
        "softfloat",
    ),
    Mutant(
        "a product past the greatest is no infinity",
        FLOAT,
        "// one less than the exponent\n                if lt(e, 254) {",
        "if lt(e, 255) {",
        "softfloat",
    ),
    Mutant(
        "a product of 48 bits drops as many as one of 47",
        FLOAT,
        "let drop := add(23, shr(47, m))",
        "let drop := 23",
        "softfloat",
    ),
    Mutant(
        "NaNs keep their bits",
        FLOAT,
        "return bits & MAGNITUDE > INF ? CANONICAL_NAN : bits;",
        "return bits;",
        "softfloat",
    ),
    Mutant(
        "a quotient forgets its remainder",
        FLOAT,
        "m = m << 1 | (m * mb == wide ? 0 : 1);",
        "m = m << 1;",
        "softfloat",
    ),
    Mutant(
        "a root forgets its remainder",
        FLOAT,
        "uint256 sticky = root * root == m ? 0 : 1;",
        "uint256 sticky = 0;",
        "softfloat",
    ),
    Mutant(
        "subnormals keep a bit too many",
        FLOAT,
        "drop := add(drop, sub(1, e))",
        "drop := add(drop, sub(0, e))",
        "softfloat",
    ),
    Mutant(
        "the greatest exponent is a number",
        FLOAT,
        "if lt(e, 0xFF) { z := or(sign, add(shl(23, sub(e, 1)), m)) }",
        "if lt(e, 0x100) { z := or(sign, add(shl(23, sub(e, 1)), m)) }",
        "softfloat",
    ),
    Mutant(
        "a sum of zero takes the sign of one operand",
        FLOAT,
        "if (m == 0) return a & b & SIGN;",
        "if (m == 0) return a & SIGN;",
        "softfloat",
    ),
    Mutant(
        "a difference from NaN keeps a sign",
        FLOAT,
        "return b == a ^ SIGN || a & MAGNITUDE > INF ? CANONICAL_NAN : a;",
        "return b == a ^ SIGN ? CANONICAL_NAN : a;",
        "softfloat",
    ),
    Mutant(
        "infinity less infinity is infinity",
        FLOAT,
        "return b == a ^ SIGN || a & MAGNITUDE > INF ? CANONICAL_NAN : a;",
        "return a & MAGNITUDE > INF ? CANONICAL_NAN : a;",
        "softfloat",
    ),
    Mutant(
        "operands 25 binades apart do not matter",
        FLOAT,
        "uint256 private constant FAR = 64;",
        "uint256 private constant FAR = 24;",
        "softfloat",
    ),
    Mutant(
        "the minimum of NaN and a number is the number",
        FLOAT,
        "if (isNaN(a) || isNaN(b)) return CANONICAL_NAN;\n        return key(a) <= key(b)",
        "return key(a) <= key(b)",
        "softfloat",
    ),
    Mutant(
        "zeros of two signs differ",
        FLOAT,
        "return a == b ? !isNaN(a) : (a | b) & MAGNITUDE == 0;",
        "return a == b && !isNaN(a);",
        "softfloat",
    ),
    Mutant(
        "2^63 is an integer",
        FLOAT,
        "if (e >= 127 + 63) return",
        "if (e >= 127 + 64) return",
        "softfloat",
    ),
    Mutant(
        "halves round up",
        FLOAT,
        "(rest == half && kept & 1 == 1)",
        "rest == half",
        "softfloat",
    ),
    Mutant(
        "the highest bit of a nibble is one off",
        FLOAT,
        "0xFFFFAA50",
        "0xFFFFAA90",
        "softfloat",
    ),
    Mutant(
        "shifts are not modulo 64",
        CODE,
        "return _wrap(a << (b & 63));",
        "return _wrap(a << (b & 127));",
        "Microcode",
    ),
    Mutant(
        "division rounds to zero",
        CODE,
        "q := sub(q, and(slt(xor(a, b), 0), iszero(iszero(smod(a, b)))))",
        "",
        "Microcode",
    ),
    Mutant(
        "a remainder has the sign of the dividend",
        CODE,
        "if and(iszero(iszero(m)), slt(xor(a, b), 0)) { m := add(m, b) }",
        "",
        "Microcode",
    ),
    Mutant(
        "a product does not wrap",
        CODE,
        "return _wrap(a * b);",
        "return a * b;",
        "Microcode",
    ),
    Mutant(
        "clamp to zero from below",
        CODE,
        "return uint256(x < -bound ? -bound : x);",
        "return uint256(x < -bound ? int256(0) : x);",
        "Microcode",
    ),
    Mutant(
        "NaNs made of bits stay as they are",
        CODE,
        "return Float32.canonical(uint32(a));",
        "return uint32(a);",
        "Microcode",
    ),
    Mutant(
        "a choice takes the other",
        CODE,
        "return a != 0 ? b : _c(f, w);",
        "return a == 0 ? b : _c(f, w);",
        "Microcode",
    ),
    Mutant(
        "the upper half of a literal has no sign",
        CODE,
        "return _wrap(uint32(a) | _imm(w) << 32);",
        "return uint32(a) | _imm(w) << 32;",
        "Microcode",
    ),
)

ELEMENTS = (
    Mutant(
        "coordinates count from the last axis",
        CODE,
        "for { let k := sub(sub(count, 1), axis) } k",
        "for { let k := axis } k",
        "TensorElement",
    ),
    Mutant(
        "a computed load forgets its index",
        CODE,
        "return AffineView.load(f.views[uint8(w >> 240)], f.rdigits, f.r, int256(b));",
        "return AffineView.load(f.views[uint8(w >> 240)], f.rdigits, f.r, 0);",
        "elements",
    ),
    Mutant(
        "a register that moves is computed once",
        LOOP,
        "reads |= moving >> uint8(w >> 232);",
        "reads |= 0;",
        "elements",
    ),
    Mutant(
        "a load that moves is computed once",
        LOOP,
        "if (AffineView.moves(f.views[uint8(w >> 240)], f.rdigits)) return true;",
        "",
        "TensorElement",
    ),
    Mutant(
        "the position is the first one's",
        LOOP,
        "if (op == RCOORD || op == RINDEX) return true;",
        "if (op == RCOORD) return true;",
        "elements",
    ),
    Mutant(
        "a skipped guard",
        VIEW,
        "return g >= 0 && g < c.bound1;",
        "return true;",
        "TensorElement",
    ),
    Mutant(
        "a guard that includes its bound",
        VIEW,
        "if (g < 0 || g >= c.bound0) return false;",
        "if (g < 0 || g > c.bound0) return false;",
        "TensorElement",
    ),
    Mutant(
        "a guard that is not live",
        VIEW,
        "if (most < bound) bound = most;",
        "",
        "TensorElement",
    ),
    Mutant(
        "a load behind the end",
        VIEW,
        "if (uint256(n) >= c.count) return c.pad;",
        "if (uint256(n) > c.count) return c.pad;",
        "TensorElement",
    ),
    Mutant(
        "a loaded NaN keeps its bits",
        FLOAT,
        "if gt(and(x, MAGNITUDE), INF) { x := CANONICAL_NAN }",
        "",
        "TensorElement",
    ),
    Mutant(
        "the maximum of nothing is infinity",
        FOLDS,
        "s.value = isFloat ? MINUS_INF : uint256(INT64_MIN);",
        "s.value = isFloat ? PLUS_INF : uint256(INT64_MIN);",
        "elements",
    ),
    Mutant(
        "the last of equal ones wins",
        FOLDS,
        "if (key > s.key) (s.value, s.key, s.at)",
        "if (key >= s.key) (s.value, s.key, s.at)",
        "TensorElement",
    ),
    Mutant(
        "a sum may be -0",
        FOLDS,
        "return Float32.add(_total(s.partial_, count), 0);",
        "return _total(s.partial_, count);",
        "elements",
    ),
    Mutant(
        "NaN is the least of a minimum",
        FOLDS,
        "if (least && !Float32.isNaN(x)) key",
        "if (least) key",
        "TensorElement",
    ),
    Mutant(
        "an odd node of a sum is dropped",
        FOLDS,
        "if (count & 1 == 1) x = some ? Float32.add(tree[k], x) : tree[k];",
        "if (count & 1 == 1) x = tree[k];",
        "TensorElement",
    ),
    Mutant(
        "a sum of products rounds down",
        DOT,
        "let low := HALF",
        "let low := 0",
        "DotProduct",
    ),
    Mutant(
        "terms behind the end count",
        DOT,
        "_copy(end, 0x00, 2 * (n % 32));",
        "_copy(end, 0x00, 64);",
        "DotProduct",
    ),
    Mutant(
        "a chunk of which the sums overflow",
        DOT,
        "CHUNK16 = 512;",
        "CHUNK16 = 1024;",
        "DotProduct",
    ),
    Mutant(
        "the tail of a last block counts",
        VIEW,
        "c.size = (to < c.count ? to : c.count) - c.from;",
        "c.size = to - c.from;",
        "TensorElement",
    ),
    Mutant(
        "bytes widen without their sign",
        DOT,
        "x := or(shl(8, x), mul(sign, 0xFF))",
        "x := shl(8, x)",
        "TensorElement",
    ),
    Mutant(
        "an element outside the output",
        ELEMENT,
        "if (i >= count) revert NoSuchElement(i, count);",
        "",
        "TensorElement",
    ),
    Mutant(
        "blocks of another operand",
        ELEMENT,
        "if (root != wanted) revert WrongRoot(run.slot, root, wanted);",
        "",
        "TensorElement",
    ),
    Mutant(
        "blocks left over",
        ELEMENT,
        "if (used != runs.length) revert RunOutOfOrder(used);",
        "",
        "TensorElement",
    ),
    Mutant(
        "a live bound below zero counts as all",
        ELEMENT,
        "terms = live < 0 ? 0 : uint256(live);",
        "terms = live < 0 ? terms : uint256(live);",
        "TensorElement",
    ),
    Mutant(
        "nothing is dead",
        ELEMENT,
        "if (_isDead(t, operands, f)) {",
        "if (false) {",
        "TensorElement",
    ),
)

BOUNDS = (
    Mutant(
        "a still digit cuts nothing",
        COSTS,
        "if (stride == 0 && _guarded(v, from + (key & 3) - 1)) e.pieces *= radix;",
        "",
        "Costs",
    ),
    Mutant(
        "another digit is asked for its guards",
        COSTS,
        "_guarded(v, from + (key & 3) - 1)",
        "_guarded(v, from)",
        "Costs",
    ),
    Mutant(
        "a still digit has one guard",
        COSTS,
        "\n            || v.weight(k, LegalityView.Weight.GUARD1) != 0;",
        ";",
        "Costs",
    ),
    Mutant(
        "what bounds views costs nothing",
        COSTS,
        "            _live(t, p);\n",
        "",
        "Costs",
    ),
)

NUMBERS = (*ARITHMETIC, *ELEMENTS, *BOUNDS)
