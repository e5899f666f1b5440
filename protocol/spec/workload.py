"""How much work a program is, and how long this machine takes for it.

Work is counted in multiply-adds of DOTs and in instructions of everything else; a measured rate for
each turns it into seconds.  An estimate: it steers acceptance and fills a job's ``workMs``; no
money depends on its being exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.spec.interpreter import check_steps
from protocol.spec.types import Instance, Kind, Phase, Program, Source, Template


@dataclass(frozen=True, slots=True)
class Work:
    """Work of a run: multiply-adds, microcode instructions, and bytes alive at the worst moment."""

    products: int
    instructions: int
    memory: int


@dataclass(frozen=True, slots=True)
class Rate:
    """What a machine does in a second."""

    products: float
    instructions: float

    def seconds(self, work: Work) -> float:
        """Estimated time of ``work``."""
        return work.products / self.products + work.instructions / self.instructions


def template_work(t: Template) -> tuple[int, int]:
    """Multiply-adds and instructions of one instance."""
    if t.kind is Kind.DOT:
        return t.count * t.terms, t.count * len(t.post)
    folded = t.count * t.terms * (len(t.pre) + 1) if t.kind is Kind.REDUCE else 0
    return 0, folded + t.count * len(t.post)


def peak_memory(program: Program, phase: Phase) -> int:
    """Bytes of tensors alive at once in a step when each is dropped after its last reader."""
    last: dict[int, int] = {}
    for number, instance in enumerate(phase.instances):
        for ref in _operations(instance):
            last[ref] = number
    for item in phase.nexts:
        last[item.value] = last[item.index] = len(phase.instances)
    sizes = [_bytes(program.templates[n.template]) for n in phase.instances]
    alive = peak = 0
    for number, instance in enumerate(phase.instances):
        alive += sizes[number]
        peak = max(peak, alive)
        ended = {ref for ref in _operations(instance) if last[ref] == number}
        alive -= sum(sizes[ref] for ref in ended)
    return peak


def _operations(instance: Instance) -> list[int]:
    return [ref.index for ref in instance.operands if ref.source is Source.OP]


def _bytes(t: Template) -> int:
    return t.count * t.dtype.size


def work_of(program: Program, steps: Sequence[int] | None = None) -> Work:
    """Work of a run with the given steps a phase (default: the maxima)."""
    products = instructions = peak = 0
    for phase, count in zip(program.phases, check_steps(program, steps), strict=True):
        each = [template_work(program.templates[n.template]) for n in phase.instances]
        products += count * sum(p for p, _ in each)
        instructions += count * sum(n for _, n in each)
        peak = max(peak, peak_memory(program, phase))
    held = [*program.constants, *program.inputs, *(s.tensor for s in program.states)]
    return Work(products, instructions, peak + sum(d.nbytes for d in held))
