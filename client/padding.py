"""Rows of a batch of sentences that are of no sentence: seen in a job's own inputs.

A job has a fixed batch; whoever brings fewer sentences fills it with rows of nothing.  What a model
gives for these rows is part of the committed result and of no use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from protocol.spec.job import Task
from protocol.spec.types import Array, DType, Program
from protocol.storage.bundle import fetch_tensors
from protocol.storage.cache import Cache
from protocol.storage.locators import JobLocators
from protocol.storage.store import Store


@dataclass(frozen=True)
class Padding:
    """The last ``rows`` of a batch of ``batch``, which are of no sentence."""

    rows: int
    batch: int

    def cut(self, outputs: Sequence[Array]) -> list[Array]:
        """Outputs of one row a sentence without the padding; the others as they are."""
        rows = self.batch - self.rows
        return [a[:rows] if self.rows and a.shape[:1] == (self.batch,) else a for a in outputs]


NONE = Padding(0, 0)


def may_pad(program: Program) -> bool:
    """Whether the program reads what sentences become: token ids and a mask, i64 [B, T] both."""
    decls = program.inputs
    return (
        len(decls) == 2
        and len(decls[0].shape) == 2
        and decls[0].shape == decls[1].shape
        and all(decl.dtype is DType.I64 for decl in decls)
    )


def padding_of(inputs: Sequence[Array]) -> Padding:
    """The padding of token ids and mask: none unless the mask is one, in each row ones, then zeros,
    and there is no token where it has none."""
    ids, mask = inputs
    lengths = mask.sum(axis=1)
    wanted = np.arange(mask.shape[1]) < lengths[:, None]
    filled = np.flatnonzero(lengths)
    if not filled.size or not np.array_equal(mask, wanted) or ids[~wanted].any():
        return NONE
    return Padding(len(mask) - int(filled[-1]) - 1, len(mask))


def fetch_padding(
    store: Store,
    cache: Cache,
    program: Program,
    task: Task,
    locators: JobLocators,
    timeout: float | None = None,
) -> Padding:
    """The padding of a job, whose inputs are fetched if its program may have any.

    Raises as ``fetch_tensors``.
    """
    if not may_pad(program):
        return NONE
    most = sum(decl.nbytes for decl in program.inputs)
    inputs = fetch_tensors(
        store, cache, locators.inputs, task.inputs_root, declared=program.inputs, max_bytes=most,
        timeout=timeout,
    )  # fmt: skip
    return padding_of(inputs)
