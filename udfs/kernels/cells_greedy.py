"""The greedy of a cover within cells: cells share nothing, so the greedy over all is the merge of their orders by gain.

A cell's share of the budget follows from its gains (ours). Each order is computed until its gains are below the last of
the budget: deeper ones cannot be chosen. The orders of cells may be computed in different places (`first_depth`,
`CellGreedy`): the merge is the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import Floats, Matrix, Positions
from .lazy_greedy import Picks, dense_greedy
from .neighbours import fixed_point


def first_depth(rows: int, budget: int, total: int) -> int:
    """Return how many rows of a cell are picked at first: twice its share of the budget by size, and a few.

    Examples
    --------
    >>> first_depth(1000, 50, 10_000), first_depth(3, 50, 10_000)
    (14, 3)
    """
    return min(rows, 2 * -(-budget * rows // max(1, total)) + 4)


class CellGreedy:
    """The greedy order of one cell, to any depth.

    Parameters
    ----------
    X : (n, d) float32
        The rows of the cell, of length 1.
    weight, extra : float, (n,) float64
        A gain is weight x cover + extra.
    start : sequence of int
        Positions in the cell that are chosen already.
    """

    def __init__(self, X: Matrix, weight: float, extra: Floats, start: Sequence[int]) -> None:
        self.X, self.weight, self.extra, self.start = X, weight, extra, start
        self.rows = len(X) - len(start)

    def to(self, depth: int) -> tuple[Positions, Floats]:
        """Return the first picks, at most `rows`, and their gains."""
        order, gains = dense_greedy(fixed_point(self.X), self.weight, self.extra, min(depth, self.rows), self.start)
        return np.array(order, np.int64), np.array(gains, np.float64)

    def down_to(self, least: float, depth: int, most: int) -> tuple[Positions, Floats]:
        """Return the picks, at most `most`, whose gain is at least `least`, of which more than `depth` are expected."""
        while True:
            depth = min(2 * depth, most, self.rows)
            order, gains = self.to(depth)
            if depth == min(most, self.rows) or gains[-1] < least:
                return order[gains >= least], gains[gains >= least]


def cells_greedy(
    X: Matrix, members: list[Positions], weight: float, extra: Floats, budget: int, start: Sequence[int]
) -> Picks:
    """Merge the greedy orders of all cells by gain, each computed until its gains are below the last of the budget."""
    positions: list[Positions] = [np.empty(0, np.int64)] * len(members)
    gains: list[Floats] = [np.empty(0)] * len(members)
    starts = [np.flatnonzero(np.isin(rows, start)).tolist() for rows in members]
    most = [len(rows) - len(own) for rows, own in zip(members, starts, strict=True)]
    depth = [first_depth(m, budget, sum(most)) for m in most]
    open_cells = list(range(len(members))) if budget else []
    while open_cells:
        for c in open_cells:
            rows = members[c]
            order, gains[c] = CellGreedy(X[rows], weight, extra[rows], starts[c]).to(depth[c])
            positions[c] = rows[order]
        all_gains = np.concatenate(gains)
        kth = len(all_gains) - budget
        last = np.partition(all_gains, kth)[kth]  # at most the gain of the last pick
        open_cells = [c for c, m in enumerate(most) if len(gains[c]) < m and gains[c][-1] >= last]
        depth = [min(m, 2 * d) for m, d in zip(most, depth, strict=True)]
    if not budget:
        return [], []
    all_positions = np.concatenate(positions)
    top = np.lexsort((all_positions, -all_gains))[:budget]
    return all_positions[top].tolist(), all_gains[top].tolist()
