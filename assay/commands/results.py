"""``assay fetch, verify``: the outputs of a job, and whether they are right."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.commands.compile import MINILM
from assay.commands.run import INTERPRETER
from assay.errors import BadInput
from assay.following import follow
from assay.output import emit_json, hexa, json_option, pairs, plain_warnings, progress, say
from assay.session import market
from assay.tensors import check_target, preview, save_outputs

if TYPE_CHECKING:
    from client.jobs import Client
    from client.padding import Padding
    from protocol.spec.types import Array
    from protocol.storage.jobs import JobData


PADDING_SECONDS = 20.0
"""How long a job's inputs may take to come, only to see how many sentences they hold."""


@click.command(name="fetch")
@click.argument("job")
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="A folder (made in one that is there) for 0.npy, 1.npy, …; FILE.npz, or "
                   "FILE.npy for one output.")  # fmt: skip
@click.option("--final", is_flag=True, help="Only a result that nobody can challenge any more.")
@click.option("--wait", is_flag=True, help="Wait until there is one.")
@click.option("--padding", "whole", is_flag=True,
              help="Keep the rows of a batch that are of no sentence, as they were committed.")
@json_option
def fetch_command(
    job: str, output: Path | None, final: bool, wait: bool, whole: bool, as_json: bool
) -> None:
    """Download the outputs of JOB, each checked against the root that the chain holds.

    The result may still be challenged until the job is finalized: --final insists on that. Of fewer
    sentences than the model's batch there are as many rows; --padding keeps those behind them.

    \b
    assay fetch 0x3fa8 -o result
    assay fetch 0x3fa8 -o result.npz --final --wait
    """
    if output is not None:
        check_target(output)
    from client.jobs import Client
    from protocol.spec.job import JobStatus

    with market() as chain:
        client = Client(chain)
        key = client.resolve(job)
        if wait:
            ends = {JobStatus.FINALIZED} if final else {JobStatus.FINALIZED, JobStatus.COMMITTED}
            follow(client, key, frozenset(ends))
        with _demandable(client, key), progress("fetching", unit_bytes=True) as step:
            result = client.fetch(key, final_only=final, progress=step)
        root = client.record(key)[0].result_root
        spare = _padding(client, key)
    outputs = result.outputs if whole or spare is None else spare.cut(result.outputs)
    names = [str(k) for k in range(len(outputs))]
    written = save_outputs(output, outputs, names) if output is not None else []
    if as_json:
        emit_json({
            "job": key,
            "root": root,
            "final": result.final,
            "outputs": [{"dtype": str(a.dtype), "shape": list(a.shape)} for a in outputs],
            "paddingRows": None if spare is None else spare.rows,
            "files": [str(path) for path in written],
        })  # fmt: skip
        return
    rows: list[tuple[str, object]] = [("job", hexa(key))]
    rows += [(f"output {n}", preview(a)) for n, a in zip(names, outputs, strict=True)]
    if spare is not None and spare.rows:
        kept = "kept, behind the others" if whole else "left out (--padding keeps them)"
        rows.append(("padding", f"{spare.rows} of {spare.batch} rows are of no sentence, {kept}"))
    rows += [("written", path) for path in written]
    rows.append(("final", "yes" if result.final else "not yet: it can still be challenged"))
    pairs("", rows)
    if output is None:
        say("name a folder or file with -o to keep them")


@contextmanager
def _demandable(client: Client, job: bytes) -> Iterator[None]:
    """Data that cannot be had is an error that says how it can be demanded, where it can."""
    from protocol.storage.errors import ContentMissing, ContentTooSlow, MalformedLocators

    try:
        yield
    except (ContentMissing, ContentTooSlow, MalformedLocators) as error:
        from client.demands import hint

        more = hint(client, job)
        if not more:
            raise
        raise type(error)(f"{error}; {more}") from error


def _padding(client: Client, job: bytes) -> Padding | None:
    """Which rows are of no sentence; None where the job's inputs cannot be had."""
    from protocol.storage.errors import StorageError

    try:
        return client.padding(job, PADDING_SECONDS)
    except StorageError as error:
        say(f"note: rows of a batch that are of no sentence are not left out, without the job's "
            f"inputs: {error}")  # fmt: skip
        return None


