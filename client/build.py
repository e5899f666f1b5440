"""``compile``: from a module to a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from client.compiled import Compiled, Port
from client.compiler.errors import CompileError
from client.compiler.graph import Graph
from client.compiler.lower import lower
from client.compiler.ops import PRECISIONS, Ops
from client.importers.torch_export import Source, Tensor, export, import_exported


def compile(
    source: Source, example_args: Sequence[Any] | None = None, precision: str = "i16"
) -> Compiled:
    """The program of a module in evaluation mode, of an exported program, or of a ``.pt2`` file.

    ``example_args`` are the module's positional arguments: they fix dtypes and shapes (their values
    do not matter); exported programs carry their own.  ``precision`` is i16, i14, i8w or i8.

    The same module gives the same roots in every process.  Raises CompileError, and
    UnsupportedOperator with the place in the user's source.
    """
    if precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise CompileError(f"precision {precision!r} is unknown, want one of {known}")
    graph = Graph()
    ops = Ops(graph, PRECISIONS[precision])
    imported = import_exported(export(source, example_args), graph, ops)
    lowered = lower(graph, imported.inputs, imported.outputs)
    return Compiled(
        lowered.program,
        lowered.constants,
        tuple(map(_port, imported.input_tensors)),
        tuple(map(_port, imported.output_tensors)),
        precision,
        tuple(lowered.sources),
    )


def _port(t: Tensor) -> Port:
    return Port(t.name, t.element.value, t.shape)
