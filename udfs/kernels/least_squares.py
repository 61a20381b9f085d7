"""Weighted linear least squares on a few labelled rows, by numpy's lstsq.

Left out: an intercept (give a column of ones) and ridge regression. The last bits follow the machine's BLAS.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Floats
from ..errors import InputError


def finite_matrix(rows: ArrayLike) -> Floats:
    """Return rows as float64 (n, d); InputError unless they are a finite matrix with n and d above 0.

    Examples
    --------
    >>> finite_matrix([[1, 2]]).tolist()
    [[1.0, 2.0]]
    """
    matrix = np.asarray(rows, dtype=np.float64)
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all():
        raise InputError(
            f"the rows of shape {matrix.shape} are no finite matrix; allowed: (n, d), n and d above 0; filter NaN rows"
        )
    return matrix


def weighted_least_squares(rows: ArrayLike, labels: ArrayLike, weights: ArrayLike) -> Floats:
    """Return x (d,) with the least sum of w (a . x - b)^2; of several the shortest.

    Parameters
    ----------
    rows : (n, d) float64
        No intercept is added; give a column of ones.
    labels : (n,) float64
        Not read where the weight is 0, so they may be NaN there.
    weights : (n,) float64, finite, 0 or more
        An integer weight is that many equal rows; only ratios of weights matter.

    Raises
    ------
    InputError
        For rows, weights, or labels of weighted rows that are not finite, or if all weights are 0.

    Examples
    --------
    >>> weighted_least_squares([[1.0], [1.0], [1.0]], [0.0, 4.0, np.nan], [1.0, 3.0, 0.0]).round(12).tolist()
    [3.0]
    """
    matrix, w = finite_matrix(rows), np.asarray(weights, dtype=np.float64)
    if not (np.isfinite(w) & (w >= 0)).all() or not w.any():
        raise InputError("the weights are not all finite and 0 or more with one above 0, which is needed; fix them")
    # Divided by the largest weight first, so that no product overflows.
    root, b = np.sqrt(w[w > 0] / w.max()), np.asarray(labels, dtype=np.float64)[w > 0]
    if not np.isfinite(b).all():
        raise InputError(
            "a labelled row has a label that is NaN or infinite; allowed: finite; label it or drop the row"
        )
    x: Floats = np.linalg.lstsq(matrix[w > 0] * root[:, None], b * root, rcond=None)[0]
    return x
