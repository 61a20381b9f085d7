"""Lloyd's k-means with exact sums, so that neither the order of rows nor a partitioning changes the centroids.

Vectors are rounded to a power-of-two grid on which float64 adds without error (exact_sums.py); clusters are decided
exactly (nearest_centroid.py). The same sums give the inertia, sum |x|^2 - 2 sum_j c_j.S_j + sum_j n_j |c_j|^2, so a
step costs one assignment and no distances; digits are lost only where a common offset is large beside the spread.

Source: Lloyd (1982); spherical: Dhillon and Modha (2001). Ours: the grid, the farthest-first rule for empty clusters.
Left out: mini-batches (inertia 2 % worse at the same cost).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..arrays import Clusters, Floats, Matrix, Rows
from .exact_sums import Grid, move_in
from .nearest_centroid import BLOCK, Nearest, distances_sq

#: Sums (k, d), sizes (k,) and the sum of squared lengths of some rows.
Tally = tuple[Floats, Floats, float]
#: (moves so far, rows, inertia) -> None.
Report = Callable[[int, float, float], None]


def tally(x: Rows, centroids: Matrix, grid: Grid) -> Tally:
    """Return the exact sums (k, d), sizes (k,) and sum of squared lengths of rows by their nearest centroid.

    Two tallies on one grid add without error, in any order.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [8.0]])
    >>> sums, sizes, squares = tally(x, np.array([[0], [9]], np.float32), Grid.of(8.0, 3, 1))
    >>> sums.tolist(), sizes.tolist(), squares
    ([[1.0], [8.0]], [2.0, 1.0], 65.0)
    """
    sums, squares, cluster = np.zeros(centroids.shape), 0.0, Nearest(centroids).clusters(x)
    buffer = np.empty((min(BLOCK, len(x)), x.shape[1]))
    for start in range(0, len(x), BLOCK):
        part = slice(start, start + BLOCK)
        points = grid.rounded(x[part], buffer)
        move_in(sums, points, cluster[part])
        squares += grid.squares(points)
    return sums, np.bincount(cluster, minlength=len(centroids)).astype(np.float64), squares


class _InMemory:
    """The tally of rows in memory. Sums are exact, so only rows that change their cluster are added and subtracted."""

    def __init__(self, x: Rows, k: int, grid: Grid) -> None:
        self.x, self.grid = x, grid
        self.sums, self.squares = np.zeros((k, x.shape[1])), 0.0
        self.cluster: Clusters | None = None

    def __call__(self, centroids: Matrix) -> Tally:
        new, old = Nearest(centroids).clusters(self.x), self.cluster
        changed = np.arange(len(new)) if old is None else np.flatnonzero(new != old)
        buffer = np.empty((min(BLOCK, len(changed)), self.x.shape[1]))
        for start in range(0, len(changed), BLOCK):
            rows = changed[start : start + BLOCK]
            points = self.grid.rounded(self.x[rows], buffer)
            move_in(self.sums, points, new[rows], None if old is None else old[rows])
            if old is None:
                self.squares += self.grid.squares(points)
        self.cluster = new
        return self.sums, np.bincount(new, minlength=len(centroids)).astype(np.float64), self.squares

    def refill(self, centroids: Matrix, sizes: Floats) -> Matrix:
        """Place empty clusters on the rows farthest from any centroid, one after the other; ties to the first row."""
        empty = sizes == 0
        distance_sq = Nearest(centroids[~empty])(self.x)[1]
        placed = centroids.copy()
        for j in np.flatnonzero(empty):
            farthest = int(distance_sq.argmax())
            if distance_sq[farthest] == 0:
                break
            placed[j] = self.x[farthest]
            to_new = distances_sq(self.x, placed.astype(np.float64), np.full(len(self.x), j))
            distance_sq = np.minimum(distance_sq, to_new)
        return placed


class Descent(NamedTuple):
    """Centroids (k, d) float32; with them, sizes (k,) float64 and the last inertia; inertia of each step, falling."""

    centroids: Matrix
    sizes: Floats
    inertia: list[float]


def descend(
    centroids: Matrix,
    measure: Callable[[Matrix], Tally],
    moves: int,
    tol: float,
    *,
    spherical: bool = False,
    refill: Callable[[Matrix, Floats], Matrix] | None = None,
    report: Report | None = None,
) -> Descent:
    """Measure and move by turns until the inertia falls by less than `tol` of itself, or for `moves` moves.

    Parameters
    ----------
    centroids : (k, d) float32
    measure : callable
        Centroids -> the tally of all rows: in memory, or one pass over a table.
    moves : int
        One measurement more follows, so the centroids that are returned are those that were measured last.
    tol : float
    spherical : bool
        Centroids are scaled to length 1 after each move.
    refill : callable, optional
        (centroids, sizes) -> centroids with new places for empty clusters; without it they stay where they are.
    report : callable, optional
        Called after each measurement with the moves so far, rows and inertia.
    """
    inertia: list[float] = []
    for move in range(moves + 1):
        sums, sizes, squares = measure(centroids)
        exact = centroids.astype(np.float64)
        lengths = (exact * exact).sum(axis=1)  # not a dot product, which would round as the BLAS does
        cost = squares - 2 * float((exact * sums).sum()) + float((sizes * lengths).sum())
        inertia.append(max(0.0, cost))
        if report is not None:
            report(move, float(sizes.sum()), inertia[-1])
        to_refill = refill is not None and not sizes.all()
        converged = move > 0 and inertia[-2] - inertia[-1] <= tol * inertia[-2] and not to_refill
        if converged or move == moves:
            break
        centroids = _moved(centroids, sums, sizes, spherical)
        if refill is not None and to_refill:
            centroids = refill(centroids, sizes)
    return Descent(centroids, sizes, inertia)


def _moved(centroids: Matrix, sums: Floats, sizes: Floats, spherical: bool) -> Matrix:
    divisor = np.sqrt((sums * sums).sum(axis=1)) if spherical else sizes
    stays = (divisor == 0)[:, None]
    return np.where(stays, centroids, sums / np.where(stays, 1, divisor[:, None])).astype(np.float32)


def lloyd(
    x: Rows,
    start: Matrix,
    moves: int = 25,
    tol: float = 1e-4,
    *,
    spherical: bool = False,
    report: Report | None = None,
) -> Descent:
    """Run Lloyd's iterations from `start` on rows in memory.

    Parameters
    ----------
    x : (n, d) float32 or float64
        Finite; of length 1 if `spherical`.
    start : (k, d) float32
    moves : int, default 25
    tol : float, default 1e-4
        Share of the inertia; a smaller fall ends the iterations. 0 goes on until the inertia does not fall.
    spherical : bool, default False
    report : callable, optional
        As in `descend`.

    Returns
    -------
    Descent
        The inertia never rises. Empty clusters are placed on the rows farthest from any centroid, one after the other.
        The same bits for any order of rows, except for ties of the farthest row.

    Raises
    ------
    BoundError
        For values that are not finite or above 1e100.

    Notes
    -----
    O(n d k) time a move; 8 k d bytes and one block beside the rows.

    Examples
    --------
    >>> x = np.array([[0.0], [2.0], [8.0], [10.0]])
    >>> descent = lloyd(x, np.array([[0], [2]], np.float32))
    >>> descent.centroids[:, 0].tolist(), descent.sizes.tolist(), [round(v, 2) for v in descent.inertia]
    ([1.0, 9.0], [2.0, 2.0], [100.0, 16.89, 4.0, 4.0])
    """
    largest = max(abs(float(x.max())), abs(float(x.min())))
    rows = _InMemory(x, len(start), Grid.of(largest, len(x), x.shape[1]))
    return descend(start, rows, moves, tol, spherical=spherical, refill=rows.refill, report=report)
