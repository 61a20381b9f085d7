"""Chooses the rows that k-means starts from: greedy k-means++ on rows in memory, drawn with hashed uniforms.

Source: Arthur and Vassilvitskii, "k-means++" (2007), section 2.2, with their remark on several trials a step: of
2 + floor(ln k) rows drawn by D^2 the one that lowers the potential most is kept. Ours: distances are between rows
rounded to integers so small that every product and sum of a matrix product is exact in float64, so the rows that are
picked depend on neither the BLAS, its threads nor the machine. Left out: k-means||, which pays only where the rows do
not fit in memory.
"""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Floats, Ints, Rows
from .hashing import uniforms


def _integers(x: Rows) -> Floats:
    """Return rows rounded to integers between -L and L with 4 d L^2 < 2^53, so that their distances_sq are exact."""
    low, high = x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64)
    largest = float((high - low).max()) / 2
    level = math.floor(math.sqrt(2.0**51 / x.shape[1]))
    centred = x - (low + (high - low) / 2)
    rounded: Floats = np.rint(np.clip(centred * (level / largest), -level, level)) if largest else centred
    return np.ascontiguousarray(rounded)


def plus_plus(x: Rows, k: int, seed: int) -> Ints:
    """Return the positions of k different rows to start from, by greedy k-means++.

    Parameters
    ----------
    x : (n, d) float32 or float64
        Finite rows, n >= k. Their order matters: the caller fixes it.
    k : int
    seed : int

    Returns
    -------
    (k,) int64
        Distinct positions. Equal rows (on the grid of integers) are both picked only where fewer than k differ.

    Notes
    -----
    O(n d k ln k) time, 8 n d bytes beside the input.

    Examples
    --------
    >>> x = np.array([[0.0], [0.0], [9.0], [9.0], [5.0]])
    >>> sorted(x[plus_plus(x, 3, seed=1), 0].tolist())
    [0.0, 5.0, 9.0]
    """
    points, trials = _integers(x), 2 + int(math.log(k))
    norms = (points * points).sum(axis=1)
    first = (uniforms(seed, 0, 1) * len(x)).astype(np.int64)
    picks = [int(first[0])]
    nearest = _distances_sq(points, norms, first)[0]
    for step in range(1, k):
        cumulated = np.cumsum(nearest)
        if cumulated[-1] == 0:  # every row equals a pick: take the first row that is not one itself
            others = np.setdiff1d(np.arange(len(x)), picks)
            picks.append(int(others[0]))
            continue
        candidates = np.searchsorted(cumulated, uniforms(seed, step * trials, trials) * cumulated[-1], "right")
        closer = np.minimum(_distances_sq(points, norms, candidates), nearest)
        best = int(closer.sum(axis=1).argmin())
        picks.append(int(candidates[best]))
        nearest = closer[best]
    return np.array(picks, np.int64)


def _distances_sq(points: Floats, norms: Floats, rows: Ints) -> Floats:
    """Return exact distances_sq (r, n) of all points to some of them: |p|^2 + |q|^2 - 2 p.q of integers."""
    products: Floats = points[rows] @ points.T
    products *= -2
    products += norms
    products += norms[rows, None]
    return products
