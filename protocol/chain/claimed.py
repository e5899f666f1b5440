"""The claimed trees of a dispute, as far as they were shown.  Pure."""

from __future__ import annotations

from typing import Protocol

from protocol.chain.disputes import Dispute, Pointed, rows_below
from protocol.spec.trace import Levels, Tree


class Truth(Protocol):
    """A true trace."""

    def levels(self, tree: Tree, step: int, item: int, /) -> Levels:
        """All levels of a tree, leaves first."""


def claimed_levels(
    record: Dispute, truth: Truth, tree: Tree, step: int = 0, item: int = 0
) -> Levels:
    """All levels of a claimed tree: what was shown of it, and the truth where nothing was.

    The shape is the true one.  A root is known where the leaf that it is of another tree is, and
    every node that a challenge pointed at is: the contract had its path proven.
    """
    levels = [list(row) for row in truth.levels(tree, step, item)]
    root = _root(record, truth, tree, step, item)
    if root is not None:
        _put(record, levels, len(levels) - 1, 0, root)
    for move in (move for x in record.challenges for move in x.moves):
        stop = move.stop
        if isinstance(move.event, Pointed) and stop.where == (tree, step, item):
            _put(record, levels, stop.level, stop.index, stop.node)
    return levels


def _root(record: Dispute, truth: Truth, tree: Tree, step: int, item: int) -> bytes | None:
    """The claimed root; None where nothing tells it."""
    if tree is Tree.STEPS:
        return record.opened.root if record.opened else None
    if tree is Tree.OUTPUTS:
        return record.result_root
    if tree is Tree.OPERATIONS:
        return record.steps[step].root if step in record.steps else None
    above, where, index = {
        Tree.STATES: (Tree.STEPS, 0, step),
        Tree.STATE_BLOCKS: (Tree.STATES, step, item),
        Tree.OPERATION_BLOCKS: (Tree.OPERATIONS, step, item),
    }[tree]
    row = claimed_levels(record, truth, above, where)[0]
    return row[index] if index < len(row) else None


def _put(record: Dispute, levels: Levels, level: int, index: int, node: bytes) -> None:
    """Sets a node and all that was shown below it, as far as the tree goes."""
    if not 0 <= level < len(levels) or index >= len(levels[level]):
        return
    levels[level][index] = node
    nodes = record.preimages.get(node)
    if nodes is None:
        return
    rows = rows_below(node, nodes)
    for down, row in enumerate(reversed(rows[:-1]), start=1):
        for k, child in enumerate(row):
            _put(record, levels, level - down, (index << down) + k, child)
