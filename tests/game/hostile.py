"""Hostile programs: a client committed to descriptors that no compiler writes.

A proof keeps its form; one descriptor in it is replaced, and every commitment above that is made
anew, so that all that a referee checks against a root holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any, Final

from protocol.spec import trees
from protocol.spec.constants import (
    TAG_INSTANCE,
    TAG_NEXT,
    TAG_OUTPUTS,
    TAG_PHASE,
    TAG_PROGRAM,
    TAG_STATE,
    TAG_TEMPLATE,
)
from protocol.spec.encoding import encode_template
from protocol.spec.microcode import Op
from protocol.spec.proofs import PhasePart
from protocol.spec.trace import phase_of
from protocol.spec.types import DType, Fold, Guard, Instr, Kind, Slot, Template
from tests.game.judged import Judged

MOST32: Final = (1 << 32) - 1
TABLES: Final = ("constants", "inputs", "states", "outputs", "templates", "phases")


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def header_counts(header: bytes) -> dict[str, int]:
    """What a header says of its tables."""
    return {name: _u32(header, 16 + 4 * k) for k, name in enumerate(TABLES)}


def _fit(leaf: bytes, index: int, count: int, siblings: list[bytes]) -> tuple[list[bytes], bytes]:
    """Siblings as many as the place demands, and the root; as they are if there is no place."""
    if index >= count:
        return siblings, trees.keccak256(leaf)
    fitted: list[bytes] = []
    at, width = index, count
    while width > 1:
        if at ^ 1 < width:
            fitted.append((siblings + [trees.keccak256(leaf)] * 32)[len(fitted)])
        at, width = at >> 1, (width + 1) >> 1
    return fitted, trees.root_from_run([leaf], index, count, fitted)


def recommitted(x: Judged) -> Judged:
    """The call with every commitment of program and phase that its proof's parts give."""
    p: Any = x.proof
    c = x.context
    counts = header_counts(p.program.header)
    tables = list(p.program.tables)

    def bind(name: str, table: int, tag: bytes, index: int, count: int) -> None:
        nonlocal p
        part = getattr(p, name, None)
        if part is None:
            return
        siblings, root = _fit(trees.tagged(tag, part.data), index, count, list(part.siblings))
        p = p._replace(**{name: part._replace(siblings=siblings)})
        if table < len(tables):
            tables[table] = root
        elif table == 6:
            p = p._replace(phase=p.phase._replace(instances=root))
        else:
            p = p._replace(phase=p.phase._replace(nexts=root))

    if hasattr(p, "phase"):
        instances = _u32(p.phase.head, 8) if len(p.phase.head) == 32 else 0
        bind("instance", 6, TAG_INSTANCE, c.item, instances)
        bind("next", 7, TAG_NEXT, c.item, counts["states"])
    if hasattr(p, "template"):
        bind("template", 4, TAG_TEMPLATE, _u32(p.instance.data, 0), counts["templates"])
    state = c.item
    if hasattr(p, "output"):
        bind("output", 3, TAG_OUTPUTS, c.index, counts["outputs"])
        state = int.from_bytes(p.output.data[:32], "big")
    bind("state", 2, TAG_STATE, state, counts["states"])
    if hasattr(p, "phase"):
        part: PhasePart = p.phase
        steps = [c.task.steps >> (32 * k) & MOST32 for k in range(8)]
        number, _ = phase_of(steps, c.step - 1)
        hash_ = trees.keccak256(TAG_PHASE + part.head + part.instances + part.nexts)
        siblings, tables[5] = _fit(hash_, number, counts["phases"], list(part.siblings))
        p = p._replace(phase=part._replace(siblings=siblings))
    p = p._replace(program=p.program._replace(tables=tables))
    root = trees.keccak256(TAG_PROGRAM + p.program.header + b"".join(tables))
    return replace(x, proof=p, context=replace(c, task=replace(c.task, program_root=root)))


def _with(x: Judged, name: str, data: bytes, what: str) -> Judged:
    p: Any = x.proof
    part = getattr(p, name)
    field = {"program": "header", "phase": "head"}.get(name, "data")
    p = p._replace(**{name: part._replace(**{field: data})})
    return recommitted(replace(x, name=f"{x.name}: {what}", proof=p))


