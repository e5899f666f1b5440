"""``assay run``: a compiled model on this machine, with the bits that any provider gets."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from assay.errors import BadInput
from assay.output import (
    emit_json,
    json_option,
    pairs,
    plain_warnings,
    progress,
    say,
    size_text,
    working,
)
from assay.tensors import (
    check_target,
    encode_sentences,
    preview,
    read_inputs,
    read_sentences,
    reads_sentences,
    save_outputs,
)

if TYPE_CHECKING:
    from client.compiled import Compiled
    from protocol.spec.types import Array

INTERPRETER = "interpreter"
Step = Callable[[int, int], None]


@click.command(name="run")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--local", is_flag=True, help="On this machine (which is the only way).")
@click.option("--input", "inputs", multiple=True, metavar="[NAME=]FILE",
              help="An input: .npy in the model's order or by name, or one .npz.")  # fmt: skip
@click.option("--text", "texts", multiple=True, help="A sentence, for models that read text.")
@click.option("--text-file", type=click.File("r", encoding="utf-8"), help="Sentences, one a line.")
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="Where outputs go: a folder (made in one that is there), FILE.npz, or "
                   "FILE.npy for one.")  # fmt: skip
@click.option("--backend", type=click.Choice(["auto", "torch", INTERPRETER]), default="auto",
              show_default=True, help="All give the same bits.")  # fmt: skip
@click.option("--device", help="Device of the torch backend, such as cpu or cuda:0.")
@click.option("--threads", type=click.IntRange(1, 1024), help="[default: one a core]")
@click.option("--seed", type=int, default=0, show_default=True, help="For models that draw.")
@click.option("--steps", help="Steps of each phase, such as 16 or 1,64.  [default: the most]")
@json_option
def run_command(
    model: Path,
    local: bool,
    inputs: tuple[str, ...],
    texts: tuple[str, ...],
    text_file: IO[str] | None,
    output: Path | None,
    backend: str,
    device: str | None,
    threads: int | None,
    seed: int,
    steps: str | None,
    as_json: bool,
) -> None:
    """Run a compiled MODEL (.assay) here, without a chain.

    \b
    assay run minilm.assay --text "a sentence" --text "another one"
    assay run net.assay --input x.npy -o result.npz
    assay run net.assay --input image=cat.npy --input size=s.npy -o outputs/
    assay run net.assay --input x.npy --backend interpreter
    """
    if output is not None:
        check_target(output)
    compiled = load_model(model)
    batches, count = gather_inputs(compiled, inputs, texts, text_file)
    wanted = parse_steps(steps)
    runner = prepare(compiled, backend, device, threads)
    started = time.perf_counter()
    results: list[list[Array]] = []
    try:
        for k, batch in enumerate(batches):
            label = "running" if len(batches) == 1 else f"batch {k + 1} of {len(batches)}"
            with progress(label) as step:
                results.append(runner.run(batch, seed, wanted, step))
    finally:
        runner.close()
    seconds = time.perf_counter() - started
    outputs = compiled.unbind(_join(results, compiled, count))
    names = [port.name for port in compiled.outputs]
    written = save_outputs(output, outputs, names) if output is not None else []
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT
    found: dict[str, Any] = {
        "root": compiled.root,
        "backend": runner.name,
        "outputs": [
            {"name": n, "dtype": str(a.dtype), "shape": list(a.shape)}
            for n, a in zip(names, outputs, strict=True)
        ],
        "files": [str(path) for path in written],
        "seconds": round(seconds, 4),
        "prepareSeconds": round(runner.prepare_seconds, 4),
        "memory": runner.memory(),
        "processMemory": peak,
    }
    if as_json:
        emit_json(found)
        return
    rows: list[tuple[str, object]] = list(zip(names, map(preview, outputs), strict=True))
    rows += [("written", path) for path in written]
    rate = f", {count / seconds:.1f} sentences a second" if count else ""
    rows += [
        ("time", f"{seconds:.2f} s{rate} (and {runner.prepare_seconds:.2f} s to prepare)"),
        ("memory", f"{size_text(runner.memory())} of tensors at the peak, "
                   f"{size_text(peak)} the whole process"),
        ("backend", runner.name),
    ]  # fmt: skip
    pairs("", rows)


_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in a unit of ``ru_maxrss``."""


