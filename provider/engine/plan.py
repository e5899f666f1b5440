"""Where results live: an offset in one buffer for every operation, from first to last use.

The plan is made once per phase.  Results that become a state get memory of their own, because they
outlive the step; the others share the buffer, each range reused as soon as nothing reads it.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.spec.types import NextKind, Program, Source

ALIGN = 64
"""Bytes: a cache line, and the widest vector."""


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """For each operation: its offset in the buffer (None: memory of its own), its bytes, and the
    number of the last operation that reads it.  ``size`` is the buffer's."""

    offsets: tuple[int | None, ...]
    nbytes: tuple[int, ...]
    last_use: tuple[int, ...]
    size: int
    own: int

    @property
    def unshared(self) -> int:
        """Bytes that the results would take if nothing were freed."""
        return sum(self.nbytes)


class _Free:
    """Free ranges of a growing buffer, first fit."""

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []
        self.size = 0

    def take(self, n: int) -> int:
        for k, (start, length) in enumerate(self.ranges):
            if length >= n:
                self.ranges[k : k + 1] = [(start + n, length - n)] if length > n else []
                return start
        start = self.size
        if self.ranges and sum(self.ranges[-1]) == self.size:
            start = self.ranges.pop()[0]
        self.size = start + n
        return start

    def give(self, start: int, n: int) -> None:
        merged: list[tuple[int, int]] = []
        for a, length in sorted([*self.ranges, (start, n)]):
            if merged and sum(merged[-1]) == a:
                merged[-1] = (merged[-1][0], merged[-1][1] + length)
            else:
                merged.append((a, length))
        self.ranges = merged


def plan_body(program: Program, phase: int) -> BodyPlan:
    """Plan the memory of one step of a phase."""
    body = program.phases[phase]
    templates = [program.templates[i.template] for i in body.instances]
    nbytes = [t.count * t.dtype.size for t in templates]
    last = list(range(len(templates)))
    for n, instance in enumerate(body.instances):
        for ref in instance.operands:
            if ref.source is Source.OP:
                last[ref.index] = n
    end = len(templates)
    kept: set[int] = set()
    for item in body.nexts:
        if item.kind is NextKind.VALUE:
            kept.add(item.value)
        elif item.kind is NextKind.SLICE:
            last[item.value] = last[item.index] = end
    free = _Free()
    offsets: list[int | None] = []
    ending: dict[int, list[int]] = {}
    for n, at in enumerate(last):
        ending.setdefault(at, []).append(n)
    for n, size in enumerate(nbytes):
        offsets.append(None if n in kept else free.take(_aligned(size)))
        for gone in ending.get(n, []):
            offset = offsets[gone]
            if offset is not None:
                free.give(offset, _aligned(nbytes[gone]))
    return BodyPlan(
        tuple(offsets), tuple(nbytes), tuple(last), free.size, sum(nbytes[n] for n in kept)
    )


def _aligned(n: int) -> int:
    return -(-n // ALIGN) * ALIGN
