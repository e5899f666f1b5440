"""The table of ATen operators and what a lowering sees of one use of an operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from client.compiler.errors import UnsupportedOperator
from client.compiler.graph import Element, Expr, Graph
from client.compiler.ops import Ops
from protocol.spec.types import Fold

Lowering = Callable[["Call"], Expr | tuple[Expr | None, ...] | None]

TABLE: dict[str, Lowering] = {}
"""Operator and overload ("add.Tensor") → its lowering."""

ELEMENTS = {
    torch.float32: Element.F32,
    torch.int64: Element.I64,
    torch.int32: Element.I32,
    torch.int16: Element.I16,
    torch.int8: Element.I8,
    torch.bool: Element.BOOL,
}
"""PyTorch's dtypes that the machine has."""


def lowers(*names: str) -> Callable[[Lowering], Lowering]:
    """Register a lowering; a name without a dot means its ``default`` overload."""

    def register(function: Lowering) -> Lowering:
        for name in names:
            full = name if "." in name else name + ".default"
            assert full not in TABLE, full
            TABLE[full] = function
        return function

    return register


def families() -> list[str]:
    """Names of the supported operators that a person would write, without overloads."""
    names = {name.partition(".")[0] for name in TABLE}
    return sorted(name for name in names if not name.startswith("_") and ":" not in name)


def element_of(dtype: torch.dtype, what: str) -> Element:
    """The element type of a PyTorch dtype; UnsupportedOperator if the machine has none."""
    if dtype not in ELEMENTS:
        known = ", ".join(str(d).removeprefix("torch.") for d in ELEMENTS)
        hint = ": call .float() on the module and its inputs" if dtype.is_floating_point else ""
        raise UnsupportedOperator(f"{what} has dtype {dtype}; the machine has {known}{hint}")
    return ELEMENTS[dtype]


@dataclass(frozen=True, slots=True)
class Call:
    """One use of an operator: its arguments by name, with defaults; its result's type and shape.

    Tensors among the arguments are expressions already.
    """

    ops: Ops
    name: str
    where: str
    arguments: dict[str, Any]
    results: tuple[tuple[Element, tuple[int, ...]] | None, ...]

    @property
    def g(self) -> Graph:
        return self.ops.g

    @property
    def element(self) -> Element:
        assert self.results[0] is not None
        return self.results[0][0]

    @property
    def shape(self) -> tuple[int, ...]:
        assert self.results[0] is not None
        return self.results[0][1]

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An argument, or ``default`` where the overload has none of that name or it is None."""
        value = self.arguments.get(name)
        return default if value is None else value

    def x(self, name: str = "self", element: Element | None = None) -> Expr:
        """A tensor argument (or a number), converted to ``element`` if one is given."""
        value = self.arguments[name]
        if not isinstance(value, Expr):
            assert isinstance(value, (bool, int, float)), (self.name, name, value)
            natural = (
                Element.BOOL
                if isinstance(value, bool)
                else Element.I64 if isinstance(value, int) else Element.F32
            )
            return self.ops.literal(value, element or natural)
        return self.ops.cast(value, element) if element is not None else value

    def maybe(self, name: str, element: Element | None = None) -> Expr | None:
        """A tensor argument that may be None."""
        return None if self.arguments.get(name) is None else self.x(name, element)

    def dims(self, name: str = "dim") -> list[int]:
        """A list of axes; one axis and none are lists too."""
        value = self.get(name, [])
        return [value] if isinstance(value, int) else list(value)

    def axis(self, name: str = "dim") -> int:
        rank = self.x().rank
        return int(self[name]) % rank if rank else 0

    def common(self, *names: str) -> list[Expr]:
        """Arguments converted to the type that PyTorch compares them in."""
        return [self.x(name, self._common(names)) for name in names]

    def _common(self, names: Sequence[str]) -> Element:
        values = [self.arguments[name] for name in names]
        tensors = [v for v in values if isinstance(v, Expr)]
        ranked = [v for v in tensors if v.rank] or tensors
        kinds = {torch_dtype(v.element) for v in ranked}
        best = kinds.pop()
        for other in kinds:
            best = torch.promote_types(best, other)
        for v in [v for v in values if v not in ranked]:
            sample = torch.empty((), dtype=torch_dtype(v.element)) if isinstance(v, Expr) else v
            best = torch.result_type(torch.empty((1,), dtype=best), cast(Any, sample))
        return element_of(best, self.name)

    def refuse(self, why: str) -> UnsupportedOperator:
        """The error for a use of a supported operator that has no lowering."""
        return UnsupportedOperator(f"{self.where}: aten.{self.name}: {why}")

    def reduce(self, fold: Fold, x: Expr, *, element: Element | None = None) -> Expr:
        """Fold over the argument ``dim`` with ``keepdim``, then convert."""
        out = self.ops.reduce(fold, x, self.dims(), keep=bool(self.get("keepdim", False)))
        return self.ops.cast(out, element or self.element)


def torch_dtype(element: Element) -> torch.dtype:
    """PyTorch's dtype of an element type."""
    return cast(torch.dtype, getattr(torch, element.value))
