"""Decides which expressions become operations, and which are computed inside others.

- A *core* (REDUCE, DOT) takes the elementwise work that follows it into its ``post``, as far as
  all its uses pass through one expression with the same elements in the same order.
- Elementwise work is computed inside its consumer; if several operations want it, it is kept when
  it costs more than a few instructions, else computed again.
- What no input can change is computed now and shipped as a constant.

Everything follows from the numbers of the expressions: the same graph gives the same decisions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from client.compiler.graph import (
    Const,
    Coordinate,
    Core,
    Dot,
    Expand,
    Expr,
    Gather,
    Input,
    Map,
    Movement,
    same_order,
)

CHEAP = 3
"""Instructions and loads that are rather computed again than kept, over all operations."""

LARGE = 160
"""Instructions and loads after which a chain is cut: about what one template holds."""

REACH = 48
"""Expressions a post may grow over while looking for the point where all paths meet."""


@dataclass
class Schedule:
    """``kept``: expressions that get an operation of their own; ``core_of``: of these, the core
    whose post ends in the expression (a core without such an expression is kept itself)."""

    kept: set[Expr] = field(default_factory=set)
    core_of: dict[Expr, Expr] = field(default_factory=dict)


def reachable(outputs: Iterable[Expr]) -> list[Expr]:
    """Everything the outputs need, by number (arguments first)."""
    seen: set[Expr] = set()
    todo = list(outputs)
    while todo:
        e = todo.pop()
        if e not in seen:
            seen.add(e)
            todo += e.args
    return sorted(seen, key=lambda e: e.number)


def consumers_of(order: Iterable[Expr]) -> dict[Expr, list[Expr]]:
    """Who reads each expression, by number."""
    out: dict[Expr, list[Expr]] = {}
    for e in order:
        out.setdefault(e, [])
        for a in dict.fromkeys(e.args):
            out.setdefault(a, []).append(e)
    return out


def base_of(e: Expr) -> Expr:
    """What a chain of views looks at."""
    while isinstance(e, Movement):
        e = e.args[0]
    return e


class Scheduler:
    """One run of the decisions. ``wanted`` are expressions that must be kept whatever else."""

    def __init__(self, outputs: list[Expr], wanted: Iterable[Expr] = ()) -> None:
        self.outputs = outputs
        self.order = reachable(outputs)
        self.consumers = consumers_of(self.order)
        self.kept = {e for e in [*outputs, *wanted] if not isinstance(e, (Const, Input))}
        self.core_of: dict[Expr, Expr] = {}
        self._costs: dict[Expr, int] = {}

    def run(self) -> Schedule:
        self._keep_operands()
        self._keep_constants()
        self._grow_posts()
        self._keep_shared()
        return Schedule(self.kept, self.core_of)

    def _keep_operands(self) -> None:
        """Operands of DOTs and tables of gathers are read from memory."""
        for e in self.order:
            if isinstance(e, Dot):
                self.kept |= {base_of(a) for a in e.args}
            elif isinstance(e, Gather):
                self.kept.add(e.args[0])
        self.kept = {e for e in self.kept if not isinstance(e, (Const, Input))}

    def _keep_constants(self) -> None:
        """What no input can change, where it meets what an input can: computed now if it is work
        on a constant tensor, or a part of one."""
        for e in self.order:
            if not e.constant or isinstance(e, (Const, Expand)):
                continue
            inner = not isinstance(e, Movement)
            wanted = self._is_work(e) if inner else e.count < base_of(e).count
            for r in self.consumers[e]:
                if wanted and (not r.constant or isinstance(r, Movement if inner else Expand)):
                    self.kept.add(e)

    @staticmethod
    def _is_work(e: Expr) -> bool:
        """Whether ``e`` reads a constant of more than one element."""
        return any(isinstance(c, Const) and c.count > 1 for c in reachable([e]))

    def _grow_posts(self) -> None:
        """Latest cores first, so that a sum of two products is the post of the later one."""
        claimed: set[Expr] = set()
        for core in reversed(self.order):
            if isinstance(core, Core):
                self._grow_post(core, claimed)

    def _grow_post(self, core: Expr, claimed: set[Expr]) -> None:
        """Walk forward from ``core``; every time all paths meet in one expression, the post can
        end there."""
        inside, last = {core}, core
        todo = list(self.consumers[core])
        while todo and len(inside) < REACH and last not in self.kept:
            step = min(todo, key=lambda e: e.number)
            follows = (isinstance(step, Map) or same_order(step)) and step.count == core.count
            if not follows or step in claimed or step.constant != core.constant:
                break
            if len(todo) == 1:
                last = step
            elif step in self.kept:
                break
            inside.add(step)
            todo.remove(step)
            todo += [e for e in self.consumers[step] if e not in todo and e not in inside]
        while same_order(last) and last not in self.kept:
            last = last.args[0]
        claimed |= {e for e in inside if e.number <= last.number}
        self.kept.add(last)
        if last is not core:
            self.core_of[last] = core
            self.kept.discard(core)

    def _keep_shared(self) -> None:
        """What several operations want is kept unless computing it again is cheap.

        Who wants what depends on what is kept: a first round decides as if nothing were, a second
        with the first one's answer.
        """
        certain = set(self.kept)
        for _ in range(2):
            readers = self._readers()
            self.kept = set(certain)
            self._costs.clear()
            for e in self.order:
                if self._is_shared(e, readers[e]):
                    self.kept.add(e)

    def _is_shared(self, e: Expr, readers: set[Expr]) -> bool:
        """Whether ``e`` should be kept for its readers.

        Where all of them want it through one expression, that one is asked instead.
        """
        if e in self.kept or not isinstance(e, (Map, Gather)):
            return False
        if self.cost(e) > LARGE:
            return True
        if e.constant:
            return False
        only = self.consumers[e][0]
        if len(self.consumers[e]) == 1 and isinstance(only, Map) and only not in self.kept:
            return False
        return (len(readers) - 1) * (self.cost(e) - 1) > CHEAP

    def _readers(self) -> dict[Expr, set[Expr]]:
        """The operations that each expression is computed in, as decided so far."""
        readers: dict[Expr, set[Expr]] = {}
        for e in reversed(self.order):
            readers[e] = set()
            for c in self.consumers[e]:
                own = c in self.kept or isinstance(c, Core)
                readers[e] |= {c} if own else readers[c]
        return readers

    def cost(self, e: Expr) -> int:
        """Instructions and loads of computing one element of ``e`` from what is kept.

        What is the same for many elements (a row's scale) counts as its load alone.
        """
        if e in self.kept:
            return 1
        if e not in self._costs:
            self._costs[e] = self._cost(e)
        return self._costs[e]

    def _cost(self, e: Expr) -> int:
        if isinstance(e, (Const, Input, *Core)):
            return 1
        if isinstance(e, Coordinate):
            return 0
        if isinstance(e, Expand) and e.count >= 8 * e.args[0].count:
            return min(1, self.cost(e.args[0]))
        own = e.fn.cost if isinstance(e, Map) else 3 if isinstance(e, Gather) else 0
        return own + sum(self.cost(a) for a in e.args)
