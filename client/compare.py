"""Compares two lists of tensors bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from client.job_errors import ResultDiffers
from protocol.spec.types import Array


def first_difference(got: Sequence[Array], wanted: Sequence[Array]) -> ResultDiffers | None:
    """The first element, in order of outputs and row-major, whose bits differ; None if none do.

    NaNs with the same bits are equal, zeros of two signs are not.  Dtypes and shapes must agree:
    a list that does not is a difference at element 0.
    """
    for number in range(max(len(got), len(wanted))):
        if number >= len(got) or number >= len(wanted):
            return ResultDiffers(
                f"got {len(got)} outputs, the program computes {len(wanted)}", number, 0, "", ""
            )
        a, b = got[number], wanted[number]
        if a.dtype != b.dtype or a.shape != b.shape:
            return ResultDiffers(
                f"output {number} is {a.dtype} {a.shape}, the program computes {b.dtype} "
                f"{b.shape}", number, 0, "", "",
            )  # fmt: skip
        size = a.dtype.itemsize
        left = np.ascontiguousarray(a).reshape(-1).view(np.uint8).reshape(-1, size)
        right = np.ascontiguousarray(b).reshape(-1).view(np.uint8).reshape(-1, size)
        unequal = np.flatnonzero((left != right).any(axis=1))
        if unequal.size:
            index = int(unequal[0])
            where = tuple(int(k) for k in np.unravel_index(index, a.shape))
            return ResultDiffers(
                f"the result is wrong: {unequal.size} of {a.size} elements of output {number} "
                f"differ, the first at {where}: committed {a.reshape(-1)[index]!r}, computed "
                f"{b.reshape(-1)[index]!r}",
                number, index, left[index].tobytes().hex(), right[index].tobytes().hex(),
            )  # fmt: skip
    return None
