"""What a provider holds of a job, as answers to demands for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from protocol.hashing import block_levels, tensor_root
from protocol.spec.answers import Answerer, Part
from protocol.spec.trees import tensor_bytes
from protocol.spec.types import Array
from protocol.storage.jobs import JobData, output_decls


def answerer(data: JobData, outputs: Sequence[Array]) -> Answerer:
    """Answers from a job's program and tensors, and from the outputs that were committed."""
    program = data.program
    tensors = {
        Part.CONSTANT: (program.constants, data.constants),
        Part.INPUT: (program.inputs, data.inputs),
        Part.OUTPUT: (output_decls(program), outputs),
    }

    def tensor(part: Part, item: int) -> bytes:
        decls, held = tensors[part]
        return tensor_bytes(decls[item], held[item])

    @cache
    def roots(part: Part) -> list[bytes]:
        decls, held = tensors[part]
        return [tensor_root(decl, x) for decl, x in zip(decls, held, strict=True)]

    return Answerer(program, tensor, block_levels, roots)
