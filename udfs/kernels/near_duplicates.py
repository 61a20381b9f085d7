"""Drops near-duplicates by cosine: SemDeDup inside cells, and Deita's filter against all rows kept so far.

- SemDeDup (arXiv 2303.09540): a row is dropped when its cosine to an earlier-ranked row *of its cell* is
  above 1 - eps, whether that earlier row is itself kept or dropped. So of a chain of near rows only the first is kept.
- Deita (arXiv 2312.15685): walk in rank order, keep a row if its cosine to no *kept* row is above 0.9.

Which cosines are above a limit is a matter of the two rows alone (cosine_limit.py), so the kept rows depend on the data
and the ranks alone. A row of length 0 has no direction: its cosines count as 0. Left out: hashing and other approximate
search; the cost is quadratic, for SemDeDup in the size of a cell.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Flags, Labels, Matrix, Positions
from ..errors import InputError
from .cosine_limit import CosineLimit

#: Rows tested together, and rows that they are tested against at a time (67 MB with flags).
_ROWS, _AGAINST = 1024, 8192


def semdedup(X: Matrix, cells: Labels, order: Positions, threshold: float = 0.95) -> tuple[Flags, Positions]:
    """Drop rows that are near an earlier-ranked row of their cell.

    Parameters
    ----------
    X : (n, d) float32
        Read in blocks, not copied.
    cells : (n,) int
        Cell of each row.
    order : (n,) int64
        Positions in rank order, best first: each once.
    threshold : float, default 0.95
        1 - eps, at least 0 and below 1: a cosine *above* it drops the row.

    Returns
    -------
    keep : (n,) bool
    displaced_by : (n,) int64
        For a dropped row the position of the best-ranked row that drops it, -1 for a kept one.

    Raises
    ------
    InputError
        If the threshold is not allowed, an argument has another length, `order` repeats a position, or X has a value
        that is not finite.

    Notes
    -----
    O(sum of cell^2 d / 2) time, 150 MB. Rows that are dropped early save their share of it.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1, 0], [0.99, 0.14], [0, 1], [1, 0]], np.float32)
    >>> keep, by = semdedup(X, np.array([5, 5, 5, 6]), np.array([1, 0, 2, 3]))
    >>> keep.tolist(), by.tolist()
    ([False, True, True, True], [1, -1, -1, -1])
    """
    cosine = CosineLimit(X, threshold, order)
    n = len(X)
    if cells.shape != (n,) or len(order) != n:
        raise InputError(f"{n} rows need {n} cells and ranks, not {len(cells)} and {len(order)}; pass one a row")
    displaced_by = np.full(n, -1, np.int64)
    ranked = order[np.argsort(cells[order], kind="stable")]  # cell by cell, in rank order inside
    ends = np.flatnonzero(np.diff(cells[ranked])) + 1
    for members in np.split(ranked, ends):
        for a in range(0, len(members), _ROWS):
            rows = members[a : a + _ROWS]
            for b in range(0, a + len(rows), _AGAINST):
                undecided = np.flatnonzero(displaced_by[rows] < 0)
                earlier = members[b : min(b + _AGAINST, a + len(rows))]
                allowed = b + np.arange(len(earlier)) < (a + undecided)[:, None]
                duplicate_of = cosine.first(rows[undecided], earlier, allowed)
                dropped = undecided[duplicate_of >= 0]
                displaced_by[rows[dropped]] = earlier[duplicate_of[duplicate_of >= 0]]
    return displaced_by < 0, displaced_by


def deita(X: Matrix, order: Positions, limit: float = 0.9, budget: int | None = None) -> tuple[Positions, int]:
    """Walk down the ranks and keep the rows that are near no row kept before.

    Parameters
    ----------
    X : (n, d) float32
        Read in blocks, not copied.
    order : (m,) int64
        Positions in rank order, best first; each at most once.
    limit : float, default 0.9
        At least 0 and below 1: a cosine *above* it keeps the row out.
    budget : int, optional
        Number of kept rows after which the walk stops.

    Returns
    -------
    kept : (b,) int64
        Positions in rank order; a smaller budget is a prefix.
    walked : int
        Rows of `order` looked at: up to the last kept one if the budget was reached, otherwise all.

    Raises
    ------
    InputError
        If the limit is not allowed, `order` repeats a position, or X has a value that is not finite.

    Notes
    -----
    O(walked x kept x d) and 150 MB.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1, 0], [0.95, 0.3122], [0.6, 0.8], [0, 1]], np.float32)
    >>> kept, walked = deita(X, np.array([0, 1, 2, 3]), budget=2)
    >>> kept.tolist(), walked
    ([0, 2], 3)
    """
    cosine = CosineLimit(X, limit, order)
    size = len(order) if budget is None else min(budget, len(order))
    kept = np.empty(max(size, 0), np.int64)
    count = 0
    for a in range(0, len(order) if size > 0 else 0, _ROWS):
        rows = order[a : a + _ROWS]
        candidates = np.arange(len(rows))
        for b in range(0, count, _AGAINST):
            candidates = candidates[cosine.first(rows[candidates], kept[b : min(b + _AGAINST, count)]) < 0]
        above = cosine.above_limit(rows[candidates])
        displaced = np.zeros(len(candidates), bool)  # by a row kept in this block
        for i in range(len(candidates)):
            if not displaced[i]:
                displaced |= above[i]
                kept[count] = rows[candidates[i]]
                count += 1
                if count == size:
                    return kept, a + int(candidates[i]) + 1
    return kept[:count], len(order) if size > 0 else 0


def displaced_by_kept(X: Matrix, order: Positions, kept: Positions, limit: float = 0.9) -> Positions:
    """Return for each row, (n,) int64, the first of the rows that `deita` kept which keeps it out; -1 for none.

    Parameters
    ----------
    X, order, limit
        As in `deita`.
    kept : (b,) int64
        What it returned. Rows that come after the last of them may be kept by a larger budget if they have -1.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1, 0], [0.95, 0.3122], [0.6, 0.8], [0, 1]], np.float32)
    >>> displaced_by_kept(X, np.array([0, 1, 2, 3]), np.array([0, 2])).tolist()
    [-1, 0, -1, -1]
    """
    place, by = np.full(len(X), len(order)), np.full(len(X), -1, np.int64)
    place[order] = np.arange(len(order))
    found = _first_before(CosineLimit(X, limit, order), order, kept, np.searchsorted(place[kept], place[order]))
    by[order[found >= 0]] = kept[found[found >= 0]]
    return by


def first_near(rows: Matrix, others: Matrix, before: Positions, limit: float) -> Positions:
    """Return for each row the first of the others whose cosine to it is above the limit, (m,) int64; -1 for none.

    Parameters
    ----------
    rows, others : (m, d) and (n, d) float32
    before : (m,) int64
        How many of the others count for a row: the first ones.
    limit : float
        At least 0 and below 1.

    Examples
    --------
    >>> X = np.array([[1, 0], [0.95, 0.3122], [0, 1]], np.float32)
    >>> first_near(X, X, np.arange(3), 0.9).tolist()
    [-1, 0, -1]
    """
    together = np.concatenate([others, rows])
    cosine, count = CosineLimit(together, limit, np.arange(len(together))), len(others)
    return _first_before(cosine, count + np.arange(len(rows)), np.arange(count), before)


def _first_before(cosine: CosineLimit, rows: Positions, others: Positions, before: Positions) -> Positions:
    """Return for each row the place of the first of its first `before` others that is near it, (rows,); -1 for none."""
    found = np.full(len(rows), -1, np.int64)
    for a in range(0, len(rows), _ROWS):
        for b in range(0, len(others), _AGAINST):
            places = np.arange(b, min(b + _AGAINST, len(others)))
            open_rows = np.arange(a, min(a + _ROWS, len(rows)))
            open_rows = open_rows[found[open_rows] < 0]
            first = cosine.first(rows[open_rows], others[places], places < before[open_rows][:, None])
            found[open_rows[first >= 0]] = places[first[first >= 0]]
    return found
