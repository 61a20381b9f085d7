"""Pairs of rows whose cosine is above a limit: float32 proposes, float64 decides near the limit.

A cosine is x.y / (||x|| ||y||) in float64, row by row; rows may have any length, one of length 0 has no direction: its
cosines count as 0. A float32 product decides only where no rounding could change the answer, so that what is found
depends on the two rows alone. Left out: indexes; every pair is multiplied.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Flags, Floats, Matrix, Positions
from ..errors import InputError

#: Pairs in float64 at a time.
PAIRS = 4096
#: Squared lengths between which float32 neither overflows nor loses digits.
_SHORTEST_SQ, _LONGEST_SQ = 1e-12, 1e36


class CosineLimit:
    """Finds pairs of rows whose cosine is above the limit.

    Examples
    --------
    >>> rows = CosineLimit(np.array([[1, 0], [2, 0], [0, 1]], np.float32), 0.9, np.arange(3))
    >>> rows.first(np.array([0, 1, 2]), np.array([1, 2])).tolist()
    [0, 0, 1]
    """

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
        square = np.concatenate([_dots(X[a : a + PAIRS], X[a : a + PAIRS]) for a in range(0, max(n, 1), PAIRS)])
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
        for a in range(0, len(rows), PAIRS):
            i, j = rows[a : a + PAIRS], others[a : a + PAIRS]
            out[a : a + PAIRS] = _dots(self.X[i], self.X[j]) > self.limit * (self.length[i] * self.length[j])
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
