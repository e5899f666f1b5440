"""Writes one template: an expression and everything computed inside its operation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from client.compiler import forms
from client.compiler.forms import Form, NotAffine, Term
from client.compiler.graph import (
    Affine,
    Const,
    Coordinate,
    Dot,
    Expr,
    Gather,
    Input,
    Map,
    Movement,
    Permute,
    Reduce,
    Reshape,
    Slice,
)
from protocol.spec.assembler import Code, Reg, RegI
from protocol.spec.constants import (
    MAX_DIGITS,
    MAX_INSTRUCTIONS,
    MAX_RDIGITS,
    MAX_SLOTS,
    MAX_VIEWS,
)
from protocol.spec.errors import LimitExceeded
from protocol.spec.types import Digit, Fold, Guard, Instr, Kind, Slot, Template, View


class Keep(Exception):
    """``expr`` must get an operation of its own before the template can be written."""

    def __init__(self, expr: Expr) -> None:
        super().__init__(expr)
        self.expr = expr


class TooBig(Exception):
    """The template has too many operands, views or instructions."""


@dataclass(frozen=True, slots=True)
class Load:
    """One view: the operand, its address, its pad, and whether the address is computed."""

    slot: int
    address: Form
    pad: int = 0
    computed: bool = False


@dataclass
class Part:
    """``pre`` or ``post`` under construction, with what has been written of it."""

    code: Code
    folding: bool
    known: dict[tuple[Expr, tuple[Form, ...]], Reg] = field(default_factory=dict)


class Body:
    """``root`` is computed; ``core`` (or None) is the fold or product whose result post reads.

    ``kept`` are expressions in memory; ``alias`` gives the replacement of a core that was split.
    Raises Keep, TooBig.
    """

    def __init__(
        self, root: Expr, core: Expr | None, kept: set[Expr], alias: dict[Expr, Expr]
    ) -> None:
        self.root, self.core = root, core
        self.kept, self.alias = kept, alias
        self.terms = math.prod(fold_shape(core)) if core is not None else 1
        self.r: tuple[int, ...] = (self.terms,) if core is not None else ()
        self.indirect: set[Load] = set()
        self._reset()

    def _reset(self) -> None:
        self.operands: list[Expr] = []
        self.loads: list[Load] = []
        self.pre = Part(Code(), True)
        self.post = Part(Code(), False)
        self.r_terms: set[Term] = set()

    # -- the template --------------------------------------------------------------------------

    def template(self) -> Template:
        """The template; ``operands`` are then the expressions of its slots."""
        t = self._attempt()
        while t is None:
            t = self._attempt()
        return t

    def _attempt(self) -> Template | None:
        """One pass; None if it learnt how r or a view must be written otherwise."""
        self._reset()
        try:
            pre, post = self._codes()
        except LimitExceeded as error:
            raise TooBig from error
        if len(self.operands) > MAX_SLOTS or len(self.loads) > MAX_VIEWS:
            raise TooBig
        if len(pre) + len(post) > MAX_INSTRUCTIONS:
            raise TooBig
        if self._learn():
            return None
        core, kind = self.core, Kind.MAP
        bounds, fold = (0, 0), Fold.NONE
        if isinstance(core, Dot):
            kind, bounds = Kind.DOT, core.bounds
        elif isinstance(core, Reduce):
            kind, fold = Kind.REDUCE, core.fold
        return Template(
            kind,
            self.root.element.dtype,
            self.root.shape,
            tuple(Slot(e.element.dtype, e.count) for e in self.operands),
            tuple(self._view(load) or self._blind(load) for load in self.loads),
            post=post,
            pre=pre,
            r=self.r,
            fold=fold,
            bound_a=bounds[0],
            bound_b=bounds[1],
        )

    def _codes(self) -> tuple[tuple[Instr, ...], tuple[Instr, ...]]:
        pre: tuple[Instr, ...] = ()
        if self.core is not None:
            at = forms.coordinates(self.core.shape)
            over = forms.coordinates(fold_shape(self.core), fold=True)
            if isinstance(self.core, Dot):
                for operand in self.core.args:
                    self._operand(operand, at + over)
            else:
                pre = self.pre.code.finish(self._emit(self.pre, self.core.args[0], at + over))
        top = self._write(self.post, self.root, forms.coordinates(self.root.shape))
        return pre, self.post.code.finish(top)

    def _operand(self, e: Expr, at: tuple[Form, ...]) -> None:
        """A view of a DOT's operand: never merged with an equal one, never computed."""
        while isinstance(e, Movement) and e not in self.kept:
            x = e.args[0]
            if isinstance(e, Reshape) and self._in_memory(x):
                at, e = (forms.flatten(at, e.shape),), x
                break
            at = self._through(e, at)
            e = x
        address = at[0] if len(at) == 1 else forms.flatten(at, e.shape)
        self.r_terms |= {t for t in address.terms if t.fold}
        self.loads.append(Load(self._slot(e), address))

    def _in_memory(self, e: Expr) -> bool:
        """Whether ``e`` is read rather than computed."""
        return e in self.kept or isinstance(e, (Const, Input))

    def _learn(self) -> bool:
        """Choose the digits of r and the loads that need a computed address; True if changed."""
        if self.core is not None:
            r = forms.refine(self.r_terms, self.terms)
            r = tuple(n for n in r or () if n > 1) or (self.terms,)
            if len(r) <= MAX_RDIGITS and r != self.r:
                self.r = r
                return True
        bad = {x for x in self.loads if self._view(x) is None and x not in self.indirect}
        if any(x in bad for x in self.loads[:2]) and isinstance(self.core, Dot):
            raise TooBig
        self.indirect |= bad
        return bool(bad)

    def _view(self, load: Load) -> View | None:
        """The view of a load, or None if its address does not fit digits."""
        address = load.address
        slot = self.operands[load.slot]
        terms = [t for t in address.terms if not t.fold]
        radices = forms.refine(terms, self.root.count)
        if radices is None:
            return None
        inside = load.computed or (address.low >= 0 and address.high < slot.count)
        columns = [address] if inside else [address, address]
        digits = forms.digits(columns, radices, fold=False)
        folded = forms.digits(columns, self.r, fold=True)
        if digits is None or folded is None:
            return None
        rows = forms.merge(digits)
        if rows[0].radix == 0 or math.prod(d.radix for d in rows) != self.root.count:
            rows = tuple(digits)
        if isinstance(self.core, Dot) and self.terms == 1 and load in self.loads[:2]:
            folded = [Digit(1, 1)]  # any stride reads the one term; the machine wants 1
        guards = () if inside else (Guard(address.offset, slot.count),)
        if len(rows) > MAX_DIGITS:
            return None
        return View(load.slot, address.offset, rows, tuple(folded), guards, load.pad)

    def _blind(self, load: Load) -> View:
        """The view of a load whose whole address is computed."""
        digits = (Digit(self.root.count, 0),)
        return View(load.slot, 0, digits, tuple(Digit(n, 0) for n in self.r), (), load.pad)

    # -- expressions ---------------------------------------------------------------------------

    def _emit(self, part: Part, e: Expr, at: tuple[Form, ...]) -> Reg:
        """Register of ``e`` at the coordinates ``at``."""
        e = self.alias.get(e, e)
        key = (e, at)
        if key not in part.known:
            if e is self.core and not part.folding:
                part.known[key] = self._acc(e, at)
            elif self._in_memory(e):
                part.known[key] = self._load(part, e, forms.flatten(at, e.shape))
            else:
                part.known[key] = self._write(part, e, at)
        return part.known[key]

    def _acc(self, e: Expr, at: tuple[Form, ...]) -> Reg:
        index = forms.flatten(at, e.shape)
        if index != forms.coordinates((e.count,))[0]:
            raise Keep(e)
        code = self.post.code
        return code.acc_f() if e.element.is_float else code.acc_i()

    def _write(self, part: Part, e: Expr, at: tuple[Form, ...]) -> Reg:
        e = self.alias.get(e, e)
        if e is self.core:
            return self._acc(e, at)
        if isinstance(e, Map):
            return e.fn.emit(part.code, [self._emit(part, a, at) for a in e.args])
        if isinstance(e, Coordinate):
            return self._number(part, at[e.axis])
        if isinstance(e, Gather):
            return self._gather(part, e, at)
        if isinstance(e, Reshape) and self._in_memory(self.alias.get(e.args[0], e.args[0])):
            x = self.alias.get(e.args[0], e.args[0])
            if x is not self.core or part.folding:
                return self._load(part, x, forms.flatten(at, e.shape))
        if isinstance(e, Movement):
            return self._emit(part, e.args[0], self._through(e, at))
        raise Keep(e)

    def _through(self, e: Expr, at: tuple[Form, ...]) -> tuple[Form, ...]:
        """Coordinates in the argument of a view."""
        x = e.args[0]
        if isinstance(e, Reshape):
            try:
                return forms.reshape(at, e.shape, x.shape)
            except NotAffine:
                raise Keep(x) from None
        if isinstance(e, Permute):
            place = {axis: k for k, axis in enumerate(e.order)}
            return tuple(at[place[axis]] for axis in range(x.rank))
        if isinstance(e, Slice):
            rows = zip(at, e.starts, e.steps, strict=True)
            return tuple((c * step).shift(start) for c, start, step in rows)
        if isinstance(e, Affine):
            sums = ((offset, forms.total(at[k] * n for k, n in pairs)) for offset, pairs in e.rows)
            return tuple(form.shift(offset) for offset, form in sums)
        return tuple(
            forms.ZERO if n == 1 else c for c, n in zip(at, x.shape, strict=True)
        )

    def _gather(self, part: Part, e: Gather, at: tuple[Form, ...]) -> Reg:
        table = e.args[0]
        rest = iter(e.args[1:])
        address, index = forms.ZERO, None
        for pick, stride in zip(e.picks, forms.strides_of(table.shape), strict=True):
            if pick is not None:
                address = address + at[pick] * stride
                continue
            step = self._emit(part, next(rest), at)
            assert isinstance(step, RegI)
            step = step * stride if stride != 1 else step
            index = step if index is None else index + step
        assert index is not None
        return self._load(part, table, address, index, e.pad)

    # -- loads and numbers -----------------------------------------------------------------------

    def _slot(self, e: Expr) -> int:
        if e not in self.operands:
            self.operands.append(e)
        return self.operands.index(e)

    def _load(
        self, part: Part, e: Expr, address: Form, index: RegI | None = None, pad: int = 0
    ) -> Reg:
        load = Load(self._slot(e), address, pad, index is not None)
        self.r_terms |= {t for t in address.terms if t.fold}
        if load in self.indirect:
            whole = self._number(part, address)
            index = whole if index is None else whole + index
        first = 2 if isinstance(self.core, Dot) else 0
        if load not in self.loads[first:]:
            self.loads.append(load)
        view = self.loads.index(load, first)
        if index is None:
            return part.code.load(view, e.element.dtype)
        return part.code.loadx(view, index, e.element.dtype)

    def _number(self, part: Part, form: Form) -> RegI:
        """The value of a form as a register."""
        out: RegI | None = None
        for t in form.terms:
            digit = self._digit(part, t)
            digit = digit * t.coef if t.coef != 1 else digit
            out = digit if out is None else out + digit
        if out is None:
            return part.code.integer(form.offset)
        return out + form.offset if form.offset else out

    def _digit(self, part: Part, t: Term) -> RegI:
        code = part.code
        if not t.fold:
            shape: Sequence[int] = self.root.shape
            for axis, weight in enumerate(forms.strides_of(shape)):
                if (weight, shape[axis]) == (t.weight, t.radix):
                    return code.coord(axis)
        index = code.rindex() if t.fold else code.index()
        whole = self.terms if t.fold else self.root.count
        if t.weight > 1:
            index = index // t.weight
        return index if t.weight * t.radix == whole else index % t.radix


def fold_shape(core: Expr) -> tuple[int, ...]:
    """The axes that a core folds."""
    x = core.args[0]
    assert isinstance(core, (Reduce, Dot))
    return x.shape[x.rank - core.axes :]
