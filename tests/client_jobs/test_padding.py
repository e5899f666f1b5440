"""Rows of a batch that are of no sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from client.padding import NONE, Padding, may_pad, padding_of
from protocol.spec.examples import mlp
from protocol.spec.types import Array, DType, TensorDecl


def batch(*lengths: int, width: int = 6) -> list[Array]:
    """Token ids and mask of sentences of these lengths."""
    mask = (np.arange(width) < np.array(lengths)[:, None]).astype(np.int64)
    return [mask * 7, mask]


@pytest.mark.parametrize(
    "lengths, rows", [((3, 6, 0, 0), 2), ((1, 1), 0), ((2, 0, 2, 0), 1), ((0, 0), None)]
)
def test_padding_of__a_batch__is_the_empty_rows_at_its_end(
    lengths: tuple[int, ...], rows: int | None
) -> None:
    wanted = NONE if rows is None else Padding(rows, len(lengths))
    assert padding_of(batch(*lengths)) == wanted


@pytest.mark.parametrize(
    "change",
    [
        lambda ids, mask: mask.__setitem__((0, 1), 0),
        lambda ids, mask: mask.__setitem__((0, 0), 2),
        lambda ids, mask: mask.__setitem__((1, 0), -(1 << 62)),
        lambda ids, mask: ids.__setitem__((2, 3), 1),
    ],
    ids=("a hole", "no 1", "huge", "a token without mask"),
)
def test_padding_of__what_is_no_mask__has_none(change: object) -> None:
    ids, mask = batch(3, 2, 0)
    change(ids, mask)  # type: ignore[operator]
    assert padding_of([ids, mask]) == NONE


def test_cut__outputs_of_one_row_a_sentence__lose_the_padding_and_no_others() -> None:
    rows, whole = np.arange(12.0).reshape(4, 3), np.arange(5.0)
    cut = Padding(3, 4).cut([rows, whole])
    assert [a.tolist() for a in cut] == [[[0.0, 1.0, 2.0]], whole.tolist()]
    assert NONE.cut([rows, np.zeros((0, 2))])[1].shape == (0, 2)


def test_may_pad__only_two_tables_of_i64__can_hold_sentences() -> None:
    program = mlp().program
    table = TensorDecl(DType.I64, (4, 8))
    pair = replace(program, inputs=(table, table))
    assert may_pad(pair)
    for inputs in (
        program.inputs, (table,), (table, replace(table, shape=(4, 9))),
        (table, replace(table, dtype=DType.I32)), (replace(table, shape=(4,)),) * 2,
    ):  # fmt: skip
        assert not may_pad(replace(program, inputs=inputs))
