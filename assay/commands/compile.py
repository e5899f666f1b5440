"""``assay compile``: from PyTorch to a program whose every number can be recomputed."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import sysconfig
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.errors import BadInput
from assay.output import emit_json, hexa, json_option, pairs, say, size_text, working
from assay.tensors import check_target, read_npy, read_npz

if TYPE_CHECKING:
    from client.compiled import Compiled

MINILM = "minilm"
_INSTALLED = tuple({sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")})
"""Where other people's code is."""

SPEC = re.compile(r"(?P<dtype>[a-z0-9]+)\[(?P<shape>[0-9, ]*)\]")
DTYPES = {
    "f32": "float32", "i64": "int64", "i32": "int32", "i16": "int16", "i8": "int8",
    "bool": "bool", "float32": "float32", "int64": "int64", "int32": "int32",
    "int16": "int16", "int8": "int8",
}  # fmt: skip


@click.command(name="compile")
@click.argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
              help="File to write.  [default: the model's name, .assay]")  # fmt: skip
@click.option("--precision", type=click.Choice(["i16", "i14", "i8w", "i8"]), default="i16",
              show_default=True, help="Integers that products are made of.")  # fmt: skip
@click.option("--example", "examples", multiple=True, metavar="FILE|SPEC",
              help="An argument: .npy, .npz, or a shape as f32[1,3,224].")  # fmt: skip
@click.option("--batch", type=click.IntRange(1, 4096), default=8, show_default=True,
              help="Sentences at a time (minilm).")  # fmt: skip
@click.option("--tokens", type=click.IntRange(2, 512), default=64, show_default=True,
              help="Tokens a sentence (minilm).")  # fmt: skip
@json_option
def compile_command(
    model: str,
    output: Path | None,
    precision: str,
    examples: tuple[str, ...],
    batch: int,
    tokens: int,
    as_json: bool,
) -> None:
    """Turn MODEL into a program: a .pt2 file, package.module:factory, or `minilm`.

    A factory takes nothing and gives the module, or (module, example arguments). Its shapes are
    fixed: the program reads inputs of exactly these.

    \b
    assay compile minilm -o minilm.assay --batch 64 --tokens 32
    assay compile net.pt2 --precision i8w
    assay compile mynets.mlp:make --example "f32[32,784]"
    """
    target = output or Path(re.sub(r"\W+", "-", _stem(model)) + ".assay")
    check_target(target)
    if target.is_dir():
        raise BadInput(f"{target} is a folder: name a file with -o")
    with working("importing PyTorch"):
        from client.build import compile as build

        source, args = _source(model, examples, batch, tokens)
    started = time.perf_counter()
    with working(f"compiling {model}"):
        compiled = build(source, args, precision=precision)
    with working(f"writing {target}"):
        compiled.save(target)
        found = summary(compiled)
    found |= {"file": str(target), "seconds": round(time.perf_counter() - started, 3)}
    if as_json:
        emit_json(found)
    else:
        _show(found)


def _stem(model: str) -> str:
    return model.rpartition(":")[0] if ":" in model else Path(model).stem


def _source(
    model: str, examples: Sequence[str], batch: int, tokens: int
) -> tuple[Any, tuple[Any, ...] | None]:
    """What ``client.compile`` takes: a module or path, and example arguments."""
    given = _examples(examples) if examples else None
    if model == MINILM:
        from client.models.minilm import Tokenizer, load

        return load(), Tokenizer()([""] * batch, tokens)
    if model.endswith(".pt2") or Path(model).is_file():
        return model, given
    if ":" not in model:
        raise BadInput(
            f"got model {model!r}; wanted a .pt2 file, package.module:factory, or {MINILM}"
        )
    made = _call(model)
    if isinstance(made, tuple):
        if len(made) != 2:
            raise BadInput(f"{model} gave {len(made)} things; wanted (module, example arguments)")
        module, own = made
        return _evaluating(model, module), given or tuple(own)
    if given is None and getattr(made, "forward", None) is not None:
        raise BadInput(
            f"{model} gave a module alone: give a shape for each argument, as --example f32[1,16], "
            "or let the factory give (module, example arguments)"
        )
    return _evaluating(model, made), given


def _evaluating(name: str, module: Any) -> Any:
    """A module in evaluation mode; whatever else passes through."""
    if getattr(module, "training", False):
        say(f"note: {name} gave a module in training mode; it is compiled for evaluation")
        module.eval()
    return module


