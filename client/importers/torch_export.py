"""Reads PyTorch modules, exported programs and ``.pt2`` files into expressions."""

from __future__ import annotations

import io
import logging
import operator
import os
import sysconfig
import traceback
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch._decomp import get_decompositions
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Node
from torch.utils._pytree import tree_map

from client.compiler.errors import CompileError, UnsupportedOperator
from client.compiler.graph import Element, Expr, Graph
from client.compiler.ops import Ops
from client.importers import aten_elementwise, aten_folds, aten_views, aten_windows
from client.importers.table import TABLE, Call, element_of, families
from protocol.spec.types import Array

FILLED = (aten_elementwise, aten_folds, aten_views, aten_windows)
"""Imported for the table that they fill."""

Source = torch.nn.Module | ExportedProgram | str | os.PathLike[str]

_TORCH = str(Path(torch.__file__).parent)
_PYTHON = sysconfig.get_path("stdlib")
_PACKAGES = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))

WHOLE = (
    *("linear", "matmul", "scaled_dot_product_attention", "layer_norm", "silu", "softplus"),
    *("hardsigmoid", "hardswish", "leaky_relu", "elu", "rms_norm", "dropout", "eye"),
)
"""Operators that PyTorch would decompose and that have a better lowering as a whole."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a module: its name, element type and shape."""

    name: str
    element: Element
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """Expressions of a module's inputs and outputs, in their order."""

    inputs: list[Expr]
    outputs: list[Expr]
    input_tensors: list[Tensor]
    output_tensors: list[Tensor]


@contextmanager
def _quiet() -> Iterator[None]:
    """PyTorch's exporter warns about its own internals, and logs what it then raises."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


FURTHER = (
    *("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "grid_sampler_2d"),
    *("_native_batch_norm_legit", "_trilinear", "upsample_nearest1d", "upsample_linear1d"),
)
"""Operators that PyTorch can decompose, but does only if asked."""

_TRACE_ERRORS = (
    *(RuntimeError, TypeError, ValueError, AssertionError, AttributeError, LookupError),
    ArithmeticError,
)
"""What a module's own code, or the exporter, raises while it is traced."""


def export(source: Source, example: Sequence[Any] | None) -> ExportedProgram:
    """The exported program of a module, of a ``.pt2`` file, or as given.

    ``example`` are the module's positional arguments (a module alone needs them).
    """
    if isinstance(source, ExportedProgram):
        return source
    if isinstance(source, torch.nn.Module):
        return _export_module(source, example)
    if not isinstance(source, str | os.PathLike):
        raise CompileError(
            f"got {type(source).__name__}, wanted an nn.Module, an exported program or a .pt2 file"
        )
    path = Path(source)
    if not path.is_file():
        raise CompileError(f"{path} is no file: give an nn.Module, an exported program or a .pt2")
    if not zipfile.is_zipfile(path):
        raise CompileError(f"{path} is no .pt2 file, or truncated: write it by torch.export.save")
    try:
        with _quiet():
            return torch.export.load(path)
    except (RuntimeError, KeyError, ValueError, AssertionError, OSError, EOFError) as error:
        why = "" if "warnings above" in _line(error) else f" ({_line(error)})"
        raise CompileError(
            f"{path} cannot be read by torch.export.load{why}: write it by torch.export.save, not "
            "by torch.save"
        ) from error


def _export_module(module: torch.nn.Module, example: Sequence[Any] | None) -> ExportedProgram:
    if example is None:
        raise CompileError("a module is traced with example arguments: pass them as a tuple")
    if module.training:
        raise CompileError("the module is in training mode: call .eval() first")
    try:
        # PyTorch prints the whole graph to stderr before it raises; its message is enough.
        with _quiet(), redirect_stderr(io.StringIO()), torch.no_grad():
            return torch.export.export(module, tree_map(_argument, tuple(example)))
    except _TRACE_ERRORS as error:
        line = _line(error)
        advice = (
            "; a branch or size depends on data: use torch.where, or sizes that are fixed"
            if "data-dependent" in line
            else ""
        )
        raise CompileError(
            f"{_raised_at(error)}torch.export cannot trace the module: {line}{advice}"
        ) from error


