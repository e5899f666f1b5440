"""Malformed proofs: well-formed ones with one part changed, grafted, or cut; and bytes that are the
encoding of none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Final

from protocol.spec import trees

HASHES: Final = frozenset({"root", "instances", "nexts"})
"""Fields of 32 bytes; other bytes have any length."""

Path = tuple[int, ...]


def is_part(x: object) -> bool:
    """One of the named tuples of protocol.spec.proofs."""
    return hasattr(x, "_fields")


def at(proof: Any, path: Path) -> Any:
    """A part of a part."""
    for k in path:
        proof = proof[k]
    return proof


def put(proof: Any, path: Path, new: Any) -> Any:
    """The proof with one part replaced."""
    if not path:
        return new
    k, rest = path[0], path[1:]
    inner = put(proof[k], rest, new)
    if is_part(proof):
        return proof._replace(**{proof._fields[k]: inner})
    return [*proof[:k], inner, *proof[k + 1 :]]


def paths(proof: Any, here: Path = ()) -> Iterator[tuple[Path, str]]:
    """All parts of a proof, with the name of the field that each lies in."""
    names = proof._fields if is_part(proof) else [""] * len(proof)
    for k, (name, part) in enumerate(zip(names, proof, strict=True)):
        yield (*here, k), name
        if is_part(part) or isinstance(part, list):
            yield from paths(part, (*here, k))


def _bytes(x: bytes, rng: Random) -> list[bytes]:
    out = [b"", x + b"\0", x + bytes(32), x[:-1], x[:-32], bytes(len(x))]
    for _ in range(2):
        if x:
            k = rng.randrange(len(x))
            out.append(x[:k] + bytes([x[k] ^ 1 << rng.randrange(8)]) + x[k + 1 :])
    return out


def _hash(x: bytes, rng: Random) -> list[bytes]:
    flipped = (int.from_bytes(x, "big") ^ 1 << rng.randrange(256)).to_bytes(32, "big")
    return [flipped, bytes(32), trees.keccak256(x), trees.HALTED]


def _number(name: str, x: int, rng: Random) -> list[int]:
    if name in ("step", "phase_step", "seed"):
        return [x ^ 1, -1 - x, (1 << 63) - 1, -(1 << 63)]
    most = (1 << {"slot": 8, "first": 64}.get(name, 256)) - 1
    if name == "element":  # perhaps one of the next block, or the next but one
        return [x ^ 1, x + 1, x + 128, x + 256, x ^ 256, x + 512, most, most >> 1]
    return [x ^ 1, min(x + 1, most), most, most >> 1, rng.randrange(most + 1)]


def _list(x: list[Any], rng: Random) -> list[list[Any]]:
    spare = x[0] if x else bytes(32)
    out = [[], x[1:], x[:-1], [*x, spare], [spare, *x], x[::-1]]
    if len(x) > 1:
        k = rng.randrange(len(x) - 1)
        out.append([*x[:k], x[k + 1], x[k], *x[k + 2 :]])
        out.append([*x[:k], x[k], *x[k:]])
    return out


def changed(proof: Any, rng: Random) -> Iterator[tuple[str, Any]]:
    """The proof with any one part changed, and where."""
    for path, name in paths(proof):
        x = at(proof, path)
        news: Sequence[Any] = []
        if isinstance(x, bytes):
            plain = name and name not in HASHES
            news = _bytes(x, rng) if plain else _hash(x, rng)
        elif isinstance(x, int):
            news = _number(name, x, rng)
        elif isinstance(x, list) and name not in ("runs", "operands"):
            news = _list(x, rng)
        elif isinstance(x, list) and x:
            news = [x[1:], x[:-1], [*x, x[-1]], x[::-1], []]
        for k, new in enumerate(news):
            if new != x:
                yield f"{'.'.join(map(str, path))} {name} {k}", put(proof, path, new)


def grafted(proof: Any, other: Any, rng: Random) -> Iterator[tuple[str, Any]]:
    """The proof with one part of ``other``, another proof of any kind, in a place that takes it."""
    donors = [at(other, path) for path, _ in paths(other)]
    for path, name in paths(proof):
        x = at(proof, path)
        if not is_part(x) and name not in ("siblings", "tables", "runs", "operands", "roots"):
            continue
        kind = type(x)
        same = [
            y for y in donors
            if type(y) is kind and y != x and (is_part(x) or _alike(x, y))
        ]  # fmt: skip
        if same:
            yield f"{'.'.join(map(str, path))} {name} grafted", put(proof, path, rng.choice(same))


def _alike(x: list[Any], y: list[Any]) -> bool:
    return bool(x) and bool(y) and type(x[0]) is type(y[0])


# --- bytes ----------------------------------------------------------------------------------------


def garbled(data: bytes, rng: Random, count: int) -> Iterator[tuple[str, bytes]]:
    """An encoding with words changed to what may be an offset or a length, or cut, or longer."""
    words = len(data) // 32
    for k in rng.sample(range(words), min(words, count)):
        word = int.from_bytes(data[32 * k : 32 * k + 32], "big")
        other = int.from_bytes(data[32 * (w := rng.randrange(words)) : 32 * w + 32], "big")
        news = [
            word ^ 1 << rng.randrange(256), word + 1, word - 1, word + 32, word - 32, 0, 32, other,
            len(data), len(data) - 32 * k, (1 << 64) - 1, 1 << 255, -word, -32,
        ]  # fmt: skip
        new = (rng.choice(news) % (1 << 256)).to_bytes(32, "big")
        yield f"word {k}", data[: 32 * k] + new + data[32 * k + 32 :]
    for size in (0, 1, 31, 32, 64, *(rng.randrange(len(data)) for _ in range(count // 4))):
        yield f"cut to {size}", data[:size]
    yield "longer", data + rng.randbytes(64)
