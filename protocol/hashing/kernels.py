"""Keccak-256 of many equal-sized pieces at once, compiled for the processor at hand.

One vector register holds one word of the state for several lanes, that is pieces (blocks, or pairs
of nodes): the 25 words of the state of FIPS 202 are 25 vectors, and every step of the permutation
is the same for all lanes.  The vectors are written as such in the compiler's intermediate code, so
that nothing depends on what a vectoriser makes of a loop; a processor without registers of that
width gets the same numbers from narrower ones.

This is LLVM alone, without numba on top: the code is so little that every process compiles it
anew, in a tenth of the time that importing numba and reading its cache takes, and nothing
executable lies on disk.  The functions take addresses (so that read-only, mapped and unaligned
memory need no variants), run without the interpreter's lock, and trust their callers:
``protocol.hashing.fast`` is the only one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import CFUNCTYPE, c_ssize_t
from typing import Any, Final

from llvmlite import binding, ir

BLOCK: Final = 512
"""Bytes of a block."""
NODE: Final = 32
"""Bytes of a node of a tree."""
PAIR: Final = 64
"""Bytes of two nodes, of which the level above has the hash."""
RATE: Final = 17
"""Words of the state that take input: 136 bytes, Keccak with a capacity of 512 bits."""
ROUNDS: Final = 24

Group = Callable[[int, int, int], None]
"""(source, target, groups): addresses, and how many times ``lanes`` pieces lie at the source."""

_INDEX: Final = ir.IntType(32)
_WORD: Final = ir.IntType(64)
_ADDRESS: Final = ir.PointerType()
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


_ROTATIONS: Final = _rotations()


class _Writer:
    """Writes the functions for a number of lanes (a power of two, at least 4) into a module."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.vector = ir.VectorType(_WORD, lanes)
        self.module = ir.Module("keccak")
        self.module.triple = binding.get_process_triple()
        rotate = ir.FunctionType(self.vector, [self.vector] * 3)
        self.rotate = ir.Function(self.module, rotate, f"llvm.fshl.v{lanes}i64")
        self.permute = self.permutation()
        self.hashes("hash_blocks", BLOCK // 8)
        self.hashes("hash_pairs", PAIR // 8)

    def splat(self, value: int) -> Any:
        return ir.Constant(self.vector, [value & _MASK] * self.lanes)

    def spread(self, builder: Any, word: Any) -> Any:
        """A vector with ``word`` in every lane."""
        empty = ir.Constant(self.vector, ir.Undefined)
        vector = builder.insert_element(empty, word, ir.Constant(_INDEX, 0))
        return builder.shuffle_vector(vector, vector, _lanes([0] * self.lanes))

    def rotated(self, builder: Any, value: Any, distance: int) -> Any:
        if distance == 0:
            return value
        return builder.call(self.rotate, [value, value, self.splat(distance)])

    def round(self, builder: Any, a: Sequence[Any], constant: Any) -> list[Any]:
        """One round of Keccak-f[1600] on 25 vectors: θ, ρ and π, χ, ι."""
        xor = builder.xor
        c = [
            xor(xor(xor(xor(a[x], a[x + 5]), a[x + 10]), a[x + 15]), a[x + 20])
            for x in range(5)
        ]
        d = [xor(c[(x + 4) % 5], self.rotated(builder, c[(x + 1) % 5], 1)) for x in range(5)]
        b: list[Any] = [None] * 25
        for x in range(5):
            for y in range(5):
                moved = xor(a[x + 5 * y], d[x])
                turned = self.rotated(builder, moved, _ROTATIONS[x + 5 * y])
                b[y + 5 * ((2 * x + 3 * y) % 5)] = turned
        out = []
        for k in range(25):
            row = k // 5 * 5
            one, two = b[row + (k + 1) % 5], b[row + (k + 2) % 5]
            out.append(xor(b[k], builder.and_(builder.not_(one), two)))
        out[0] = xor(out[0], constant)
        return out

    def permutation(self) -> Any:
        """The function that permutes one state a lane, in place at an address."""
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [_ADDRESS]), "permute")
        function.linkage = "internal"
        table_type = ir.ArrayType(_WORD, ROUNDS)
        table = ir.GlobalVariable(self.module, table_type, "round_constants")
        table.linkage, table.global_constant = "internal", True
        table.initializer = ir.Constant(table_type, _round_constants())

        start = function.append_basic_block("start")
        turn = function.append_basic_block("turn")
        end = function.append_basic_block("end")
        builder = ir.IRBuilder(start)
        places = [self.element(builder, function.args[0], k) for k in range(25)]
        before = [self.load(builder, place) for place in places]
        builder.branch(turn)

        builder.position_at_end(turn)
        number = builder.phi(_WORD)
        state: list[Any] = [builder.phi(self.vector) for _ in range(25)]
        place = builder.gep(table, [ir.Constant(_WORD, 0), number])
        constant = self.spread(builder, builder.load(place, typ=_WORD))
        after = self.round(builder, state, constant)
        following = builder.add(number, ir.Constant(_WORD, 1))
        more = builder.icmp_unsigned("<", following, ir.Constant(_WORD, ROUNDS))
        builder.cbranch(more, turn, end)
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

    def hashes(self, name: str, words: int) -> None:
        """The function ``name``: a Group for pieces of ``words`` words, a multiple of lanes."""
        kind = ir.FunctionType(ir.VoidType(), [_WORD] * 3)
        function = ir.Function(self.module, kind, name)
        source, target, groups = function.args
        start = function.append_basic_block("start")
        turn = function.append_basic_block("turn")
        body = function.append_basic_block("body")
        end = function.append_basic_block("end")
        builder = ir.IRBuilder(start)
        state = builder.alloca(self.vector, size=25)
        builder.branch(turn)

        builder.position_at_end(turn)
        number = builder.phi(_WORD)
        builder.cbranch(builder.icmp_unsigned("<", number, groups), body, end)

        builder.position_at_end(body)
        step = builder.mul(number, ir.Constant(_WORD, self.lanes * words * 8))
        out = builder.mul(number, ir.Constant(_WORD, self.lanes * NODE))
        pieces = builder.inttoptr(builder.add(source, step), _ADDRESS)
        digests = builder.inttoptr(builder.add(target, out), _ADDRESS)
        self.group(builder, state, pieces, digests, words)
        following = builder.add(number, ir.Constant(_WORD, 1))
        builder.branch(turn)
        number.add_incoming(ir.Constant(_WORD, 0), start)
        number.add_incoming(following, body)

        builder.position_at_end(end)
        builder.ret_void()

    def group(self, builder: Any, state: Any, source: Any, target: Any, words: int) -> None:
        """Hashes one piece a lane. A pair of ZERO nodes gives ZERO: the rule of trees.parent."""
        columns: list[Any] = []
        seen: Any = None
        for at in range(words + 1):  # the last one is the padding
            position = at % RATE
            if at % self.lanes == 0 and at < words:
                columns = self.columns(builder, source, words, at)
            value = columns[at % self.lanes] if at < words else self.splat(1)
            if at < words and words == PAIR // 8:
                seen = value if seen is None else builder.or_(seen, value)
            place = self.element(builder, state, position)
            if at >= RATE:
                value = builder.xor(value, self.load(builder, place))
            builder.store(value, place, align=8)
            if position == RATE - 1 and at < words:
                if at < RATE:
                    self.clear(builder, state, RATE)
                builder.call(self.permute, [state])
        if words < RATE:
            self.clear(builder, state, words + 1)
        last = self.element(builder, state, RATE - 1)
        mark = builder.xor(self.load(builder, last), self.splat(1 << 63))
        builder.store(mark, last, align=8)
        builder.call(self.permute, [state])
        digest = [self.load(builder, self.element(builder, state, k)) for k in range(4)]
        if seen is not None:
            empty = builder.icmp_unsigned("==", seen, self.splat(0))
            digest = [builder.select(empty, self.splat(0), value) for value in digest]
        rows = self.transposed(builder, [*digest, *[self.splat(0)] * (self.lanes - 4)])
        for k, row in enumerate(rows):
            four = builder.shuffle_vector(row, row, _lanes(range(4)))
            builder.store(four, _at(builder, target, NODE * k), align=1)

    def columns(self, builder: Any, source: Any, words: int, at: int) -> list[Any]:
        """Words ``at`` to ``at + lanes - 1`` (one vector each) of all pieces (one lane each)."""
        rows = [
            builder.load(_at(builder, source, 8 * (k * words + at)), typ=self.vector, align=1)
            for k in range(self.lanes)
        ]
        return self.transposed(builder, rows)

    def transposed(self, builder: Any, rows: Sequence[Any]) -> list[Any]:
        """``lanes`` vectors with rows and columns exchanged: swaps of ever larger squares."""
        rows, lanes, step = list(rows), self.lanes, 1
        while step < lanes:
            # Of two rows ``step`` apart: lane j of one of them, or j -+ step of the other.
            first = [j if not j & step else lanes + j - step for j in range(lanes)]
            second = [j + step if not j & step else lanes + j for j in range(lanes)]
            for k in range(lanes):
                if not k & step:
                    pair = rows[k], rows[k + step]
                    rows[k] = builder.shuffle_vector(*pair, _lanes(first))
                    rows[k + step] = builder.shuffle_vector(*pair, _lanes(second))
            step *= 2
        return rows

    def element(self, builder: Any, base: Any, k: int) -> Any:
        return builder.gep(base, [ir.Constant(_WORD, k)], source_etype=self.vector)

    def load(self, builder: Any, place: Any) -> Any:
        return builder.load(place, typ=self.vector, align=8)

    def clear(self, builder: Any, state: Any, first: int) -> None:
        for k in range(first, 25):
            builder.store(self.splat(0), self.element(builder, state, k), align=8)