def _raised_at(error: BaseException) -> str:
    """The innermost place of the module's own source that an error passed, as ``_where`` gives it,
    before a colon; nothing where only PyTorch was at work."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if _is_own(f.filename)]
    if not own:
        return ""
    at = own[-1]
    text = (at.line or "").rstrip(":")
    return f'File "{at.filename}", line {at.lineno}, in {at.name}: {text}: '


def _is_own(file: str) -> bool:
    """Whether a file is neither of PyTorch, nor of Python, nor this one, nor made up."""
    if file.startswith((_TORCH, __file__, "<")):
        return False
    return file.startswith(_PACKAGES) or not file.startswith(_PYTHON)


def _argument(value: Any) -> Any:
    """An example argument as PyTorch has it: a copy, because the exporter takes one tensor that is
    passed twice for one input."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.array(value))
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def _line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _decomposed(exported: ExportedProgram) -> ExportedProgram:
    """The program in operators of the table, as far as PyTorch can decompose the others (which
    costs a second, so it is left out where there are none)."""
    nodes = [n for n in exported.graph.nodes if n.op not in ("placeholder", "output")]
    if all(n.target is operator.getitem or _name(n) in TABLE for n in nodes):
        return exported
    table = torch.export.default_decompositions()
    for name in WHOLE:
        for overload in getattr(torch.ops.aten, name).overloads():
            op = getattr(getattr(torch.ops.aten, name), overload)
            if op in table:
                table.pop(op)
    table.update(get_decompositions([getattr(torch.ops.aten, name) for name in FURTHER]))
    with _quiet(), torch.no_grad():
        out: ExportedProgram = exported.run_decompositions(table)
    return out


def import_exported(exported: ExportedProgram, graph: Graph, ops: Ops) -> Imported:
    """Expressions of an exported program. Raises UnsupportedOperator, CompileError."""
    _check_static(exported)
    return _Importer(_decomposed(exported), graph, ops).run()


def _check_static(exported: ExportedProgram) -> None:
    for node in exported.graph.nodes:
        value = node.meta.get("val")
        dynamic = isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)) or (
            isinstance(value, torch.Tensor)
            and any(isinstance(n, torch.SymInt) for n in value.shape)
        )
        if dynamic:
            raise CompileError(
                f"{_where(node)}: {node.name} has a dynamic shape; export with fixed shapes "
                "(no dynamic_shapes, no sizes that depend on data)"
            )


def _where(node: Node) -> str:
    """File, line, function and text of the user's source that a node came from: the innermost
    place outside of PyTorch, if there is one."""
    trace = [line.strip() for line in str(node.meta.get("stack_trace") or "").splitlines()]
    places = [k for k, line in enumerate(trace) if line.startswith("File ")]
    if not places:
        return str(node.name)
    own = [k for k in places if f'"{_TORCH}' not in trace[k]]
    at = (own or places)[-1]
    text = trace[at + 1] if at + 1 < len(trace) and at + 1 not in places else ""
    return trace[at] + (f": {text}" if text else "")


