"""Keccak-256 of many equal-sized pieces at once, compiled when first imported.

One vector register holds one word of the state for LANES pieces (blocks, or pairs of nodes): the
25 words of FIPS 202's state are 25 vectors, and every step of the permutation is the same for all
lanes.  The vectors are written as such into the compiler's intermediate code, so that nothing
depends on what its vectoriser makes of a loop; a processor without registers of that width gets
the same numbers from narrower ones.

The kernels take addresses (so that read-only, mapped and unaligned memory need no variants), hold
no lock of the interpreter, and trust their callers: ``protocol.hashing.fast`` is the only one.
This file is self-contained: the compiler's cache on disk notices a change of this file alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

BLOCK: Final = 512
"""Bytes of a block."""
NODE: Final = 32
"""Bytes of a node of a tree."""
PAIR: Final = 64
"""Bytes of two nodes, of which the next level has the hash."""
RATE: Final = 17
"""Words of the state that take input: 136 bytes, Keccak with a capacity of 512 bits."""
ROUNDS: Final = 24

_FEATURES: Final = str(cpu_target.target_context.codegen().magic_tuple()[2]).split(",")
LANES: Final = 8 if "+avx512f" in _FEATURES else 4
"""Pieces hashed at once: 64-bit words in the widest register."""

SCRATCH: Final = LANES * (BLOCK + NODE)
"""Bytes of working memory that a kernel wants."""

_INDEX: Final = ir.IntType(32)
_WORD: Final = ir.IntType(64)
_VECTOR: Final = ir.VectorType(_WORD, LANES)
_MASK: Final = (1 << 64) - 1


def _round_constants() -> list[int]:
    """The constants of ι: bits of the linear feedback register x^8 + x^6 + x^5 + x^4 + 1."""
    out, register = [], 1
    for _ in range(ROUNDS):
        value = 0
        for j in range(7):
            value |= (register & 1) << ((1 << j) - 1)
            register = (register << 1) ^ (0x171 if register >> 7 else 0)
        out.append(value)
    return out


def _rotations() -> list[int]:
    """The distances of ρ for word x + 5 y."""
    out, x, y = [0] * 25, 1, 0
    for t in range(ROUNDS):
        out[x + 5 * y] = (t + 1) * (t + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    return out


def _splat(value: int) -> Any:
    return ir.Constant(_VECTOR, [value & _MASK] * LANES)


def _spread(builder: Any, word: Any) -> Any:
    """A vector with ``word`` in every lane."""
    first = ir.Constant(_INDEX, 0)
    vector = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), word, first)
    return builder.shuffle_vector(vector, vector, _lanes([0] * LANES))


def _lanes(numbers: Sequence[int]) -> Any:
    """The constant that tells a shuffle which lanes to take."""
    return ir.Constant(ir.VectorType(_INDEX, len(numbers)), list(numbers))


def _rotate(builder: Any, value: Any, distance: int) -> Any:
    if distance == 0:
        return value
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    name = f"llvm.fshl.v{LANES}i64"
    rotate = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(rotate, [value, value, _splat(distance)])


def _round(builder: Any, a: Sequence[Any], constant: Any) -> list[Any]:
    """One round of Keccak-f[1600] on 25 vectors: θ, ρ and π, χ, ι."""
    xor = builder.xor
    c = [
        xor(xor(xor(xor(a[x], a[x + 5]), a[x + 10]), a[x + 15]), a[x + 20]) for x in range(5)
    ]
    d = [xor(c[(x + 4) % 5], _rotate(builder, c[(x + 1) % 5], 1)) for x in range(5)]
    b: list[Any] = [None] * 25
    for x in range(5):
        for y in range(5):
            moved = xor(a[x + 5 * y], d[x])
            b[y + 5 * ((2 * x + 3 * y) % 5)] = _rotate(builder, moved, _ROTATIONS[x + 5 * y])
    out = []
    for k in range(25):
        row = k // 5 * 5
        one, two = b[row + (k + 1) % 5], b[row + (k + 2) % 5]
        out.append(xor(b[k], builder.and_(builder.not_(one), two)))
    out[0] = xor(out[0], constant)
    return out


_ROTATIONS: Final = _rotations()


def _permutation(module: Any) -> Any:
    """The function that permutes LANES states in place; written into ``module`` once."""
    name = f"keccak_f1600_x{LANES}"
    if name in module.globals:
        return module.globals[name]
    pointer = ir.PointerType()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer]), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    table_type = ir.ArrayType(_WORD, ROUNDS)
    table = ir.GlobalVariable(module, table_type, f"{name}_constants")
    table.linkage, table.global_constant = "internal", True
    table.initializer = ir.Constant(table_type, _round_constants())

    start = function.append_basic_block("start")
    turn = function.append_basic_block("turn")
    end = function.append_basic_block("end")
    builder = ir.IRBuilder(start)
    places = [_element(builder, function.args[0], k) for k in range(25)]
    before = [builder.load(place, typ=_VECTOR, align=8) for place in places]
    builder.branch(turn)

    builder.position_at_end(turn)
    number = builder.phi(_WORD)
    state: list[Any] = [builder.phi(_VECTOR) for _ in range(25)]
    place = builder.gep(table, [ir.Constant(_WORD, 0), number])
    after = _round(builder, state, _spread(builder, builder.load(place, typ=_WORD)))
    following = builder.add(number, ir.Constant(_WORD, 1))
    builder.cbranch(
        builder.icmp_unsigned("<", following, ir.Constant(_WORD, ROUNDS)), turn, end
    )
    number.add_incoming(ir.Constant(_WORD, 0), start)
    number.add_incoming(following, turn)
    for k in range(25):
        state[k].add_incoming(before[k], start)
        state[k].add_incoming(after[k], turn)

    builder.position_at_end(end)
    for place, value in zip(places, after, strict=True):
        builder.store(value, place, align=8)
    builder.ret_void()
    return function


def _element(builder: Any, base: Any, k: int) -> Any:
    return builder.gep(base, [ir.Constant(_WORD, k)], source_etype=_VECTOR)


def _at(builder: Any, base: Any, offset: int) -> Any:
    return builder.gep(base, [ir.Constant(_WORD, offset)], source_etype=ir.IntType(8))


def _transpose(builder: Any, rows: Sequence[Any]) -> list[Any]:
    """LANES vectors with rows and columns exchanged: swaps of ever larger squares."""
    rows = list(rows)
    step = 1
    while step < LANES:
        # Lane j of the first result: row k's lane j, or row (k + step)'s lane j - step.
        first = [j if not j & step else LANES + j - step for j in range(LANES)]
        second = [j + step if not j & step else LANES + j for j in range(LANES)]
        for k in range(LANES):
            if not k & step:
                pair = rows[k], rows[k + step]
                rows[k] = builder.shuffle_vector(*pair, _lanes(first))
                rows[k + step] = builder.shuffle_vector(*pair, _lanes(second))
        step *= 2
    return rows


def _hash_group(builder: Any, source: Any, target: Any, words: int) -> None:
    """Hashes LANES adjacent pieces of ``words`` words each (a multiple of LANES).

    Writes LANES digests to ``target``, which may be where the pieces are.  A piece of two ZERO
    nodes gives ZERO: the rule of ``trees.parent``.
    """
    pointer = ir.PointerType()
    source, target = builder.inttoptr(source, pointer), builder.inttoptr(target, pointer)
    state = cgutils.alloca_once(builder, _VECTOR, size=25)
    permute = _permutation(builder.module)
    columns: list[Any] = []
    seen: Any = None
    for at in range(words + 1):  # one past the end: the padding
        position = at % RATE
        if at % LANES == 0 and at < words:
            rows = [
                builder.load(_at(builder, source, 8 * (k * words + at)), typ=_VECTOR, align=1)
                for k in range(LANES)
            ]
            columns = _transpose(builder, rows)
        value = columns[at % LANES] if at < words else _splat(1)
        if at < words and words == PAIR // 8:
            seen = value if seen is None else builder.or_(seen, value)
        place = _element(builder, state, position)
        if at >= RATE:
            value = builder.xor(value, builder.load(place, typ=_VECTOR, align=8))
        builder.store(value, place, align=8)
        if at < words and position == RATE - 1:
            if at < RATE:
                _clear(builder, state, RATE)
            builder.call(permute, [state])
    if words < RATE:
        _clear(builder, state, words + 1)
    last = _element(builder, state, RATE - 1)
    mark = builder.xor(builder.load(last, typ=_VECTOR, align=8), _splat(1 << 63))
    builder.store(mark, last, align=8)
    builder.call(permute, [state])
    digest = [builder.load(_element(builder, state, k), typ=_VECTOR, align=8) for k in range(4)]
    if seen is not None:
        empty = builder.icmp_unsigned("==", seen, _splat(0))
        digest = [builder.select(empty, _splat(0), value) for value in digest]
    _store_digests(builder, target, digest)


def _clear(builder: Any, state: Any, first: int) -> None:
    for k in range(first, 25):
        builder.store(_splat(0), _element(builder, state, k), align=8)


def _store_digests(builder: Any, target: Any, digest: Sequence[Any]) -> None:
    """Lane k of four vectors to the 32 bytes at ``target + 32 k``."""
    rows = _transpose(builder, [*digest, *[_splat(0)] * (LANES - 4)])
    for k, row in enumerate(rows):
        four = builder.shuffle_vector(row, row, _lanes(range(4)))
        builder.store(four, _at(builder, target, NODE * k), align=1)


def _group_of(words: int) -> Callable[..., Any]:
    def hash_group(typing: Any, source: Any, target: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _hash_group(builder, args[0], args[1], words)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp), generate

    return hash_group


def _copy_of(typing: Any, target: Any, source: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = ir.PointerType()
        to, of = builder.inttoptr(args[0], pointer), builder.inttoptr(args[1], pointer)
        cgutils.raw_memcpy(builder, to, of, args[2], 1)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


def _zero_of(typing: Any, target: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        cgutils.memset(builder, builder.inttoptr(args[0], ir.PointerType()), args[1], 0)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), generate


_hash_blocks: Final[Any] = intrinsic(_group_of(BLOCK // 8))
"""(source, target): the digests of LANES blocks."""
_hash_pairs: Final[Any] = intrinsic(_group_of(PAIR // 8))
"""(source, target): the digests of LANES pairs of nodes."""
_copy: Final[Any] = intrinsic(_copy_of)
"""(target, source, count): copies bytes."""
_zero: Final[Any] = intrinsic(_zero_of)
"""(target, count): fills bytes with zero."""


def _compiled(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compiles at once and without the interpreter's lock; kept on disk where that can be.

    Beside the source if that is writable, else in the user's cache; in neither (a read-only
    installation without a home) it is compiled in every process.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            kept: Callable[..., Any] = njit(signature, nogil=True, cache=True)(function)
        except (RuntimeError, OSError):
            kept = njit(signature, nogil=True)(function)
        return kept

    return decorate


@_compiled("void(intp, intp, intp, intp)")
def leaves(source: int, size: int, target: int, scratch: int) -> None:
    """Digests of the blocks of ``size`` bytes at ``source``, the last filled with zero bytes.

    Writes ceil(size / 512) nodes to ``target``; ``scratch`` has SCRATCH bytes.
    """
    groups = size // (LANES * BLOCK)
    for k in range(groups):
        _hash_blocks(source + k * LANES * BLOCK, target + k * LANES * NODE)
    done = groups * LANES * BLOCK
    if done < size:
        _zero(scratch, LANES * BLOCK)
        _copy(scratch, source + done, size - done)
        _hash_blocks(scratch, scratch + LANES * BLOCK)
        rest = (size - done + BLOCK - 1) // BLOCK
        _copy(target + groups * LANES * NODE, scratch + LANES * BLOCK, rest * NODE)


@_compiled("void(intp, intp, intp)")
def levels(nodes: int, count: int, scratch: int) -> None:
    """The levels above ``count`` nodes at ``nodes``, each behind the one below, the root last.

    A level of n nodes has one of ceil(n / 2) above it, until there is one node.
    """
    while count > 1:
        above = nodes + count * NODE
        groups = count // (2 * LANES)
        for k in range(groups):
            _hash_pairs(nodes + k * LANES * PAIR, above + k * LANES * NODE)
        done = groups * 2 * LANES
        if done < count:
            _zero(scratch, LANES * PAIR)
            _copy(scratch, nodes + done * NODE, (count - done) * NODE)
            _hash_pairs(scratch, scratch + LANES * PAIR)
            rest = (count - done + 1) // 2
            _copy(above + groups * LANES * NODE, scratch + LANES * PAIR, rest * NODE)
        nodes = above
        count = (count + 1) // 2
