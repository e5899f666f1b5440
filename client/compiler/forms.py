"""Affine forms over the digits of an operation's indices, and the views they become.

A form is ``offset + sum(coef * digit)``.  A digit is ``(index // weight) % radix`` of the flattened
output index i or of the flattened reduction index r.  Views (reshape, permute, slice, expand) are
forms composed with forms: nothing is copied until a composition is not affine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocol.spec.types import Digit


class NotAffine(Exception):
    """A reshape splits a digit that the form does not let it split."""


@dataclass(frozen=True, slots=True, order=True)
class Term:
    """``coef * ((index // weight) % radix)``; ``fold`` says which index: r, or i."""

    fold: bool
    weight: int
    radix: int
    coef: int


@dataclass(frozen=True, slots=True)
class Form:
    """``offset`` plus the sum of ``terms``, which are normal: no radix 1, no coefficient 0, and
    no two neighbours that one digit could express."""

    offset: int = 0
    terms: tuple[Term, ...] = ()

    def __add__(self, other: Form) -> Form:
        return make(self.offset + other.offset, [*self.terms, *other.terms])

    def __mul__(self, factor: int) -> Form:
        terms = [Term(t.fold, t.weight, t.radix, t.coef * factor) for t in self.terms]
        return make(self.offset * factor, terms)

    def shift(self, offset: int) -> Form:
        return Form(self.offset + offset, self.terms)

    @property
    def low(self) -> int:
        """Smallest value."""
        return self.offset + sum(min(0, t.coef * (t.radix - 1)) for t in self.terms)

    @property
    def high(self) -> int:
        """Largest value."""
        return self.offset + sum(max(0, t.coef * (t.radix - 1)) for t in self.terms)


ZERO = Form()


def make(offset: int, terms: Iterable[Term]) -> Form:
    """The normal form."""
    sums: dict[tuple[bool, int, int], int] = {}
    for t in terms:
        key = (t.fold, t.weight, t.radix)
        sums[key] = sums.get(key, 0) + t.coef
    rows = sorted(
        (Term(*key, coef) for key, coef in sums.items() if coef and key[2] > 1), reverse=True
    )
    out: list[Term] = []
    for t in rows:
        if out:
            high = out[-1]
            touching = high.fold == t.fold and high.weight == t.weight * t.radix
            if touching and high.coef == t.coef * t.radix:
                out[-1] = Term(t.fold, t.weight, t.radix * high.radix, t.coef)
                continue
        out.append(t)
    return Form(offset, tuple(out))


def total(forms: Iterable[Form]) -> Form:
    """Sum of forms."""
    items = list(forms)
    return make(sum(f.offset for f in items), [t for f in items for t in f.terms])


def strides_of(shape: Sequence[int]) -> list[int]:
    """Row-major strides in elements."""
    out = [1] * len(shape)
    for k in range(len(shape) - 2, -1, -1):
        out[k] = out[k + 1] * shape[k + 1]
    return out


def coordinates(shape: Sequence[int], *, fold: bool = False) -> tuple[Form, ...]:
    """One form an axis: the coordinates of the flattened index over ``shape``."""
    rows = zip(shape, strides_of(shape), strict=True)
    return tuple(make(0, [Term(fold, weight, n, 1)]) for n, weight in rows)


def flatten(coords: Sequence[Form], shape: Sequence[int]) -> Form:
    """The flattened index of a point of ``shape``."""
    return total(c * s for c, s in zip(coords, strides_of(shape), strict=True))


def _split_once(form: Form, base: int) -> tuple[Form, Form]:
    """(form // base, form % base). Raises NotAffine."""
    low: list[Term] = []
    high: list[Term] = []
    for t in form.terms:
        if t.coef % base == 0:
            high.append(Term(t.fold, t.weight, t.radix, t.coef // base))
        elif 0 < t.coef * (t.radix - 1) < base:
            low.append(t)
        elif 0 < t.coef < base and base % t.coef == 0 and t.radix % (base // t.coef) == 0:
            n = base // t.coef
            low.append(Term(t.fold, t.weight, n, t.coef))
            high.append(Term(t.fold, t.weight * n, t.radix // n, 1))
        else:
            raise NotAffine
    rest = make(form.offset % base, low)
    if rest.high >= base:
        raise NotAffine
    return make(form.offset // base, high), rest


def unflatten(form: Form, shape: Sequence[int]) -> tuple[Form, ...]:
    """Coordinates of a flattened index of ``shape``. Raises NotAffine if they are not affine."""
    out: list[Form] = []
    for n in reversed(shape[1:]):
        form, rest = _split_once(form, n)
        out.append(rest)
    return (form, *reversed(out)) if shape else ()


def reshape(coords: Sequence[Form], old: Sequence[int], new: Sequence[int]) -> tuple[Form, ...]:
    """Coordinates in ``new`` of the point ``coords`` of ``old``. Raises NotAffine."""
    kept = [(c, n) for c, n in zip(coords, old, strict=True) if n > 1]
    if [n for _, n in kept] == [n for n in new if n > 1]:
        rest = iter(c for c, _ in kept)
        return tuple(next(rest) if n > 1 else ZERO for n in new)
    return unflatten(flatten(coords, old), new)


# --- digits of a view ---------------------------------------------------------------------------


def refine(terms: Iterable[Term], count: int) -> tuple[int, ...] | None:
    """Fewest radices of ``count`` on whose digits every term is a sum; None if there are none."""
    cuts = {1, count}
    for t in terms:
        cuts |= {t.weight, t.weight * t.radix}
    rising = sorted(cuts)
    if any(high % low for low, high in zip(rising, rising[1:], strict=False)):
        return None
    pairs = zip(rising, rising[1:], strict=False)
    return tuple(reversed([high // low for low, high in pairs])) or (1,)


def on_digits(form: Form, radices: Sequence[int], *, fold: bool) -> list[int] | None:
    """Weight of each digit of ``radices`` in ``form``; None if a term does not fit them."""
    weights = strides_of(radices)
    out = [0] * len(radices)
    for t in form.terms:
        if t.fold is not fold:
            continue
        covered = 1
        for k, (n, w) in enumerate(zip(radices, weights, strict=True)):
            if t.weight <= w < t.weight * t.radix and w % t.weight == 0:
                out[k] += t.coef * (w // t.weight)
                covered *= n
        if covered != t.radix or (t.weight not in weights):
            return None
    return out


def digits(forms: Sequence[Form], radices: Sequence[int], *, fold: bool) -> list[Digit] | None:
    """Digits with the stride of forms[0] and the guard weights of forms[1] and forms[2], if any.

    None if a form does not fit ``radices``.
    """
    columns: list[list[int]] = []
    for form in forms:
        column = on_digits(form, radices, fold=fold)
        if column is None:
            return None
        columns.append(column)
    columns += [[0] * len(radices)] * (3 - len(columns))
    return [Digit(n, *(c[k] for c in columns)) for k, n in enumerate(radices)]


def merge(rows: Sequence[Digit]) -> tuple[Digit, ...]:
    """Neighbouring digits that are one digit joined; digits of radix 1 dropped (one is kept)."""
    out: list[Digit] = []
    for d in reversed(rows):
        if d.radix == 1:
            continue
        low = out[-1] if out else None
        if low is not None and all(
            high == unit * low.radix
            for high, unit in ((d.stride, low.stride), (d.g0, low.g0), (d.g1, low.g1))
        ):
            out[-1] = Digit(low.radix * d.radix, low.stride, low.g0, low.g1)
        else:
            out.append(d)
    return tuple(reversed(out)) or (Digit(math.prod(d.radix for d in rows), 0),)