class _Importer:
    def __init__(self, exported: ExportedProgram, graph: Graph, ops: Ops) -> None:
        self.exported, self.graph, self.ops = exported, graph, ops
        self.values: dict[Node, Any] = {}

    def run(self) -> Imported:
        specs = {s.arg.name: s for s in self.exported.graph_signature.input_specs}
        inputs: list[Expr] = []
        names: list[Tensor] = []
        result: list[Any] = []
        for node in self.exported.graph.nodes:
            self.graph.source = _where(node)
            if node.op == "placeholder":
                spec = specs[node.name]
                if spec.kind is not InputKind.USER_INPUT:
                    self.values[node] = self._constant(node, spec)
                    continue
                e = self._input(node, len(inputs))
                if e is not None:
                    inputs.append(e)
                    names.append(Tensor(node.name, e.element, e.shape))
            elif node.op == "output":
                result = list(node.args[0])
            else:
                self.values[node] = self._call(node)
        outputs, tensors = self._outputs(result)
        return Imported(inputs, outputs, names, tensors)

    def _input(self, node: Node, position: int) -> Expr | None:
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor):
            self.values[node] = value  # a number, burned in by the exporter
            return None
        element = element_of(value.dtype, f"input {node.name}")
        _check_tensor(value, f"input {node.name}")
        e = self.graph.input(element, tuple(value.shape), position)
        self.values[node] = e
        return e

    def _constant(self, node: Node, spec: Any) -> Expr:
        """A parameter, a buffer or a literal tensor."""
        exported, name = self.exported, str(spec.target)
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER) and spec.persistent is not False:
            tensor = exported.state_dict[name]
        else:
            tensor = exported.constants[name]
        if not isinstance(tensor, torch.Tensor):
            raise CompileError(f"constant {name} is a {type(tensor).__name__}, want a tensor")
        _check_tensor(tensor, f"constant {name}")
        if tensor.dtype is torch.float64 and tensor.dim() == 0:
            tensor = tensor.float()
        element = element_of(tensor.dtype, f"constant {name}")
        return self.graph.const(to_array(tensor, element), element)

    def _outputs(self, result: list[Any]) -> tuple[list[Expr], list[Tensor]]:
        specs = self.exported.graph_signature.output_specs
        outputs: list[Expr] = []
        tensors: list[Tensor] = []
        for node, spec in zip(result, specs, strict=True):
            if spec.kind is not OutputKind.USER_OUTPUT:
                raise CompileError(
                    f"the module changes {spec.target or 'an input'} in place; "
                    "return the new value instead"
                )
            e = self.values[node] if isinstance(node, Node) else None
            if not isinstance(e, Expr):
                raise CompileError(f"output {len(outputs)} is {node!r}, want a tensor")
            outputs.append(e)
            tensors.append(Tensor(f"output_{len(tensors)}", e.element, e.shape))
        if not outputs:
            raise CompileError("the module returns no tensor")
        return outputs, tensors

    # -- one node ------------------------------------------------------------------------------

    def _call(self, node: Node) -> Any:
        if node.target is operator.getitem:
            source, index = node.args
            out = self.values[source][index]  # type: ignore[index]
            if out is None:
                raise UnsupportedOperator(
                    f"{_where(node)}: result {index} of {source} is not computed"
                )
            return out
        name = _name(node)
        lowering = TABLE.get(name)
        if lowering is None or not isinstance(node.target, torch._ops.OpOverload):
            raise UnsupportedOperator(
                f"{_where(node)}: operator {node.target} is not supported; supported: "
                + ", ".join(families())
            )
        call = Call(self.ops, name, _where(node), self._arguments(node), self._results(node))
        try:
            out = lowering(call)
        except UnsupportedOperator:
            raise
        except CompileError as error:
            raise CompileError(f"{_where(node)}: aten.{name}: {error}") from error
        self._check_shapes(node, out, call)
        return out

    def _arguments(self, node: Node) -> dict[str, Any]:
        """Arguments by name, tensors replaced by expressions."""
        assert isinstance(node.target, torch._ops.OpOverload)
        out: dict[str, Any] = {}
        for k, argument in enumerate(node.target._schema.arguments):
            if argument.name in node.kwargs:
                value: Any = node.kwargs[argument.name]
            elif k < len(node.args) and not argument.kwarg_only:
                value = node.args[k]
            else:
                value = argument.default_value
            out[argument.name] = torch.fx.node.map_arg(value, lambda n: self.values[n])
        return out

    @staticmethod
    def _results(node: Node) -> tuple[tuple[Element, tuple[int, ...]] | None, ...]:
        value = node.meta.get("val")
        many = value if isinstance(value, (tuple, list)) else (value,)
        out: list[tuple[Element, tuple[int, ...]] | None] = []
        for v in many:
            if not isinstance(v, torch.Tensor) or (len(many) > 1 and v.numel() == 0):
                out.append(None)
                continue
            what = f"{_where(node)}: result of {node.target}"
            _check_tensor(v, what)
            out.append((element_of(v.dtype, what), tuple(v.shape)))
        return tuple(out)

    @staticmethod
    def _check_shapes(node: Node, out: Any, call: Call) -> None:
        many = out if isinstance(out, tuple) else (out,)
        for got, want in zip(many, call.results, strict=False):
            if isinstance(got, Expr) and want is not None:
                if (got.element, got.shape) != want:
                    raise CompileError(
                        f"{call.where}: aten.{call.name} was lowered to {got.element.value} "
                        f"{got.shape}, PyTorch gives {want[0].value} {want[1]}: please report this"
                    )


def _name(node: Node) -> str:
    """``add.Tensor`` for torch.ops.aten.add.Tensor; other libraries keep theirs in front."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return str(target)
    space, _, name = target._schema.name.partition("::")
    return f"{name}.{target._overloadname}" if space == "aten" else f"{space}::{name}"


def _check_tensor(value: torch.Tensor, what: str) -> None:
    if value.layout is not torch.strided:
        raise UnsupportedOperator(f"{what} is a {value.layout} tensor; call .to_dense() first")
    if value.is_complex():
        raise UnsupportedOperator(f"{what} is complex; compute with real and imaginary parts")
    if 0 in value.shape:
        raise UnsupportedOperator(f"{what} has no elements: shape {tuple(value.shape)}")


def to_array(tensor: torch.Tensor, element: Element) -> Array:
    """A contiguous array of the machine's dtype."""
    array: Array = tensor.detach().cpu().contiguous().numpy()
    return np.ascontiguousarray(array, element.dtype.numpy).reshape(tuple(tensor.shape))
