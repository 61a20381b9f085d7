"""Simplified silhouette: how much nearer a row is to its own centroid than to the second nearest.

Source: Hruschka, de Castro and Campello (2004): distances to centroids replace mean distances to members, so it costs
one assignment. The values are not those of Rousseeuw's silhouette; the best k is often the same.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Floats, Matrix, Rows
from .nearest_centroid import Nearest


def simplified(x: Rows, centroids: Matrix) -> Floats:
    """Return (b - a) / max(a, b) per row, a and b its distances to the nearest and the second nearest centroid.

    Parameters
    ----------
    x : (n, d) float32 or float64
    centroids : (k, d) float32

    Returns
    -------
    (n,) float64
        0 (another centroid is as near) to 1. 0 where both distances are 0; NaN for k = 1 and for rows that hold NaN. A
        row's value depends on the row and the centroids alone.

    Examples
    --------
    >>> simplified(np.array([[1.0, 0.0]]), np.array([[0, 0], [5, 0]], np.float32)).tolist()
    [0.75]
    """
    if len(centroids) < 2:
        return np.full(len(x), np.nan)
    a, b = Nearest(centroids).two(x)
    score = np.zeros(len(x))
    np.divide(np.sqrt(b) - np.sqrt(a), np.sqrt(b), out=score, where=b > 0)
    score[np.isnan(a)] = np.nan
    return score


def mean(x: Rows, centroids: Matrix) -> float:
    """Return the mean simplified silhouette of rows, 0 to 1; NaN (undefined) for k = 1 or no rows.

    Examples
    --------
    >>> mean(np.array([[1.0], [4.0]]), np.array([[0], [5]], np.float32))
    0.75
    """
    scores = simplified(x, centroids)
    return float(scores.mean()) if len(scores) else float("nan")