def _lanes(numbers: Sequence[int]) -> Any:
    """The constant that tells a shuffle which lanes to take."""
    return ir.Constant(ir.VectorType(_INDEX, len(numbers)), list(numbers))


def _at(builder: Any, base: Any, offset: int) -> Any:
    return builder.gep(base, [ir.Constant(_WORD, offset)], source_etype=ir.IntType(8))


class Functions:
    """The compiled functions; they live as long as this object.

    ``cpu`` and ``features`` are LLVM's names, those of this processor unless given: it must have
    what they stand for.  Raises RuntimeError if LLVM refuses.
    """

    def __init__(self, cpu: str | None = None, features: str | None = None) -> None:
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        if cpu is None:
            cpu = binding.get_host_cpu_name()
        if features is None:
            features = binding.get_host_cpu_features().flatten()
        self.lanes: Final = 8 if "+avx512f" in features.split(",") else 4
        """Pieces hashed at once: 64-bit words in the widest register."""
        module = binding.parse_assembly(str(_Writer(self.lanes).module))
        module.verify()
        machine = binding.Target.from_default_triple().create_target_machine(
            cpu=cpu, features=features, opt=2, jit=True
        )
        self._engine = binding.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()
        self.hash_blocks: Final = self._function("hash_blocks")
        self.hash_pairs: Final = self._function("hash_pairs")

    def _function(self, name: str) -> Group:
        kind = CFUNCTYPE(None, c_ssize_t, c_ssize_t, c_ssize_t)
        return kind(self._engine.get_function_address(name))
