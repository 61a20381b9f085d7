"""The objective of facility location from its definition: how well chosen rows cover all rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lakesift.udfs.kernels.neighbours import fixed_point, scale

#: Rows and picks of one matrix product.
ROWS = 2_048


def objective(X: NDArray[np.float32], chosen: ArrayLike) -> float:
    """Return f of the rows at positions `chosen`, 0 to n: the sum of gains of mode dense at alpha 0.

    Parameters
    ----------
    X : (n, d) float32
        Rows of length 1.
    chosen : (b,) int

    Examples
    --------
    >>> round(objective(np.array([[1, 0], [0.6, 0.8], [-1, 0]], np.float32), [0]), 2)
    1.6
    """
    picks, total = np.asarray(chosen, np.int64), 0.0
    for a in range(0, len(X), ROWS):
        rows = fixed_point(X[a : a + ROWS])
        best = np.zeros(len(rows), np.float32)
        for b in range(0, len(picks), ROWS):
            np.maximum(best, (rows @ fixed_point(X[picks[b : b + ROWS]]).T).max(axis=1), out=best)
        total += float(best.sum(dtype=np.float64))
    return total / scale(X.shape[1]) ** 2
