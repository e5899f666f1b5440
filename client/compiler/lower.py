"""From expressions to a program: one operation for each kept expression, in order."""

from __future__ import annotations

from dataclasses import dataclass

from client.compiler.body import Body, Keep, TooBig, fold_shape
from client.compiler.errors import CompileError
from client.compiler.graph import (
    Const,
    Core,
    Expr,
    Gather,
    Graph,
    Input,
    Map,
    Movement,
    Reduce,
)
from client.compiler.scalars import Scalar, number, scalar
from client.compiler.schedule import Scheduler
from protocol.spec import legality
from protocol.spec.builder import Builder
from protocol.spec.costs import MAX_BYTES, MAX_COST, cost
from protocol.spec.operations import Scalars, evaluate
from protocol.spec.types import Array, Fold, Program, Ref, Template


@dataclass(frozen=True, slots=True)
class Lowered:
    """A program, its constants, and the source of each operation."""

    program: Program
    constants: list[Array]
    sources: list[str]


def lower(graph: Graph, inputs: list[Expr], outputs: list[Expr]) -> Lowered:
    """The program that computes ``outputs``; legal, or CompileError."""
    return _Lowering(graph, inputs, outputs).run()


class _Lowering:
    def __init__(self, graph: Graph, inputs: list[Expr], outputs: list[Expr]) -> None:
        self.graph, self.outputs = graph, outputs
        self.builder = Builder()
        self.refs: dict[Expr, Ref] = {
            e: self.builder.input(e.element.dtype, e.shape) for e in inputs
        }
        self.values: dict[Expr, Array] = {}
        self.bounds: dict[Expr, int] = {}
        self.alias: dict[Expr, Expr] = {}
        self.sources: list[str] = []
        plan = Scheduler(outputs).run()
        self.kept, self.core_of = plan.kept, plan.core_of

    def run(self) -> Lowered:
        for e in sorted(self.kept, key=lambda e: e.number):
            self._build(e)
        for e in self.outputs:
            self.builder.output(self._result(e))
        program, constants = self.builder.build()
        legality.check(program)
        return Lowered(program, constants, self.sources)

    # -- one operation -----------------------------------------------------------------------

    def _built(self, e: Expr) -> bool:
        return e in self.refs or e in self.values

    def _build(self, e: Expr) -> None:
        """Make the operation of a kept expression (or its value, if it is constant)."""
        while not self._built(e):
            core = self.core_of.get(e, e if isinstance(e, Core) else None)
            core = self.alias.get(core, core) if core is not None else None
            if core is not None and not isinstance(core, Core):
                core = None  # a split argmax ends in elementwise work
            body = Body(e, core, self.kept - {e}, self.alias)
            try:
                t = body.template()
            except Keep as wanted:
                self._keep(e, wanted.expr)
                continue
            except TooBig:
                self._keep(e, self._half(e))
                continue
            if self._fits(t) or e.constant:
                self._finish(e, t, body.operands)
            elif isinstance(core, Reduce):
                self._split(e, core)
            else:
                self._keep(e, self._half(e))

    def _finish(self, e: Expr, t: Template, operands: list[Expr]) -> None:
        if e.constant:
            self.values[e] = evaluate(t, [self._value(a) for a in operands], Scalars())
            if isinstance(e, Map) and e.fn.name == "quantise":
                self.bounds[e] = int(e.fn.params[0])
            return
        ref = self.builder.op(t, [self._ref(a) for a in operands])
        self.refs[e] = ref
        self._record(ref, e)

    def _record(self, ref: Ref, e: Expr) -> None:
        """Note the source of an operation, unless it is an earlier one that is shared."""
        if ref.index == len(self.sources):
            self.sources.append(e.source)

    @staticmethod
    def _fits(t: Template) -> bool:
        worst = cost(t)
        return worst.gas <= MAX_COST and worst.bytes <= MAX_BYTES

    def _value(self, e: Expr) -> Array:
        return e.value if isinstance(e, Const) else self.values[e]

    def _ref(self, e: Expr) -> Ref:
        if e not in self.refs:
            bound = e.bound if isinstance(e, Const) else self.bounds.get(e, 0)
            self.refs[e] = self.builder.constant(self._value(e), bound)
        return self.refs[e]

    def _result(self, e: Expr) -> Ref:
        """An operation that yields output ``e``: a copy, where it is an input or constant."""
        if not e.constant and not isinstance(e, Input):
            return self.refs[e]
        copy = self.graph.map(scalar("same"), e.element, [e], e.shape)
        t = Body(copy, None, {e}, {}).template()
        ref = self.builder.op(t, [self._ref(e)])
        self._record(ref, e)
        return ref

    # -- what does not fit ---------------------------------------------------------------------

    def _keep(self, e: Expr, wanted: Expr) -> None:
        """Give ``wanted``, so far computed inside ``e``, an operation of its own."""
        core = self.core_of.get(e)
        if wanted is e or wanted in self.kept or isinstance(wanted, (Const, Input)):
            raise CompileError(f"{e.source}: this computation does not fit one operation")
        if core is not None and self._inside(wanted, core):
            del self.core_of[e]
            if wanted is not core:
                self.core_of[wanted] = core
        self.kept.add(wanted)
        self._build(wanted)

    def _inside(self, e: Expr, wanted: Expr) -> bool:
        """Whether ``wanted`` is ``e`` or computed inside it."""
        seen, todo = {e}, [e]
        while todo:
            x = todo.pop()
            if x is wanted:
                return True
            if x in self.kept and x is not e:
                continue
            todo += [a for a in x.args if a not in seen and a.number >= wanted.number]
            seen.update(x.args)
        return False

    def _half(self, e: Expr) -> Expr:
        """The part of ``e`` whose cost is nearest to half of the whole."""
        inside: dict[Expr, int] = {}

        def visit(x: Expr) -> int:
            if x is not e and (x in self.kept or isinstance(x, (Const, Input))):
                return 1
            if x not in inside:
                inside[x] = 0
                own = x.fn.cost if isinstance(x, Map) else 2 * isinstance(x, (Gather, *Core))
                inside[x] = own + sum(visit(a) for a in x.args)
            return inside[x]

        whole = visit(e)
        core = self.core_of.get(e)
        rows = [
            (abs(2 * cost - whole), x.number, x)
            for x, cost in inside.items()
            if x is not e and cost > 1 and not isinstance(x, Movement) and not x.constant
            and (core is None or x is core or not self._inside(core, x))
        ]
        if not rows:
            raise CompileError(f"{e.source}: this computation does not fit one operation")
        return min(rows)[2]

    # -- long folds ------------------------------------------------------------------------------

    def _split(self, e: Expr, core: Reduce) -> None:
        """Fold in chunks of a power of two, then fold the partial results: the same bits, for
        chunks of adjacent leaves are subtrees of the float sum."""
        g, x = self.graph, core.args[0]
        n = 1
        for length in fold_shape(core):
            n *= length
        head = x.shape[: x.rank - core.axes]
        flat = g.reshape(x, (*head, n))
        chunk = 1 << (n - 1).bit_length() - 1
        while chunk > 1:
            partial, whole = self._partial(core, flat, head, n, chunk)
            if self._tried(partial):
                self.alias[core] = whole
                for old, new in list(self.alias.items()):
                    self.alias[old] = self.alias.get(new, new)
                return
            chunk //= 2
        raise CompileError(f"{e.source}: one element of this sum is too costly to check on chain")

    def _partial(
        self, core: Reduce, flat: Expr, head: tuple[int, ...], n: int, chunk: int
    ) -> tuple[list[Expr], Expr]:
        """The chunk results and the expression that combines them."""
        g = self.graph
        parts = -(-n // chunk)
        if parts * chunk > n:
            shape = (*head, parts * chunk)
            zeros, ones = (0,) * len(shape), (1,) * len(shape)
            at = g.coordinate(shape, len(head))
            end = g.map(number(n, at.element), at.element, [], ())
            inside = g.map(scalar("ilt"), at.element, [at, end], shape)
            rest = g.map(_neutral(core), flat.element, [], ())
            longer = g.slice(flat, zeros, ones, shape)
            flat = g.map(scalar("select"), flat.element, [inside, longer, rest], shape)
        chunks = g.reshape(flat, (*head, parts, chunk))
        if core.fold is not Fold.ARGMAX:
            part = g.reduce(core.fold, chunks, 1)
            return [part], g.reduce(core.fold, part, 1)
        best, at = g.reduce(Fold.MAX, chunks, 1), g.reduce(Fold.ARGMAX, chunks, 1)
        which = g.reduce(Fold.ARGMAX, best, 1)
        picks = [*range(len(head)), None]
        inner = g.gather(at, picks, [which], head)
        size = g.map(number(chunk, which.element), which.element, [], ())
        outer = g.map(scalar("imul", "int64"), which.element, [which, size], head)
        total = g.map(scalar("iadd", "int64"), which.element, [outer, inner], head)
        return [best, at, which], total

    def _tried(self, parts: list[Expr]) -> bool:
        """Build the operations of a split if the chunks fit."""
        first = parts[0]
        body = Body(first, first, self.kept - {first}, self.alias)
        try:
            if not self._fits(body.template()):
                return False
        except Keep as wanted:
            self._keep(first, wanted.expr)
            return self._tried(parts)
        for p in parts:
            self.kept.add(p)
            self._build(p)
        return True


def _neutral(core: Reduce) -> Scalar:
    """A literal that does not change the fold."""
    x = core.args[0].element
    low = float("-inf") if x.is_float else x.dtype.min
    high = float("inf") if x.is_float else x.dtype.max
    values = {Fold.FSUM: 0.0, Fold.ISUM: 0, Fold.MAX: low, Fold.MIN: high, Fold.ARGMAX: low}
    return number(values[core.fold], x)
