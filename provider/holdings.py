"""What a provider holds of a job, as answers to demands for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from protocol.spec import trees
from protocol.spec.answers import Answerer, Part
from protocol.spec.trace import Levels
from protocol.spec.types import Array
from protocol.storage.jobs import JobData, output_decls
from provider.engine.shelf import Shelf
from provider.engine.trace import tensor_data


def answerer(
    data: JobData, outputs: Sequence[Array], directory: Path | None = None, threads: int = 1
) -> Answerer:
    """Answers from a job's program and tensors, and from the outputs that were committed.

    Each tensor is hashed once, by ``threads`` threads, and its tree lies in ``directory`` (default:
    that of temporary files): of demands there may be many, and for each there are seconds.
    """
    program, shelf = data.program, Shelf(directory)
    tensors = {
        Part.CONSTANT: (program.constants, data.constants),
        Part.INPUT: (program.inputs, data.inputs),
        Part.OUTPUT: (output_decls(program), outputs),
    }

    def tensor(part: Part, item: int) -> memoryview:
        return tensor_data(tensors[part][1][item])

    def levels(part: Part, item: int) -> Levels:
        raw = tensor(part, item)
        return shelf.block_levels((part, item), raw, raw.nbytes, threads)

    @cache
    def roots(part: Part) -> list[bytes]:
        decls, _ = tensors[part]
        blocks = [levels(part, item)[-1][0] for item in range(len(decls))]
        return [trees.wrap(d.dtype, d.shape, root) for d, root in zip(decls, blocks, strict=True)]

    return Answerer(program, tensor, levels, roots)