@dataclass
class Runner:
    """A model made ready.  ``run(inputs, seed, steps, progress)`` gives its outputs."""

    name: str
    run: Callable[[Sequence[Array], int, tuple[int, ...] | None, Step], list[Array]]
    prepare_seconds: float
    memory: Callable[[], int]
    close: Callable[[], None]


def load_model(path: Path) -> Compiled:
    """A compiled model from its file, every root checked.  Raises BadModelFile."""
    from client.compiled import Compiled

    with working(f"reading {path}"):
        return Compiled.load(path)


def gather_inputs(
    model: Compiled, files: Sequence[str], texts: Sequence[str], text_file: IO[str] | None
) -> tuple[list[list[Array]], int]:
    """Inputs of each run, and how many sentences they are (0: no sentences).

    Raises BadInput, TensorMismatch.
    """
    if not texts and text_file is None:
        if not files and reads_sentences(model):
            raise BadInput("got no sentence: give --text, or --text-file with one a line (or token "
                           "ids and a mask of your own, by --input)")  # fmt: skip
        return [read_inputs(model, files)], 0
    if files:
        raise BadInput("got --input and --text; one of them is wanted")
    found = encode_sentences(model, read_sentences(texts, text_file))
    if found.cut:
        length = model.inputs[0].shape[1]
        say(f"note: {found.cut} sentences are longer than {length} tokens and were cut: compile "
            f"with more --tokens to keep them whole")  # fmt: skip
    return found.batches, found.count


def parse_steps(text: str | None) -> tuple[int, ...] | None:
    """Steps of each phase.  Raises BadInput."""
    if text is None:
        return None
    parts = text.split(",")
    if not all(part.strip().isascii() and part.strip().isdecimal() for part in parts):
        raise BadInput(f"got steps {text!r}, want numbers such as 16 or 1,64")
    return tuple(int(part) for part in parts)


def prepare(
    model: Compiled, backend: str, device: str | None = None, threads: int | None = None
) -> Runner:
    """The model on a backend.  Raises EngineError."""
    if backend == INTERPRETER:
        return Runner(INTERPRETER, _interpreted(model), 0.0, lambda: 0, lambda: None)
    with working("preparing the engine"), plain_warnings():
        started = time.perf_counter()
        from provider.engine import Engine

        engine = Engine(model.program, model.constants, backend, device, threads=threads)
        seconds = time.perf_counter() - started

    def run(
        inputs: Sequence[Array], seed: int, steps: tuple[int, ...] | None, step: Step
    ) -> list[Array]:
        with plain_warnings():
            return engine.run(inputs, seed=seed, steps=steps, progress=step)

    name = f"torch on {engine.device}"
    return Runner(name, run, seconds, lambda: engine.memory.peak, engine.release)


def _interpreted(model: Compiled) -> Callable[..., list[Array]]:
    from protocol.spec import interpreter

    def run(
        inputs: Sequence[Array], seed: int, steps: tuple[int, ...] | None, step: Step
    ) -> list[Array]:
        program = model.program
        counts = interpreter.check_steps(program, steps)
        total = sum(n * len(p.instances) for n, p in zip(counts, program.phases, strict=True))
        done = 0

        def observe(phase: int, number: int, operation: int, tensor: Array) -> None:
            nonlocal done
            done += 1
            step(done, total)

        return interpreter.run(
            program, model.constants, inputs, seed=seed, steps=counts, observe=observe
        )

    return run


def _join(results: Sequence[list[Array]], model: Compiled, count: int) -> list[Array]:
    """One list of outputs: for sentences, the batches one after the other without the padding."""
    import numpy as np

    if not count:
        return results[0]
    size = model.inputs[0].shape[0]
    joined = []
    for number, tensors in enumerate(zip(*results, strict=True)):
        if model.outputs[number].shape[:1] == (size,):
            joined.append(np.concatenate(tensors)[:count])
        else:
            joined.append(np.stack(tensors))
    return joined
