"""Drops near-duplicates by cosine: SemDeDup inside cells, and Deita's filter against all rows kept so far.

- SemDeDup (arXiv 2303.09540): a row is dropped when its cosine to an earlier-ranked row *of its cell* is
  above 1 - eps, whether that earlier row is itself kept or dropped. So of a chain of near rows only the first is kept.
- Deita (arXiv 2312.15685): walk in rank order, keep a row if its cosine to no *kept* row is above 0.9.

A cosine is x.y / (||x|| ||y||) in float64, row by row; rows may have any length. A float32 product decides only where
no rounding could change the answer; pairs nearer to the limit are computed in float64. The kept rows therefore depend
on the data and the ranks alone. A row of length 0 has no direction: its cosines count as 0. Left out: hashing and other
approximate search; the cost is quadratic, for SemDeDup in the size of a cell.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Flags, Floats, Labels, Matrix, Positions
from ..errors import InputError

#: Rows tested together, rows that they are tested against at a time (67 MB with flags), pairs in float64 at a time.
_ROWS, _AGAINST, _PAIRS = 1024, 8192, 4096
#: Squared lengths between which float32 neither overflows nor loses digits.
_SHORTEST_SQ, _LONGEST_SQ = 1e-12, 1e36


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
    cosine = _CosineLimit(X, threshold, order)
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
    cosine = _CosineLimit(X, limit, order)
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
    cosine, place = _CosineLimit(X, limit, order), np.full(len(X), len(order))
    place[order] = np.arange(len(order))
    by = np.full(len(X), -1, np.int64)
    for a in range(0, len(order), _ROWS):
        for b in range(0, len(kept), _AGAINST):
            rows, some = order[a : a + _ROWS], kept[b : b + _AGAINST]
            rows = rows[by[rows] < 0]
            found = cosine.first(rows, some, place[some] < place[rows][:, None])
            by[rows[found >= 0]] = some[found[found >= 0]]
    return by


class _CosineLimit:
    """Finds pairs of rows whose cosine is above the limit."""

    def __init__(self, X: Matrix, limit: float, order: Positions) -> None:
        n, d = X.shape
        if not 0 <= limit < 1:
            raise InputError(
                f"a limit of {limit!r} for the cosine is not allowed; it is at least 0 and below 1; 0.9 is usual"
            )
        times = np.bincount(order, minlength=n) if len(order) and order.min() >= 0 else np.zeros(n, np.int64)
        if len(times) > n or times.max(initial=0) > 1 or times.sum() != len(order):
            raise InputError(
                f"the rank order must name positions 0 to {n - 1}, none of them twice; rank every row once"
            )
        self.X, self.limit = X, limit
        square = np.concatenate([_dots(X[a : a + _PAIRS], X[a : a + _PAIRS]) for a in range(0, max(n, 1), _PAIRS)])
        if not np.isfinite(square).all():
            raise InputError("a row of the matrix is not finite; allowed are finite vectors; drop undefined rows first")
        self.length = np.sqrt(square)
        # u = 2^-24: a product of unit vectors is off by at most d u in any order of summation; 12 u cover the rounding
        # of the vectors themselves, 1 % the higher powers of u.
        margin = 1.01 * (d + 12) * 2.0**-24
        self.low, self.high = np.float32(limit - margin), np.float32(limit + margin)
        self.fits_float32 = bool(((square == 0) | ((square > _SHORTEST_SQ) & (square < _LONGEST_SQ))).all())
        self.inverse = np.divide(1, self.length, out=np.zeros(n), where=square > 0).astype(np.float32)

    def _propose(self, rows: Positions, others: Positions) -> Matrix:
        """Return cosines within the margin of the exact ones; all NaN where float32 does not fit: float64 decides."""
        if not self.fits_float32:
            return np.full((len(rows), len(others)), np.nan, np.float32)
        a, b = self.X[rows], self.X[others]
        a *= self.inverse[rows, None]
        b *= self.inverse[others, None]
        return a @ b.T

    def _decide(self, rows: Positions, others: Positions) -> Flags:
        """Return which pairs are above the limit, by float64 sums of each pair alone."""
        out = np.empty(len(rows), bool)
        for a in range(0, len(rows), _PAIRS):
            i, j = rows[a : a + _PAIRS], others[a : a + _PAIRS]
            out[a : a + _PAIRS] = _dots(self.X[i], self.X[j]) > self.limit * (self.length[i] * self.length[j])
        return out

    def above_limit(self, rows: Positions) -> Flags:
        """Return (rows, rows) bool, symmetric: is the cosine above the limit."""
        cosine = self._propose(rows, rows)
        above = cosine > self.high
        i, j = np.nonzero(~(above | (cosine <= self.low)))
        above[i, j] = self._decide(rows[i], rows[j])
        return above

    def first(self, rows: Positions, others: Positions, allowed: Flags | None = None) -> Positions:
        """Return for each row the index of the first of `others` (among those allowed) above the limit, or -1."""
        cosine = self._propose(rows, others)
        maybe = ~(cosine <= self.low)
        if allowed is not None:
            maybe &= allowed
        out = np.full(len(rows), -1, np.int64)
        with_maybe = np.flatnonzero(maybe.any(axis=1))  # mostly few rows
        if with_maybe.size:
            cosine, maybe = cosine[with_maybe], maybe[with_maybe]
            above = maybe & (cosine > self.high)
            first = np.where(above.any(axis=1), above.argmax(axis=1), len(others))  # by float32, and certain
            maybe &= np.arange(len(others)) < first[:, None]  # only a doubtful pair before it can change the answer
            i, j = np.nonzero(maybe)
            over = self._decide(rows[with_maybe[i]], others[j])
            np.minimum.at(first, i[over], j[over])
            out[with_maybe] = np.where(first < len(others), first, -1)
        return out


def _dots(a: Matrix, b: Matrix) -> Floats:
    """Return dot products of rows, (m, d) and (m, d) -> (m,) float64: the same bits in any batch."""
    product = a.astype(np.float64)
    product *= b
    return product.sum(axis=1, out=np.empty(len(a)))