def _words(data: bytes, rng: Random) -> Iterator[bytes]:
    """A descriptor cut, lengthened, or with a byte set to what it should not be."""
    yield b""
    yield data[:-32]
    yield data + bytes(32)
    yield data[:31]
    for _ in range(12):
        k = rng.randrange(len(data))
        yield data[:k] + bytes([rng.choice([0, 1, 255, data[k] ^ 1, data[k] + 1 & 255])]) + (
            data[k + 1 :]
        )


def descriptors(x: Judged, rng: Random) -> Iterator[Judged]:
    """Any descriptor of the proof garbled, and committed to."""
    p: Any = x.proof
    for name in ("program", "phase", "instance", "template", "next", "state", "output"):
        part = getattr(p, name, None)
        if part is None:
            continue
        data = {"program": "header", "phase": "head"}.get(name, "data")
        for k, new in enumerate(_words(getattr(part, data), rng)):
            if name == "program" and len(new) != 64:
                continue  # its length is no matter of the commitment
            yield _with(x, name, new, f"{name} {k}")


def headers(x: Judged) -> Iterator[Judged]:
    """Tables of as many entries as a header can say."""
    p: Any = x.proof
    header = p.program.header
    for k, name in enumerate(TABLES):
        for count in (1 << 20, (1 << 20) + 1, MOST32, 0):
            at = 16 + 4 * k
            new = header[:at] + count.to_bytes(4, "big") + header[at + 4 :]
            yield _with(x, "program", new, f"{count} {name}")


def templates(x: Judged, t: Template) -> Iterator[Judged]:
    """Templates that would loop, or name what is not there."""
    huge = tuple(Slot(s.dtype, (1 << 64) - 1) for s in t.slots)
    load = (Instr(Op.LOAD, 200),)
    guard = tuple(replace(v, guards=(Guard(0, 1, 200),)) for v in t.views)
    zero = tuple(replace(v, digits=tuple(replace(d, radix=0) for d in v.digits)) for v in t.views)
    slot = tuple(replace(v, slot=200) for v in t.views)
    news = {
        "shape": replace(t, shape=(MOST32,) * 8),
        "no elements": replace(t, shape=(0, 3)),
        "no shape": replace(t, shape=()),
        "slots": replace(t, slots=huge),
        "slot fewer": replace(t, slots=t.slots[:-1]),
        "slot more": replace(t, slots=(*t.slots, Slot(DType.F32, 1))),
        "view of no slot": replace(t, views=slot),
        "no views": replace(t, views=()),
        "one view": replace(t, views=t.views[:1]),
        "load of no view": replace(t, post=load, pre=load if t.pre else ()),
        "guard of no slot": replace(t, views=guard),
        "radix zero": replace(t, views=zero),
        "axis": replace(t, post=(Instr(Op.COORD, 7),)),
        "reduction axis": replace(t, post=(Instr(Op.RCOORD, 2),)),
        "no code": replace(t, post=(), pre=()),
        "live slot": replace(t, live_r=200),
        "live slot 0": replace(t, live_r=0, live_out=(0, 0) if t.shape else None),
        "live output slot": replace(t, live_out=(200, 0)),
        "live output axis": replace(t, live_out=(0, 7)),
        "later register": replace(t, post=(Instr(Op.ADD, 255, 254),)),
    }
    digits = tuple(replace(v, rdigits=(v.rdigits or v.digits or ())[:1] * 3) for v in t.views)
    for kind in Kind:
        for fold in Fold:
            for what, r in (
                ("r of 2^96", (MOST32,) * 3), ("r of 2^40", (1, 1 << 20, 1 << 20)),
                ("r of 0", (0, 0, 0)), ("no r", ()), ("as it is", t.r),
            ):  # fmt: skip
                views = digits if len(r) == 3 else t.views
                if any(len(v.rdigits) != len(r) for v in views):
                    views = tuple(replace(v, rdigits=()) for v in t.views) if not r else ()
                new = replace(t, kind=kind, fold=fold, r=r, views=views)
                news[f"{kind.name} {fold.name}, {what}"] = new
    for what, new in news.items():
        yield _with(x, "template", encode_template(new), what)
