"""Finds the nearest centroid of each row, exactly, at the speed of a float32 matrix product.

A float32 matrix product proposes, row-wise float64 decides: the product gives a row other last bits in another batch,
so every centroid within the product's error of the best is compared again in float64, and only that value is kept. The
margin is ours. Left out: triangle-inequality bounds (on embeddings 85 to 100 % of rows are evaluated again in the
iterations that matter, so the bounds gain nothing).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..arrays import Clusters, Floats, Labels, Matrix, Rows

BLOCK = 2048
_U32, _U64, _TINY = 2.0**-24, 2.0**-53, 2.0**-125


def distances_sq(x: Rows, centroids: Floats, cluster: Labels) -> Floats:
    """Return |x_i - c_cluster[i]|^2, (n,) float64, each from its own row alone: the same bits in any batch.

    Examples
    --------
    >>> distances_sq(np.array([[3.0, 4.0]]), np.zeros((1, 2)), np.array([0])).tolist()
    [25.0]
    """
    distances, rows = np.empty(len(x)), BLOCK // 4
    buffer = np.empty((min(rows, len(x)), centroids.shape[1]))
    for start in range(0, len(x), rows):
        part = slice(start, start + rows)
        gap = buffer[: len(x) - start]
        np.take(centroids, cluster[part], axis=0, out=gap, mode="clip")  # other modes copy once more
        gap -= x[part]
        gap *= gap
        gap.sum(axis=1, out=distances[part])
    return distances


class Nearest:
    """Finds the nearest centroid of each row, by (distance, index) in row-wise float64.

    Parameters
    ----------
    centroids : (k, d) float32

    Notes
    -----
    Rows and centroids are moved by the mean centroid s, x' = x - s, c' = c - s: a common offset then costs no digits
    (s = 0 where |s|^2 is less than half of the mean |c|^2).
    The proposal is g = |c'|^2 - 2 x'.c' in float32. With u = 2^-24, D = d + 8 and r = D u / (1 - D u), a dot product is
    off by at most r |x'| |c'| in any order of summation, rounding x', c', |c'|^2 and the sum by a few u of the same, so

        |g - exact| <= e = 1.01 r (2 |x'| C + C^2) + D 2^-53 (|x'| + C)^2 + underflow,   C = max |c'|

    where the second term covers the float64 distances themselves. Every centroid with g <= min g + 2 e is compared in
    float64; if e is not finite (values near the end of float32), all are. O(n d k) time, about 4 x 2048 x k bytes.

    Examples
    --------
    >>> cluster, distance_sq = Nearest(np.array([[0, 0], [2, 0]], np.float32))(np.array([[1.0, 0.0], [3.0, 0.0]]))
    >>> cluster.tolist(), distance_sq.tolist()  # a tie goes to the lowest index
    ([0, 1], [1.0, 1.0])
    """

    def __init__(self, centroids: Matrix) -> None:
        self.exact: Floats = np.asarray(centroids, np.float64)
        self.shift: Matrix = self.exact.mean(axis=0).astype(np.float32)
        if 2 * len(self.exact) * (self.shift.astype(np.float64) ** 2).sum() < (self.exact**2).sum():
            self.shift = np.zeros_like(self.shift)  # a small offset is not worth the subtraction
        with np.errstate(over="ignore", invalid="ignore"):
            moved = (self.exact - self.shift).astype(np.float32)
            norms = (moved.astype(np.float64) ** 2).sum(axis=1)
            self.factor = np.ascontiguousarray(-2 * moved.T)
            self.norms = norms.astype(np.float32)
        self.longest = math.sqrt(norms.max())
        self.rows = max(64, min(BLOCK, 2**24 // len(norms)))

    def clusters(self, x: Rows) -> Clusters:
        """Return the nearest centroid of each row, (n,) int32; 0 for rows that hold NaN."""
        cluster = np.zeros(len(x), np.int32)
        for part, block, g, slack in self._proposed(x):
            cluster[part] = self._pick(block, g, slack)
        return cluster

    def __call__(self, x: Rows) -> tuple[Clusters, Floats]:
        """Return cluster (n,) int32 and distance_sq (n,) float64 >= 0, NaN for rows that hold NaN."""
        x = np.ascontiguousarray(x)
        cluster = self.clusters(x)
        return cluster, distances_sq(x, self.exact, cluster)

    def two(self, x: Rows) -> tuple[Floats, Floats]:
        """Return distances_sq to the nearest and the second nearest of at least two centroids, (n,) float64 each."""
        first, second = np.zeros((2, len(x)), np.int32)
        x = np.ascontiguousarray(x)
        for part, block, g, slack in self._proposed(x):
            first[part] = best = self._pick(block, g, slack)
            second[part] = self._pick(block, g, slack, best)
        return distances_sq(x, self.exact, first), distances_sq(x, self.exact, second)

    def _proposed(self, x: Rows) -> Iterator[tuple[slice, Rows, Matrix, Floats]]:
        """Yield blocks with their float32 proposals (m, k) and twice the error of each row (m,)."""
        x, k, width = np.ascontiguousarray(x), len(self.norms), x.shape[1] + 8
        buffer = np.empty((min(self.rows, len(x)), k), np.float32)
        moved = np.empty((len(buffer), x.shape[1]), np.float32)
        relative = 1.01 * width * _U32 / (1 - width * _U32)
        for start in range(0, len(x), self.rows):
            part = slice(start, start + self.rows)
            with np.errstate(over="ignore", invalid="ignore", under="ignore"):
                rows = min(self.rows, len(x) - start)
                block = x[part]
                if self.shift.any() or x.dtype != np.float32:
                    block = np.subtract(block, self.shift, out=moved[:rows], casting="same_kind")
                g = np.matmul(block, self.factor, out=buffer[:rows])
                g += self.norms
                # The last term bounds what squares lose by underflow.
                length = np.sqrt(np.einsum("ij,ij->i", block, block).astype(np.float64)) + math.sqrt(width) * 2.0**-62
                length_sum = length + self.longest
                error = relative * self.longest * (2 * length + self.longest)
                error += width * (_U64 * length_sum * length_sum + _TINY * (1 + 2 * length_sum))
            yield part, x[part], g, 2 * error

    def _pick(self, x: Rows, g: Matrix, slack: Floats, taken: Clusters | None = None) -> Clusters:
        """Return the nearest centroid of each row of a block, or the second nearest if `taken` has the nearest."""
        flat, starts = g.reshape(-1), np.arange(0, g.size, g.shape[1])
        if taken is not None:
            flat[starts + taken] = np.inf
        best: Clusters = g.argmin(axis=1).astype(np.int32)
        at_best = starts + best
        lowest = flat[at_best]
        limit = lowest + slack
        flat[at_best] = np.inf  # so that g.min is the second lowest
        doubtful = np.flatnonzero(~(g.min(axis=1) > limit))  # also if the limit is NaN or infinite
        flat[at_best] = lowest
        if len(doubtful):
            close = ~(g[doubtful] > limit[doubtful, None])
            if taken is not None:
                close[np.arange(len(doubtful)), taken[doubtful]] = False
            i, j = np.nonzero(close)
            exact = np.empty(len(i))
            for start in range(0, len(i), BLOCK):
                pairs = slice(start, start + BLOCK)
                exact[pairs] = distances_sq(x[doubtful[i[pairs]]], self.exact, j[pairs])
            order = np.lexsort((j, exact, i))
            firsts = np.flatnonzero(np.diff(i, prepend=-1))
            best[doubtful] = j[order[firsts]]
        return best