def _call(name: str) -> Any:
    """What the factory gives.  Raises BadInput, with the place of whatever is wrong in its file."""
    module_name, _, factory_name = name.partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise BadInput(f"cannot import {module_name}: {error}; run in its folder") from error
    except (Exception, SystemExit) as error:
        raise BadInput(f"importing {module_name} raised {_raised(error)}") from error
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        raise BadInput(f"{module_name} has no callable {factory_name!r}")
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise BadInput(f"{name} is called without arguments: {error}; wrap it in one") from error
    try:
        return factory()
    except (Exception, SystemExit) as error:
        raise BadInput(f"{name} raised {_raised(error)}") from error


def _raised(error: BaseException) -> str:
    """An exception of the user's code: its class, its words, and the innermost line of a file that
    is neither installed nor ours."""
    words = f": {error}" if str(error) else ""
    if isinstance(error, SyntaxError):  # its words end with its place
        return f"{type(error).__name__}{words}"
    frames = traceback.extract_tb(error.__traceback__)[1:]
    own = [f for f in frames if not f.filename.startswith((*_INSTALLED, "<"))] or frames[-1:]
    place = f" ({own[-1].filename}, line {own[-1].lineno}, in {own[-1].name})" if own else ""
    return f"{type(error).__name__}{words}{place}"


def _examples(texts: Sequence[str]) -> tuple[Any, ...]:
    """Example arguments as NumPy arrays."""
    import numpy as np

    arrays: list[Any] = []
    for text in texts:
        spec = SPEC.fullmatch(text.strip())
        if spec is not None:
            if spec["dtype"] not in DTYPES:
                known = ", ".join(sorted(DTYPES))
                raise BadInput(f"got dtype {spec['dtype']!r} in {text!r}, wanted one of {known}")
            shape = [int(part) for part in spec["shape"].split(",") if part.strip()]
            arrays.append(np.zeros(shape, DTYPES[spec["dtype"]]))
        elif text.endswith(".npz"):
            arrays += read_npz(Path(text)).values()
        elif text.endswith(".npy"):
            arrays.append(read_npy(Path(text)))
        else:
            raise BadInput(f"got example {text!r}; wanted .npy, .npz, or such as f32[1,3,224,224]")
    return tuple(arrays)


def summary(model: Compiled) -> dict[str, Any]:
    """What a person wants to know of a model, for programs."""
    from protocol.spec.costs import MAX_BYTES, MAX_COST, cost
    from protocol.spec.workload import work_of

    program = model.program
    costs = [cost(template) for template in program.templates]
    work = work_of(program)
    return {
        "root": model.root,
        "constantsRoot": model.constants_root,
        "precision": model.precision,
        "operations": sum(len(phase.instances) for phase in program.phases),
        "templates": len(program.templates),
        "programBytes": len(model.bytes),
        "constants": len(program.constants),
        "constantsBytes": sum(decl.nbytes for decl in program.constants),
        "inputs": [_port(p) for p in model.inputs],
        "outputs": [_port(p) for p in model.outputs],
        "worstGas": max((c.gas for c in costs), default=0),
        "gasLimit": MAX_COST,
        "worstProofBytes": max((c.bytes for c in costs), default=0),
        "proofLimit": MAX_BYTES,
        "multiplyAdds": work.products,
        "instructions": work.instructions,
        "memory": work.memory,
    }


def _port(port: Any) -> dict[str, Any]:
    return {"name": port.name, "dtype": port.dtype, "shape": list(port.shape)}


def _ports(ports: Sequence[dict[str, Any]]) -> str:
    return "\n".join(f"{p['name']} {p['dtype']}{p['shape']}" for p in ports)


def _show(found: dict[str, Any]) -> None:
    gas, proof = found["worstGas"], found["worstProofBytes"]
    rows: list[tuple[str, object]] = [
        ("program root", hexa(found["root"])),
        ("constants root", hexa(found["constantsRoot"])),
        ("inputs", _ports(found["inputs"])),
        ("outputs", _ports(found["outputs"])),
        ("operations", f"{found['operations']} in {found['templates']} templates"),
        ("program", size_text(found["programBytes"])),
        ("constants", f"{found['constants']} tensors, {size_text(found['constantsBytes'])}"),
        ("work", f"{found['multiplyAdds']:,} multiply-adds, {found['instructions']:,} "
                 f"instructions, {size_text(found['memory'])} of memory"),
        ("worst number on chain", f"at most {gas:,} gas of {found['gasLimit']:,}, {proof:,} bytes "
                                  f"of {found['proofLimit']:,}"),
    ]  # fmt: skip
    pairs(f"{found['file']}, {found['precision']}, in {found['seconds']:.1f} s", rows)