@click.command(name="verify")
@click.argument("job")
@click.option("--backend", type=click.Choice([INTERPRETER, "torch"]), default=INTERPRETER,
              show_default=True, help="The definition, or the faster one.")  # fmt: skip
@click.option("--reference", type=click.Choice([MINILM]),
              help="Also compare with this model in fp32.")  # fmt: skip
@json_option
def verify_command(job: str, backend: str, reference: str | None, as_json: bool) -> None:
    """Compute JOB again on this machine and compare every bit of its result.

    Exit code 0 if all are equal, 9 if one is not.

    \b
    assay verify 0x3fa8
    assay verify 0x3fa8 --backend torch
    assay verify 0x3fa8 --reference minilm     with the cosine to the fp32 model
    """
    from client.jobs import Client

    started = time.perf_counter()
    with market() as chain:
        client = Client(chain)
        key = client.resolve(job)
        seen: list[JobData] = []
        with _demandable(client, key), progress("computing") as step:
            verified = client.verify(key, compute=_compute(backend, seen), progress=step)
    found: dict[str, Any] = {
        "job": key,
        "equal": True,
        "final": verified.final,
        "outputs": len(verified.outputs),
        "elements": verified.elements,
        "operations": verified.operations,
        "backend": backend,
        "seconds": round(time.perf_counter() - started, 3),
    }
    if reference is not None:
        found["cosine"] = cosines(seen[0].inputs, verified.outputs)
    if as_json:
        emit_json(found)
        return
    rows: list[tuple[str, object]] = [
        ("job", hexa(key)),
        ("result", f"right: {verified.elements:,} numbers, every bit equal"),
        ("computed", f"{verified.operations:,} operations by the {backend}, "
                     f"{found['seconds']:.1f} s"),
        ("final", "yes" if verified.final else "not yet: it can still be challenged"),
    ]  # fmt: skip
    if reference is not None:
        cosine = found["cosine"]
        rows.append((f"cosine to fp32 {reference}",
                     f"{cosine['minimum']:.8f} at least, {cosine['mean']:.8f} on average, over "
                     f"{cosine['rows']} sentences"))  # fmt: skip
    pairs("", rows)


def _compute(
    backend: str, seen: list[JobData]
) -> Callable[[JobData, int, Callable[[int, int], None] | None], list[Array]]:
    """How the job is computed again; what it was computed from is kept in ``seen``."""
    from client.jobs import interpret

    def again(data: JobData, seed: int, step: Callable[[int, int], None] | None) -> list[Array]:
        seen.append(data)
        if backend == INTERPRETER:
            return interpret(data, seed, step)
        from provider.engine import run

        with plain_warnings():
            return run(
                data.program, data.inputs, constants=data.constants, seed=seed,
                steps=data.steps, progress=step,
            )  # fmt: skip

    return again


def cosines(inputs: list[Array], outputs: list[Array]) -> dict[str, Any]:
    """Cosines of a job's vectors to those of the fp32 model, over rows that hold tokens."""
    import numpy as np

    from client.models.minilm import embed_tokens

    if len(inputs) != 2 or any(a.ndim != 2 or a.dtype != np.int64 for a in inputs):
        raise BadInput(f"the job is none of {MINILM}: it reads no token ids and mask")
    ids, mask = inputs
    wanted = embed_tokens(ids, mask).astype(np.float64)
    got = np.asarray(outputs[0]).astype(np.float64)
    if got.shape != wanted.shape:
        raise BadInput(f"the job gives {got.shape}, {MINILM} gives {wanted.shape}")
    rows = mask.any(axis=1)
    norms = np.linalg.norm(got[rows], axis=1) * np.linalg.norm(wanted[rows], axis=1)
    cosine = (got[rows] * wanted[rows]).sum(axis=1) / norms
    return {
        "minimum": float(cosine.min()),
        "mean": float(cosine.mean()),
        "rows": int(rows.sum()),
    }
