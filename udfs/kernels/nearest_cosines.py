"""Mean cosine of a vector to its nearest targets, exact, at the speed of a float32 matrix product.

A float32 matrix product proposes, row-wise float64 decides: the product gives a row other last bits in another batch,
so every target within the product's error of the k-th largest cosine is compared again in float64, and only these
values are kept. With u = 2^-24, D = d + 8 and r = D u / (1 - D u), a product of two vectors of length 1 (within 2 u,
rounding included) is off by at most 1.01 r in any order of summation; a target among the k nearest therefore lies at
most twice that below the k-th largest proposal. Ours. Left out: indexes; every row meets every target.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Floats, Matrix, Rows
from .vectors import unit_rows

#: Cosines that are held at a time, 4 bytes each, and pairs that are compared in float64 at a time.
_COSINES, _PAIRS = 1 << 20, 2048
_U32 = 2.0**-24


class NearestCosines:
    """Targets that rows are compared with.

    Parameters
    ----------
    targets : (m, d) float32, m from 1
        Finite, none of them of length 0.
    nearest : int
        Targets that count for a row; all of them if there are fewer.

    Notes
    -----
    O(n m d) time. Memory: 12 bytes a value of the targets; beside these 20 MB as a rule and 70 MB at most, for up to
    65 000 targets, however many rows there are and however alike the targets.

    Examples
    --------
    >>> corners = np.array([[1, 0], [0, 2], [-1, 0]], np.float32)
    >>> NearestCosines(corners, 2)(np.array([[3, 4], [0, 1]])).round(3).tolist()
    [0.7, 0.5]
    """

    def __init__(self, targets: Matrix, nearest: int) -> None:
        self._exact: Floats = np.asarray(targets, np.float64)
        self._lengths: Floats = np.sqrt((self._exact * self._exact).sum(axis=1))
        self._proposed = np.ascontiguousarray(unit_rows(targets).T)
        self._nearest = min(nearest, len(targets))
        width = targets.shape[1] + 8
        self._slack = np.float32(2 * 1.01 * width * _U32 / (1 - width * _U32))
        self._rows = max(16, min(2048, _COSINES // len(targets)))

    def __call__(self, x: Rows) -> Floats:
        """Return the mean cosine of each row to its nearest targets, (n,) float64 from -1 to 1.

        Parameters
        ----------
        x : (n, d) float32 or float64
            Compared as float32. NaN for a row of zeros, and for one with NaN or an infinite element.
        """
        found = np.full(len(x), np.nan)
        for start in range(0, len(x), self._rows):
            with np.errstate(over="ignore"):
                block = np.ascontiguousarray(x[start : start + self._rows], dtype=np.float32)
            unit = unit_rows(block)
            defined = np.flatnonzero(np.isfinite(unit).all(axis=1))
            if len(defined):
                found[start + defined] = self._means(block[defined], unit[defined])
        return found

    def _means(self, x: Matrix, unit: Matrix) -> Floats:
        cosines = unit @ self._proposed
        k, m = self._nearest, cosines.shape[1]
        least = np.partition(cosines, m - k, axis=1)[:, m - k] if k < m else np.full(len(x), -np.inf)
        i, j = np.nonzero(cosines >= (least - self._slack)[:, None])
        exact = np.empty(len(i))
        rows = x.astype(np.float64)
        lengths = np.sqrt((rows * rows).sum(axis=1))
        for start in range(0, len(i), _PAIRS):
            a, b = i[start : start + _PAIRS], j[start : start + _PAIRS]
            products = (rows[a] * self._exact[b]).sum(axis=1)
            exact[start : start + _PAIRS] = products / (lengths[a] * self._lengths[b])
        # Largest first; the sum of a row is taken in that order, whatever its neighbours have.
        order = np.lexsort((-exact, i))
        first = np.searchsorted(i, np.arange(len(x)))
        largest = exact[order[first[:, None] + np.arange(k)]]
        means: Floats = np.clip(np.ascontiguousarray(largest).sum(axis=1) / k, -1, 1)
        return means
