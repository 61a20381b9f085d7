"""k-center by farthest-first traversal of the rows of one matrix; the order is that of a plain float64 loop.

Gonzalez 1985 (Theoretical Computer Science 38, 293-306), the k-Center of Diversify-and-Conquer (arXiv 2409.11378): the
next pick is the row farthest from all picks, ties to the lowest position. The radius is at most twice the best one.
Outliers are picked first, by the nature of the method. Left out: coverage of the rows (see facility_location.py).

A row's distance to the picks is the least ((x - p)**2).sum() in float64. A float32 product only brackets it, between
`low` and `high`, which differ by the rounding error that any order of summation may have. Rows whose bracket reaches
the highest `low` are computed in float64, and only those values decide, so the order depends on neither blocks, BLAS
nor threads. Work is batched (ours): the `candidates` rows of highest `high` compete by their own small distance matrix
until a row outside them might be farther; then one pass over the matrix updates all rows. Likewise a matrix of the
farthest rows of a larger pool is enough, `until` a row outside of it might be farther (ranking/centres_in_rounds.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Floats, Matrix, Positions
from .nearest_pick import margins, nearest_sq, squared_lengths

#: Rows and picks of one matrix product, which takes 4 * 4096 * 1024 bytes = 16 MB.
_ROWS, _PICKS = 4096, 1024
#: Every row at hand may be picked.
NO_LIMIT = (-1.0, 0)


class KCenter(NamedTuple):
    """Picks in order, (b,) int64; squared distance of each to the picks before it, (b,) float64; passes over X."""

    order: Positions
    distance_sq: Floats
    passes: int


def k_center(
    X: Matrix, budget: int, candidates: int = 1024, start: Sequence[int] = (), until: tuple[float, int] = NO_LIMIT
) -> KCenter:
    """Pick `budget` rows: the first row, and then each time the farthest from those before it.

    Parameters
    ----------
    X : (n, d) float32, finite
        Rows in the order that breaks ties. Read in blocks; only the picks are copied.
    budget : int
        Rows to pick; all rows, if there are fewer.
    candidates : int, default 1024
        Rows that compete between two passes; changes the number of passes, never the order.
    start : sequence of int
        Positions picked earlier, all different: every pick is the farthest from them and those before it.
    until : (float, int)
        A squared distance and a position: picks end before one that is nearer than that, or as near and at a later
        position.

    Returns
    -------
    KCenter
        Distinct positions, none of `start`; distance_sq never rises, and is inf for the first without a start. Once
        only duplicates of picks are left (distance 0) they follow in order of position. A smaller budget is a prefix.

    Raises
    ------
    InputError
        If X has a value that is not finite, or a row too long for float32.

    Notes
    -----
    O(n d b) time in matrix products, in few passes (11 for 1000 picks of 100 000 rows). Memory: 50 bytes a row, a copy
    of the picks and about 60 MB. Many exact ties cost more float64 work, at worst O(n d b) of it.

    Examples
    --------
    >>> import numpy as np
    >>> k_center(np.array([[0], [1], [9], [4], [0]], np.float32), 5).order.tolist()
    [0, 2, 3, 1, 4]
    """
    size = max(0, min(budget, len(X) - len(start)))
    state = _Brackets(X, start if start else [0][:size], len(start) + size, until)
    order: list[int] = [] if start else [0][:size]
    distances: list[float] = [np.inf] * len(order)
    while len(order) < size:
        picks, distances_sq = state.batch(size - len(order), candidates)
        if not picks:
            break
        order, distances = [*order, *picks], [*distances, *distances_sq]
    return KCenter(np.array(order, np.int64), np.array(distances, np.float64), state.passes)


class _Brackets:
    """`low` <= squared distance to the picks <= `high` for every row, float64; both are -1 for a pick.

    `first` are the first picks; `capacity` is the number of picks that are wanted with them, `until` as of `k_center`.
    """

    def __init__(self, X: Matrix, first: Sequence[int], capacity: int, until: tuple[float, int]) -> None:
        n, d = X.shape
        self.X, self.passes, self.count, self.until = X, 0, 0, (until[0], -until[1])
        self.square = squared_lengths(X)
        self.margin = margins(self.square, float(self.square.max(initial=0)), d)
        self.low, self.high = np.full(n, np.inf), np.full(n, np.inf)
        self.picks = np.empty(capacity, np.int64)
        self.rows = np.empty((capacity, d), np.float32)
        for pick in first:
            self._append(pick)
        self._pass(0)

    def _append(self, pick: int) -> None:
        self.picks[self.count], self.rows[self.count] = pick, self.X[pick]
        self.low[pick] = self.high[pick] = -1
        self.count += 1

    def _pass(self, since: int) -> None:
        """Tighten all brackets by the picks from number `since` on."""
        for b in range(since, self.count, _PICKS):
            new = slice(b, min(b + _PICKS, self.count))
            factor, square = -2 * self.rows[new], self.square[self.picks[new], None]
            for a in range(0, len(self.X), _ROWS):
                rows = slice(a, a + _ROWS)
                product = factor @ self.X[rows].T
                product += square
                distance_sq = product.min(axis=0) + self.square[rows]
                low, high, margin = self.low[rows], self.high[rows], self.margin[rows]
                np.minimum(low, np.maximum(distance_sq - margin, 0), out=low)
                np.minimum(high, distance_sq + margin, out=high)
        self.passes += since < self.count

    def exact(self, rows: Positions) -> Floats:
        """Return the squared distances of rows to the picks; only pairs that may be the nearest are computed."""
        known = slice(0, self.count)
        return nearest_sq(self.X, rows, self.margin, self.rows[known], self.square[self.picks[known]])

    def batch(self, wanted: int, candidates: int) -> tuple[list[int], list[float]]:
        """Pick up to `wanted` rows, none only by `until`, and pass over the matrix if more are wanted."""
        rivals = np.flatnonzero(self.high >= self.low.max())
        loose = rivals[self.low[rivals] < self.high[rivals]]
        self.low[loose] = self.high[loose] = self.exact(loose)
        if self.high[rivals].max() == 0:  # only duplicates of picks are left
            duplicates = [i for i in np.flatnonzero(self.high >= 0)[:wanted].tolist() if (0.0, -i) >= self.until]
            return duplicates, [0.0] * len(duplicates)
        # The farthest row is now known exactly and is the first candidate: without `until` a batch is never empty.
        field = _highest(self.high, max(1, candidates))
        inside = self.high[field]
        self.high[field] = -2
        rival = int(self.high.argmax())
        limit = max((float(self.high[rival]), -rival), self.until)
        self.high[field] = inside
        since = self.count
        low, high, distances = self._compete(field, limit, wanted)
        if self.count - since < wanted:
            self._pass(since)
            self.low[field], self.high[field] = low, high  # exact values stay exact
        return self.picks[since : self.count].tolist(), distances

    def _compete(self, field: Positions, limit: tuple[float, int], wanted: int) -> tuple[Floats, Floats, list[float]]:
        """Pick among the rows of `field`, ascending, while the farthest beats `limit`: (distance, -position)."""
        rows, square = self.X[field], self.square[field]
        distance_sq = rows @ (-2 * rows).T
        distance_sq += square
        distance_sq += square[:, None]
        low, high, margin = self.low[field], self.high[field], self.margin[field]
        distances: list[float] = []
        while len(distances) < wanted:
            rivals = np.flatnonzero(high >= low.max())
            if high[rivals].max() < limit[0]:
                break
            loose = rivals[low[rivals] < high[rivals]]
            if loose.size:
                low[loose] = high[loose] = self.exact(field[loose])
            best = rivals[high[rivals].argmax()]  # of ties the lowest position
            pick, distance = int(field[best]), float(high[best])
            if distance <= 0 or (distance, -pick) < limit:
                break
            self._append(pick)
            distances.append(distance)
            np.minimum(low, np.maximum(distance_sq[best] - margin, 0), out=low)
            np.minimum(high, distance_sq[best] + margin, out=high)
            low[best] = high[best] = -1
        return low, high, distances


def _highest(values: Floats, count: int) -> Positions:
    """Return the positions, ascending, of the `count` largest values that are >= 0; of ties the lowest positions."""
    if count >= len(values):
        return np.flatnonzero(values >= 0)
    least = max(0.0, float(np.partition(values, len(values) - count)[len(values) - count]))
    above = np.flatnonzero(values > least)
    return np.sort(np.concatenate([above, np.flatnonzero(values == least)[: count - len(above)]]))
